"""Proxies: which one a request goes through, and how a SOCKS proxy is asked for a connection.

Guarantee: taken from the environment (or the system's settings): `https_proxy` or `http_proxy`, then `all_proxy`, unless `no_proxy`
names the host. A proxy that cannot be used is refused before anything is sent.
Limits: HTTP, HTTPS and SOCKS version 5 (RFC 1928, with user and password by RFC 1929). Names are looked up by a SOCKS proxy, never
here, whether its address begins with socks5 or socks5h.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from datafast.errors import ConfigError

__all__ = ["PORTS", "Address", "proxy_for", "through_socks"]

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_SOCKS = ("socks5", "socks5h")
_NO_LOGIN, _LOGIN = 0, 2
_REPLIES = {
    2: "it does not allow this connection",
    3: "it finds no way to the network",
    4: "it finds no way to the host",
    5: "the host refused the connection",
}


class Address(NamedTuple):
    """Where a socket is opened to, and as whom."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str = ""

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        user = None if parts.username is None else unquote(parts.username)
        return cls(
            parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme], user, unquote(parts.password or "")
        )

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def basic_auth(self) -> str:
        """The value of Proxy-Authorization, or ''."""
        pair = f"{self.user}:{self.password}".encode()
        return "" if self.user is None else f"Basic {b64encode(pair).decode()}"

    @property
    def shown(self) -> str:
        """Without its user and password."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def is_socks(self) -> bool:
        return self.scheme in _SOCKS


def proxy_for(url: str) -> Address | None:
    """The proxy on the way to `url`, or None.

    Raises:
        ConfigError: the environment names one that cannot be used.
    """
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    known = getproxies()
    name = parts.scheme if known.get(parts.scheme) else "all"
    proxy = known.get(name)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        address = Address.of(proxy)
    except (KeyError, ValueError):
        address = None
    if address is None or not address.host or address.scheme not in PORTS:
        shown = proxy.rpartition("@")[2] if "@" in proxy else proxy
        raise ConfigError(
            f"{name}_proxy: {shown!r} is not the address of a proxy that can be used. Give one that begins with http://, https:// or "
            f"socks5://, or name {parts.hostname} in no_proxy."
        )
    return address


async def through_socks(proxy: Address, host: str, port: int) -> socket.socket:
    """A socket to `host` that the proxy has connected.

    Raises:
        OSError: the proxy cannot be reached, or it refuses.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, address) in enumerate(found, 1):
        connected = socket.socket(family, kind, protocol)
        try:
            connected.setblocking(False)
            await loop.sock_connect(connected, address)
        except OSError:
            connected.close()
            if number == len(found):
                raise
            continue
        except BaseException:
            connected.close()
            raise
        try:
            await _ask(connected, proxy, host, port)
        except BaseException:
            connected.close()
            raise
        return connected
    raise ConnectionRefusedError(f"{proxy.host} has no address")


async def _ask(connected: socket.socket, proxy: Address, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    ways = bytes([_NO_LOGIN] if proxy.user is None else [_NO_LOGIN, _LOGIN])
    await loop.sock_sendall(connected, bytes([5, len(ways)]) + ways)
    version, way = await _exactly(connected, 2)
    if version != 5:
        raise ConnectionRefusedError("it does not speak SOCKS version 5")
    if way == _LOGIN and proxy.user is not None:
        user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
        await loop.sock_sendall(connected, b"\1%c%b%c%b" % (len(user), user, len(password), password))
        if (await _exactly(connected, 2))[1] != 0:
            raise ConnectionRefusedError("it refuses the user and password in its address")
    elif way != _NO_LOGIN:
        raise ConnectionRefusedError("it wants a user and password in its address")
    name = host.encode("idna")
    await loop.sock_sendall(connected, b"\5\1\0\3%c%b%b" % (len(name), name, struct.pack("!H", port)))
    _, reply, _, kind = await _exactly(connected, 4)
    if reply != 0:
        raise ConnectionRefusedError(_REPLIES.get(reply, f"it answers with code {reply}"))
    bound = {1: 4, 4: 16}.get(kind) or (await _exactly(connected, 1))[0]
    await _exactly(connected, bound + 2)  # the address it connected from says nothing to us


async def _exactly(connected: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    read = b""
    while len(read) < size:
        more = await loop.sock_recv(connected, size - len(read))
        if not more:
            raise ConnectionRefusedError("it closed the connection")
        read += more
    return read
