"""When a run warns, pauses or stops by itself, because of what becomes of its rows. `watching` measures it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from datafast._util.config_model import ConfigModel

__all__ = ["ALARMS", "AlarmsConfig"]

ALARMS: Mapping[str, str] = {
    "refusal_rate": "of the last {of:,} rows read as refusals",
    "near_duplicates": "of the last {of:,} rows are duplicates of earlier ones, as far as they were compared",
    "failure_rate": "of the last {of:,} rows have failed",
    "truncation_rate": "of the last {of:,} replies were cut at the output-token limit",
}
"""What each alarm says, behind a percentage."""


class AlarmsConfig(ConfigModel):
    """When a run warns, pauses or stops by itself, because of what becomes of its rows."""

    refusal_rate: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows that read as refusals, as the stage `refusals` finds them, or that the model refused to write."""

    near_duplicates: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows that are duplicates of earlier ones of this run, as the stages under `quality` that compare rows find them. An
    estimate: the end of the run decides."""

    failure_rate: float | None = Field(default=None, gt=0, lt=1)
    """The share of rows that fail for good."""

    truncation_rate: float | None = Field(default=None, gt=0, lt=1)
    """The share of replies that are cut at the output-token limit."""

    after: int = Field(default=200, ge=1, le=1_000_000)
    """So many rows (or replies) are measured, always the last ones; none is judged by fewer."""

    action: Literal["warn", "pause", "stop"] = "stop"
    """warn: say it once. pause: send nothing more, and ask in a terminal whether to go on (in Python, `on_alarm`, or whoever has the run's
    `control`); where nobody can be asked it is a stop. stop: end the run, which can be resumed."""

    @model_validator(mode="after")
    def _has_one(self) -> AlarmsConfig:
        if not self.limits:
            raise ValueError(f"There is no alarm in it. Give {', '.join(list(ALARMS)[:-1])} or {list(ALARMS)[-1]}.")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """The shares above which an alarm is raised, by its name."""
        return {name: limit for name in ALARMS if (limit := getattr(self, name)) is not None}
