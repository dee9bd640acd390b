"""The batch services of the tests' server, and a client of one that tests may call without being coroutines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from datafast.llms import (
    AnthropicProvider,
    AzureOpenAIProvider,
    GeminiProvider,
    LLMProvider,
    MistralProvider,
    OpenAICompatibleProvider,
    OpenAIProvider,
)
from datafast.llms.base import Request, Response
from datafast.llms.batches.base import BatchBackend, BatchReply, BatchState, BatchStatus
from datafast.llms.replies.formats import decode_reply
from datafast.types import Message
from tests.servers.batch_server import KEY, BatchServer

__all__ = ["SERVICES", "TAG", "Client", "asking", "texts"]

TAG = "T" * 24


def openai(base: str, **options: Any) -> LLMProvider:
    return OpenAIProvider("tiny", **{"api_base": f"{base}/v1", "api_key": KEY} | options)


def compatible(base: str, **options: Any) -> LLMProvider:
    return OpenAICompatibleProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def azure(base: str, **options: Any) -> LLMProvider:
    return AzureOpenAIProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def azure_dated(base: str, **options: Any) -> LLMProvider:
    return azure(base, **{"api_version": "2024-10-21", "batch_deployment": "tiny-batch"} | options)


def mistral(base: str, **options: Any) -> LLMProvider:
    return MistralProvider("tiny", **{"api_base": f"{base}/mistral", "api_key": KEY} | options)


def anthropic(base: str, **options: Any) -> LLMProvider:
    return AnthropicProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


def gemini(base: str, **options: Any) -> LLMProvider:
    return GeminiProvider("tiny", **{"api_base": base, "api_key": KEY} | options)


SERVICES: dict[str, Callable[..., LLMProvider]] = {
    "openai": openai,
    "compatible": compatible,
    "azure": azure,
    "azure_dated": azure_dated,
    "mistral": mistral,
    "anthropic": anthropic,
    "gemini": gemini,
}


def asking(prompt: str) -> Request:
    return Request(messages=[Message(role="user", content=prompt)])


class Client:
    """One service, called from tests that are not coroutines."""

    def __init__(
        self, name: str, server: BatchServer, folder: Path, *, base: str | None = None, **options: Any
    ) -> None:
        self.name = name
        self.provider = SERVICES[name](base or server.url, **options)
        self.folder = folder
        self.scratch = folder / "scratch"

    def run(self, what: Callable[[BatchBackend], Coroutine[Any, Any, Any]]) -> Any:
        async def run() -> Any:
            backend = self.provider.open_batches()
            assert backend is not None
            try:
                return await what(backend)
            finally:
                await backend.aclose()

        return asyncio.run(run())

    def complete(self, request: Request) -> Response:
        """Sends a request by itself."""

        async def complete() -> Response:
            backend = self.provider.open(max_connections=1)
            try:
                return await backend.complete(request)
            finally:
                await backend.aclose()

        return asyncio.run(complete())

    def line(self, request: Request) -> dict[str, Any]:
        """A request as it stands in a batch."""

        async def line(backend: BatchBackend) -> bytes:
            return backend.line(f"{TAG}-0", request)

        return json.loads(self.run(line))

    def submit(self, *prompts: str, tag: str = TAG) -> BatchStatus:
        path = self.folder / f"{tag}.jsonl"

        async def submit(backend: BatchBackend) -> BatchStatus:
            lines = [backend.line(f"{tag}-{number}", asking(prompt)) for number, prompt in enumerate(prompts)]
            path.write_bytes(b"".join(line + b"\n" for line in lines))
            return await backend.submit(path, tag=tag, num_requests=len(lines))

        return self.run(submit)

    def status(self, batch_id: str) -> BatchStatus:
        return self.run(lambda backend: backend.status(batch_id))

    def cancel(self, batch_id: str) -> BatchStatus:
        return self.run(lambda backend: backend.cancel(batch_id))

    def find(self, *, tag: str = TAG, since: float | None = None, num_requests: int = 2) -> list[BatchStatus]:
        at = time.time() if since is None else since
        return self.run(lambda backend: backend.find(tag=tag, since=at, num_requests=num_requests))

    def ended(self, batch_id: str) -> BatchStatus:
        for _ in range(20):
            status = self.status(batch_id)
            if status.state in {BatchState.ENDED, BatchState.REFUSED}:
                return status
        raise AssertionError("it never ends")

    def replies(self, status: BatchStatus) -> list[BatchReply]:
        async def collect(backend: BatchBackend) -> list[BatchReply]:
            return [reply async for reply in backend.replies(status, scratch=self.scratch)]

        return self.run(collect)


def texts(replies: list[BatchReply]) -> dict[str, str]:
    found = {}
    for reply in replies:
        assert reply.response is not None
        completion = decode_reply(reply.response.raw, reply.response.format)
        assert completion.usage is not None
        found[reply.custom_id] = completion.text
    return found
