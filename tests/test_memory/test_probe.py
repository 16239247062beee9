"""What the system says, against systems made of files, and against this very process."""

import resource
import subprocess
import sys

import pytest

from memory import probe
from memory.sizes import GIB, MIB

UNLIMITED_V1 = "9223372036854771712\n"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def system(tmp_path):
    """Write the files of a made-up system and ask it for its limit: system(membership, {file: content})."""

    def ask(membership, files):
        (tmp_path / "cgroup").write_text(membership)
        for name, content in files.items():
            file = tmp_path / "fs" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return probe.cgroup_memory_limit(tmp_path / "cgroup", tmp_path / "fs")

    return ask


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("", {}, None),
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/\n", {"memory.max": "1073741824\n"}, GIB),
        ("0::/job\n", {"memory.max": "max\n", "job/memory.max": "1048576\n"}, MIB),
        ("0::/a/b\n", {"a/memory.max": "1048576\n", "a/b/memory.max": "1073741824\n"}, MIB),
        ("0::/a/b\n", {"a/memory.max": "1073741824\n", "a/b/memory.max": "1048576\n"}, MIB),
        ("0::/not/seen/in/here\n", {"memory.max": "1048576\n"}, MIB),
        ("0::/\n", {"memory.max": ""}, None),
        ("0::/\n", {"memory.max": "what?\n"}, None),
        ("4:memory:/job\n", {"memory/job/memory.limit_in_bytes": "1048576\n"}, MIB),
        ("4:cpu,memory:/job\n", {"memory/memory.limit_in_bytes": "1048576\n"}, MIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED_V1}, int(UNLIMITED_V1)),
        ("3:cpu:/job\nnonsense\n\n", {"memory.max": "1048576\n"}, None),
        ("4:memory:/job\n0::/job\n", {"job/memory.max": "7\n", "memory/job/memory.limit_in_bytes": "9\n"}, 7),
    ],
)
def test_the_tightest_group_counts(system, membership, files, limit):
    assert system(membership, files) == limit


def test_without_cgroups_there_is_no_limit(tmp_path):
    assert probe.cgroup_memory_limit(tmp_path / "none", tmp_path) is None


def test_the_least_limit_counts(monkeypatch):
    monkeypatch.setattr(probe, "physical_memory_bytes", lambda: 8 * GIB)
    monkeypatch.setattr(probe, "cgroup_memory_limit", lambda: None)
    monkeypatch.setattr(probe.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert probe.process_memory_limit() == 8 * GIB
    monkeypatch.setattr(probe, "cgroup_memory_limit", lambda: 3 * GIB)
    assert probe.process_memory_limit() == 3 * GIB
    monkeypatch.setattr(probe.resource, "getrlimit", lambda _: (2 * GIB, resource.RLIM_INFINITY))
    assert probe.process_memory_limit() == 2 * GIB
    assert probe.default_memory_bytes() == GIB


def test_this_machine_answers():
    assert 0 < probe.default_memory_bytes() <= probe.process_memory_limit() // 2
    assert probe.process_memory_limit() <= probe.physical_memory_bytes()
    assert MIB < probe.resident_bytes() <= 2 * probe.peak_resident_bytes()


def test_without_proc_there_is_still_an_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "_PROC", tmp_path)
    most = probe.resident_bytes()
    assert most == probe.peak_resident_bytes() > MIB


@linux_only
def test_resident_memory_comes_and_goes_and_the_peak_stays():
    before = probe.resident_bytes()
    block = bytearray(b"x") * (64 * MIB)
    during = probe.resident_bytes()
    del block
    assert during > before + 56 * MIB
    assert probe.resident_bytes() < during - 56 * MIB
    assert probe.peak_resident_bytes() > during - 8 * MIB


@linux_only
def test_the_peak_is_not_inherited_from_the_parent():
    block = bytearray(b"x") * (128 * MIB)
    program = "from memory.probe import peak_resident_bytes; print(peak_resident_bytes())"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(child.stdout) < len(block)
