"""What every comparator must do, one check a law. `conformance` runs them all.

A check is given an `Ordered`: one comparator, in one direction, with its values, their keys, and the sign of every
comparison. Values should include equal ones that are not the same.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from itertools import pairwise, product
from random import Random
from typing import Any

import pytest

from serializers.errors import CorruptRecordError, NotOrderableError, NullFieldError, ValueMismatchError
from serializers.segment_views import SegmentInput, SegmentOutput
from serializers.types.type_comparator import TypeComparator
from serializers.views import BytesInput
from tests.test_serializers.serializer_checks import NOISE, Case, noisy_segment, spread

VALUES_MAX = 50
TUPLES = 300
GUARD = b"\xa5" * 8
FRONT = b"front"


def sign(number: int) -> int:
    """-1, 0 or 1."""
    return (number > 0) - (number < 0)


def order(left: Any, right: Any) -> int:
    """-1, 0 or 1, as Python compares."""
    return (left > right) - (left < right)


@dataclass(frozen=True)
class Ordered:
    """Values as one comparator orders them."""

    case: Case
    comparator: TypeComparator[Any]

    @cached_property
    def values(self) -> list[Any]:
        """Values enough for every pair and triple."""
        return self.case.values[:VALUES_MAX]

    @cached_property
    def signs(self) -> list[list[int]]:
        """The sign of `compare` for every pair."""
        compare = self.comparator.compare
        return [[sign(compare(left, right)) for right in self.values] for left in self.values]

    @cached_property
    def keys(self) -> list[bytes]:
        """Order keys, with nothing behind them."""
        return [self.comparator.order_key(value) for value in self.values]

    @cached_property
    def closed_keys(self) -> list[bytes]:
        """Order keys that say where they end."""
        return [self._closed(value) for value in self.values]

    def _closed(self, value: Any) -> bytes:
        out = bytearray(FRONT)
        self.comparator.write_key(value, out, is_last=False)
        assert out.startswith(FRONT), "what stood before the key was changed"
        return bytes(out[len(FRONT) :])

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of places."""
        return product(range(len(self.values)), repeat=2)

    def told(self, left: int, right: int) -> str:
        """A pair, for the text of a failure."""
        return f"{self.comparator.serializer}: {self.values[left]!r:.200} and {self.values[right]!r:.200}"


def comparators_of(case: Case) -> list[TypeComparator[Any]]:
    """The comparators of a type: both directions, both places for nulls."""
    return [
        case.type_info.create_comparator(descending=descending, nulls_last=nulls_last)
        for descending, nulls_last in product((False, True), repeat=2)
    ]


# --- order


def check_order(ordered: Ordered) -> None:
    """`compare` is an order: each value equals itself, pairs are antisymmetric, triples transitive."""
    signs, everything = ordered.signs, range(len(ordered.values))
    for left, right in ordered.pairs():
        assert signs[left][right] == -signs[right][left], ordered.told(left, right)
    for left in everything:
        assert signs[left][left] == 0, ordered.told(left, left)
        for middle in everything:
            if signs[left][middle] <= 0:
                for right in everything:
                    if signs[middle][right] <= 0:
                        strict = signs[left][middle] < 0 or signs[middle][right] < 0
                        assert signs[left][right] == (-1 if strict else 0), ordered.told(left, right)


def check_keys_agree(ordered: Ordered) -> None:
    """Keys compare as their values do, closed or not, and equal values hash alike."""
    hashes = [ordered.comparator.hash(value) for value in ordered.values]
    assert all(0 <= each < 1 << 64 for each in hashes)
    for left, right in ordered.pairs():
        for keys in (ordered.keys, ordered.closed_keys):
            assert order(keys[left], keys[right]) == ordered.signs[left][right], ordered.told(left, right)
        assert ordered.signs[left][right] or hashes[left] == hashes[right], ordered.told(left, right)


def check_compare_serialized(ordered: Ordered) -> None:
    """Bytes compare as their values do, whatever stands behind them, and in segments too."""
    serializer = ordered.comparator.serializer
    data = [serializer.to_bytes(value) for value in ordered.values]
    for left, right in ordered.pairs():
        views = BytesInput(FRONT + data[left] + NOISE, len(FRONT)), BytesInput(data[right] + b"\xff")
        found = sign(ordered.comparator.compare_serialized(*views))
        assert found == ordered.signs[left][right], ordered.told(left, right)
    output = SegmentOutput(noisy_segment)
    output.write(NOISE[1:])
    for each in data:
        output.write(each)
    sources = [SegmentInput(output.segments, output.position, len(NOISE) - 1) for _ in range(2)]
    for left, right in pairwise(range(len(data))):
        sources[1].skip(len(data[left]))
        found = sign(ordered.comparator.compare_serialized(sources[0].fork(), sources[1].fork()))
        assert found == ordered.signs[left][right], ordered.told(left, right)
        sources[0].skip(len(data[left]))


