"""The same work done by datafast, through its public interface. A kind is imported where it is measured."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.instruments import peak_mb, resident_mb, stopwatch
from benchmarks.workload import COLUMN_SCHEMA, LANGUAGE, LANGUAGE_NAME, MODEL, TEMPLATE, reply_text, values
from datafast.datasets import RawDataset
from datafast.engine.events import Event, LimitChanged
from datafast.llms.base import Request, Response
from datafast.llms.provider import LLMProvider
from datafast.llms.providers.chat_completions import OpenAICompatibleProvider
from datafast.llms.replies.completion import encode_completion
from datafast.schema.config import PromptExpansionConfig, RawDatasetConfig, RunConfig
from datafast.types import Usage

if TYPE_CHECKING:
    from datafast.datasets import ConversationDataset

__all__ = [
    "budgeted",
    "columns",
    "conversations",
    "dataset_of",
    "fan_out",
    "fill",
    "first_request",
    "found_limit",
    "instant",
    "limited",
    "litellm",
    "memory",
    "native",
]

_PLACEHOLDERS = 12


def dataset_of(
    folder: str,
    in_flight: int,
    *,
    topics: int,
    document_types: int = 1,
    budget_usd: float | None = None,
    mode: Literal["online", "batch"] = "online",
    **fields: Any,
) -> RawDataset:
    """A raw dataset of one row an item."""
    return RawDataset(
        RawDatasetConfig(
            topics=values("topic", topics),
            document_types=values("note", document_types) if document_types > 1 else ["note"],
            languages={LANGUAGE: LANGUAGE_NAME},
            num_samples_per_prompt=1,
            output_file=Path(folder) / "out.jsonl",
            run=RunConfig(max_concurrency=in_flight, budget_usd=budget_usd, mode=mode),
            **{"prompts": [TEMPLATE], **fields},
        )
    )


def _conversations(folder: str, in_flight: int, *, topics: int) -> ConversationDataset:
    from datafast.datasets import ConversationDataset
    from datafast.schema.config import ConversationDatasetConfig

    return ConversationDataset(
        ConversationDatasetConfig(
            topics=values("topic", topics),
            topic_selection="balanced",
            generation_system_prompt="You write as an expert of the field would.",
            output_file=Path(folder) / "out.jsonl",
            run=RunConfig(max_concurrency=in_flight),
        )
    )


def _complete(
    dataset: RawDataset | ConversationDataset, provider: LLMProvider, *, retries: bool = False, **options: Any
) -> None:
    """Generates all of it; a row that is missing would make a figure look better than it is."""
    dataset.generate([provider], **options)
    report = dataset.report
    assert report is not None
    if report.written != report.requested or (report.retries and not retries):
        raise RuntimeError(f"the run was not clean: {report.counts_line()}, {report.retries} retries")


def _measured(
    provider: LLMProvider, items: int, in_flight: int, folder: str, warm_up: int, make: Any = dataset_of
) -> dict[str, float]:
    if warm_up:
        _complete(make(str(Path(folder) / "warm-up"), in_flight, topics=warm_up), provider)
    dataset = make(folder, in_flight, topics=items)
    read = stopwatch()
    _complete(dataset, provider)
    return {**read()._asdict(), "resident_mb": resident_mb()}


def limited(*, url: str, items: int, in_flight: int, folder: str, warm_up: int = 0) -> dict[str, float]:
    """The same at a server that refuses some requests."""
    read = stopwatch()
    _complete(dataset_of(folder, in_flight, topics=items), OpenAICompatibleProvider(MODEL, api_base=url), retries=True)
    return {**read()._asdict(), "resident_mb": resident_mb()}


def found_limit(*, url: str, items: int, folder: str) -> dict[str, float]:
    """The same with `max_concurrency: auto`; `limit` is the median of the limits over the second half of the time."""
    limits: list[tuple[float, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, LimitChanged):
            limits.append((time.monotonic(), event.limit))

    dataset = dataset_of(folder, 512, topics=items)
    read, began = stopwatch(), time.monotonic()
    provider = OpenAICompatibleProvider(MODEL, api_base=url, max_concurrency="auto")
    _complete(dataset, provider, on_event=note)
    half = (began + time.monotonic()) / 2
    late = [limit for at, limit in limits if at >= half] or [limits[-1][1]]
    return {**read()._asdict(), "limit": float(median(late))}


def fan_out(*, url: str, items: int, in_flight: int, folder: str, warm_up: int = 0) -> dict[str, float]:
    """Generates `items` rows over the direct back end, everything from opening the output to closing it."""
    return _measured(OpenAICompatibleProvider(MODEL, api_base=url), items, in_flight, folder, warm_up)


def budgeted(
    *, url: str, items: int, in_flight: int, folder: str, warm_up: int, budget_usd: float | None = None
) -> dict[str, float]:
    """`fan_out` under a budget, or with None under none. Returns also the cost, as it was estimated before and as it was."""
    price = {"input_usd_per_million": 0.4, "output_usd_per_million": 1.6}
    provider = OpenAICompatibleProvider(MODEL, api_base=url, price=price)
    _complete(dataset_of(str(Path(folder) / "warm-up"), in_flight, topics=warm_up), provider)
    dataset = dataset_of(folder, in_flight, topics=items, budget_usd=budget_usd)
    estimated = dataset.estimate([provider]).cost_usd
    read = stopwatch()
    _complete(dataset, provider)
    spent = read()
    if estimated is None or dataset.report is None or dataset.report.cost_usd is None:
        raise RuntimeError("the price is not known")
    return {**spent._asdict(), "estimated_usd": estimated.expected, "cost_usd": dataset.report.cost_usd}


def native(
    *, url: str, vendor: str, items: int, in_flight: int, folder: str, warm_up: int = 0, stream: bool = False
) -> dict[str, float]:
    """Generates `items` rows over the back end of a vendor's own API, whose replies may come as streams of events."""
    from datafast.llms.registry import load_provider

    provider = load_provider(vendor)(MODEL, "none", api_base=url, stream=stream)
    return _measured(provider, items, in_flight, folder, warm_up)


