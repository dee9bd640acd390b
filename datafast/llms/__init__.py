"""Providers: descriptions of the models that datafast can call. Importing one loads no back end."""

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.llms.local.llama_cpp import LlamaCppProvider
    from datafast.llms.local.model_cache import release_models
    from datafast.llms.local.transformers import TransformersProvider
    from datafast.llms.provider import LLMProvider
    from datafast.llms.providers.anthropic import AnthropicProvider
    from datafast.llms.providers.azure import AzureOpenAIProvider
    from datafast.llms.providers.chat_completions import (
        ChatCompletionsProvider,
        MistralProvider,
        OllamaProvider,
        OpenAICompatibleProvider,
        OpenAIProvider,
        OpenRouterProvider,
    )
    from datafast.llms.providers.gemini import GeminiProvider
    from datafast.llms.providers.litellm import LiteLLMProvider
    from datafast.llms.registry import PROVIDERS, provider_from_spec
    from datafast.llms.simulated.provider import SimulatedProvider
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.llms.local.llama_cpp": ["LlamaCppProvider"],
            "datafast.llms.local.model_cache": ["release_models"],
            "datafast.llms.local.transformers": ["TransformersProvider"],
            "datafast.llms.provider": ["LLMProvider"],
            "datafast.llms.providers.anthropic": ["AnthropicProvider"],
            "datafast.llms.providers.azure": ["AzureOpenAIProvider"],
            "datafast.llms.providers.chat_completions": [
                "ChatCompletionsProvider",
                "MistralProvider",
                "OllamaProvider",
                "OpenAICompatibleProvider",
                "OpenAIProvider",
                "OpenRouterProvider",
            ],
            "datafast.llms.providers.gemini": ["GeminiProvider"],
            "datafast.llms.providers.litellm": ["LiteLLMProvider"],
            "datafast.llms.registry": ["PROVIDERS", "provider_from_spec"],
            "datafast.llms.simulated.provider": ["SimulatedProvider"],
        },
        absent={
            "GoogleProvider": "It is GeminiProvider.",
            "create_provider": "It is provider_from_spec('openai/gpt-6-luna').",
        },
    )

__all__ = [
    "PROVIDERS",
    "AnthropicProvider",
    "AzureOpenAIProvider",
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
