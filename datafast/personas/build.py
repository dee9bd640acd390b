"""Growing personas as a run of its own: one item, one row with all of them, and a ledger with every reply.

{"personas": ["a retired ferryman who ...", ...], "model_id": "gpt-6-luna", "grown_from": {"describe": "people of a harbour town"}}

Guarantee: nothing is paid for twice after the process died. More personas later begin with those that are there, and other datasets
may use the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from datafast.engine.growing import Grower, GrownFile
from datafast.errors import ConfigError, GrowthError, RunStopped
from datafast.personas.growth import ROLE, grow
from datafast.personas.record import read_record
from datafast.plan.grid import Dimension, GridPlan

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.engine.job import Job
    from datafast.engine.settings import RunConfig
    from datafast.personas.config import PersonasConfig
    from datafast.plan.items import WorkItem
    from datafast.types import RunReport

__all__ = ["Growth", "PersonasRow", "grown_personas"]


class PersonasRow(BaseModel):
    """Grown personas in their file, which model grew the last of them, and from what."""

    personas: list[str]
    model_id: str
    grown_from: dict[str, str]


class Growth:
    """Grows the personas of a config into a file.

    Args:
        settings: of the run; missing personas are always asked for again.
        dataset: the ledger of the dataset that they are grown for; the budget holds for both together.
        others: further ledgers of that dataset.
    """

    def __init__(
        self,
        config: PersonasConfig,
        grower: Grower,
        file: GrownFile,
        *,
        settings: RunConfig,
        dataset: Path,
        others: Sequence[Path] = (),
    ) -> None:
        self._config = config
        self._grower = grower
        self._file = file
        self._settings = settings
        self._dataset = dataset
        self._others = others

    @property
    def what(self) -> str:
        """What it does, in a few words for the user."""
        return f"Growing {self._config.count:,} personas: {self._config.describe}"

    def job(self, *, fresh: bool = False, wait: bool = True) -> Job:
        """The run. `wait`: whether it waits for batches that are under way."""
        return self._grower.job(
            self._file,
            self._plan,
            self._produce,
            what=self.what,
            config=self._config.model_dump_json(exclude={"provider"}),
            settings=self._settings,
            dataset=self._dataset,
            others=self._others,
            fresh=fresh,
            wait=wait,
        )

    def _plan(self, routes: Sequence[str]) -> GridPlan:
        # Without their number, because more personas use the same replies.
        people = Dimension("people", [self._config.describe])
        shape = [str(self._config.count), self._config.system_prompt or ""]
        return GridPlan("personas", [people], routes=routes, shape=shape, seed=self._settings.seed)

    async def _produce(self, item: WorkItem, generate: Generate) -> list[PersonasRow]:
        personas = await grow(self._config, generate)
        return [PersonasRow(personas=personas, model_id=generate.model_id(ROLE), grown_from=_asked(self._config))]

    def outcome(self, report: RunReport) -> list[str]:
        """The personas.

        Raises:
            GrowthError: there are too few, or calls failed for good.
            RunStopped: the run ended early.
        """
        if report.stop_cause is not None:
            raise RunStopped(report)
        if report.failed:
            raise GrowthError(self._file.failure(), report=report)
        return grown_personas(self._config, self._file.path)


def grown_personas(config: PersonasConfig, path: Path) -> list[str]:
    """The personas in a file, at most as many as the config asks for; none if they were not grown from what the config asks for.

    Raises:
        ConfigError: one of them is blank, as nobody but an editor leaves it.
    """
    record = read_record(path)
    if record is None or record["grown_from"] != _asked(config):
        return []
    personas: list[str] = record["personas"][: config.count]
    for number, persona in enumerate(personas):
        if not persona.strip():
            raise ConfigError(f"{path}: personas[{number}] is blank. Describe a person there.")
    return personas


def _asked(config: PersonasConfig) -> dict[str, str]:
    return config.model_dump(mode="json", include={"describe", "system_prompt"}, exclude_none=True)
