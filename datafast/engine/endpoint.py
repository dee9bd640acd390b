"""A provider as one run knows it: its open connection, its limits, and what has been learned about it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datafast.engine.admission import Gate
from datafast.errors import ErrorKind, ProviderError
from datafast.llms.base import Backend, StructuredStep
from datafast.notify import warn_user
from datafast.types import Usage

if TYPE_CHECKING:
    from datafast.llms.providers import LLMProvider

__all__ = ["Endpoint", "identities"]

_SAME_REFUSALS = 10
_STEPS = tuple(StructuredStep)


class Endpoint:
    """One provider during one run.

    Attributes:
        label: what users see: `provider/model_id`, numbered where two would look alike.
        identity: what the keys of its calls contain.
        stopped: why nothing more is sent to it, None while it works.
        dropped_params: sampling parameters its model has refused.
    """

    def __init__(self, provider: LLMProvider, *, label: str, identity: str, gate: Gate, backend: Backend) -> None:
        self.provider = provider
        self.label = label
        self.identity = identity
        self.gate = gate
        self.backend = backend
        self.stopped: str | None = None
        self.dropped_params: frozenset[str] = frozenset()
        self.last_success = float("-inf")
        self._proven: set[StructuredStep] = set()
        self._step = StructuredStep.JSON_SCHEMA
        self._refusals: Counter[tuple[int | None, str | None, str | None]] = Counter()

    # -- how structure is asked for

    @property
    def step(self) -> StructuredStep:
        """The best way of asking for structure that is not known to fail here."""
        return self._step

    def next_step(self, step: StructuredStep) -> StructuredStep | None:
        """The step to try after `step` failed; None where `step` has worked before or is the last one."""
        if step in self._proven:
            return None
        if self._proven:
            return min(self._proven, key=_STEPS.index)
        following = _STEPS.index(step) + 1
        return _STEPS[following] if following < len(_STEPS) else None

    def step_worked(self, step: StructuredStep) -> None:
        """A valid reply came back. A lower step becomes the usual one only where no higher one has ever worked."""
        if step in self._proven:
            return
        if step is not self._step and not self._proven:
            self._step = step
        self._proven.add(step)

    # -- what it answers

    def cost_usd(self, usage: Usage | None) -> float | None:
        """What a reply costs; None where it does not say what it used, or the price is not known."""
        return self.provider.cost_usd(usage) if usage is not None else None

    def succeeded(self) -> None:
        self.last_success = time.monotonic()
        self.gate.succeeded()

    def drops(self, error: ProviderError) -> bool:
        """Whether a refusal names a parameter that can be left out; if so it is, from now on, with one warning."""
        name = error.param
        if error.kind is not ErrorKind.BAD_REQUEST or name is None or name not in self.provider.droppable_params:
            return False
        if name not in self.dropped_params:
            self.dropped_params |= {name}
            warn_user(f"{self.label} refuses the parameter {name!r}; it is left out from now on")
        return True

    def refuses_everything(self, error: ProviderError) -> bool:
        """Whether this provider's first answers were all the same refusal: something is wrong with every request."""
        if self.last_success > float("-inf"):
            return False
        refusal = (error.status, error.code, error.param)
        self._refusals[refusal] += 1
        return self._refusals[refusal] >= _SAME_REFUSALS


def identities(providers: Sequence[object]) -> list[str]:
    """The identity of each provider in a fan-out: equal ones are numbered. Any object will do where only counts matter."""
    seen: Counter[str] = Counter()
    result = []
    for provider in providers:
        plain = str(getattr(provider, "identity", type(provider).__qualname__))
        seen[plain] += 1
        result.append(plain if seen[plain] == 1 else f"{plain}#{seen[plain]}")
    return result
