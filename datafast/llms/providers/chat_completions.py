"""The providers that datafast comes with: two families, one for each back end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Unpack

from datafast.errors import ConfigError
from datafast.llms.base_urls import base_from_environment, chat_url, versioned_base
from datafast.llms.options import ProviderOptions
from datafast.llms.prices import context_window, cost_usd
from datafast.llms.provider import LLMProvider

if TYPE_CHECKING:
    from datafast.llms.base import Backend
    from datafast.types import Usage

__all__ = [
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
]

# litellm sends nothing without a key, also where the server needs none.
_NO_KEY = "none"
# The models that litellm calls with the HTTP client it is handed; only that can trust other certificates and refuse redirects.
_WITH_OWN_CLIENT = ("anthropic/", "gemini/")


class ChatCompletionsProvider(LLMProvider):
    """Base of the providers that speak OpenAI chat completions and need nothing else."""

    @property
    def chat_url(self) -> str:
        return chat_url(self.api_base)

    def open(self, *, max_connections: int) -> Backend:
        from datafast.llms.providers.direct import DirectBackend

        return DirectBackend(self, max_connections=max_connections)


class OpenAIProvider(ChatCompletionsProvider):
    provider_name = "openai"
    env_key_name = "OPENAI_API_KEY"
    default_model_id = "gpt-5-mini-2025-08-07"
    default_base = "https://api.openai.com/v1"
    token_limit_param = "max_completion_tokens"  # noqa: S105 - tokens of text


class MistralProvider(ChatCompletionsProvider):
    provider_name = "mistral"
    env_key_name = "MISTRAL_API_KEY"
    default_model_id = "mistral-small-latest"
    default_base = "https://api.mistral.ai/v1"


class OpenRouterProvider(ChatCompletionsProvider):
    provider_name = "openrouter"
    env_key_name = "OPENROUTER_API_KEY"
    default_model_id = "openai/gpt-5-mini"
    default_base = "https://openrouter.ai/api/v1"


class OllamaProvider(ChatCompletionsProvider):
    """A local Ollama server. Needs no key. Its address is also read from OLLAMA_HOST."""

    provider_name = "ollama"
    takes_text_bounds = True
    default_model_id = "gemma3:4b"
    default_base = "http://127.0.0.1:11434"


class OpenAICompatibleProvider(ChatCompletionsProvider):
    """Any server that speaks OpenAI chat completions: vLLM, llama.cpp, LM Studio, TGI, a gateway. The key is optional.

    Args:
        model_id: the model, as the server names it.
        **options: see `ProviderOptions`; `api_base` is required.
    """

    provider_name = "openai_compatible"
    takes_text_bounds = True

    def __init__(self, model_id: str | None = None, **options: Unpack[ProviderOptions]) -> None:
        if options.get("api_base") is None:
            raise ConfigError(
                "api_base: OpenAICompatibleProvider needs the server's address, like http://localhost:8000.",
                key="api_base",
            )
        super().__init__(model_id, **options)


class LiteLLMProvider(LLMProvider):
    """Any model that litellm knows, by litellm's name for it:
    `LiteLLMProvider("bedrock/anthropic.claude-3-haiku-...")`.

    Without `api_key`, litellm looks for its credentials as its documentation says (environment variables, cloud
    profiles). Replies are as cheap to parse as others; each call costs 3-4 ms of CPU and the first one 2-3 s, for
    litellm's import.
    """

    provider_name = "litellm"
    litellm_prefix: ClassVar[str] = ""

    def __init__(
        self, model_id: str | None = None, *, model: str | None = None, **options: Unpack[ProviderOptions]
    ) -> None:
        if model is not None and model_id is not None:
            raise ConfigError("model: give model or model_id, not both.", key="model")
        super().__init__(model if model is not None else model_id, **options)
        if self.ssl_ca is not None and not self.takes_own_client:
            raise ConfigError(
                f"ssl_ca: litellm takes no certificates for {self.litellm_model} alone. Set SSL_CERT_FILE in the environment.",
                key="ssl_ca",
            )

    @property
    def label(self) -> str:
        return self.litellm_model

    @property
    def litellm_model(self) -> str:
        """The model as litellm names it."""
        return self.litellm_prefix + self.model_id

    @property
    def takes_own_client(self) -> bool:
        """Whether litellm calls this model with the HTTP client that it is handed."""
        return self.litellm_model.startswith(_WITH_OWN_CLIENT)

    @property
    def litellm_base(self) -> str | None:
        """The address in the form that litellm wants, or None for its own."""
        base = self._configured_base()
        if base is None:
            return None
        if self.litellm_model.startswith("anthropic/"):
            return base.removesuffix("/v1")  # it adds /v1/messages
        if self.litellm_model.startswith("gemini/"):
            return versioned_base(base, version="/v1beta")
        return versioned_base(base) if self.litellm_model.startswith("openai/") else base

    @property
    def litellm_key(self) -> str | None:
        """The key for litellm, or None where it shall look for its own credentials."""
        own_server = self._api_base is not None and self.litellm_model.startswith("openai/")
        return self.api_key or (_NO_KEY if own_server and not os.environ.get("OPENAI_API_KEY") else None)

    def _configured_base(self) -> str | None:
        return self._api_base

    @property
    def longest_reply(self) -> int | None:
        provider_name, _, model_id = self.litellm_model.partition("/")
        return self.max_completion_tokens or context_window(provider_name, model_id)

    def cost_usd(self, usage: Usage) -> float | None:
        provider_name, _, model_id = self.litellm_model.partition("/")
        return cost_usd(usage, provider_name=provider_name, model_id=model_id, price=self.price)

    def open(self, *, max_connections: int) -> Backend:
        from datafast.llms.providers.litellm import LiteLLMBackend

        return LiteLLMBackend(self, max_connections=max_connections)


class _NamedLiteLLMProvider(LiteLLMProvider):
    """A provider of its own that is called through litellm."""

    def __init__(self, model_id: str | None = None, **options: Unpack[ProviderOptions]) -> None:
        super().__init__(model_id, **options)

    @property
    def litellm_key(self) -> str | None:
        return self.api_key or _NO_KEY

    def _configured_base(self) -> str | None:
        return self._api_base or base_from_environment(self.provider_name.upper())


class AnthropicProvider(_NamedLiteLLMProvider):
    provider_name = "anthropic"
    env_key_name = "ANTHROPIC_API_KEY"
    default_model_id = "claude-haiku-4-5-20251001"
    default_base = "https://api.anthropic.com"
    litellm_prefix = "anthropic/"


class GeminiProvider(_NamedLiteLLMProvider):
    provider_name = "gemini"
    env_key_name = "GEMINI_API_KEY"
    default_model_id = "gemini-2.0-flash"
    default_base = "https://generativelanguage.googleapis.com/v1beta"
    litellm_prefix = "gemini/"
