"""What is wrong with a config has its place, for editors: in the examples with one name misspelt, and in texts that are hostile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from datafast._util.yaml_file import FileRefused, Place, Problem
from datafast.config_files.loader import load_project, project_of_text
from tests.support import ROOT

pytestmark = pytest.mark.filterwarnings(
    "ignore::datafast.errors.DatafastWarning"
)  # a name that is wrong leaves others unused

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
OWN = {
    "source",
    "tools",
    "tool_results",
    "output_columns",
    "topics_and_subtopics",
    "columns",
    "best_of_n",
    "languages",
    "placeholders",
}
"""Fields with names of the user's own in them, which may be any."""
EXPECTED = {"kind", "providers"}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def problems_of(text: str, path: Path = Path("c.yaml")) -> Sequence[Problem]:
    with pytest.raises(FileRefused) as caught:
        project_of_text(text, path)
    return caught.value.problems


def names_in(node: Node, above: tuple[str, ...] = ()) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """The names of all mappings, each with its way."""
    for name, value in node.value if isinstance(node, MappingNode) else ():
        yield name, (*above, str(name.value))
        yield from names_in(value, (*above, str(name.value)))
    for part in node.value if isinstance(node, SequenceNode) else ():
        yield from names_in(part, above)


def names_of(text: str) -> list[tuple[Node, tuple[str, ...]]]:
    root: Any = YAML(typ="safe", pure=True).compose(text)
    return list(names_in(root))


def misspelt(text: str, name: Node) -> tuple[str, int]:
    """The text with an x in front of a name, and the line of that."""
    lines, mark = text.splitlines(), name.start_mark
    lines[mark.line] = f"{lines[mark.line][: mark.column]}x{lines[mark.line][mark.column :]}"
    return "\n".join(lines), mark.line + 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_no_problem(path: Path) -> None:
    read = project_of_text(path.read_text(), path)
    assert read.config.model_dump_json() == load_project(path).config.model_dump_json()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_misspelt_name_of_the_top_is_named_at_its_line_and_column(path: Path) -> None:
    text = path.read_text()
    for name, way in names_of(text):
        if len(way) == 1:
            wrong, line = misspelt(text, name)
            found = [problem for problem in problems_of(wrong, path) if problem.place.line == line]
            assert found, way
            if way[0] not in EXPECTED:
                assert (found[0].field, found[0].place.column) == (f"x{way[0]}", 1)
                assert "There is no such field" in found[0].message


BELOW = [(path, number) for path in EXAMPLES for number in range(len(names_of(path.read_text())))]


@given(st.sampled_from(BELOW))
@settings(max_examples=40)
def test_a_misspelt_name_below_is_named_there_or_at_what_it_stands_in(drawn: tuple[Path, int]) -> None:
    path, number = drawn
    text = path.read_text()
    name, way = names_of(text)[number]
    assume(len(way) > 1 and not OWN & {way[0], *way[:-1]})
    wrong, line = misspelt(text, name)
    found = problems_of(wrong, path)
    assert any(problem.place.line == line or problem.field.startswith(way[0]) for problem in found)


def test_the_text_of_the_error_is_that_of_its_problems() -> None:
    with pytest.raises(FileRefused) as caught:
        project_of_text("kind: raw\nlanguges: {en: English}\nproviders: [nobody/m]\n", Path("c.yaml"))
    assert str(caught.value).splitlines() == [problem.shown(Path("c.yaml")) for problem in caught.value.problems]
    assert len(caught.value.problems) > 2


PLACES = {
    "kind: rwa\n": Place(1, 1, 10),
    "\n\nkinds: raw\n": Place(3, 1, 11),
    "kind: raw\nrun: {max_concurency: 3}\n": Place(2, 7, 24),
    "kind: raw\nquality:\n  - stage: lenth\n    min_words: 3\n": Place(3, 5, 17),
    "kind: raw\na: [1, 2\n": Place(3, 1, 0),
    "kind: raw\na: 'x\n": Place(2, 4, 0),
    "kind: raw\nkind: raw\n": Place(2, 1, 5),
    "a: !!python/object/apply:os.system ['id']\n": Place(1, 4, 42),
    "kind: raw\na: b\u0007\n": Place(2, 5, 6),
}


@pytest.mark.parametrize(("text", "place"), PLACES.items())
def test_a_problem_has_a_part_of_a_line(text: str, place: Place) -> None:
    assert place in [problem.place for problem in problems_of(text)]


def test_all_problems_are_there_though_the_text_tells_the_first_hundred() -> None:
    text = "kind: raw\n" + "".join(f"zz{number}: 1\n" for number in range(150))
    with pytest.raises(FileRefused) as caught:
        project_of_text(text, Path("c.yaml"))
    assert len(caught.value.problems) >= 150
    assert "more problems" in str(caught.value).splitlines()[-1]


def test_nothing_is_read_of_the_file_that_is_named() -> None:
    read = project_of_text("kind: raw\ndocument_types: [a]\ntopics: [b]\nproviders: [simulated/m]\n", Path("none.yaml"))
    assert read.path == Path("none.yaml")
