"""What somebody says in a conversation, as models write it: without the name in front of it, and not with what others say.

Guarantee: a text that passes is what one speaker says. Limits: who speaks is told by names in English and by the marks of chat formats;
what is said in the place of somebody without a name is not found.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, Field

from datafast.datasets.mcq_answers import normalised
from datafast.quality.refusals import is_refusal

__all__ = ["AssistantsWords", "Speaker", "UsersWords", "is_reply", "said", "said_anew", "why_not_said"]

Speaker = Literal["user", "assistant"]

_NAMES = {
    "user": r"(?:the )?(?:user|human|question|q)(?: ?\([^()\n:]{1,60}\))?(?: says)?",
    "assistant": r"(?:the )?(?:ai|assistant|ai assistant|chatbot)(?: says)?",
}
_LABELS = {
    speaker: re.compile(rf"^[*_#>\s]*{name}[*_\s]*:[*_\s]*|^#+ ?{name} *\n", re.IGNORECASE)
    for speaker, name in _NAMES.items()
}
_QUOTED = re.compile(r'"([^"]+)"|“([^“”]+)”|«([^«»]+)»', re.DOTALL)
_MARKS = re.compile(r"<\|\w+\|>|\[/?INST\]|<(?:start|end)_of_turn>")
_CODE = re.compile(r"^ *(```|~~~).*?(?:^ *\1|\Z)", re.MULTILINE | re.DOTALL)
_OTHERS = {
    # The assistant's name: at the beginning of a line, or as a name within one.
    "user": re.compile(
        r"^[*_#> \t]*(?i:(?:ai )?assistant|ai|chatbot)[*_ \t]*:|^#+ ?(?i:assistant) *$|(?<![\w.-])(?:AI )?Assistant\**:(?!\S)",
        re.MULTILINE,
    ),
    # The user's name at the beginning of a line, and what the user asks or what comes in answer to it.
    "assistant": re.compile(
        r"^(?:[*_#]+ ?)?(?:User|Human)[*_]*:(?=[^\n]*\?|.*\n(?:[*_#]+ ?)?(?:AI )?(?:Assistant|AI)[*_]*:)",
        re.MULTILINE | re.DOTALL,
    ),
}
# The fields of replies in which it is said; an assistant may be asked for JSON with an answer in it.
_FIELDS = {"user": {"question", "message"}, "assistant": {"next", "calls"}}
_BUT_ONE = {
    "user": "only what the user says is asked for, without what the assistant answers",
    "assistant": "only what the assistant answers is asked for, without what the user says next",
}


def said(speaker: Speaker, text: str) -> str:
    """What somebody says, without the name in front of it; what a user says without quotes around all of it too."""
    told = _LABELS[speaker].sub("", text).strip()
    if speaker == "user" and (quoted := _QUOTED.fullmatch(told)):
        told = next(filter(None, quoted.groups())).strip()
    return told


def why_not_said(speaker: Speaker, text: str) -> str | None:
    """Why a text is not what somebody says; None if it is."""
    told = said(speaker, text)
    if not told:
        return "nothing is said"
    if _OTHERS[speaker].search(_CODE.sub("", told)) or _MARKS.search(told):
        return _BUT_ONE[speaker]
    if speaker == "user" and "?" not in told and is_refusal(told):
        return "the user is to be played, and does not refuse"
    if is_reply(told, _FIELDS[speaker]):
        return "only the words are asked for, without JSON in them"
    return None


def said_anew(speaker: Speaker, text: str, earlier: Collection[str] = ()) -> str:
    """What somebody says.

    Args:
        earlier: what was said before, normalised, where it must not be said again.

    Raises:
        ValueError: it is not what one speaker says, or was said before.
    """
    if why := why_not_said(speaker, text):
        raise ValueError(why)
    told = said(speaker, text)
    if earlier and normalised(told) in earlier:
        raise ValueError("this was said before in the conversation; say something else")
    return told


def is_reply(text: str, fields: Collection[str]) -> bool:
    """Whether a text is itself a reply in JSON, with these fields."""
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return bool(found) and found.keys() <= fields


UsersWords = Annotated[str, Field(min_length=1), AfterValidator(lambda text: said_anew("user", text))]
"""What a user says."""
AssistantsWords = Annotated[str, Field(min_length=1), AfterValidator(lambda text: said_anew("assistant", text))]
"""What an assistant answers."""
