"""Topic models as text and as a drawing: no topic can change either."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast import Graph, Tree
from tests.topics.support import HOSTILE, both, paths

_NODE = re.compile(r'    t\d+\["[^"\n]*"\]')
_EDGE = re.compile(r"    t\d+ --> t\d+")


def label_text(line: str) -> str:
    """What a label shows: its character codes decoded, as Mermaid does."""
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), line.split('["', 1)[1].removesuffix('"]'))


def shown_in_one_line(text: str) -> str:
    return " ".join(text.split())


@both
@pytest.mark.parametrize("text", HOSTILE)
def test_no_topic_can_change_a_drawing(shape: type[Tree], text: str) -> None:
    first, *lines = shape.from_paths([["root", text], ["root", "other"]]).to_mermaid().split("\n")
    assert first == "graph LR"
    assert len(lines) == 5
    assert all(_NODE.fullmatch(line) for line in lines[:3])
    assert all(_EDGE.fullmatch(line) for line in lines[3:])
    # Outside of codes nothing is left that HTML, Markdown or Mermaid reads as its own.
    bare = re.sub(r"#\d+;", "", lines[1].split('["', 1)[1].removesuffix('"]'))
    assert not re.search(r"[\"<>&`*_#;{}()\[\]|%\\\x00-\x1f\u202a-\u202e\u2066-\u2069]|^[-+]|^\d+\.", bare)


@given(paths)
def test_a_drawing_has_a_line_for_each_topic_and_each_link_whatever_they_are_called(
    given_paths: list[list[str]],
) -> None:
    model = Graph.from_paths(given_paths)
    lines = model.to_mermaid().split("\n")
    named = [number for number, node in enumerate(model.nodes) if node.topic]
    links = sum(len(model.nodes[number].children) for number in named)
    assert len(lines) == 1 + model.num_topics + links
    assert all(_NODE.fullmatch(line) for line in lines[1 : 1 + len(named)])
    assert all(_EDGE.fullmatch(line) for line in lines[1 + len(named) :])


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20))
def test_a_label_shows_the_topic_as_it_is(text: str) -> None:
    node = Tree.from_topics([text]).to_mermaid().split("\n")[1]
    assert label_text(node) == shown_in_one_line(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_topic_can_begin_a_line_or_steer_a_terminal(text: str) -> None:
    lines = Tree.from_paths([["root", text], ["root", "other"]]).to_text().split("\n")
    assert [line[:2] for line in lines[1:]] == ["  ", "  "]
    assert (lines[0], lines[2]) == ("root", "  other")
    unsafe = {"Cc", "Zl", "Zp"}
    assert not [letter for letter in lines[1] if unicodedata.category(letter) in unsafe or letter in "\u202e\u2066"]


def test_the_text_view_indents_by_level_and_spells_a_shared_topic_out_once() -> None:
    model = Graph.from_paths([["Sea", "Ice", "Melting", "Floods"], ["Sea", "Snow", "Melting"]])
    assert model.to_text() == "Sea\n  Ice\n    Melting\n      Floods\n  Snow\n    Melting (see above)"
