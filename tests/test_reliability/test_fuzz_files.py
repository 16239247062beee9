"""What else the engine reads that it wrote itself: manifests, record files, owners, kernels, and rows as values.

Each is changed at random, and either refused by an error that names it, or read as something that it can be.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from io_manager import JobKey, RunCorruptError, RunFile
from io_manager.journal import Journal, read_journal
from io_manager.owner import Owner
from serializers import kernel_cache
from serializers.errors import CorruptRecordError, NotOrderableError
from serializers.row_codec import RowCodec
from serializers.types.arrays import PythonArrayInfo
from serializers.types.containers import ListInfo
from serializers.types.text import STR
from serializers.views import BytesInput
from shuffle import files
from shuffle.cuts import Position
from shuffle.errors import ResumeError
from shuffle.exchange.record_file import RecordFileWriter
from shuffle.partitioned.manifest_reader import ManifestError, read_manifest
from shuffle.partitioned.verification import verify_directory
from shuffle.resume.records import (
    Cut,
    CutRange,
    CutSlice,
    KeptRun,
    Publication,
    RangeProgress,
    cut_record,
    merged_record,
    progress_record,
    publish_record,
    run_record,
)
from shuffle.resume.state import JobState
from tests.test_reliability import amounts
from tests.test_reliability.mutations import Mutator
from tests.test_serializers.random_schemas import random_record, random_value
from tests.test_serializers.same_value import same
from tests.test_shuffle.partitioned import MEMORY_BYTES

pytestmark = pytest.mark.usefixtures("no_growth")

PARTS = range(amounts.amount(1, 4))


JSON_PIECES = [b"null", b"[]", b"{}", b"-1", b"1e999", b"[" * 5000, b'"\\ud800"', b"\xff", b"9" * 5000]


# --- manifests


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One output of each kind."""
    root = tmp_path_factory.mktemp("outputs")
    (root / "lines").write_bytes(b"".join(b"%03d\n" % (n * 7 % 100) for n in range(100)))
    (root / "table.csv").write_text("name,amount\n" + "".join(f"n{n % 7},{n}\n" for n in range(50)))
    made = {}
    for name, source, choices in (
        ("range", "lines", {"partitioner": "range"}),
        ("hash", "lines", {"partitioner": "hash"}),
        ("fixed", "lines", {"partitioner": "range", "record_bytes": 4}),
        ("table", "table.csv", {"partitioner": "hash", "by": ["name"]}),
    ):
        made[name] = root / name
        files.shuffle_file(root / source, made[name], partitions=3, memory="200MiB", **choices)  # type: ignore[arg-type]
    return made


def check(directory: Path) -> bool:
    """Whether the manifest can be read at all; everything that is wrong is said, with the name of the file."""
    try:
        result = verify_directory(directory, memory_bytes=MEMORY_BYTES)
    except ManifestError as error:
        assert str(error).startswith(f"{directory}/manifest.json: "), error
        return False
    except (OSError, ValueError) as error:
        assert str(directory) in str(error), error
        return False
    assert all(str(directory) in problem.text for problem in result.problems)
    return True


@pytest.mark.parametrize("kind", ["range", "hash", "fixed", "table"])
def test_manifests(directories: dict[str, Path], tmp_path: Path, kind: str) -> None:
    directory = Path(shutil.copytree(directories[kind], tmp_path / "out"))
    original = (directory / "manifest.json").read_bytes()
    mutator = Mutator(
        amounts.source("manifests", kind), [b"null", b"[]", b"{}", b"1e999", b"[" * 100_000, b'"\\ud800"']
    )
    count = amounts.amount(60, 1000)
    accepted = 0
    for _ in range(count):
        (directory / "manifest.json").write_bytes(mutator.mutate(original))
        accepted += check(directory)
    amounts.report(f"manifests: {kind}", fuzz_inputs=count, accepted=accepted)


ODD: list[Any] = [
    *(None, True, -1, 0, 10**30, 1.5, float("nan"), [], [[]], {}, [1] * 100),
    *("", "x", "../up", "a/b", "\0", "\ud800", "part-00000.txt", "f" * 32),
    *({"text": "\ud800"}, {"hex": "0g"}, {"values": [1, [2]]}, {"values": None}, {"text": 1}, {"hex": 1}),
]


