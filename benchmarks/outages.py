"""`python -m benchmarks.outages`: runs through outages of a provider, and counts the rows that they lose. See docs/reference/errors.md.

Each cell is a run in a process of its own against a server of its own. After a quarter of the requests the server, or the way to it,
does not work for some seconds, in one of the shapes below; connections that are open then break. Real waits, real sockets, default
settings of the run but for the concurrency. Cost: as many seconds as the outages last, several cells at once, little CPU.
Limits: Linux, since packets are swallowed by a full backlog; names fail to be found within the process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.instruments import ROOT, raise_file_limit

__all__ = ["BACK_ENDS", "SHAPES", "VARIANTS", "Cell", "Outcome", "as_markdown", "measure", "update"]

BACK_ENDS = ("direct", "litellm")
_STATUS = "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n"


def _http(body: str, *, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    return (_STATUS.format(status, content_type, len(body.encode())) + body).encode()


_CUT = _http('{"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]}')
_CHOICE = {"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""}}
# What is answered to a request, b"" for nothing; a shape that is not here does not answer at all.
_ANSWERS = {
    "HTTP 500": _http("oops", status="500 Internal Server Error", content_type="text/plain"),
    "HTTP 503": _http('{"error": {"message": "busy"}}', status="503 Service Unavailable"),
    "HTTP 429": _http('{"error": {"message": "slow down"}}', status="429 Too Many Requests"),
    "reset": b"",
    "cut": _CUT[:-30],
    "a page": _http("<html>maintenance</html>", content_type="text/html"),
    "no choices": _http('{"choices": []}'),
    "error in a choice": _http(
        json.dumps({"choices": [{**_CHOICE, "error": {"message": "upstream broke", "code": 502}}]})
    ),
}
SHAPES = (*_ANSWERS, "refused", "swallowed", "hangs", "no name")
"""What an outage looks like. refused, swallowed: no connection comes about; hangs: one does, and no answer comes; no name: DNS fails."""

_LATENCY_S = 0.05
_UNSEEN = {"refused", "swallowed", "no name"}  # no request arrives, so the first one cannot begin it
_VARIED = ("HTTP 503", "refused")
_MARK = "<!-- outages -->"
_REQUEST_TIMEOUT_S = 10.0  # of the provider: an outage that hangs is noticed within it


@dataclass(frozen=True)
class Cell:
    """One run. `variant`: what is done beside it, see `VARIANTS`."""

    back_end: str
    shape: str
    seconds: float
    rows: int = 2000
    variant: str = ""
    concurrency: int = 16
    folder: str = ""
    port: int = 0


VARIANTS = {
    "budget": "with `budget_usd` a tenth above the cost",
    "kill": "the process is killed (SIGKILL) in the outage and started again",
    "columns": "a dataset of columns, two calls a row",
    "topics": "conversations about topics that are grown in the outage",
    "no retries": "with `max_retries: 0`",
    "first": "the outage begins with the first request",
}


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `further`: requests that the server saw beyond those that were answered; `longer_s`: the end of the run after
    that of the outage; `modes`: how structure was asked for after the outage."""

    cell: Cell
    written: int
    failed: int
    pending: int
    further: int
    longer_s: float
    modes: tuple[str, ...]

    @property
    def lost(self) -> int:
        return self.failed + self.pending


# -- the server


