"""The bytes of the index of a map output, as values, and back. No I/O is done here.

    0        header     128 bytes: which run it belongs to, and how many entries follow
    128      entry 0    200 bytes: where partition 0 begins and ends in the run
             entry 1 ...

Header and entries have a checksum each, so that a reduce task reads only its own; an entry names its run and its
partition, so that one in another's place is found out. `docs/SHUFFLE_FORMAT.md` draws the same.

That is version 1. In version 2 header and entries are sealed as the run is (`io_manager.cipher`): a tag, which is
longer by 8 bytes, takes the place of each checksum, and entries may be encrypted.
"""

from struct import Struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from io_manager import KEY_BYTES_MAX, JobKey, RunFile, checksum
from io_manager.cipher import SALT_BYTES, TAG_BYTES, FileSeal, Unit, new_salt
from io_manager.run_format import FormatError, expect, unseal

INDEX_VERSION = 1
SEALED_INDEX_VERSION = 2
INDEX_MAGIC = b"SPILLIDX"
INDEX_HEADER_BYTES = 128
BROADCAST = 1
"""Flag: every partition is all of the run."""

_HEADER = Struct("<8sIIQQQQQQ")
_CHECKSUM = Struct("<Q")
_HEADER_CHECKSUM_AT = INDEX_HEADER_BYTES - _CHECKSUM.size
_SALT = slice(_HEADER.size, _HEADER.size + SALT_BYTES)
_HEADER_TAG = slice(INDEX_HEADER_BYTES - TAG_BYTES, INDEX_HEADER_BYTES)

ENTRY = np.dtype(
    [
        ("run_id", "<u8"),
        ("partition", "<u4"),
        ("start_offset", "<u4"),
        ("start_block", "<u8"),
        ("stop_block", "<u8"),
        ("stop_offset", "<u4"),
        ("first_key_length", "<u2"),
        ("last_key_length", "<u2"),
        ("records", "<u8"),
        ("raw_bytes", "<u8"),
        ("index_checksum", "<u8"),
        ("first_key", "u1", (KEY_BYTES_MAX,)),
        ("last_key", "u1", (KEY_BYTES_MAX,)),
        ("checksum", "<u8"),
    ]
)
INDEX_ENTRY_BYTES = ENTRY.itemsize
_ENTRY_CHECKSUM_AT = INDEX_ENTRY_BYTES - _CHECKSUM.size
_SEALED_ENTRY_BYTES = _ENTRY_CHECKSUM_AT + TAG_BYTES


class IndexHeader(NamedTuple):
    """What holds for the whole index."""

    flags: int
    run_id: int
    partitions: int
    map_number: int
    records: int
    raw_bytes: int
    block_count: int


class Entry(NamedTuple):
    """One partition of a run; start and stop are places in it: a block, and an offset in its payload."""

    start_block: int
    start_offset: int
    stop_block: int
    stop_offset: int
    records: int
    raw_bytes: int
    index_checksum: int
    first_key: bytes
    last_key: bytes


def entry_bytes(*, sealed: bool = False) -> int:
    """Length of one entry on disk."""
    return _SEALED_ENTRY_BYTES if sealed else INDEX_ENTRY_BYTES


def index_bytes(partitions: int, *, sealed: bool = False) -> int:
    """Length of the index file."""
    return entry_offset(partitions, sealed=sealed)


def entry_offset(partition: int, *, sealed: bool = False) -> int:
    """Where the entry of a partition stands."""
    return INDEX_HEADER_BYTES + partition * entry_bytes(sealed=sealed)


def pack_index(header: IndexHeader, entries: NDArray[np.void], key: JobKey | None = None) -> bytes:
    """The whole file."""
    assert len(entries) == header.partitions, (len(entries), header)
    entries["run_id"] = header.run_id
    entries["partition"] = np.arange(len(entries))
    seal, salt = (None, b"") if key is None else _new_seal(key)
    data = bytearray(_packed_header(header, seal, salt))
    rows = memoryview(bytearray(entries.tobytes()))
    for number in range(len(entries)):
        row = rows[number * INDEX_ENTRY_BYTES :][:_ENTRY_CHECKSUM_AT]
        mark = _CHECKSUM.pack(checksum(row)) if seal is None else seal.seal(Unit.ENTRY.number(number), b"", row)
        data += row
        data += mark
    return bytes(data)