def check_sorting(ordered: Ordered) -> None:
    """Sorting by key is what `sorted` does, equal values in the order they had."""
    if ordered.case.python_key is None:
        return
    values = Random(len(ordered.case.values)).sample(ordered.case.values, len(ordered.case.values))
    expected = sorted(values, key=ordered.case.python_key, reverse=ordered.comparator.descending)
    for found, value in zip(sorted(values, key=ordered.comparator.order_key), expected, strict=True):
        ordered.case.check_same(found, value)


# --- keys that stand one behind another


def check_closed(ordered: Ordered) -> None:
    """No closed key is the beginning of another; a descending key is always closed."""
    key_lists = [ordered.closed_keys, ordered.keys] if ordered.comparator.descending else [ordered.closed_keys]
    for keys in key_lists:
        for left, right in ordered.pairs():
            if ordered.signs[left][right]:
                assert not keys[left].startswith(keys[right]), ordered.told(left, right)


def check_concatenation(ordered: Ordered) -> None:
    """Two closed keys and an open one compare as the tuples do."""
    random, places = Random(7), range(len(ordered.values))

    def key(chosen: list[int]) -> bytes:
        return ordered.closed_keys[chosen[0]] + ordered.closed_keys[chosen[1]] + ordered.keys[chosen[2]]

    for _ in range(TUPLES if ordered.values else 0):
        left, right = random.choices(places, k=3), random.choices(places, k=3)
        if random.random() < 0.5:
            right[0] = left[0]
        wanted = next((ordered.signs[a][b] for a, b in zip(left, right, strict=True) if ordered.signs[a][b]), 0)
        assert order(key(left), key(right)) == wanted, (ordered.told(left[0], right[0]), left, right)


def check_reading(ordered: Ordered) -> None:
    """A key is passed over, and read back if it can be, wherever it stands."""
    for value, key, closed in zip(ordered.values, ordered.keys, ordered.closed_keys, strict=True):
        for data, start, end, is_last in (
            (key, 0, len(key), True),
            (FRONT + key + NOISE, len(FRONT), len(FRONT) + len(key), True),
            (closed, 0, len(closed), False),
            (FRONT + closed + NOISE, len(FRONT), None, False),
        ):
            for kind in (bytes, bytearray, memoryview):
                stop = start + len(key if is_last else closed)
                _check_read(ordered, value, BytesInput(kind(data), start, end), stop, is_last=is_last)


def _check_read(ordered: Ordered, value: Any, source: BytesInput, stop: int, *, is_last: bool) -> None:
    ahead = source.fork()
    ordered.comparator.skip_key(ahead, is_last=is_last)
    assert ahead.position == stop, f"{value!r:.200}: skipping the key ends at {ahead.position}, not {stop}"
    if ordered.comparator.is_invertible:
        ordered.case.check_same(ordered.comparator.read_key(source, is_last=is_last), value)
        assert source.position == stop, f"{value!r:.200}: reading the key ends at {source.position}, not {stop}"


def check_truncated_keys(ordered: Ordered) -> None:
    """A closed key that ends too soon is corrupt."""
    moves = [ordered.comparator.skip_key]
    if ordered.comparator.is_invertible:
        moves.append(ordered.comparator.read_key)  # type: ignore[arg-type]
    for closed in ordered.closed_keys:
        for end in spread(len(closed), 40):
            for move in moves:
                with pytest.raises(CorruptRecordError):
                    move(BytesInput(closed + NOISE, 0, end), is_last=False)


# --- normalized keys


def check_key_lengths(ordered: Ordered) -> None:
    """`key_bytes` is the length of every key, and what is said to hold a key does."""
    comparator = ordered.comparator
    if comparator.key_bytes is not None:
        assert {len(key) for key in (*ordered.keys, *ordered.closed_keys)} <= {comparator.key_bytes}
    full = comparator.normalized_key_length
    if full is not None:
        assert not comparator.is_prefix_only(full) and max(map(len, ordered.keys), default=0) <= full
    prefix_only = [comparator.is_prefix_only(length) for length in range(40)]
    assert prefix_only == sorted(prefix_only, reverse=True), "more bytes tell less"


