"""The slow, obvious twins of the operators, and keys of all kinds to try them with."""

import dataclasses
import math
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Place(NamedTuple):
    name: str
    height: float


@dataclasses.dataclass(frozen=True)
class Visit:
    user: str | None
    page: int
    weight: float = 0.0


NAN = math.nan
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-3, 3),
    "large int": st.sampled_from([0, -1, 1 << 70, -(1 << 70)]),
    "str": st.sampled_from(["", "a", "a\0", "a\0b", "ab", "\0", "\U0001f600"]),
    "bytes": st.binary(max_size=2),
    "float": st.sampled_from([0.0, -0.0, 1.5, -1.5, NAN, -NAN, math.inf, -math.inf]),
    "number": st.sampled_from([0, 0.0, False, True, 1, 1.0, 2, 0.5, NAN]),
    "optional": st.none() | st.integers(0, 2),
    "optional str": st.none() | st.sampled_from(["", "x"]),
    "nothing": st.none(),
    "tuple": st.tuples(st.integers(0, 2), st.sampled_from(["", "a", "a\0"])),
    "nested": st.tuples(st.none() | st.tuples(st.integers(0, 1), st.text("ab", max_size=1)), st.booleans()),
    "named": st.builds(Place, st.sampled_from("ab"), st.sampled_from([0.0, -0.0, NAN])),
}


def random_key(rng: random.Random, kind: str) -> Any:
    """One key, for tests of many records."""
    makers: dict[str, Callable[[], Any]] = {
        "int": lambda: rng.randrange(300),
        "str": lambda: "".join(rng.choices("ab\0", k=rng.randrange(6))),
        "float": lambda: rng.choice([NAN, 0.0, -0.0, rng.randrange(50) / 4]),
        "tuple": lambda: (rng.randrange(9), rng.choice(["", "a", "a\0", "b"])),
        "optional": lambda: rng.choice([None, rng.randrange(40)]),
    }
    return makers[kind]()


RANDOM_KINDS = ["int", "str", "float", "tuple", "optional"]


def ordered(key: Any) -> Any:
    """What compares in Python as the order of `key` is: None first, NaN last and equal to itself."""
    if key is None:
        return (0,)
    if isinstance(key, tuple):
        return (1, *map(ordered, key))
    if isinstance(key, float) and math.isnan(key):
        return (2, 0)
    return (1, key)


def grouped(values: Iterable[Any], key_of: Callable[[Any], Any]) -> Iterator[tuple[Any, list[Any]]]:
    """(key of the first, values) of each group, in key order."""
    for _, group in groupby(sorted(values, key=lambda each: ordered(key_of(each))), lambda each: ordered(key_of(each))):
        listed = list(group)
        yield key_of(listed[0]), listed


def joined(
    left: list[Any], right: list[Any], left_key: Callable[[Any], Any], right_key: Callable[[Any], Any], how: str
) -> list[Any]:
    """A join by dictionaries, and loops over what has equal keys."""
    found: list[Any] = []
    of_left: dict[Any, list[Any]] = {}
    of_right: dict[Any, list[Any]] = {}
    for values, key_of, groups in ((left, left_key, of_left), (right, right_key, of_right)):
        for value in values:
            groups.setdefault(ordered(key_of(value)), []).append(value)
    for key in sorted({*of_left, *of_right}):
        lefts, rights = of_left.get(key, []), of_right.get(key, [])
        if how == "semi":
            found += lefts if rights else []
        elif how == "anti":
            found += [] if rights else lefts
        elif lefts and rights:
            found += [(one, other) for one in lefts for other in rights]
        elif how in ("left", "outer") and lefts:
            found += [(one, None) for one in lefts]
        elif how in ("right", "outer") and rights:
            found += [(None, other) for other in rights]
    return found


def same(left: Iterable[Any], right: Iterable[Any]) -> bool:
    """Equal and printed alike: NaN is NaN, and 1.0 is not 1, nor -0.0 0.0."""
    return list(map(repr, left)) == list(map(repr, right))
