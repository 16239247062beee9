"""Aggregates of groups of records, in memory that a plan allows: what is asked, states in binary, hash table, sort.

aggregates     what is asked
state_plan     states of a fixed length, known from what is asked
group_table    keys to states, in one stretch of memory
range_job      what does not fit, thrown into ranges of keys, and combined range by range
group_rows     groups as rows: where a key or a state is too long for that, what does not fit is sorted instead
aggregator     records in, groups in the order of their keys out
"""
