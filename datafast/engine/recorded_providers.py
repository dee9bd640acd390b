"""Stand-ins for the providers of an earlier run, made from its manifest. Recorded replies are found under their names; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datafast.engine.routes import Route
from datafast.errors import ErrorKind, OutputError, ProviderError
from datafast.llms.prices import cost_usd
from datafast.llms.provider import LLMProvider

if TYPE_CHECKING:
    from datafast.llms.base import Request, Response
    from datafast.types import Usage

__all__ = ["RecordedProvider", "recorded_routes"]


class RecordedProvider(LLMProvider):
    """A provider of which there are only recorded replies.

    Args:
        told: what the manifest says of it.
        simulated: whether simulated models have made the output.

    Attributes:
        asked: how many calls had no recorded reply.
    """

    provider_name = "recorded"

    def __init__(self, told: Mapping[str, Any], *, simulated: bool) -> None:
        spec = told["spec"]
        super().__init__(spec["model_id"], name=spec.get("name"), price=spec.get("price"))
        self.simulated = simulated  # type: ignore[misc]  # of this object, not of the class
        self.asked = 0
        self._identity = told["identity"]
        self._provider = spec["provider"]
        # The model of a simulated provider has the name that others have together with their model.
        self._label = self.model_id if spec["provider"] == "simulated" else f"{spec['provider']}/{self.model_id}"

    @property
    def label(self) -> str:
        return self._label

    @property
    def identity(self) -> str:
        if self._identity is None:
            raise OutputError(
                f"The parameters of {self.label} have something secret in them, which no manifest has, so what it was asked cannot be "
                f"found. Give what is secret as the provider's key or in a header: replies do not depend on those."
            )
        return str(self._identity)

    def cost_usd(self, usage: Usage) -> float | None:
        return cost_usd(usage, provider_name=self._provider, model_id=self.model_id, price=self.price)

    def require_ready(self) -> None:
        """Nothing is sent, so nothing is needed."""

    def open(self, *, max_connections: int) -> _Nobody:
        return _Nobody(self)


class _Nobody:
    """Answers nothing: each call that gets here has no recorded reply."""

    def __init__(self, provider: RecordedProvider) -> None:
        self._provider = provider

    async def complete(self, request: Request) -> Response:
        self._provider.asked += 1
        raise ProviderError(
            f"{self._provider.label}: No reply is recorded for this call.",
            kind=ErrorKind.CONTENT_FILTER,
            maybe_paid=False,
        )

    async def aclose(self) -> None:
        pass


def recorded_routes(manifest: Mapping[str, Any]) -> tuple[list[Route[LLMProvider]], Sequence[RecordedProvider]]:
    """The routes of the run that wrote a manifest, and all their providers."""
    simulated = bool(manifest["simulated"])
    made = {told["label"]: RecordedProvider(told, simulated=simulated) for told in manifest["providers"]}

    def route(told: Mapping[str, Any]) -> Route[LLMProvider]:
        own = told["own"]
        found: Route[LLMProvider] = (
            Route.single(made[own])
            if isinstance(own, str)
            else Route.by_role({role: made[label] for role, label in own.items()})
        )
        return found.with_further({role: made[label] for role, label in told.get("further", {}).items()})

    return [route(told) for told in manifest["routes"]], list(made.values())
