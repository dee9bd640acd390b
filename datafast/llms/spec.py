"""A provider as a field of a config: `provider/model_id`, a mapping with `provider` and its parameters, or in Python a provider itself.

Keys come from the environment only: a config is written into the ledger and into dataset cards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from datafast.errors import ConfigError
from datafast.llms.transport.redaction import without_secrets

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["ProviderSpec", "named_provider"]


def named_provider(spec: Any) -> LLMProvider:
    """The provider that a field names.

    Raises:
        ConfigError: it names none.
    """
    from datafast.llms.provider import LLMProvider
    from datafast.llms.registry import provider_from_spec

    return spec if isinstance(spec, LLMProvider) else provider_from_spec(spec)


def _checked(spec: Any) -> Any:
    if isinstance(spec, Mapping) and "api_key" in spec:
        raise ValueError("Keys do not belong in a config. Set the provider's environment variable.")
    try:
        named_provider(spec)
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("provider: ")) from error
    return spec


def _written(spec: Any) -> Any:
    if not isinstance(spec, str | Mapping):
        spec = spec.spec or {"provider": spec.provider_name, "model_id": spec.model_id}
    return without_secrets(spec)


ProviderSpec = Annotated[
    Any,
    BeforeValidator(_checked),
    PlainSerializer(_written, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "object"}], "description": "a provider, as under `providers`"}
    ),
]
"""The type of such a field. Its value stays as it was given; `named_provider` makes the provider."""
