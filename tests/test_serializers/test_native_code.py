"""Machine code from the cache: right at any signature, refused where damaged, never called with wrong types."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from serializers import kernel_cache, native_code
from serializers.kernel_cache import kernel
from serializers.native_code import Argument, Signature, parse_signature

ROOT = Path(__file__).parent.parent.parent

SOURCE = """
import numpy as np
from serializers.kernel_cache import kernel

@kernel("Tuple((uint64, float64, boolean))(uint64[::1], float64, boolean)")
def summed(numbers, factor, is_odd):
    total = np.uint64(0)
    for number in numbers:
        total += number
    return total, factor * {factor}, not is_odd
"""


def load_module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kernel_cache, "_usable_cache", lambda: tmp_path)
    return tmp_path


@kernel("Tuple((int64, uint64, float64, boolean))(uint8[:, ::1], int64, float64, boolean)")
def everything(table, number, factor, flag):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            total = total * np.uint64(3) + np.uint64(table[row, column])
    return -number, total, factor / 2.0, not flag


@kernel("void(int32[::1])")
def doubled(numbers):  # type: ignore[no-untyped-def]
    for i in range(len(numbers)):
        numbers[i] *= np.int32(2)


def test_values_go_in_and_come_out() -> None:
    table = np.arange(6, dtype=np.uint8).reshape(2, 3)
    wanted = 0
    for number in range(6):
        wanted = wanted * 3 + number
    assert everything(table, -5, 3.0, True) == (5, wanted, 1.5, False)
    assert everything(np.empty((0, 3), np.uint8), np.int64(5), 1, np.bool_(False)) == (-5, 0, 0.5, True)
    numbers = np.array([1, -2, 3], np.int32)
    assert doubled(numbers) is None and numbers.tolist() == [2, -4, 6]


@pytest.mark.parametrize(
    "table",
    [
        np.zeros((2, 3), np.int8),
        np.zeros((2, 3), ">u2"),
        np.zeros(6, np.uint8),
        np.zeros((3, 2), np.uint8).T,
        np.zeros((2, 6), np.uint8)[:, ::2],
    ],
    ids=["dtype", "order", "dimensions", "transposed", "strided"],
)
def test_arrays_of_another_kind_are_refused(table: Any) -> None:
    with pytest.raises(TypeError, match="a C-contiguous 2-d array of uint8 wanted"):
        everything(table, 1, 1.0, True)


def test_the_number_of_arguments_is_checked() -> None:
    with pytest.raises(ValueError):
        doubled()


def test_signatures() -> None:
    assert parse_signature("void(uint64)") == Signature((), False, (Argument("uint64", 0),))
    assert parse_signature("uint64()") == Signature(("uint64",), False, ())
    assert parse_signature("Tuple((int64, boolean))(uint64[:, ::1], uint8[::1], float64)") == Signature(
        ("int64", "boolean"), True, (Argument("uint64", 2), Argument("uint8", 1), Argument("float64", 0))
    )
    for wrong in ("uint64(uint64[:])", "uint64(complex128)", "uint64(uint64[::1, :])", "string(uint64)"):
        with pytest.raises(AssertionError):
            parse_signature(wrong)


def test_a_changed_source_is_compiled_again_and_the_old_code_goes(own_cache: Path) -> None:
    source = own_cache / "summing.py"
    numbers = np.array([1, 2, 3], np.uint64)
    found = []
    for factor in (2, 3):
        source.write_text(SOURCE.format(factor=factor))
        kernel_cache._source.cache_clear()
        assert load_module(source, "summing").summed(numbers, 1.5, True) == (6, 1.5 * factor, False)
        found.append(sorted(own_cache.glob("*.o")))
    assert len(found[0]) == len(found[1]) == 1 and found[0] != found[1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:],
    ],
    ids=["emptied", "cut short", "one bit"],
)
def test_damaged_code_is_never_run(own_cache: Path, damage: Callable[[bytes], bytes]) -> None:
    source = own_cache / "damaged.py"
    source.write_text(SOURCE.format(factor=2))
    load_module(source, "damaged")
    (file,) = own_cache.glob("*.o")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert load_module(source, "damaged").summed(np.array([4], np.uint64), 1.0, False) == (4, 2.0, True)
    assert len(file.read_bytes()) == len(whole)


def test_a_kernel_that_allocates_is_refused(own_cache: Path) -> None:
    source = own_cache / "greedy.py"
    source.write_text(
        "import numpy as np\n"
        "from serializers.kernel_cache import kernel\n"
        '@kernel("uint64(uint64)")\n'
        "def greedy(count):\n"
        "    return np.uint64(np.ones(count).sum())\n"
    )
    with pytest.raises(Exception, match=r"Only accept returning of array|kernels allocate"):
        load_module(source, "greedy")
    assert not list(own_cache.glob("*.o"))


def test_a_warm_start_needs_no_compiler() -> None:
    code = "import sys; from shuffle import engine, verify; print(*sys.modules)"
    for _ in range(2):  # the first may have to compile
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "numba" not in done.stdout.split() and "serializers.native_code" in done.stdout.split()


def test_the_processor_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = kernel_cache.cache_directory()
    kernel_cache._environment.cache_clear()
    monkeypatch.setattr(native_code, "processor", lambda: "another")
    try:
        assert kernel_cache.cache_directory() != here
    finally:
        kernel_cache._environment.cache_clear()
