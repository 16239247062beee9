"""Twins of an output directory, and what its tests share."""

import json
import os
import random
import shutil
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from io_manager import KEY_BYTES_MAX
from serializers import RecordLayout
from shuffle import files
from shuffle.partitioned.manifest import Content, Manifest
from shuffle.partitioned.manifest_reader import read_manifest
from shuffle.partitioned.verification import verify_directory
from tests import naive, tiny

MEMORY_BYTES = 1 << 24
SERIAL: Any = {"record_bytes": 12, "key_offset": 3, "key_bytes": 2}


def cut(data: bytes, layout: RecordLayout, partitions: int, *, reverse: bool = False) -> list[bytes]:
    """What the files must hold: sorted, cut into equal parts, each record where its last byte falls."""
    records, rest = naive.split_records(tiny.sorted_bytes(data, layout, reverse=reverse), layout)
    assert not rest
    total = sum(map(len, records))
    ends = [total * (number + 1) // partitions for number in range(partitions)]
    parts: list[list[bytes]] = [[] for _ in range(partitions)]
    for record, end in zip(records, accumulate(map(len, records)), strict=True):
        parts[bisect_left(ends, end)].append(record)
    return [b"".join(part) for part in parts]


def content(data: bytes, layout: RecordLayout) -> Content:
    """What the manifest must say of a file that holds `data`."""
    checked = naive.check(data, layout)
    records, _ = naive.split_records(data, layout)
    keys = [layout.key(record)[:KEY_BYTES_MAX] for record in (records[0], records[-1])] if records else [None, None]
    return Content(checked.records, len(data), keys[0], keys[1], checked.fingerprint)


def check(directory: Path, parts: Sequence[bytes], layout: RecordLayout, *, suffix: str = ".txt") -> Manifest:
    """The directory holds these files, a manifest that tells the truth about them, and nothing else."""
    names = [f"part-{number:05d}{suffix}" for number in range(len(parts))]
    assert sorted(path.name for path in directory.iterdir()) == ["manifest.json", *names]
    for name, part in zip(names, parts, strict=True):
        assert (directory / name).read_bytes() == part, name
    manifest = read_manifest(directory)
    assert [partition.file for partition in manifest.partitions] == names
    assert [partition.content for partition in manifest.partitions] == [content(part, layout) for part in parts]
    assert verify_directory(directory, memory_bytes=MEMORY_BYTES).problems == ()
    return manifest


def edited(directory: Path, edit: Any) -> None:
    """Change the manifest, as JSON."""
    path = directory / "manifest.json"
    found = json.loads(path.read_text())
    edit(found)
    path.write_text(json.dumps(found))


def shuffle(machine: tiny.Machine, inputs: bytes | list[bytes], partitions: int, **choices: Any) -> Path:
    """The directory that was made; the one before it is gone."""
    directory = machine.directory / "parts"
    shutil.rmtree(directory, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)  # a busy disk takes long, 2,000 times
        done = files.shuffle_file(
            machine.write(inputs), directory, partitions=partitions, temp_dirs=[machine.temp_dir], **choices
        )
    machine.report = done.report
    return directory


def random_lines(count: int, *, hot: float = 0.0, seed: int = 1) -> bytes:
    """Lines of 0 to 30 bytes, of which a share is one and the same."""
    rng = random.Random(seed)
    made = [
        b"the one" if rng.random() < hot else rng.randbytes(rng.randrange(30)).replace(b"\n", b"") for _ in range(count)
    ]
    return b"".join(line + b"\n" for line in made)


CASES = {
    "ordinary": random_lines(5000),
    "one hot key": random_lines(5000, hot=0.9),
    "equal": b"same\n" * 4000,
    "empty lines": b"\n" * 3000,
    "unterminated": random_lines(3000) + b"last",
    "nothing": b"",
    "one": b"x\n",
    "few": b"b\na\nc\n",
    "long": b"".join(bytes([97 + n % 7]) * (n * 1777 % 20_000) + b"\n" for n in range(60)),
    "giants": b"".join([b"m" * 70_000 + b"\n", random_lines(400), b"a" * 30_000 + b"\n", b"z" * 50_001]),
}


__all__ = ["CASES", "MEMORY_BYTES", "SERIAL", "check", "content", "cut", "edited", "random_lines", "shuffle"]
