"""Growing personas: a first call describes some people, and then each of these leads to others who have to do with them.

    {"personas": ["a retired ferryman who dictates long letters to his grandson and signs each sentence with an example", ...]}

Method: persona-to-persona expansion (Ge et al., "Scaling Synthetic Data Creation with 1,000,000,000 Personas", 2024), in which the people
around a persona keep later ones apart from each other better than any list of those that are there, and every call is as short as
the first one.

Guarantee: exactly as many as asked for, no two of them alike (see `Personas`). Who comes in which place depends only on the description
and the replies, not on their order or on how many are asked for: more personas later begin with the same ones, and ask only for the rest.
Cost: one call for the first 20, and one for each 10 further ones; all calls that are needed run at once, as far as there are people to
start from, so that 1,000 take three rounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, create_model, field_validator

from datafast._util.normalised import normalised
from datafast.errors import CallFailed, ReplyCategory
from datafast.llms.reply_model import ReplyModel, exactly

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.personas.config import PersonasConfig

__all__ = ["ROLE", "Personas", "grow", "num_calls"]

ROLE = "personas"
_FIRST = 20
_EACH = 10
_ROUNDS_IN_VAIN = 3  # in a row, after which others are not asked for any more
_BEGINNING = 8  # words
_NUMBERING = re.compile(r"^\s*(?:(?:persona?\s+)?\d{1,3}[.):]|[-*\u2022])\s+", re.IGNORECASE)
_SAYS_LITTLE = frozenset(["a", "an", "the", "this", "who", "is", "he", "she", "they"])


def num_calls(count: int) -> int:
    """The calls that grow so many, if every reply is usable."""
    return 1 + math.ceil(max(0, count - _FIRST) / _EACH)


class Described(ReplyModel):
    """People, each in a line."""

    elements: ClassVar[tuple[str, ...]] = ("personas",)

    personas: list[str] = Field(min_length=1)

    @field_validator("personas")
    @classmethod
    def _not_all_blank(cls, personas: list[str]) -> list[str]:
        if not any(persona.strip() for persona in personas):
            raise ValueError("every persona is blank")
        return personas


class Personas:
    """Personas in the order in which they were taken, none of them like another: neither the same but for case, width, spacing and
    punctuation, nor with a beginning of eight words that says the same.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._seen: set[str] = set()

    def take(self, described: Sequence[str]) -> list[str]:
        """Takes those that are new, and returns them."""
        new = []
        for persona in described:
            line = " ".join(_NUMBERING.sub("", persona).split())
            marks = _marks(line)
            if line and not marks & self._seen:
                self._seen |= marks
                new.append(line)
        self.lines += new
        return new


def _marks(line: str) -> set[str]:
    """What a persona shares with those that are like it."""
    whole = normalised(line)
    words = [word for word in whole.split() if word not in _SAYS_LITTLE]
    return {whole, " ".join(words[:_BEGINNING]) or whole}


async def grow(config: PersonasConfig, generate: Generate) -> list[str]:
    """As many personas as the config asks for. People whose call fails for good lead to nobody.

    Raises:
        CallFailed: there are too few, and everybody was asked about, or several rounds in a row brought nobody new.
    """
    found = Personas()
    first = found.take(await _asked(config, generate, None, ()))
    company = [first] * len(first)  # whom each persona was described with
    asked = in_vain = 0
    errors: list[CallFailed] = []
    while (missing := config.count - len(found.lines)) > 0:
        start_from = range(asked, min(asked + math.ceil(missing / _EACH), len(found.lines)))
        if not start_from or in_vain == _ROUNDS_IN_VAIN:
            raise _too_few(config, generate, len(found.lines), errors)
        about = [(found.lines[number], company[number]) for number in start_from]
        for described in await generate.gather(*(_asked_about(config, generate, *one, errors) for one in about)):
            new = found.take(described)
            company += [new] * len(new)
        asked = start_from.stop
        in_vain = in_vain + 1 if config.count - len(found.lines) == missing else 0
    return found.lines[: config.count]


async def _asked_about(
    config: PersonasConfig, generate: Generate, persona: str, company: Sequence[str], errors: list[CallFailed]
) -> Sequence[str]:
    """What is described from a persona; nobody if its call fails for good, which is noted among the errors."""
    try:
        return await _asked(config, generate, persona, [other for other in company if other != persona])
    except CallFailed as error:
        if error.ends_run:
            raise
        errors.append(error)
        return ()


async def _asked(
    config: PersonasConfig, generate: Generate, persona: str | None, others: Sequence[str]
) -> Sequence[str]:
    """What one call describes, and those that ask for what was missing in its reply."""
    known = Personas()
    known.take([*([] if persona is None else [persona]), *others])
    count = _FIRST if persona is None else _EACH
    found: list[str] = []

    def new(reply: Described) -> list[str]:
        taken = known.take(reply.personas)
        found.extend(taken)
        return taken

    await generate.collect(
        ROLE,
        count,
        prompt=lambda wanted: _prompt(config.describe, persona, [*others, *found], wanted),
        response_model=_model,
        items=new,
        system=config.system_prompt,
    )
    return found[:count]


def _too_few(config: PersonasConfig, generate: Generate, came: int, errors: Sequence[CallFailed]) -> CallFailed:
    told = f"Only {came:,} of {config.count:,} personas are different from each other."
    if errors:
        last = errors[-1]
        return last.told_as(f"{told} {len(errors):,} calls failed for good, the last one: {last}")
    return generate.failure(
        f"{told} Ask for fewer, or describe more sorts of people.", category=ReplyCategory.SHORT.value
    )


def _prompt(describe: str, persona: str | None, others: Sequence[str], count: int) -> str:
    people = "people" if count > 1 else "person"
    if persona is None:
        parts = [f"We need {people} to write texts from their point of view: {describe}"]
        task = f"Describe exactly {count} such {people}, as different from each other as such people are in life."
    else:
        parts = [f"We need people to write texts from their point of view: {describe}", f"One of them:\n\n{persona}"]
        task = (
            f"Describe exactly {count} other {people} who also fit what we need and have to do with this one: at home, at work, as a "
            f"customer, a friend, an opponent, a stranger with the same question. Let them differ from this one and from each other."
        )
    parts.append(
        f"{task} Each description is one line of at most 30 words, without a name: who it is (age, work, situation), what they know and "
        f"want, and how they write."
    )
    if others:
        parts.append("These are there already, so find others:\n" + "\n".join(f"- {other}" for other in others))
    return "\n\n".join(parts)


@cache
def _model(count: int) -> type[Described]:
    """The model whose schema asks for exactly `count`; a shorter reply is kept and topped up."""
    items = {"type": "string", "minLength": 1}
    bounds: Any = {"minItems": count, "maxItems": count, "items": items}
    described = (list[str], Field(min_length=1, description=exactly(count, "personas"), json_schema_extra=bounds))
    return create_model(f"Personas{count}", __base__=Described, personas=described)
