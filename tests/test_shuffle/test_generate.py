"""Generated data: the same by seed, whatever the chunk, and what each kind promises."""

import io
from collections import Counter
from pathlib import Path

import pytest

from shuffle import generate as module
from shuffle.generate import KINDS, Generated, generate

LINE_KINDS = [kind for kind in KINDS if kind not in ("fixed", "giant")]


def made(kind: str, records: int = 500, **options: int) -> bytes:
    """The bytes of a small file of `kind`."""
    target = io.BytesIO()
    if kind == "giant":
        options = {"giant_bytes": 10_001, **options}
    written = generate(target, kind=kind, records=records, **options)
    assert written == Generated(records, len(target.getvalue()))
    return target.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_deterministic_by_seed_and_independent_of_the_chunk(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = made(kind, record_bytes=37, seed=5)
    assert made(kind, record_bytes=37, seed=5) == expected
    assert made(kind, record_bytes=37, seed=6) != expected
    for chunk_bytes in (1, 100, 1001):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
        assert made(kind, record_bytes=37, seed=5) == expected, chunk_bytes


@pytest.mark.parametrize("kind", LINE_KINDS)
@pytest.mark.parametrize("record_bytes", [4, 8, 100])
def test_text_is_lines_of_one_length(kind: str, record_bytes: int) -> None:
    data = made(kind, record_bytes=record_bytes)
    assert len(data) == 500 * record_bytes
    assert all(len(line) == record_bytes for line in data.splitlines(keepends=True))
    assert data.decode("ascii").replace("\n", "").isprintable()


def test_fixed_records_carry_their_position() -> None:
    data = made("fixed", 1000, record_bytes=30, key_bytes=3)
    records = [data[start : start + 30] for start in range(0, len(data), 30)]
    assert [int.from_bytes(record[3:11], "big") for record in records] == list(range(1000))
    assert len({record[:3] for record in records}) > 990
    assert len(set(data)) == 256, "any byte, not text"


def test_random_text_uses_64_symbols() -> None:
    assert len(set(made("text"))) == 65


def test_words_are_fields() -> None:
    for line in made("words", record_bytes=64).splitlines():
        assert [len(word) for word in line.split(b" ")] == [7] * 8
        assert line.replace(b" ", b"").islower()


def test_skewed_has_few_common_and_many_rare_lines() -> None:
    counts = [count for _, count in Counter(made("skewed", 20_000).splitlines()).most_common()]
    assert 0.05 < counts[0] / 20_000 < 0.3
    assert len(counts) > 2000
    assert counts[0] > 1.5 * counts[1] > 2 * counts[3]


def test_duplicates_have_a_hundred_lines() -> None:
    assert len(set(made("duplicates", 5000).splitlines())) == module.DISTINCT_LINES


def test_equal_lines_are_equal() -> None:
    assert len(set(made("equal").splitlines())) == 1


@pytest.mark.parametrize(("record_bytes", "prefix_bytes"), [(100, 40), (50, 25)])
def test_a_common_prefix_is_common(record_bytes: int, prefix_bytes: int) -> None:
    lines = made("common-prefix", record_bytes=record_bytes).splitlines()
    assert len({line[:prefix_bytes] for line in lines}) == 1
    assert len({line[prefix_bytes:] for line in lines}) == 500


def test_presorted_and_reversed_are_strictly_so() -> None:
    for record_bytes in (4, 8, 100):
        ascending = made("presorted", 4000, record_bytes=record_bytes).splitlines()
        assert ascending == sorted(set(ascending))
        descending = made("reversed", 4000, record_bytes=record_bytes).splitlines()
        assert descending == sorted(set(descending), reverse=True)
        assert len({line[:1] for line in ascending}) > 60, "the first digit is spread over the symbols"


def test_giant_has_one_long_line_in_the_middle() -> None:
    lines = made("giant", 101, record_bytes=20).splitlines(keepends=True)
    assert [len(line) for line in lines] == [20] * 50 + [10_001] + [20] * 50


def test_a_size_is_kept_to_a_record(tmp_path: Path) -> None:
    path = tmp_path / "data"
    assert generate(path, kind="text", size_bytes=1050) == Generated(10, 1000)
    assert path.stat().st_size == 1000
    written = generate(str(path), kind="giant", size_bytes=5000, giant_bytes=4000)
    assert written == Generated(11, 5000)
    assert path.stat().st_size == 5000


def test_nothing_is_an_empty_file(tmp_path: Path) -> None:
    for kind in KINDS:
        if kind != "giant":
            assert generate(tmp_path / kind, kind=kind, records=0) == Generated(0, 0)
            assert (tmp_path / kind).read_bytes() == b""


def test_a_writer_that_takes_little_gets_everything() -> None:
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, data: memoryview) -> int:  # type: ignore[override]
            self.taken += bytes(data[:7])
            return min(7, len(data))

    slow = Slow()
    generate(slow, kind="text", records=10)
    assert slow.taken == made("text", 10)


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    generate("-", kind="text", records=3, seed=1)
    assert capfdbinary.readouterr().out == made("text", 3, seed=1)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "sorted", "records": 1}, "'sorted' is no kind of data; the kinds are fixed, text, "),
        ({"kind": "text"}, "say how much"),
        ({"kind": "text", "records": 1, "size_bytes": 1}, "say how much"),
        ({"kind": "text", "records": -1}, "not negative"),
        ({"kind": "text", "size_bytes": -1}, "not negative"),
        ({"kind": "text", "records": 1, "record_bytes": 1}, "--record-bytes 1: must be 2"),
        ({"kind": "text", "records": 1, "record_bytes": 1 << 30}, "kind giant"),
        ({"kind": "fixed", "records": 1, "record_bytes": 17}, "--record-bytes 17: .* need 18"),
        ({"kind": "fixed", "records": 1, "key_bytes": 0}, "at least 1"),
        ({"kind": "presorted", "records": 65, "record_bytes": 2}, "too short to number 65 records"),
        ({"kind": "giant", "records": 1, "giant_bytes": 1}, "at least 2 bytes"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(options: dict[str, object], complaint: str) -> None:
    target = io.BytesIO()
    with pytest.raises(ValueError, match=complaint):
        generate(target, **options)  # type: ignore[arg-type]
    assert target.getvalue() == b""
