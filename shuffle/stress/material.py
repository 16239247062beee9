"""The inputs of a campaign: made once, by seed, and read once to know what their records add up to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from memory import default_memory_bytes
from serializers import RecordLayout, fixed, lines
from shuffle.generate import generate
from shuffle.verify import CheckResult, check_file

RECORD_BYTES = 100
KEY_BYTES = 10
_OF_FIXED = ("--record-bytes", str(RECORD_BYTES), "--key-bytes", str(KEY_BYTES))


@dataclass(frozen=True)
class Material:
    """An input of one kind. `content` is what a check of it found; `arguments` tell a command what records are."""

    kind: str
    path: Path
    layout: RecordLayout
    arguments: tuple[str, ...]
    content: CheckResult


def make_material(directory: Path, kind: str, records: int, seed: int) -> Material:
    """Generate `records` records of `kind` in `directory`. Raises ValueError for an unknown kind, and OSError."""
    path = directory / f"{kind}.input"
    generate(path, kind=kind, records=records, record_bytes=RECORD_BYTES, key_bytes=KEY_BYTES, seed=seed)
    layout = fixed(RECORD_BYTES, key_bytes=KEY_BYTES) if kind == "fixed" else lines()
    content = check_file(path, layout, memory_bytes=default_memory_bytes())
    return Material(kind, path, layout, _OF_FIXED if kind == "fixed" else (), content)
