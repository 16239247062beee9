"""Which inputs are tables, and which table format a path means. Loads no pyarrow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, cast, get_args

from shuffle.errors import SortError

TableFormat = Literal["parquet", "csv", "tsv", "arrow"]

_SUFFIXES: dict[str, TableFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}


NAME_IS_NO_TEXT = "the name of a column is not UTF-8. Rename it, or see whether the file is whole"


class TableError(SortError):
    """A table, or a table file, that cannot be read as what it was said to be."""


def is_table(source: Any) -> bool:
    """Whether `source` is one: anything that gives Arrow streams or arrays, and any path (`str` or `os.PathLike`)."""
    return hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__") or is_path(source)


def is_path(source: Any) -> bool:
    """Whether `source` names a file."""
    return isinstance(source, str | os.PathLike)


def format_of(path: str | os.PathLike[str], declared: str | None = None) -> TableFormat:
    """The format of a table file: as `declared`, or by the suffix of its name. Raises TableError."""
    found = declared or _SUFFIXES.get(Path(path).suffix.lower())
    if found not in get_args(TableFormat):
        named = f"format={declared!r} is none" if declared else f"{os.fspath(path)}: its name does not tell the format"
        raise TableError(f"{named}. Give format=, one of {', '.join(get_args(TableFormat))}")
    return cast("TableFormat", found)


def check_column(column: str, names: list[str], table: str) -> None:
    """Raise TableError, which lists the columns there are, if `column` is none of `names`."""
    if column not in names:
        raise TableError(f"{table}: there is no column {column!r}. The columns are: {', '.join(names) or 'none'}")
