"""Providers: descriptions of the models that datafast can call. Importing them loads no back end."""

from datafast.llms.providers import (
    AnthropicProvider,
    ChatCompletionsProvider,
    GeminiProvider,
    LiteLLMProvider,
    LLMProvider,
    MistralProvider,
    OllamaProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
    OpenRouterProvider,
)
from datafast.llms.simulated import SimulatedProvider
from datafast.llms.specs import PROVIDERS, provider_from_spec

__all__ = [
    "PROVIDERS",
    "AnthropicProvider",
    "ChatCompletionsProvider",
    "GeminiProvider",
    "LLMProvider",
    "LiteLLMProvider",
    "MistralProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "SimulatedProvider",
    "provider_from_spec",
]
