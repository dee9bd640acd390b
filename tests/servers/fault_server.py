"""A server on loopback that answers chat requests as it is told to, and records what it was sent.

It speaks OpenAI chat completions, Anthropic messages and Gemini's generateContent. Without a script every request gets
a valid reply, in the form of the schema that it asks for and as a stream of events where it asks for that; one of ours that breaks
a rule of its API gets a 400. `answer_next` queues other answers: any status, headers and body, late, dropped, cut or stalled in the
middle.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers import loops
from tests.servers.schema_sample import sample
from tests.servers.streams import as_bytes, events_of
from tests.servers.vendors import anthropic_message, azure_completion, chat_completion, gemini_content, refusal

__all__ = ["Answer", "FaultServer", "Recorded", "reply_to", "schema_of"]

_HELD_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one request gets. `body=None` means a valid reply; `text` is its text; `cut_after` bytes the connection
    breaks, or, if the answer `stalls`, nothing more comes. `events`: what is streamed in the place of the reply's own events.
    `until`: it is held back until this is so (for a minute at most, so that a test fails and does not hang), and then `delay_s`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | str | dict[str, Any] | list[Any] | None = None
    text: str | None = None
    finish_reason: str = "stop"
    until: Callable[[], bool] = lambda: True
    delay_s: float = 0.0
    drop: bool = False
    cut_after: int | None = None
    stalls: bool = False
    events: bytes | None = None
    ignore_schema: bool = False


@dataclass(frozen=True)
class Recorded:
    """One request as it came. `at_s` is monotonic."""

    at_s: float
    target: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.raw)

    @property
    def streams(self) -> bool:
        """Whether a stream of events is asked for."""
        named = ":streamGenerateContent?alt=sse" in self.target
        return bool(self.raw) and (named or self.json.get("stream") is True)

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        messages = self.json.get("messages") or self.json["contents"]
        last = [message for message in messages if message["role"] == "user"][-1]
        content = last["content"] if "content" in last else last["parts"]
        return content if isinstance(content, str) else "".join(part["text"] for part in content)


class FaultServer:
    """Use as a context manager. Runs on an event loop in a thread of its own."""

    def __init__(self, *, ssl_context: Any = None) -> None:
        self.requests: list[Recorded] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.respond: Callable[[Recorded], Answer] = lambda request: Answer()
        self._script: deque[Answer] = deque()
        self._ssl_context = ssl_context
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    def answer_next(self, *answers: Answer) -> None:
        """Queues answers; each is given once, in order, before `respond` is asked again."""
        self._script.extend(answers)

    def refuse_together(self, number: int) -> None:
        """The first requests, so many, are refused with 429 once all of them are there."""
        all_are_there = threading.Event()

        def respond(request: Recorded) -> Answer:
            if len(self.requests) == number:
                all_are_there.set()
            return Answer(status=429, until=all_are_there.is_set) if len(self.requests) <= number else Answer()

        self.respond = respond

    def __enter__(self) -> FaultServer:
        self._thread.start()
        assert self._started.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        loops.end(self._loop)

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl_context, backlog=4096)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            raw = await request.read()
            recorded = Recorded(
                time.monotonic(), request.raw_path, {k.lower(): v for k, v in request.headers.items()}, raw
            )
            self.requests.append(recorded)
            number = len(self.requests)
            answer = self._script.popleft() if self._script else self.respond(recorded)
            answer = _as_documented(recorded, answer)
            held_until_s = time.monotonic() + _HELD_S
            while not answer.until() and time.monotonic() < held_until_s:
                await asyncio.sleep(0.005)
            await asyncio.sleep(answer.delay_s)
            return await self._answer(request, recorded, answer, number)
        finally:
            self.in_flight -= 1

    async def _answer(
        self, request: web.Request, recorded: Recorded, answer: Answer, number: int
    ) -> web.StreamResponse:
        body = self._body(recorded, answer, number)
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.drop:
            self._hang_up(request)
            return web.Response()
        if answer.events is not None or (answer.body is None and answer.status == 200 and recorded.streams):
            headers["Content-Type"] = "text/event-stream; charset=utf-8"
            body = as_bytes(events_of(json.loads(body), recorded.json)) if answer.events is None else answer.events
        elif answer.cut_after is None:
            return web.Response(status=answer.status, body=body, headers=headers)
        else:
            headers["Content-Length"] = str(len(body))
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        sent = body[: answer.cut_after]
        for start in range(0, len(sent), 500):
            await response.write(sent[start : start + 500])
        if answer.cut_after is None:
            await response.write_eof()
        elif answer.stalls:
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.02)
        else:
            self._hang_up(request)
        return response

    @staticmethod
    def _hang_up(request: web.Request) -> None:
        if request.transport is not None:
            request.transport.abort()

    def _body(self, recorded: Recorded, answer: Answer, number: int) -> bytes:
        body = answer.body
        if body is None:
            body = reply_to(recorded, answer, number=number)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        return body.encode() if isinstance(body, str) else body


def _as_documented(recorded: Recorded, answer: Answer) -> Answer:
    """The answer, or the 400 for a request of ours (litellm's are not judged) that its API does not allow."""
    if answer.status != 200 or answer.body is not None or recorded.headers.get("user-agent") != "datafast":
        return answer
    body = refusal(recorded.target, recorded.headers, recorded.json if recorded.raw else {})
    return answer if body is None else Answer(status=400, body=body)


def reply_to(recorded: Recorded, answer: Answer, *, number: int) -> dict[str, Any]:
    """A valid reply in the protocol that the request's path names."""
    asked = recorded.json if recorded.raw else {}
    schema = None if answer.ignore_schema else schema_of(asked)
    value = None if schema is None or answer.text is not None else sample(schema, f"reply {number}")
    text = answer.text if answer.text is not None else f"Reply {number}." if value is None else json.dumps(value)
    if ":generateContent" in recorded.target or ":streamGenerateContent" in recorded.target:
        return gemini_content(text, finish_reason={"length": "MAX_TOKENS"}.get(answer.finish_reason, "STOP"))
    if recorded.target.endswith("/messages"):
        return _anthropic_message(asked, text, value, answer.finish_reason)
    completion = chat_completion(text, model=asked.get("model", ""), finish_reason=answer.finish_reason)
    return azure_completion(completion) if recorded.target.startswith("/openai/") else completion


def schema_of(asked: dict[str, Any]) -> dict[str, Any] | None:
    """The schema that the reply must have, wherever a protocol puts it."""
    if "response_format" in asked:
        return (asked["response_format"].get("json_schema") or {}).get("schema")
    if "generationConfig" in asked:
        return asked["generationConfig"].get("responseJsonSchema") or asked["generationConfig"].get(
            "response_json_schema"
        )
    form = asked.get("output_format") or (asked.get("output_config") or {}).get("format")
    return form["schema"] if form else asked["tools"][0]["input_schema"] if asked.get("tools") else None


def _anthropic_message(asked: dict[str, Any], text: str, value: Any, finish_reason: str) -> dict[str, Any]:
    model = asked.get("model", "")
    if asked.get("tools") and value is not None:
        call = {"type": "tool_use", "id": "toolu_01", "name": asked["tools"][0]["name"], "input": value}
        return anthropic_message("", model=model, content=[call], stop_reason="tool_use")
    return anthropic_message(text, model=model, stop_reason={"length": "max_tokens"}.get(finish_reason, "end_turn"))
