"""A config of DeepFabric's as scripts use it: read from YAML or made of sections, and handed on part by part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from datafast._util.yaml_file import YamlFile
from datafast.config_files.deepfabric import layout_of
from datafast.config_files.deepfabric.engine_layout import EngineLayout
from datafast.config_files.deepfabric.sections_layout import SectionsLayout
from datafast.errors import ConfigError
from datafast.facades.deepfabric.generated import Dataset
from datafast.facades.generator import DataSetGenerator
from datafast.topics.model import TopicModel
from datafast.topics.shapes import Graph, Tree, load_topics

__all__ = [
    "DeepFabricConfig",
    "create_dataset",
    "handle_graph_events",
    "handle_tree_events",
    "load_or_build_topic_model",
    "save_dataset",
]


class DeepFabricConfig:
    """The sections of a config, each as an attribute with its fields: `config.dataset.creation.num_steps`.

    Raises:
        ConfigError: it is in none of the layouts, or a field is missing or wrong.
    """

    def __init__(self, **sections: Any) -> None:
        layout = layout_of(sections)
        if layout is None:
            raise ConfigError("A config has the sections data_engine and dataset, or topics, generation and output.")
        try:
            self._layout = layout.model_validate(sections)
        except ValidationError as error:
            problems = [
                f"{'.'.join(str(part) for part in detail['loc'])}: {str(detail['msg']).removeprefix('Value error, ')}"
                for detail in error.errors(include_url=False)
            ]
            raise ConfigError("\n".join(problems)) from error
        self._recipe = self._layout.recipe(Path())

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        return cls(**YamlFile(Path(path)).data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._layout, name)

    def model_dump(self) -> dict[str, Any]:
        """The sections as plain values."""
        return self._layout.model_dump(mode="json", exclude_unset=True)

    # -- parts

    def get_topics_params(self) -> dict[str, Any]:
        """What `Tree` or `Graph` takes; empty if the topics are not grown."""
        topics = self._recipe.fields["topics"]
        if not isinstance(topics, Mapping) or "topic_prompt" not in topics:
            return {}
        provider = dict(topics["provider"])
        found = {name: topics[name] for name in ("topic_prompt", "topic_system_prompt", "degree", "depth")}
        return {**found, "provider": provider.pop("provider"), "model_name": provider.pop("model_id"), **provider}

    def get_engine_params(self) -> dict[str, Any]:
        """What `DataSetGenerator` takes."""
        fields, writer = self._recipe.fields, dict(self._recipe.writer)
        taken = {name: fields[name] for name in _SAME if fields.get(name) is not None}
        return {
            **taken,
            "provider": writer.pop("provider"),
            "model_name": writer.pop("model_id"),
            "request_timeout": writer.pop("timeout", 30),
            "default_batch_size": fields.get("examples_per_call", 1),
            "default_num_examples": fields.get("num_examples", 3),
            **writer,
        }

    def get_dataset_config(self) -> dict[str, Any]:
        """The section `dataset`, or what corresponds to it: `creation` with num_steps, batch_size and sys_msg, and `save_as`."""
        fields = self._recipe.fields
        creation = {
            "num_steps": fields["num_rows"],
            "batch_size": fields.get("examples_per_call", 1),
            "sys_msg": fields["sys_msg"],
        }
        return {"creation": creation, "save_as": str(fields["output_file"]), "formatters": self.get_formatter_configs()}

    def get_formatter_configs(self) -> list[dict[str, Any]]:
        section = self._layout.dataset if isinstance(self._layout, EngineLayout) else None
        if isinstance(self._layout, SectionsLayout):
            return list(self._layout.output.formatters)
        return list(section.formatters) if section is not None else []

    def get_huggingface_config(self) -> dict[str, Any]:
        return dict(self.huggingface or {})

    get_topic_tree_params = get_topic_graph_params = get_tree_args = get_topics_params
    get_engine_args = get_generation_params = get_engine_params
    get_output_config = get_dataset_config

    @property
    def topics_shape(self) -> str:
        """tree or graph."""
        topics = self._recipe.fields["topics"]
        return str(topics.get("shape", "tree")) if isinstance(topics, Mapping) else "tree"


_SAME = (
    "instructions",
    "generation_system_prompt",
    "conversation_type",
    "reasoning_style",
    "min_turns",
    "max_turns",
    "max_steps",
    "tools",
    "sys_msg",
    "dataset_system_prompt",
    "topic_selection",
    "example_data",
    "run",
)


def load_or_build_topic_model(
    config: DeepFabricConfig, topics_load: str | Path | None = None, **other_files: str | Path | None
) -> TopicModel:
    """The topics of a file, if one is named (`topics_load`, `load_tree`, `load_graph`), or else those that the config grows."""
    for path in (topics_load, other_files.get("load_tree"), other_files.get("load_graph")):
        if path is not None:
            return load_topics(path)
    shape: type[Tree | Graph] = Graph if config.topics_shape == "graph" else Tree
    params = config.get_topics_params()
    if not params:
        raise ConfigError("This config does not grow topics. Give its topics to create_data as topic_model.")
    return shape(**params).build()


def handle_tree_events(tree: Tree | Graph, debug: bool = False) -> Mapping[str, Any]:
    """Builds a tree or a graph, and returns the last event of that."""
    *_, last = tree.build()
    return last


handle_graph_events = handle_tree_events


def create_dataset(
    engine: DataSetGenerator,
    topic_model: Any,
    config: DeepFabricConfig,
    num_steps: int | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Dataset:
    """`create_data` with the numbers of a config."""
    creation = config.get_dataset_config()["creation"]
    return engine.create_data(
        num_steps=num_steps or creation["num_steps"],
        batch_size=batch_size or creation["batch_size"],
        topic_model=topic_model,
        sys_msg=creation["sys_msg"],
        **{name: value for name, value in options.items() if name in ("model_name", "retry_failed")},
    )


def save_dataset(
    dataset: Dataset, path: str | Path, config: DeepFabricConfig | None = None, engine: Any = None
) -> None:
    """Writes the rows, and the files of the config's formatters in the forms that there are."""
    dataset.save(path)
    for export in config._recipe.exports if config is not None else ():
        dataset.save(export.path, export.format)
