"""Read a manifest, with suspicion: one that is no manifest is an error that names the file and the field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from shuffle.errors import SortError
from shuffle.kernels.verify import FINGERPRINT_VERSION
from shuffle.partitioned.manifest import (
    MANIFEST_NAME,
    MANIFEST_VERSION,
    Content,
    Key,
    Manifest,
    Partition,
    decode_key,
)


class ManifestError(SortError):
    """A manifest that is not there, or cannot be one; the text names the file and the field."""


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """The manifest of an output directory. Raises ManifestError, and OSError as the system gives it."""
    path = Path(directory) / MANIFEST_NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ManifestError(f"{path}: no such file, so {directory} is no output of a shuffle") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is no text") from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: is no JSON: {error}") from error
    return _Reader(path).manifest(found)


class _Reader:
    """Makes a manifest of JSON, and says which field is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def manifest(self, found: Any) -> Manifest:
        if self._field(found, "manifest", "manifest_version", int) != MANIFEST_VERSION:
            raise self._error(f"manifest_version is {found['manifest_version']}, and only {MANIFEST_VERSION} is known")
        if self._field(found, "manifest", "fingerprint_version", int) != FINGERPRINT_VERSION:
            raise self._error(
                f"fingerprint_version is {found['fingerprint_version']}, and only {FINGERPRINT_VERSION} is known"
            )
        made = Manifest(
            self._field(found, "manifest", "records", dict),
            self._field(found, "manifest", "partitioner", str),
            self._field(found, "manifest", "order", dict),
            [
                self._partition(number, each)
                for number, each in enumerate(self._field(found, "manifest", "partitions", list))
            ],
        )
        self._check_totals(made, self._field(found, "manifest", "totals", dict))
        return made

    def _partition(self, number: int, found: Any) -> Partition:
        where = f"partition {number}"
        file = self._field(found, where, "file", str)
        if Path(file).name != file or file in ("", ".", "..", MANIFEST_NAME):
            raise self._error(f"{where}: {file!r} names no file in this directory")
        return Partition(
            file,
            Content(
                self._count(found, where, "records"),
                self._count(found, where, "bytes"),
                self._key(found, where, "first_key"),
                self._key(found, where, "last_key"),
                self._fingerprint(found, where),
            ),
        )

    def _check_totals(self, made: Manifest, found: Any) -> None:
        total = made.total
        told = {name: self._count(found, "totals", name) for name in ("partitions", "records", "bytes")}
        sums = {"partitions": len(made.partitions), "records": total.records, "bytes": total.size_bytes}
        for name, value in sums.items():
            if told[name] != value:
                raise self._error(f"totals: {name} is {told[name]}, and the partitions come to {value}")
        fingerprint = self._fingerprint(found, "totals")
        if fingerprint != total.fingerprint:
            raise self._error(
                f"totals: fingerprint is {fingerprint:032x}, and the partitions come to {total.fingerprint:032x}"
            )

    def _field(self, found: Any, where: str, name: str, kind: type[Any]) -> Any:
        if not isinstance(found, dict) or name not in found:
            raise self._error(f"{where}: there is no {name}")
        value = found[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self._error(f"{where}: {name} is {json.dumps(value)[:80]}, which it cannot be")
        return value

    def _count(self, found: Any, where: str, name: str) -> int:
        value: int = self._field(found, where, name, int)
        if value < 0:
            raise self._error(f"{where}: {name} is {value}, which it cannot be")
        return value

    def _fingerprint(self, found: Any, where: str) -> int:
        text: str = self._field(found, where, "fingerprint", str)
        if len(text) != 32 or set(text) - set("0123456789abcdef"):
            raise self._error(f"{where}: fingerprint is {text[:80]!r}, and not 32 hexadecimal digits")
        return int(text, 16)

    def _key(self, found: Any, where: str, name: str) -> Key | None:
        if not isinstance(found, dict) or name not in found:
            raise self._error(f"{where}: there is no {name}")
        try:
            return decode_key(found[name])
        except (ValueError, TypeError, KeyError) as error:
            raise self._error(f"{where}: {name} is {json.dumps(found[name])[:80]}, which is no key") from error

    def _error(self, problem: str) -> ManifestError:
        return ManifestError(f"{self._path}: {problem}")
