"""No data is ever run: what is unpickled was written by this job, and what is loaded is this user's own.

An intruder here can read and write all spill files of a job, and knows the format. He does not know its key.
"""

from __future__ import annotations

import ast
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest

import shuffle
from io_manager import JobKey, RunCorruptError, run_draft, run_format
from io_manager.cipher import MacSeal, Unit
from io_manager.run_format import ALIGNMENT, HEADER_BYTES, align_up
from serializers import kernel_cache
from serializers.types import type_info_of
from shuffle import means
from shuffle.exchange import shuffle_run
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.exchange.task_errors import TaskFailedError
from shuffle.operators import value_store
from tests import tiny
from tests.test_exchange.executors import InlineExecutor
from tests.test_tidy import TREES

# --- an intruder


class Note:
    """Of a class that nobody described: pickled."""

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass
class Open:
    """Values of it are not pickled, but those of a subclass would be."""

    text: str


class Payload:
    """Makes a directory where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._mark),)


def forge(directory: Path, mark: Path, seal: str) -> int:
    """Put the payload in place of every pickle in every run below a directory, and make all checksums right again:
    how many there were. With `seal` "stolen" blocks are sealed as the intruder can: with a key of his own."""
    attack, count = pickle.dumps(Payload(mark), 5), 0
    for path in directory.rglob("*.spill"):
        data = memoryview(bytearray(path.read_bytes()))
        for block in _blocks(data):
            count += _forge_block(block, attack)
            _prove(block, seal)
        path.write_bytes(data)
    return count


def _blocks(data: memoryview) -> Iterator[memoryview]:
    start = ALIGNMENT
    while bytes(data[start : start + 4]) == b"SPBK":
        stored = int.from_bytes(data[start + 8 : start + 12], "little")
        end = start + align_up(HEADER_BYTES + stored)
        yield data[start:end]
        start = end


def _forge_block(block: memoryview, attack: bytes) -> int:
    text, start, count = bytes(block), HEADER_BYTES, 0
    while (place := text.find(b"\x80\x05", start)) >= 0 and place + len(attack) < len(block):
        block[place : place + len(attack)] = attack
        start, count = place + 200, count + 1
    return count


def _prove(block: memoryview, seal: str) -> None:
    if seal == "none":
        run_format._seal(block, 32)
    elif seal == "stolen":
        number = int.from_bytes(block[20:24], "little")
        own = JobKey(b"the key of somebody else, really", encrypts=False).file_seal(bytes(32))
        block[32:48] = own.seal(Unit.BLOCK.number(number), bytes(block[:32]), block[48:])


class Intruder(InlineExecutor):
    """Forges what map tasks have left, before the first task that reads it."""

    def __init__(self, directory: Path, mark: Path, seal: str) -> None:
        super().__init__(directory)
        self._forge: Callable[[], int] = lambda: forge(directory, mark, seal)
        self.forged = 0

    def submit(self, task: str, function: Any, *descriptions: Any) -> Any:
        if not task.startswith("map") and not self.forged:
            self.forged = self._forge()
        return super().submit(task, function, *descriptions)


VALUES = [Note(f"{number * 7919 % 3001:05}" + "n" * 300) for number in range(600)]


def sort_forged(machine: tiny.Machine, mark: Path, seal: str) -> None:
    with shuffle.Sorter[Any](key=text_of, temp_dirs=[machine.temp_dir]) as sorter:
        sorter.add(VALUES)
        result = sorter.finish()
        assert forge(machine.temp_dir, mark, seal) > 100
        list(result)


def shuffle_forged(machine: tiny.Machine, mark: Path, seal: str, **choices: Any) -> None:
    executor = Intruder(machine.temp_dir, mark, seal)
    pairs = [(note.text[:3], note) for note in VALUES]
    try:
        with Shuffle(partitions=2, split_records=300, **choices).run(iter(pairs), executor) as result:
            list(result)
    except TaskFailedError as error:
        assert error.__cause__ is not None
        raise error.__cause__ from None
    finally:
        assert executor.forged > 100


def ranges_forged(machine: tiny.Machine, mark: Path, seal: str) -> None:
    shuffle_forged(machine, mark, seal, partition_by="range")


def text_of(note: Note) -> str:
    return note.text


ATTACKS = [sort_forged, shuffle_forged, ranges_forged]


@pytest.mark.parametrize("seal", ["kept", "stolen"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_planted_pickle_never_runs(attack: Callable[..., None], seal: str, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    with tiny.machine(managed_bytes=96 << 10) as machine, pytest.raises(RunCorruptError, match="seal is broken"):
        attack(machine, mark, seal)
    assert not mark.exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_seals_it_would_run(attack: Callable[..., None], tmp_path: Path, monkeypatch: Any) -> None:
    """So the attack is a real one."""
    monkeypatch.setattr(means, "spill_key", lambda options: None)
    monkeypatch.setattr(shuffle_run.ShuffleRun, "_spill_key", lambda self, plan: None)
    mark = tmp_path / "it ran"
    with tiny.machine(managed_bytes=96 << 10) as machine, pytest.raises(Exception, match=r"pickle|exists|File|Note"):
        attack(machine, mark, "none")
    assert mark.exists()


@pytest.mark.parametrize("encrypts", [True, False])
def test_an_index_that_was_forged_is_refused(encrypts: bool) -> None:
    """Places in a run decide what is taken for a record: they are sealed as well."""

    class Forger(Intruder):
        def __init__(self, directory: Path) -> None:
            super().__init__(directory, directory, "kept")
            self._forge = lambda: sum(map(spoil, directory.rglob("*.index")))

    def spoil(path: Path) -> int:
        data = bytearray(path.read_bytes())
        assert data[8] == 2, "sealed"
        data[-200] ^= 1
        path.write_bytes(data)
        return 1

    pairs = [(note.text[:3], note) for note in VALUES]
    with tiny.machine(managed_bytes=96 << 10) as machine, pytest.raises(TaskFailedError, match="seal is broken"):
        Shuffle(partitions=2, encrypt_spill=encrypts).run(iter(pairs), Forger(machine.temp_dir))


# --- which types


class Undescribed:
    """Has no annotation."""

    def __init__(self) -> None:
        self.anything = 1


@final
@dataclass
class Holder:
    """Holds what is pickled."""

    what: Undescribed


@pytest.mark.parametrize(
    ("hint", "may_pickle"),
    [
        (int, False),
        (dict[str, list[int]], False),
        (tuple[str, float] | None, False),
        (Undescribed, True),
        (list[Undescribed], True),
        (dict[str, tuple[int, Undescribed | None]], True),
        (Holder, True),
        (Open, True),
        (list[Open], True),
        (int | Undescribed, True),
    ],
)
def test_types_say_whether_they_unpickle(hint: Any, may_pickle: bool) -> None:
    assert type_info_of(hint).may_pickle == may_pickle


def test_only_what_may_be_unpickled_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seal costs a second for 1 to 2 GB; a checksum nothing."""
    sealed: list[int] = []
    real = MacSeal.seal
    monkeypatch.setattr(MacSeal, "seal", lambda self, *unit: sealed.append(1) or real(self, *unit))
    for values, wanted in (([(note.text, 1) for note in VALUES], False), ([Open(note.text) for note in VALUES], True)):
        sealed.clear()
        with (
            tiny.machine(managed_bytes=96 << 10) as machine,
            shuffle.sort(values, temp_dirs=[machine.temp_dir]) as result,
        ):
            assert len(list(result)) == len(values) and result.report.spilled_bytes
        assert bool(sealed) == wanted


