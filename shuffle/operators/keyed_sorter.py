"""One sort inside an operator: values in, as rows, and views of sorted rows out, as often as they are asked for.

    values ──KeyForm──> rows ──put──> RowSession ──read──> views of rows in key order

As `shuffle.Sorter`, without the way back to values: what operators want of rows is their borders first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

from shuffle.batches import Batches, first_values
from shuffle.options import SortOptions
from shuffle.report import SortReport

if TYPE_CHECKING:
    from shuffle.operators.key_form import KeyForm
    from shuffle.row_session import RowSession

T = TypeVar("T")

ChooseForm = Callable[[Sequence[T]], "KeyForm"]
"""The form of all values, from the first of them."""


class KeyedSorter(Generic[T]):
    """Sorts values by the keys of a form that is chosen once the first are there. For one thread at a time."""

    def __init__(self, choose_form: ChooseForm[T], options: SortOptions) -> None:
        self._choose_form = choose_form
        self._options = options
        self._form: KeyForm | None = None
        self._session: RowSession | None = None

    def open(self, values: Iterable[T]) -> Iterator[T]:
        """Choose the form from the first of `values`, which all come back; none have no form, and need no session."""
        iterator = iter(values)
        sample = first_values(iterator)
        if sample:
            from shuffle.row_session import RowSession

            self._form = self._choose_form(sample)
            layout, may_pickle = self._form.shape.layout, self._form.record_info.may_pickle
            self._session = RowSession(replace(self._options, layout=layout, authentic=may_pickle))
        return chain(sample, iterator)

    def put(self, batch: Sequence[T], first_record: int) -> int:
        """Add values behind those before: how many bytes they are as rows. Raises as `KeyForm.encode` and the job do.

        Where encoding fails, nothing was added.
        """
        assert self._session is not None
        rows = self.form.encode(batch, first_record)
        self._session.put(rows)
        return rows.size

    def fill(self, values: Iterable[T]) -> None:
        """Open, and add all values."""
        batches, count = Batches(), 0
        for batch in batches.split(self.open(values)):
            batches.note(len(batch), self.put(batch, count))
            count += len(batch)

    def finish(self) -> SortReport:
        """No more values."""
        return SortReport() if self._session is None else self._session.finish()

    @property
    def is_empty(self) -> bool:
        """Whether there were no values."""
        return self._session is None

    @property
    def form(self) -> KeyForm:
        """How values are rows. Not before there are any."""
        assert self._form is not None, "there are no values"
        return self._form

    def views(self) -> Iterator[memoryview]:
        """All rows in order, some hundred KiB at a time; each view is good until the next. One reader at a time."""
        return iter(()) if self._session is None else self._session.read()

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        if self._session is not None:
            self._session.close()


__all__ = ["ChooseForm", "KeyedSorter"]
