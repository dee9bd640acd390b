"""Base addresses from arguments and the environment, and the URL that is made of them."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit, urlunsplit

from datafast.errors import ConfigError

__all__ = ["base_from_environment", "chat_url", "check_base", "versioned_base"]

_COMPLETIONS = "/chat/completions"
# A path with an API version is used unchanged: /v1, /api/v1, /v1beta/openai, /openai/v1, /api/paas/v4.
_VERSIONED = re.compile(r"/v\d+[a-z0-9]*(/|$)")
_OLLAMA_PORT = 11434


def check_base(base: str) -> str:
    """A base address without its trailing slashes.

    Raises:
        ConfigError: it is not an http(s) URL, or it contains credentials.
    """
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not _has_valid_port(base):
        raise ConfigError(
            f"api_base: expected an address like http://localhost:8000 or https://host/v1, got {base!r}.",
            key="api_base",
        )
    if parts.username or parts.password:
        raise ConfigError(
            "api_base: Credentials do not belong in the address. Use api_key= or extra_headers=.", key="api_base"
        )
    return urlunsplit(parts._replace(path=parts.path.rstrip("/"), fragment=""))


def base_from_environment(prefix: str) -> str | None:
    """The first of `<PREFIX>_BASE_URL`, `<PREFIX>_API_BASE` and, for Ollama, `OLLAMA_HOST` that is set."""
    for variable in (f"{prefix}_BASE_URL", f"{prefix}_API_BASE"):
        value = os.environ.get(variable, "").strip()
        if value:
            return check_base(value)
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


def _has_valid_port(address: str) -> bool:
    try:
        port = urlsplit(address).port
    except ValueError:
        return False
    return port != 0


def _from_ollama_host(host: str) -> str:
    """OLLAMA_HOST is what the server listens on: often without a scheme or port, and 0.0.0.0 for every interface."""
    address = host if "://" in host else f"http://{host}"
    if not _has_valid_port(address):
        raise ConfigError(f"OLLAMA_HOST: expected host:port, got {host!r}.", key="api_base")
    parts = urlsplit(address)
    name = "127.0.0.1" if parts.hostname in {None, "", "0.0.0.0", "::"} else str(parts.hostname)  # noqa: S104 - not bound
    if ":" in name:
        name = f"[{name}]"
    port = parts.port or {"https": 443}.get(parts.scheme, _OLLAMA_PORT)
    return check_base(f"{parts.scheme}://{name}:{port}{parts.path}")
