"""How a topic model is grown."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from datafast._util.config_model import Accepts, ConfigModel, NonBlank, UserPath, default_of
from datafast.llms.spec import ProviderSpec

__all__ = ["TopicsConfig"]

_MAX_TOPICS = 200_000


class TopicsConfig(ConfigModel):
    """A topic model that a language model grows from a root, level by level."""

    model_config = ConfigDict(hide_input_in_errors=True)  # `provider` may hold a key in the wrong place

    topic_prompt: NonBlank
    """The root: the subject that is divided."""

    shape: Literal["tree", "graph"] = "tree"
    """tree: each topic has one parent. graph: topics may also be linked below others."""

    degree: int = Field(default=3, ge=1, le=100)
    """Subtopics that each topic is divided into."""

    depth: int = Field(default=2, ge=1, le=12)
    """Levels below the root; the last one holds the topics that rows are about."""

    topic_system_prompt: NonBlank | None = None
    """A system message for the calls that divide topics."""

    provider: ProviderSpec | None = None
    """Who divides them, as under `providers`; the first provider of the dataset where none is given."""

    on_error: Literal["stop", "leaf"] = "stop"
    """What happens when a topic cannot be divided for good. stop: nothing is generated before it is tried again with success.
    leaf: it stays undivided and is listed in the file."""

    file: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The file for the model, with its ledger next to it, relative to the working directory. Several datasets may share it. By
    default it is next to the output file."""

    @model_validator(mode="after")
    def _not_too_many(self) -> TopicsConfig:
        if self.num_topics > _MAX_TOPICS:
            raise ValueError(
                f"degree {self.degree} and depth {self.depth} make {self.num_topics:,} topics, more than {_MAX_TOPICS:,}. "
                f"Lower one of them."
            )
        return self

    @property
    def num_leaves(self) -> int:
        """Topics on the last level, before duplicates are merged."""
        return int(self.degree**self.depth)

    @property
    def num_topics(self) -> int:
        """Topics on all levels below the root."""
        return sum(int(self.degree**level) for level in range(1, self.depth + 1))

    @property
    def num_calls(self) -> int:
        """The number of calls that grow it, if every reply is usable."""
        return sum(int(self.degree**level) for level in range(self.depth))
