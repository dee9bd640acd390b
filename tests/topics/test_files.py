"""Topic models in files: written, read back, and refused where a file holds none."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast import Graph, Tree
from datafast.errors import ConfigError, OutputError
from datafast.topics import load_topics
from tests.topics.support import HOSTILE, both, paths, shape_of


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


@settings(max_examples=40)
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ['{"Meer": ["Gezeit", "Flüsse"]}', '{"path": ["Meer", "Gezeit"]}\n["Meer", "Flüsse"]'])
def test_a_byte_order_mark_says_what_a_file_is_in(tmp_path: Path, text: str, encoding: str) -> None:
    (tmp_path / "t.json").write_text(text, encoding=encoding)
    assert load_topics(tmp_path / "t.json").paths() == [["Meer", "Gezeit"], ["Meer", "Flüsse"]]


def test_bytes_that_are_not_text_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('["a"]\n["Flüsse"]\n', encoding="cp1252")
    with pytest.raises(ConfigError, match=r"t\.json:2: The byte 0xfc is not UTF-8\. Save the file as UTF-8\."):
        load_topics(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no topics"),
        ("{", r"t\.json:1: This is neither JSON nor JSON lines"),
        ('["a"]\n{"b": 1}', r"t\.json:2: expected a path"),
        ('{"Sea": ["Tides"], "Sea": ["Ice"]}', r"t\.json: An object names 'Sea' twice"),
        ("5", "expected a topic model"),
        ('"Sea"', "expected a topic model"),
        ("[5]", r"topics\[0\]: expected a topic"),
        (
            '{"format": "datafast-topics-1", "shape": "tree", "topics": [{"topic": "a", "children": [7]}]}',
            "does not exist",
        ),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": [{"topic": "a"}]}', "not a topic model"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": 5}', "not a topic model"),
        ('{"format": "datafast-topics-1", "shape": "tree", "topics": []}', "has no topics"),
        ('{"format": "datafast-topics-1", "shape": "blob", "topics": []}', "This is a blob"),
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


def test_a_file_with_a_circle_is_refused(tmp_path: Path) -> None:
    record = Graph.from_paths([["a", "b", "c"]]).to_dict()
    record["topics"][2]["children"] = [1]
    (tmp_path / "t.json").write_bytes(orjson.dumps(record))
    with pytest.raises(ConfigError, match=r"t\.json: The topic '.' lies below itself"):
        Graph.load(tmp_path / "t.json")