def _new_seal(key: JobKey) -> tuple[FileSeal, bytes]:
    salt = new_salt()
    return key.file_seal(salt), salt


def _packed_header(header: IndexHeader, seal: FileSeal | None, salt: bytes) -> bytearray:
    data = bytearray(INDEX_HEADER_BYTES)
    flags, *numbers = header
    _HEADER.pack_into(data, 0, INDEX_MAGIC, INDEX_VERSION if seal is None else SEALED_INDEX_VERSION, flags, *numbers)
    if seal is None:
        _CHECKSUM.pack_into(data, _HEADER_CHECKSUM_AT, checksum(memoryview(data)[:_HEADER_CHECKSUM_AT]))
    else:
        data[_SALT] = salt
        data[_HEADER_TAG] = seal.seal(Unit.HEADER.number(0), bytes(data[: _HEADER_TAG.start]), memoryview(b""))
    return data


def parse_header(data: bytes, expected: IndexHeader, key: JobKey | None = None) -> FileSeal | None:
    """What entries are sealed with, if there is a `key`. Raises FormatError unless `data` is the header that the writer
    told of."""
    magic, version, flags, *numbers = _HEADER.unpack_from(data)
    expect(0, "magic", magic, INDEX_MAGIC)
    expect(8, "format version", version, INDEX_VERSION if key is None else SEALED_INDEX_VERSION)
    seal = None if key is None else key.file_seal(data[_SALT])
    if seal is None:
        _verify(data, _HEADER_CHECKSUM_AT, "header")
    else:
        tag = data[_HEADER_TAG]
        unseal(seal, Unit.HEADER.number(0), data[: _HEADER_TAG.start], memoryview(bytearray()), tag, "header")
    for name, found, wanted in zip(IndexHeader._fields, (flags, *numbers), expected, strict=True):
        expect(0, f"another index: {name}", found, wanted)
    return seal


def parse_entry(data: bytes, partition: int, run: RunFile, seal: FileSeal | None = None) -> Entry:
    """The entry of `partition`, in which no number is beyond what `run` has. Raises FormatError."""
    assert len(data) == entry_bytes(sealed=seal is not None), len(data)
    name = f"entry of partition {partition}"
    if seal is None:
        _verify(data, _ENTRY_CHECKSUM_AT, name)
    else:
        row = bytearray(data[:_ENTRY_CHECKSUM_AT])
        unseal(seal, Unit.ENTRY.number(partition), b"", memoryview(row), data[_ENTRY_CHECKSUM_AT:], name)
        data = bytes(row) + bytes(_CHECKSUM.size)
    fields: Any = np.frombuffer(data, ENTRY)[0]
    expect(0, f"entry of partition {partition}: run id", int(fields["run_id"]), run.run_id)
    expect(8, "partition of the entry", int(fields["partition"]), partition)
    entry = Entry(
        **{name: int(fields[name]) for name in Entry._fields[:-2]},
        first_key=_key(fields, "first_key"),
        last_key=_key(fields, "last_key"),
    )
    start, stop = (entry.start_block, entry.start_offset), (entry.stop_block, entry.stop_offset)
    holds = (
        start <= stop <= (run.block_count, 0)
        and max(entry.start_offset, entry.stop_offset) < run.block_bytes
        and entry.records <= run.record_count
        and entry.raw_bytes <= run.raw_bytes
        and (start == stop) == (entry.records == 0) == (entry.raw_bytes == 0)
    )
    if not holds:
        raise FormatError(0, f"entry of partition {partition} goes beyond its run: {entry}")
    return entry


def _key(fields: Any, name: str) -> bytes:
    length = int(fields[f"{name}_length"])
    if length > KEY_BYTES_MAX:
        raise FormatError(0, f"{name} of {length} bytes, at most {KEY_BYTES_MAX} expected")
    return bytes(fields[name][:length])


def _verify(data: bytes, checksum_at: int, name: str) -> None:
    (found,) = _CHECKSUM.unpack_from(data, checksum_at)
    expected = checksum(data[:checksum_at])
    if found != expected:
        raise FormatError(checksum_at, f"checksum of the {name} is {found:#018x}, its bytes give {expected:#018x}")


assert INDEX_ENTRY_BYTES == 200, "docs/SHUFFLE_FORMAT.md says so"