class _Server:
    """Answers like a model, but for one outage. Runs on the loop of whoever made it."""

    def __init__(self, cell: Cell, flag: Path) -> None:
        self.cell = cell
        self.seen = 0
        self.answered = 0
        self.in_outage = asyncio.Event()
        self.outage_is_over = asyncio.Event()
        self.ended_at = 0.0
        self.modes: set[str] = set()
        self._begins_after = {"first": 0, "topics": 2}.get(cell.variant, cell.rows // 4)
        self._flag = flag
        self._listening: asyncio.Server | None = None
        self._held: list[socket.socket] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> None:
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )
        self.port = self._listening.sockets[0].getsockname()[1]
        if not self._begins_after and self.cell.shape in _UNSEEN:
            self._begin()

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        self._break_connections()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self) -> None:
        self.in_outage.set()  # here, because several requests may come before the task runs
        task = asyncio.create_task(self._outage())
        self._tasks.add(task)

    async def _outage(self) -> None:
        shape = self.cell.shape
        if shape == "no name":
            self._flag.touch()
        if shape in {"refused", "swallowed"}:
            assert self._listening is not None
            self._listening.close()
            self._held = _full_backlog(self.port) if shape == "swallowed" else [_bound(self.port)]
        if shape not in {"hangs", "swallowed"}:
            self._break_connections()
        try:
            await asyncio.sleep(self.cell.seconds)
        finally:  # a run may end before the outage
            for each in self._held:
                each.close()
        self.ended_at = time.monotonic()
        self.outage_is_over.set()
        self._flag.unlink(missing_ok=True)
        if shape in {"hangs", "swallowed"}:
            self._break_connections()
        if shape in {"refused", "swallowed"}:
            await self.start_again()

    async def start_again(self) -> None:
        self._listening = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )

    def _break_connections(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    @property
    def _is_out(self) -> bool:
        return self.in_outage.is_set() and not self.outage_is_over.is_set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        self._writers.discard(writer)
        writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        found = re.search(rb"content-length: *(\d+)", head)
        asked = json.loads(await reader.readexactly(int(found[1]) if found else 0))
        self.seen += 1
        if self.seen > self._begins_after and not self.in_outage.is_set():
            self._begin()
            await asyncio.sleep(0)
        if self._is_out:
            answer = _ANSWERS.get(self.cell.shape)
            if answer is None:
                await self.outage_is_over.wait()
                return False
            writer.write(answer)
            await writer.drain()
            return bool(answer) and self.cell.shape != "cut"
        form = asked.get("response_format") or {}
        if self.outage_is_over.is_set():
            self.modes.add(form.get("type", "none"))
        await asyncio.sleep(_LATENCY_S)
        self.answered += 1
        writer.write(_reply(asked, form, self.answered))
        await writer.drain()
        return True


def _bound(port: int) -> socket.socket:
    """A socket that refuses connections, and keeps the port from others."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _full_backlog(port: int) -> list[socket.socket]:
    """A listening socket that takes no more connections, so that packets of further ones are dropped."""
    listening = _bound(port)
    listening.listen(0)
    waiting = [socket.socket() for _ in range(8)]
    for each in waiting:
        each.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            each.connect(("127.0.0.1", port))
    return [listening, *waiting]


def _reply(asked: dict[str, Any], form: dict[str, Any], number: int) -> bytes:
    from datafast.llms.simulated.text import Writer
    from datafast.llms.simulated.values import ValueMaker

    prompt = asked["messages"][-1]["content"]
    writer = Writer(random.Random(number), prompt)
    schema = (form.get("json_schema") or {}).get("schema")
    text = json.dumps(ValueMaker(schema, writer).make()) if schema else f"{writer.sentence()} ({number})"
    return _http(
        json.dumps(
            {
                "id": f"chatcmpl-{number}",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "m",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200},
            }
        )
    )


# -- the run, in a process of its own


def _child(cell: Cell) -> None:
    """Carries out the run of a cell and prints its report."""
    from datafast.errors import RunStopped

    raise_file_limit()
    _let_names_fail(Path(cell.folder) / "no-name")
    dataset, providers = _dataset(cell), _providers(cell)
    with contextlib.suppress(RunStopped):
        dataset.generate(providers)
    report = dataset.report
    assert report is not None
    print(json.dumps({"written": report.written, "failed": report.failed, "pending": report.pending}))


def _let_names_fail(flag: Path) -> None:
    found = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **named: Any) -> Any:
        if host == "localhost" and flag.exists():
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return found(host, *rest, **named)

    socket.getaddrinfo = lookup


def _providers(cell: Cell) -> Any:
    from datafast.llms import LiteLLMProvider, LLMProvider, OpenAICompatibleProvider

    options: dict[str, Any] = {
        "api_base": f"http://{'localhost' if cell.shape == 'no name' else '127.0.0.1'}:{cell.port}",
        "timeout": _REQUEST_TIMEOUT_S,
        "price": {"input_usd_per_million": 1.0, "output_usd_per_million": 1.0},
    }
    provider: LLMProvider = OpenAICompatibleProvider("m", **options)
    if cell.back_end == "litellm":
        provider = LiteLLMProvider("openai/m", **options)
    return {"default": provider} if cell.variant == "columns" else [provider]


def _dataset(cell: Cell) -> Any:
    from datafast.datasets import ColumnsDataset, ConversationDataset, RawDataset
    from datafast.schema.config import (
        ColumnsDatasetConfig,
        ConversationDatasetConfig,
        RawDatasetConfig,
        RunConfig,
    )

    run: dict[str, Any] = {"max_concurrency": cell.concurrency}
    if cell.variant == "no retries":
        run["max_retries"] = 0
    if cell.variant == "budget":
        run["budget_usd"] = 1.1 * cell.rows * 200 / 1e6
    common: dict[str, Any] = {"output_file": Path(cell.folder) / "out.jsonl", "run": RunConfig(**run)}
    if cell.variant == "columns":
        answer = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
        schema = {
            "question": {"type": "text", "prompt": "Ask about topic {topic}."},
            "answer": {"type": "structured", "prompt": "Answer: {question}", "json_schema": answer},
            "topic": {"type": "range", "start": 1, "end": 100_000, "step": 1},
        }
        return ColumnsDataset(ColumnsDatasetConfig(num_rows=cell.rows, columns=schema, **common))
    if cell.variant == "topics":
        topics = {"topic_prompt": "Weather", "depth": 2, "degree": 5}
        return ConversationDataset(ConversationDatasetConfig(topics=topics, num_rows=cell.rows, **common))
    names = [f"topic {number}" for number in range(cell.rows)]
    return RawDataset(RawDatasetConfig(topics=names, document_types=["note"], num_samples_per_prompt=1, **common))


# -- the cells


async def measure(cell: Cell) -> Outcome:
    """Carries out one cell."""
    with tempfile.TemporaryDirectory() as folder:
        server = _Server(cell, Path(folder) / "no-name")
        await server.start()
        try:
            cell = replace(cell, folder=folder, port=server.port)
            report = await _run(cell, server)
        finally:
            await server.stop()
        ended = time.monotonic()
    return Outcome(
        replace(cell, folder="", port=0),
        **report,
        further=server.seen - server.answered,
        longer_s=round(ended - server.ended_at, 1),
        modes=tuple(sorted(server.modes)),
    )


async def _run(cell: Cell, server: _Server) -> dict[str, int]:
    process = await _started(cell)
    if cell.variant == "kill":
        await server.in_outage.wait()
        await asyncio.sleep(min(3.0, cell.seconds / 2))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await _started(cell)
    told, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{cell}: {said.decode()[-3000:]}")
    report: dict[str, int] = json.loads(told.decode().splitlines()[-1])
    return report


async def _started(cell: Cell) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "benchmarks.outages", "--child", json.dumps(asdict(cell))]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=pipe, stderr=pipe)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """A table with a line for each shape and variant, and a column for each back end and duration: rows lost, and further requests."""
    places = sorted({(outcome.cell.back_end, outcome.cell.seconds) for outcome in outcomes})
    by_line: dict[str, dict[tuple[str, float], Outcome]] = {}
    for outcome in sorted(outcomes, key=_rank):
        name = ", ".join(filter(None, [outcome.cell.shape, outcome.cell.variant]))
        by_line.setdefault(name, {})[outcome.cell.back_end, outcome.cell.seconds] = outcome
    head = ["outage", *(f"{back_end}, {seconds:g} s" for back_end, seconds in places)]
    rows = [[name, *(_cell(found.get(place)) for place in places)] for name, found in by_line.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _rank(outcome: Outcome) -> tuple[int, int]:
    return ["", *VARIANTS].index(outcome.cell.variant), SHAPES.index(outcome.cell.shape)


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    forgotten = "" if "json_schema" in outcome.modes else ", no schema any more"
    return f"{outcome.lost} / {outcome.further}{forgotten}"


def update(page: Path, outcomes: Sequence[Outcome]) -> None:
    """Puts the table into a page, between its marks."""
    before, *old, after = page.read_text(encoding="utf-8").split(_MARK)
    if len(old) != 1:
        raise SystemExit(f"{page}: there must be two lines {_MARK}; the table is put between them")
    page.write_text(f"{before}{_MARK}\n\n{as_markdown(outcomes)}\n\n{_MARK}{after}", encoding="utf-8")


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    for back_end in options.back_ends:
        for seconds in options.seconds:
            for shape in options.shapes:
                yield Cell(back_end, shape, seconds, options.rows)
        for variant in options.variants:
            for shape in _VARIED:
                rows = options.rows if variant != "topics" else 25
                yield Cell(back_end, shape, min(30.0, max(options.seconds)), rows, variant)


async def _all(options: argparse.Namespace) -> list[Outcome]:
    free = asyncio.Semaphore(options.at_once)

    async def one(cell: Cell) -> Outcome:
        async with free:
            outcome = await measure(cell)
        print(json.dumps(asdict(outcome)), file=sys.stderr, flush=True)
        return outcome

    # The longest ones first, so that none is left alone at the end.
    cells = sorted(_cells(options), key=lambda cell: -cell.seconds)
    return await asyncio.gather(*(one(cell) for cell in cells))


def main() -> int:
    """Returns 1 if a row was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outages", description="Rows lost to outages.")
    parser.add_argument("--shapes", nargs="*", default=SHAPES, choices=SHAPES)
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--back-ends", nargs="*", default=BACK_ENDS, choices=BACK_ENDS)
    parser.add_argument("--seconds", nargs="*", type=float, default=[5.0, 30.0, 120.0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=max(2, (os.cpu_count() or 2) * 2), help="runs at once")
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(Cell(**json.loads(options.child)))
        return 0
    raise_file_limit()
    outcomes = asyncio.run(_all(options))
    print(as_markdown(outcomes))
    if options.update:
        update(options.update, outcomes)
    return int(any(outcome.lost for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