def check_normalized_keys(ordered: Ordered) -> None:
    """Exactly the bytes asked for are written: the beginning of the key, zeros behind its end."""
    longest = max(map(len, ordered.keys), default=0)
    lengths = sorted({*spread(longest + 4, 60), *range(longest, longest + 4)})
    by_key = sorted(range(len(ordered.values)), key=ordered.keys.__getitem__)
    for length in lengths if longest < 10_000 else lengths[:24]:
        normalized = [_put(ordered, place, length) for place in by_key]
        assert normalized == sorted(normalized), f"{length} bytes contradict the order"
        if not ordered.comparator.is_prefix_only(length):
            for (left, low), (right, high) in pairwise(zip(by_key, normalized, strict=True)):
                assert order(low, high) == ordered.signs[left][right], ordered.told(left, right)


def _put(ordered: Ordered, place: int, length: int) -> bytes:
    target = bytearray(GUARD + b"\xff" * length + GUARD)
    window = memoryview(target) if place % 2 else target
    ordered.comparator.put_normalized_key(ordered.values[place], window, len(GUARD), length)
    assert len(target) == length + 2 * len(GUARD) and target.startswith(GUARD) and target.endswith(GUARD)
    found = bytes(target[len(GUARD) : -len(GUARD)])
    assert found == ordered.keys[place][:length].ljust(length, b"\0"), ordered.told(place, place)
    return found


# --- the comparator itself


def check_refused_keys(ordered: Ordered) -> None:
    """What is not of the type has no key."""
    for wrong in ordered.case.wrong:
        with pytest.raises(ValueMismatchError):
            ordered.comparator.order_key(wrong)
    if not ordered.case.type_info.allows_null:
        with pytest.raises(NullFieldError):
            ordered.comparator.order_key(None)


def check_clone_and_inverse(ordered: Ordered) -> None:
    """A clone writes the same keys; so does the inverse of the inverse, and the inverse is the other direction."""
    comparator = ordered.comparator
    opposite = ordered.case.type_info.create_comparator(
        descending=not comparator.descending, nulls_last=comparator.nulls_last
    )
    clone = pickle.loads(pickle.dumps(comparator))
    for value, key in zip(ordered.values, ordered.keys, strict=True):
        assert clone.order_key(value) == comparator.invert().invert().order_key(value) == key
        assert clone.hash(value) == comparator.hash(value) == comparator.invert().hash(value)
        assert comparator.invert().order_key(value) == opposite.order_key(value)
    for each in (clone, comparator.invert().invert()):
        assert (each.descending, each.nulls_last) == (comparator.descending, comparator.nulls_last)
        assert (each.key_bytes, each.is_invertible) == (comparator.key_bytes, comparator.is_invertible)


def check_mirrored(ordered: Ordered) -> None:
    """The other direction is the reverse, but for nulls, which stay."""
    opposite = Ordered(ordered.case, ordered.comparator.invert())
    for left, right in ordered.pairs():
        stays = holds_null(ordered.values[left]) or holds_null(ordered.values[right])
        wanted = {ordered.signs[left][right]} if stays else set()
        assert opposite.signs[left][right] in {*wanted, -ordered.signs[left][right]}, ordered.told(left, right)


def holds_null(value: Any) -> bool:
    """Whether None is a value, or anywhere in a composite one."""
    if value is None or isinstance(value, _LEAVES) or type(value).__module__ in _LEAF_MODULES:
        return value is None
    if isinstance(value, dict):
        return any(map(holds_null, value.values()))
    if hasattr(value, "__iter__"):
        return any(map(holds_null, value))
    slots = [getattr(value, name, None) for name in getattr(type(value), "__slots__", ())]
    return any(map(holds_null, [*getattr(value, "__dict__", {}).values(), *slots]))


_LEAVES = (str, bytes, bytearray, int, float, complex, Enum, type)
_LEAF_MODULES = {"datetime", "decimal", "numpy", "uuid", "array"}

LAWS = (
    check_order,
    check_keys_agree,
    check_compare_serialized,
    check_sorting,
    check_closed,
    check_concatenation,
    check_reading,
    check_truncated_keys,
    check_key_lengths,
    check_normalized_keys,
    check_refused_keys,
    check_clone_and_inverse,
    check_mirrored,
)


def check_no_order(case: Case) -> None:
    """A type whose values have no order says so."""
    assert not case.type_info.is_key_type
    with pytest.raises(NotOrderableError):
        case.type_info.create_comparator()
