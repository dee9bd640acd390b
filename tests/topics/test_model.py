"""Topic models that are given: what they hold, how they are read, written, drawn and chosen from."""

from __future__ import annotations

import itertools
import json
import re
import stat
import time
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast import Graph, Tree
from datafast.errors import ConfigError, OutputError
from datafast.topics import TopicModel, load_topics
from datafast.topics.model import normalised
from datafast.topics.selection import Selection

SEA = {"Sea": {"Tides": ["Spring tides", "Neap tides"], "Ice": ["Pack ice"], "Salt": []}}
HOSTILE = [
    'a"]; click t0 "javascript:alert(1)"',
    "</pre><script>alert(1)</script>",
    "end",
    "graph TD\n    t0 --> t9",
    "subgraph x",
    "%% comment",
    "`code` **bold**",
    "1. a list",
    "- another",
    "a\x1b[2Jb\x07",
    "right\u202eleft\u2066",
    "line\u2028separator\x85next\x0bvertical",
    "\x00NUL",
    "#quot; &amp; &#34;",
    "a > b",
    "{topic} <<topic>> {{topic}}",
    "emoji 👩‍👩‍👧 and 語",
    "\ufeffmark",
]

topic = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
path = st.lists(topic, min_size=1, max_size=5)
paths = st.lists(path, min_size=1, max_size=12)
# Few names, so that paths share beginnings, meet again, and close circles.
crossing = st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True), min_size=1, max_size=12)


def shape_of(number: int) -> type[Tree] | type[Graph]:
    return (Tree, Graph)[number]


both = pytest.mark.parametrize("shape", [Tree, Graph])


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
        (lambda: Tree.from_paths([]), "at least one topic"),
        (lambda: Tree.from_paths([[]]), r"paths\[0\]"),
        (lambda: Tree.from_paths([["a"], "bc"]), r"paths\[1\]: expected a list"),
        (lambda: Tree.from_paths([["a", " "]]), r"paths\[0\]: expected a topic"),
        (lambda: Tree.from_paths([["a", 3]]), r"paths\[0\]: expected a topic, .* got 3"),
        (lambda: Tree.from_paths([["a", "\ud83d"]]), "half a surrogate pair"),
        (lambda: Tree.from_topics(["a", None]), r"topics\[1\]"),
        (lambda: Tree.from_dict({}), "at least one topic"),
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


def test_a_file_with_a_circle_is_refused(tmp_path: Path) -> None:
    record = Graph.from_paths([["a", "b", "c"]]).to_dict()
    record["topics"][2]["children"] = [1]
    (tmp_path / "t.json").write_bytes(orjson.dumps(record))
    with pytest.raises(ConfigError, match=r"t\.json: the topic '.' lies below itself"):
        Graph.load(tmp_path / "t.json")


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


# -- written and read back


@given(paths, st.integers(0, 1))
def test_a_model_comes_back_from_its_record_as_it_was(given_paths: list[list[str]], which: int) -> None:
    model = shape_of(which).from_paths(given_paths)
    again = shape_of(which).from_dict(json.loads(json.dumps(model.to_dict())))
    assert again.to_dict() == model.to_dict()
    assert again.paths() == model.paths()
    assert (again.merged, again.refused_links) == (model.merged, model.refused_links)


@both
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_come_back_from_a_file_to_the_letter(tmp_path: Path, shape: type[Tree], text: str) -> None:
    model = shape.from_paths([["root", text, "leaf"], ["root", "other"]])
    model.failed[("root", text)] = f"because {text}"
    model.save(tmp_path / "deep" / "er" / "t.json")
    again = shape.load(tmp_path / "deep" / "er" / "t.json")
    assert again.paths() == [["root", text.strip(), "leaf"], ["root", "other"]]
    assert again.to_dict() == model.to_dict()
    assert type(load_topics(tmp_path / "deep" / "er" / "t.json")) is shape