def columns(*, url: str, rows: int, in_flight: int, folder: str, warm_up: int = 0) -> dict[str, float]:
    """Generates `rows` rows of twelve columns, four of them by models of two providers, and counts the calls."""
    from datafast.datasets import ColumnsDataset
    from datafast.schema.config import ColumnsDatasetConfig

    found = {}
    for name, count in (("warm-up", warm_up), ("measured", rows)):
        config = ColumnsDatasetConfig(
            num_rows=count,
            columns=COLUMN_SCHEMA,
            output_file=Path(folder) / name / "out.jsonl",
            run=RunConfig(max_concurrency=in_flight),
        )
        dataset = ColumnsDataset(config)
        providers = {role: OpenAICompatibleProvider(MODEL, api_base=url, name=role) for role in config.roles}
        read = stopwatch()
        dataset.generate(providers)
        report = dataset.report
        if report is None or report.written != count or report.retries:
            raise RuntimeError("the run was not clean")
        found = {**read()._asdict(), "calls": report.calls}
    return found


def conversations(*, url: str, items: int, in_flight: int, folder: str, warm_up: int = 0) -> dict[str, float]:
    """Generates a conversation about each of `items` topics over the direct back end."""
    provider = OpenAICompatibleProvider(MODEL, api_base=url)
    return _measured(provider, items, in_flight, folder, warm_up, make=_conversations)


def litellm(*, url: str, items: int, in_flight: int, folder: str, warm_up: int) -> dict[str, float]:
    """Generates `items` rows through litellm."""
    from datafast.llms.providers.litellm import LiteLLMProvider

    return _measured(
        LiteLLMProvider(f"openai/{MODEL}", api_base=f"{url}/v1", api_key="none"), items, in_flight, folder, warm_up
    )


def memory(*, url: str, early: int, items: int, in_flight: int, folder: str) -> dict[str, float]:
    """Resident memory after `early` items and after all of them, in one run. `items` is a multiple of 10."""
    seen: Counter[str] = Counter()
    found: dict[str, float] = {}

    def watch(event: Any) -> None:
        seen[event.type] += 1
        if event.type == "item_done" and seen["item_done"] == early:
            found["early_mb"] = resident_mb()
        elif event.type == "item_done" and seen["item_done"] == items:
            found["late_mb"] = resident_mb()

    provider = OpenAICompatibleProvider(MODEL, api_base=url)
    _complete(dataset_of(folder, in_flight, topics=items // 10, document_types=10), provider, on_event=watch)
    return {**found, "peak_mb": peak_mb()}


def first_request(
    *, url: str, topics: int, document_types: int, in_flight: int, folder: str, samples: int = 0
) -> dict[str, float]:
    """Begins (or resumes) a run and ends it after its first reply. The server notes when the first request came.

    Args:
        samples: 0 for the plain product of topics and document types; else a random sample of so many prompts from 10**12
            combinations of placeholders for each.
    """
    fields: dict[str, Any] = {}
    if samples:
        names = [f"aspect_{number}" for number in range(_PLACEHOLDERS)]
        fields["prompts"] = [TEMPLATE + "".join(f" <<{name}>>" for name in names)]
        placeholders = {name: values(name, 10) for name in names}
        fields["expansion"] = PromptExpansionConfig(
            placeholders=placeholders, combinatorial=False, num_random_samples=samples
        )
    dataset = dataset_of(folder, in_flight, topics=topics, document_types=document_types, **fields)

    def end(event: Any) -> None:
        if event.type == "call_finished":
            raise SystemExit

    try:
        dataset.generate([OpenAICompatibleProvider(MODEL, api_base=url)], on_event=end)
    except SystemExit:
        return {"peak_mb": peak_mb()}
    raise RuntimeError("the run made no call")


class _InstantBackend:
    def __init__(self) -> None:
        self._response = Response(encode_completion(reply_text(), model=MODEL, usage=Usage(90, 110)), latency_s=0.0)

    async def complete(self, request: Request) -> Response:
        return self._response

    async def aclose(self) -> None:
        pass


class _InstantProvider(OpenAICompatibleProvider):
    """Answers at once, in this process: the quickest honest way to an output with many finished rows."""

    def open(self, *, max_connections: int) -> _InstantBackend:
        return _InstantBackend()


def instant(*, items: int, in_flight: int, folder: str) -> dict[str, float]:
    """Generates `items` rows from replies that are there at once: all that a run does for a row but for HTTP."""
    return _measured(
        _InstantProvider(MODEL, api_base="http://127.0.0.1:1"), items, in_flight, folder, max(1, items // 10)
    )


def fill(*, items: int, topics: int, document_types: int, folder: str) -> dict[str, float]:
    """Makes the first `items` rows of a plan of topics x document types, and ends as a run that was interrupted."""
    done = 0

    def end(event: Any) -> None:
        nonlocal done
        done += event.type == "item_done"
        if done >= items:
            raise SystemExit

    began = time.perf_counter()
    dataset = dataset_of(folder, 1, topics=topics, document_types=document_types)
    try:
        dataset.generate([_InstantProvider(MODEL, api_base="http://127.0.0.1:1")], on_event=end)
    except SystemExit:
        return {"seconds": time.perf_counter() - began, "rows": done}
    raise RuntimeError("the plan was too small")
