"""What `generate` is given beside the config: the options of one run, and who answers. Both are checked before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from datafast._util.notify import nearest
from datafast.engine.events import EventCallback
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["RunOptions", "check_options", "checked_provider"]


class RunOptions(TypedDict, total=False):
    """Keyword arguments of `generate`."""

    max_concurrency: int
    """Requests in flight at once; wins over the config's."""
    limit: int
    """Work on this many items only, spread over the plan; a later run without it goes on."""
    fresh: bool
    """Move what is there aside and start over."""
    retry_failed: bool
    """Take failed items up again."""
    offline: bool
    """Put a simulated provider in the place of each provider: no key, no cost, rows that say so."""
    on_event: EventCallback
    """Receives the events of the run (`datafast.engine.events`) on the run's own thread."""
    notes: Mapping[str, str]
    """Kept in the ledger for `datafast status`."""


def check_options(options: RunOptions) -> None:
    """Refuses options that do not exist, and numbers that are none.

    Raises:
        ConfigError: names the option.
    """
    known = RunOptions.__annotations__
    for name in options:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"valid: {', '.join(known)}"
            raise ConfigError(f"{name}: there is no such option of a run; {hint}")
    for name, value in (("limit", options.get("limit")), ("max_concurrency", options.get("max_concurrency"))):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise ConfigError(f"{name} must be a whole number, got {value!r}")
        if value is not None and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def checked_provider(given: object, place: str) -> LLMProvider:
    """What was given for this place or role, where it is a provider.

    Raises:
        ConfigError: it is something else.
    """
    from datafast.llms.provider import LLMProvider

    if isinstance(given, LLMProvider):
        return given
    what = repr(given) if isinstance(given, str) else type(given).__name__
    raise ConfigError(
        f"{place}: expected a provider, like OpenAIProvider(model_id=...), got {what}; "
        f"datafast.llms.provider_from_spec makes one from a name like 'openai/gpt-5-mini'"
    )
