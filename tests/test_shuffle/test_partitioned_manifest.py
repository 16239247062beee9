"""The manifest, and what `verify` makes of a directory in which anything at all was changed."""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from io_manager import BlockFlags
from serializers import SLACK_BYTES, lines
from shuffle import files
from shuffle.partitioned.digest import Digest, LongRecord
from shuffle.partitioned.manifest import Content, Manifest, Partition, decode_key, encode_key
from shuffle.partitioned.manifest_reader import ManifestError, read_manifest
from shuffle.partitioned.table_stream import decode_schema, encode_schema
from shuffle.partitioned.verification import verify_directory
from shuffle.verify import layout_words
from tests import naive
from tests.test_shuffle.partitioned import MEMORY_BYTES, content, edited

GOLDEN = Path(__file__).parents[2] / "data/golden/manifest.v1.json"
DATA = b"".join(b"%05d\n" % (n * 7919 % 3001) for n in range(3000))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An input, and a directory for each partitioner."""
    root = tmp_path_factory.mktemp("made")
    (root / "input").write_bytes(DATA)
    for partitioner in ("range", "hash", "round-robin"):
        files.shuffle_file(root / "input", root / partitioner, partitions=4, partitioner=partitioner, memory="100MiB")
    return root


@pytest.fixture
def directory(made: Path, tmp_path: Path) -> Path:
    """One by range, to be damaged."""
    return Path(shutil.copytree(made / "range", tmp_path / "out"))


def problems(directory: Path, *inputs: Path) -> list[str]:
    """The texts, without the directory they all begin with."""
    result = verify_directory(directory, [str(path) for path in inputs], memory_bytes=MEMORY_BYTES)
    assert all(problem.text.startswith(str(directory)) for problem in result.problems), result.problems
    return [problem.text.removeprefix(str(directory)).removeprefix("/") for problem in result.problems]


@pytest.mark.parametrize("partitioner", ["range", "hash", "round-robin"])
def test_nothing_is_wrong(made: Path, partitioner: str) -> None:
    assert problems(made / partitioner) == [] == problems(made / partitioner, made / "input")
    result = verify_directory(made / partitioner, memory_bytes=MEMORY_BYTES)
    checked = naive.check(DATA, lines())
    assert result.describe() == (f"3000 records, 18000 bytes, in 4 partitions, fingerprint {checked.fingerprint:032x}")


def test_another_input(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(DATA[:-6])
    found = problems(made / "range", tmp_path / "other")
    assert [text.split(":")[1].strip() for text in found] == ["records", "bytes", "fingerprint"]
    assert found[0] == ": records: 2999 of the input, 3000 in the manifest"


# --- the files


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-6])


def cut_a_record(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def swap(path: Path) -> None:
    records = path.read_bytes().splitlines(keepends=True)
    records[10], records[200] = records[200], records[10]
    path.write_bytes(b"".join(records))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[6 * 5 + 4] ^= 1
    path.write_bytes(data)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (truncate, ["records: 749 in the file, 750 in", "bytes: 4494 in", "last key: ", "fingerprint: "]),
        (cut_a_record, ["bytes: 4497 in the file", "last key: ", "fingerprint: "]),
        (swap, ["2 records out of order, the first is record 12"]),
        (Path.unlink, ["is missing"]),
        (replace_by_directory, ["is no file"]),
    ],
)
def test_a_damaged_file(directory: Path, damage: Callable[[Path], None], expected: list[str]) -> None:
    damage(directory / "part-00001.txt")
    found = problems(directory)
    assert len(found) == len(expected), found
    for text, words in zip(found, expected, strict=True):
        assert text.startswith(f"part-00001.txt: {words}"), text


def test_a_changed_byte(directory: Path) -> None:
    flip(directory / "part-00002.txt")
    assert any(text.startswith("part-00002.txt: fingerprint: ") for text in problems(directory))


def test_files_that_changed_places(directory: Path) -> None:
    first, second, spare = (directory / name for name in ("part-00000.txt", "part-00001.txt", "spare"))
    first.rename(spare)
    second.rename(first)
    spare.rename(second)
    found = problems(directory)
    assert "part-00001.txt: record 1 should stand before the last record of part-00000.txt" in found
    assert any(text.startswith("part-00000.txt: fingerprint") for text in found)


def test_records_in_the_wrong_partition(made: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(made / "hash", tmp_path / "out"))
    records = (directory / "part-00000.txt").read_bytes().splitlines(keepends=True)
    with (directory / "part-00001.txt").open("ab") as file:
        file.writelines(records[-2:])
    found = problems(directory)
    assert any(text.startswith("part-00001.txt: 2 records belong in other partitions") for text in found), found


def test_a_stranger(directory: Path) -> None:
    (directory / "part-00004.txt").write_bytes(b"")
    (directory / "notes").write_bytes(b"")
    assert problems(directory) == ["part-00004.txt: is not in the manifest"]


def test_only_order_is_only_order(directory: Path) -> None:
    swap(directory / "part-00003.txt")
    assert [problem.is_order for problem in verify_directory(directory, memory_bytes=MEMORY_BYTES).problems] == [True]


# --- the manifest


def partition(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Change a field of partition 2."""

    def edit(found: dict[str, Any]) -> None:
        found["partitions"][2][name] = value

    return edit


