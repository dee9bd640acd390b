"""The providers that speak OpenAI chat completions, and the bodies of their requests, for our own HTTP client.

Guarantee and limits: those of `JsonApi`. Cost: about 0.03 ms of CPU per call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack
from urllib.parse import urlsplit, urlunsplit

import orjson

from datafast.errors import ConfigError
from datafast.llms.base import ReplyMode
from datafast.llms.base_urls import chat_url
from datafast.llms.options import ProviderOptions
from datafast.llms.providers.direct import Bodies, DirectBackend, DirectProvider
from datafast.llms.schema import ask

if TYPE_CHECKING:
    from datafast.llms.base import Backend, Request
    from datafast.llms.batches.base import BatchBackend

__all__ = [
    "ChatCompletionsBodies",
    "ChatCompletionsProvider",
    "MistralProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
]

_BATCH_BYTES_OF_OTHERS = 100_000_000
_JSON_OBJECT = {"type": "json_object"}
_USAGE_IN_STREAM = {"stream_options": {"include_usage": True}}


class ChatCompletionsProvider(DirectProvider):
    """Base of the providers that speak OpenAI chat completions."""

    asks_for_usage: ClassVar[bool] = True
    """Whether a stream tells its usage only if it is asked for."""

    @property
    def droppable_params(self) -> frozenset[str]:
        return super().droppable_params | (
            _USAGE_IN_STREAM.keys() if self.stream and self.asks_for_usage else frozenset()
        )

    @property
    def request_url(self) -> str:
        return chat_url(self.api_base)

    @property
    def models_url(self) -> str | None:
        parts = urlsplit(self.request_url)
        return urlunsplit(parts._replace(path=parts.path.removesuffix("/chat/completions") + "/models"))

    @property
    def key_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def open(self, *, max_connections: int) -> Backend:
        return DirectBackend(self, ChatCompletionsBodies(self, stream=self.stream), max_connections=max_connections)


class OpenAIProvider(ChatCompletionsProvider):
    """OpenAI's models."""

    provider_name = "openai"
    structured_replies = "schema"
    env_key_name = "OPENAI_API_KEY"
    default_model_id = "gpt-6-luna"
    default_base = "https://api.openai.com/v1"
    token_limit_param = "max_completion_tokens"  # noqa: S105 - tokens of text

    @property
    def listed_batch_discount(self) -> float | None:
        return 0.5 if self._is_at_openai else None

    def open_batches(self) -> BatchBackend | None:
        from datafast.llms.batches.openai import OpenAIBatches

        bodies = ChatCompletionsBodies(self, stream=False)
        return (
            OpenAIBatches(self, bodies, keeps_metadata=True) if self._is_at_openai else _batches_of_others(self, bodies)
        )

    @property
    def _is_at_openai(self) -> bool:
        """Whether it is OpenAI's own server. Regions have names in front of the usual one."""
        return f".{urlsplit(self.api_base).hostname}".endswith(".api.openai.com")


class MistralProvider(ChatCompletionsProvider):
    """Mistral's models."""

    provider_name = "mistral"
    structured_replies = "schema"
    env_key_name = "MISTRAL_API_KEY"
    default_model_id = "mistral-small-latest"
    default_base = "https://api.mistral.ai/v1"
    asks_for_usage = False  # it always tells it, and refuses to be asked

    @property
    def listed_batch_discount(self) -> float | None:
        return 0.5 if self.api_base == self.default_base else None

    def open_batches(self) -> BatchBackend | None:
        from datafast.llms.batches.mistral import MistralBatches

        return MistralBatches(self, ChatCompletionsBodies(self, stream=False))


class OpenRouterProvider(ChatCompletionsProvider):
    """Models of many makers, by OpenRouter."""

    provider_name = "openrouter"
    env_key_name = "OPENROUTER_API_KEY"
    default_model_id = "openai/gpt-6-luna"
    default_base = "https://openrouter.ai/api/v1"

    @property
    def key_url(self) -> str | None:
        return None if self._configured_base() else f"{self.default_base}/key"


class OllamaProvider(ChatCompletionsProvider):
    """A local Ollama server. Needs no key. Its address is also read from OLLAMA_HOST."""

    provider_name = "ollama"
    structured_replies = "schema"
    takes_text_bounds = True
    default_model_id = "gemma3:4b"
    default_base = "http://127.0.0.1:11434"


class OpenAICompatibleProvider(ChatCompletionsProvider):
    """Any server that speaks OpenAI chat completions: vLLM, llama.cpp, LM Studio, TGI, a gateway. The key is optional.

    Args:
        model_id: the model, as the server names it.
        api_key: the key, if the server wants one.
        **options: see `ProviderOptions`; `api_base` is required.
    """

    provider_name = "openai_compatible"
    takes_text_bounds = True

    def __init__(
        self, model_id: str | None = None, api_key: str | None = None, **options: Unpack[ProviderOptions]
    ) -> None:
        if options.get("api_base") is None:
            raise ConfigError(
                "api_base: OpenAICompatibleProvider needs the server's address. Give one, like http://localhost:8000.",
                key="api_base",
            )
        super().__init__(model_id, api_key, **options)

    def open_batches(self) -> BatchBackend | None:
        return _batches_of_others(self, ChatCompletionsBodies(self, stream=False))


def _batches_of_others(provider: ChatCompletionsProvider, bodies: ChatCompletionsBodies) -> BatchBackend:
    """Batches at a server that has them as OpenAI has. Some take smaller files."""
    from datafast.llms.batches.openai import OpenAIBatches

    return OpenAIBatches(provider, bodies, max_bytes=_BATCH_BYTES_OF_OTHERS)


class ChatCompletionsBodies(Bodies):
    """Makes bodies of chat completions. `model`: what they ask for, if that is not the provider's `model_id`."""

    def __init__(self, provider: ChatCompletionsProvider, *, stream: bool, model: str | None = None) -> None:
        self._model = model or provider.model_id
        self._limit_param = provider.token_limit_param
        self._params: dict[str, Any] = provider.sampling
        if provider.max_completion_tokens is not None:
            self._params[self._limit_param] = provider.max_completion_tokens
        self._extra = provider.extra
        if stream:
            self._params |= {"stream": True} | (_USAGE_IN_STREAM if provider.asks_for_usage else {})

    def body(self, request: Request) -> bytes:
        schema = request.schema
        body: dict[str, Any] = {"model": self._model, "messages": request.messages}
        body |= self._params
        if request.token_limit is not None:
            body[self._limit_param] = request.token_limit
        if schema is not None:
            if request.mode is ReplyMode.JSON_SCHEMA:
                wire = schema.bounded_wire if request.text_bounds else None
                body["response_format"] = orjson.Fragment(wire or schema.wire)
            else:
                body["messages"] = ask(request.messages, schema, request.mode)
                if request.mode is ReplyMode.JSON_OBJECT:
                    body["response_format"] = _JSON_OBJECT
        body |= self._extra
        for name in request.dropped_params:
            if name not in {"model", "messages"}:
                body.pop(name, None)
        return orjson.dumps(body)
