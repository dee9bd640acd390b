"""Providers by name, as a YAML config or the command line gives them: `openai/gpt-5-mini`, or a mapping with
`provider:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datafast._util.notify import nearest
from datafast.errors import ConfigError
from datafast.llms.local.llama_cpp import LlamaCppProvider
from datafast.llms.local.transformers import TransformersProvider
from datafast.llms.provider import LLMProvider
from datafast.llms.providers.anthropic import AnthropicProvider
from datafast.llms.providers.chat_completions import (
    MistralProvider,
    OllamaProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
)
from datafast.llms.providers.gemini import GeminiProvider
from datafast.llms.providers.litellm import LiteLLMProvider
from datafast.llms.simulated.provider import SimulatedProvider

__all__ = ["ALIASES", "PROVIDERS", "provider_from_spec"]

PROVIDERS: dict[str, type[LLMProvider]] = {
    "anthropic": AnthropicProvider,
    "gemini": GeminiProvider,
    "litellm": LiteLLMProvider,
    "llama_cpp": LlamaCppProvider,
    "mistral": MistralProvider,
    "ollama": OllamaProvider,
    "openai": OpenAIProvider,
    "openai_compatible": OpenAICompatibleProvider,
    "openrouter": OpenRouterProvider,
    "simulated": SimulatedProvider,
    "transformers": TransformersProvider,
}

ALIASES = {"hf": "transformers", "huggingface": "transformers", "llamacpp": "llama_cpp"}
"""Other names that a provider goes by."""


def provider_from_spec(spec: str | Mapping[str, Any]) -> LLMProvider:
    """The provider that a config names.

    Args:
        spec: `provider/model_id`, split at the first slash (`openrouter/openai/gpt-5-mini`), or `provider` alone for
        its default
            model; or a mapping with `provider` and the parameters of its class.

    Raises:
        ConfigError: an unknown provider or parameter, with the nearest valid name; `key` is the field.
    """
    if isinstance(spec, str):
        name, _, model_id = spec.strip().partition("/")
        options: dict[str, Any] = {"model_id": model_id} if model_id else {}
    elif isinstance(spec, Mapping):
        options = {str(key): value for key, value in spec.items()}
        name = options.pop("provider", None)
    else:
        raise ConfigError(
            f"provider: expected provider/model_id or a mapping, got {type(spec).__name__}.", key="provider"
        )
    return _class_of(name)(**options)


def _class_of(name: object) -> type[LLMProvider]:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"provider: the name is missing. Known: {', '.join(PROVIDERS)}.", key="provider")
    name = name.strip()
    try:
        return PROVIDERS[ALIASES.get(name, name)]
    except KeyError:
        near = nearest(name, [*PROVIDERS, *ALIASES])
        hint = (
            f"Did you mean {near!r}?" if near else f"Known: {', '.join(PROVIDERS)}. litellm/<name> reaches any other."
        )
        raise ConfigError(f"provider: there is no provider {name!r}. {hint}", key="provider") from None
