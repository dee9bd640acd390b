"""A process that dies at a call that changes a file, whichever it is: the next run ends with all rows, each once, and buys nothing twice
but what was in flight.

A shared library in front of the C library counts the calls and ends the process at one of them, before it or in the middle of a write.
Usually some moments are tried; `DATAFAST_FUZZ=20` tries every one.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from datafast.datasets import ClassificationDataset, ConversationDataset, GenericPipelineDataset
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, Walk, WalkStage, change, drop
from datafast.schema.config import (
    ClassificationDatasetConfig,
    ConversationDatasetConfig,
    GenericPipelineDatasetConfig,
    RunConfig,
)
from datafast.store import group_commit
from tests.support import (
    ROOT,
    CountingProvider,
    ForkServer,
    assert_balanced,
    columns,
    fork_server,
    one_of_two,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)

MANY = int(os.environ.get("DATAFAST_FUZZ", "1"))
STEP = max(1, 12 // MANY)
IN_FLIGHT = 2
RUN: dict[str, Any] = {"max_concurrency": IN_FLIGHT}
KINDS = [
    "raw",
    "ordered",
    "budget",
    "full",
    "retry",
    "moved",
    "decided",
    "compared",
    "returned",
    "changed",
    "replaced",
    "recompared",
    "filled",
    "judged",
    "classification",
    "preference",
    "columns",
    "conversation",
    "shared",
    "generic_pipeline",
    "reviewed",
]


class SizeStage(WalkStage[int]):
    """Keeps one row of each size, modulo something."""

    stage: Literal["size"] = "size"
    by: int

    def features(self, rows: Sequence[BaseModel]) -> list[int]:
        return [len(row.text) % self.by for row in rows]  # type: ignore[attr-defined]

    def walk(self) -> Walk[int]:
        return Sizes()


class Sizes:
    def __init__(self) -> None:
        self.kept: set[int] = set()

    def decide(self, features: int) -> Verdict:
        return drop("a size that is there") if features in self.kept else KEEP

    def keep(self, features: int) -> None:
        self.kept.add(features)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("shim") / "dies_at.so"
    source = ROOT / "tests/servers/dies_at.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def server(shim: Path) -> Iterator[ForkServer]:
    with fork_server(LD_PRELOAD=str(shim), DIES_AT=str(shim)) as running:
        yield running


class Shouts(Stage):
    """Writes long texts in capital letters."""

    stage: Literal["shouts"] = "shouts"
    above: int

    def decide(self, row: Any, item: WorkItem) -> Verdict:
        return change(text=row.text.upper()) if len(row.text) > self.above else KEEP


def stages_of(kind: str, first: bool) -> list[Any]:
    if kind == "changed":
        return [Shouts(above=280 if first else 250), {"stage": "length", "max_characters": 290}]
    if kind in ("compared", "recompared"):
        return [SizeStage(by=5 if first else 9)]
    return [{"stage": "length", **({"min_characters": 250} if first else {"max_characters": 290})}]


def run(kind: str, folder: Path, provider: SimulatedProvider, *, first: bool = False) -> Any:
    """A short run of a kind. `first`: the run that has to come before, of the kinds that need one."""
    if kind == "preference":
        return preference(folder, documents=1, run=RUN).generate_roles(roles(provider))
    if kind == "columns":
        folder.parent.mkdir(exist_ok=True)
        (folder.parent / "source.jsonl").write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
        schema = {
            "a": {"type": "source", "source": str(folder.parent / "source.jsonl"), "column": "a"},
            "b": {"type": "text", "provider": "m", "prompt": "Write about {a}."},
            "c": {"type": "text", "provider": "m", "prompt": "Answer {b}"},
        }
        return columns(folder, schema, rows=2, run=RUN).generate({"m": provider})
    if kind == "generic_pipeline":
        table = [{"text": "a"}, {"text": "b"}, {"text": ""}]
        config: Any = GenericPipelineDatasetConfig(
            source=table,
            input_columns=["text"],
            output_columns={"summary": "text", "stars": "integer"},
            skip_if="not text",
            num_samples_per_prompt=2,
            output_file=folder / "out.jsonl",
            run=RunConfig(**RUN),
        )
        return GenericPipelineDataset(config).generate([provider])
    if kind == "classification":
        classes = [{"name": name, "description": name} for name in ("spam", "ham")]
        config = ClassificationDatasetConfig(
            classes=classes, num_samples_per_prompt=2, output_file=folder / "out.jsonl", run=RunConfig(**RUN)
        )
        return ClassificationDataset(config).generate([provider])
    if kind in ("conversation", "shared"):
        grown: dict[str, Any] = {"topic_prompt": "The sea", "degree": 2, "depth": 1}
        topics = grown | ({"file": folder / "topics.json"} if kind == "shared" else {})
        config = ConversationDatasetConfig(
            topics=topics, num_rows=2, output_file=folder / "out.jsonl", run=RunConfig(**RUN)
        )
        return ConversationDataset(config).generate([provider])
    if kind in ("decided", "changed", "compared", "replaced", "recompared"):
        topics = 4 if kind in ("compared", "recompared") and first else 8
        stages = stages_of(kind, first)
        return raw(
            folder,
            topics=topics,
            num_samples_per_prompt=3,
            quality=stages,
            regenerate=2 if kind in ("replaced", "recompared") else 0,
            run=RUN,
        ).generate([provider])
    if kind == "reviewed":
        return run_reviewed(folder, provider, first=first)
    if kind in ("returned", "filled", "judged"):
        return run_with_stage(kind, folder, provider, first=first)
    if kind == "retry":
        dataset = raw(folder, topics=2, num_samples_per_prompt=2, run=RUN)
        return dataset.generate([provider], retry_failed=not first)
    settings = {"ordered": {"ordered": True}, "budget": {"max_calls": 100}, "full": {"durability": "full"}}.get(
        kind, {}
    )
    names = ["a", "b", "c"] if first else ["b", "c", "d"] if kind == "moved" else ["a", "b", "c"]
    return raw(folder, topics=names, run={**RUN, **settings}).generate([provider])


def run_reviewed(folder: Path, provider: Any, *, first: bool) -> Any:
    """Of rows that stages keep one is edited, one rejected with a note; one that they drop is accepted."""
    stages = [{"stage": "keep_if", "expression": "uuid[0] in '02468ace'"}]
    dataset = raw(folder, topics=3, num_samples_per_prompt=3, quality=stages, regenerate=1, run=RUN)
    if not first:
        return dataset.generate([provider])
    dataset = raw(folder, topics=3, num_samples_per_prompt=3, quality=stages, run=RUN).generate([provider])
    reviews = dataset.reviews(reviewer="ann")
    seen = sorted(reviews.rows(dropped=True), key=lambda one: one.state.key.row)
    kept = [one.row for one in seen if not one.dropped_by]
    reviews.edit(kept[0], text="A text of mine.")
    reviews.reject(kept[1], "dull", note="Name the place.")
    reviews.accept(next(one.row for one in seen if one.dropped_by))
    return dataset


def run_with_stage(kind: str, folder: Path, provider: Any, *, first: bool) -> Any:
    if kind == "returned":
        stages = stages_of(kind, first)
        settings = {**RUN, "removed": "keep", "ordered": True}
        dataset = raw(folder, topics=6, num_samples_per_prompt=3, quality=stages, run=settings)
        dataset.generate([provider])
        if first:
            other = [{"stage": "length", "max_characters": 290}]
            raw(folder, topics=3, num_samples_per_prompt=3, quality=other, run=settings).generate([provider])
        return dataset
    if kind == "filled":  # the texts of some prompts are dropped, and those of their further draws are not
        keeps = {"stage": "keep_if", "expression": "uuid[0] in '02468abc'"}
        dataset = raw(folder, topics=6, quality=[keeps], run=RUN)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DatafastWarning
            )  # that nothing is missing: it is noted, and under way already
            return dataset.generate([provider], fill=not first)
    judge = CountingProvider("judge", log=provider.log, latency_s=0.001)
    stages = [] if first else [{"stage": "judge", "providers": [judge], "keep_if": "score >= 3"}]
    dataset = raw(folder, topics=1, num_samples_per_prompt=3, quality=stages, regenerate=1, run=RUN)
    return dataset.generate([provider])


def before(kind: str, folder: Path, log: Path) -> None:
    """What has to be there before the run that dies."""
    if kind in (
        "moved",
        "decided",
        "compared",
        "returned",
        "changed",
        "replaced",
        "recompared",
        "filled",
        "judged",
        "retry",
        "reviewed",
    ):
        run(kind, folder, CountingProvider("m", log=log, reply=one_of_two if kind == "retry" else None), first=True)


def dying_run(kind: str, folder: str, log: str, at: int, half: bool) -> None:
    """A run whose process is gone at its call number `at` that changes a file in the folder."""
    group_commit._FLUSH_S = 0.002  # type: ignore[misc]  # many small commits, so that there are many moments to choose from
    library = ctypes.CDLL(os.environ["DIES_AT"])
    library.arm(ctypes.c_long(at), folder.encode(), int(half))
    provider = CountingProvider("m", log=Path(log), latency_s=0.001)
    try:
        run(kind, Path(folder), provider)
    except RunStopped as stopped:
        raise AssertionError(stopped) from stopped  # it may die, but not end early


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_call_it_dies_at_nothing_is_lost_and_nothing_bought_twice(
    kind: str, tmp_path: Path, server: ForkServer
) -> None:
    chance = random.Random(kind)
    whole, needed = tmp_path / "whole", tmp_path / "needed"
    before(kind, whole / "out", needed)
    expected = run(kind, whole / "out", CountingProvider("m", log=needed))
    rows = {json.dumps(row, sort_keys=True) for row in rows_of(whole / "out" / "out.jsonl")}
    assert len(rows) == assert_balanced(expected.report).written > 0
    at, deaths = 1 + KINDS.index(kind) % STEP, 0
    while True:
        folder, log = tmp_path / f"{at}" / "out", tmp_path / f"{at}.log"
        before(kind, folder, log)
        half = chance.random() < 0.3
        codes = [
            server.run(
                "tests.test_kill_at_every_call:dying_run", kind=kind, folder=str(folder), log=str(log), at=at, half=half
            )
        ]
        if codes == [0]:
            break
        again = chance.randint(1, 40)
        codes.append(
            server.run(
                "tests.test_kill_at_every_call:dying_run",
                kind=kind,
                folder=str(folder),
                log=str(log),
                at=again,
                half=half,
            )
        )
        told = f"died at call {at}{' in the middle' if half else ''}, then at {again}: {codes}"
        assert set(codes) <= {0, 9}, told
        dataset = run(kind, folder, CountingProvider("m", log=log))
        assert {json.dumps(row, sort_keys=True) for row in rows_of(folder / "out.jsonl")} == rows, told
        assert assert_balanced(dataset.report).written == len(rows), told
        bought = Counter(requests_in(log))
        assert bought.keys() == set(requests_in(needed)), told
        assert bought.total() <= len(requests_in(needed)) + IN_FLIGHT * codes.count(9), told
        deaths += codes.count(9)
        shutil.rmtree(folder.parent)
        at += STEP
    assert deaths >= 3
