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

    def require_ready(self) -> None:
        """See `LLMProvider.require_ready`; the proxy of the address is checked too."""
        super().require_ready()
        from datafast.llms.transport.proxies import proxy_for

        proxy_for(self.request_url)
