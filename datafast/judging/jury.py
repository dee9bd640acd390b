"""One or several judges, and how they are asked.

Each judge is asked by itself, in a role of its own. Two texts are compared by each judge in both orders, and a text has the mean of its
two scores: judges favour the place that a text stands in, and so the two orders cancel that out (Zheng et al., "Judging LLM-as-a-Judge
with MT-Bench and Chatbot Arena", 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from datafast.engine.generate import Generate

__all__ = ["Compared", "Jury", "Opinion", "best_first", "mean_score"]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one judge says about one text."""

    judge: str
    reason: str
    score: int | float


@dataclass(frozen=True, slots=True)
class Compared:
    """What all judges say about two texts.

    Attributes:
        first, second: their opinions about each, in the order of the judges.
        steady: whether each judge prefers the same text in both orders.
    """

    first: list[Opinion]
    second: list[Opinion]
    steady: bool


class Jury:
    """The judges of a kind.

    Args:
        judges: the role of each.
        system_of: the system message of a role.
    """

    def __init__(self, judges: Sequence[str], *, system_of: Callable[[str], str | None]) -> None:
        self.judges = tuple(judges)
        self._system_of = system_of

    async def score(
        self,
        generate: Generate,
        prompt: str,
        model: type[BaseModel],
        *,
        reason: str = "reason",
        tag: str = "",
        row: int | None = None,
        part: str = "",
    ) -> list[Opinion]:
        """What each judge says about one text.

        Args:
            model: made by `judgement_model`; `reason` is the name of the field there.
            part: what of a row is judged, if there are several.

        Raises:
            CallFailed: a judge gives no usable reply.
        """

        async def ask(judge: str) -> Opinion:
            reply: Any = await self._ask(generate, judge, prompt, model, tag=tag, row=row, part=self._part(judge, part))
            return Opinion(judge, getattr(reply, reason), reply.score)

        return await generate.gather(*map(ask, self.judges))

    async def compare(
        self,
        generate: Generate,
        prompt: Callable[[str, str], str],
        texts: tuple[str, str],
        model: type[BaseModel],
        *,
        tag: str = "",
        row: int | None = None,
    ) -> Compared:
        """What each judge says about two texts, in both orders.

        Args:
            prompt: the prompt for two texts in this order.
            model: made by `comparison_model`.
        """
        one, other = texts
        asked = [(judge, pair) for judge in self.judges for pair in ((one, other), (other, one))]

        async def ask(judge: str, pair: tuple[str, str], part: str) -> Any:
            return await self._ask(
                generate, judge, prompt(*pair), model, tag=f"{tag} {part}".strip(), row=row, part=part
            )

        replies = await generate.gather(
            *(ask(judge, pair, f"{judge} {number % 2 + 1}") for number, (judge, pair) in enumerate(asked))
        )
        first, second, steady = [], [], True
        for judge, kept, swapped in zip(self.judges, replies[::2], replies[1::2], strict=True):
            first.append(Opinion(judge, kept.first_reason, _mean([kept.first_score, swapped.second_score])))
            second.append(Opinion(judge, kept.second_reason, _mean([kept.second_score, swapped.first_score])))
            steady &= _sign(kept.first_score, kept.second_score) == _sign(swapped.second_score, swapped.first_score)
        return Compared(first, second, steady)

    def _part(self, judge: str, part: str) -> str:
        return f"{part}_{judge}" if part else judge

    async def _ask(
        self,
        generate: Generate,
        judge: str,
        prompt: str,
        model: type[BaseModel],
        *,
        tag: str,
        row: int | None,
        part: str,
    ) -> BaseModel:
        return await generate(judge, prompt, model, system=self._system_of(judge), tag=tag, row=row, part=part)


def mean_score(opinions: Sequence[Opinion]) -> int | float:
    """The mean of the judges' scores; a whole number stays one."""
    return _mean([opinion.score for opinion in opinions])


class HasScore(Protocol):
    """What can be compared by its score."""

    @property
    def score(self) -> int | float | None: ...


S = TypeVar("S", bound=HasScore)


def best_first(candidates: Sequence[S]) -> list[S]:
    """Candidates by their scores, the best one first; of equal ones, the earlier one."""
    return sorted(candidates, key=lambda found: found.score or 0, reverse=True)


def _mean(scores: Sequence[int | float]) -> int | float:
    return scores[0] if len(set(scores)) == 1 else fmean(scores)


def _sign(one: float, other: float) -> int:
    return (one > other) - (one < other)
