"""The README is a promise: its Python runs as it stands, and its commands have the options that it names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import shuffle

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one session, one after the other, in a directory with the files they name."""
    for name, content in {
        "input.txt": b"b\na\n",
        "a.bin": bytes(range(100)) * 3,
        "b.bin": bytes(100),
        "monday.txt": b"a\nc\n",
        "tuesday.txt": b"b\nc\n",
    }.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    assert len(BLOCKS) >= 2
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), session)
    assert (tmp_path / "output.txt").read_bytes() == b"a\nb\n"
    assert (tmp_path / "all.txt").read_bytes() == b"a\nb\nc\n"
    printed = capsys.readouterr().out
    assert (tmp_path / "parts" / "manifest.json").exists()
    assert "[('Chile', 1), ('Norway', 2)]\n" in printed
    assert "('Chile', 70, 'copper')\n('Norway', 90, 'fish')\n('Norway', 20, 'skis')\n" in printed


def test_the_tour_of_shuffles_is_true() -> None:
    """docs/SHUFFLE.md asserts what it shows."""
    session: dict[str, object] = {"shuffle": shuffle}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "SHUFFLE.md").read_text(), re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        exec(compile(block, "SHUFFLE.md", "exec"), session)


def test_options_of_sort_exist() -> None:
    told = subprocess.run(
        [sys.executable, "cli.py", "sort", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    table = README[README.index("| option of `sort`") : README.index("Exit status")]
    named = set(re.findall(r"`(-[-\w]+)", table))
    assert len(named) > 15
    assert [option for option in sorted(named) if option not in told] == []
