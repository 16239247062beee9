"""docs/RELIABILITY.md names the tests that hold its promises: they exist."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = re.sub("```.*?```", "", (HERE.parent.parent / "docs" / "RELIABILITY.md").read_text(), flags=re.DOTALL)


def named() -> list[tuple[str, str]]:
    """Files, and tests in them, as the tables have them; `::test` alone is one of the file before it."""
    found, file = [], ""
    for text in re.findall(r"`([^`]+)`", PAGE):
        if match := re.fullmatch(r"((?:\.\./\w+/)?(?:\.\./)?test_\w+\.py)?(?:::(test_\w+))?", text):
            file = match[1] or file
            found.append((file, match[2] or ""))
    return found


def test_what_the_page_names_is_there() -> None:
    assert len(named()) > 40
    for file, test in named():
        tree = ast.parse((HERE / file).read_text())
        tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not test or test in tests, (file, test)


def test_no_test_of_reliability_is_forgotten() -> None:
    files = {file for file, _ in named()}
    for path in HERE.glob("test_*.py"):
        assert path.name in files or path.name in ("test_stress_command.py", Path(__file__).name), path.name
