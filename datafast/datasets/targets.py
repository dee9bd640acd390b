"""`target_rows` in a config: how many rows are to be accepted, in all or by stratum, and when a run stops drawing for them.

target_rows: 5000
target_rows: {by: label, each: 800}
target_rows: {by: [language, label], each: 100}
target_rows: {by: language, rows: {en: 1000, fr: 500}}
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from datafast._util.config_model import ConfigModel, NonBlank
from datafast._util.notify import did_you_mean, nearest
from datafast.engine.targets import DUPLICATES, Targets
from datafast.errors import ConfigError
from datafast.plan.stratified import fields_of

if TYPE_CHECKING:
    from datafast.plan.dimensions import Dimension
    from datafast.plan.expansion import Expansion

__all__ = ["MIN_ACCEPTANCE", "AnyTarget", "StopWhen", "TargetRows", "check_targets", "targets_of"]

MIN_ACCEPTANCE = 0.05
_MOST_STRATA = 10_000
_MOST_ROWS = 1_000_000_000


class TargetRows(ConfigModel):
    """How many rows are to be accepted of each stratum."""

    by: NonBlank | list[NonBlank] = Field(min_length=1)
    """What rows of a stratum have in common: `language`, `label`, `topic`, `document_type`, a placeholder, or a list of several. An error
    lists what there is in a kind."""

    each: int | None = Field(default=None, ge=1, le=_MOST_ROWS)
    """The rows of each stratum."""

    rows: dict[str, Any] | None = Field(default=None, min_length=1)
    """The rows of each stratum by its value: `{en: 1000, fr: 500}`; with several fields one mapping in another. Those that are not named
    get none."""

    @field_validator("by")
    @classmethod
    def _different(cls, by: str | list[str]) -> str | list[str]:
        if not isinstance(by, str) and len(set(by)) < len(by):
            raise ValueError("A field is named twice. Name each once.")
        return by

    @model_validator(mode="after")
    def _one_of_both(self) -> TargetRows:
        if (self.each is None) == (self.rows is None):
            raise ValueError("expected either each, for as many rows of every stratum, or rows, for a number by value.")
        for _ in self.counts():
            pass
        return self

    @property
    def fields(self) -> list[str]:
        return [self.by] if isinstance(self.by, str) else list(self.by)

    def counts(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """The values and the number of rows of each stratum that `rows` names."""
        if self.rows is not None:
            yield from _counts(self.rows, (), len(self.fields))


def _counts(given: Mapping[str, Any], before: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], int]]:
    for value, rows in given.items():
        values = (*before, str(value))
        place = f"rows.{'.'.join(values)}"
        if len(values) < depth:
            if not isinstance(rows, Mapping) or not rows:
                raise ValueError(f"{place}: expected a mapping with the values of the next field of by.")
            yield from _counts(rows, values, depth)
        elif isinstance(rows, bool) or not isinstance(rows, int) or not 1 <= rows <= _MOST_ROWS:
            raise ValueError(f"{place}: expected a number of rows, 1 or more. Leave out what is to have none.")
        else:
            yield values, rows


def _form_of(given: Any) -> str:
    return "strata" if isinstance(given, Mapping | TargetRows) else "number"


AnyTarget: TypeAlias = Annotated[
    Annotated[int, Field(ge=1, le=_MOST_ROWS, strict=True), Tag("number")] | Annotated[TargetRows, Tag("strata")],
    Discriminator(_form_of),
]
"""What `target_rows` may be."""


class StopWhen(ConfigModel):
    """When no more rows are drawn for a target although it is not reached."""

    near_duplicates_above: float = Field(gt=0, lt=1)
    """The share of a stratum's newest rows that were dropped as duplicates, by `exact_duplicates`, `near_duplicates` or
    `semantic_duplicates`, above which it is given up."""


class HasTargets(Protocol):
    """The fields of a config that targets depend on."""

    @property
    def target_rows(self) -> Any: ...
    @property
    def min_acceptance(self) -> float: ...
    @property
    def stop_when(self) -> Any: ...
    @property
    def num_rows(self) -> int | None: ...
    @property
    def quality(self) -> Any: ...
    @property
    def varied(self) -> Any: ...
    def prompt_expansion(self) -> Expansion: ...


def check_targets(config: HasTargets) -> None:
    """Raises ValueError where the fields about targets contradict each other or others."""
    if config.target_rows is None:
        for name in ("min_acceptance", "stop_when"):
            if getattr(config, name) not in {None, MIN_ACCEPTANCE}:
                raise ValueError(f"{name}: It is about target_rows, and there are none. Give them, or leave it out.")
        return
    if config.num_rows is not None:
        raise ValueError(
            "target_rows: There is num_rows, too. Give target_rows alone for so many accepted rows, or num_rows alone for so many that "
            "are asked for."
        )
    if config.stop_when is not None and not any(stage.name in DUPLICATES for stage in config.quality):
        raise ValueError(
            "stop_when.near_duplicates_above: No stage looks for duplicates. Add {stage: near_duplicates} to quality."
        )


def targets_of(config: HasTargets, dimensions: Sequence[Dimension]) -> Targets | None:
    """The targets of a config, by the dimensions of its plan; None if it has none.

    Raises:
        ConfigError: rows of this kind have no such field or value.
    """
    asked = config.target_rows
    if asked is None:
        return None
    fields: list[str] = []
    strata: list[tuple[tuple[str, ...], int]] = []
    if isinstance(asked, int):
        strata.append(((), asked))
    else:
        fields = asked.fields
        known = _known(config, fields, dimensions)
        strata += _named(asked, fields, known) if asked.rows is not None else _every(asked, fields, known)
    return Targets(
        strata=tuple(dict(zip(fields, values, strict=True)) for values, _ in strata),
        rows=tuple(rows for _, rows in strata),
        by=tuple(fields),
        min_acceptance=config.min_acceptance,
        most_duplicates=None if config.stop_when is None else config.stop_when.near_duplicates_above,
    )


def _known(config: HasTargets, fields: Sequence[str], dimensions: Sequence[Dimension]) -> Mapping[str, Sequence[str]]:
    """By what strata may be, each with its values."""
    templates = config.prompt_expansion().templates
    used = {name for template in templates for name in template.placeholder_names}
    placeholders = {name: values for name, values in config.varied.placeholders.items() if name in used}
    known = fields_of(dimensions, placeholders)
    _check_fields(fields, known)
    together = set(fields).intersection(placeholders)
    if not any(together <= set(template.placeholder_names) for template in templates):
        tokens = " and ".join(f"<<{name}>>" for name in fields if name in together)
        raise ConfigError(
            f"target_rows.by: No prompt has {tokens}. Write them into one, or count by one of them.", key="target_rows"
        )
    return known


def _check_fields(fields: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
    for field in fields:
        if field not in known:
            near = nearest(field, known)
            meant = "" if near is None else f" Did you mean {near!r}?"
            raise ConfigError(
                f"target_rows.by: Rows of this kind cannot be counted by {field!r}.{meant} They can by {', '.join(known) or 'nothing'}.",
                key="target_rows",
            )
    strata = prod(len(known[field]) for field in fields)
    if strata > _MOST_STRATA:
        raise ConfigError(
            f"target_rows.by: There are {strata:,} strata, and {_MOST_STRATA:,} is the most. Count by fewer fields.",
            key="target_rows",
        )


def _every(
    asked: TargetRows, fields: Sequence[str], known: Mapping[str, Sequence[str]]
) -> list[tuple[tuple[str, ...], int]]:
    return [(values, asked.each or 0) for values in itertools.product(*(known[field] for field in fields))]


def _named(
    asked: TargetRows, fields: Sequence[str], known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[tuple[str, ...], int]]:
    for values, rows in asked.counts():
        for field, value in zip(fields, values, strict=True):
            if value not in known[field]:
                raise ConfigError(
                    f"target_rows.rows: No row has the {field} {value!r}. {did_you_mean(value, known[field])}",
                    key="target_rows",
                )
        yield values, rows
