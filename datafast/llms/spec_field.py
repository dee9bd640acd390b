"""The field of a config that names a provider: `provider: openai/gpt-6-luna`, or a mapping of its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, PlainSerializer

from datafast.errors import ConfigError
from datafast.llms.transport.redaction import without_secrets

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["ProviderSpec", "provider_of"]


def _known(spec: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    if isinstance(spec, Mapping) and "api_key" in spec:
        # The config is written into the ledger and into dataset cards.
        raise ValueError("Keys do not belong in a config. Set the provider's environment variable.")
    try:
        provider_of(spec)
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("provider: ")) from error
    return spec


ProviderSpec: TypeAlias = Annotated[
    str | Mapping[str, Any], AfterValidator(_known), PlainSerializer(without_secrets, when_used="json")
]
"""As under `providers` of a YAML file. A config that has one sets `hide_input_in_errors`: it may hold a key in the wrong place."""


def provider_of(spec: str | Mapping[str, Any] | None) -> LLMProvider | None:
    """The provider that a spec names; None for none."""
    from datafast.llms.registry import provider_from_spec  # most configs name none

    return None if spec is None else provider_from_spec(spec)