OPERATORS: dict[str, Callable[..., Any]] = {
    "sort": lambda **where: shuffle.sort(VALUES, key=text_of, **where),
    "distinct": lambda **where: shuffle.distinct(VALUES, key=text_of, **where),
    "top_k": lambda **where: shuffle.top_k(VALUES, 500, key=text_of, **where),
    "group_reduce": lambda **where: shuffle.group_reduce(VALUES, lambda key, _: [key], key=text_of, **where),
    "reduce_by_key": lambda **where: shuffle.reduce_by_key(
        [(note.text, note) for note in VALUES], lambda a, b: a, combine=False, **where
    ),
    "merge_join": lambda **where: shuffle.merge_join(VALUES, VALUES, left_key=text_of, right_key=text_of, **where),
    "merge_join of one key": lambda **where: shuffle.merge_join(
        VALUES[:2], VALUES, left_key=lambda note: 1, right_key=lambda note: 1, **where
    ),
    "aggregate": lambda **where: shuffle.aggregate(
        [(note.text, note) for note in VALUES], 0, "count,collect:1", **where
    ),
    "aggregate by a class": lambda **where: shuffle.aggregate(
        [(Open(note.text), 1) for note in VALUES], 0, "count,collect:1", **where
    ),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_seals_what_it_will_unpickle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed: list[bool] = []
    real = run_draft.seal_block

    def watch(view: memoryview, header: Any, seal: Any = None) -> memoryview:
        payload = bytes(view[HEADER_BYTES : HEADER_BYTES + header.stored_length])
        sealed.append(seal is not None)
        assert seal is not None or (b"Note" not in payload and b"Open" not in payload), "a pickle without a seal"
        return real(view, header, seal)

    monkeypatch.setattr(run_draft, "seal_block", watch)
    monkeypatch.setattr(value_store, "KEPT_BYTES", 10_000)
    with tiny.machine(managed_bytes=128 << 10) as machine, OPERATORS[name](temp_dirs=[machine.temp_dir]) as result:
        assert list(result)
    assert any(sealed)


def test_no_file_with_pickles_outlives_its_job() -> None:
    with pytest.raises(ValueError, match="pickled records cannot be resumed"):
        shuffle.SortOptions(resume=True, authentic=True)


# --- who may unpickle, or run text as code

MAY_RUN = {
    "serializers/types/generic.py": "values of types that nobody described; their runs are sealed with the job's key",
    "shuffle/exchange/record_file.py": "staged records and results; each batch is sealed with the job's key",
    "shuffle/exchange/tasks.py": "tasks and outcomes, over the pipe between driver and worker",
    "shuffle/exchange/task_manager.py": "outcomes, over the same pipe",
    "shuffle/exchange/worker.py": "what a worker is told first, over the same pipe",
    "shuffle/exchange/worker_process.py": "the same, on the driver's side",
    "serializers/columns/fields.py": "eval of a lambda of ours with an identifier in it, which is checked to be one",
}
"""Modules of the package that unpickle or make code, each with where the bytes are from."""

_MODULES = {"pickle", "cloudpickle", "marshal", "shelve", "dill", "jsonpickle", "joblib", "runpy"}
_CALLS = {"eval", "exec", "compile", "__import__"}


def _runs_code(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").partition(".")[0]]
        if _MODULES & set(names):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            return True
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
            return True
    return False


def test_few_may_run_what_they_read() -> None:
    assert {name for name, tree in TREES.items() if _runs_code(tree)} == set(MAY_RUN)


# --- compiled kernels are loaded from files: they must be ours


def test_a_kernel_that_somebody_else_could_write_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "kernel.o"
    kernel_cache._keep(file, "kernel", b"c" * 100)
    assert file.stat().st_mode & 0o777 == 0o600 and [path.name for path in tmp_path.iterdir()] == ["kernel.o"]
    assert kernel_cache._read_own(file) == b"c" * 100
    for mode in (0o620, 0o602, 0o666):
        file.chmod(mode)
        with pytest.raises(PermissionError):
            kernel_cache._read_own(file)
    file.chmod(0o644)
    assert kernel_cache._read_own(file)
    (tmp_path / "link.o").symlink_to(file)
    with pytest.raises(OSError):
        kernel_cache._read_own(tmp_path / "link.o")
    os.mkfifo(tmp_path / "pipe.o")
    with pytest.raises(OSError):
        kernel_cache._read_own(tmp_path / "pipe.o")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file somebody else's")
def test_a_kernel_of_somebody_else_is_not_loaded(tmp_path: Path) -> None:
    file = tmp_path / "kernel.o"
    kernel_cache._keep(file, "kernel", b"c" * 100)
    os.chown(file, 65534, 65534)
    assert kernel_cache._read(file) is None
