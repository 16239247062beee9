"""docs/ORDER.md says what goes before what: its examples are run, and tables and shuffles keep to the same."""

import doctest
from pathlib import Path

import pytest

import shuffle

PAGE = Path(__file__).parent.parent / "docs" / "ORDER.md"
NAN, INF = float("nan"), float("inf")


def test_the_examples_do_what_they_say() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 12 and not found.failed


def test_the_front_page_leads_there() -> None:
    assert "docs/ORDER.md" in (PAGE.parent.parent / "README.md").read_text(encoding="utf-8")


def test_columns_of_tables_keep_to_it() -> None:
    pa = pytest.importorskip("pyarrow")
    numbers = [NAN, 0.0, None, -0.0, INF, -INF, -NAN]
    table = pa.table({"number": pa.array(numbers, pa.float64(), from_pandas=False), "place": range(len(numbers))})
    with shuffle.sort_table(table, by=["number"], memory="200MiB") as result:
        assert result.to_table()["place"].to_pylist() == [2, 5, 1, 3, 4, 0, 6]
    with shuffle.sort_table(table, by=["-number"], memory="200MiB") as result:
        assert result.to_table()["place"].to_pylist() == [2, 0, 6, 4, 1, 3, 5]
    texts = pa.table({"text": ["\U0001f600", "\uffee", "é", "B", "a"], "big": [2**63 - n for n in range(1, 6)]})
    with shuffle.sort_table(texts, by=["text"], memory="200MiB") as result:
        assert result.to_table()["text"].to_pylist() == ["B", "a", "é", "\uffee", "\U0001f600"]
    with shuffle.sort_table(texts, by=["big"], memory="200MiB") as result:
        assert result.to_table()["big"].to_pylist() == [2**63 - n for n in range(5, 0, -1)]


def test_what_is_equal_is_one_group() -> None:
    values = [NAN, 0.0, -0.0, -NAN, 1.0]
    with shuffle.group_reduce(values, lambda _, group: [len(list(group))], key=lambda value: value) as groups:
        assert list(groups) == [2, 1, 2]
