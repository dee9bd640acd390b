"""The base of the providers whose servers are called by our own HTTP client."""

from __future__ import annotations

from datafast.llms.provider import LLMProvider

__all__ = ["DirectProvider"]


class DirectProvider(LLMProvider):
    """A provider at one address. A class of a wire format gives `request_url`."""

    can_stream = True

    @property
    def request_url(self) -> str:
        """Where requests are posted to."""
        raise NotImplementedError

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
