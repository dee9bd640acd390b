"""`topics` in a config: a list, nested topics, a file, a source of texts, a topic model, or the settings to grow one from.

topics: [Tides, Ice]                                topics: {Sea: [Tides, Ice], Sky: [Clouds]}        topics: sea.json
topics: {topic_prompt: The sea, degree: 4, depth: 3}    topics: {source: questions.csv, column: subject, limit: 100}
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
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.sources.field import is_source_spec, read_texts
from datafast.sources.finding import ENDINGS, ending_of
from datafast.sources.source import SourceTexts
from datafast.topics.config import TopicsConfig
from datafast.topics.files import is_record
from datafast.topics.model import TopicModel
from datafast.topics.shapes import Tree, load_topics, shape_of

__all__ = ["TopicSource", "given_model", "stand_in"]

_TABLES = frozenset(ENDINGS) - {".json", ".jsonl"}
"""Endings of files with rows; JSON files hold topic models."""


def _read(value: Any, info: ValidationInfo) -> Any:
    """Reads files when the config is made, relative to the folder in the validation context."""
    if isinstance(value, SourceTexts):
        return value
    if is_source_spec(value) or (isinstance(value, str | Path) and ending_of(str(value)) in _TABLES):
        return _without_key(read_texts(value, "topic", info, lines=True))
    if isinstance(value, str | Path):
        folder = (info.context or {}).get("folder")
        return _loaded(Path(folder or "") / user_path(value))
    if isinstance(value, TopicModel) and not value.is_built and not hasattr(value, "config"):
        raise ValueError("The topic model has no topics. Give at least one.")
    if isinstance(value, Mapping) and (is_record(value) or not set(value) & set(TopicsConfig.model_fields)):
        try:
            return shape_of(str(value.get("shape")) if is_record(value) else "tree").from_dict(value)
        except ConfigError as error:
            raise ValueError(str(error)) from error
    return value


def _without_key(texts: SourceTexts) -> SourceTexts:
    if texts.metadata_names:
        raise ValueError("key and keep_row: Topics of conversations are told apart by their names. Leave them out.")
    return texts


def _loaded(path: Path) -> TopicModel:
    try:
        return load_topics(path)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _sort(value: Any) -> str:
    """The form that is meant, so that errors are only about that one."""
    if isinstance(value, TopicModel | SourceTexts):
        return "model" if isinstance(value, TopicModel) else "source"
    return "grown" if isinstance(value, Mapping | TopicsConfig) else "list"


def _written(value: Any) -> Any:
    if isinstance(value, SourceTexts):
        return value.written
    if isinstance(value, TopicModel):
        config = getattr(value, "config", None)
        return value.to_dict() if value.is_built or config is None else config.model_dump(mode="json")
    return value


TopicSource = Annotated[
    Annotated[list[NonBlank], Tag("list")]
    | Annotated[TopicsConfig, Tag("grown")]
    | Annotated[InstanceOf[TopicModel], Tag("model")]
    | Annotated[InstanceOf[SourceTexts], Tag("source")],
    Discriminator(_sort),
    BeforeValidator(_read),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "string", "description": "a file with topics, relative to the config"},
                {
                    "type": "object",
                    "description": "nested topics; topic_prompt, degree and depth to grow them from; or a source",
                },
            ]
        }
    ),
]


def given_model(topics: Any) -> TopicModel | None:
    """The topic model; None if it is still to be grown."""
    if isinstance(topics, TopicModel):
        return topics if topics.is_built else None
    return Tree.from_topics(list(topics)) if isinstance(topics, list | SourceTexts) else None


def stand_in(config: TopicsConfig) -> TopicModel:
    """A model of the same size for planning, with made-up names that tell the position."""
    model = shape_of(config.shape).from_paths([[config.topic_prompt]])
    level = [(0, "")]
    for _ in range(config.depth):
        level = [
            (model._add(parent, f"{config.topic_prompt}, subtopic {place}{number}"), f"{place}{number}.")
            for parent, place in level
            for number in range(1, config.degree + 1)
        ]
    return shape_of(config.shape).from_dict(model.to_dict())
