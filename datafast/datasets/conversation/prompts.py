"""The parts of a prompt besides the user's template: the topics, the form, the tools, examples, and variety."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from datafast.datasets.conversation.replies import DEFAULT_STEPS, Bounds, Style
from datafast.datasets.conversation.tools import Tools
from datafast.plan.defaults import Edition, PromptText
from datafast.sources import SourceRows
from datafast.topics.selection import Pick

__all__ = ["FIRST_FORM_TEXTS", "FORM_TEXTS", "form_of", "shown_examples", "shown_topics"]

# A repeated topic gets the next one of these, so that no prompt is sent twice.
_ANGLES = (
    "from a practical problem that somebody has to solve",
    "from a beginner's first question",
    "from a common misconception that has to be cleared up",
    "by comparing it with something similar",
    "from an unusual or borderline case",
    "from the point of view of an experienced practitioner",
    "from its history or its causes",
    "from what goes wrong in practice and how to notice it",
    "by way of a concrete worked example",
    "from its consequences and its limits",
)
FORM_TEXTS: Mapping[str, Sequence[str]] = {
    "turns": [
        "A conversation has one exchange.",
        "A conversation has 1 to {max_turns} exchanges, each taking up the one before.",
        "A conversation has at least {min_turns} and at most {max_turns} exchanges, each taking up the one before.",
    ],
    "basic": ["The user asks, the assistant answers."],
    "freetext": [
        "The user asks. Before each answer the assistant reasons: the field `reasoning` holds, step by step and in its own words, how it "
        "gets to the answer; the field `assistant` holds the answer alone."
    ],
    "agent": [
        f"The user asks for something. The assistant works on it in 1 to {DEFAULT_STEPS} steps, each with a `thought` (what to do "
        "next and why), an `action` and an `observation` (what came of the action, plausible and specific). Then it answers, using "
        "what it has observed."
    ],
    "tools": [
        "An action is the call of one of these tools, as an object with its `name` and its `arguments`, which fit the tool's "
        "parameters:"
    ],
    "told": ["The assistant in the conversations was told this, and acts by it:"],
}
"""The default texts for `form_of`."""
FIRST_FORM_TEXTS: Mapping[str, Sequence[str]] = {
    **FORM_TEXTS,
    "turns": [text.replace(" has 1 to ", " has one to ") for text in FORM_TEXTS["turns"]],
    "agent": [text.replace(" in 1 to ", " in one to ") for text in FORM_TEXTS["agent"]],
}
"""Those of version 1."""


def shown_topics(picks: Sequence[Pick]) -> str:
    """The topics of a call: one topic in a line; several as a numbered list, with one conversation for each."""
    if len(picks) == 1:
        return _shown(picks[0])
    listed = "\n".join(f"{number}. {_shown(pick)}" for number, pick in enumerate(picks, start=1))
    return f"one conversation for each of these topics, in this order:\n{listed}"


def _shown(pick: Pick) -> str:
    *above, topic = pick.path
    within = f" (within {' > '.join(above)})" if above else ""
    if not pick.repeat:
        return topic + within
    angle = _ANGLES[(pick.repeat - 1) % len(_ANGLES)]
    return (
        f"{topic}{within}, taken up {angle} (variation {pick.repeat + 1}: unlike what one would ask about it at first)"
    )


def form_of(
    edition: Edition, style: Style, *, bounds: Bounds, tools: Tools | None, system_message: str | None
) -> PromptText:
    """The description of a conversation's form."""
    parts = [PromptText.joined([_turns(edition, bounds), *map(bounds.said, edition.texts(style))], " ")]
    if tools is not None:
        parts.append(PromptText.joined([*edition.texts("tools"), PromptText(tools.listing())], "\n"))
    if system_message is not None:
        parts.append(PromptText.joined([*edition.texts("told"), PromptText(system_message)], "\n"))
    return PromptText.joined(parts, "\n\n")


def _turns(edition: Edition, bounds: Bounds) -> PromptText:
    if bounds.min_turns == 1:
        turns, key = edition.texts("turns")[bounds.max_turns > 1]
        return PromptText(turns.replace("{max_turns}", str(bounds.max_turns)), key and f"{key} {bounds.max_turns}")
    turns, key = edition.texts("turns")[2]
    said = turns.replace("{min_turns}", str(bounds.min_turns)).replace("{max_turns}", str(bounds.max_turns))
    return PromptText(said, key and f"{key} {bounds.min_turns} {bounds.max_turns}")


def shown_examples(source: SourceRows, number: int, rng: random.Random) -> str:
    """A number of rows of a source, chosen by `rng`, as JSON."""
    chosen = sorted(rng.sample(range(len(source)), min(number, len(source))))
    rows: list[dict[str, Any]] = [source[index] for index in chosen]
    return "Examples of what is wanted, one JSON object a line:\n" + "\n".join(
        orjson.dumps(row).decode() for row in rows
    )
