"""The providers that speak OpenAI chat completions, and their back end: orjson and our own HTTP client, nothing between
them and the wire.

Guarantee: one HTTP request per `complete`: no retry, no redirect. A success is returned byte for byte, whatever is in
it, so that it can be recorded before anything looks at it; only an error that a gateway sent as one is an error. Proxies
are taken from the environment (or the system's settings), once per back end; netrc is not read, so no key is sent that
was not configured.
Cost: about 0.03 ms of CPU per call. Limits: no streaming; one event loop per back end.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from datafast.errors import ConfigError
from datafast.llms.base import LIFTED_TOKENS, ReplyMode, Request, Response
from datafast.llms.base_urls import chat_url
from datafast.llms.options import ProviderOptions
from datafast.llms.provider import LLMProvider
from datafast.llms.schema import ask
from datafast.llms.transport.errors import CONNECT_TIMEOUT_S, from_answer, from_transport, hidden_status
from datafast.llms.transport.http_client import HttpClient

if TYPE_CHECKING:
    from pathlib import Path

    from datafast.llms.base import Backend


__all__ = [
    "ChatCompletionsBackend",
    "ChatCompletionsProvider",
    "LLMProvider",
    "MistralProvider",
    "OllamaProvider",
    "OpenAICompatibleProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
]


class ChatCompletionsProvider(LLMProvider):
    """Base of the providers that speak OpenAI chat completions and need nothing else."""

    @property
    def chat_url(self) -> str:
        return chat_url(self.api_base)

    def open(self, *, max_connections: int) -> Backend:
        return ChatCompletionsBackend(self, max_connections=max_connections)


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


_JSON_OBJECT = {"type": "json_object"}


class ChatCompletionsBackend:
    """An open connection pool to one server. `use_proxy=False`: never through a proxy, whatever the environment says."""

    def __init__(self, provider: ChatCompletionsProvider, *, max_connections: int, use_proxy: bool = True) -> None:
        self._provider = provider
        self._use_proxy = use_proxy
        self._max_connections = max_connections
        self._origin = provider.origin
        self._url = provider.chat_url
        self._limit_param = provider.token_limit_param
        self._params: dict[str, Any] = provider.sampling
        if provider.max_completion_tokens is not None:
            self._params[self._limit_param] = provider.max_completion_tokens
        self._extra = provider.extra
        self._client: HttpClient | None = None

    async def complete(self, request: Request) -> Response:
        """See `Backend.complete`."""
        if self._client is None:
            self._client = self._open_client()
        body = self._body(request)
        started = time.perf_counter()
        try:
            answer = await self._client.post(body)
        except OSError as error:  # time-outs are OSErrors too
            raise from_transport(self._origin, error) from error
        status = answer.status
        if 200 <= status < 300:
            status = hidden_status(answer.body) or status
        if not 200 <= status < 300:
            raise from_answer(self._origin, status=status, body=answer.body, headers=answer.headers)
        return Response(raw=answer.body, latency_s=time.perf_counter() - started)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _body(self, request: Request) -> bytes:
        schema = request.schema
        body: dict[str, Any] = {"model": self._provider.model_id, "messages": request.messages}
        body |= self._params
        if request.lift_token_limit:
            body[self._limit_param] = LIFTED_TOKENS
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

    def _open_client(self) -> HttpClient:
        provider = self._provider
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "datafast"}
        if provider.api_key:
            headers["Authorization"] = f"Bearer {provider.api_key}"
        own = {name.lower() for name in provider.extra_headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in own} | provider.extra_headers
        return HttpClient(
            self._url,
            headers=headers,
            timeout_s=provider.timeout,
            connect_timeout_s=min(CONNECT_TIMEOUT_S, provider.timeout),
            max_connections=self._max_connections,
            tls=_trusting(provider.ssl_ca) if provider.ssl_ca else None,
            proxy=_proxy_for(self._url) if self._use_proxy else None,
        )


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _trusting(ssl_ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ssl_ca)
    return context
