"""What a text of a config means before it is run: its problems with their places, or what it will ask. Nothing is sent or written.

It comes in parts, the quick ones first, since an estimate beside a long ledger takes its time:

    problems    all that is wrong, and remarks; nothing comes behind them if something is wrong
    plan        counts, placeholders, stages, and where prompts can be looked at
    estimate    tokens, cost, time, and what changes in the output since its last run
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from datafast._util.yaml_file import FileRefused, Problem, YamlFile
from datafast._util.yaml_problems import Problems
from datafast.config_files.ahead import SHOWN_VALUES, Ahead
from datafast.config_files.loader import project_of_text
from datafast.config_files.project import Project
from datafast.errors import ConfigError, DatafastWarning, OutputError, ReplyError
from datafast.sources.looking import only_looked_at

__all__ = ["Foreseen", "Part"]

_SAMPLE = 20
_MOST_PROBLEMS = 500
_COMPARED = 10_000  # values of a dimension that are looked through for equal ones
_NAMED = 3
_LETTERS = 20_000  # of a message of a prompt
_SHORT = 200


class Part(NamedTuple):
    """One part of what is known: `problems`, `plan` or `estimate`, and plain values."""

    name: str
    said: dict[str, Any]


class Foreseen:
    """A text of a config, where its file is or will be."""

    def __init__(self, text: str, path: Path) -> None:
        self.text = text
        self.path = path
        self._ahead: Ahead | None = None

    def parts(self) -> Iterator[Part]:
        """What is known of it, as it becomes known."""
        remarks: list[str] = []
        with only_looked_at():
            try:
                with _remarks_in(remarks):
                    self._ahead = Ahead(project_of_text(self.text, self.path))
            except FileRefused as error:
                yield Part("problems", self._problems(error.problems, remarks))
                return
            except (ConfigError, OutputError) as error:
                yield Part("problems", self._problems(self._placed([str(error)]), remarks))
                return
            yield Part("problems", self._problems([], remarks))
            try:
                with _remarks_in([]):
                    yield Part("plan", self._plan(self._ahead))
                    yield Part("estimate", self._estimate(self._ahead))
            except (ConfigError, OutputError, ReplyError) as error:
                yield Part("problems", self._problems(self._placed([str(error)]), remarks))

    def prompt(self, position: int) -> dict[str, Any]:
        """A prompt of the plan; after `parts` has come to it.

        Raises:
            IndexError: there is no such prompt.
        """
        ahead = self._ahead
        if ahead is None or not 0 <= position < ahead.plan.num_items:
            raise IndexError(position)
        with only_looked_at(), _remarks_in([]):
            shown = ahead.prompt(position)
        return {
            "position": position,
            "provider": shown["provider"],
            "values": {name: _cut(str(value), _SHORT) for name, value in shown["values"].items()},
            "messages": [{"role": one["role"], "content": _cut(one["content"], _LETTERS)} for one in shown["messages"]],
            "json_schema": shown.get("json_schema"),
        }

    def _placed(self, messages: Sequence[str]) -> Sequence[Problem]:
        """Messages at the fields that they begin with."""
        problems = Problems(YamlFile(self.path, text=self.text))
        for message in messages:
            problems.add_text(message)
        return problems.refusal().problems

    def _problems(self, problems: Sequence[Problem], remarks: Sequence[str]) -> dict[str, Any]:
        try:
            placed = self._placed(remarks) if remarks else []
        except ConfigError:  # it is no YAML, and that is among the problems
            placed = []
        return {
            "problems": [_as_values(problem) for problem in problems[:_MOST_PROBLEMS]],
            "more": max(0, len(problems) - _MOST_PROBLEMS),
            "remarks": [_as_values(problem) for problem in placed[:_MOST_PROBLEMS]],
        }

    def _plan(self, ahead: Ahead) -> dict[str, Any]:
        summary = ahead.summary(0)
        for dimension in (*summary["dimensions"], *summary["paired"]):
            dimension["first_values"] = [_cut(str(value), _SHORT) for value in dimension["first_values"]]
        return {
            **summary,
            "first": ahead.first(),
            "placeholders": _placeholders(ahead.project),
            "repeated": _repeated(ahead),
            "stages": _stages(ahead.project),
            "sample": ahead.sample(_SAMPLE),
        }

    @staticmethod
    def _estimate(ahead: Ahead) -> dict[str, Any]:
        found = ahead.estimate()
        change = None if found.change is None else found.change.sentences()
        return {**found.to_dict(), "lines": list(found.lines()), "changes": change, "to_make": found.sentences()[-1:]}


def _placeholders(project: Project) -> dict[str, Any] | None:
    """The optional placeholders with their values, and how these are combined; None without any."""
    expansion: Any = getattr(project.config, "expansion", None)
    if expansion is None or not expansion.placeholders:
        return None
    given = expansion.placeholders
    shown = [
        {
            "name": name,
            "count": len(values),
            "first_values": [_cut(value, _SHORT) for value in values[:SHOWN_VALUES]],
        }
        for name, values in given.items()
    ]
    combinations = 1
    for values in given.values():
        combinations *= len(values)
    return {"strategy": expansion.resolved_strategy, "names": shown, "combinations": combinations}


def _repeated(ahead: Ahead) -> list[str]:
    """Values that a dimension or a placeholder has more than once, in words."""
    given: dict[str, Sequence[Any]] = {one.name: one.values for one in ahead.plan.dimensions if one.name != "row"}
    expansion = getattr(ahead.project.config, "expansion", None)
    given |= {} if expansion is None else expansion.placeholders
    told = []
    for name, values in given.items():
        texts = values[:_COMPARED] if isinstance(values, list | tuple) else ()
        counts = Counter(value for value in texts if isinstance(value, str))
        told += [
            f"{name}: {_cut(value, 60)!r} stands there {count:,} times."
            for value, count in counts.most_common(_NAMED)
            if count > 1
        ]
    return told


def _stages(project: Project) -> list[dict[str, str]]:
    """The stages in their order, each with what is set."""
    return [
        {
            "stage": str(stage.stage),
            "settings": ", ".join(
                f"{name}: {_cut(str(value), 60)}"
                for name, value in stage.model_dump(mode="json", exclude_unset=True).items()
                if name != "stage"
            ),
        }
        for stage in project.config.quality
    ]


@contextmanager
def _remarks_in(kept: list[str]) -> Iterator[None]:
    """Keeps what the user is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            found = [str(one.message) for one in caught if issubclass(one.category, DatafastWarning)]
            kept += [message for message in dict.fromkeys(found) if message not in kept]


def _as_values(problem: Problem) -> dict[str, Any]:
    return {**problem.place._asdict(), "field": problem.field, "message": problem.message}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
