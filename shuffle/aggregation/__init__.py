"""Aggregates of groups of records, in memory that a plan allows: what is asked, states in binary, hash table, sort.

aggregates     what is asked
state_plan     states of a fixed length, known from what is asked
group_table    keys to states, in one stretch of memory
group_rows     groups as rows: what does not fit is sorted, and combined again
aggregator     records in, groups in the order of their keys out
"""
