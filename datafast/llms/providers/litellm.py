"""The providers that are called through litellm, and their back end. litellm is imported when a call needs it.

Guarantee: one HTTP request per `complete`. A parameter that, according to litellm, the model lacks is left out with one
warning. Cost: 2-3 s and 160 MB once, for the import, in a thread of its own; then 2-4 ms of CPU per call. From the
hundredth call until it is closed, existing objects are left out of Python's garbage collection, which would cost a tenth
of that. Limits: litellm's reply object is recorded as a chat completion; the provider's own bytes only where they tell another
ending than litellm does. A success whose body litellm cannot read becomes a `ProviderError` with what litellm kept of it.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.gc_freeze import settle, unsettle
from datafast._util.notify import warn_user
from datafast.errors import ConfigError
from datafast.llms.base import ReplyMode, Request, Response
from datafast.llms.base_urls import versioned_base
from datafast.llms.options import ProviderOptions, text_schema
from datafast.llms.prices import context_window, cost_usd
from datafast.llms.provider import LLMProvider
from datafast.llms.providers.litellm_glue import (
    as_json,
    error_of,
    head_of,
    import_litellm,
    own_client,
    own_reply,
)
from datafast.llms.schema import ask
from datafast.llms.strict_schema import inlined_schema
from datafast.llms.transport.errors import from_success

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.llms.base import Backend
    from datafast.types import Usage

__all__ = ["LiteLLMBackend", "LiteLLMProvider"]

# litellm sends nothing without a key, even if the server needs none.
_NO_KEY = "none"
# The models that litellm calls with a given HTTP client, which can trust other certificates and refuse redirects.
_WITH_OWN_CLIENT = ("anthropic/", "gemini/")


class LiteLLMProvider(LLMProvider):
    """Any model that litellm knows, by litellm's name for it:
    `LiteLLMProvider("bedrock/anthropic.claude-3-haiku-...")`.

    Without `api_key`, litellm looks for credentials as its documentation says (environment variables, cloud profiles).
    Each call costs 3-4 ms of CPU, and the first one 2-3 s, for litellm's import.
    """

    provider_name = "litellm"
    connects = False
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {"model": text_schema("The same as model_id.")}

    def __init__(
        self,
        model_id: str | None = None,
        api_key: str | None = None,
        *,
        model: str | None = None,
        **options: Unpack[ProviderOptions],
    ) -> None:
        if model is not None and model_id is not None:
            raise ConfigError("model: model_id is given too. Give only one of them.", key="model")
        super().__init__(model if model is not None else model_id, api_key, **options)
        if self.ssl_ca is not None and not self.takes_own_client:
            raise ConfigError(
                f"ssl_ca: litellm takes no certificates only for {self.litellm_model}. Set SSL_CERT_FILE in the environment.",
                key="ssl_ca",
            )
        if options.get("max_reply_mb") is not None:
            raise ConfigError(
                "max_reply_mb: litellm reads answers itself, without a limit. Leave it out.", key="max_reply_mb"
            )

    @property
    def label(self) -> str:
        return self.litellm_model

    @property
    def litellm_model(self) -> str:
        """The model as litellm names it."""
        return self.model_id

    @property
    def takes_own_client(self) -> bool:
        """Whether litellm calls this model with a given HTTP client."""
        return self.litellm_model.startswith(_WITH_OWN_CLIENT)

    @property
    def litellm_base(self) -> str | None:
        """The address in litellm's form; None for its own."""
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
        """The key for litellm; None if it looks for its own credentials."""
        own_server = self._api_base is not None and self.litellm_model.startswith("openai/")
        return self.api_key or (_NO_KEY if own_server and not os.environ.get("OPENAI_API_KEY") else None)

    def _configured_base(self) -> str | None:
        return self._api_base

    @property
    def known_context(self) -> int | None:
        provider_name, _, model_id = self.litellm_model.partition("/")
        return context_window(provider_name, model_id)

    def cost_usd(self, usage: Usage) -> float | None:
        provider_name, _, model_id = self.litellm_model.partition("/")
        return cost_usd(usage, provider_name=provider_name, model_id=model_id, price=self.price)

    def open(self, *, max_connections: int) -> Backend:
        return LiteLLMBackend(self, max_connections=max_connections)


# If the host has imported litellm, this is the size of its pool.
_HOST_IMPORTED_CONNECTIONS = 500
_MANY_CALLS = 100  # only more calls are worth a setting of the whole process


