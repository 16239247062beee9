"""A type of one's own: points of a plane, in the order in which a Hilbert curve passes through them.

Points that are near each other on the curve are near each other in the plane, so that a file of points sorted this way
can be read region by region. Four pieces make a type:

    Point                   the class, which knows nothing of the others
    PointSerializer         a point is 8 bytes: x and y
    PointComparator         its order key is 8 bytes: how far along the curve it lies
    PointInfo               describes the type, and makes the other two

Run it: python -m examples.hilbert_point
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from struct import Struct

import shuffle
from serializers.errors import ValueMismatchError
from serializers.types import TypeComparator, TypeInformation, TypeSerializer, register_type, type_info_of
from serializers.types.mismatch import mismatch
from serializers.views import BytesInput, InputView, OutputView

COORDINATE_BITS = 32
SIDE = 1 << COORDINATE_BITS


class Point:
    """A point with whole coordinates from 0 to 2**32 - 1."""

    __slots__ = ("x", "y")

    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))

    def __repr__(self) -> str:
        return f"Point({self.x}, {self.y})"


# --- the curve


def distance_of(x: int, y: int) -> int:
    """How far along the curve through all SIDE * SIDE points (x, y) lies, from 0 on."""
    distance, half = 0, SIDE >> 1
    while half:
        right, upper = bool(x & half), bool(y & half)
        distance += half * half * ((3 * right) ^ upper)  # the quarters come in the order 0 1 2 3, like a U
        x, y = turned(x, y, SIDE, right, upper)
        half >>= 1
    return distance


def point_at(distance: int) -> Point:
    """The point that lies so far along the curve."""
    x = y = 0
    half = 1
    while half < SIDE:
        right, upper = bool(distance & 2), bool((distance ^ (distance >> 1)) & 1)
        x, y = turned(x, y, half, right, upper)
        x, y = x + half * right, y + half * upper
        distance >>= 2
        half <<= 1
    return Point(x, y)


def turned(x: int, y: int, side: int, right: bool, upper: bool) -> tuple[int, int]:
    """The coordinates within a quarter: the curve runs through the lower two of them turned over."""
    if upper:
        return x, y
    return (side - 1 - y, side - 1 - x) if right else (y, x)


# --- the type


class PointSerializer(TypeSerializer[Point]):
    """x and y, 4 bytes each, little-endian."""

    length = 8
    packed = Struct("<II")

    def checked(self, value: Point) -> Point:
        """`value`. Raises ValueMismatchError if it is no point of the plane."""
        if not isinstance(value, Point):
            raise mismatch(value, "Point", "Convert it with Point(x, y)")
        if not (0 <= value.x < SIDE and 0 <= value.y < SIDE):
            raise ValueMismatchError(f"{value} lies outside of the plane, 0 to {SIDE - 1}. Scale it first")
        return value

    def serialize(self, value: Point, out: OutputView) -> None:
        self.checked(value)
        out.write_packed(self.packed, value.x, value.y)

    def deserialize(self, source: InputView) -> Point:
        return Point(*source.read_packed(self.packed))

    def skip(self, source: InputView) -> None:
        source.skip(self.length)


class PointComparator(TypeComparator[Point]):
    """Along the curve. Each point has a place of its own there, so the key gives back the point."""

    serializer: PointSerializer
    key_bytes = 8
    is_invertible = True

    def compare(self, left: Point, right: Point) -> int:
        one, other = self._distance(left), self._distance(right)
        return self.directed((one > other) - (one < other))

    def write_ascending(self, value: Point, out: bytearray, *, is_last: bool) -> None:
        out += self._distance(value).to_bytes(self.key_bytes, "big")

    def read_ascending(self, source: BytesInput, *, is_last: bool) -> Point:
        return point_at(int.from_bytes(source.read(self.key_bytes), "big"))

    def skip_ascending(self, source: BytesInput, *, is_last: bool) -> None:
        source.skip(self.key_bytes)

    def _distance(self, value: Point) -> int:
        self.serializer.checked(value)
        return distance_of(value.x, value.y)


@dataclass(frozen=True)
class PointInfo(TypeInformation[Point]):
    """The type of points."""

    @property
    def name(self) -> str:
        return "Point"

    @property
    def python_type(self) -> type:
        return Point

    def create_serializer(self) -> PointSerializer:
        return PointSerializer()

    def create_comparator(self, *, descending: bool = False, nulls_last: bool = False) -> PointComparator:
        return PointComparator(self.create_serializer(), descending=descending, nulls_last=nulls_last)


register_type(Point, lambda cls: PointInfo())

# --- what it is for


def main() -> None:
    """Sort points along the curve, and say how much nearer neighbours are for it."""
    rng = Random(7)
    points = [Point(rng.randrange(SIDE), rng.randrange(SIDE)) for _ in range(20_000)]
    print(f"mean step as they come:      {mean_step(points):>13,.0f}")
    ordered = list(shuffle.sort(points, type_info=type_info_of(Point), memory="64MiB"))
    print(f"mean step along the curve:   {mean_step(ordered):>13,.0f}")


def mean_step(points: list[Point]) -> float:
    """How far it is from one point to the next, on average."""
    steps = [abs(one.x - other.x) + abs(one.y - other.y) for one, other in pairwise(points)]
    return sum(steps) / len(steps)


if __name__ == "__main__":
    main()
