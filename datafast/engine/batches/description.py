"""Providers as the ledger describes them, so that their batches can be looked at and cancelled without the config that has made them.

Guarantee: no secret is in a description. Where it would send a key to an address that the key may not be meant for, there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from datafast.errors import ConfigError
from datafast.llms.registry import PROVIDERS, provider_from_spec

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["described", "provider_of"]


def described(provider: LLMProvider) -> str:
    """A provider as JSON; empty if it cannot be made again from its name."""
    name = provider.provider_name
    if name not in PROVIDERS or PROVIDERS[name] is not type(provider):
        return ""
    spec = provider.spec
    return "" if spec is None else orjson.dumps(spec, default=str).decode()


def provider_of(description: str) -> LLMProvider | None:
    """The provider; None if it cannot be made."""
    if not description:
        return None
    try:
        return provider_from_spec(orjson.loads(description))
    except ConfigError:  # of another version, or of a package that is gone
        return None
