"""Acceptance on the user's own machine: jobs in real processes, hurt on purpose, and their output compared.

material   the inputs, and what their records add up to
trial      what is done to which job, drawn by seed
victim     one job in a process of its own, armed, stopped or left alone
judge      whether what is left behind keeps the promises
tally      what was tried, and what came of it
campaign   one trial after another, until the time is up
"""
