"""The operators on tables, columns in and columns out. pyarrow and the engine are loaded by the first of them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Unpack

from shuffle.tables.calls import sort_table

if TYPE_CHECKING:
    from serializers.types.ordering import By
    from shuffle.options import ResourceChoices
    from shuffle.tables.group_reduce import GroupFunction, ReducedTable
    from shuffle.tables.join_plan import How, On
    from shuffle.tables.merge_join import JoinedTable
    from shuffle.tables.table_sorter import SortedTable


def distinct_table(
    source: Any,
    by: By | None = None,
    *,
    nulls_last: bool = False,
    format: str | None = None,
    column_types: dict[str, Any] | None = None,
    **choices: Unpack[ResourceChoices],
) -> SortedTable:
    """The first of all rows that are equal in the columns of `by`, or in all columns, in their order.

    Values are equal if they order as equal: NaN is NaN, -0.0 is 0.0, and null is null. What is there already is dropped
    as soon as it is sorted, so that few different rows take little room. Otherwise as `sort_table`.
    """
    from shuffle.tables.table_source import open_table

    opened = open_table(source, format=format, column_types=column_types)
    chosen = by if by is not None else list(range(len(opened.schema.names)))
    return sort_table(opened, chosen, nulls_last=nulls_last, unique=True, **choices)


def top_k_table(
    source: Any,
    k: int,
    by: By,
    *,
    nulls_last: bool = False,
    format: str | None = None,
    column_types: dict[str, Any] | None = None,
    **choices: Unpack[ResourceChoices],
) -> SortedTable:
    """The first `k` rows in the order of `by`: "-amount" for the largest. Equal ones in the order they had.

    Each sort buffer keeps its first `k` only: any `k` is allowed, and a small one spills next to nothing. Raises
    ValueError for a `k` below 0, and otherwise as `sort_table`.
    """
    if k < 0:
        raise ValueError(f"k is {k}: give 0 or more")
    return sort_table(source, by, nulls_last=nulls_last, limit=k, format=format, column_types=column_types, **choices)


def group_reduce_table(
    source: Any,
    function: GroupFunction,
    *,
    by: By,
    sort_by: By | None = None,
    stream: bool = False,
    schema: Any = None,
    nulls_last: bool = False,
    format: str | None = None,
    column_types: dict[str, Any] | None = None,
    **choices: Unpack[ResourceChoices],
) -> ReducedTable:
    """What `function(key, rows)` makes of each group of rows that are equal in the columns of `by`, in their order.

    function    takes the value of the column, or a tuple of those of several, and the rows as a `pyarrow.Table`; gives
                a table, a record batch, a dict of columns, or None for no rows
    sort_by     columns that order the rows of a group; without it they have the order they had
    stream      the function takes a `pyarrow.RecordBatchReader` of the rows, good until it has ended, so that a group
                may be larger than memory. Without it a group may take a quarter of the memory, which is kept for it
    schema      the columns of the result; those of the first result if not given

    Values are equal if they order as equal: NaN is NaN, -0.0 is 0.0, and null is null. Raises GroupTooLargeError, which
    names the key; what the function raises, with the key in a note; and otherwise as `sort_table`.
    """
    from memory import default_memory_bytes, parse_size
    from shuffle.tables.group_reduce import ReducedTable
    from shuffle.tables.table_codec import order_keys
    from shuffle.tables.table_session import options_of
    from shuffle.tables.table_source import open_table

    memory = choices.get("memory")
    memory_bytes = default_memory_bytes() if memory is None else parse_size(memory)
    group_bytes = None if stream else memory_bytes // 4
    opened = open_table(source, format=format, column_types=column_types)
    try:
        group = order_keys(by, opened.schema, opened.name, nulls_last=nulls_last)
        sort = order_keys(sort_by, opened.schema, opened.name, nulls_last=nulls_last) if sort_by is not None else ()
        choices["memory"] = memory_bytes
        options = options_of(choices, taken_bytes=opened.reader_bytes + (group_bytes or 0))
        return ReducedTable(opened, function, group, sort, options, group_bytes=group_bytes, schema=schema)
    except BaseException:
        opened.close()
        raise


def merge_join_tables(
    left: Any,
    right: Any,
    on: On | None = None,
    *,
    left_on: On | None = None,
    right_on: On | None = None,
    how: How = "inner",
    suffix: str = "_right",
    nulls_equal: bool = False,
    **choices: Unpack[ResourceChoices],
) -> JoinedTable:
    """The rows of two tables that are equal in the columns of `on`, side by side, in the order of these columns.

    left, right    as for `sort_table`; where more is to be said of a file, what `open_table` gives
    on             columns that both have; `left_on` and `right_on` where they are called otherwise
    how            "inner"; "left", "right", "outer": rows without a partner too, with nulls in the other columns;
                   "semi", "anti": the left rows that have a partner, or have none, once each, and no right columns
    suffix         what right columns get behind their names if the left side has columns of these names
    nulls_equal    null is equal to null; otherwise, as in SQL, to nothing. NaN is NaN, and -0.0 is 0.0, in any case

    Columns are those of the left side, then those of the right side that are no keys; keys come once, under their left
    names. Rows with equal keys come in the order of the left rows, and for each of them of the right ones; groups may
    be larger than memory on both sides. Both sorts share the memory.

    Raises JoinKeyError for keys of different types, which are never made equal by guessing; else as `sort_table`.
    """
    import pyarrow as pa

    from shuffle.tables.join_plan import plan_join
    from shuffle.tables.kinds import TableError
    from shuffle.tables.merge_join import JoinedTable
    from shuffle.tables.table_session import options_of
    from shuffle.tables.table_source import open_table

    left_names, right_names = left_on or on, right_on or on
    if left_names is None or right_names is None:
        raise TableError("a join needs columns to go by. Name them in on=, or in left_on= and right_on=")
    if left is right and isinstance(left, pa.RecordBatchReader):
        raise TableError("both sides are one reader, which can be read once. Give two, or a table")
    with ExitStack() as stack:
        lefts, rights = stack.enter_context(open_table(left)), stack.enter_context(open_table(right))
        plan = plan_join(lefts, rights, how, left_names, right_names, suffix=suffix, nulls_equal=nulls_equal)
        options = options_of(choices, taken_bytes=max(lefts.reader_bytes, rights.reader_bytes), share=2)
        joined = JoinedTable(lefts, rights, plan, options)
        stack.pop_all()
        return joined
