"""Shards in one output: the same bytes as from one process, and an output like any other."""

from __future__ import annotations

import json
import signal
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import ClassificationDataset, ConversationDataset
from datafast.datasets.resharding import reshard
from datafast.datasets.shards import merge
from datafast.llms.base import Request
from datafast.schema.config import ClassificationDatasetConfig, ConversationDatasetConfig, RunConfig
from tests.support import CountingProvider, ForkServer, assert_balanced, preference, raw, requests_in, roles

ALIKE = [{"stage": "exact_duplicates"}]
ORDERED = {"ordered": True, "max_concurrency": 4}


def classification(folder: Path, **fields: Any) -> ClassificationDataset:
    classes = [{"name": name, "description": name} for name in "abcdefghij"]
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(**ORDERED), **fields}
    return ClassificationDataset(ClassificationDatasetConfig(classes=classes, num_samples_per_prompt=3, **given))


def conversation(folder: Path, **fields: Any) -> ConversationDataset:
    given = {"output_file": folder / "out.jsonl", "run": RunConfig(**ORDERED), **fields}
    return ConversationDataset(ConversationDatasetConfig(topics=["sea", "sky", "land", "wind"], num_rows=10, **given))


def several(folder: Path, fan_out: str, **fields: Any) -> Any:
    run = {**ORDERED, "fan_out": fan_out}
    return raw(folder, topics=14, num_samples_per_prompt=2, run=run, **fields)


def one_of_few(request: Request) -> str:
    """Two texts out of nine, which follow from the prompt."""
    number = zlib.crc32(request.messages[-1]["content"].encode())
    return json.dumps({"texts": [f"the text {(number + more) % 9}" for more in range(2)]})


def two(log: Path) -> list[CountingProvider]:
    return [CountingProvider(name, log=log, reply=one_of_few) for name in "ab"]


def simulated(log: Path) -> list[CountingProvider]:
    return [CountingProvider(name, log=log) for name in "ab"]


KINDS: dict[str, tuple[Callable[..., Any], Callable[[Path], Any]]] = {
    "all": (lambda folder, **fields: several(folder, "all", quality=ALIKE, **fields), two),
    "split": (lambda folder, **fields: several(folder, "split", quality=ALIKE, **fields), two),
    "fallback": (lambda folder, **fields: several(folder, "fallback", **fields), simulated),
    "regenerated": (
        lambda folder, **fields: several(
            folder,
            "split",
            quality=[{"stage": "keep_if", "expression": "uuid[0] in '02468abc'"}],
            regenerate=2,
            **fields,
        ),
        two,
    ),
    "classification": (classification, simulated),
    "preference": (
        lambda folder, **fields: preference(folder, documents=9, run=ORDERED, **fields),
        lambda log: roles(CountingProvider("m", log=log)),
    ),
    "conversation": (conversation, lambda log: [CountingProvider("m", log=log)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_divided_anew_and_merged_are_the_file_of_one_process(kind: str, tmp_path: Path) -> None:
    make, providers = KINDS[kind]
    needed, log, shards, file = (tmp_path / name for name in ("needed", "log", "rows", "all.jsonl"))
    whole = make(tmp_path / "whole")
    whole.generate(providers(needed))
    sharded = make(tmp_path, output_file=shards)
    unfinished = {}
    for number in range(1, 5):
        limit = {"limit": 1} if number in (2, 3) else {}
        sharded.generate(providers(log), shard=(number, 4), **limit)
        unfinished |= {f"{number}/4": sharded.report.pending} if sharded.report.pending else {}
    assert merge(shards, file).unfinished == unfinished != {}
    assert not file.exists()
    assert reshard(shards, 7).after == 7
    for number in range(1, 8):
        sharded.generate(providers(log), shard=(number, 7))
        assert_balanced(sharded.report)
    made = merge(shards, file)
    assert made.lacks == []
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    assert Counter(requests_in(log)) == Counter(requests_in(needed))
    assert made.report is not None
    assert_balanced(made.report)
    assert made.report.filtered_by_stage == whole.report.filtered_by_stage
    if kind in ("all", "split", "regenerated"):
        assert made.report.filtered > 3

    again = make(tmp_path, output_file=file)
    again.generate(providers(log))
    assert again.report.calls == 0
    assert again.report.counts_line() == whole.report.counts_line()
    assert file.read_bytes() == whole.paths.rows.read_bytes()
    told, own = (json.loads(Path(f"{path}.manifest.json").read_bytes()) for path in (whole.paths.rows, file))
    same = ("kind", "counts", "plan", "row", "providers", "routes", "models", "templates")
    assert {name: told[name] for name in same} == {name: own[name] for name in same}
    assert told["output"]["sha256"] == own["output"]["sha256"]
    assert told["calls"]["replies"] == own["calls"]["replies"]


def test_a_killed_shard_goes_on_and_is_merged(tmp_path: Path, children: ForkServer) -> None:
    whole = killed_config(tmp_path / "whole")
    needed, log, shards = tmp_path / "needed", tmp_path / "log", tmp_path / "rows"
    whole.generate([CountingProvider("m", log=needed, reply=one_of_few)])
    code = children.run("tests.datasets.test_merge:dying_shard", folder=str(shards), log=str(log), at=4)
    assert code == -signal.SIGKILL
    assert "2/3" in merge(shards, tmp_path / "all.jsonl", partial=True).lacks[-1]
    for number in range(1, 4):
        killed_config(tmp_path, output_file=shards).generate(
            [CountingProvider("m", log=log, reply=one_of_few)], shard=(number, 3)
        )
    made = merge(shards, tmp_path / "all.jsonl", fresh=True)
    assert (made.lacks, len(made.set_aside)) == ([], 3)
    assert (tmp_path / "all.jsonl").read_bytes() == whole.paths.rows.read_bytes()
    assert len(requests_in(log)) <= len(requests_in(needed)) + 4


def killed_config(folder: Path, **fields: Any) -> Any:
    return raw(folder, topics=30, num_samples_per_prompt=2, run=ORDERED, quality=ALIKE, **fields)


def dying_shard(folder: str, log: str, at: int) -> None:
    """Never returns: the process is killed when the call of this number is sent."""
    import os

    sent = iter(range(1, 1_000))

    def reply(request: Request) -> str:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return one_of_few(request)

    killed_config(Path(folder).parent, output_file=Path(folder)).generate(
        [CountingProvider("m", log=Path(log), reply=reply)], shard=(2, 3)
    )
