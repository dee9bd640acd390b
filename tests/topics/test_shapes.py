"""`Tree` and `Graph` as they are made in Python: their parameters, their provider, and their files."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from datafast import Graph, Tree
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from tests.servers.fault_server import FaultServer
from tests.topics.support import LEAVES, SEA, tree


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"degre": 3}, "degre: There is no such parameter. Did you mean 'degree'"),
        ({"degree": 0}, "degree: "),
        ({"depth": 13}, "depth: "),
        ({"degree": 100, "depth": 3}, "more than 200,000. Lower one of them"),
        ({"topic_prompt": " "}, "topic_prompt: .*blank"),
        ({"on_error": "skip"}, "on_error: "),
        ({"provider": "opnai"}, "openai"),
        ({"provider": SimulatedProvider(), "model_name": "m"}, "model_name: The provider is an object"),
    ],
)
def test_wrong_parameters_are_refused_by_name(server: FaultServer, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tree(server, **wrong)
    assert not server.requests


def test_the_model_temperature_and_timeout_of_a_named_provider_are_used(server: FaultServer) -> None:
    options = {"provider": "openai", "model_name": "gpt-x", "temperature": 0.3, "api_base": server.url, "api_key": "k"}
    assert tree(server, **options).build().paths() == LEAVES
    assert {(request.json["model"], request.json["temperature"]) for request in server.requests} == {("gpt-x", 0.3)}


def test_a_tree_is_built_in_any_event_loop(server: FaultServer) -> None:
    assert asyncio.run(tree(server).build_async()).paths() == LEAVES


def test_a_tree_without_a_file_leaves_nothing_behind(server: FaultServer) -> None:
    grown = tree(server).build()
    folder = grown._builder.path.parent
    assert folder.is_dir()
    del grown
    gc.collect()
    assert not folder.exists()


def test_a_model_without_topics_says_so() -> None:
    assert repr(Tree(topic_prompt="Sea", provider="simulated")) == "<Tree, not built yet>"
    assert repr(Graph.from_dict(SEA)) == "<Graph 'Sea', 7 topics, 4 leaves, depth 2>"


def test_given_topics_cannot_be_built() -> None:
    with pytest.raises(ConfigError, match="were given, so they cannot be grown"):
        Tree.from_topics(["a"]).build()
