"""The public list of the floor, and what it must not load."""

import subprocess
import sys

import memory


def test_the_public_list_is_sorted_and_true():
    constants = [name for name in memory.__all__ if name.isupper()]
    classes = [name for name in memory.__all__ if name[0].isupper() and not name.isupper()]
    functions = [name for name in memory.__all__ if name.islower()]
    assert memory.__all__ == sorted(constants) + sorted(classes) + sorted(functions)
    assert all(hasattr(memory, name) for name in memory.__all__)


def test_nothing_heavy_and_nothing_of_ours_is_loaded():
    program = (
        "import sys, memory\n"
        "heavy = {'numpy', 'numba', 'pyarrow', 'aiofiles', 'click', 'io_manager', 'serializers', 'shuffle'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
