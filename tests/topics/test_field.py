"""Topics as a field of a config: what may stand there, and how it is written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafast import Graph, Tree
from datafast.schema.config import ConversationDatasetConfig, TopicsConfig
from tests.topics.support import GROWN


def test_a_config_with_topics_is_dumped_and_read_again(tmp_path: Path) -> None:
    for topics in (
        GROWN,
        ["a", "b"],
        Tree.from_dict({"sea": ["shape", "depth"]}),
        Graph.from_paths([["a", "b"], ["c", "b"]]),
        {"format": ["Parquet", "CSV"]},
    ):
        config = ConversationDatasetConfig(topics=topics, output_file=tmp_path / "o.jsonl")  # type: ignore[arg-type]
        for again in (
            ConversationDatasetConfig.model_validate(config.model_dump()),
            ConversationDatasetConfig.model_validate_json(config.model_dump_json()),
        ):
            assert again.model_dump_json() == config.model_dump_json()
            assert type(again.topics) is type(config.topics)


def test_a_key_in_the_provider_of_topics_is_refused() -> None:
    with pytest.raises(ValueError, match="Keys do not belong in a config"):
        TopicsConfig(topic_prompt="sea", provider={"provider": "openai", "api_key": "sk-1"})


def test_a_model_without_topics_is_refused() -> None:
    from datafast.topics import TopicModel

    with pytest.raises(ValueError, match="has no topics"):
        ConversationDatasetConfig(topics=TopicModel())
