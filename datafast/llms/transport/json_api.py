"""A provider's server: posts a body to one address, and returns the answer or raises a `ProviderError`.

This is what back ends with any wire format need to speak HTTP: headers, certificates, proxies, time limits and errors.

Guarantee: one HTTP request per `post`, without retries or redirects. A success is returned byte for byte, so that it can be recorded
before it is read, except for an error that a gateway sent as a success. Proxies are read once from the environment (or the system's
settings). netrc is not read, so only configured keys are sent.
Limits: no streaming; one event loop for each `JsonApi`.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from datafast.llms.base import Response
from datafast.llms.transport.errors import CONNECT_TIMEOUT_S, from_answer, from_transport, hidden_status
from datafast.llms.transport.http_client import HttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from datafast.llms.provider import LLMProvider

__all__ = ["JsonApi"]

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "datafast"}


class JsonApi:
    """An open connection pool to one server.

    Args:
        provider: the provider; its `timeout`, `ssl_ca` and `extra_headers` are used.
        url: the URL to post to.
        headers: headers besides the usual ones, such as a key.
        max_connections: the most open connections.
        use_proxy: False ignores proxies in the environment.
    """

    def __init__(
        self,
        provider: LLMProvider,
        url: str,
        *,
        headers: Mapping[str, str],
        max_connections: int,
        use_proxy: bool = True,
    ) -> None:
        self._provider = provider
        self._origin = provider.origin
        self._url = url
        self._headers = {**_HEADERS, **headers}
        self._max_connections = max_connections
        self._use_proxy = use_proxy
        self._client: HttpClient | None = None

    async def post(self, body: bytes) -> Response:
        """Sends one request.

        Raises:
            ProviderError: no complete answer came, or it is an error.
        """
        if self._client is None:
            self._client = self._open()
        started = time.perf_counter()
        try:
            answer = await self._client.post(body)
        except OSError as error:  # time-outs are OSErrors too
            raise from_transport(self._origin, error) from error
        status = answer.status
        if 200 <= status < 300:
            status = hidden_status(answer.body) or status
        if not 200 <= status < 300:
            raise from_answer(self._origin, status=status, body=answer.body, headers=answer.headers)
        return Response(raw=answer.body, latency_s=time.perf_counter() - started)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _open(self) -> HttpClient:
        provider = self._provider
        own = {name.lower() for name in provider.extra_headers}
        usual = {name: value for name, value in self._headers.items() if name.lower() not in own}
        return HttpClient(
            self._url,
            headers=usual | provider.extra_headers,
            timeout_s=provider.timeout,
            connect_timeout_s=min(CONNECT_TIMEOUT_S, provider.timeout),
            max_connections=self._max_connections,
            tls=_trusting(provider.ssl_ca) if provider.ssl_ca else None,
            proxy=_proxy_for(self._url) if self._use_proxy else None,
        )


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _trusting(ssl_ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ssl_ca)
    return context
