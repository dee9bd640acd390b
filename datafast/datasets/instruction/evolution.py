"""Evolution of instructions: round by round an instruction is made harder (in depth), or gives the idea for another one (in breadth).

After Evol-Instruct (Xu et al., "WizardLM: Empowering Large Language Models to Follow Complex Instructions", 2023, arXiv:2304.12244), with
prompts of our own. An evolution that fails (see `rules`) is dropped, and what was there before stands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast.datasets.instruction.rows import Task
from datafast.datasets.instruction.rules import NOTHING_GAINED, why_evolution_fails
from datafast.datasets.replies import ReplyText
from datafast.datasets.said import is_reply
from datafast.engine.generate import Generate
from datafast.llms.reply_model import ReplyModel

__all__ = [
    "NEW_TASK",
    "ROLE",
    "Evolved",
    "Evolver",
    "InstructionEvolution",
    "NewTask",
    "Operation",
    "WithInput",
]

Depth = Literal["constraints", "deepening", "concretizing", "reasoning", "complicate_input"]
Operation = Literal["constraints", "deepening", "concretizing", "reasoning", "complicate_input", "breadth"]
WithInput = Literal["never", "sometimes", "always"]

M = TypeVar("M", bound=ReplyModel)

ROLE = "evolution"
_DEPTH: tuple[Depth, ...] = get_args(Depth)
_INPUT: Depth = "complicate_input"
_BREADTH: Operation = "breadth"
_NO_INPUT = re.compile(
    r"\W*(?:no ?input|none|null|n/?a|empty|not (?:applicable|needed)|no input (?:is )?needed)?\W*", re.IGNORECASE
)


class InstructionEvolution(ConfigModel):
    """How instructions evolve before they are answered."""

    rounds: int = Field(default=1, ge=1, le=10)
    """How often each instruction is changed, by an operation that is drawn anew each time."""

    depth: list[Depth] | None = Field(default=None, min_length=1)
    """What makes instructions harder: constraints (one more condition), deepening, concretizing (a particular case), reasoning (more
    steps), complicate_input (harder material). All of them by default; without inputs all but the last."""

    breadth: float = Field(default=0.2, ge=0, le=1)
    """The share of rounds in which an instruction gives the idea for another one of its field, in place of getting harder."""

    keep: Literal["last", "all"] = "last"
    """last: one row for each instruction, with what it has become. all: a row for each round too, beginning with the first instruction."""

    information_gain: Literal["words", "model"] = "words"
    """How it is told that an evolution brings nothing new. words: by its words. model: by its words, and then by asking the model that
    evolves whether both ask for the same."""

    prompts: dict[Operation, NonBlank] | None = None
    """Templates of operations, with {instruction}; {input} and {language_name} may occur. Without {input}, {instruction} has it below."""

    gain_prompt: NonBlank | None = None
    """For `information_gain: model`: template with {first} and {second}."""

    @field_validator("depth")
    @classmethod
    def _each_once(cls, depth: list[Depth] | None) -> list[Depth] | None:
        if depth is not None and len(set(depth)) < len(depth):
            raise ValueError("An operation is given twice. Leave one of them out.")
        return depth

    @model_validator(mode="after")
    def _all_used(self) -> InstructionEvolution:
        if self.depth is not None and self.breadth == 1:
            raise ValueError("depth: All rounds go in breadth. Leave depth out, or lower breadth.")
        if self.gain_prompt is not None and self.information_gain != "model":
            raise ValueError(
                "gain_prompt: It is not used without information_gain: model. Set it, or leave gain_prompt out."
            )
        return self

    def operations(self, with_input: WithInput) -> list[Operation]:
        """The operations that may be drawn. Raises ValueError where what is said about them does not fit."""
        if self.depth is not None and _INPUT in self.depth and with_input == "never":
            raise ValueError(f"evolution.depth: There are no inputs for {_INPUT}. Leave it out, or set with_input.")
        depth = self.depth or [name for name in _DEPTH if name != _INPUT or with_input != "never"]
        found: list[Operation] = [*(depth if self.breadth < 1 else []), *([_BREADTH] if self.breadth > 0 else [])]
        for name in self.prompts or ():
            if name not in found:
                raise ValueError(
                    f"evolution.prompts.{name}: This operation is not used. Add it, or leave its prompt out."
                )
        return found

    @property
    def told(self) -> list[str]:
        """What of it is in the keys of items, beside its prompts and operations."""
        return [str(part) for part in (self.rounds, self.breadth, self.keep, self.information_gain)]


# -- what is replied


def _no_input(text: str | None) -> str | None:
    """An input without outer whitespace, and None for words that say that there is none."""
    return None if text is None or _NO_INPUT.fullmatch(text) else text.strip()


_LABEL = re.compile(r"^[*_#\s]*(?:new )?(?:instruction|task)[*_\s]*:[*_\s]*(?=\S)", re.IGNORECASE)


class NewTask(ReplyModel):
    """A new task, or one that has changed."""

    instruction: ReplyText = Field(description="what the assistant is told to do")

    @field_validator("instruction")
    @classmethod
    def _without_label(cls, text: str) -> str:
        if is_reply(told := _LABEL.sub("", text), {"instruction", "input"}):
            raise ValueError("only the words are asked for, without JSON in them")
        return told

    def task(self, before: Task | None = None) -> Task:
        """What it says; with the input of the task before, where it was not asked for one."""
        return Task(self.instruction, before.input if before else None)


class _WithInput(NewTask):
    input: str = Field(description="what it is to be done with, written out; empty if it needs nothing")

    def task(self, before: Task | None = None) -> Task:
        return Task(self.instruction, _no_input(self.input))


class _OnInput(_WithInput):
    input: ReplyText = Field(description="what it is to be done with, written out")

    @field_validator("input")
    @classmethod
    def _given(cls, text: str) -> str:
        if _no_input(text) is None:
            raise ValueError("is missing")
        return text


NEW_TASK: Mapping[WithInput, type[NewTask]] = {"never": NewTask, "sometimes": _WithInput, "always": _OnInput}
"""The reply with a new task."""


class _Same(ReplyModel):
    reason: ReplyText = Field(description="why, in one sentence")
    same: bool = Field(description="whether both ask for the same")


# -- evolving


class Evolved(NamedTuple):
    """What one round has made of a task, and why it is dropped, if it is."""

    operation: Operation
    task: Task
    dropped: str | None = None


class Evolver:
    """Evolves the tasks of a config.

    Args:
        operations: those that may be drawn.
        with_input: whether new tasks have inputs.
    """

    def __init__(
        self,
        evolution: InstructionEvolution,
        operations: Sequence[Operation],
        *,
        with_input: WithInput,
        system: str | None,
    ) -> None:
        self._evolution = evolution
        self._depth = [name for name in operations if name != _BREADTH]
        self._with_input = with_input
        self._system = system

    async def rounds(
        self, generate: Generate, prompt: Callable[..., str], task: Task, *, number: int, rows: Sequence[int]
    ) -> list[Evolved]:
        """What comes of a task, round by round. What is dropped does not go on.

        Args:
            prompt: the prompt of a sort of call with these values: of an operation, or "gain".
            number: of the task in its item.
            rows: the row that each round is for, and so how many rounds there are.

        Raises:
            CallFailed: a round gives no usable reply.
        """
        found: list[Evolved] = []
        asked: Counter[str] = Counter()
        for turn, row in enumerate(rows):
            operation = self._drawn(generate, number, turn)
            told, where = prompt(operation, task=task), {"tag": f"{number} {turn}", "row": row}
            reply = await self._ask(
                generate, told, self._reply(operation), part=f"evolution {turn + 1}", again=asked[told], **where
            )
            asked[told] += 1  # what is dropped may be tried in the same way
            after = reply.task(None if operation == _BREADTH else task)
            # A prompt of the user's own may ask for its words.
            own = operation in (self._evolution.prompts or ())
            dropped = why_evolution_fails(task, after, prompt="" if own else told)
            if dropped is None and self._evolution.information_gain == "model":
                told = prompt("gain", first=task.text, second=after.text)
                answer = await self._ask(generate, told, _Same, part=f"information gain {turn + 1}", **where)
                dropped = NOTHING_GAINED if answer.same else None
            found.append(Evolved(operation, after, dropped))
            task = task if dropped else after
        return found

    async def _ask(self, generate: Generate, prompt: str, model: type[M], **where: Any) -> M:
        return await generate(ROLE, prompt, model, system=self._system, **where)

    def _drawn(self, generate: Generate, number: int, turn: int) -> Operation:
        rng = generate.rng(f"evolution {number} {turn}")
        in_breadth = rng.random() < self._evolution.breadth
        return _BREADTH if in_breadth or not self._depth else rng.choice(self._depth)

    def _reply(self, operation: Operation) -> type[NewTask]:
        if operation == _BREADTH:
            return NEW_TASK[self._with_input]
        return _OnInput if operation == _INPUT else NewTask
