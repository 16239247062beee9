"""Values that are wanted more than once: kept as they are while they are few, else written to rows and spilled.

values ──> a list, up to KEPT_BYTES of rows
       └─> more: RowSession of rows without keys, which come back in the order they went in
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from serializers import rows
from serializers.row_codec import RowCodec
from serializers.types.type_information import TypeInformation
from shuffle.batches import Batches
from shuffle.options import SortOptions
from shuffle.record_form import RecordForm
from shuffle.row_session import RowSession

KEPT_BYTES = 2 << 20
"""Of rows: what one view of sorted rows may hold, whose values are in memory anyway."""


class ValueStore:
    """Keeps the values of one group at a time, which are of type `info`. For one thread at a time."""

    def __init__(self, info: TypeInformation[Any], options: SortOptions) -> None:
        self._form = RecordForm(RowCodec(info, None), None)
        self._options = replace(options, layout=rows(0), authentic=info.may_pickle)
        self._session: RowSession | None = None
        self.groups_spilled = 0

    def keep(self, values: list[Any] | Iterator[Any]) -> Iterable[Any]:
        """All of `values`, to be iterated as often as wanted until the next are kept; not twice at the same time."""
        self.close()
        if isinstance(values, list):
            return values
        kept: list[Any] = []
        kept_bytes = 0
        batches = Batches()
        for batch in batches.split(values):
            row_bytes = self._form.encode(batch, 0).size
            batches.note(len(batch), row_bytes)
            kept += batch
            kept_bytes += row_bytes
            if kept_bytes > KEPT_BYTES:
                return self._spill(kept, batches, values)
        return kept

    def _spill(self, kept: list[Any], batches: Batches, values: Iterator[Any]) -> Iterable[Any]:
        self.groups_spilled += 1
        self._session = RowSession(self._options)
        for batch in chain([kept], batches.split(values)):
            encoded = self._form.encode(batch, 0)
            batches.note(len(batch), encoded.size)
            self._session.put(encoded)
        self._session.finish()
        return _Spilled(self._session, self._form)

    def close(self) -> None:
        """Forget what is kept. Idempotent."""
        if self._session is not None:
            self._session.close()
            self._session = None


class _Spilled:
    def __init__(self, session: RowSession, form: RecordForm) -> None:
        self._session = session
        self._form = form

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._form.decode(view, 0) for view in self._session.read())


__all__ = ["KEPT_BYTES", "ValueStore"]