def places_in(found: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value, with each of its keys."""
    keys = list(found) if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else []
    for key in keys:
        yield found, key
        yield from places_in(found[key])


@pytest.mark.parametrize("kind", ["range", "hash", "fixed", "table"])
def test_manifests_of_other_shapes(directories: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Valid JSON with a value of any kind in any place."""
    random = amounts.source("shapes of manifests", kind)
    directory = Path(shutil.copytree(directories[kind], tmp_path / "out"))
    original = (directory / "manifest.json").read_text()
    count = amounts.amount(60, 1000)
    for _ in range(count):
        found = json.loads(original)
        for _ in range(random.randint(1, 2)):
            container, key = random.choice(list(places_in(found)))
            if random.random() < 0.2 and isinstance(container, dict):
                del container[key]
            else:
                container[key] = copy.deepcopy(random.choice(ODD))
        (directory / "manifest.json").write_text(json.dumps(found))
        check(directory)
    amounts.report(f"manifests of other shapes: {kind}", fuzz_inputs=count)


@pytest.mark.parametrize(("kind", "part", "name"), [("fixed", "records", "key_bytes"), ("table", "order", "by")])
def test_manifests_that_were_misread_once(
    directories: dict[str, Path], tmp_path: Path, kind: str, part: str, name: str
) -> None:
    """A length that is no whole number; partitions by hash of nothing."""
    directory = Path(shutil.copytree(directories[kind], tmp_path / "out"))
    found = json.loads((directory / "manifest.json").read_text())
    found[part][name] = {"key_bytes": 1.5, "by": []}[name]
    (directory / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(ManifestError, match=r"manifest\.json: records or order"):
        verify_directory(directory, memory_bytes=MEMORY_BYTES)


def test_manifests_that_are_bombs(tmp_path: Path) -> None:
    for text in ("[" * 1_000_000, '{"a":' * 1_000_000, "1" * 1_000_000, '"' + "x" * 1_000_000):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ManifestError, match=r"manifest\.json: ") as caught:
            read_manifest(tmp_path)
        assert len(str(caught.value)) < 1000


# --- files of records


@pytest.mark.parametrize("part", PARTS)
def test_record_files(tmp_path: Path, part: int) -> None:
    """No change goes unnoticed, and nothing that was changed is unpickled."""
    path = tmp_path / "records"
    with RecordFileWriter(path, JobKey(b"k" * 32, encrypts=False)) as writer:
        for batch in ([1, "two"], [3.0] * 40, [b"\xff" * 300]):
            writer.write(batch)
        file = writer.finish()
    original = path.read_bytes()
    mutator = Mutator(amounts.source("records", part))
    count = amounts.amount(100, 1500)
    for _ in range(count):
        data = mutator.mutate(original)
        path.write_bytes(data)
        try:
            found = list(file.read())
        except RunCorruptError as error:
            assert str(path) in str(error)
        else:
            assert data.startswith(original) and found == [1, "two", *[3.0] * 40, b"\xff" * 300]
    amounts.report("files of records", fuzz_inputs=count)


# --- owners of job directories


@pytest.mark.parametrize("part", PARTS)
def test_owners(part: int) -> None:
    """Somebody, or nobody; and asked whether he lives, never an error."""
    original = Owner.this_process().to_bytes()
    mutator = Mutator(
        amounts.source("owners", part), [b"-1", b"1e400", b"null", b"[]", b"[" * 5000, b"\xff", b'"\\ud800"']
    )
    count, accepted = amounts.amount(1000, 20_000), 0
    for _ in range(count):
        found = Owner.from_bytes(mutator.mutate(original))
        if found is not None:
            accepted += 1
            assert isinstance(found.is_dead(), bool)
    amounts.report("owners of job directories", fuzz_inputs=count, accepted=accepted)


# --- journals of jobs that can be resumed

DIRECTORIES = [Path("/spill/one"), Path("/spill/two")]


def journal_records() -> list[Any]:
    """What a job writes down until its output is there."""
    numbers = {"block_bytes": 8192, "disk_bytes": 65536, "block_count": 6, "record_count": 90, "raw_bytes": 40_000}
    runs = [
        KeptRun(
            RunFile(DIRECTORIES[n % 2] / f"run-{n:016x}.spill", n, **numbers, first_key=b"a", last_key=b"z"),
            range(40_000 * n, 40_000 * (n + 1)),
            90,
        )
        for n in range(4)
    ]
    merged = RunFile(DIRECTORIES[0] / f"run-{9:016x}.spill", 9, **numbers, first_key=b"", last_key=b"\xff")
    slices = tuple(CutSlice(number, Position(0, 0), Position(3, 17)) for number in range(3))
    return [
        *(run_record(run) for run in runs),
        merged_record([0, 1], merged),
        cut_record(Cut((9, 2, 3), (CutRange(0, slices), CutRange(60_000, slices)))),
        progress_record(0, RangeProgress(4096, 9, {0: Position(1, 5), 2: Position(0, 7)}, 12)),
        progress_record(1, RangeProgress(60_000, 90, None, 12)),
        {"kind": "lost", "run": 3},
        publish_record(Publication(7, 160_000, 360, 360)),
    ]


@pytest.mark.parametrize("part", PARTS)
def test_journals(tmp_path: Path, part: int) -> None:
    """What is read of a changed journal is a beginning of what was written."""
    expected = journal_records()
    written = Journal.create(tmp_path / "journal")
    for record in expected:
        written.append(record)
    written.close()
    original = (tmp_path / "journal").read_bytes()
    mutator = Mutator(amounts.source("journals", part), [*JSON_PIECES, *original.splitlines(keepends=True)])
    count = amounts.amount(200, 4000)
    for _ in range(count):
        (tmp_path / "journal").write_bytes(mutator.mutate(original))
        found = read_journal(tmp_path / "journal")
        assert found == expected[: len(found)]
    amounts.report("journals", fuzz_inputs=count)


@pytest.mark.parametrize("part", PARTS)
def test_journals_of_other_shapes(part: int) -> None:
    """Records that were chained rightly, with a value of any kind in any place: a state that can be, or a refusal."""
    random = amounts.source("shapes of journals", part)
    count, refused = amounts.amount(500, 10_000), 0
    for _ in range(count):
        records = json.loads(json.dumps(journal_records()))
        for _ in range(random.randint(1, 3)):
            container, key = random.choice([place for place in places_in(records) if place[0] is not records])
            container[key] = copy.deepcopy(random.choice([*ODD, 1 << 63, "run", "range", "/etc", [[0, 0, 0]]]))
        if random.random() < 0.3:
            random.shuffle(records)
        try:
            state = JobState.read(records, DIRECTORIES)
        except ResumeError as error:
            refused += 1
            assert str(DIRECTORIES[0]) in str(error) or str(DIRECTORIES[1]) in str(error)
            continue
        assert all(run.file.path.parent in DIRECTORIES for run in state.runs.values())
        assert sum(map(len, state.gaps(160_000))) <= 160_000
    amounts.report("journals of other shapes", fuzz_inputs=count, refused=refused)


# --- compiled kernels


def test_kernels(tmp_path: Path) -> None:
    """Code that is not what was compiled is never loaded."""
    path = tmp_path / "kernel.o"
    code = bytes(range(256)) * 20
    original = hashlib.sha256(code).digest() + code
    mutator = Mutator(amounts.source("kernels"))
    count = amounts.amount(100, 3000)
    for _ in range(count):
        path.write_bytes(mutator.mutate(original))
        assert kernel_cache._read(path) is None
    amounts.report("compiled kernels", fuzz_inputs=count, corrupted=count, detected=count)


# --- rows as values


@pytest.mark.parametrize("part", range(amounts.amount(1, 6)))
def test_rows_as_values(part: int) -> None:
    """The kernels that decode thousands of rows make of every row that they take what the serializers make of it.

    They do not read a key that the values do not need. Records that are pickled are authenticated before.
    """
    random = amounts.source("values", part)
    each, accepted = amounts.amount(40, 600), 0
    infos = [info for _ in range(8) for is_ordered in (True, False) if (info := schema(random, is_ordered)) is not None]
    for place, info in enumerate(infos):
        codec = RowCodec(info, info.create_comparator() if orderable(info) else None)
        mutator = Mutator(random)
        original = bytes(codec.encode([random_value(random, info) for _ in range(12)]).rows)
        for _ in range(each):
            data = mutator.mutate(original)
            expected = outcome(partial(codec._decode_slowly, np.frombuffer(data, np.uint8), 0))
            found = outcome(partial(codec.decode, memoryview(data), 0))
            assert found is not None or expected is None, (info, data)
            accepted += found is not None
            if found is not None and expected is not None:
                assert len(found) == len(expected) and all(map(same, found, expected)), (place, info, data)
    amounts.report("rows as values", fuzz_inputs=each * len(infos), accepted=accepted)


def test_a_key_of_an_array_of_characters_that_are_texts() -> None:
    key = ListInfo(STR).create_comparator().order_key(["a", "two"])
    with pytest.raises(CorruptRecordError, match="no key of an array of typecode 'u'"):
        PythonArrayInfo("u").create_comparator().read_key(BytesInput(key))


def schema(random: Random, is_ordered: bool) -> Any:
    """A type of any shape in which nothing is pickled; None if it did not come to one."""
    info = random_record(random, 2, orderable=is_ordered)
    return None if "GenericInfo" in repr(info) else info


def orderable(info: Any) -> bool:
    """Whether its values have an order."""
    try:
        info.create_comparator()
    except NotOrderableError:
        return False
    return True


def outcome(decode: Callable[[], list[Any]]) -> list[Any] | None:
    """The values; None if they are refused."""
    try:
        return decode()
    except CorruptRecordError:
        return None
