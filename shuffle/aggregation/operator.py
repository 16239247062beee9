"""`shuffle.aggregate`: groups of anything, in bounded memory. The engine is loaded when the first group is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memory import collector_at_rest
from shuffle.aggregation.aggregates import Aggregates, parse_aggregates

if TYPE_CHECKING:
    from serializers.types.ordering import By
    from shuffle.aggregation.table_aggregate import AggregatedTable


def aggregate(values: Any, by: By, aggregates: Aggregates, **choices: Any) -> Any:
    """One result for each group of `values` that are equal in `by`, in the order of the groups' keys.

    values       an iterable of records; or a table: anything with `__arrow_c_stream__`, or the path of a table file
    by           the fields of the key: "country", "-year" (descending), "address.city", 0, or several
    aggregates   "sum:amount, count, mean:price", a list of such, or with names: {"total": "sum:amount", "n": "count"}

    and what `OperatorChoices` has (for tables `ResourceChoices`, `format=` and `column_types=`). Records give an
    `OperatorResult` of Rows: the key's fields, then the results by name. Tables give an `AggregatedTable`: columns.

    Results are the same for any memory and any number of threads, floats to the last bit. Integers are exact: of any
    size as Python values; a sum that does not fit its column is an AggregateOverflowError, which names the group.
    Nulls are passed over. Raises AggregateError for an aggregate that a field does not have, SerializationError kinds,
    with the record and the field, for a value that does not fit, and OSError or MemoryError kinds where the job fails.
    """
    from shuffle.operators.choices import is_table

    asked = parse_aggregates(aggregates)
    if is_table(values):
        return _aggregate_table(values, by, asked, **choices)
    from shuffle.aggregation.value_aggregate import ValueAggregate
    from shuffle.operators.result import OperatorResult

    return OperatorResult(ValueAggregate(values, by, asked, choices))


def _aggregate_table(source: Any, by: By, asked: Any, **choices: Any) -> AggregatedTable:
    with collector_at_rest():
        from shuffle.aggregation.table_aggregate import AggregatedTable
        from shuffle.tables.table_codec import order_keys
        from shuffle.tables.table_session import options_of
        from shuffle.tables.table_source import open_table

    format, column_types = choices.pop("format", None), choices.pop("column_types", None)
    nulls_last, combines = choices.pop("nulls_last", False), choices.pop("combines", "auto")
    opened = open_table(source, format=format, column_types=column_types)
    try:
        keys = order_keys(by, opened.schema, opened.name, nulls_last=nulls_last)
        options = options_of(choices)  # type: ignore[arg-type]
        return AggregatedTable(source, opened, keys, asked, options, format=format, combines=combines)
    except BaseException:
        opened.close()
        raise
