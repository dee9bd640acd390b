"""The back end of `TransformersProvider`: hands requests to the loaded model and waits for its replies.

Guarantee: the event loop never waits for the model, which is loaded and run by threads of their own; loaded once for
all runs of the process that want the same model on the same device. A request that nobody waits for any more is
dropped, also from a batch under way. Limits: `timeout` counts from the beginning of a request's batch, not while it
waits for its turn.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast.llms.base import Request, Response, StructuredStep
from datafast.llms.local.model_cache import Lease, acquire
from datafast.llms.replies.completion import encode_completion
from datafast.llms.schema import ask

if TYPE_CHECKING:
    from datafast.llms.local.transformers import TransformersProvider
    from datafast.llms.local.transformers_model import LoadedModel

__all__ = ["TransformersBackend"]

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
        from datafast.llms.transformers_job import Job

        model = await self._ready()
        provider = self._provider
        began = time.perf_counter()
        messages, grammar = list(request.messages), None
        if request.schema is not None:
            # Also where a grammar keeps the form: what the fields mean, the model has to be told.
            messages = ask(messages, request.schema, StructuredStep.PROMPT)
            if request.step is StructuredStep.JSON_SCHEMA:
                grammar = orjson.dumps(request.schema.json_schema)
            elif request.step is StructuredStep.JSON_OBJECT:
                grammar = _ANY_OBJECT
        limit = provider.max_completion_tokens
        job = Job(
            label=provider.label,
            messages=messages,
            template=self._template,
            arguments={k: v for k, v in self._arguments.items() if k not in request.dropped_params},
            penalty=0.0 if "frequency_penalty" in request.dropped_params else provider.frequency_penalty or 0.0,
            grammar=grammar,
            max_tokens=2 * limit if limit and request.lift_token_limit else limit,
            whole_context=request.lift_token_limit and limit is None,
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
            ConfigError: the model cannot be fetched or loaded.
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


def _load(provider: TransformersProvider) -> LoadedModel:
    from datafast.llms.local.transformers_load import load_model

    return load_model(
        str(Path(provider.model).expanduser()) if provider.is_folder else provider.model,
        revision=provider.revision,
        device=provider.device,
        dtype=provider.dtype,
        trust_remote_code=provider.trust_remote_code,
    )


def _sampling(provider: TransformersProvider) -> dict[str, Any]:
    """The arguments of `generate` that were set. Nothing set: the model's own, and draws as servers do."""
    found: dict[str, Any] = {"do_sample": provider.temperature != 0}
    if provider.temperature:
        found["temperature"] = float(provider.temperature)
    if provider.top_p is not None and provider.temperature != 0:
        found["top_p"] = float(provider.top_p)
    return found