class LiteLLMBackend:
    """One model, called through litellm."""

    def __init__(self, provider: LiteLLMProvider, *, max_connections: int) -> None:
        self._provider = provider
        self._origin = provider.origin
        self._model = provider.litellm_model
        self._litellm: Any = None
        self._loading = asyncio.Lock()
        self._params: dict[str, Any] = {}
        self._fixed: dict[str, Any] = {}
        self._limit_param = "max_tokens"
        self._max_connections = max_connections
        self._cap: asyncio.Semaphore | None = None
        self._client: Any = None
        self._calls = 0
        self._settled = False

    async def complete(self, request: Request) -> Response:
        """See `Backend.complete`."""
        if self._litellm is None:
            await self.prepare()
        if self._cap is None:
            return await self._send(request)
        async with self._cap:
            return await self._send(request)

    async def prepare(self) -> None:
        """See `SlowStart.prepare`."""
        async with self._loading:
            if self._litellm is None:
                with foreign_warnings_ignored():
                    await self._load()

    async def aclose(self) -> None:
        """Closes what was opened only for this provider. litellm's own connections belong to the process and stay open."""
        if self._settled:
            self._settled = False
            unsettle()
        client, self._client = self._client, None
        if client is not None:
            with foreign_warnings_ignored():
                await client.close()

    async def _send(self, request: Request) -> Response:
        self._calls += 1
        if self._calls == _MANY_CALLS:
            self._settled = settle()
        arguments = self._arguments(request)
        # litellm calls its logger just before it sends, and again with the answer. What it hands over holds the logger: were it kept
        # here, it would stay until the next collection of garbage.
        answers: list[object] = []
        arguments["logger_fn"] = lambda told: answers.append(told.get("original_response"))
        started = time.perf_counter()
        try:
            # litellm's own timeout begins again with every byte.
            async with asyncio.timeout(self._provider.timeout):
                with foreign_warnings_ignored():
                    reply = await self._litellm.acompletion(**arguments)
        except Exception as error:  # noqa: BLE001 - litellm's classes, its SDKs' and plain ones: all mean "no usable answer"
            failed = error_of(self._origin, error, sent=bool(answers))
        else:
            raw = as_json(reply)
            refusal = from_success(self._origin, status=200, body=raw, headers=dict)
            if refusal is not None:
                raise refusal
            latency_s, head = time.perf_counter() - started, head_of(reply)
            own = own_reply(answers[-1] if answers else None, raw)
            return Response(raw, latency_s, head=head) if own is None else Response(own[0], latency_s, own[1], head)
        # Raised here, so that litellm's own error is not its context: that may repeat a key, and a traceback would show it.
        raise failed

    async def _load(self) -> None:
        litellm, by_host = await asyncio.to_thread(import_litellm)
        if by_host and self._max_connections > _HOST_IMPORTED_CONNECTIONS:
            self._cap = asyncio.Semaphore(_HOST_IMPORTED_CONNECTIONS)
            warn_user(
                f"{self._origin.label}: litellm was imported before datafast could set it up, so at most "
                f"{_HOST_IMPORTED_CONNECTIONS} requests are in flight at once. Import it later, or set "
                "AIOHTTP_CONNECTOR_LIMIT and AIOHTTP_CONNECTOR_LIMIT_PER_HOST before importing it."
            )
        if self._provider.takes_own_client:
            self._client = own_client(self._provider.ssl_ca, timeout_s=self._provider.timeout)
        self._params = self._supported(litellm)
        self._fixed = self._unchanging()
        self._litellm = litellm

    def _unchanging(self) -> dict[str, Any]:
        """The arguments of every request of a run."""
        provider = self._provider
        found: dict[str, Any] = {"timeout": provider.timeout, "max_retries": 0, "num_retries": 0, "stream": False}
        if (base := provider.litellm_base) is not None:
            found["api_base"] = base
        if (key := provider.litellm_key) is not None:
            found["api_key"] = key
        return found

    def _supported(self, litellm: Any) -> dict[str, Any]:
        """The parameters that were set and that the model has. A model that litellm does not know counts as having all."""
        provider = self._provider
        supported = litellm.get_supported_openai_params(model=self._model)
        wanted = provider.sampling
        if supported is not None:
            self._limit_param = "max_completion_tokens" if "max_completion_tokens" in supported else "max_tokens"
            dropped = sorted(wanted.keys() - set(supported))
            if dropped:
                warn_user(f"{self._origin.label} does not take {', '.join(dropped)}. It is left out of every request.")
                wanted = {name: value for name, value in wanted.items() if name not in dropped}
        if provider.max_completion_tokens is not None:
            wanted[self._limit_param] = provider.max_completion_tokens
        return wanted

    def _arguments(self, request: Request) -> dict[str, Any]:
        provider = self._provider
        # Copies, because litellm edits the messages.
        arguments: dict[str, Any] = {"model": self._model, "messages": [{**message} for message in request.messages]}
        arguments |= self._params
        if request.token_limit is not None:
            arguments[self._limit_param] = self._possible(request.token_limit)
        if request.schema is not None:
            if request.mode is ReplyMode.JSON_SCHEMA:
                # A new one, because litellm may edit it.
                arguments["response_format"] = orjson.loads(_without_references(request.schema.wire))
            else:
                arguments["messages"] = [{**message} for message in ask(request.messages, request.schema, request.mode)]
                if request.mode is ReplyMode.JSON_OBJECT:
                    arguments["response_format"] = {"type": "json_object"}
        arguments |= provider.extra
        for name in request.dropped_params:
            arguments.pop(name, None)
        arguments |= self._fixed
        if provider.extra_headers:
            arguments["extra_headers"] = dict(provider.extra_headers)
        if self._client is not None:
            arguments["client"] = self._client
        return arguments

    def _possible(self, token_limit: int) -> int:
        """The limit, or what the model can write at most where litellm knows it."""
        known = self._litellm.model_cost.get(self._model) or self._litellm.model_cost.get(self._provider.model_id) or {}
        most = known.get("max_output_tokens")
        return min(token_limit, most) if isinstance(most, int) and most > 0 else token_limit


@lru_cache(maxsize=512)
def _without_references(wire: bytes) -> bytes:
    """A `response_format` with its definitions in place, because litellm breaks references on the way to Anthropic."""
    form = orjson.loads(wire)
    form["json_schema"]["schema"] = inlined_schema(form["json_schema"]["schema"])
    return orjson.dumps(form)
