"""Instruction datasets for tests, and a model that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datafast.datasets import InstructionDataset
from datafast.llms.base import Request
from datafast.schema.config import InstructionDatasetConfig, RunConfig
from tests.support import CountingProvider

TASK = "Explain how a harbour crane lifts a box."
HARDER = "Explain how a harbour crane lifts a box in a storm, with two numbers."
ANSWER = "The crane lowers its spreader, locks four corners and lifts."


def instructions(folder: Path, **fields: Any) -> InstructionDataset:
    about: dict[str, Any] = {} if fields.keys() & {"topics", "seed_tasks", "instructions"} else {"instructions": [TASK]}
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(max_concurrency=8), **about, **fields}
    return InstructionDataset(InstructionDatasetConfig(**given))


class Told:
    """What a model says in each role, as texts or functions of the prompt.

    Args:
        tasks: the instructions that are written.
        evolved: the instruction that comes of an evolution; `same`: whether it is told to ask for the same.
        response: the response.
    """

    def __init__(
        self,
        *,
        tasks: list[Any] | None = None,
        evolved: str | Callable[[str], str] = HARDER,
        same: bool = False,
        response: str | Callable[[str], str] = ANSWER,
        score: int = 4,
    ) -> None:
        self._tasks = [{"instruction": task} if isinstance(task, str) else task for task in tasks or []]
        self._evolved = evolved
        self._same = same
        self._response = response
        self._score = score

    def __call__(self, request: Request) -> str:
        prompt = request.messages[-1]["content"]
        properties = request.schema.json_schema["properties"] if request.schema else {}
        if "tasks" in properties:
            return json.dumps({"tasks": self._tasks})
        if "same" in properties:
            return json.dumps({"reason": "so", "same": self._same})
        if "score" in properties:
            return json.dumps({"reason": "so", "score": self._score})
        if "instruction" in properties:
            told = {"instruction": _of(self._evolved, prompt), "input": "12 boxes, 3 cranes"}
            return json.dumps({name: told[name] for name in properties})
        return _of(self._response, prompt)


def _of(said: str | Callable[[str], str], prompt: str) -> str:
    return said(prompt) if callable(said) else said


def model(folder: Path, name: str = "m", **said: Any) -> CountingProvider:
    """A model that says this, and writes down what it is asked."""
    return CountingProvider(name, log=folder / "requests", reply=Told(**said))
