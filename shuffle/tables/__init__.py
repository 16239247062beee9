"""Tables: Arrow in, Arrow out, and table files. Columns become rows and columns again; no Python for each record.

with shuffle.tables.sort_table("flights.parquet", by=["carrier", "-distance"], memory="512MiB") as flights:
    flights.write("sorted.parquet")
"""

from shuffle.tables.calls import open_table, partition_table, sort_table
from shuffle.tables.kinds import TableError, is_table
from shuffle.tables.operator_calls import distinct_table, group_reduce_table, merge_join_tables, top_k_table

__all__ = [
    "TableError",
    "distinct_table",
    "group_reduce_table",
    "is_table",
    "merge_join_tables",
    "open_table",
    "partition_table",
    "sort_table",
    "top_k_table",
]
