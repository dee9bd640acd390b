"""The base of the providers whose servers are called by our own HTTP client, and of their back ends.

A wire format is a subclass of `DirectProvider`, which gives the address and the headers, and one of `Bodies`, which writes the body of
a request, for one call and for batches alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from datafast.llms.provider import LLMProvider
from datafast.llms.transport.wire_format import CHAT_COMPLETIONS, WireFormat

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from datafast.llms.base import Request, Response

__all__ = ["Bodies", "DirectBackend", "DirectProvider"]


class DirectProvider(LLMProvider, ABC):
    """A provider at one address."""

    can_stream = True

    @property
    @abstractmethod
    def request_url(self) -> str:
        """Where requests are posted to."""

    @property
    def key_headers(self) -> dict[str, str]:
        """The headers that carry the key, if there is one, and others that each request has."""
        return {}

    @property
    def models_url(self) -> str | None:
        """Where the server tells, at no cost, about this model or all of its models; None where it tells of neither."""
        return None

    @property
    def key_url(self) -> str | None:
        """Where the server says, at no cost, whether the key is good, where its models are told to everybody."""
        return None

    async def get(self, url: str) -> bytes:
        """What the server says at one of these addresses.

        Raises:
            ProviderError: it refuses, or no answer came.
        """
        from datafast.llms.transport.json_api import JsonApi

        api = JsonApi(self, url, method="GET", headers=self.key_headers, max_connections=1)
        try:
            return (await api.post(b"")).raw
        finally:
            await api.aclose()

    def require_ready(self) -> None:
        """See `LLMProvider.require_ready`; the proxy of the address is checked too."""
        super().require_ready()
        from datafast.llms.transport.proxies import proxy_for

        proxy_for(self.request_url)


class Bodies(ABC):
    """Writes requests in a wire format."""

    wire: ClassVar[WireFormat] = CHAT_COMPLETIONS
    """The format of replies."""

    @abstractmethod
    def body(self, request: Request) -> bytes:
        """The body of a request, as JSON."""


class DirectBackend:
    """An open connection pool to one server. `use_proxy=False` ignores proxies in the environment."""

    def __init__(
        self, provider: DirectProvider, bodies: Bodies, *, max_connections: int, use_proxy: bool = True
    ) -> None:
        # Imported when a run begins, not when a provider is made, because it takes longer than all else here.
        from datafast.llms.transport.json_api import JsonApi

        self._body = bodies.body
        self._api = JsonApi(
            provider,
            provider.request_url,
            headers=provider.key_headers,
            max_connections=max_connections,
            wire=bodies.wire,
            use_proxy=use_proxy,
        )

    def complete(self, request: Request) -> Coroutine[Any, Any, Response]:
        """See `Backend.complete`. It hands on the coroutine that posts: one of its own would cost as much as making the body."""
        return self._api.post(self._body(request))

    def widen(self, max_connections: int) -> None:
        """See `Widens`."""
        self._api.widen(max_connections)

    async def aclose(self) -> None:
        await self._api.aclose()
