"""The architecture as a test: no module imports itself by way of others, and a dataset kind reaches for nothing but `generate`.

Counted are the imports of every module, those for type checkers and those inside functions too. Not counted are the strings of the tables
from which packages re-export lazily (`_HOMES` and its like): they are public names, and no module of ours takes anything by them. That a
package's `__init__` runs when one of its modules is imported does not count either.
"""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import datafast
from datafast.registry import BUILT_IN, kind_names, load_kind

PACKAGE = Path(datafast.__file__).parent
ROOT = PACKAGE.parent
KINDS_NEVER_IMPORT = {
    "aiohttp",
    "asyncio",
    "httpx",
    "io",
    "litellm",
    "os",
    "requests",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
KINDS_NEVER_CALL = {"open", "read_bytes", "read_text", "write_bytes", "write_text"}


def module_name(path: Path) -> str:
    parts = ["datafast", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not counted here"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def cycles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """The groups of modules that reach one another (Tarjan, 1972)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[frozenset[str]] = []

    def visit(name: str) -> None:
        numbers[name] = lowest[name] = len(numbers)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == numbers[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph[name]:
                found.append(frozenset(group))

    for name in sorted(graph):
        if name not in numbers:
            visit(name)
    return found


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {name: {other for other in imported(path) if other in MODULES} for name, path in MODULES.items()}
    assert len(graph) > 100
    assert [sorted(group) for group in cycles(graph)] == []


def test_the_search_finds_circles_of_any_size() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"d"}, "e": {"a", "f"}, "f": set()}
    assert set(cycles(graph)) == {frozenset("abc"), frozenset("d")}


STEP = re.compile(r"^\| \d+ \| `(?:(\w+)\.)?(\w+)` \| `([\w/]+?)(\.py|/)` \|", re.MULTILINE)


def test_the_way_of_a_row_is_told_as_it_is() -> None:
    """The names in the design overview are in the files that it names, and there are few."""
    overview = (ROOT / "docs" / "design" / "overview.md").read_text(encoding="utf-8")
    steps = STEP.findall(overview)
    assert 8 <= len(steps) <= 12
    assert len({place for _, _, place, _ in steps}) <= 7
    for owner, name, place, ending in steps:
        path = PACKAGE / f"{place}.py" if ending == ".py" else PACKAGE / "llms" / "base.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        homes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == owner]
        home = homes[0] if owner else tree
        assert any(getattr(node, "name", None) == name for node in home.body), f"{owner}.{name} is not in {path}"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design/overview.md"])
def test_the_map_of_the_layers_is_told_as_it_is_checked(page: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    checked = [layer.replace("datafast.", "") for layer in contracts[0]["layers"]]
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if re.match(r"    cli( |$)", line))
    told = [re.split(r" {2,}", line.strip())[0] for line in lines[start : start + len(checked)]]
    assert told == checked
    assert not lines[start + len(checked)].strip()


def test_the_map_of_the_house_has_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = {
        name.rstrip("/")
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for name in re.findall(r"`([\w/.]+)`", row)
    }
    rooms = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert sorted((rooms | modules) - told) == []
    assert [name for name in sorted(told) if not name.startswith("datafast.") and not (PACKAGE / name).exists()] == []


def sources_of(kind: str) -> list[Path]:
    """The module of a kind; with its neighbours, where it has a folder of its own."""
    path = Path(inspect.getsourcefile(load_kind(kind)) or "")
    home = path.parent
    return [path] if (home / "entry.py").exists() else sorted(home.glob("*.py"))


@pytest.mark.parametrize("kind", kind_names())
def test_a_kind_reaches_for_no_model_no_file_and_no_clock(kind: str) -> None:
    """Every kind that can be loaded, those of installed packages too."""
    paths = sources_of(kind)
    assert paths
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {name.partition(".")[0] for name in imported(path)} & KINDS_NEVER_IMPORT, path
        functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        called = {
            function.id if isinstance(function, ast.Name) else getattr(function, "attr", "") for function in functions
        }
        assert not called & KINDS_NEVER_CALL, path


def test_every_built_in_kind_is_held_to_it() -> None:
    assert set(BUILT_IN["datafast.kinds"]) <= set(kind_names())
    for kind, home in BUILT_IN["datafast.kinds"].items():
        assert MODULES[home.partition(":")[0]] in sources_of(kind)
