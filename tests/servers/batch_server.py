"""A server on loopback that has batch services, as the vendors' documentation says it, and keeps the books.

It answers single requests too (as `FaultServer` without a script), so that a run can begin in batches and end without. What it has
answered, and so what would be on the bill, stands in its books: `bought` by prompt, `bought_ids` by custom id. Faults are switched on
in `faults`.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.servers import loops
from tests.servers.fault_server import Answer, Recorded, reply_to

__all__ = ["KEY", "BatchFaults", "BatchServer", "Job", "Outcome"]

KEY = "sk-batches-0123456789-abcdefghij"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What becomes of one request. By default it is answered. `expires`: never answered."""

    status: int = 200
    text: str | None = None
    body: Any = None
    expires: bool = False


@dataclass(kw_only=True)
class BatchFaults:
    """What goes wrong. Counters count down.

    Attributes:
        polls: how often a job is looked at before it has ended.
        partly: the part of a job's requests that is answered before it is cancelled or expires.
        expire: jobs that come to an end because their time was over, with `partly` of their requests answered.
        fail: errors (code, message) of jobs that are refused as a whole.
        refuse_submit, refuse_upload: answers to requests for a job, or an upload, in place of what would be done.
        lose_submit: jobs that are made, and of which the client never hears: the connection breaks.
        lose_upload: uploads whose connection breaks in the middle. upload_s: how long the others take.
        listed_after_s: so long after its submission a job appears in lists.
        duplicates: further copies of each result; `shuffled`: results in another order; `junk`: lines that are not JSON before them.
        cut_downloads: bytes after which downloads break, one for each.
        unnamed: what was not answered does not stand in the results; else it is named there as expired or cancelled.
        lose_results: downloads of what is no longer kept. stalls: downloads of which nothing comes.
        no_metadata: the service keeps none. no_service: there is no batch service.
    """

    polls: int = 1
    partly: float = 0.5
    expire: int = 0
    fail: deque[tuple[str, str]] = field(default_factory=deque)
    refuse_submit: deque[Answer] = field(default_factory=deque)
    refuse_upload: deque[Answer] = field(default_factory=deque)
    lose_submit: int = 0
    lose_upload: int = 0
    upload_s: float = 0.0
    listed_after_s: float = 0.0
    duplicates: int = 0
    shuffled: bool = False
    junk: list[bytes] = field(default_factory=list)
    cut_downloads: deque[int] = field(default_factory=deque)
    unnamed: bool = False
    stalls: int = 0
    lose_results: int = 0
    no_metadata: bool = False
    no_service: bool = False


@dataclass(kw_only=True)
class Job:
    """One batch job. `requests`: custom ids and bodies; `outcomes`: id, status and body of those that were answered."""

    id: str
    shape: str
    requests: list[tuple[str, dict[str, Any]]]
    fields: dict[str, Any]
    created_at: float
    polls: int = 0
    state: str = "running"  # or cancelling, ended, expired, cancelled, failed
    error: tuple[str, str] | None = None
    outcomes: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


