"""What ours is compared with: the least that a program must do which sends the same requests and keeps the replies.

`fan_out`: a bare aiohttp loop, orjson for the body, pydantic for the reply, one appended JSON line a row. No retry, no
ledger, no limits but the number of workers. `litellm`: a bare loop over `litellm.acompletion`, and nothing after it.
Nothing of datafast is imported here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel

from benchmarks.instruments import resident_mb, stopwatch
from benchmarks.workload import LANGUAGE, MODEL, prompt, values

__all__ = ["fan_out", "litellm"]


class Texts(BaseModel):
    texts: list[str]


class Row(BaseModel):
    text: str
    model_id: str
    language: str


async def _workers(topics: Iterable[str], in_flight: int, work: Callable[[str], Awaitable[None]]) -> None:
    """Calls `work` for every topic, `in_flight` at once."""
    left = iter(topics)

    async def worker() -> None:
        for topic in left:
            await work(topic)

    await asyncio.gather(*(worker() for _ in range(in_flight)))


def fan_out(*, url: str, items: int, in_flight: int, folder: str, schema: str, warm_up: int = 0) -> dict[str, float]:
    """Gets one row for each of `items` prompts over a bare aiohttp session.

    Args:
        schema: the `response_format` as JSON, as ours sends it.
        warm_up: rows made before measuring begins.
    """
    response_format = orjson.Fragment(schema)
    rows = os.open(Path(folder) / "floor.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    async def make(count: int) -> None:
        import aiohttp

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=in_flight)) as session:

            async def ask(topic: str) -> None:
                messages = [{"role": "user", "content": prompt(topic, "note")}]
                body = orjson.dumps({"model": MODEL, "messages": messages, "response_format": response_format})
                headers = {"Content-Type": "application/json"}
                async with session.post(f"{url}/v1/chat/completions", data=body, headers=headers) as answer:
                    completion = orjson.loads(await answer.read())
                texts = Texts.model_validate_json(completion["choices"][0]["message"]["content"])
                row = Row(text=texts.texts[0], model_id=MODEL, language=LANGUAGE)
                os.write(rows, row.model_dump_json().encode() + b"\n")

            await _workers(values("topic", count), in_flight, ask)

    if warm_up:
        asyncio.run(make(warm_up))
    read = stopwatch()
    asyncio.run(make(items))
    spent = read()
    os.close(rows)
    return {**spent._asdict(), "resident_mb": resident_mb()}


def litellm(*, url: str, items: int, in_flight: int, schema: str, warm_up: int) -> dict[str, float]:
    """Calls `litellm.acompletion` once for each of `items` prompts, with the parameters that ours gives it."""
    os.environ |= {
        "AIOHTTP_CONNECTOR_LIMIT": "4000",
        "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4000",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "true",
        "LITELLM_OFFLINE_MODE": "true",
    }
    import litellm as library

    library.suppress_debug_info = True
    fixed: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": f"{url}/v1", "api_key": "none", "timeout": 600.0}
    fixed |= {"max_retries": 0, "num_retries": 0, "stream": False}

    async def ask(topic: str) -> None:
        messages = [{"role": "user", "content": prompt(topic, "note")}]
        await library.acompletion(messages=messages, response_format=orjson.loads(schema), **fixed)

    async def measure() -> dict[str, float]:
        await _workers(values("warm-up", warm_up), in_flight, ask)
        read = stopwatch()
        await _workers(values("topic", items), in_flight, ask)
        return read()._asdict()

    return asyncio.run(measure())
