"""The keys of a table's rows, and groups' keys as columns again.

One column of integers, moments or flags, in its natural order, goes into the table as it stands. Any other keys become
rows, which a codec writes and reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from serializers.types.ordering import OrderKey
from shuffle.aggregation.arrow_values import WordColumn
from shuffle.aggregation.errors import AggregateError
from shuffle.aggregation.group_rows import Groups
from shuffle.aggregation.keys import KeyForm, Keys, keys_of_rows
from shuffle.kernels.states import SIGNED, UNSIGNED
from shuffle.tables.table_codec import TableCodec

_SIGN = 1 << 63


class TableKeys:
    """Keys in the columns of `keys`, for one thread. `form` is what an aggregator is told of them.

    `schema` is that of the columns. Raises AggregateError for a key that is no column.
    """

    def __init__(self, schema: Any, keys: tuple[OrderKey, ...]) -> None:
        nested = next((key for key in keys if len(key.path) > 1), None)
        if nested is not None:
            path = ".".join(map(str, nested.path))
            raise AggregateError(f"{path} is a field of a field: make it a column of its own (Table.flatten)")
        self.keys = keys
        self.schema = pa.schema([schema.field(name) for name in dict.fromkeys(str(key.path[0]) for key in keys)])
        self._word = self._word_column()
        if self._word is not None:
            self.form = KeyForm(8, has_nulls=True)
            self._flip = _SIGN if self._word.kind == SIGNED else 0
            return
        self._codec = TableCodec(self.schema, keys)
        self.form = KeyForm(self._codec.key_bytes, is_whole=self._codec.holds_only_keys)

    def _word_column(self) -> WordColumn | None:
        if len(self.keys) > 1 or self.keys[0].descending or self.keys[0].nulls_last:
            return None
        word = WordColumn(self.schema.field(0).type)
        return word if word.kind in (SIGNED, UNSIGNED) else None

    def for_another_thread(self) -> TableKeys:
        """The same with a codec of its own."""
        return TableKeys(self.schema, self.keys)

    def of(self, batch: Any, first_record: int) -> Iterator[Keys]:
        """The keys of a batch with these columns, mostly at once."""
        if self._word is not None:
            column = self._word.words(batch.column(0))
            yield Keys(column.words, self._flip, column.nulls)
            return
        for rows in self._codec.encode(batch, first_record):
            yield keys_of_rows(rows, self.form)

    def columns(self, groups: Groups, first_group: int) -> list[Any]:
        """The keys of groups as arrays."""
        if self._word is not None:
            words = groups.key_words() ^ np.uint64(self._flip)
            return [self._word.array(words.view(np.int64 if self._flip else np.uint64), None)]
        batches = list(self._codec.decode(groups.key_rows().rows, first_group))
        return [pa.concat_arrays([batch.column(place) for batch in batches]) for place in range(len(self.schema))]

    def null_columns(self) -> list[Any]:
        """The key of the records without one."""
        return [pa.nulls(1, self.schema.field(0).type)]
