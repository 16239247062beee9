"""Sort Python values in bounded memory: add them as they come, then read them in order, as often as you like.

    with shuffle.Sorter(by=["country", "-amount"], memory="512MiB") as sorter:
        sorter.add(batch)
        for record in sorter.finish():
            ...

Values become rows in the caller's thread; sorting, spilling and merging go on beside it. The engine is imported when
the first values are there, so that `import shuffle` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack

from serializers import rows
from shuffle.batches import Batches, Sample
from shuffle.closable import Closable, ClosedByError
from shuffle.options import ResourceChoices, SortOptions, read_options
from shuffle.report import SortReport

if TYPE_CHECKING:
    from serializers.types.ordering import By
    from shuffle.record_form import RecordForm
    from shuffle.row_session import RowSession

T = TypeVar("T")

_CLOSED = "this sorter is closed. Make another one"


class RecordChoices(ResourceChoices, total=False):
    """What may be chosen about a sort of Python values, beside its resources; everything has a default.

    type_info      a type hint or a TypeInformation; found from the first 1,000 values (or 4 MiB) if not given
    by             fields to order by: "country", "-amount" (descending), "address.city:nulls-last", 0, or several
    key            a function of a value, called once for each, whose results order the values
    reverse        descending order; ties keep input order all the same
    nulls_last     None behind everything else, where None is a value at all
    allow_generic  False: an error instead of pickling values of a type that nobody described
    """

    type_info: Any
    by: By | None
    key: Callable[[Any], Any] | None
    reverse: bool
    nulls_last: bool
    allow_generic: bool


_FORM_CHOICES = ("type_info", "by", "key", "nulls_last", "allow_generic")


class Sorter(ClosedByError, Generic[T]):
    """Takes values, gives them back in order. For one thread at a time; the first error closes a sorter, and sticks."""

    def __init__(self, **choices: Unpack[RecordChoices]) -> None:
        given: dict[str, Any] = dict(choices)
        self._form_choices = {name: given.pop(name) for name in _FORM_CHOICES if name in given}
        self._job_choices = given
        self._options(None)  # what makes no sense is refused now, and not with the first values
        self._first = Sample[T]()
        self._form: RecordForm | None = None
        self._session: RowSession | None = None
        self._batches = Batches()
        self._report: SortReport | None = None
        self.record_count = 0

    def add(self, values: Iterable[T]) -> None:
        """Take all `values`. Raises SerializationError kinds, with the number of the record, for a value that does not
        fit its type; what the iterable raises; and OSError or MemoryError kinds where the job fails.
        """
        self._check_open(_CLOSED)
        assert self._report is None, "finish() has been called: make another Sorter"
        with self._closed_on_error():
            iterator = iter(values)
            if self._form is None and not self._first.take(iterator):
                return
            self._put_all(chain(self._take_first(), iterator))

    def finish(self) -> SortedResult[T]:
        """No more values: all of them, in order. Closing the result closes the sorter. Idempotent."""
        self._finish()
        return SortedResult(self)

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._is_closed = True
        self._first = Sample()
        if self._session is not None:
            self._session.close()

    # --- inside, and for SortedResult

    def _finish(self) -> SortReport:
        self._check_open(_CLOSED)
        if self._report is None:
            with self._closed_on_error():
                self._put_all(self._take_first())
                self._report = SortReport() if self._session is None else self._session.finish()
        return self._report

    def _read(self) -> Iterator[list[T]]:
        if self._session is None or self._form is None:
            return
        count = 0
        for view in self._session.read():
            parts = self._form.decode_parts(view, count)
            del view  # so that large values go as soon as they may
            while batch := self._next(parts):
                count += len(batch)
                yield batch
                del batch
            del parts

    def _next(self, parts: Iterator[list[T]]) -> list[T] | None:
        self._check_open(_CLOSED)  # what the parts are made of is given back when a sorter is closed
        with self._closed_on_error():
            return next(parts, None)

    def _put_all(self, values: Iterable[T]) -> None:
        for batch in self._batches.split(values):
            assert self._form is not None and self._session is not None
            self._batches.note(len(batch), self._put(batch))
            self.record_count += len(batch)
            del batch

    def _put(self, batch: list[T]) -> int:
        """Add values: how many bytes they are as rows."""
        assert self._form is not None and self._session is not None
        encoded = self._form.encode(batch, self.record_count)
        self._session.put(encoded)
        return encoded.size

    def _take_first(self) -> list[T]:
        """The values that were kept back to look at; the type of all is known from now on, if there are any."""
        first, self._first = self._first.values, Sample()
        if self._form is None and first:
            from shuffle.record_form import choose_form
            from shuffle.row_session import RowSession

            self._form = choose_form(first, **self._form_choices)
            self._session = RowSession(self._options(self._form))
        return first

    def _options(self, form: RecordForm | None) -> SortOptions:
        if form is None:
            return read_options(rows(None), **self._job_choices)
        return read_options(rows(form.key_bytes), authentic=form.plan.type_info.may_pickle, **self._job_choices)


class SortedResult(Closable, Generic[T]):
    """Sorted values, read from memory and disk each time they are iterated. Close it, or drop it, when done.

    Made by `Sorter.finish`, or by `shuffle.sort` with `values` that are only sorted when the first is wanted.
    """

    def __init__(self, sorter: Sorter[T], values: Iterable[T] | None = None) -> None:
        self._sorter = sorter
        self._values = values

    def __iter__(self) -> Iterator[T]:
        """All values in order. Not twice at the same time: there is memory for one merge."""
        return chain.from_iterable(self.batches())

    def batches(self) -> Generator[list[T], None, None]:
        """The same in lists of some thousand values, which is quicker where a call takes many."""
        self.report  # noqa: B018 - sorts what is not sorted yet
        yield from self._sorter._read()

    def __len__(self) -> int:
        """How many values."""
        return self.report.records

    @property
    def report(self) -> SortReport:
        """What sorting took."""
        if self._values is not None:
            values, self._values = self._values, None
            self._sorter.add(values)
        return self._sorter._finish()

    def close(self) -> None:
        """Give back memory, files and threads. Idempotent."""
        self._values = None
        self._sorter.close()