@settings(max_examples=40, deadline=None)
@given(given_paths=paths)
def test_lines_of_paths_are_read_like_the_paths_themselves(
    tmp_path_factory: pytest.TempPathFactory, given_paths: list[list[str]]
) -> None:
    file = tmp_path_factory.mktemp("lines") / "t.jsonl"
    expected = Tree.from_paths(given_paths).to_dict()
    for wrap in (lambda path: path, lambda path: {"path": path}, lambda path: {"paths": [path]}):
        file.write_bytes(b"".join(orjson.dumps(wrap(path)) + b"\n" for path in given_paths))
        assert Tree.load(file).to_dict() == expected


@pytest.mark.parametrize(
    "text",
    ['{"Sea": ["Tides", "Ice"]}', '[["Sea", "Tides"], ["Sea", "Ice"]]', '{"path": ["Sea", "Tides"]}\n["Sea", "Ice"]'],
)
def test_the_usual_forms_of_other_peoples_files_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    assert load_topics(tmp_path / "t.json").paths() == [["Sea", "Tides"], ["Sea", "Ice"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one topic"),
        ("{", r"t\.json:1: this is neither JSON nor JSON lines"),
        ('["a"]\n{"b": 1}', r"t\.json:2: expected a path"),
        ("5", "expected a topic model"),
        ('"Sea"', "expected a topic model"),
        ("[5]", r"topics\[0\]: expected a topic"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": [{"topic": "a", "children": [7]}]}', "not there"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": [{"topic": "a"}]}', "no topic model"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": 5}', "no topic model"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": []}', "at least one topic"),
        ('{"format": "datafast-topics-1", "shape": "blob", "topics": []}', "this is a blob"),
    ],
)
def test_a_file_that_holds_no_topic_model_is_refused_by_its_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_topics(tmp_path / "t.json")
    assert "t.json" in str(caught.value)


