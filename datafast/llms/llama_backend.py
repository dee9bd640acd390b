"""The back end of `LlamaCppProvider`: the llama.cpp server of the package xllamacpp, in a process that we start, asked
over loopback by the direct back end.

Guarantee: one server per model, shared by all runs of this process; a request waits for a slot here, where no timeout
runs. A server that ended is started again for the next request. Cost: that of the direct back end.
Limits: see `llama_server`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from datafast.errors import ErrorKind, ProviderError
from datafast.llms.base import Request, Response, StructuredStep
from datafast.llms.local.llama_server import LlamaServer, LlamaSettings, start_llama_server
from datafast.llms.local.model_cache import Lease, acquire
from datafast.llms.providers.chat_completions import OpenAICompatibleProvider
from datafast.llms.providers.direct import DirectBackend
from datafast.llms.schema import ask

if TYPE_CHECKING:
    from datafast.llms.local.llama_cpp import LlamaCppProvider

__all__ = ["LlamaCppBackend"]

# Each slot keeps its own part of the context in memory, and beyond a few the processor or the GPU is the limit.
_MOST_SLOTS = 8


class _Served(OpenAICompatibleProvider):
    """The provider as the server sees it."""

    provider_name = "llama_cpp"


class LlamaCppBackend:
    """One GGUF model during one run."""

    def __init__(self, provider: LlamaCppProvider, *, max_connections: int) -> None:
        self._provider = provider
        self._slots = provider.slots or min(max_connections, _MOST_SLOTS)
        self._loading = asyncio.Lock()
        self._lease: Lease[LlamaServer] | None = None
        self._direct: DirectBackend | None = None

    async def complete(self, request: Request) -> Response:
        """See `Backend.complete`."""
        direct = await self._ready()
        if request.schema is not None and request.step is StructuredStep.JSON_SCHEMA:
            # The grammar keeps the form; what the fields mean, the model has to be told.
            request = replace(request, messages=ask(request.messages, request.schema, StructuredStep.PROMPT))
        try:
            return await direct.complete(request)
        except ProviderError as error:
            ended = self._lease.model.ended if self._lease is not None else None
            if error.kind is not ErrorKind.CONNECTION or ended is None:
                raise
            raise ProviderError(
                f"{self._provider.label}: llama.cpp ended while it was asked: {ended}", kind=ErrorKind.SERVER
            ) from error

    async def prepare(self) -> None:
        """See `SlowStart.prepare`.

        Raises:
            ConfigError: the model cannot be fetched or loaded.
        """
        await self._ready()

    async def aclose(self) -> None:
        """Ends the use of the server, which goes on running for others."""
        direct, self._direct = self._direct, None
        lease, self._lease = self._lease, None
        if direct is not None:
            await direct.aclose()
        if lease is not None:
            lease.release()

    async def _ready(self) -> DirectBackend:
        async with self._loading:
            if self._direct is not None and self._lease is not None and self._lease.model.ended is None:
                return self._direct
            await self.aclose()
            provider = self._provider
            key = ("llama_cpp", provider.source, provider.context_tokens, provider.threads, provider.gpu_layers)
            self._lease = await acquire(key, partial(_start, provider, self._slots), fits=self._fits)
            server = self._lease.model
            served = _Served(
                provider.model_id,
                api_base=server.address,
                api_key=server.key,
                temperature=provider.temperature,
                top_p=provider.top_p,
                frequency_penalty=provider.frequency_penalty,
                reasoning_effort=provider.reasoning_effort,
                max_completion_tokens=provider.max_completion_tokens,
                timeout=provider.timeout,
                extra=provider.extra,
            )
            self._direct = DirectBackend(served, max_connections=min(self._slots, server.slots), use_proxy=False)
            return self._direct

    def _fits(self, server: LlamaServer, users: int) -> bool:
        """Whether a running server will do. With fewer slots than wanted it does only while others use it."""
        return server.ended is None and (users > 0 or server.slots >= self._slots)


def _start(provider: LlamaCppProvider, slots: int) -> LlamaServer:
    return start_llama_server(
        LlamaSettings(
            path=provider.source.fetch().absolute(),
            alias=provider.model_id,
            slots=slots,
            context_tokens=provider.context_tokens,
            threads=provider.threads,
            gpu_layers=provider.gpu_layers,
        )
    )