class BatchServer:
    """Use as a context manager. Runs on an event loop in a thread of its own.

    Attributes:
        outcome: what becomes of a request, by its prompt.
        faults: what goes wrong.
        key: the key that is accepted; '' for any.
        jobs, files: what the services keep, by id. A file is its name and its bytes.
        bought: how often each prompt was answered, in batches or not; `bought_ids`: by custom id, in batches.
        singles: bodies of requests that were in no batch. requests: all that was asked, as (method, path);
        headers: with what headers. upload_url: where uploads to Google's service are sent, if not here.
        looks: how often a file was looked at.
    """

    def __init__(self, *, ssl_context: Any = None) -> None:
        self.outcome: Callable[[str], Outcome] = lambda prompt: Outcome()
        self.faults = BatchFaults()
        self.key = KEY
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.looks: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self.bought_ids: Counter[str] = Counter()
        self.singles: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.upload_url = ""
        self.clock: Callable[[], float] = time.time
        self._ssl_context = ssl_context
        self._number = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.port = 0

    @property
    def online(self) -> int:
        """How many requests were in no batch."""
        return len(self.singles)

    @property
    def url(self) -> str:
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> BatchServer:
        self._thread.start()
        assert self._started.wait(10)
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
        from tests.servers.batch_shapes import AzureShape, MistralShape, OpenAIShape
        from tests.servers.batch_vendors import AnthropicShape, GeminiShape

        app = web.Application(client_max_size=2**30, middlewares=[self._guard])
        for shape in (OpenAIShape, AzureShape, MistralShape, AnthropicShape, GeminiShape):
            shape(self).add_to(app.router)
        for path in ("/{path:.*}/chat/completions", "/v1/messages", "/v1beta/models/{call}"):
            app.router.add_post(path, self._single)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._ssl_context, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    def of_shape(self, shape: str) -> list[Job]:
        """The jobs of one service, newest first."""
        latest = self.clock() - self.faults.listed_after_s
        return [job for job in reversed(self.jobs.values()) if job.shape == shape and job.created_at <= latest]

    async def received(self, request: web.Request) -> bytes:
        """An upload; half of it, where it breaks off."""
        if not self.faults.lose_upload:
            return await request.read()
        self.faults.lose_upload -= 1
        half = (request.content_length or 0) // 2
        data = await request.content.readexactly(half)
        hang_up(request)
        return data

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        headers = request.headers
        self.requests.append((request.method, request.path))
        self.headers.append(dict(headers))
        bearer = headers.get("Authorization", "").removeprefix("Bearer ")
        given = {bearer, headers.get("x-api-key"), headers.get("api-key"), headers.get("x-goog-api-key")}
        if self.key and self.key not in given:
            said = f"Incorrect API key provided: {max(map(str, given))}."
            return web.json_response({"error": {"message": said, "code": "invalid_api_key"}}, status=401)
        return await handler(request)  # type: ignore[no-any-return]

    async def _single(self, request: web.Request) -> web.StreamResponse:
        """A request that is in no batch."""
        asked = await request.json()
        self.singles.append(asked)
        status, body = self.answer_to(self.outcome(prompt_of(request.path, asked)), request.path, asked)
        return web.json_response(body, status=status)

    # -- what the shapes share

    def next_id(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number:06d}"

    def keep(self, name: str, data: bytes, *, prefix: str = "file-") -> str:
        file_id = self.next_id(prefix)
        self.files[file_id] = (name, data)
        return file_id

    def make(self, shape: str, prefix: str, requests: list[tuple[str, dict[str, Any]]], fields: dict[str, Any]) -> Job:
        job = Job(id=self.next_id(prefix), shape=shape, requests=requests, fields=fields, created_at=self.clock())
        self.jobs[job.id] = job
        if self.faults.fail:
            job.state, job.error = "failed", self.faults.fail.popleft()
        return job

    def poll(
        self,
        job: Job,
        target: str,
        *,
        judge: Callable[[dict[str, Any]], Any] = lambda _: None,
        keeps_parts: bool = True,
    ) -> bool:
        """A job is looked at, and may have come to its end.

        Args:
            target: the path that each request would have gone to by itself.
            judge: gives the error body for a request that breaks a rule of its API.
            keeps_parts: whether a job that was cancelled or has expired keeps the answers that it had.

        Returns:
            Whether it has come to its end now.
        """
        job.polls += 1
        if job.state not in {"running", "cancelling"} or job.polls < self.faults.polls:
            return False
        part = 1.0
        if job.state == "cancelling":
            part, job.state = self.faults.partly, "cancelled"
        elif self.faults.expire:
            self.faults.expire -= 1
            part, job.state = self.faults.partly, "expired"
        else:
            job.state = "ended"
        answered = int(len(job.requests) * part) if keeps_parts or part == 1.0 else 0
        for custom_id, body in job.requests[:answered]:
            wrong = judge(body)
            outcome = self.outcome(prompt_of(target, body)) if wrong is None else Outcome(status=400, body=wrong)
            if outcome.expires:
                job.unanswered.append(custom_id)
                continue
            status, answer = self.answer_to(outcome, target, body)
            self.bought_ids[custom_id] += status == 200
            job.outcomes.append((custom_id, status, answer))
        job.unanswered += [custom_id for custom_id, _ in job.requests[answered:]]
        if self.faults.unnamed:
            job.unanswered.clear()
        return True

    def answer_to(self, outcome: Outcome, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to a request, which goes into the books if it is a reply."""
        prompt = prompt_of(target, body)
        if outcome.status != 200:
            return outcome.status, outcome.body or {"error": {"message": "the server's own words", "code": None}}
        self.bought[prompt] += 1
        recorded = Recorded(0.0, target, {}, json.dumps(body).encode())
        return 200, outcome.body or reply_to(recorded, Answer(text=outcome.text), number=sum(self.bought.values()))

    def results(self, lines: list[dict[str, Any]]) -> bytes:
        """A result file of these lines, as faulty as it is to be."""
        faults = self.faults
        lines = [line for line in lines for _ in range(1 + faults.duplicates)]
        if faults.shuffled:
            random.Random(7).shuffle(lines)
        written = [*faults.junk, *(json.dumps(line).encode() for line in lines)]
        return b"".join(line + b"\n" for line in written)

    async def download(self, request: web.Request, data: bytes) -> web.StreamResponse:
        """A file, whole or broken off, or gone."""
        if self.faults.lose_results:
            self.faults.lose_results -= 1
            return web.json_response({"error": {"message": "No such file.", "code": None}}, status=404)
        cut = self.faults.cut_downloads.popleft() if self.faults.cut_downloads else None
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = len(data)
        await response.prepare(request)
        if self.faults.stalls:
            self.faults.stalls -= 1
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.02)
        for start in range(0, len(data if cut is None else data[:cut]), 2**16):
            await response.write(data[start : min(start + 2**16, len(data) if cut is None else cut)])
        if cut is not None:
            hang_up(request)
        return response

    def refused(self, refusals: deque[Answer]) -> web.Response | None:
        """The answer to a request that is refused, if it is."""
        if self.faults.no_service:
            return web.json_response({"detail": "Not Found"}, status=404)
        if not refusals:
            return None
        answer = refusals.popleft()
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)

    async def made(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """The answer to a request that made a job, if it arrives."""
        if self.faults.lose_submit:
            self.faults.lose_submit -= 1
            hang_up(request)
        return web.json_response(body)


def hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def prompt_of(target: str, body: dict[str, Any]) -> str:
    """The last user message of a request."""
    return Recorded(0.0, target, {}, json.dumps(body).encode()).prompt


def lines_of(data: bytes) -> Iterator[dict[str, Any]]:
    """The lines of an uploaded file."""
    for line in data.splitlines():
        yield json.loads(line)
