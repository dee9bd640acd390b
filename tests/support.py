"""What the tests of resuming, killing and damaging share: small configs, providers that count, rows, and one invariant.

Requests are counted by appending one line per request to a file with one `os.write`: the count survives `kill -9`.
Run as a program (`python -m tests.support`), this is a server that forks one child per command, so that a test may kill thirty runs
without importing the package thirty times.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from datafast.datasets import ColumnsDataset, PreferenceDataset, RawDataset
from datafast.engine.calls.admission import Backoff
from datafast.errors import RunStopped
from datafast.llms import LiteLLMProvider
from datafast.llms.base import Request, Response
from datafast.llms.replies.completion import encode_completion
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import ColumnsDatasetConfig, PreferenceDatasetConfig, RawDatasetConfig, RunConfig
from datafast.types import RunReport, Usage
from tests.servers.fault_server import FaultServer

ROOT = Path(__file__).resolve().parent.parent
JUDGED = ("question", "chosen", "rejected", "judge")

__all__ = [
    "ROOT",
    "CountingProvider",
    "ForkServer",
    "ThinkingProvider",
    "assert_balanced",
    "columns",
    "fork_server",
    "one_of_two",
    "preference",
    "raw",
    "requests_in",
    "roles",
    "rows_of",
    "same_rows",
    "short_waits",
    "snapshot",
    "thought_about",
    "warm_litellm",
]


@functools.cache
def warm_litellm() -> None:
    """Makes a first call through litellm, within which it loads a lot: no limit on time in a test is about that."""
    with FaultServer() as server:
        LiteLLMProvider("openai/m", api_base=server.url, api_key="none").generate("Hello")


def short_waits(monkeypatch: Any, first_s: float = 0.004) -> None:
    """Lets every wait before a repeat begin with so many seconds, whatever the config says.

    Without the jitter: a wait of next to nothing would let a repeat go before anyone else's request, and whether
    others succeeded between two faults would be a matter of chance.
    """
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    monkeypatch.setattr(Backoff, "wait_s", _wait_of(Backoff(first_s)))
    own = Backoff.probe_wait_s
    monkeypatch.setattr(Backoff, "probe_wait_s", lambda self, attempt: own(Backoff(first_s), attempt))


def _wait_of(backoff: Backoff) -> Callable[..., float]:
    own = Backoff.wait_s
    return lambda self, attempt, *, retry_after_s=None: own(backoff, attempt, retry_after_s=retry_after_s)


# -- configs


def raw(folder: Path, *, topics: int | list[str] = 6, run: dict[str, Any] | None = None, **fields: Any) -> RawDataset:
    """A raw dataset of `topics` items with one row each."""
    names = [f"topic {number}" for number in range(topics)] if isinstance(topics, int) else topics
    given = {"document_types": ["note"], "num_samples_per_prompt": 1, "output_file": folder / "out.jsonl", **fields}
    return RawDataset(RawDatasetConfig(topics=names, run=RunConfig(**{"max_concurrency": 8, **(run or {})}), **given))


def preference(folder: Path, *, documents: int = 4, run: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A judged preference dataset with two rows per document."""
    given = {"num_samples_per_prompt": 2, "llm_as_judge": True, "output_file": folder / "out.jsonl", **fields}
    texts = [f"document {number} speaks of harbour cranes" for number in range(documents)]
    settings = RunConfig(**{"max_concurrency": 8, **(run or {})})
    return PreferenceDataset(PreferenceDatasetConfig(input_documents=texts, run=settings, **given))


def columns(
    folder: Path, schema: dict[str, Any], *, rows: int = 6, run: dict[str, Any] | None = None, **fields: Any
) -> ColumnsDataset:
    """A columns dataset of `rows` rows."""
    settings = RunConfig(**{"max_concurrency": 8, **(run or {})})
    return ColumnsDataset(
        ColumnsDatasetConfig(num_rows=rows, columns=schema, output_file=folder / "out.jsonl", run=settings, **fields)
    )


def roles(provider: Any, **others: Any) -> dict[str, Any]:
    """Every role of a judged preference dataset; the same provider where no other is given."""
    return {role: others.get(role, provider) for role in JUDGED}


# -- providers


