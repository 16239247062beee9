"""`encrypt_spill`: no byte of a record is in a temp directory as it is, no nonce comes twice, no change goes unseen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cli
import shuffle
from io_manager import (
    CIPHER_MEMORY_BYTES,
    BlockHeader,
    EncryptionMissingError,
    IOManager,
    JobKey,
    RunCorruptError,
    cipher,
    run_format,
)
from io_manager.cipher import FileSeal, GcmSeal, Unit
from memory import BufferPool
from shuffle.exchange.shuffle_job import Shuffle
from shuffle.surroundings import look_around_for_rows
from tests.test_exchange.executors import InlineExecutor, nothing_left
from tests.test_io_manager.harness import buffers, random_blocks, read_run, text_blocks, write_run
from tests.test_io_manager.harness import run as run_to_end
from tests.test_reliability.amounts import amount, report, source
from tests.test_reliability.spilled import NEEDLES, raw_bytes, recorded
from tests.test_reliability.spilling import JOBS, small_machine, sort_lines, texts

SECRET = b"no key is ever as plain as this!"


@pytest.mark.parametrize("compress", ["none", *amount((), ("lz4", "zstd", "auto"))])
@pytest.mark.parametrize("name", JOBS)
def test_no_plain_byte_is_spilled_and_no_nonce_comes_twice(
    name: str, compress: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[tuple[bytes, int]] = set()
    monkeypatch.setattr(GcmSeal, "seal", _watched(GcmSeal.seal, used))
    with small_machine() as machine, recorded(machine.temp_dir) as written:
        JOBS[name](machine, encrypt_spill=True, compress=compress)
    assert written.size_bytes > 20_000, "the job did not spill"
    assert not written.holds(*NEEDLES)
    files = written.names - {"direct.probe"}
    assert len({key for key, _ in used}) == len(files), "each file has a key of its own"
    report(f"encryption {name} {compress}", bytes=written.size_bytes, jobs=1)


@pytest.mark.parametrize("name", amount(("sort_lines", "aggregate_table", "join_tables", "shuffle_objects"), [*JOBS]))
def test_the_needle_would_be_found(name: str) -> None:
    with small_machine() as machine, recorded(machine.temp_dir) as written:
        JOBS[name](machine)
    assert written.holds(*NEEDLES)


@pytest.mark.parametrize("compress", amount(["zstd"], ["lz4", "zstd"]))
def test_what_is_compressed_is_encrypted_all_the_same(compress: str) -> None:
    with small_machine() as machine, recorded(machine.temp_dir) as written:
        sort_lines(machine, encrypt_spill=True, compress=compress)
        compressed = machine.report.spilled_bytes
    assert not written.holds(*NEEDLES)
    with small_machine() as machine:
        sort_lines(machine)
        assert compressed < machine.report.spilled_bytes


# --- the key


def _watched(seal: Callable[..., bytes], used: set[tuple[bytes, int]]) -> Callable[..., bytes]:
    def watching(self: FileSeal, number: int, head: Any, body: memoryview) -> bytes:
        assert (self._key, number) not in used, "a nonce comes twice"
        used.add((self._key, number))
        return seal(self, number, head, body)

    return watching


def test_units_of_two_kinds_have_no_number_in_common() -> None:
    numbers = [kind.number(count) for kind in Unit for count in (0, 1, (1 << 64) - 1)]
    assert len(set(numbers)) == len(numbers) and max(numbers) < 1 << 96


def test_nobody_is_shown_the_key() -> None:
    key = JobKey.generate(encrypts=True)
    assert len(key.secret) == 32 and key != JobKey.generate(encrypts=True)
    for shown in (repr(key), str(key), f"{shuffle.SortOptions(job_key=key)}"):
        assert repr(key.secret)[2:-1] not in shown and key.secret.hex() not in shown


def scan(key: str, values: Iterator[str]) -> Iterator[tuple[int, int, int, bool]]:
    """In a worker, while all map outputs are there: files, bytes, plain files, and whether anybody sees the key."""
    files = raw_bytes(Path(next(values).partition("|")[2]))
    plain = [data for data in files.values() if any(needle in data for needle in NEEDLES)]
    process = b"".join(Path(f"/proc/self/{name}").read_bytes() for name in ("environ", "cmdline"))
    seen = any(form in data for form in (SECRET, SECRET.hex().encode()) for data in [process, *files.values()])
    yield len(files), sum(map(len, files.values())), len(plain), seen


@pytest.mark.parametrize("encrypts", amount([True], [True, False]))
def test_workers_share_the_key_and_nobody_else(monkeypatch: pytest.MonkeyPatch, encrypts: bool) -> None:
    monkeypatch.setattr(cipher.os, "urandom", lambda size: SECRET if size == 32 else bytes(size))
    with nothing_left() as directory:
        pairs = [(text[:7], f"{text}|{directory}") for text in texts(2000, 16, 5)]
        job = Shuffle(
            group_reduce=scan,
            partitions=2,
            split_records=500,
            slots=2,
            memory="512MiB",
            temp_dirs=[directory],
            encrypt_spill=encrypts,
        )
        with job.run(iter(pairs)) as result:
            found = list(result)
            at_rest = raw_bytes(directory)
        assert len(found) == 5 and all(files >= 8 and size > 50_000 for files, size, _, _ in found)
        assert not any(seen for *_, seen in found)
        assert all((plain == 0) == encrypts for _, _, plain, _ in found)
        assert not any(SECRET in data or (encrypts and b"NEEDLE" in data) for data in at_rest.values())


# --- changes


@pytest.mark.parametrize("part", range(amount(1, 5)))
@pytest.mark.parametrize("encrypts", [True, False])
def test_any_change_of_a_sealed_run_is_found(tmp_path: Path, encrypts: bool, part: int) -> None:
    """A flipped bit anywhere, a block of another run of the same job, a run of another job, a plain run."""

    async def attempt(pool: BufferPool) -> None:
        rng, flips = source("sealed runs", encrypts, part), amount(60, 300)
        key = JobKey.generate(encrypts=encrypts)
        async with IOManager([tmp_path], direct=False, codec="lz4", key=key) as io:
            blocks = [*random_blocks(3), *text_blocks(2)]
            run = await write_run(io, pool, blocks)
            twin = await write_run(io, pool, blocks)
            whole, other = run.path.read_bytes(), twin.path.read_bytes()
            assert [bytes(payload) for payload in await read_run(io, pool, run)] == [b.payload for b in blocks]
            places = [rng.randrange(len(whole)) for _ in range(flips)]
            for place in places:
                await _is_refused(io, pool, run, _flipped(whole, place, rng.randrange(8)))
            for start in range(0, len(whole), 4096):
                page = slice(start, start + 4096)
                if other[page] == whole[page]:
                    continue  # of what is not encrypted: the second page of a block
                await _is_refused(io, pool, run, whole[:start] + other[page] + whole[page.stop :])
            await _is_refused(io, pool, run, other)
            report(f"sealed runs {encrypts} {part}", corrupted=flips, detected=flips)
            run.path.write_bytes(whole)
            assert len(await read_run(io, pool, run)) == len(blocks)
            for stranger in (None, JobKey.generate(encrypts=encrypts), JobKey(key.secret, not encrypts)):
                async with IOManager([tmp_path], direct=False, key=stranger) as others:
                    await _is_refused(others, pool, run, whole)

    with buffers(8) as pool:
        run_to_end(attempt(pool))


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


async def _is_refused(io: IOManager, pool: BufferPool, run: Any, data: bytes) -> None:
    run.path.write_bytes(data)
    with pytest.raises(RunCorruptError, match=re.escape(str(run.path))):
        await read_run(io, pool, run)


def test_a_block_is_encrypted_where_it_stands() -> None:
    """So there is no ciphertext that a budget would have to know of."""
    seal = JobKey.generate(encrypts=True).file_seal(bytes(32))
    size = 1 << 20
    view, header = memoryview(bytearray(size)), BlockHeader(0, size - 128, size - 128, 1, 0, 7, b"key")
    run_format.verify_block(run_format.seal_block(view, header, seal), header, seal)  # what is loaded, is
    tracemalloc.start()
    try:
        run_format.verify_block(run_format.seal_block(view, header, seal), header, seal)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 10, peak


LOAD = """
from pathlib import Path
import shuffle.engine
from io_manager import JobKey
def resident(): return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
JobKey.generate(encrypts=True).file_seal(bytes(32)).seal(1, b"head", memoryview(bytearray(1 << 20)))
print(resident() - before - (1 << 20))
"""


def test_the_cipher_is_in_the_budget() -> None:
    plain, encrypted = (look_around_for_rows(shuffle.SortOptions(encrypt_spill=each)) for each in (False, True))
    assert encrypted.framework_bytes - plain.framework_bytes == CIPHER_MEMORY_BYTES
    environment = {**os.environ, "PYTHONPATH": str(Path(shuffle.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) <= CIPHER_MEMORY_BYTES, done.stdout


# --- what is refused


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cipher, "find_spec", lambda name: None)
    with pytest.raises(EncryptionMissingError, match=r"pip install 'spillway\[encrypt\]'"):
        shuffle.sort([1, 2], encrypt_spill=True)
    with pytest.raises(EncryptionMissingError), nothing_left() as directory:
        Shuffle(encrypt_spill=True).run([(1, 2)], InlineExecutor(directory))
    (tmp_path / "input").write_bytes(b"b\na\n")
    words = ["sort", "--encrypt-spill", str(tmp_path / "input"), str(tmp_path / "output")]
    assert cli.run(words) == cli.ERROR
    assert "spillway[encrypt]" in capsys.readouterr().err and not (tmp_path / "output").exists()


def test_the_command_takes_it(tmp_path: Path) -> None:
    lines = os.urandom(30_000).replace(b"\n", b"") + b"\n"
    (tmp_path / "input").write_bytes(lines)
    words = ["-T", str(tmp_path), "--encrypt-spill", str(tmp_path / "input")]
    assert cli.run(["sort", *words, str(tmp_path / "output")]) == cli.OK
    assert (tmp_path / "output").read_bytes() == lines
    assert cli.run(["shuffle", "--partitions", "2", *words, str(tmp_path / "parts")]) == cli.OK


def test_it_cannot_be_resumed() -> None:
    with pytest.raises(ValueError, match="--resume cannot be combined with --encrypt-spill: the key is in memory only"):
        shuffle.SortOptions(resume=True, encrypt_spill=True)
