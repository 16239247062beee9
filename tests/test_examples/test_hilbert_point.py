"""The example's type does what every type does, and orders as a slow Hilbert curve says."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.hilbert_point import COORDINATE_BITS, SIDE, Point, PointInfo, distance_of, main, mean_step, point_at
from serializers.errors import ValueMismatchError
from serializers.types import type_info_of, type_info_of_values
from serializers.types.composite import TupleInfo
from serializers.types.containers import ListInfo, OptionalInfo
from serializers.types.numbers import INT
from serializers.types.ordering import OrderingComparator, OrderKey
from tests.test_serializers.conformance import check_type, conforms

COORDINATES = st.integers(0, SIDE - 1) | st.integers(0, 15) | st.integers(SIDE - 16, SIDE - 1)
CORNERS = [Point(0, 0), Point(0, SIDE - 1), Point(SIDE - 1, SIDE - 1), Point(SIDE - 1, 0)]


def curve(bits: int) -> list[tuple[int, int]]:
    """All points of a square of side 2**bits in the curve's order: four smaller curves, the outer two turned over."""
    if bits == 0:
        return [(0, 0)]
    half, inner = 1 << bits - 1, curve(bits - 1)
    return [
        *((y, x) for x, y in inner),
        *((x, y + half) for x, y in inner),
        *((x + half, y + half) for x, y in inner),
        *((2 * half - 1 - y, half - 1 - x) for x, y in inner),
    ]


def slow_distance(x: int, y: int, bits: int = COORDINATE_BITS) -> int:
    """The same for one point of a square too large to list."""
    if bits == 0:
        return 0
    half, quarter = 1 << bits - 1, 1 << 2 * (bits - 1)
    if x < half and y < half:
        return slow_distance(y, x, bits - 1)
    if x < half:
        return quarter + slow_distance(x, y - half, bits - 1)
    if y >= half:
        return 2 * quarter + slow_distance(x - half, y - half, bits - 1)
    return 3 * quarter + slow_distance(half - 1 - y, 2 * half - 1 - x, bits - 1)


def test_the_slow_curve_passes_through_each_point_once_in_steps_of_one() -> None:
    points = curve(4)
    assert len(set(points)) == 16 * 16
    assert all(abs(one[0] - other[0]) + abs(one[1] - other[1]) == 1 for one, other in pairwise(points))
    assert [slow_distance(x, y, 4) for x, y in points] == list(range(16 * 16))


def test_the_first_points_are_those_of_a_small_curve() -> None:
    """One of an even number of bits: with each bit the curve is turned over."""
    assert [distance_of(x, y) for x, y in curve(4)] == list(range(16 * 16))


@given(COORDINATES, COORDINATES)
def test_distance_is_that_of_the_slow_curve(x: int, y: int) -> None:
    assert distance_of(x, y) == slow_distance(x, y)
    assert point_at(distance_of(x, y)) == Point(x, y)


def test_the_corners() -> None:
    assert [distance_of(corner.x, corner.y) for corner in CORNERS[::3]] == [0, SIDE * SIDE - 1]


def test_it_is_a_type_like_any_other() -> None:
    more = [Point(1, 0), Point(1, 1), Point(0, 1), Point(7, SIDE // 2), Point(1, 1)]
    wrong = ((1, 2), Point(-1, 0), Point(0, SIDE))
    check_type(PointInfo(), CORNERS + more, wrong=wrong, python_key=lambda each: slow_distance(each.x, each.y))


test_it_is_one_by_chance = conforms(
    PointInfo(), st.builds(Point, COORDINATES, COORDINATES), python_key=lambda each: slow_distance(each.x, each.y)
)


def test_it_is_found_wherever_a_point_stands() -> None:
    assert type_info_of(Point) == PointInfo()
    assert type_info_of(list[Point] | None) == OptionalInfo(ListInfo(PointInfo()))
    assert type_info_of_values([(1, Point(1, 2))]) == TupleInfo((INT, PointInfo()))


def test_records_order_by_a_point() -> None:
    rng = Random(3)
    records = [(rng.randrange(3), Point(rng.randrange(100), rng.randrange(100))) for _ in range(300)]
    comparator = OrderingComparator(
        type_info_of(tuple[int, Point]), (OrderKey(("0",), descending=True), OrderKey((1,)))
    )
    wanted = sorted(records, key=lambda record: (-record[0], slow_distance(record[1].x, record[1].y)))
    assert sorted(records, key=comparator.order_key) == wanted


def test_neighbours_are_nearer() -> None:
    rng = Random(4)
    points = [Point(rng.randrange(SIDE), rng.randrange(SIDE)) for _ in range(2000)]
    comparator = PointInfo().create_comparator()
    assert mean_step(sorted(points, key=comparator.order_key)) < mean_step(points) / 10


def test_an_error_says_what_to_do() -> None:
    with pytest.raises(ValueMismatchError, match=r"Point\(-1, 5\) lies outside of the plane.*Scale it first"):
        PointInfo().create_serializer().to_bytes(Point(-1, 5))


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    before, after = (float(line.split()[-1].replace(",", "")) for line in capsys.readouterr().out.splitlines())
    assert after < before / 50