class CountingProvider(SimulatedProvider):
    """A simulated provider that writes one line per request, and answers what `reply` says instead of a made-up text.

    Args:
        log: the file that gets a line per request: model and last user message.
        reply: given the request, the text of the reply, raw bytes, an error to raise, or None for the simulated reply.
        waits: given the request, awaited before it is answered, where a test needs something to happen first.
    """

    def __init__(
        self,
        model_id: str | None = None,
        *,
        log: Path,
        reply: Callable[[Request], str | bytes | Exception | None] | None = None,
        waits: Callable[[Request], Awaitable[None]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model_id, **options)
        self.log = log
        self.reply = reply
        self.waits = waits

    def open(self, *, max_connections: int) -> Any:
        return _CountingBackend(self, super().open(max_connections=max_connections))


class _CountingBackend:
    def __init__(self, provider: CountingProvider, inner: Any) -> None:
        self._provider = provider
        self._inner = inner
        self._log = os.open(provider.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def complete(self, request: Request) -> Response:
        os.write(self._log, orjson.dumps([self._provider.model_id, request.messages[-1]["content"]]) + b"\n")
        response = await self._inner.complete(request)
        if self._provider.waits is not None:
            await self._provider.waits(request)
        answer = self._provider.reply(request) if self._provider.reply else None
        if answer is None:
            return response
        if isinstance(answer, Exception):
            raise answer
        raw = answer if isinstance(answer, bytes) else encode_completion(answer, model="m", usage=Usage(10, 20))
        return Response(raw, response.latency_s)

    async def aclose(self) -> None:
        os.close(self._log)
        await self._inner.aclose()


class ThinkingProvider(CountingProvider):
    """The same; each reply comes with a thought that repeats the prompt, as a reasoning model's server gives it."""

    def open(self, *, max_connections: int) -> Any:
        return _ThinkingBackend(self, SimulatedProvider.open(self, max_connections=max_connections))


class _ThinkingBackend(_CountingBackend):
    async def complete(self, request: Request) -> Response:
        response = await super().complete(request)
        reply = orjson.loads(response.raw)
        reply["choices"][0]["message"]["reasoning_content"] = thought_about(request.messages[-1]["content"])
        return Response(orjson.dumps(reply), response.latency_s)


def thought_about(prompt: str) -> str:
    """What `ThinkingProvider` thinks about a prompt."""
    return f"Thinking of: {prompt}".strip()


def requests_in(log: Path) -> list[tuple[str, str]]:
    """(model, last user message) of each request so far."""
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


# -- what must hold


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL whose last line is whole."""
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    return [orjson.loads(line) for line in data.split(b"\n")[:-1]]


def same_rows(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether two outputs hold the same rows, each once, in whatever order."""
    by_uuid = [{row["uuid"]: row for row in rows} for rows in (one, other)]
    return by_uuid[0] == by_uuid[1] and len(one) == len(other) == len(by_uuid[0])


def assert_balanced(report: RunReport | None) -> RunReport:
    """Requested = written + filtered + failed + pending, and what was written is what is in the file."""
    assert report is not None
    assert report.requested == report.written + report.filtered + report.failed + report.pending
    assert min(report.written, report.filtered, report.failed, report.pending) >= 0
    assert sum(report.failures.values()) == report.failed
    rows = rows_of(Path(report.output_file))
    assert len(rows) == report.written
    assert len({row.get("uuid", number) for number, row in enumerate(rows)}) == report.written
    return report


def snapshot(folder: Path, pattern: str = "*") -> dict[str, tuple[bytes, int]]:
    """Content and time of change of every file of a folder; a lock file says nothing."""
    found = [path for path in folder.glob(pattern) if path.is_file() and "lock" not in path.name]
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


# -- children that die


class ForkServer:
    """Runs named functions of a test module in forked children of a process that has imported the package once."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, function: str, **arguments: Any) -> int:
        """Calls `module:function(**arguments)` in a new child and waits; returns its exit code, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"function": function, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the fork server died"
        return int(line)


@contextmanager
def fork_server(**variables: str) -> Iterator[ForkServer]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-W", "error", "-m", "tests.support"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield ForkServer(process)
    finally:
        process.communicate(timeout=30)


def die_after(seconds: float) -> None:
    """Kills this process after so many seconds, whatever it is doing then."""

    def strike() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=strike, daemon=True).start()


def counting_raw_run(folder: str, log: str, kill_after_s: float | None, **fields: Any) -> None:
    """A run of `raw` with the counting provider, to be killed."""
    provider = CountingProvider("m", log=Path(log), latency_s=0.004, latency_jitter_s=0.016)
    dataset = raw(Path(folder), **fields)
    if kill_after_s is not None:
        die_after(kill_after_s)
    dataset.generate([provider])


def interrupted_raw_run(folder: str, log: str, at: int, **fields: Any) -> None:
    """A run of `raw` that is interrupted as by Ctrl-C when so many requests were answered, with others in flight."""
    heard = threading.Event()

    def interrupt(number: int, frame: Any) -> None:
        heard.set()
        signal.default_int_handler(number, frame)

    # A shell that runs the tests in the background has it ignored.
    signal.signal(signal.SIGINT, interrupt)
    answered = itertools.count(1)

    def reply(_: Request) -> None:
        number = next(answered)
        if number == at:
            os.kill(os.getpid(), signal.SIGINT)
        if number >= at:  # the run does not come to its end before the main thread has heard of it and said so
            heard.wait()
            time.sleep(0.02)

    provider = CountingProvider("m", log=Path(log), reply=reply, latency_s=0.004, latency_jitter_s=0.016)
    raw(Path(folder), **fields).generate([provider])


def counting_preference_run(folder: str, log: str, kill_after_s: float | None, **fields: Any) -> None:
    """A run of `preference` with the counting provider, to be killed."""
    provider = CountingProvider("m", log=Path(log), latency_s=0.004, latency_jitter_s=0.016)
    dataset = preference(Path(folder), **fields)
    if kill_after_s is not None:
        die_after(kill_after_s)
    dataset.generate_roles(roles(provider))


def counting_columns_run(folder: str, log: str, kill_after_s: float | None, schema: dict[str, Any], rows: int) -> None:
    """A run of `columns` with the counting provider, to be killed."""
    provider = CountingProvider("m", log=Path(log), latency_s=0.004, latency_jitter_s=0.016)
    dataset = columns(Path(folder), schema, rows=rows)
    if kill_after_s is not None:
        die_after(kill_after_s)
    dataset.generate(dict.fromkeys(dataset.config.roles, provider))


def crashing_run(
    folder: str,
    log: str,
    point: str,
    when: str,
    nth: int = 1,
    options: dict[str, Any] | None = None,
    short: bool = False,
    journal_limit: int | None = None,
    **fields: Any,
) -> None:
    """A run of `raw` whose process is gone in a chosen moment.

    Args:
        point: `module:attribute.attribute` of a function.
        when: "before" or "after" its call number `nth`, or "half": it gets half of its last argument, some bytes.
        options: of `generate`.
        short: whether half of the items get fewer rows than they asked for.
        journal_limit: bytes after which the journal is emptied in mid-run.
    """
    import importlib

    # Many small commits, so that there are many moments to choose from.
    importlib.import_module("datafast.store.group_commit")._FLUSH_S = 0.005  # type: ignore[attr-defined]
    if journal_limit is not None:
        importlib.import_module("datafast.store.group_commit")._JOURNAL_LIMIT = journal_limit  # type: ignore[attr-defined]

    die_at(point, when, nth)
    reply = one_of_two if short else None
    sort = ThinkingProvider if fields.get("reasoning") else CountingProvider
    provider = sort("m", log=Path(log), latency_s=0.002, latency_jitter_s=0.006, reply=reply)
    raw(Path(folder), **fields).generate([provider], **(options or {}))


def die_at(point: str, when: str, nth: int = 1) -> None:
    """Ends this process in a moment that `crashing_run` describes."""
    import importlib

    module, _, path = point.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    calls = 0

    def fatal(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != nth:
            return original(*args, **kwargs)
        if when == "half":
            original(*args[:-1], args[-1][: len(args[-1]) // 2])
        elif when == "after":
            original(*args, **kwargs)
        os._exit(9)

    setattr(owner, name, fatal)


def one_of_two(request: Request) -> str | None:
    """One text where a prompt about an even topic asks for two."""
    prompt = request.messages[-1]["content"]
    number = int(prompt.split("topic ")[-1].split(".")[0])
    return json.dumps({"texts": [f"only text about {number}"]}) if number % 2 == 0 and "exactly 2." in prompt else None


def _serve() -> None:
    import importlib

    for line in sys.stdin:
        command = json.loads(line)
        module, _, name = command["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                function(**command["arguments"])
                code = 0
            except RunStopped:
                code = 4
            except KeyboardInterrupt:
                code = 130
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
