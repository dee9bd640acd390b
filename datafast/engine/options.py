"""The options of one run and its providers, as given to `generate`. Both are checked before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict

from datafast._util.notify import did_you_mean
from datafast.engine.events import AlarmRaised, EventCallback
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.engine.control import RunControl
    from datafast.engine.estimated import Estimate
    from datafast.llms.provider import LLMProvider

__all__ = ["RunOptions", "check_options", "checked_provider"]


class RunOptions(TypedDict, total=False):
    """Keyword arguments of `generate`."""

    max_concurrency: int
    """Requests in flight at once; overrides the config."""
    limit: int
    """Work only on this many items, spread over the plan; a later run without it goes on."""
    fresh: bool
    """Move existing files aside and start over."""
    retry_failed: bool
    """Retry failed items."""
    shard: tuple[int, int] | str
    """Make only one shard of the dataset: which of how many, `(1, 4)` or `"1/4"`. `output_file` is then the folder that all shards are
    in."""
    fill: bool
    """Buy again what is missing: for each combination of values whose rows were all filtered or have failed, one further draw."""
    decide_only: bool
    """Decide about the rows that are recorded by the stages of the config, and make no others. Sends nothing and needs no key."""
    allow_commands: bool
    """Let stages run programs over what models wrote (`{stage: check, command: ...}`). Without it such a config is refused."""
    wait: bool
    """False: submit what can go into batches, collect those that have ended, and end the run (`StopCause.BATCH`) while others are under
    way. The same call again collects them. True by default."""
    offline: bool
    """Replace each provider by a simulated one: no key, no cost, and rows that say so."""
    on_change: Callable[[Estimate], bool]
    """Is asked before a run whose config has changed the output, with what is left to do and the `change`. False ends it there:
    nothing is sent, and the output stays as it is. Without it the change is logged."""
    on_alarm: Callable[[AlarmRaised], bool]
    """Is asked, in a thread of its own, whether a run goes on that an alarm has paused (`alarms: {action: pause}`). Without it the run
    stops, unless a `control` is given, which may resume it."""
    control: RunControl
    """Pauses, resumes and stops the run, and changes how many requests are in flight, from any thread (`datafast.engine.control`)."""
    on_event: EventCallback
    """Receives the events of the run (`datafast.engine.events`) on the run's own thread."""
    progress: bool
    """Show how the run goes under the cell of a notebook; true by default."""
    notes: Mapping[str, str]
    """Kept in the ledger for `datafast status`."""


def check_options(options: RunOptions, further: Iterable[str] = ()) -> None:
    """Refuses options that do not exist or contradict each other, and wrong numbers.

    Args:
        further: other names that the user could have given.

    Raises:
        ConfigError: names the option.
    """
    known = RunOptions.__annotations__
    for name in options:
        if name not in known:
            raise ConfigError(f"{name}: A run has no such option. {did_you_mean(name, [*further, *known])}")
    for name, value in (("limit", options.get("limit")), ("max_concurrency", options.get("max_concurrency"))):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ConfigError(f"{name}: expected a whole number, got {value!r}.")
        if value is not None and value < 1:
            raise ConfigError(f"{name}: expected at least 1, got {value}.")
    _refuse_contradictions(options)


def _refuse_contradictions(options: RunOptions) -> None:
    for name, does in (("fresh", "starts over"), ("retry_failed", "tries failed rows again")):
        if options.get("fill") and options.get(name):
            raise ConfigError(
                f"fill (--fill) buys again what is missing now, and {name} (--{name.replace('_', '-')}) {does}. Run one after the other."
            )
    if options.get("shard") is not None and options.get("fill"):
        raise ConfigError(
            "fill (--fill) looks at the rows of all shards, and shard (--shard) makes those of one. Put the shards together with "
            "`datafast merge`, and run with --fill on what that makes."
        )
    for name, does in (("fresh", "starts over"), ("retry_failed", "makes rows"), ("fill", "makes rows")):
        if options.get("decide_only") and options.get(name):
            raise ConfigError(
                f"decide_only (--decide-only) makes no rows, and {name} (--{name.replace('_', '-')}) {does}. Leave one of them out."
            )


def checked_provider(given: object, place: str) -> LLMProvider:
    """The provider that was given for this place or role.

    Raises:
        ConfigError: it is not a provider.
    """
    from datafast.llms.provider import LLMProvider

    if isinstance(given, LLMProvider):
        return given
    what = repr(given) if isinstance(given, str) else type(given).__name__
    raise ConfigError(
        f"{place}: expected a provider, like OpenAIProvider(model_id=...), got {what}. "
        f"datafast.llms.provider_from_spec makes one from a name like 'openai/gpt-6-luna'."
    )