def test_a_graph_is_not_read_as_a_tree(tmp_path: Path) -> None:
    Graph.from_paths([["a", "b"]]).save(tmp_path / "g.json")
    with pytest.raises(ConfigError, match=r"Graph\.load"):
        Tree.load(tmp_path / "g.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        load_topics(tmp_path / "nothing.json")


def test_saving_replaces_a_file_whole_with_the_rights_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    target = tmp_path / "t.json"
    for model in (Tree.from_topics(["a"]), Tree.from_topics(["b"])):
        model.save(target)
    assert load_topics(target).leaves() == ["b"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["plain", "t.json"]
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_file_that_cannot_be_written_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError, match="taken"):
        Tree.from_topics(["a"]).save(tmp_path / "taken")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_names_that_are_too_long_for_a_temporary_neighbour_are_saved_all_the_same(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".json")
    Tree.from_topics(["a"]).save(target)
    assert load_topics(target).leaves() == ["a"]


# -- views

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


def test_a_model_without_topics_says_so() -> None:
    assert repr(Tree(topic_prompt="Sea", provider="simulated")) == "<Tree, not built yet>"
    assert repr(Graph.from_dict(SEA)) == "<Graph 'Sea', 7 topics, 4 leaves, depth 2>"


def test_given_topics_cannot_be_built() -> None:
    with pytest.raises(ConfigError, match="given, not grown"):
        Tree.from_topics(["a"]).build()


# -- which topic a row is about


def picks(model: TopicModel, strategy: Any, number: int, *, seed: int = 0) -> list[tuple[tuple[str, ...], int]]:
    selection = Selection(model, strategy, seed=seed)
    return [tuple(selection.pick(row)) for row in range(number)]  # type: ignore[misc]


def test_sequential_goes_from_left_to_right_and_begins_again() -> None:
    chosen = picks(Tree.from_topics(["a", "b", "c"]), "sequential", 7)
    assert [(path[-1], repeat) for path, repeat in chosen] == [
        *(("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1), ("a", 2))
    ]


def test_shuffle_takes_each_topic_once_before_any_again_in_an_order_of_each_round() -> None:
    model = Tree.from_topics([f"t{number}" for number in range(50)])
    chosen = [path[-1] for path, _ in picks(model, "shuffle", 150)]
    rounds = [chosen[:50], chosen[50:100], chosen[100:]]
    assert all(sorted(order) == sorted(model.leaves()) for order in rounds)
    assert len({tuple(order) for order in [*rounds, model.leaves()]}) == 4
    assert chosen != [path[-1] for path, _ in picks(model, "shuffle", 150, seed=1)]


@settings(max_examples=60)
@given(crossing, st.integers(0, 1), st.integers(1, 60), st.integers(0, 3))
def test_balanced_gives_branches_counts_that_differ_by_one_at_most(
    given_paths: list[list[str]], which: int, rows: int, seed: int
) -> None:
    model = shape_of(which).from_paths(given_paths)
    below: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for path, _ in picks(model, "balanced", rows, seed=seed):
        for level in range(1, len(path) + 1):
            below[path[: level - 1]][path[level - 1]] += 1
    all_paths = [tuple(path) for path in model.paths()]
    for above, counts in below.items():
        children = {path[len(above)] for path in all_paths if path[: len(above)] == above}
        shares = [counts[child] for child in children]
        assert max(shares) - min(shares) <= 1


@settings(max_examples=60)
@given(crossing, st.integers(0, 1), st.sampled_from(["sequential", "shuffle", "balanced"]), st.integers(1, 40))
def test_no_row_is_about_the_same_topic_in_the_same_variation_as_another(
    given_paths: list[list[str]], which: int, strategy: str, rows: int
) -> None:
    chosen = picks(shape_of(which).from_paths(given_paths), strategy, rows)
    assert len(set(chosen)) == rows
    counted: Counter[tuple[str, ...]] = Counter()
    for path, repeat in chosen:
        assert repeat == counted[path]
        counted[path] += 1


@given(crossing, st.sampled_from(["sequential", "shuffle", "balanced"]), st.integers(0, 50))
def test_a_row_has_its_topic_whatever_was_asked_for_before(
    given_paths: list[list[str]], strategy: Any, row: int
) -> None:
    model = Graph.from_paths(given_paths)
    assert picks(model, strategy, row + 1)[row] == tuple(Selection(model, strategy, seed=0).pick(row))


def test_many_topics_are_read_counted_and_chosen_from_in_moments() -> None:
    listed = [[f"branch {number % 40}", f"twig {number % 800}", f"leaf {number}"] for number in range(20_000)]
    began = time.process_time()
    for shape in (Tree, Graph):
        model = shape.from_paths(listed)
        assert model.num_leaves == 20_000
        for strategy in ("sequential", "shuffle", "balanced"):
            assert len({path for path, _ in picks(model, strategy, 5_000)}) == 5_000
        assert shape.from_dict(model.to_dict()).num_paths == 20_000
    assert time.process_time() - began < 15  # ten times what it takes; a quadratic step takes minutes
    wide = Graph.from_paths([["r", str(number)] for number in range(20_000)])
    assert wide.num_paths == 20_000
    assert time.process_time() - began < 30


def test_a_graph_with_more_paths_than_memory_is_counted_and_chosen_from() -> None:
    """Thirty levels of two topics, each linked to both of the next: 2 ** 30 paths."""
    levels = [[f"{level}{side}" for side in "ab"] for level in range(30)]
    links = [[one, other] for upper, lower in itertools.pairwise(levels) for one in upper for other in lower]
    model = Graph.from_paths([["root", *levels[0][:1]], ["root", *levels[0][1:]], *(["root", *link] for link in links)])
    chosen = [path for path, _ in picks(model, "balanced", 64)]
    assert model.num_paths >= 2**30
    assert len(set(chosen)) == 64
    assert model.path(model.num_paths - 1)[0] == "root"
    assert model.num_leaves == 2
