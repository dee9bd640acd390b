"""From the `personas` of a config to personas, which are in the file of an earlier run, or still to be grown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datafast.engine.preparation import Preparation
from datafast.llms.spec import named_provider
from datafast.personas.config import PersonasConfig, grown_file
from datafast.plan.dimensions import Computed
from datafast.store.paths import OutputPaths

if TYPE_CHECKING:
    from datafast.engine.options import RunOptions
    from datafast.engine.routes import Route
    from datafast.engine.settings import RunConfig
    from datafast.llms.provider import LLMProvider
    from datafast.types import RunReport

__all__ = ["PersonaSupply"]

_MEASURED = 2_000  # personas of a run that is tried out to estimate a larger one


class PersonaSupply:
    """The personas of one dataset.

    Args:
        output_file: of the dataset; personas without a file of their own are kept next to it.
    """

    def __init__(self, config: PersonasConfig, output_file: Path, *, run: RunConfig) -> None:
        self._config = config
        self._path = grown_file(config, output_file)
        self._run = run
        self._grown: list[str] | None = None

    @property
    def ledgers(self) -> list[Path]:
        """The ledger of the personas."""
        return [OutputPaths.of(self._path).ledger]

    @property
    def personas(self) -> Sequence[str]:
        """The personas; made-up ones that tell their number stand in for those that are not grown yet."""
        config, known = self._config, self._known()
        if len(known) == config.count:
            return known

        def persona(number: int) -> str:
            return known[number] if number < len(known) else f"person {number + 1:,} of {config.describe}"

        return Computed(config.count, persona)

    def _known(self) -> Sequence[str]:
        """Those that are there."""
        if self._grown is None:
            from datafast.personas.build import grown_personas

            found = grown_personas(self._config, self._path)
            if len(found) < self._config.count:
                return found
            self._grown = found
        return self._grown

    def preparations(
        self, route: Route[LLMProvider], options: RunOptions, *, ledger: Path, others: Sequence[Path] = ()
    ) -> Sequence[Preparation]:
        """The run that grows them, if they have to be grown.

        Args:
            route: its first member is asked if the config names no provider.
            ledger: the dataset's ledger, whose costs count for the same budget.
            others: further ledgers of the dataset.

        Raises:
            ConfigError, OutputError: simulated personas would meet real rows.
        """
        from datafast.engine.expected_usage import Span
        from datafast.engine.growing import Grower, GrownFile, growth_settings, is_shared
        from datafast.personas.build import Growth
        from datafast.personas.growth import ROLE, num_calls

        config = self._config
        file = GrownFile(self._path, "personas", shared=is_shared(config.file, options))
        own = None if config.provider is None else named_provider(config.provider)
        grower = Grower.chosen(ROLE, own, route, options, field="personas")
        fresh = options.get("fresh", False) and not file.shared
        if not fresh:
            if not grower.offline:
                file.refuse_simulated(
                    cure="Name another file under personas.file, or move that one and its ledger away."
                )
            if len(self._known()) == config.count and not file.was_interrupted:
                return ()

        def growth_of(config: PersonasConfig) -> Growth:
            # Whoever answered: what another model described is kept, and asked for once.
            settings = growth_settings(self._run, options).model_copy(update={"fan_out": "fallback"})
            return Growth(config, grower, file, settings=settings, dataset=ledger, others=others)

        growth = growth_of(config)

        def done(report: RunReport) -> None:
            self._grown = growth.outcome(report)

        small = config.model_copy(update={"count": min(config.count, _MEASURED)})
        return [
            Preparation(
                growth.what,
                growth.job(fresh=fresh, wait=options.get("wait", True)),
                done,
                calls=num_calls(config.count),
                measured=growth_of(small).job(fresh=fresh),
                tokens_per_text=Span(20.0, 35.0, 60.0),
            )
        ]
