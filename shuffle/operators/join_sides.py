"""One side of a join: its rows in key order, once they are sorted or because they were, and its groups by key bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from operator import lt
from typing import Any, Protocol

import numpy as np

from serializers import row_kernels
from shuffle.batches import Batches
from shuffle.errors import NotSortedError
from shuffle.groups import Groups, Part
from shuffle.operators.key_form import KeyForm
from shuffle.operators.keyed_sorter import KeyedSorter
from shuffle.options import SortOptions
from shuffle.report import SortReport

_ALL = (1 << 62) - 1
_PLACES = 3


Values = list[Any] | Iterator[Any]
Group = tuple[bytes, Values]


class Side(Protocol):
    """Values in key order."""

    def prepare(self) -> SortReport | None:
        """Take what must be taken before the first row can be read: the report of that, if there is one."""

    def groups(self) -> Iterator[Group]:
        """(key bytes, values) of each group, in order of the keys."""

    def close(self) -> None:
        """Give everything back. Idempotent."""


class UnsortedSide:
    """Sorts its values."""

    def __init__(self, name: str, values: Iterable[Any], form: KeyForm, options: SortOptions) -> None:
        self._name = name
        self._values = values
        self._form = form
        self._sorter: KeyedSorter[Any] = KeyedSorter(lambda _: form, options)

    def prepare(self) -> SortReport | None:
        values, self._values = self._values, ()
        with on_side(self._name):
            self._sorter.fill(values)
        return self._sorter.finish()

    def groups(self) -> Iterator[Group]:
        return iter(KeyGroups(self._sorter.views(), self._form))

    def close(self) -> None:
        self._values = ()
        self._sorter.close()


class SortedSide:
    """Has its values in order, and says where they are not. An iterator can be read once only."""

    def __init__(self, name: str, first: list[Any], rest: Iterator[Any], values: Iterable[Any], form: KeyForm) -> None:
        self._name = name
        self._form = form
        self._values: Iterable[Any] | None = None if rest is values else values
        self._once: Iterator[Any] | None = chain(first, rest)

    def prepare(self) -> SortReport | None:
        return None

    def groups(self) -> Iterator[Group]:
        values, self._once = self._once, None
        if values is None:
            if self._values is None:
                raise RuntimeError(
                    f"the {self._name} side was an iterator in order, and it has been read. Give a list, leave out "
                    f"{self._name}_sorted, or make a list of the results that you need twice"
                )
            values = iter(self._values)
        return iter(OrderedKeyGroups(self._encoded(values), self._form, self._name))

    def _encoded(self, values: Iterator[Any]) -> Iterator[memoryview]:
        batches, count = Batches(), 0
        for batch in batches.split(values):
            with on_side(self._name):
                rows = self._form.encode(batch, count)
            batches.note(len(batch), rows.size)
            count += len(batch)
            yield rows.rows

    def close(self) -> None:
        self._once = self._values = None


class NoSide:
    """A side without values, whose type nobody knows."""

    def prepare(self) -> SortReport | None:
        return None

    def groups(self) -> Iterator[Group]:
        return iter(())

    def close(self) -> None:
        """Nothing was taken."""


class KeyGroups(Groups[bytes, Any]):
    """Groups under the bytes of their keys, which is what two sides have in common.

    Values are lists where they are known; those of the last group of a view, which may go on, are an iterator.
    """

    def __init__(self, views: Iterator[memoryview], form: KeyForm) -> None:
        super().__init__(views, form.shape, form.decode, key_of=form.key_of)

    def _whole_groups(self, groups: Iterator[list[Any]]) -> Iterator[list[Any]]:
        return groups

    def _keys(self, part: Part, records: list[Any]) -> list[bytes]:
        rows = np.frombuffer(part.view, np.uint8)
        key_bytes = self._shape.key_bytes
        places = np.empty((len(records), _PLACES), np.uint64)
        first: int = rows.__array_interface__["data"][0]
        length = int(row_kernels.KEY_BYTES_VARY) if key_bytes is None else key_bytes
        count, _ = row_kernels.find_rows(first, first + rows.size, _ALL, length, places)
        assert count == len(records), (count, len(records))
        begins, ends = (places[part.starts, :2] - np.uint64(first)).T.tolist()
        data = rows.tobytes()
        return [data[begin:end] for begin, end in zip(begins, ends, strict=True)]


class OrderedKeyGroups(KeyGroups):
    """The same, of rows that are said to be in order."""

    def __init__(self, views: Iterator[memoryview], form: KeyForm, name: str) -> None:
        super().__init__(views, form)
        self._name = name
        self._last: list[bytes] = []

    def _keys(self, part: Part, records: list[Any]) -> list[bytes]:
        keys = super()._keys(part, records)
        before = self._last + keys
        if not all(map(lt, before, before[1:])):
            place = next(at for at in range(1, len(before)) if before[at - 1] >= before[at]) - len(self._last)
            raise NotSortedError(
                f"record {self.records_read + part.starts[place]} of the {self._name} side, "
                f"{records[part.starts[place]]!r:.100}, goes before the one in front of it. "
                f"Leave out {self._name}_sorted=True, and the side will be sorted"
            )
        self._last = keys[-1:]
        return keys


@contextmanager
def on_side(name: str) -> Iterator[None]:
    """Let errors say which side they are about."""
    try:
        yield
    except Exception as error:
        error.add_note(f"on the {name} side of the join")
        raise


__all__ = [
    "Group",
    "KeyGroups",
    "NoSide",
    "OrderedKeyGroups",
    "Side",
    "SortedSide",
    "UnsortedSide",
    "Values",
    "on_side",
]
