"""The index of a map output under attack: changed, cut short, swapped, foreign. Always an error or the same content."""

import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from io_manager import RunCorruptError, RunFile, RunTruncatedError, SpillError, checksum
from serializers import rows
from shuffle.exchange.key_shape import KeyShape
from shuffle.exchange.map_output import MapOutput
from shuffle.exchange.partition_entry import INDEX_ENTRY_BYTES, INDEX_HEADER_BYTES, entry_offset
from shuffle.stored_slice import StoredSlice
from tests.test_exchange.outputs import Exchange, exchange, random_rows

SHAPE = KeyShape(2, None, 0)
PARTITIONS = 6


@pytest.fixture(scope="module")
def made() -> Iterator[Exchange]:
    with exchange() as each:
        yield each


@pytest.fixture(scope="module")
def outputs(made: Exchange) -> list[MapOutput]:
    rng = random.Random(4)
    partitions = [random_rows(rng, 900, PARTITIONS - 1, SHAPE) for _ in range(2)]  # the last partition is empty
    return made.write_all(partitions, rows(None), partitions=PARTITIONS, partition_bytes=2)


def found_in(output: MapOutput) -> list[StoredSlice | None]:
    return [output.find(partition) for partition in range(output.partitions)]


def changed(output: MapOutput, data: bytes) -> MapOutput:
    path = output.index_path.with_name("changed.index")
    path.write_bytes(data)
    return replace(output, index_path=path)


@settings(max_examples=200)
@given(data=st.data())
def test_no_mutation_goes_unnoticed(outputs: list[MapOutput], data: st.DataObject) -> None:
    """Changed bytes, bytes cut out, put in, moved, doubled: each partition is what it was, or a typed error."""
    output, original = outputs[0], outputs[0].index_path.read_bytes()
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(mutated) - 1)))
        length = data.draw(st.sampled_from([1, 2, 8, INDEX_ENTRY_BYTES]))
        kind = data.draw(st.sampled_from(["flip", "random", "delete", "insert", "move"]))
        if kind == "flip" and mutated:
            mutated[at] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "random":
            mutated[at : at + length] = data.draw(st.binary(min_size=length, max_size=length))[: len(mutated) - at]
        elif kind == "delete":
            del mutated[at : at + length]
        elif kind == "insert":
            mutated[at:at] = bytes(length)
        else:
            source = data.draw(st.integers(0, max(0, len(mutated) - 1)))
            mutated[at : at + length] = mutated[source : source + length]
    wanted = found_in(output)
    attacked = changed(output, bytes(mutated))
    for partition in range(PARTITIONS):
        try:
            assert attacked.find(partition) == wanted[partition]
        except RunCorruptError as error:
            assert error.path == attacked.index_path and str(attacked.index_path) in str(error)
            assert 0 <= error.offset <= max(len(mutated), len(original))


def resealed(entry: bytes) -> bytes:
    """The same entry with a checksum that is right, as whoever wants to deceive us would make it."""
    return entry[:-8] + struct.pack("<Q", checksum(entry[:-8]))


FIELDS = {"start_offset": (12, 4), "start_block": (16, 8), "stop_block": (24, 8), "stop_offset": (32, 4)}
FIELDS |= {"first_key_length": (36, 2), "last_key_length": (38, 2), "records": (40, 8), "raw_bytes": (48, 8)}


