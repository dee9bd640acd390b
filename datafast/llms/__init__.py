"""Providers: descriptions of the models that datafast can call. Importing them loads no back end."""

from datafast.llms.llama_cpp import LlamaCppProvider
from datafast.llms.loaded import release_models
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
from datafast.llms.transformers_provider import TransformersProvider

__all__ = [
    "PROVIDERS",
    "AnthropicProvider",
    "ChatCompletionsProvider",
    "GeminiProvider",
    "LLMProvider",
    "LiteLLMProvider",
    "LlamaCppProvider",
    "MistralProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "SimulatedProvider",
    "TransformersProvider",
    "provider_from_spec",
    "release_models",
]
