"""`best_of_n` in a config: several candidates for each row, of which a check and a judge choose one (rejection sampling)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field, field_serializer, field_validator, model_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast._util.function_code import code_of
from datafast.engine.routes import FurtherRole
from datafast.judging.scale import JudgeFields
from datafast.llms.spec import ProviderSpec, named_provider

__all__ = ["BestOfN", "CandidateJudge", "judges_of"]

_ROLE = "best_of_n_judge"


def judges_of(providers: list[Any] | Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider of each judge by its name: judge, judge_2, ... where a list names none."""
    if isinstance(providers, Mapping):
        return providers
    return {"judge" if not place else f"judge_{place + 1}": spec for place, spec in enumerate(providers)}


class CandidateJudge(JudgeFields):
    """Who scores candidates, and by what."""

    providers: list[ProviderSpec] | dict[NonBlank, ProviderSpec] | None = Field(default=None, min_length=1)
    """Who judges: one or several providers, as under `providers`, or a mapping of names to them. Where none is given, who writes
    the candidates judges them too."""

    prompt: NonBlank | None = None
    """What judges are shown: a template over the fields of a row. By default all that the row says."""

    system_prompt: NonBlank | None = None
    """A system message for judges."""

    @property
    def by_name(self) -> Mapping[str, Any]:
        """The provider of each judge by its name; None for the provider that writes."""
        return {"judge": None} if self.providers is None else judges_of(self.providers)

    @property
    def roles(self) -> Mapping[str, str]:
        """The name of each judge by its role."""
        return {_ROLE if name == "judge" else f"{_ROLE} {name}": name for name in self.by_name}


class BestOfN(ConfigModel):
    """How one of several candidates is chosen for each row: by a check, by a judge, or by both."""

    n: int = Field(default=4, ge=2, le=64)
    """How many candidates there are, at most. With a check alone they are bought one after the other, until one passes."""

    judge: CandidateJudge | None = None
    """Scores the candidates by a rubric; the best one becomes the row."""

    check: Any = None
    """A Jinja expression over the fields of a row, which has to be true: `text | length > 400`. In Python also a function of a row as a
    dict, sync or async. The first candidate that passes becomes the row; with a judge, the best of those that pass."""

    @field_validator("check")
    @classmethod
    def _expression_or_function(cls, given: Any) -> Any:
        if given is not None and not callable(given) and not (isinstance(given, str) and given.strip()):
            raise ValueError("expected an expression over the fields of a row, or in Python a function of a row.")
        return given

    @field_serializer("check")
    def _described(self, check: Any) -> str | None:
        return check if check is None or isinstance(check, str) else _name_of(check)

    @model_validator(mode="after")
    def _one_at_least(self) -> BestOfN:
        if self.judge is None and self.check is None:
            raise ValueError("Nothing says which candidate is the best. Give a judge, a check, or both.")
        return self

    def further_roles(self, writer: str) -> Iterator[FurtherRole]:
        """The roles of its judges. `writer`: the role of who writes the candidates."""
        if self.judge is None:
            return
        listed = isinstance(self.judge.providers, list)
        for number, (role, name) in enumerate(self.judge.roles.items()):
            place = ("best_of_n", "judge", "providers", number if listed else name)
            yield FurtherRole(role, self.judge.by_name[name], like=writer, place=place)

    @property
    def told(self) -> list[str]:
        """What of it is in the keys of items: all that decides which candidate becomes the row.

        With a check alone, `n` does not decide that.
        """
        told = [f"best_of_n check: {self.check if isinstance(self.check, str) else _code_of(self.check)}"]
        if self.judge is not None:
            judge = self.judge
            specs = [f"{name}={spec and named_provider(spec).identity}" for name, spec in judge.by_name.items()]
            told += [str(self.n), judge.prompt or "", judge.system_prompt or "", *specs]
            told.append(judge.judged("", judge.rubric_text))
        return told


def _name_of(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _code_of(function: Any) -> str:
    """What stands for a function in keys: its code, or its name where it reaches what is another thing in each process."""
    if function is None:
        return ""
    code, is_lasting = code_of(function)
    return f"{_name_of(function)} {code if is_lasting else ''}"


def is_async(function: Any) -> bool:
    """Whether a call of it has to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
