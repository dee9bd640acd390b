"""DeepFabric's names of topic models, and its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast import Graph, Tree
from datafast.errors import ConfigError
from datafast.topics import load_topics

PATHS = [["sea", "tides", "spring"], ["sea", "tides", "neap"], ["sea", "ice"]]
GRAPH: dict[str, Any] = {
    "nodes": {
        "0": {"id": 0, "topic": "sea", "children": [1, 2], "parents": [], "metadata": {"uuid": "x"}},
        "1": {"id": 1, "topic": "tides", "children": [3], "parents": [0]},
        "2": {"id": 2, "topic": "ice", "children": [3], "parents": [0]},
        "3": {"id": 3, "topic": "harbours", "children": [], "parents": [1, 2]},
    },
    "root_id": 0,
    "metadata": {"provider": "openai", "model": "m", "temperature": 0.7, "created_at": "2026-01-01T00:00:00Z"},
}


def test_paths_have_their_names() -> None:
    tree = Tree.from_paths(PATHS)
    assert tree.get_all_paths() == tree.tree_paths == tree.paths() == PATHS
    found = tree.get_all_paths_with_ids()
    assert [entry.path for entry in found] == PATHS
    assert len({entry.topic_id for entry in found}) == 3
    assert tree.get_path_by_id(found[1].topic_id) == PATHS[1]
    assert tree.get_path_by_id("none") is None
    assert [entry.topic for entry in tree.get_unique_topics()] == ["spring", "neap", "ice"]


def test_rows_of_paths_take_the_place_of_the_topics() -> None:
    tree = Tree("any", provider="simulated", model_name="m")
    tree.from_dict_list([{"path": path, "leaf_uuid": "x"} for path in PATHS] + [{"failed_generation": {}}])
    assert tree.get_all_paths() == PATHS
    assert tree.is_built
    with pytest.raises(ConfigError, match="No row has a path"):
        tree.from_dict_list([{"topic": "sea"}])


def test_a_file_of_json_lines_has_a_path_on_each_and_is_read_back(tmp_path: Path) -> None:
    tree = Tree.from_paths(PATHS)
    tree.save(tmp_path / "sea.jsonl")
    lines = (tmp_path / "sea.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"path": path} for path in PATHS]
    assert Tree.load(tmp_path / "sea.jsonl").paths() == PATHS


def test_a_list_of_objects_with_paths_is_read(tmp_path: Path) -> None:
    (tmp_path / "sea.json").write_text(json.dumps([{"path": path} for path in PATHS]))
    assert Tree.load(tmp_path / "sea.json").paths() == PATHS


def test_a_graph_of_deepfabric_is_read_with_its_links(tmp_path: Path) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    for graph in (Graph.load(tmp_path / "graph.json"), Graph.from_json(tmp_path / "graph.json", {"model_name": "m"})):
        assert graph.paths() == [["sea", "tides", "harbours"], ["sea", "ice", "harbours"]]
        assert graph.num_leaves == 1
    assert isinstance(load_topics(tmp_path / "graph.json"), Graph)


def test_a_graph_whose_root_is_not_the_first_is_read(tmp_path: Path) -> None:
    nodes = {"5": {"id": 5, "topic": "sea", "children": [2]}, "2": {"id": 2, "topic": "ice"}}
    (tmp_path / "graph.json").write_text(json.dumps({"nodes": nodes, "root_id": 5}))
    assert Graph.load(tmp_path / "graph.json").paths() == [["sea", "ice"]]


@pytest.mark.parametrize(
    "broken", [{"nodes": {"0": {}}, "root_id": 0}, {"nodes": {"0": {"topic": "a", "children": [9]}}, "root_id": 0}]
)
def test_a_broken_graph_is_refused_with_its_file(tmp_path: Path, broken: dict[str, Any]) -> None:
    (tmp_path / "graph.json").write_text(json.dumps(broken))
    with pytest.raises(ConfigError, match=r"graph\.json: This is not a topic graph of DeepFabric"):
        Graph.load(tmp_path / "graph.json")


def test_a_graph_is_extended_by_hand_and_saved(tmp_path: Path) -> None:
    graph = Graph.from_paths([["sea", "tides"], ["sea", "ice"]])
    node = graph.add_node("harbours")
    graph.add_edge(graph.root.id, node.id)
    graph.add_edge(graph.nodes[1].id, node.id)
    assert graph.add_node(" Harbours ") is node
    assert graph.add_node("tides").id == 1
    graph.save(tmp_path / "graph.json")
    again = Graph.load(tmp_path / "graph.json")
    assert again.paths() == graph.paths() == [["sea", "tides", "harbours"], ["sea", "ice"], ["sea", "harbours"]]
    assert not graph.has_cycle()


def test_a_link_that_would_make_a_cycle_is_refused_and_changes_nothing() -> None:
    graph = Graph.from_paths([["sea", "tides", "spring"]])
    before = graph.to_dict()
    with pytest.raises(ConfigError, match="lies below itself"):
        graph.add_edge(2, 1)
    with pytest.raises(ConfigError, match="There is no topic 9"):
        graph.add_edge(0, 9)
    assert graph.to_dict() == before


def test_a_drawing_is_a_mermaid_file(tmp_path: Path) -> None:
    graph = Graph.from_paths([["sea", "ice"]])
    path = graph.visualize(tmp_path / "new" / "graph")
    assert path.name == "graph.mmd"
    assert path.read_text("utf-8").startswith("graph LR")


@pytest.mark.parametrize("use", ["root", "save"])
def test_a_tree_that_is_not_built_says_so(tmp_path: Path, use: str) -> None:
    tree = Tree("sea", provider="simulated", model_name="m")
    with pytest.raises(ConfigError, match=r"This tree has no topics yet\. Call build\(\) first"):
        tree.save(tmp_path / "sea.json") if use == "save" else tree.root
    assert not list(tmp_path.iterdir())


def test_the_provider_may_stand_before_the_model() -> None:
    tree = Tree("sea", model_name="openai/gpt-4", degree=4, temperature=0.3, api_key="k")
    assert (tree.provider.provider_name, tree.model_name, tree.degree, tree.temperature) == ("openai", "gpt-4", 4, 0.3)
    for model in (None, "gpt-4", "nowhere/gpt-4"):
        with pytest.raises(ConfigError, match="provider: The parameter is missing"):
            Tree("sea", model_name=model)


def test_a_printed_tree_is_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    tree = Tree.from_paths(PATHS)
    tree.print_tree()
    assert capsys.readouterr().out == tree.to_text() + "\n"
