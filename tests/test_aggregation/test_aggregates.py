"""What can be asked, as text and as descriptions, and what the errors say."""

import pickle

import pytest

from shuffle.aggregation import aggregates
from shuffle.aggregation.aggregates import Aggregate, Aggregates, parse_aggregates
from shuffle.aggregation.errors import AggregateError


def test_text_and_descriptions_say_the_same() -> None:
    text = "count, sum:x,mean:y.z,top3:z,top2:z:ascending,count:x,count_distinct:x,collect:0"
    asked = [
        aggregates.count(),
        aggregates.sum("x"),
        aggregates.mean("y.z"),
        aggregates.top(3, "z"),
        aggregates.top(2, "z", descending=False),
        aggregates.count("x"),
        aggregates.count_distinct("x"),
        aggregates.collect("0"),
    ]
    named = {"count": asked[0], "sum_x": asked[1], "mean_y.z": asked[2], "top3_z": asked[3], "top2_z": asked[4]}
    named |= {"count_x": asked[5], "count_distinct_x": asked[6], "collect_0": asked[7]}
    assert parse_aggregates(text) == parse_aggregates(asked) == named
    assert parse_aggregates([str(each) for each in asked]) == named
    assert pickle.loads(pickle.dumps(named)) == named


def test_names_may_be_given() -> None:
    assert parse_aggregates({"n": "count", "m": aggregates.min(0)}) == {
        "n": Aggregate("count"),
        "m": Aggregate("min", 0),
    }
    made = [aggregates.max, aggregates.variance, aggregates.stddev, aggregates.first, aggregates.last]
    assert [make("x").label for make in made] == ["max_x", "variance_x", "stddev_x", "first_x", "last_x"]
    assert parse_aggregates(aggregates.max("x")) == {"max_x": Aggregate("max", "x")}


@pytest.mark.parametrize(
    ("wanted", "cure"),
    [
        ("", "write kind:field"),
        ([], "no aggregate is named"),
        ("summ:x", "Did you mean sum?"),
        ("sum", "Name a field: sum:amount"),
        ("top:x", "top3:x"),
        ("top0:x", "at least 1"),
        ("sum3:x", "only top has a number"),
        ("sum:x,sum:x", "give names"),
        ([3], "give text such as"),
        ("Sum:x", "is no aggregate"),
    ],
)
def test_what_cannot_be_meant(wanted: Aggregates, cure: str) -> None:
    with pytest.raises(AggregateError, match=cure.replace("?", r"\?")):
        parse_aggregates(wanted)
