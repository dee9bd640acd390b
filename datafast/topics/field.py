"""`topics` in a config: a list, nested topics, a file, a topic model, or what a model is to be grown from.

topics: [Tides, Ice]                                topics: {Sea: [Tides, Ice], Sky: [Clouds]}        topics: sea.json
topics: {topic_prompt: The sea, degree: 4, depth: 3}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Discriminator,
    InstanceOf,
    PlainSerializer,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)

from datafast._util.config_model import NonBlank
from datafast.errors import ConfigError
from datafast.topics.config import TopicsConfig
from datafast.topics.files import is_record
from datafast.topics.model import TopicModel
from datafast.topics.shapes import Tree, load_topics, shape_of

__all__ = ["TopicSource", "given_model", "stand_in"]


def _read(value: Any, info: ValidationInfo) -> Any:
    """Files are looked into when the config is made, relative to the folder that its reader names."""
    if isinstance(value, str | Path):
        folder = (info.context or {}).get("folder")
        return _loaded(Path(folder or "") / value)
    if isinstance(value, TopicModel) and not value.is_built and not hasattr(value, "config"):
        raise ValueError("this topic model holds no topics")
    if isinstance(value, Mapping) and (is_record(value) or not set(value) & set(TopicsConfig.model_fields)):
        try:
            return shape_of(str(value.get("shape")) if is_record(value) else "tree").from_dict(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return value


def _loaded(path: Path) -> TopicModel:
    try:
        return load_topics(path)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _sort(value: Any) -> str:
    """Which of the forms is meant, so that an error speaks of that one alone."""
    if isinstance(value, TopicModel):
        return "model"
    return "grown" if isinstance(value, Mapping | TopicsConfig) else "list"


def _written(value: Any) -> Any:
    if isinstance(value, TopicModel):
        config = getattr(value, "config", None)
        return value.to_dict() if value.is_built or config is None else config.model_dump(mode="json")
    return value


TopicSource = Annotated[
    Annotated[list[NonBlank], Tag("list")]
    | Annotated[TopicsConfig, Tag("grown")]
    | Annotated[InstanceOf[TopicModel], Tag("model")],
    Discriminator(_sort),
    BeforeValidator(_read),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "string", "description": "a file with topics, relative to the config"},
                {"type": "object", "description": "nested topics, or topic_prompt, degree and depth to grow them from"},
            ]
        }
    ),
]


def given_model(topics: Any) -> TopicModel | None:
    """The model of topics that are there; None where they are still to be grown."""
    if isinstance(topics, TopicModel):
        return topics if topics.is_built else None
    return Tree.from_topics(topics) if isinstance(topics, list) else None


def stand_in(config: TopicsConfig) -> TopicModel:
    """A model of the size that is asked for, with names that only say where they stand, for planning ahead."""
    model = shape_of(config.shape).from_paths([[config.topic_prompt]])
    level = [(0, "")]
    for _ in range(config.depth):
        level = [
            (model._add(parent, f"{config.topic_prompt}, subtopic {place}{number}"), f"{place}{number}.")
            for parent, place in level
            for number in range(1, config.degree + 1)
        ]
    return shape_of(config.shape).from_dict(model.to_dict())
