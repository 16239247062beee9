"""What a check of an output directory complains about: one line for each problem, with the file and the cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shuffle.partitioned.manifest import Content, encode_key


@dataclass(frozen=True)
class Problem:
    """What is wrong, in one line."""

    text: str
    is_order: bool = False
    """Whether it is only that records are not in order."""


def differences(path: Path, told: Content, found: Content, where: str) -> Iterator[Problem]:
    """What the manifest says of `path`, and what was found: a problem for each that differs."""
    for what, left, right in (
        ("records", told.records, found.records),
        ("bytes", told.size_bytes, found.size_bytes),
        ("first key", told.first_key, found.first_key),
        ("last key", told.last_key, found.last_key),
        ("fingerprint", f"{told.fingerprint:032x}", f"{found.fingerprint:032x}"),
    ):
        if left != right:
            yield Problem(f"{path}: {what}: {_shown(right)} {where}, {_shown(left)} in the manifest")


def _shown(value: object) -> object:
    if not isinstance(value, bytes | tuple):
        return "none" if value is None else value
    (shown,) = (encode_key(value) or {}).values()
    return repr(shown)
