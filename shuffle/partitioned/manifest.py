"""`manifest.json`: what is in an output directory. docs/MANIFEST.md says what every field means."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

from io_manager import platform_files
from serializers import RecordLayout, fixed, lines
from shuffle.kernels.verify import FINGERPRINT_VERSION
from shuffle.verify import FINGERPRINTS

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
_PART_DIGITS = 5

Key = bytes | tuple[Any, ...]
"""The leading bytes of a record's key; of a row of a table, the values of the columns it is ordered by."""


@dataclass(frozen=True)
class Content:
    """Records, bytes of the file, the keys of the first and the last record (None without records), and the
    fingerprint of the records.
    """

    records: int = 0
    size_bytes: int = 0
    first_key: Key | None = None
    last_key: Key | None = None
    fingerprint: int = 0

    def __add__(self, following: Content) -> Content:
        """This, and what stands behind it."""
        return Content(
            self.records + following.records,
            self.size_bytes + following.size_bytes,
            following.first_key if self.first_key is None else self.first_key,
            self.last_key if following.last_key is None else following.last_key,
            (self.fingerprint + following.fingerprint) % FINGERPRINTS,
        )


@dataclass(frozen=True)
class Partition:
    """One file, and what is in it."""

    file: str
    content: Content

    def as_dict(self) -> dict[str, Any]:
        """The entry of the manifest."""
        content = self.content
        return {
            "file": self.file,
            "records": content.records,
            "bytes": content.size_bytes,
            "first_key": encode_key(content.first_key),
            "last_key": encode_key(content.last_key),
            "fingerprint": f"{content.fingerprint:032x}",
        }


@dataclass(frozen=True)
class Manifest:
    """What is in an output directory. `records` and `order` are as docs/MANIFEST.md has them."""

    records: dict[str, Any]
    partitioner: str
    order: dict[str, Any]
    partitions: Sequence[Partition]

    @property
    def total(self) -> Content:
        """All partitions together; keys aside."""
        contents = [partition.content for partition in self.partitions]
        return Content(
            sum(content.records for content in contents),
            sum(content.size_bytes for content in contents),
            fingerprint=sum(content.fingerprint for content in contents) % FINGERPRINTS,
        )

    def lines(self) -> Iterator[str]:
        """The text, a line for each partition."""
        head = {
            "manifest_version": MANIFEST_VERSION,
            "fingerprint_version": FINGERPRINT_VERSION,
            "records": self.records,
            "partitioner": self.partitioner,
            "order": self.order,
        }
        yield "{\n"
        for name, value in head.items():
            yield f"  {json.dumps(name)}: {json.dumps(value)},\n"
        yield '  "partitions": [\n'
        last = len(self.partitions) - 1
        for number, partition in enumerate(self.partitions):
            yield f"    {json.dumps(partition.as_dict())}{',' if number < last else ''}\n"
        total = self.total
        totals = {
            "partitions": len(self.partitions),
            "records": total.records,
            "bytes": total.size_bytes,
            "fingerprint": f"{total.fingerprint:032x}",
        }
        yield f'  ],\n  "totals": {json.dumps(totals)}\n}}\n'

    def write(self, path: Path) -> None:
        """Write it to a new file, durably."""
        fd = platform_files.open_new(path, direct=False, mode=0o666)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.writelines(self.lines())
            file.flush()
            os.fsync(fd)


def encode_key(key: Key | None) -> dict[str, Any] | None:
    """A key as JSON has it: {"text": ...} if its bytes are UTF-8, else {"hex": ...}; {"values": [...]} of a row."""
    if key is None:
        return None
    if isinstance(key, tuple):
        return {"values": list(key)}
    try:
        return {"text": key.decode("utf-8")}
    except UnicodeDecodeError:
        return {"hex": key.hex()}


def decode_key(found: Any) -> Key | None:
    """The key that `encode_key` was given. Raises ValueError, TypeError, KeyError for anything else."""
    if found is None:
        return None
    (kind,) = found
    if kind == "values":
        return tuple(found["values"])
    if kind == "text":
        return str(found["text"]).encode("utf-8")
    return bytes.fromhex(found["hex"])


def describe_layout(layout: RecordLayout) -> dict[str, Any]:
    """The field `records` for lines and records of one length."""
    if layout.is_lines:
        return {"kind": "lines", "delimiter": layout.delimiter}
    return {
        "kind": "fixed",
        "record_bytes": layout.record_bytes,
        "key_offset": layout.key_offset,
        "key_bytes": layout.key_bytes,
    }


def layout_of(records: dict[str, Any]) -> RecordLayout:
    """The layout that `describe_layout` described. Raises KeyError, TypeError, ValueError for anything else."""
    if records["kind"] == "lines":
        return lines(bytes([records["delimiter"]]))
    if records["kind"] != "fixed":
        raise ValueError(f"unknown kind {records['kind']!r}")
    record_bytes, key_offset, key_bytes = (index(records[name]) for name in ("record_bytes", "key_offset", "key_bytes"))
    return fixed(record_bytes, key_offset=key_offset, key_bytes=key_bytes)


def record_suffix(layout: RecordLayout) -> str:
    """What the names of files of such records end with."""
    return ".txt" if layout.is_lines else ".bin"


def part_name(number: int, suffix: str) -> str:
    """The name of the file of a partition."""
    return f"part-{number:0{_PART_DIGITS}d}{suffix}"
