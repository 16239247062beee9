"""Columns of Enum members and of UUIDs."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import Any
from uuid import UUID, SafeUUID

import numpy as np
from numpy.typing import NDArray

from serializers.columns.column import Data, Loose
from serializers.columns.numbers import FixedColumn, are_all
from serializers.columns.scratch import Scratch
from serializers.columns.steps import UnknownBytesError
from serializers.types.enums import EnumInfo, EnumSerializer, ranks_of
from serializers.types.identifiers import UuidInfo

_UUID_BYTES = 16
_UNKNOWN_PLACE = 0xFFFF
_SET_INT, _SET_IS_SAFE = (vars(UUID)[slot].__set__ for slot in ("int", "is_safe"))


class EnumColumn(FixedColumn):
    """Members of an Enum that has at most 128, as their places. They are told by identity: hashing one takes longer."""

    dtype = np.dtype(np.uint8)
    key_dtype = np.dtype(">u2")

    def __init__(self, type_info: EnumInfo) -> None:
        super().__init__(type_info)
        assert isinstance(self.serializer, EnumSerializer)
        self._members = self.serializer.members
        self._places = {id(member): place for place, member in enumerate(self._members)}
        self._ranks = np.array(ranks_of(self._members)[0], np.uint16)
        self._places_of_ranks = np.full(len(self._members) + 1, _UNKNOWN_PLACE, np.uint16)
        self._places_of_ranks[self._ranks] = range(len(self._members))

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        try:
            return scratch.copy(bytes(map(self._places.__getitem__, map(id, values))))
        except KeyError:
            return Loose(values)

    def scatter(self, data: Data) -> list[Any]:
        try:
            return list(map(self._members.__getitem__, data.tolist()))
        except IndexError as error:
            raise UnknownBytesError from error

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        keys: NDArray[Any] = self._ranks[data]
        return keys

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        places: NDArray[Any] = self._places_of_ranks[np.minimum(keys, len(self._members))]
        return places


class UuidColumn(FixedColumn):
    """UUIDs, as their 16 bytes. They are made past their constructor, which takes ten times as long."""

    dtype = key_dtype = np.dtype((np.void, _UUID_BYTES))

    def __init__(self, type_info: UuidInfo) -> None:
        super().__init__(type_info)

    def gather(self, values: list[Any], scratch: Scratch) -> Data:
        if not are_all(values, UUID):
            return Loose(values)
        data = b"".join([value.int.to_bytes(_UUID_BYTES, "big") for value in values])
        return scratch.copy(data, self.dtype)

    def scatter(self, data: Data) -> list[Any]:
        values: list[Any] = list(map(object.__new__, repeat(UUID, len(data))))
        numbers = [int.from_bytes(octets, "big") for octets in data.tolist()]
        deque(map(_SET_INT, values, numbers), maxlen=0)
        deque(map(_SET_IS_SAFE, values, repeat(SafeUUID.unknown)), maxlen=0)
        return values

    def keys(self, data: NDArray[Any]) -> NDArray[Any]:
        return data

    def from_keys(self, keys: NDArray[Any]) -> NDArray[Any]:
        return keys
