"""Growing a topic model: every topic of a level is divided by one call, all calls of a level at once.

    {"subtopics": ["Spring tides", "Storm surges", "Tide gauges"], "related": ["Ice shelves"]}

Guarantee: the result depends only on the config and the replies, not on the order in which these arrive, because proposals are taken in
the order of the topics that they are for. Cost: one call for each topic above the last level.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import Field, create_model, field_validator
from pydantic.config import JsonDict

from datafast._util.normalised import normalised
from datafast.errors import CallFailed
from datafast.llms.reply_model import ReplyModel, exactly, with_first_words
from datafast.topics.nodes import TopicNode, TopicPath

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.topics.building import Divided
    from datafast.topics.config import TopicsConfig

__all__ = ["ROLE", "Growing", "Subtopics", "grow"]

ROLE = "topics"
_MAX_CANDIDATES = 40
_MAX_LINKS = 3
_NUMBERING = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*\u2022])\s+")


class Subtopics(ReplyModel):
    """What a topic is divided into."""

    elements: ClassVar[tuple[str, ...]] = ("subtopics",)

    subtopics: list[str] = Field(min_length=1)

    @field_validator("subtopics")
    @classmethod
    def _not_all_blank(cls, topics: list[str]) -> list[str]:
        if not any(topic.strip() for topic in topics):
            raise ValueError("every subtopic is blank")
        return topics

    def new(self, known: Sequence[str]) -> list[str]:
        """The cleaned subtopics, without repetitions and without known ones."""
        taken = {normalised(topic) for topic in known}
        found = []
        for topic in self.subtopics:
            cleaned = " ".join(_NUMBERING.sub("", topic).split())
            if cleaned and normalised(cleaned) not in taken:
                taken.add(normalised(cleaned))
                found.append(cleaned)
        return found


class LinkedSubtopics(Subtopics):
    """The same, with topics from elsewhere that also belong below it."""

    elements: ClassVar[tuple[str, ...]] = ("subtopics", "related")

    related: list[str] = Field(default_factory=list)


class _Proposal:
    """The proposals for one topic."""

    def __init__(self, path: TopicPath, candidates: Sequence[str]) -> None:
        self.path = path
        self.candidates = candidates
        self.topics: list[str] = []
        self.related: list[str] = []
        self.error: CallFailed | None = None


class Growing(Protocol):
    """A topic model that takes proposals below one of its topics."""

    nodes: list[TopicNode]
    failed: dict[TopicPath, str]

    def absorb(self, parent: int, topics: Sequence[str], related: Sequence[str]) -> list[int]: ...
    def to_dict(self) -> dict[str, Any]: ...


async def grow(
    model: Growing, config: TopicsConfig, generate: Generate, *, on_divided: Divided | None = None
) -> Growing:
    """Grows a model that has only a root to the config's degree and depth, and returns it.

    `on_divided` is told of each topic, in the order in which they are taken.

    Raises:
        CallFailed: topics could not be divided, and the config says to stop then.
    """
    linked = config.shape == "graph"
    level: list[tuple[int, TopicPath]] = [(0, (config.topic_prompt,))]
    for _ in range(config.depth):
        proposals = [_Proposal(path, _candidates(model, path, generate) if linked else []) for _, path in level]
        await generate.gather(*(_divide(config, generate, proposal) for proposal in proposals))
        _check(config, proposals)
        below = []
        for (number, path), proposal in zip(level, proposals, strict=True):
            if proposal.error is not None:
                model.failed[path] = str(proposal.error)
            before = sum(len(node.children) for node in model.nodes) if on_divided else 0
            new = model.absorb(number, proposal.topics, proposal.related)
            if on_divided is not None:
                links = sum(len(node.children) for node in model.nodes) - before - len(new)
                on_divided(path, len(new), links, None if proposal.error is None else str(proposal.error))
            below += [(child, (*path, model.nodes[child].topic)) for child in new]
        level = below
    return model


def _check(config: TopicsConfig, proposals: Sequence[_Proposal]) -> None:
    failed = [proposal for proposal in proposals if proposal.error is not None]
    if not failed or (config.on_error == "leaf" and len(failed) < len(proposals)):
        return
    error = failed[0].error
    assert error is not None  # noqa: S101 - those without one were left out
    raise error.told_as(
        f"{len(failed)} of {len(proposals)} topics could not be divided. The first is {' > '.join(failed[0].path)!r}: {error}"
    )


async def _divide(config: TopicsConfig, generate: Generate, proposal: _Proposal) -> None:
    linked = config.shape == "graph"

    def usable(reply: Subtopics) -> list[str]:
        found = reply.new([*proposal.path, *proposal.topics])
        proposal.topics += found
        if isinstance(reply, LinkedSubtopics):
            proposal.related += reply.related[:_MAX_LINKS]
        return found

    try:
        await generate.collect(
            ROLE,
            config.degree,
            prompt=lambda count: _prompt(proposal, count),
            response_model=lambda count: subtopics_model(count, tuple(proposal.candidates) if linked else None),
            items=usable,
            system=config.topic_system_prompt,
        )
    except CallFailed as error:
        proposal.error = error
    proposal.topics = proposal.topics[: config.degree]


def _candidates(model: Growing, path: TopicPath, generate: Generate) -> list[str]:
    """Topics of a graph that may also lie below the last one of a path: all except those above it."""
    above = {normalised(topic) for topic in path}
    names = [node.topic for node in model.nodes if normalised(node.topic) not in above]
    if len(names) <= _MAX_CANDIDATES:
        return names
    return generate.rng(f"candidates: {' > '.join(path)}").sample(names, _MAX_CANDIDATES)


def _prompt(proposal: _Proposal, count: int) -> str:
    path = proposal.path
    parts = [f"The subject {path[0]!r} is being divided into topics to write about."]
    if len(path) > 1:
        parts.append(f"Where we are: {' > '.join(path)}.")
    parts.append(
        f"Propose exactly {count} subtopic{'s' if count > 1 else ''} of {path[-1]!r}. Each is a specific topic of at most ten words "
        f"that can be understood by itself, differs clearly from the others, and together they cover what matters."
    )
    if proposal.topics:
        parts.append("These are there already, so find others:\n" + "\n".join(f"- {t}" for t in proposal.topics))
    if proposal.candidates:
        listed = "\n".join(f"- {topic}" for topic in proposal.candidates)
        parts.append(
            f"These topics are part of the subject already. Do not propose them again; name under `related` those few, if any, "
            f"that also belong below {path[-1]!r}:\n{listed}"
        )
    return "\n\n".join(parts)


@cache
def _plain_model(count: int) -> type[Subtopics]:
    model = create_model(f"Subtopics{count}", __base__=Subtopics, subtopics=(list[str], _list_of(count)))
    return with_first_words(model, {"subtopics": f"exactly {count} subtopics"})


def subtopics_model(count: int, candidates: tuple[str, ...] | None) -> type[Subtopics]:
    """The model whose schema asks for exactly `count` subtopics and, in a graph, offers the topics that may be linked.

    Only the schema states the bounds: a shorter reply is kept and topped up, and unknown links are left out.
    """
    if candidates is None:
        return _plain_model(count)
    links: JsonDict = {"maxItems": _MAX_LINKS if candidates else 0}
    if candidates:
        links["items"] = {"type": "string", "enum": list(candidates)}
    related: Any = Field(
        default_factory=list,
        description="those of the listed topics that also belong here, to the letter; usually none",
        json_schema_extra=links,
    )
    model = create_model(
        f"Subtopics{count}",
        __base__=LinkedSubtopics,
        subtopics=(list[str], _list_of(count)),
        related=(list[str], related),
    )
    words = {
        "subtopics": f"exactly {count} subtopics",
        "related": "those of the listed topics that also belong here, to the letter; usually none",
    }
    return with_first_words(model, words)


def _list_of(count: int) -> Any:
    items: JsonDict = {"type": "string", "minLength": 1}
    bounds: JsonDict = {"minItems": count, "maxItems": count, "items": items}
    return Field(min_length=1, description=exactly(count, "subtopics"), json_schema_extra=bounds)