def field(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Change a field."""

    def edit(found: dict[str, Any]) -> None:
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = value

    return edit


REFUSED = {
    "version": (field("manifest_version", value=2), "manifest_version is 2"),
    "fingerprint version": (field("fingerprint_version", value=9), "fingerprint_version is 9"),
    "no list": (field("partitions", value={}), "partitions is {}, which it cannot be"),
    "a number as text": (partition("records", "750"), 'partition 2: records is "750"'),
    "true": (partition("records", True), "partition 2: records is true"),
    "negative": (partition("bytes", -1), "partition 2: bytes is -1"),
    "a path": (partition("file", "../input"), "'../input' names no file"),
    "itself": (partition("file", "manifest.json"), "'manifest.json' names no file"),
    "no fingerprint": (partition("fingerprint", "12"), "'12', and not 32 hexadecimal digits"),
    "no key": (partition("first_key", 5), "first_key is 5, which is no key"),
    "odd hex": (partition("first_key", {"hex": "abc"}), "which is no key"),
    "two keys": (partition("last_key", {"hex": "ab", "text": "a"}), "which is no key"),
    "records": (partition("records", 751), "totals: records is 3000, and the partitions come to 3001"),
    "bytes": (partition("bytes", 1), "totals: bytes is 18000"),
    "fingerprint": (partition("fingerprint", "0" * 32), "totals: fingerprint is"),
    "total records": (field("totals", "records", value=1), "totals: records is 1"),
    "total bytes": (field("totals", "bytes", value=1), "totals: bytes is 1"),
    "total partitions": (field("totals", "partitions", value=5), "totals: partitions is 5"),
    "total fingerprint": (field("totals", "fingerprint", value="f" * 32), "totals: fingerprint is fff"),
    "kind": (field("records", "kind", value="words"), "records or order is none that is known"),
    "delimiter": (field("records", "delimiter", value=1000), "records or order is none that is known"),
    "order": (field("order", value={}), "records or order is none that is known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_manifest_that_cannot_be(directory: Path, name: str) -> None:
    edit, words = REFUSED[name]
    edited(directory, edit)
    with pytest.raises(ManifestError) as refused:
        problems(directory)
    assert words in str(refused.value) and str(directory / "manifest.json") in str(refused.value)


@pytest.mark.parametrize("name", ["manifest_version", "records", "partitioner", "order", "partitions", "totals"])
def test_a_field_that_is_missing(directory: Path, name: str) -> None:
    edited(directory, lambda found: found.pop(name))
    with pytest.raises(ManifestError, match=f"there is no {name}"):
        problems(directory)


@pytest.mark.parametrize("name", ["file", "records", "bytes", "first_key", "last_key", "fingerprint"])
def test_a_field_of_a_partition_that_is_missing(directory: Path, name: str) -> None:
    edited(directory, lambda found: found["partitions"][3].pop(name))
    with pytest.raises(ManifestError, match=f"partition 3: there is no {name}"):
        problems(directory)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (partition("first_key", {"text": "x"}), "part-00002.txt: first key: "),
        (partition("last_key", None), "part-00002.txt: last key: "),
        (partition("file", "part-00001.txt"), "manifest.json: part-00001.txt is the file of several partitions"),
        (field("order", "descending", value=True), "part-00000.txt: "),
        (field("partitioner", value="hash"), "part-00000.txt: "),
        (field("records", "delimiter", value=0), "part-00000.txt: records: 1 in the file"),
    ],
)
def test_a_manifest_that_lies(directory: Path, edit: Callable[[dict[str, Any]], None], expected: str) -> None:
    edited(directory, edit)
    assert any(text.startswith(expected) for text in problems(directory)), problems(directory)


@pytest.mark.parametrize(
    ("text", "words"), [(b"{", "is no JSON"), (b"[]", "there is no manifest_version"), (b"\xff", "is no text")]
)
def test_what_is_no_manifest(directory: Path, text: bytes, words: str) -> None:
    (directory / "manifest.json").write_bytes(text)
    with pytest.raises(ManifestError, match=words):
        problems(directory)
    (directory / "manifest.json").unlink()
    with pytest.raises(ManifestError, match="is no output of a shuffle"):
        problems(directory)


def test_round_trip(tmp_path: Path) -> None:
    rows = Partition("part-00000.csv", Content(1, 3, ("x", None, 5, True), ("y", "1.5"), 7))
    manifest = Manifest({"kind": "table"}, "range", {"by": ["a"]}, [rows])
    manifest.write(tmp_path / "manifest.json")
    assert read_manifest(tmp_path) == manifest


def test_the_golden_manifest(tmp_path: Path) -> None:
    """Version 1 is read, and written, like this for ever."""
    parts = [
        Partition("part-00000.txt", Content(2, 9, b"", b"\xff\0", 1 << 127)),
        Partition("part-00001.txt", Content(1, 3, "é".encode(), b"k" * 64, (1 << 128) - 1)),
        Partition("part-00002.txt", Content()),
    ]
    manifest = Manifest({"kind": "lines", "delimiter": 10}, "hash", {"descending": False}, parts)
    golden = shutil.copy(GOLDEN, tmp_path / "manifest.json")
    assert read_manifest(tmp_path) == manifest
    manifest.write(tmp_path / "written")
    assert (tmp_path / "written").read_bytes() == golden.read_bytes()


@pytest.mark.parametrize("key", [None, b"", b"plain", "naïve".encode(), b"\x80", b'"\\\0', ("a", None)])
def test_keys_come_back(key: Any) -> None:
    assert decode_key(json.loads(json.dumps(encode_key(key)))) == key


# --- digests


@pytest.mark.parametrize("seed", range(5))
def test_a_long_record_in_pieces(seed: int) -> None:
    rng = random.Random(seed)
    record = rng.randbytes(rng.randrange(2000))
    long, start = LongRecord(), 0
    while start < len(record):
        end = min(len(record), start + rng.choice([1, 5, 15, 16, 17, 100]))
        long.add(memoryview(bytearray(record[start:end] + bytes(SLACK_BYTES)))[: end - start])
        start = end
    assert long.end() == naive.hash_record(record)


def test_digest_of_records_and_pieces() -> None:
    layout = lines()
    digest = Digest(layout, layout_words(layout, reverse=False, unique=False))
    giant = b"b" * 100 + b"\n"
    pieces = [(b"a\nab\n", 0), (giant[:40], BlockFlags.SPAN_FIRST), (giant[40:70], BlockFlags.SPAN_MORE)]
    pieces += [(giant[70:], BlockFlags.SPAN_LAST), (b"c\n", 0)]
    for data, flags in pieces:
        held = np.frombuffer(data + bytes(SLACK_BYTES), np.uint8).copy()
        digest.add(held.data[: len(data)], flags)
    expected = content(b"".join(data for data, _ in pieces), layout)
    assert digest.content == expected


def test_a_schema_that_is_none_is_a_value_error() -> None:
    """Whatever pyarrow says of it: some of its errors are no kinds of ValueError."""
    schema = pa.schema([("number", pa.int64()), ("text", pa.string())])
    serialized = base64.b64decode(encode_schema(schema))
    assert decode_schema(encode_schema(schema)) == schema
    refused = 0
    for place in range(len(serialized)):
        damaged = serialized[:place] + bytes([serialized[place] ^ 0xC0]) + serialized[place + 1 :]
        try:
            decode_schema(base64.b64encode(damaged).decode())
        except ValueError:
            refused += 1
    assert refused > 50
