"""Models in GGUF files, run by llama.cpp on this machine: no key, no server to set up.

The back end is the llama.cpp server of the package xllamacpp, in a process of its own, asked over loopback.

Guarantee: one server per model, shared by all runs of this process. A request waits for a slot here, before its timeout
begins. A server that has ended is started again for the next request. Cost: that of chat completions over the network.
Limits: see `llama_server`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import orjson

from datafast._util.user_path import user_path
from datafast.errors import ConfigError, ErrorKind, ProviderError
from datafast.llms.base import ReplyMode, Request, Response
from datafast.llms.local.base import InProcessProvider
from datafast.llms.local.gguf import GgufSource
from datafast.llms.local.llama_server import LlamaServer, LlamaSettings, start_llama_server
from datafast.llms.local.model_cache import Lease, acquire
from datafast.llms.options import ProviderOptions, checked_count, checked_text, count_schema, text_schema
from datafast.llms.providers.chat_completions import ChatCompletionsBodies, OpenAICompatibleProvider
from datafast.llms.providers.direct import DirectBackend
from datafast.llms.schema import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.llms.provider import LLMProvider

__all__ = ["LlamaCppBackend", "LlamaCppProvider"]

_CONTEXT_TOKENS = 4096
_KEPT = ("temperature", "top_p", "frequency_penalty", "name", "max_completion_tokens", "max_concurrency", "weight")


class LlamaCppProvider(InProcessProvider):
    """A GGUF model, run by llama.cpp, which comes with `pip install 'datafast[local]'`.

    Structured replies follow their schema while they are written. The model is loaded by the first run that asks it,
    once for all runs of the process, and stays loaded; `release_models()` frees it.

    Args:
        model_id: alone, the place of the model: the path of a .gguf file, `owner/name/file.gguf` on the Hugging Face Hub,
            or `owner/name:QUANT` (by default Q4_K_M). With `model_path` or `repo_id`, the name in rows instead of the
            file's name.
        model_path: the path of a .gguf file.
        repo_id: a repository of the Hub; `filename` is the file in it, by default the Q4_K_M one. Downloaded once, into
            the Hub's cache.
        revision: branch, tag or commit of that repository.
        slots: requests that are answered at once; by default as many as a run has in flight, at most 8. More need more
            memory.
        context_tokens: tokens of one request, prompt and reply together; at most what the model was made for.
        threads: threads of the processor; by default llama.cpp's choice.
        gpu_layers: layers of the model on a GPU; by default as many as fit.
        **options: see `ProviderOptions`. `extra` takes the server's further sampling fields, such as `min_p`.

    Raises:
        ConfigError: no model or two models are named, a parameter does not exist, or its value is out of range.
    """

    provider_name = "llama_cpp"
    structured_replies = "schema"
    takes_text_bounds = True
    extra_name = "local"
    needed_packages = ("xllamacpp",)
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model_path": text_schema("The path of a .gguf file."),
        "repo_id": text_schema("A repository of the Hugging Face Hub, owner/name."),
        "filename": text_schema("The .gguf file in that repository."),
        "revision": text_schema("Branch, tag or commit of the repository."),
        "slots": count_schema("Requests that are answered at once."),
        "context_tokens": count_schema("Tokens of one request, prompt and reply together.", least=64),
        "threads": count_schema("Threads of the processor."),
        "gpu_layers": count_schema("Layers of the model on a GPU.", least=0),
    }

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model_path: str | Path | None = None,
        repo_id: str | None = None,
        filename: str | None = None,
        revision: str | None = None,
        slots: int | None = None,
        context_tokens: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        **options: Unpack[ProviderOptions],
    ) -> None:
        model_id = checked_text("model_id", model_id)
        self.source = _source(
            model_id,
            model_path=checked_text("model_path", str(model_path) if isinstance(model_path, Path) else model_path),
            repo_id=checked_text("repo_id", repo_id),
            filename=checked_text("filename", filename),
            revision=checked_text("revision", revision),
        )
        self.slots = checked_count("slots", slots)
        self.context_tokens = checked_count("context_tokens", context_tokens, least=64) or _CONTEXT_TOKENS
        self.threads = checked_count("threads", threads)
        self.gpu_layers = checked_count("gpu_layers", gpu_layers, least=0)
        named = model_id is not None and (model_path is not None or repo_id is not None)
        own = {"slots": slots, "context_tokens": context_tokens, "threads": threads, "gpu_layers": gpu_layers}
        super().__init__(str(model_id) if named else self.source.model_id, own=own, **options)

    @classmethod
    def standing_in_for(cls, provider: LLMProvider, model: str) -> LlamaCppProvider:
        """This model instead of another provider. It takes over the other's name, sampling parameters, limits of length and
        concurrency, and weight.

        Args:
            model: as `model_id` names it.
        """
        return cls(model, **cls.options_like(provider))

    @staticmethod
    def options_like(provider: LLMProvider) -> Any:
        """The options that a replacement takes over from a provider."""
        return {key: value for key in _KEPT if (value := getattr(provider, key)) is not None}

    @property
    def identity(self) -> str:
        parts = orjson.loads(super().identity)
        if self.source.revision is not None:
            parts["revision"] = self.source.revision
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def known_context(self) -> int:
        return self.context_tokens

    @property
    def longest_reply(self) -> int:
        return self.max_completion_tokens or self.context_tokens

    def require_ready(self) -> None:
        """Checks that llama.cpp is installed, and the file if it is on this machine.

        Raises:
            MissingExtraError: it is not installed.
            ConfigError: the file does not exist, or is not a GGUF file.
        """
        super().require_ready()
        self.source.check()

    def open(self, *, max_connections: int) -> LlamaCppBackend:
        return LlamaCppBackend(self, max_connections=max_connections)


def _source(
    model_id: str | None, *, model_path: str | None, repo_id: str | None, filename: str | None, revision: str | None
) -> GgufSource:
    if model_path is not None and repo_id is not None:
        raise ConfigError("repo_id: model_path is given too. Give only one of them.", key="repo_id")
    if filename is not None and repo_id is None:
        raise ConfigError(
            "filename: This is a file of repo_id, which is missing. Give repo_id, or model_path for a path.",
            key="filename",
        )
    if model_path is not None:
        return GgufSource(path=user_path(model_path))
    if repo_id is None and model_id is None:
        raise ConfigError(
            "model_path: LlamaCppProvider needs a model. Give model_path=, or repo_id= and filename=.", key="model_path"
        )
    if repo_id is None:
        return GgufSource.of(str(model_id), key="model_id", revision=revision)
    if filename is not None:
        return GgufSource(repo_id=repo_id, filename=filename, revision=revision)
    found = GgufSource.of(repo_id, key="repo_id", revision=revision)
    return GgufSource(repo_id=found.repo_id or repo_id, quant=found.quant, filename=found.filename, revision=revision)


# Each slot keeps its own part of the context in memory, and with more than a few the processor or GPU is the limit.
_MOST_SLOTS = 8


class _Served(OpenAICompatibleProvider):
    """The settings of the server."""

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
        if request.schema is not None and request.mode is ReplyMode.JSON_SCHEMA:
            # The grammar ensures the form, but the model has to be told what the fields mean.
            request = replace(request, messages=ask(request.messages, request.schema, ReplyMode.PROMPT))
        try:
            return await direct.complete(request)
        except ProviderError as error:
            ended = self._lease.model.ended if self._lease is not None else None
            if error.kind is not ErrorKind.CONNECTION or ended is None:
                raise
            raise ProviderError(
                f"{self._provider.label}: llama.cpp ended during the request: {ended}", kind=ErrorKind.SERVER
            ) from error

    async def prepare(self) -> None:
        """See `SlowStart.prepare`.

        Raises:
            ConfigError: the model cannot be downloaded or loaded.
        """
        await self._ready()

    async def aclose(self) -> None:
        """Ends the use of the server, which keeps running for others."""
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
            bodies = ChatCompletionsBodies(served, stream=False)
            self._direct = DirectBackend(
                served, bodies, max_connections=min(self._slots, server.slots), use_proxy=False
            )
            return self._direct

    def _fits(self, server: LlamaServer, users: int) -> bool:
        """Whether a running server can be used. One with fewer slots than wanted is used only while others use it."""
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
