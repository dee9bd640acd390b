"""Scripts of the shapes that DeepFabric's users have, of its first versions and of later ones, with changed imports alone."""

from __future__ import annotations

import importlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import datafast.deepfabric
from datafast.errors import DatafastWarning
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import rows_of

ARGUMENTS = """
import os
from datafast.deepfabric import Dataset, DataSetGenerator, DataSetGeneratorArguments, Tree, TreeArguments

def with_answers(dataset: Dataset) -> Dataset:
    kept = Dataset()
    kept.samples = [row for row in dataset.samples if row["messages"][-1]["role"] == "assistant"]
    return kept

os.makedirs("out", exist_ok=True)
tree = Tree(args=TreeArguments(root_prompt="Harbours", model_name="ollama/llama3", model_system_prompt="You know harbours.",
                               tree_degree=2, tree_depth=2, temperature=0.7))
tree.build()
tree.save(os.path.join("out", "harbours.jsonl"))
engine = DataSetGenerator(args=DataSetGeneratorArguments(
    instructions="Questions of visitors.", system_prompt="You are a guide.", model_name="ollama/llama3", prompt_template=None,
    example_data=None, temperature=0.3, max_retries=5, default_batch_size=5, default_num_examples=3, request_timeout=30, sys_msg=True))
dataset = with_answers(engine.create_data(num_steps=4, batch_size=2, topic_model=tree))
dataset.save("out/rows.jsonl")
found = {"degree": tree.args.tree_degree, "paths": len(tree.get_all_paths()), "rows": len(dataset.samples),
         "failed": len(engine.failed_samples)}
"""
EVENTS = """
import asyncio
from datafast.deepfabric import DataSetGenerator
from datafast.deepfabric import Dataset
from datafast.deepfabric import Graph

async def main():
    graph = Graph(topic_prompt="Harbours", provider="ollama", model_name="qwen3:8b", degree=2, depth=1, temperature=0.7)
    async for event in graph.build_async():
        if event["event"] == "build_complete":
            nodes = event["nodes_count"]
    graph.save("graph.json")
    again = Graph.from_json("graph.json", {"topic_prompt": "Harbours", "model_name": "any"})
    new = again.add_node("Moorings")
    again.add_edge(again.root.id, new.id)
    engine = DataSetGenerator(instructions="i", generation_system_prompt="g", provider="ollama", model_name="qwen3:8b")
    dataset = await engine.create_data_async(num_steps=3, batch_size=1, topic_model=again)
    if not isinstance(dataset, Dataset):
        raise TypeError(type(dataset))
    dataset.save("out/rows.jsonl")
    return {"nodes": nodes, "rows": len(dataset.samples), "topics": len(again.get_all_paths())}

found = asyncio.run(main())
"""
GENERATOR_OF_EVENTS = """
from datafast.deepfabric import DataSetGenerator, Tree

tree = Tree(topic_prompt="Harbours", provider="ollama", model_name="qwen3:8b", degree=2, depth=1)
for event in tree.build():
    if event["event"] == "build_complete":
        paths = event["total_paths"]
engine = DataSetGenerator(instructions="i", generation_system_prompt="g", provider="ollama", model_name="qwen3:8b",
                          conversation_type="cot_structured", reasoning_style="logical")
dataset = engine.create_data(num_steps=2, batch_size=1, topic_model=tree, sys_msg=False)
dataset.save("out/rows.jsonl")
found = {"paths": paths, "rows": len(dataset.samples), "style": engine.config.reasoning_style}
"""
CONFIG = """
import yaml
from datafast.deepfabric import DeepFabricConfig, DataSetGenerator, Tree, create_dataset, load_or_build_topic_model, save_dataset

sections = {
    "dataset_system_prompt": "You are a guide.",
    "topic_tree": {"topic_prompt": "Harbours", "provider": "ollama", "model_name": "m", "degree": 2, "depth": 1},
    "data_engine": {"generation_system_prompt": "g", "provider": "ollama", "model_name": "m", "instructions": "i"},
    "dataset": {"creation": {"num_steps": 2, "batch_size": 1, "sys_msg": True}, "save_as": "out/rows.jsonl",
                "formatters": [{"name": "t", "template": "builtin://trl_sft_tools", "output": "out/trl.jsonl"}]},
}
with open("c.yaml", "w") as file:
    yaml.safe_dump(sections, file)
config = DeepFabricConfig.from_yaml("c.yaml")
topics = load_or_build_topic_model(config=config)
engine = DataSetGenerator(**config.get_engine_params())
dataset = create_dataset(engine=engine, topic_model=topics, config=config)
save_dataset(dataset, config.dataset.save_as, config)
tree = Tree(**DeepFabricConfig(**sections).get_topic_tree_params())
found = {"steps": config.dataset.creation.num_steps, "rows": len(dataset), "degree": config.topic_tree.degree, "prompt": tree.topic_prompt}
"""
PROMPTWRIGHT = """
import os
from datafast.deepfabric import DataEngine, EngineArguments, TopicTree, TopicTreeArguments

os.makedirs("out", exist_ok=True)
guide = "You are a guide."
tree = TopicTree(
    args=TopicTreeArguments(
        root_prompt="Harbours", model_system_prompt=guide, tree_degree=2, tree_depth=1, temperature=0.7, model_name="ollama/llama3"
    )
)
tree.build_tree()
tree.save("out/harbours.jsonl")
engine = DataEngine(
    args=EngineArguments(instructions="Of harbours.", system_prompt=guide, model_name="ollama/llama3", temperature=0.9, max_retries=2)
)
dataset = engine.create_data(num_steps=4, batch_size=1, topic_tree=tree, model_name="ollama/llama3", sys_msg=False)
dataset.save("out/rows.jsonl")
found = {"rows": len(dataset), "paths": len(tree.tree_paths), "roles": [entry["role"] for entry in dataset[0]["messages"]]}
"""
SCRIPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "args": (ARGUMENTS, {"degree": 2, "paths": 4, "rows": 4, "failed": 0}),
    "async events": (EVENTS, {"nodes": 3, "rows": 3, "topics": 3}),
    "events": (GENERATOR_OF_EVENTS, {"paths": 2, "rows": 2, "style": "logical"}),
    "promptwright": (PROMPTWRIGHT, {"rows": 4, "paths": 2, "roles": ["user", "assistant"]}),
    "config": (CONFIG, {"steps": 2, "rows": 2, "degree": 2, "prompt": "Harbours"}),
}


