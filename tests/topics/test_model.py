"""Topic models that are given: what they hold, which topics are the same, circles, and counts."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast import Graph, Tree
from datafast._util.normalised import normalised
from datafast.errors import ConfigError
from tests.topics.support import SEA, both, crossing, shape_of, topic

# -- what they hold


@both
def test_paths_that_begin_alike_share_their_nodes(shape: type[Tree]) -> None:
    model = shape.from_paths([["Sea", "Tides", "Spring"], ["Sea", "Ice"], ["Sea", "Tides", "Neap"]])
    assert model.paths() == [["Sea", "Tides", "Spring"], ["Sea", "Tides", "Neap"], ["Sea", "Ice"]]
    assert (model.num_topics, model.num_leaves, model.num_paths, model.depth, len(model)) == (5, 3, 3, 2, 3)
    assert model.root.topic == "Sea"


@both
def test_nested_topics_are_read_from_left_to_right(shape: type[Tree]) -> None:
    model = shape.from_dict(SEA)
    assert model.leaves() == ["Spring tides", "Neap tides", "Pack ice", "Salt"]
    assert model.depth == 2


def test_several_roots_lie_below_one_without_a_name_that_is_in_no_path() -> None:
    model = Tree.from_dict({"Sea": ["Tides"], "Sky": None})
    assert model.paths() == [["Sea", "Tides"], ["Sky"]]
    assert model.num_topics == 3


def test_a_plain_list_is_a_model_of_its_topics() -> None:
    model = Tree.from_topics(["Tides", "Ice"])
    assert model.paths() == [["Tides"], ["Ice"]]
    assert model.leaf_path(1) == ("Ice",)


def test_a_model_of_one_topic_has_one_path() -> None:
    for model in (Tree.from_paths([["Sea"]]), Tree.from_topics(["Sea"]), Graph.from_dict({"Sea": {}})):
        assert (model.paths(), model.num_leaves, model.num_topics) == ([["Sea"]], 1, 1)


def test_a_topic_that_is_given_as_leaf_and_as_branch_is_a_branch() -> None:
    assert Tree.from_paths([["Sea"], ["Sea", "Tides"]]).paths() == [["Sea", "Tides"]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Tree.from_paths([]), "has no topics"),
        (lambda: Tree.from_paths([[]]), r"paths\[0\]"),
        (lambda: Tree.from_paths([["a"], "bc"]), r"paths\[1\]: expected a list"),
        (lambda: Tree.from_paths([["a", " "]]), r"paths\[0\]: expected a topic"),
        (lambda: Tree.from_paths([["a", 3]]), r"paths\[0\]: expected a topic, .* got 3"),
        (lambda: Tree.from_paths([["a", "\ud83d"]]), "half a surrogate pair"),
        (lambda: Tree.from_topics(["a", None]), r"topics\[1\]"),
        (lambda: Tree.from_dict({}), "has no topics"),
        (lambda: Tree.from_dict({"a": "b"}), "a: expected a mapping"),
        (lambda: Tree.from_dict({"a": {"b": 5}}), "a > b: expected a mapping"),
        (lambda: Graph.from_dict({"": ["x"]}), "expected a topic"),
    ],
)
def test_what_is_no_topic_model_is_refused_with_its_place(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrong()


def test_topics_nested_without_an_end_are_refused() -> None:
    deep: dict[str, Any] = {}
    for number in range(500):
        deep = {f"t{number}": deep}
    with pytest.raises(ConfigError, match="nested more than"):
        Tree.from_dict(deep)


# -- duplicates


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Spring tides", "spring  TIDES."),
        ("Ｔｉｄｅｓ", "tides"),
        ("caf\u00e9", "cafe\u0301"),
        ("Straße", "STRASSE"),
        ("well-known", "well known"),
        ("ti\u00addes", "tides"),
        ("**Tides**", "`tides`"),
        ("# Tides", "Tides"),
        ("coffee \u2615\ufe0f", "Coffee \u2615"),
    ],
)
def test_the_same_words_in_another_guise_are_the_same_topic(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    assert Tree.from_paths([["r", one], ["r", other]]).leaves() == [one]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("F# on the web", "F on the web"),
        ("दिन", "दान"),
        ("ทา", "ที่"),
        ("x < y", "x > y"),
        ("5 €", "5 $"),
        ("👍", "👎"),
        ("?", "!"),
    ],
)
def test_topics_that_differ_in_more_than_punctuation_stay_two(one: str, other: str) -> None:
    assert Tree.from_paths([["r", one], ["r", other]]).leaves() == [one, other]


@given(topic)
def test_what_makes_topics_the_same_does_not_change_when_asked_again(text: str) -> None:
    assert normalised(text)
    assert normalised(normalised(text)) == normalised(text)
    assert normalised(f"  {text}\n") == normalised(text)


def test_merged_duplicates_are_counted() -> None:
    model = Tree.from_paths([["Sea", "Tides"], ["sea", "TIDES"], ["Sea", "Ice"], ["Sea"]])
    assert model.merged == 2
    assert model.paths() == [["Sea", "Tides"], ["Sea", "Ice"]]


def test_in_a_tree_the_same_words_below_other_topics_are_topics_of_their_own() -> None:
    model = Tree.from_paths([["Sea", "Ice", "Melting"], ["Sea", "Snow", "Melting"]])
    assert (model.num_topics, model.num_leaves) == (5, 2)


def test_in_a_graph_the_same_words_are_one_topic_wherever_they_are_found() -> None:
    model = Graph.from_paths([["Sea", "Ice", "Melting"], ["Sea", "Snow", "Melting"]])
    assert (model.num_topics, model.num_leaves, model.num_paths) == (4, 1, 2)
    assert model.leaf_path(0) == ("Sea", "Ice", "Melting")


# -- circles


def test_a_link_that_closes_a_circle_is_refused_and_reported() -> None:
    model = Graph.from_paths([["Sea", "Tides", "Moon"], ["Sea", "Moon", "Tides"]])
    assert model.refused_links == [("Moon", "Tides")]
    assert model.paths() == [["Sea", "Tides", "Moon"], ["Sea", "Moon"]]


def test_a_topic_below_itself_is_refused_and_reported_once() -> None:
    model = Graph.from_paths([["Sea", "Tides", "Sea", "x"], ["Sea", "Tides", "sea"]])
    assert model.refused_links == [("Tides", "Sea")]
    assert model.paths() == [["Sea", "Tides"]]


@given(crossing)
def test_no_graph_has_a_circle_and_each_link_is_there_or_reported(given_paths: list[list[str]]) -> None:
    model = Graph.from_paths(given_paths)
    found = model.paths()  # it has an end
    assert len({tuple(path) for path in found}) == len(found) == model.num_paths
    assert all(len(set(path)) == len(path) for path in found)
    links = {(node.topic, model.nodes[child].topic) for node in model.nodes for child in node.children}
    for path in given_paths:
        for link in itertools.pairwise(path):
            if link not in links:
                # A path is followed up to the link that is refused.
                assert any(refused in model.refused_links for refused in itertools.pairwise(path))
                break
    assert not links & set(model.refused_links)


# -- counts


@given(crossing, st.integers(0, 1))
def test_counts_agree_with_what_can_be_listed(given_paths: list[list[str]], which: int) -> None:
    model = shape_of(which).from_paths(given_paths)
    listed = model.paths()
    assert model.num_paths == len(listed)
    assert [list(model.path(number)) for number in range(model.num_paths)] == listed
    ends = list(dict.fromkeys(map(tuple, listed)))
    assert model.num_leaves == len(model.leaves()) == (len(ends) if which == 0 else len({end[-1] for end in ends}))
    offset = 0 if model.root.topic else 1
    assert model.depth == max(len(path) for path in listed) - 1 + offset
    assert model.num_topics == len(list(model.walk())) - offset


@given(crossing)
def test_the_path_to_a_leaf_is_the_first_of_those_that_lead_to_it(given_paths: list[list[str]]) -> None:
    model = Graph.from_paths(given_paths)
    first: dict[str, tuple[str, ...]] = {}
    for found in model.paths():
        first.setdefault(found[-1], tuple(found))
    assert [model.leaf_path(number) for number in range(model.num_leaves)] == [first[leaf] for leaf in model.leaves()]


def test_a_path_that_is_not_there_is_an_index_error() -> None:
    model = Tree.from_topics(["a", "b"])
    for wrong in (2, -1):
        with pytest.raises(IndexError):
            model.path(wrong)
    with pytest.raises(IndexError):
        model.leaf_path(2)
