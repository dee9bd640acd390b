"""The HTTP client behind proxies: of HTTP, with tunnels, and of SOCKS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from datafast.llms.transport.faults import ProxyFault
from datafast.llms.transport.http_client import HttpClient
from datafast.llms.transport.proxies import Address
from tests.servers.byte_server import OK, Seen, answering, client, server


def test_plain_http_goes_through_a_proxy_with_its_credentials() -> None:
    async def main() -> bytes:
        async with server(answering(OK)) as proxy:
            wire = client(9, proxy=Address.of(f"http://user:p%40ss@127.0.0.1:{proxy.port}"))
            assert (await wire.post(b"x")).body == b"ok"
            await wire.aclose()
            return proxy.requests[0]

    request = asyncio.run(main())
    assert request.startswith(b"POST http://127.0.0.1:9/v1/x?q=1 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in request


def test_https_goes_through_a_tunnel_of_the_proxy(certificate: tuple[Path, Path]) -> None:
    for_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for_server.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))

    async def tunnel(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = request.split()[1].decode()
        inner_reader, inner_writer = await asyncio.open_connection(*target.split(":"))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)
        finally:
            inner_writer.close()

    async def main() -> tuple[bytes, bytes, bytes]:
        async with server(answering(OK), tls=for_server) as target, server(tunnel) as proxy:
            wire = client(target.port, scheme="https", tls=trusting, proxy=Address.of(f"http://127.0.0.1:{proxy.port}"))
            bodies = [(await wire.post(b"secret")).body for _ in range(2)]
            await wire.aclose()
            assert len(target.requests) == 2
            return bodies[1], proxy.requests[0], target.requests[0]

    body, seen_by_proxy, seen_by_target = asyncio.run(main())
    assert body == b"ok"
    assert seen_by_proxy.startswith(b"CONNECT 127.0.0.1:")
    assert b"secret" not in seen_by_proxy
    assert seen_by_target.startswith(b"POST /v1/x?q=1 ")


def test_a_proxy_that_refuses_the_tunnel_is_a_refused_connection(certificate: tuple[Path, Path]) -> None:
    async def main() -> None:
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        async with server(answering(refusal)) as proxy:
            wire = client(9, scheme="https", proxy=Address.of(f"http://127.0.0.1:{proxy.port}"))
            with pytest.raises(ProxyFault, match="407"):
                await wire.post(b"x")

    asyncio.run(main())


def test_a_proxy_that_is_down_is_told_from_the_server_behind_it() -> None:
    async def main() -> None:
        async with server(answering(OK)) as proxy:
            port = proxy.port
        with pytest.raises(ProxyFault, match=f"http://127.0.0.1:{port}"):
            await client(9, proxy=Address.of(f"http://me:secret@127.0.0.1:{port}")).post(b"x")

    asyncio.run(main())


@asynccontextmanager
async def socks_proxy(*, login: bytes = b"", refusal: int = 0) -> AsyncIterator[Seen]:
    """A SOCKS 5 proxy. `requests` has the host of each connection that it was asked for."""
    seen = Seen()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        ways = await reader.readexactly(count)
        way = 2 if login else 0
        writer.write(bytes([version, way if way in ways else 255]))
        if login and way in ways:
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(bytes([1, user + b":" + password != login]))
        _, _, _, kind, size = await reader.readexactly(5)
        assert kind == 3
        seen.requests.append(await reader.readexactly(size))
        port = int.from_bytes(await reader.readexactly(2))
        writer.write(bytes([5, refusal, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not refusal:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer), return_exceptions=True)
            finally:
                inner_writer.transport.abort()

    serving: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(guarded, "127.0.0.1", 0)
    seen.port = listening.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        listening.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)


@pytest.mark.parametrize("login", [b"", b"me:secret"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_a_socks_proxy_which_looks_up_names(
    scheme: str, login: bytes, certificate: tuple[Path, Path]
) -> None:
    for_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for_server.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    trusting.check_hostname = False

    async def main() -> tuple[bytes, list[bytes]]:
        secure = scheme == "https"
        async with server(answering(OK), tls=for_server if secure else None) as seen, socks_proxy(login=login) as proxy:
            who = f"{login.decode()}@" if login else ""
            wire = HttpClient(
                f"{scheme}://model.invalid:{seen.port}/v1", headers={}, timeout_s=5, connect_timeout_s=5, max_connections=1,
                max_bytes=99, tls=trusting if secure else None, proxy=Address.of(f"socks5h://{who}127.0.0.1:{proxy.port}"),
            )  # fmt: skip
            bodies = [(await wire.post(b"x")).body for _ in range(2)]
            await wire.aclose()
            return bodies[1], proxy.requests

    assert asyncio.run(main()) == (b"ok", [b"model.invalid"])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"login": b"me:other"}, "refuses the user"), ({"refusal": 2}, "does not allow"), ({"refusal": 99}, "code 99")],
)
def test_a_socks_proxy_that_refuses_says_why(options: dict[str, Any], said: str) -> None:
    async def main() -> None:
        async with socks_proxy(**options) as proxy:
            wire = client(9, proxy=Address.of(f"socks5://me:secret@127.0.0.1:{proxy.port}"))
            with pytest.raises(ProxyFault, match=said) as caught:
                await wire.post(b"x")
            assert "secret" not in str(caught.value)

    asyncio.run(main())


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()
