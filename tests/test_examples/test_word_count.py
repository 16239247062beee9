"""The example counts as a Counter does, over real text."""

import re
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from examples.word_count import main, most_frequent, words

SOURCES = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-f]*.py"))


def test_words() -> None:
    assert words("Two words, two_words: Two!") == [(word, 1) for word in ["two", "words", "two", "words", "two"]]


def test_real_text() -> None:
    counted: Counter[str] = Counter()
    for path in SOURCES:
        counted.update(re.findall("[a-z]+", path.read_text(encoding="utf-8").lower()))
    wanted = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    assert most_frequent(SOURCES, 500) == wanted[:500] and len(SOURCES) > 20


def test_it_prints_the_most_frequent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be\nto wit\n")
    monkeypatch.setattr("sys.argv", ["word_count", str(text)])
    main()
    assert [line.split() for line in capsys.readouterr().out.splitlines()[:3]] == [
        ["3", "to"],
        ["2", "be"],
        ["1", "not"],
    ]
