"""Instructions with responses, to train models that follow instructions: written from topics or after seed tasks, evolved, judged.

{"instruction": "Explain to a new harbour pilot why ...", "input": null, "response": "A spring tide comes when ...",
 "instruction_source": "synthetic", "original_instruction": "What is a spring tide?", "original_input": null,
 "evolutions": [{"operation": "concretizing", "instruction": "Explain to ...", "input": null, "dropped": null}], "score": 5,
 "judgements": [{"judge": "judge", "model_id": "gpt-6.1-terra", "score": 5, "reason": "Right and ..."}],
 "instruction_model_id": "gpt-6-luna", "evolution_model_id": "gpt-6-luna", "response_model_id": "gpt-6-luna", "language": "en",
 "uuid": "1c0e...", "metadata": {"topic": "Tides", "topic_path": "The sea > Tides", "prompt_index": 0}}

New tasks that are shown some of the old ones are those of Self-Instruct (Wang et al., "Self-Instruct: Aligning Language Models with
Self-Generated Instructions", 2022, arXiv:2212.10560). How instructions evolve is in `datafast.datasets.instruction.evolution`.

Limits: a task that says the same as one of its seeds, or as another one of its prompt, counts as missing; near-duplicates of different
prompts are not looked for here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from datafast.datasets.base import FanOutDataset
from datafast.datasets.instruction.config import WRITER, InstructionDatasetConfig
from datafast.datasets.instruction.evolution import NEW_TASK, Evolver, NewTask, WithInput
from datafast.datasets.instruction.evolution import ROLE as EVOLUTION
from datafast.datasets.instruction.making import Maker
from datafast.datasets.instruction.responses import ResponseModels
from datafast.datasets.instruction.rows import EvolutionStep, InstructionRow, Task
from datafast.datasets.replies import counted_model, unnumbered
from datafast.datasets.topical import TopicalDataset
from datafast.engine.generate import Generate
from datafast.errors import CallFailed
from datafast.judging import Jury
from datafast.llms.reply_model import ReplyModel
from datafast.plan.grid import Computed, Dimension, GridPlan
from datafast.plan.items import WorkItem, digest
from datafast.quality.base import KEEP, BaseStage, Stage, Verdict, drop

__all__ = ["InstructionDataset"]


class EvolutionStage(Stage):
    """Drops the rows of evolutions that failed, where each round is a row."""

    stage: Literal["evolution"] = "evolution"

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        evolutions: Sequence[EvolutionStep] = row.evolutions  # type: ignore[attr-defined]  # rows of this kind have it
        reason = evolutions[-1].dropped if evolutions else None
        return KEEP if reason is None else drop(reason)


class ScoreStage(Stage):
    """Drops rows whose score is too low."""

    stage: Literal["score"] = "score"
    min_score: float
    """Rows with a lower score are dropped."""

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        score: float = row.score  # type: ignore[attr-defined]  # rows of a config with a judge have it
        return drop(f"score below {self.min_score:g}") if score < self.min_score else KEEP


class NewTasks(ReplyModel):
    """New tasks."""

    elements: ClassVar[tuple[str, ...]] = ("tasks",)

    tasks: list[NewTask]

    def usable(self) -> list[Task]:
        """The tasks without numbers in front of them."""
        told = unnumbered([task.instruction for task in self.tasks])
        return [replace(task.task(), instruction=text) for task, text in zip(self.tasks, told, strict=True)]


@cache
def tasks_model(count: int, with_input: WithInput) -> type[NewTasks]:
    """`NewTasks` whose schema asks for exactly `count` of them."""
    task = NEW_TASK[with_input]
    return counted_model(NewTasks, count, of="tasks", listed=list[task])  # type: ignore[valid-type]  # it is a class


class InstructionDataset(
    TopicalDataset[InstructionDatasetConfig, InstructionRow], FanOutDataset[InstructionDatasetConfig, InstructionRow]
):
    """A dataset of instructions with responses: `generate([provider])`, or `generate({"instruction": ..., "response": ..., ...})`."""

    kind = "instruction"
    config_model = InstructionDatasetConfig
    row_model = InstructionRow
    has_parts = True

    def __init__(self, config: InstructionDatasetConfig, **options: Any) -> None:
        super().__init__(config, **options)
        # By version of the default texts, because an item is finished with the version that it was begun with.
        editions = {edition.prompts: edition for edition in config.editions()}
        self._templates = {key: config.role_templates(edition, remark=False) for key, edition in editions.items()}
        self._forms = {key: config.form(edition).text for key, edition in editions.items()}
        self._rubrics = {key: config.rubric(edition).text for key, edition in editions.items()}
        self._jury = Jury(config.judges, system_of=config.system_prompt_of)
        self._responses = ResponseModels(config.template)
        self._evolver: Evolver | None = None
        if config.evolution is not None:
            self._evolver = Evolver(
                config.evolution,
                config.evolution.operations(config.with_input),
                with_input=config.with_input,
                system=config.system_prompt_of(EVOLUTION),
            )

    @property
    def stages(self) -> Sequence[BaseStage]:
        own: list[BaseStage] = [EvolutionStage()] if self.config.rows_per_task > 1 else []
        if self.config.judge is not None and self.config.judge.min_score is not None:
            own.append(ScoreStage(min_score=self.config.judge.min_score))
        return [*own, *self.config.quality]

    # -- the plan

    def plan(self, routes: Sequence[str]) -> GridPlan:
        dimensions = [self._about(), Dimension("language", list(self.config.languages.items()))]
        return self.grid(dimensions, routes=routes, shape=self.config.shape)

    def _about(self) -> Dimension:
        """What each prompt is about, or the instruction that is given."""
        given = self.config.given_tasks
        if self.config.topics is not None:
            topics = self.topics
            return Dimension(
                "topic",
                Computed(topics.num_leaves, topics.leaf_path),
                digests=Computed(topics.num_leaves, lambda number: digest("topic", *topics.leaf_path(number))),
                fingerprint=topics.digest,
            )
        assert given is not None, "a config has topics or tasks"  # noqa: S101 - it is checked where it is made
        return given.dimension("instruction" if self.config.instructions is not None else "seed_task")

    # -- making rows

    async def produce(self, item: WorkItem, generate: Generate) -> list[InstructionRow | CallFailed]:
        tasks = await self._tasks(item, generate)
        maker = Maker(
            self.config,
            item,
            generate,
            templates=self._templates[item.defaults],
            rubric=self._rubrics[item.defaults],
            response_model=self._responses,
            evolver=self._evolver,
            jury=self._jury,
            metadata=self.metadata(item, **self._told(item)),
        )
        made = await generate.gather(*(maker.rows(number, task) for number, task in enumerate(tasks)))
        return [row for rows in made for row in rows]

    async def _tasks(self, item: WorkItem, generate: Generate) -> list[Task]:
        config = self.config
        if config.instructions is not None:
            return [item.values["instruction"]]
        shown, form = self._shown(item), self._forms[item.defaults]
        values = {
            "language_name": item.values["language"][1],
            "topic": item.values.get("topic", ("",))[-1],
            "seed_tasks": "\n\n".join(f"<task>\n{task.shown}\n</task>" for task in shown),
        }
        return await generate.collect(
            WRITER,
            -(-item.num_rows // config.rows_per_task),
            prompt=lambda count: f"{self.render(item, {**values, 'num_samples': str(count)})}\n\n{form}",
            response_model=lambda count: tasks_model(count, config.with_input),
            items=lambda reply: [task for task in reply.usable() if task not in shown],
            keep_repeats=config.keep_repeats,
            system=config.system_prompt_of(WRITER),
        )

    def _shown(self, item: WorkItem) -> list[Task]:
        """The seed tasks that an item shows: the one that leads it, and others."""
        given, size = self.config.given_tasks, self.config.num_seed_tasks
        if given is None:
            return []
        leading = [item.values["seed_task"]] if "seed_task" in item.values else []
        drawn = item.rng("seed tasks").sample(range(len(given)), k=min(size, len(given)))
        return [*leading, *(task for task in map(given.__getitem__, drawn) if task not in leading)][:size]

    def _told(self, item: WorkItem) -> dict[str, str]:
        """What the metadata of rows say about what they are about."""
        if (path := item.values.get("topic")) is not None:
            return {"topic": path[-1], "topic_path": " > ".join(path)}
        return {"seed_task": item.values["seed_task"].instruction} if "seed_task" in item.values else {}
