"""Models of the Hugging Face Hub, run by transformers in this process.

Guarantee: the event loop never waits for the model, which other threads load and run. It is loaded once for all runs of
the process that want the same model on the same device. A cancelled request is dropped, also from a running batch.
Limits: `timeout` counts from the beginning of a request's batch, not while the request waits for it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import orjson

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import is_file, is_folder, user_path
from datafast.errors import ConfigError
from datafast.llms.base import ReplyMode, Request, Response
from datafast.llms.local.base import InProcessProvider
from datafast.llms.local.model_cache import Lease, acquire
from datafast.llms.options import ProviderOptions, checked_count, checked_text, count_schema, text_schema
from datafast.llms.replies.completion import encode_completion
from datafast.llms.schema import ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datafast.llms.local.transformers_model import LoadedModel

__all__ = ["DTYPES", "TransformersBackend", "TransformersProvider"]

DTYPES = ("auto", "bfloat16", "float16", "float32")


_BATCH_SIZE = 8
_MOST_TOKENS = 131_072  # a bound for budgets, if neither the user nor a loaded model gives one


class TransformersProvider(InProcessProvider):
    """A model that transformers loads, which comes with `pip install 'datafast[transformers]'`.

    Requests that wait at the same time are answered as one batch. Structured replies follow their schema while they are
    written. The model is loaded by the first run that asks it, once for all runs of the process, and stays loaded;
    `release_models()` frees it.

    Args:
        model_id: the same as `model`.
        model: a repository of the Hugging Face Hub, such as "gpt2", or a folder with a saved model.
        device: "auto" (a CUDA GPU, else Apple's, else the processor), or as torch names it: "cuda:1", "cpu".
        dtype: "auto" (as the model was saved), "bfloat16", "float16" or "float32".
        batch_size: most requests in one batch. More are faster and need more memory; if there is too little, the batch
            is halved.
        revision: branch, tag or commit of the repository.
        trust_remote_code: run the code that comes with the model. Only for repositories whose code you have read.
        **options: see `ProviderOptions`. `extra` takes more parameters of transformers' `generate`, such as `top_k`, and
            `chat_template_kwargs` for the model's chat template.

    Raises:
        ConfigError: no model is named, a parameter does not exist, or its value is out of range.
    """

    provider_name = "transformers"
    extra_name = "transformers"
    needed_packages = ("torch", "transformers", "llguidance")
    own_params: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": text_schema("The same as model_id."),
        "device": text_schema("auto, cpu, cuda, cuda:1, mps."),
        "dtype": {"enum": list(DTYPES), "description": "The numbers that the model computes with."},
        "batch_size": count_schema("Most requests in one batch."),
        "revision": text_schema("Branch, tag or commit of the repository."),
        "trust_remote_code": {"type": "boolean", "description": "Run the code that comes with the model."},
    }

    def __init__(
        self,
        model_id: str | None = None,
        *,
        model: str | Path | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        **options: Unpack[ProviderOptions],
    ) -> None:
        if model is not None and model_id is not None:
            raise ConfigError("model: model_id is given too. Give only one of them.", key="model")
        key = "model_id" if model_id is not None else "model"
        given = model_id if model_id is not None else str(model) if isinstance(model, Path) else model
        named = checked_text(key, given)
        if named is None:
            raise ConfigError(
                'model: TransformersProvider needs a model. Give one, such as model="gpt2" or a folder.', key="model"
            )
        self.model = named
        self.device = checked_text("device", device) or "auto"
        self.dtype = checked_text("dtype", dtype) or "auto"
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}.", key="dtype")
        self.batch_size = checked_count("batch_size", batch_size) or _BATCH_SIZE
        self.revision = checked_text("revision", revision)
        if not isinstance(trust_remote_code, bool):
            raise ConfigError(
                f"trust_remote_code: expected true or false, got {trust_remote_code!r}.", key="trust_remote_code"
            )
        self.trust_remote_code = trust_remote_code
        own = {"device": device, "dtype": dtype, "batch_size": batch_size, "revision": revision}
        # Only the folder's name, because rows must not contain paths of this machine.
        model_id = user_path(named).absolute().name if self.is_folder else named
        super().__init__(model_id, own=own | {"trust_remote_code": trust_remote_code or None}, **options)

    @property
    def is_folder(self) -> bool:
        """Whether `model` is a folder of this machine rather than a repository of the Hub: it exists, or looks like a path."""
        path = user_path(self.model)
        looks = (
            path.is_absolute() or self.model.startswith((".", "~")) or "\\" in self.model or self.model.count("/") > 1
        )
        return looks or is_folder(path)

    @property
    def identity(self) -> str:
        parts = orjson.loads(super().identity)
        if self.dtype != "auto":
            parts["dtype"] = self.dtype
        if self.revision is not None:
            parts["revision"] = self.revision
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def longest_reply(self) -> int:
        return self.max_completion_tokens or _MOST_TOKENS

    def require_ready(self) -> None:
        """Checks that transformers is installed, and the folder if the model is one.

        Raises:
            MissingExtraError: torch, transformers or llguidance is not installed.
            ConfigError: the folder does not exist, or has no model.
        """
        super().require_ready()
        if not self.is_folder:
            return
        folder = user_path(self.model)
        if not is_file(folder / "config.json"):
            what = "it has no config.json" if is_folder(folder) else "there is no such folder"
            raise ConfigError(
                f"model: {self.model} is not a saved model: {what}. Give a folder that save_pretrained wrote, or a "
                "repository of the Hugging Face Hub such as gpt2.",
                key="model",
            )

    def open(self, *, max_connections: int) -> TransformersBackend:
        return TransformersBackend(self)


_ANY_OBJECT = orjson.dumps({"type": "object"})
_TEMPLATE_ARGUMENTS = "chat_template_kwargs"


class TransformersBackend:
    """One model during one run."""

    def __init__(self, provider: TransformersProvider) -> None:
        self._provider = provider
        self._loading = asyncio.Lock()
        self._lease: Lease[LoadedModel] | None = None
        extra = {key: value for key, value in provider.extra.items() if key != _TEMPLATE_ARGUMENTS}
        self._arguments = _sampling(provider) | extra
        self._template: dict[str, Any] = dict(provider.extra.get(_TEMPLATE_ARGUMENTS) or {})
        if provider.reasoning_effort is not None:
            self._template.setdefault("reasoning_effort", provider.reasoning_effort)

    async def complete(self, request: Request) -> Response:
        """See `Backend.complete`."""
        from datafast.llms.local.transformers_batch import Job

        model = await self._ready()
        provider = self._provider
        began = time.perf_counter()
        messages, grammar = list(request.messages), None
        if request.schema is not None:
            # Even if a grammar ensures the form, the model has to be told what the fields mean.
            messages = ask(messages, request.schema, ReplyMode.PROMPT)
            if request.mode is ReplyMode.JSON_SCHEMA:
                grammar = orjson.dumps(request.schema.json_schema)
            elif request.mode is ReplyMode.JSON_OBJECT:
                grammar = _ANY_OBJECT
        job = Job(
            label=provider.label,
            messages=messages,
            template=self._template,
            arguments={k: v for k, v in self._arguments.items() if k not in request.dropped_params},
            penalty=0.0 if "frequency_penalty" in request.dropped_params else provider.frequency_penalty or 0.0,
            grammar=grammar,
            max_tokens=request.token_limit or provider.max_completion_tokens,
            batch_size=provider.batch_size,
            timeout_s=provider.timeout,
        )
        model.submit(job)
        reply = await asyncio.wrap_future(job.future)
        raw = encode_completion(
            reply.text, model=provider.model_id, usage=reply.usage, finish_reason=reply.finish_reason
        )
        return Response(raw=raw, latency_s=time.perf_counter() - began)

    async def prepare(self) -> None:
        """See `SlowStart.prepare`.

        Raises:
            ConfigError: the model cannot be downloaded or loaded.
        """
        await self._ready()

    async def aclose(self) -> None:
        """Ends the use of the model, which stays loaded for others."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    async def _ready(self) -> LoadedModel:
        async with self._loading:
            if self._lease is None:
                provider = self._provider
                key = ("transformers", provider.model, provider.revision, provider.device, provider.dtype)
                self._lease = await acquire((*key, provider.trust_remote_code), lambda: _load(provider))
            return self._lease.model


@foreign_warnings_ignored()
def _load(provider: TransformersProvider) -> LoadedModel:
    from datafast.llms.local.transformers_load import load_model

    return load_model(
        str(user_path(provider.model)) if provider.is_folder else provider.model,
        revision=provider.revision,
        device=provider.device,
        dtype=provider.dtype,
        trust_remote_code=provider.trust_remote_code,
    )


def _sampling(provider: TransformersProvider) -> dict[str, Any]:
    """The arguments of `generate` that were set. Without any, the model's own ones, with sampling as servers do it."""
    found: dict[str, Any] = {"do_sample": provider.temperature != 0}
    if provider.temperature:
        found["temperature"] = float(provider.temperature)
    if provider.top_p is not None and provider.temperature != 0:
        found["top_p"] = float(provider.top_p)
    return found
