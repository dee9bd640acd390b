"""How the two responses of a preference pair come about.

    two_models   two models answer; the second one is weaker, or is asked for a worse answer
    degrade      one model answers, another one makes that answer worse in a way that the row names
    best_of_n    models answer several times, and judges choose the best and the worst answer

Judges score each response by itself, or both together in both orders; see `datafast.judging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from datafast.engine.generate import Generate
from datafast.judging import Jury, Opinion, Scale, best_first, comparison_model, judgement_model, mean_score

__all__ = ["JUDGEMENT", "SCALE", "Judging", "Maker", "Pair", "Recipe", "Response", "Strategy", "of_judges"]

Strategy = Literal["two_models", "degrade", "best_of_n"]
Judging = Literal["separate", "both_orders"]

SCALE = Scale(1, 10, worst="useless", best="cannot be improved")
JUDGEMENT = judgement_model(
    SCALE,
    reason="assessment",
    about="what is good and what is missing, in one to three sentences",
    first_docstring="What a judge replies.",
)


class Recipe(NamedTuple):
    """What a config says about pairs.

    Attributes:
        chosen_by, rejected_by: the roles that take turns in writing each response.
        judges: the roles that score; none if nothing is scored.
        num_responses: how many responses are chosen from, for best_of_n.
        flaws: in what ways answers are made worse, for degrade; none if the prompt does not say.
        evolves: whether the chosen response is rewritten.
        system_of: the system message of a role.
    """

    strategy: Strategy
    chosen_by: Sequence[str]
    rejected_by: Sequence[str]
    judges: Sequence[str]
    judging: Judging
    num_responses: int
    flaws: Sequence[str]
    evolves: bool
    system_of: Callable[[str], str | None]


@dataclass(slots=True)
class Response:
    """One response, and what judges say about it."""

    text: str
    model_id: str
    tag: str
    opinions: list[Opinion] = field(default_factory=list)

    @property
    def score(self) -> int | float | None:
        return mean_score(self.opinions) if self.opinions else None

    @property
    def assessment(self) -> str | None:
        """What the judges say: with their names if there are several."""
        if len(self.opinions) == 1:
            return self.opinions[0].reason
        return "\n".join(f"{opinion.judge}: {opinion.reason}" for opinion in self.opinions) or None


@dataclass(slots=True)
class Pair:
    """Two responses. `steady`: whether judges preferred the same one in both orders, where they were shown both."""

    chosen: Response
    rejected: Response
    flaw: str | None = None
    steady: bool | None = None

    @property
    def margin(self) -> int | float | None:
        """By how much the chosen response is better."""
        if self.chosen.score is None or self.rejected.score is None:
            return None
        return self.chosen.score - self.rejected.score


class Maker:
    """Makes the pair of one question.

    Args:
        prompt: the prompt of a sort of call: chosen, rejected, evolution or judge.
        number: the question's number in its item.
    """

    def __init__(self, recipe: Recipe, generate: Generate, prompt: Callable[..., str], *, number: int) -> None:
        self._recipe = recipe
        self._generate = generate
        self._prompt = prompt
        self._number = number
        self._jury = Jury(recipe.judges, system_of=recipe.system_of)

    async def make(self) -> Pair:
        """The pair, with its better response as the chosen one, or the one that was not made worse. Raises CallFailed."""
        if self._recipe.strategy == "best_of_n":
            return await self._best_of_n()
        pair = await (self._degraded() if self._recipe.strategy == "degrade" else self._by_two())
        if self._recipe.judges:
            await (self._judge_together(pair) if self._recipe.judging == "both_orders" else self._judge_apart(pair))
            if self._recipe.strategy != "degrade":  # there the flaw is in the rejected one
                self._swap_if_better(pair)
        return pair

    async def _by_two(self) -> Pair:
        chosen, rejected = await self._generate.gather(
            self._written("chosen", self._recipe.chosen_by), self._written("rejected", self._recipe.rejected_by)
        )
        return Pair(await self._evolved(chosen), rejected)

    async def _degraded(self) -> Pair:
        chosen = await self._evolved(await self._written("chosen", self._recipe.chosen_by))
        flaw = self._of("flaw", self._recipe.flaws) if self._recipe.flaws else None
        rejected = await self._written("rejected", self._recipe.rejected_by, answer=chosen.text, flaw=flaw or "")
        return Pair(chosen, rejected, flaw)

    async def _best_of_n(self) -> Pair:
        responses = await self._generate.gather(*map(self._candidate, range(self._recipe.num_responses)))
        best, *others = best_first(responses)
        different = [response for response in others if response.text.split() != best.text.split()]
        return Pair(best, (different or others)[-1])

    async def _candidate(self, number: int) -> Response:
        part = f"response {number + 1}"
        response = await self._written("chosen", self._recipe.chosen_by, turn=number, tag=f" {number}", part=part)
        response.opinions = await self._opinions(response.text, part=part)
        return response

    async def _written(
        self, sort: str, roles: Sequence[str], *, turn: int = 0, tag: str = "", part: str = "", **values: str
    ) -> Response:
        role = self._of(sort, roles, turn)
        tag = f"{self._number}{tag}"
        text = await self._text(role, self._prompt(sort, **values), tag=tag, part=part or sort, again=turn)
        return Response(text, self._generate.model_id(role), tag)

    async def _evolved(self, response: Response) -> Response:
        if self._recipe.evolves:
            prompt = self._prompt("evolution", answer=response.text)
            response.text = await self._text("evolution", prompt, tag=response.tag, part="evolution")
        return response

    async def _text(self, role: str, prompt: str, *, tag: str, part: str, again: int = 0) -> str:
        system = self._recipe.system_of(role)
        return await self._generate(role, prompt, system=system, tag=tag, row=self._number, part=part, again=again)

    def _of(self, purpose: str, things: Sequence[str], turn: int = 0) -> str:
        """One of these: they take turns from question to question, and the first one is drawn."""
        if len(things) == 1:
            return things[0]
        return things[(self._generate.rng(purpose).randrange(len(things)) + self._number + turn) % len(things)]

    # -- judging

    async def _opinions(self, response: str, *, part: str) -> list[Opinion]:
        return await self._jury.score(
            self._generate,
            self._prompt("judge", response=response),
            JUDGEMENT,
            reason="assessment",
            tag=str(self._number),
            row=self._number,
            part=part,
        )

    async def _judge_apart(self, pair: Pair) -> None:
        pair.chosen.opinions, pair.rejected.opinions = await self._generate.gather(
            self._opinions(pair.chosen.text, part="chosen"), self._opinions(pair.rejected.text, part="rejected")
        )

    async def _judge_together(self, pair: Pair) -> None:
        found = await self._jury.compare(
            self._generate,
            lambda first, second: self._prompt("judge", first=first, second=second),
            (pair.chosen.text, pair.rejected.text),
            comparison_model(SCALE),
            tag=str(self._number),
            row=self._number,
        )
        pair.chosen.opinions, pair.rejected.opinions, pair.steady = found.first, found.second, found.steady

    def _swap_if_better(self, pair: Pair) -> None:
        """The better response becomes the chosen one."""
        if (pair.margin or 0) >= 0:
            return
        pair.chosen, pair.rejected = pair.rejected, pair.chosen
        self._generate.swap_reasoning(self._number, "chosen", "rejected")
        for judge in self._recipe.judges:
            self._generate.swap_reasoning(self._number, f"chosen_{judge}", f"rejected_{judge}")


def of_judges(pair: Pair, model_ids: Mapping[str, str]) -> list[dict[str, object]]:
    """What each judge says about both responses."""
    return [
        {
            "judge": chosen.judge,
            "model_id": model_ids[chosen.judge],
            "chosen_score": chosen.score,
            "chosen_assessment": chosen.reason,
            "rejected_score": rejected.score,
            "rejected_assessment": rejected.reason,
        }
        for chosen, rejected in zip(pair.chosen.opinions, pair.rejected.opinions, strict=True)
    ]
