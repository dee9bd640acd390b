"""Base addresses from arguments and the environment, and the URL that is made of them."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, urlsplit, urlunsplit

from datafast.errors import ConfigError
from datafast.llms.transport.redaction import address_shown

__all__ = ["base_from_environment", "chat_url", "check_base", "versioned_base"]

_COMPLETIONS = "/chat/completions"
# A path with an API version is used unchanged: /v1, /api/v1, /v1beta/openai, /openai/v1, /api/paas/v4.
_VERSIONED = re.compile(r"/v\d+[a-z0-9]*(/|$)")
_OLLAMA_PORT = 11434
_LONGEST_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")


def check_base(base: str, *, place: str = "api_base") -> str:
    """A base address without its trailing slashes, its host as the wire has it.

    Args:
        place: where the address was given, for messages.

    Raises:
        ConfigError: it is not an http(s) URL, no request can be sent to it, or it carries credentials.
    """
    parts = _parts(base)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(
            f"{place}: expected an address like http://localhost:8000 or https://host/v1, got {address_shown(base)[0]!r}.",
            key="api_base",
        )
    if parts.username or parts.password:
        raise ConfigError(
            f"{place}: Credentials do not belong in the address. Use api_key= or extra_headers=.", key="api_base"
        )
    host = _wire_host(parts.hostname)
    if host is None:
        raise ConfigError(
            f"{place}: {parts.hostname!r} is not the name of a host. Its parts have 1 to 63 letters, digits and hyphens each, with "
            "dots between them.",
            key="api_base",
        )
    rest = parts.path + parts.query
    if not (rest.isascii() and rest.isprintable()) or " " in rest:
        raise ConfigError(
            f"{place}: The path has characters that no address may have. Write them percent-encoded.", key="api_base"
        )
    netloc = parts.netloc if parts.netloc.isascii() else host + (f":{parts.port}" if parts.port else "")
    return urlunsplit(parts._replace(netloc=netloc, path=parts.path.rstrip("/"), fragment=""))


def base_from_environment(prefix: str) -> str | None:
    """The first of `<PREFIX>_BASE_URL`, `<PREFIX>_API_BASE` and, for Ollama, `OLLAMA_HOST` that is set."""
    for variable in (f"{prefix}_BASE_URL", f"{prefix}_API_BASE"):
        value = os.environ.get(variable, "").strip()
        if value:
            return check_base(value, place=variable)
    host = os.environ.get("OLLAMA_HOST", "").strip() if prefix == "OLLAMA" else ""
    return _from_ollama_host(host) if host else None


def versioned_base(base: str, *, version: str = "/v1") -> str:
    """The base address with an API version in its path; `version` is added if there is none."""
    parts = urlsplit(base)
    path = parts.path.removesuffix(_COMPLETIONS)
    if path == parts.path and not _VERSIONED.search(path):
        path += version
    return urlunsplit(parts._replace(path=path))


def chat_url(base: str) -> str:
    """The URL of chat completions below a base address. One that ends in `/chat/completions` is used unchanged."""
    parts = urlsplit(versioned_base(base))
    return urlunsplit(parts._replace(path=parts.path + _COMPLETIONS))


def _parts(address: str) -> SplitResult | None:
    """The parts of an address, None where it has no valid ones."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # half a bracket, a port that is none
        return None
    return None if port == 0 else parts


def _wire_host(host: str) -> str | None:
    """A host's name in ASCII, None where it is not a name. Underscores are not allowed there, and yet many local names have them."""
    if ":" in host:
        return host  # an IPv6 address
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return None
    labels = name.removesuffix(".").split(".")
    return name if len(name) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, labels)) else None


def _from_ollama_host(host: str) -> str:
    """OLLAMA_HOST is what the server listens on: often without a scheme or port, and 0.0.0.0 for every interface."""
    address = host if "://" in host else f"http://{host}"
    parts = _parts(address)
    if parts is None:
        raise ConfigError(f"OLLAMA_HOST: expected host:port, got {address_shown(host)[0]!r}.", key="api_base")
    name = "127.0.0.1" if parts.hostname in {None, "", "0.0.0.0", "::"} else str(parts.hostname)  # noqa: S104 - not bound
    if ":" in name:
        name = f"[{name}]"
    port = parts.port or {"https": 443}.get(parts.scheme, _OLLAMA_PORT)
    return check_base(f"{parts.scheme}://{name}:{port}{parts.path}", place="OLLAMA_HOST")
