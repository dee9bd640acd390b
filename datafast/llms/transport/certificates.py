"""Certificates of authorities that a user trusts beside the system's."""

from __future__ import annotations

import ssl
from pathlib import Path

from datafast._util.user_path import is_file
from datafast.errors import ConfigError

__all__ = ["trusting"]


def trusting(ssl_ca: Path) -> ssl.SSLContext:
    """A TLS context that trusts the system's authorities and those of a PEM file.

    Raises:
        ConfigError: the file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if not is_file(ssl_ca):
        raise ConfigError(f"ssl_ca: There is no file {str(ssl_ca)!r}. Check its path.", key="ssl_ca")
    try:
        context.load_verify_locations(cafile=ssl_ca)
    except OSError as error:  # an SSLError is one too
        raise ConfigError(
            f"ssl_ca: {str(ssl_ca)!r} holds no certificate in PEM form that can be read ({error}).", key="ssl_ca"
        ) from error
    return context