@pytest.mark.parametrize("value", [(1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1])
@pytest.mark.parametrize("field", FIELDS)
def test_numbers_beyond_the_run_are_refused_before_anything_is_sized_by_them(
    outputs: list[MapOutput], field: str, value: int
) -> None:
    at, size = FIELDS[field]
    data = bytearray(outputs[0].index_path.read_bytes())
    offset = entry_offset(2)
    data[offset + at : offset + at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    entry = data[offset : offset + INDEX_ENTRY_BYTES]
    data[offset : offset + INDEX_ENTRY_BYTES] = resealed(bytes(entry))
    with pytest.raises(RunCorruptError, match=r"goes beyond its run|key of 65535 bytes"):
        changed(outputs[0], bytes(data)).find(2)


@pytest.mark.parametrize("moved", ["start_offset", "stop_offset", "raw_bytes", "records", "start_block", "stop_block"])
def test_an_entry_that_lies_within_bounds_is_found_out_by_its_run(
    made: Exchange, outputs: list[MapOutput], moved: str
) -> None:
    at, size = FIELDS[moved]
    data = bytearray(outputs[0].index_path.read_bytes())
    offset = entry_offset(2)
    number = int.from_bytes(data[offset + at : offset + at + size], "little")
    data[offset + at : offset + at + size] = (number - 1).to_bytes(size, "little")
    data[offset : offset + INDEX_ENTRY_BYTES] = resealed(bytes(data[offset : offset + INDEX_ENTRY_BYTES]))
    with pytest.raises(RunCorruptError):
        made.read([changed(outputs[0], bytes(data))], [2], rows(None))


def test_swapped_entries_and_swapped_files(outputs: list[MapOutput]) -> None:
    data = outputs[0].index_path.read_bytes()
    one, two = (slice(entry_offset(number), entry_offset(number + 1)) for number in (1, 2))
    swapped = bytearray(data)
    swapped[one], swapped[two] = data[two], data[one]
    with pytest.raises(RunCorruptError, match="partition of the entry is 2, expected 1"):
        changed(outputs[0], bytes(swapped)).find(1)
    other = outputs[1].index_path.read_bytes()
    with pytest.raises(RunCorruptError, match="another index: run_id"):
        changed(outputs[0], other).find(1)
    mixed = bytearray(data)
    mixed[one] = other[one]
    with pytest.raises(RunCorruptError, match="run id is"):
        changed(outputs[0], bytes(mixed)).find(1)


def test_truncated_extended_foreign_and_missing(outputs: list[MapOutput], tmp_path: Path) -> None:
    output, data = outputs[0], outputs[0].index_path.read_bytes()
    for length in (0, 1, INDEX_HEADER_BYTES, len(data) - 1):
        with pytest.raises(RunTruncatedError, match=f"damaged at byte {length}: the file ends here"):
            changed(output, data[:length]).find(0)
    with pytest.raises(RunCorruptError, match="goes on to byte"):
        changed(output, data + b"\0").find(0)
    with pytest.raises(RunCorruptError, match="magic is"):
        changed(output, b"SPILLRUN" + data[8:]).find(0)
    with pytest.raises(RunCorruptError, match="format version is 2, expected 1"):
        changed(output, data[:8] + b"\2" + data[9:]).find(0)
    with pytest.raises(SpillError, match="No such file"):
        replace(output, index_path=tmp_path / "gone.index").find(0)
    (tmp_path / "link.index").symlink_to(output.index_path)
    with pytest.raises(SpillError, match="opening the index of a map output"):
        replace(output, index_path=tmp_path / "link.index").find(0)


def test_an_index_that_is_told_otherwise(outputs: list[MapOutput]) -> None:
    """The description and the file must agree, whichever of them is wrong."""
    output = outputs[0]
    run: RunFile = output.run
    for wrong in (
        replace(output, map_number=5),
        replace(output, is_broadcast=True),
        replace(output, run=replace(run, record_count=run.record_count + 1)),
        replace(output, run=replace(run, block_count=run.block_count + 1)),
    ):
        with pytest.raises(RunCorruptError, match="another index"):
            wrong.find(0)
    with pytest.raises(RunTruncatedError):
        replace(output, partitions=PARTITIONS + 1).find(0)


@settings(max_examples=50)
@given(data=st.data())
def test_no_mutation_of_the_run_goes_unnoticed(made: Exchange, outputs: list[MapOutput], data: st.DataObject) -> None:
    """Reading a partition touches header, footer, its index entries and its blocks; the rest may be as it likes."""
    output = outputs[0]
    if not WANTED:
        WANTED.extend(made.read([output], range(PARTITIONS), rows(None)))
    original = output.run.path.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    path = output.run.path.with_name("changed.spill")
    path.write_bytes(original[:at] + bytes([original[at] ^ data.draw(st.integers(1, 255))]) + original[at + 1 :])
    partition = data.draw(st.integers(0, PARTITIONS - 1))
    attacked = replace(output, run=replace(output.run, path=path))
    try:
        assert made.read([attacked], [partition], rows(None)) == [WANTED[partition]]
    except RunCorruptError as error:
        assert error.path == path


WANTED: list[bytes] = []


def test_a_run_that_is_truncated_or_another(made: Exchange, outputs: list[MapOutput], tmp_path: Path) -> None:
    output, other = outputs
    path = tmp_path / "copy.spill"
    attacked = replace(output, run=replace(output.run, path=path))
    path.write_bytes(output.run.path.read_bytes()[:-4096])
    with pytest.raises(RunTruncatedError):
        made.read([attacked], [0], rows(None))
    shutil.copyfile(other.run.path, path)
    with pytest.raises(RunCorruptError):
        made.read([attacked], [0], rows(None))
    path.unlink()
    with pytest.raises(SpillError, match="No such file"):
        made.read([attacked], [0], rows(None))
