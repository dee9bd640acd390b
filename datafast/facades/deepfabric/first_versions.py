"""Trees and graphs as the first versions of DeepFabric, and promptwright before it, make them:

tree = Tree(args=TreeArguments(root_prompt="Harbours", model_name="ollama/llama3", tree_degree=3, tree_depth=2))
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Self

from datafast.errors import ConfigError
from datafast.topics.shapes import Graph as _Graph
from datafast.topics.shapes import Tree as _Tree

__all__ = ["FIRST_TOPIC_NAMES", "Arguments", "Graph", "Tree", "with_provider"]

FIRST_TOPIC_NAMES = {
    "root_prompt": "topic_prompt",
    "model_system_prompt": "topic_system_prompt",
    "tree_degree": "degree",
    "tree_depth": "depth",
    "graph_degree": "degree",
    "graph_depth": "depth",
}
"""What the parameters of topic models were called in the first versions."""
_OTHER_NAMES = {
    **FIRST_TOPIC_NAMES,
    "max_tokens": "max_completion_tokens",
    "max_concurrent": "max_concurrency",
    "base_url": "api_base",
}


_PREFIXES = {"gpt-": "openai", "o1": "openai", "o3": "openai", "claude": "anthropic", "gemini": "gemini"}


def with_provider(model: str | None) -> str | None:
    """A model of the first versions, which may stand without its provider: `gpt-4o-mini` is `openai/gpt-4o-mini`."""
    provider = next((name for prefix, name in _PREFIXES.items() if model and model.startswith(prefix)), None)
    return model if provider is None or "/" in str(model) else f"{provider}/{model}"


class Arguments(SimpleNamespace):
    """Parameters under their names, to be given as `args`."""


class Tree(_Tree):
    """A `Tree` that also takes `args` and the names of the first versions.

    Attributes:
        args: what was given as `args`.
    """

    def __init__(self, topic_prompt: str | None = None, *, args: Arguments | None = None, **fields: Any) -> None:
        super().__init__(**_fields(topic_prompt, args, fields))
        self.args = args

    def build_tree(self) -> Self:
        """`build`, as promptwright calls it."""
        return self.build()


class Graph(_Graph):
    """A `Graph` that also takes `args` and the names of the first versions.

    Attributes:
        args: what was given as `args`.
    """

    def __init__(self, topic_prompt: str | None = None, *, args: Arguments | None = None, **fields: Any) -> None:
        super().__init__(**_fields(topic_prompt, args, fields))
        self.args = args


def _fields(topic_prompt: str | None, args: Arguments | None, fields: dict[str, Any]) -> dict[str, Any]:
    given = {**(vars(args) if args is not None else {}), **fields}
    found = {_OTHER_NAMES.get(name, name): value for name, value in given.items()}
    if args is not None and found.get("provider") is None:
        found["model_name"] = with_provider(found.get("model_name"))
    if topic_prompt is not None:
        found["topic_prompt"] = topic_prompt
    if found.pop("prompt_style", "default") != "default":
        raise ConfigError(
            "prompt_style: Without links between branches a graph is a tree. Use Tree.", key="prompt_style"
        )
    if found.get("topic_prompt") is None:
        raise ConfigError("topic_prompt: The parameter is missing. Name the subject to divide.", key="topic_prompt")
    return found
