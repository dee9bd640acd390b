"""From a task to its rows: it evolves, is answered, and the response is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from datafast.datasets.config import Metadata
from datafast.datasets.instruction.config import RESPONSE, WRITER, InstructionDatasetConfig
from datafast.datasets.instruction.evolution import ROLE as EVOLUTION
from datafast.datasets.instruction.evolution import Evolved, Evolver
from datafast.datasets.instruction.responses import GUIDANCE_TOLD, Response
from datafast.datasets.instruction.rows import EvolutionStep, InstructionJudgement, InstructionRow, Task
from datafast.datasets.instruction.rules import why_response_fails
from datafast.datasets.pairing import given
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.judging import Jury, Opinion, judgement_model, mean_score
from datafast.plan.items import WorkItem
from datafast.plan.template import Template

__all__ = ["Maker"]


class _Answered(NamedTuple):
    """A task with its response, and where that was asked for."""

    task: Task
    response: str = ""
    tag: str = ""
    opinions: Sequence[Opinion] = ()


class Maker:
    """Makes the rows of the tasks of one item.

    Args:
        templates: by sort of call.
        rubric: what judges are told about scores.
        response_model: the model of a response, which may refuse what an evolution asks for; None for plain text.
        evolver: None where nothing evolves.
        metadata: of every row.
    """

    def __init__(
        self,
        config: InstructionDatasetConfig,
        item: WorkItem,
        generate: Generate,
        *,
        templates: Mapping[str, Template],
        rubric: str,
        response_model: Callable[..., type[Response] | None],
        evolver: Evolver | None,
        jury: Jury,
        metadata: Metadata,
    ) -> None:
        self._config = config
        self._item = item
        self._generate = generate
        self._templates = templates
        self._rubric = rubric
        self._response_model = response_model
        self._evolver = evolver
        self._jury = jury
        self._metadata = metadata

    async def rows(self, number: int, task: Task) -> list[InstructionRow | CallFailed]:
        """The rows of the item's task `number`, with an error in the place of each that failed."""
        each = self._config.rows_per_task
        numbers = range(number * each, min((number + 1) * each, self._item.num_rows))
        try:
            evolved = await self._evolve(task, number, numbers)
        except CallFailed as error:
            return [error] * len(numbers)
        if each == 1:
            return [await self._last(task, evolved, row=numbers[0])]
        rounds = (self._round(task, evolved[:turn], row=row) for turn, row in enumerate(numbers))
        return await self._generate.gather(*rounds)

    async def _evolve(self, task: Task, number: int, rows: Sequence[int]) -> list[Evolved]:
        if self._evolver is None or self._config.evolution is None:
            return []
        rows = rows[1:] if self._config.rows_per_task > 1 else [rows[0]] * self._config.evolution.rounds
        return await self._evolver.rounds(self._generate, self._prompt, task, number=number, rows=rows)

    async def _last(self, task: Task, evolved: list[Evolved], *, row: int) -> InstructionRow | CallFailed:
        """The row of what a task has become. An evolution whose response fails is dropped too, and what was there before is answered."""
        try:
            while True:
                turn = max((turn for turn, step in enumerate(evolved, 1) if step.dropped is None), default=0)
                answered = await self._answered(evolved[turn - 1].task if turn else task, turn, row)
                why = why_response_fails(answered.response) if turn else None
                if why is None:
                    return self._row(task, evolved, await self._judged(answered, row), row)
                evolved[turn - 1] = evolved[turn - 1]._replace(dropped=why)
                self._generate.swap_reasoning(row, RESPONSE, f"{RESPONSE} {turn}")
        except CallFailed as error:
            return error

    async def _round(self, task: Task, evolved: list[Evolved], *, row: int) -> InstructionRow | CallFailed:
        """The row of the last of these rounds. One that is dropped has a row too, which a stage takes out with the reason."""
        step = evolved[-1] if evolved else None
        answered = _Answered(step.task if step else task)
        try:
            if step is None or step.dropped is None:
                answered = await self._answered(answered.task, len(evolved), row)
                if step is not None and (why := why_response_fails(answered.response)):
                    evolved[-1] = step._replace(dropped=why)
                else:
                    answered = await self._judged(answered, row)
        except CallFailed as error:
            return error
        return self._row(task, evolved, answered, row)

    async def _answered(self, task: Task, turn: int, row: int) -> _Answered:
        tag = f"{row} {turn}"
        system = self._config.system_prompt_of(RESPONSE)
        prompt, model = self._prompt("response", task), self._response_model(may_refuse=turn > 0)
        if model is None:
            response = await self._generate(RESPONSE, prompt, system=system, tag=tag, row=row)
        else:
            response = (await self._generate(RESPONSE, prompt, model, system=system, tag=tag, row=row)).response
        return _Answered(task, response, tag)

    async def _judged(self, answered: _Answered, row: int) -> _Answered:
        if (judge := self._config.judge) is None:
            return answered
        shown = self._prompt("judge", answered.task, response=answered.response)
        prompt, model = judge.judged(shown, self._rubric), judgement_model(judge.bounds)
        opinions = await self._jury.score(self._generate, prompt, model, tag=answered.tag, row=row)
        return answered._replace(opinions=opinions)

    def _prompt(self, sort: str, task: Task | None = None, **values: str) -> str:
        """The prompt of a sort of call about a task. `instruction` stands for all of it, unless the template has `input` too."""
        template = self._templates[sort]
        if task is not None:
            whole = task.text if sort == "response" else task.shown
            apart = "input" in template.kind_names
            values |= {"instruction": task.instruction if apart else whole, "input": task.input or ""}
        own = {"language_name": self._item.values["language"][1], **values}
        filled = {**self._item.variant.values, **given(self._item), **own}
        prompt = template.render(filled)
        if sort == "response" and (guidance := self._templates.get("guidance")) is not None:
            about = {"topic": str(self._metadata.get("topic", "")), "num_samples": "1", "seed_tasks": ""}
            prompt += f"\n\n{GUIDANCE_TOLD}\n{guidance.render({**filled, **about})}"
        return prompt

    def _row(self, task: Task, evolved: Sequence[Evolved], answered: _Answered, row: int) -> InstructionRow:
        config, generate = self._config, self._generate
        metadata = self._metadata
        if config.run.on_truncation == "keep":
            metadata = {**metadata, "truncated": generate.was_cut(answered.tag)}
        evolves = config.evolution is not None
        return InstructionRow(
            instruction=answered.task.instruction,
            input=answered.task.input,
            response=answered.response,
            original_instruction=task.instruction if evolves else None,
            original_input=task.input if evolves else None,
            evolutions=[
                EvolutionStep(
                    operation=step.operation,
                    instruction=step.task.instruction,
                    input=step.task.input,
                    dropped=step.dropped,
                )
                for step in evolved
            ],
            score=mean_score(answered.opinions) if answered.opinions else None,
            judgements=[
                InstructionJudgement(
                    judge=said.judge, model_id=generate.model_id(said.judge), score=said.score, reason=said.reason
                )
                for said in answered.opinions
            ],
            instruction_model_id=generate.model_id(WRITER) if config.instructions is None else None,
            evolution_model_id=generate.model_id(EVOLUTION) if evolves else None,
            response_model_id=generate.model_id(RESPONSE),
            language=self._item.values["language"][0],
            uuid=self._item.row_uuid(row),
            metadata=metadata,
        )
