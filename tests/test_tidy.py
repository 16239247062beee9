"""The repository polices itself: floors, the place of numba, what is shipped, public lists, docstrings."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "memory": {"memory"},
    "io_manager": {"memory", "io_manager"},
    "serializers": {"memory", "serializers"},
    "shuffle": {"memory", "io_manager", "serializers", "shuffle"},
    "cli": {"memory", "io_manager", "serializers", "shuffle", "cli"},
}
OURS = {*FLOORS, "tests", "benchmarks"}
PACKAGES = [name for name in FLOORS if name != "cli"]
COMPILERS = {"numba", "llvmlite"}
KERNEL_FILES = {
    f"serializers/{name}.py"
    for name in (
        "intrinsics",
        "kernel_cache",
        "kernel_compiler",
        "kernels",
        "keys",
        "native_code",
        "row_bytes",
        "row_kernels",
    )
}

SOURCES = [ROOT / "cli.py", *sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))]
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_bytes(), str(path)) for path in SOURCES}
"""What is shipped, by the name of the file."""


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("name", TREES)
def test_imports_go_down_and_are_absolute(name: str) -> None:
    floor = top(name.replace("/", "."))
    for module in imported(TREES[name]):
        assert not module.startswith("."), f"{name}: {module} is relative"
        assert top(module) not in OURS - FLOORS[floor], f"{name}: {module} is no floor below {floor}"


def test_compiled_code_has_its_place() -> None:
    found = {name for name, tree in TREES.items() if COMPILERS & {top(module) for module in imported(tree)}}
    allowed = KERNEL_FILES | {name for name in TREES if name.startswith("shuffle/kernels/")}
    assert found <= allowed, found - allowed
    declared = {name for name, tree in TREES.items() if "serializers.kernel_cache" in set(imported(tree))}
    assert declared - {"cli.py"} <= allowed, declared - allowed


def test_no_kernel_runs_in_parallel_by_itself() -> None:
    for name, tree in TREES.items():
        keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
        assert "parallel" not in keywords, name


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import memory", {"numpy", "aiofiles"}),
        ("import io_manager", {"click"}),
        ("import serializers", {"asyncio"}),
        ("import shuffle", {"click", "rich"}),
        ("import cli; cli.run(['sort', '--help'])", {"numpy", "rich", "aiofiles"}),
    ],
)
def test_what_starts_quickly_stays_quick(statement: str, absent: set[str]) -> None:
    code = f"import sys\n{statement}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not (absent | COMPILERS | {"pyarrow", "cryptography"}) & set(done.stderr.split())


@pytest.mark.parametrize("name", [name for name in TREES if "__all__" in (ROOT / name).read_text()])
def test_public_lists_are_true_and_sorted(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    listed = module.__all__
    assert [each for each in listed if not hasattr(module, each)] == []
    assert listed == sorted(set(listed), key=lambda each: (not each.isupper(), not each[0].isupper(), natural(each)))


def natural(name: str) -> list[tuple[int, str]]:
    """What orders Int8 before Int16, as ruff does."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


@pytest.mark.parametrize("name", PACKAGES)
def test_packages_say_what_is_public(name: str) -> None:
    tree = TREES[f"{name}/__init__.py"]
    exported = {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert exported == set(importlib.import_module(name).__all__)


# --- docstrings


@pytest.mark.parametrize("name", [name for name in TREES if (ROOT / name).stat().st_size])
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(TREES[name])


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Public functions, classes and their public methods, by their dotted names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def test_everything_public_says_what_it_does() -> None:
    """What a protocol or a base class has documented need not be said again by those who do it."""
    known: set[str] = set()
    silent = []
    for name, tree in TREES.items():
        for dotted, node in definitions(tree):
            if ast.get_docstring(node):
                known.add(dotted.rpartition(".")[2])
            else:
                silent.append((f"{name}: {dotted}", dotted))
    assert [place for place, dotted in silent if "." not in dotted or dotted.rpartition(".")[2] not in known] == []


# --- what is shipped


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]


def test_the_wheel_ships_five_names() -> None:
    """Read from the configuration: to build it would need the network."""
    shipped = PROJECT["tool"]["setuptools"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES if path.parent != ROOT}
    assert set(shipped["packages"]) == folders and shipped["packages"] == sorted(folders)
    assert shipped["py-modules"] == ["cli"]
    assert {top(name) for name in shipped["packages"]} | {"cli"} == set(FLOORS)
    assert PROJECT["project"]["scripts"] == {"spillway": "cli:main"}
    for name in PACKAGES:
        assert (ROOT / name / "py.typed").exists() and shipped["package-data"][name] == ["py.typed"]
    for folder in folders:
        assert (ROOT / folder.replace(".", "/") / "__init__.py").exists(), folder


def test_what_is_imported_is_declared() -> None:
    declared = set(map(distribution, [*PROJECT["project"]["dependencies"], *EXTRAS["arrow"], *EXTRAS["encrypt"]]))
    wanted = {top(module) for tree in TREES.values() for module in imported(tree)}
    foreign = wanted - set(sys.stdlib_module_names) - set(FLOORS)
    assert foreign == declared
    extras = [*EXTRAS["arrow"], *EXTRAS["encrypt"]]
    assert set(map(distribution, extras)) <= set(map(distribution, EXTRAS["dev"]))


def distribution(requirement: str) -> str:
    """The name in a requirement."""
    return re.split(r"[>=<\[]", requirement)[0]


MACHINE_PATH = re.compile(r"(?<![\w.~*])/(home|root|Users|work|mnt)/\w")


def test_no_machine_is_named() -> None:
    texts = [path for pattern in ("*.md", "*.toml", "Makefile") for path in ROOT.glob(pattern)]
    for folder in (*PACKAGES, "tests", "benchmarks", "docs", "examples"):
        texts += [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".toml"}]
    for path in [*texts, ROOT / "cli.py"]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert not MACHINE_PATH.search(line), f"{path.relative_to(ROOT)}:{number}: {line}"


NO_INPUT_OUTPUT = {
    "fsdecode",
    "fsencode",
    "fspath",
    "geteuid",
    "getpid",
    "isatty",
    "kill",
    "register_at_fork",
    "set_blocking",
    "strerror",
    "urandom",
}
"""Of `os`: what touches no file system. `umask` is read where /proc does not tell it."""

PATH_CALLS = {"chmod", "iterdir", "lchmod", "lstat", "mkdir", "open", "rename", "rmdir", "stat", "touch", "unlink"}


@pytest.mark.parametrize("name", [name for name in TREES if name.startswith("io_manager/") and "system" not in name])
def test_there_is_one_boundary_to_the_operating_system(name: str) -> None:
    """What passes elsewhere is what no fault is ever injected into."""
    for call in (node.func for node in ast.walk(TREES[name]) if isinstance(node, ast.Call)):
        if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "os":
            assert call.attr in NO_INPUT_OUTPUT | {"umask"}, f"{name}:{call.lineno}: os.{call.attr}"
        elif isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id.endswith("path"):
            assert call.attr not in PATH_CALLS, f"{name}:{call.lineno}: {call.value.id}.{call.attr}"
        elif isinstance(call, ast.Name):
            assert call.id != "open", f"{name}:{call.lineno}: open"
    assert not {"shutil", "tempfile"} & set(imported(TREES[name])), name