@pytest.fixture
def ollama(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultServer:
    monkeypatch.setenv("OLLAMA_BASE_URL", fault_server.url)
    monkeypatch.chdir(tmp_path)
    numbers = count()

    def respond(request: Recorded) -> Answer:
        if "subtopics" not in request.prompt:
            return Answer()
        return Answer(text=json.dumps({"subtopics": [f"topic {next(numbers)}", f"topic {next(numbers)}"]}))

    fault_server.respond = respond
    return fault_server


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_with_changed_imports(ollama: FaultServer, name: str) -> None:
    Path("out").mkdir()
    text, expected = SCRIPTS[name]
    scope: dict[str, Any] = {}
    exec(compile(text, "script.py", "exec"), scope)
    assert scope["found"] == expected
    assert len(rows_of(Path("out/rows.jsonl"))) == expected["rows"]


def test_a_model_of_the_first_versions_may_stand_without_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    from datafast.deepfabric import DataSetGenerator, DataSetGeneratorArguments, Tree, TreeArguments

    for model, provider in (
        ("gpt-4o-mini", "openai"),
        ("claude-3-haiku-20240307", "anthropic"),
        ("gemini/gemini-pro", "gemini"),
    ):
        assert Tree(args=TreeArguments(root_prompt="a", model_name=model)).provider.provider_name == provider
        made = DataSetGenerator(args=DataSetGeneratorArguments(system_prompt="g", model_name=model))
        assert made.dataset_system_prompt == "g"


def test_every_name_is_there() -> None:
    for name in datafast.deepfabric.__all__:
        assert getattr(datafast.deepfabric, name) is not None


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Evaluator", "lm-evaluation-harness"),
        ("FormatterRegistry", r"dataset\.save"),
        ("TreeConfig", "Give its fields to Tree"),
        ("DeepFabricCallback", "callbacks of your trainer"),
        ("KaggleUploader", "Use its own client with the file"),
    ],
)
def test_a_name_that_there_is_not_says_what_to_use(name: str, instead: str) -> None:
    with pytest.raises(ImportError, match=f"{name}: There is no such name in datafast\\. .*{instead}"):
        exec(f"from datafast.deepfabric import {name}", {})
    with pytest.raises(ImportError, match="cannot import name 'Unheard'"):
        exec("from datafast.deepfabric import Unheard", {})


def test_it_is_loaded_when_it_is_asked_for() -> None:
    assert importlib.reload(datafast.deepfabric).Tree is datafast.deepfabric.Tree


def test_a_file_is_published_by_the_uploader_or_the_error_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datafast.deepfabric import Dataset, HFUploader

    pushed: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(Dataset, "push_to_hub", lambda self, repo, **options: pushed.append((repo, options)))
    Dataset([{"messages": []}]).save(tmp_path / "rows.jsonl")
    result = HFUploader("token").push_to_hub("a/b", str(tmp_path / "rows.jsonl"))
    assert result["status"] == "success"
    assert pushed == [("a/b", {"private": True, "token": "token"})]
    assert HFUploader().push_to_hub(repo_name="a/b", dataset_path="none.jsonl")["status"] == "error"
    with pytest.warns(DatafastWarning, match=r"^tags: They are not set\. Add them to the card"):
        assert HFUploader().push_to_hub("a/b", tmp_path / "rows.jsonl", ["sea"])["status"] == "success"
