"""`run.ordered`: rows in plan order, whatever the order of replies, and whatever a run leaves for a later one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from datafast.engine.events import Event, ItemDone
from datafast.errors import DatafastWarning, ErrorKind, ProviderError, RunStopped
from datafast.llms.base import Request
from datafast.store import writer as store
from datafast.store.paths import OutputPaths
from tests.support import (
    CountingProvider,
    ForkServer,
    assert_balanced,
    fork_server,
    preference,
    raw,
    requests_in,
    roles,
    rows_of,
    same_rows,
)


def ordered(folder: Path, **fields: Any) -> Any:
    return raw(folder, **{**fields, "run": {"ordered": True, **fields.get("run", {})}})


def jittery(log: Path, model: str = "m", **options: Any) -> CountingProvider:
    return CountingProvider(model, log=log, **{"latency_s": 0.001, "latency_jitter_s": 0.02, **options})


def topics_of(folder: Path) -> list[int]:
    return [int(row["metadata"]["topic"].split()[-1]) for row in rows_of(folder / "out.jsonl")]


def refusing(*numbers: int) -> Any:
    """Replies that fail the items of these topics for good."""

    def reply(request: Request) -> Exception | None:
        asked = request.messages[-1]["content"]
        hit = any(f"topic {number}." in asked or asked.endswith(f"topic {number}") for number in numbers)
        return ProviderError("no", kind=ErrorKind.BAD_REQUEST, status=400) if hit else None

    return reply


def test_rows_come_in_plan_order_whatever_the_order_of_replies(tmp_path: Path) -> None:
    dataset = ordered(tmp_path, topics=60)
    dataset.generate([jittery(tmp_path / "log")])
    assert assert_balanced(dataset.report).written == 60
    assert topics_of(tmp_path) == list(range(60))


def test_without_it_rows_come_as_replies_do(tmp_path: Path) -> None:
    raw(tmp_path, topics=60).generate([jittery(tmp_path / "log")])
    assert topics_of(tmp_path) != list(range(60))


def test_rows_of_several_providers_are_interleaved_as_in_the_plan(tmp_path: Path) -> None:
    dataset = ordered(tmp_path, topics=30)
    dataset.generate([jittery(tmp_path / "log", "quick"), jittery(tmp_path / "log", "slow", latency_s=0.01)])
    assert [row["model_id"] for row in rows_of(tmp_path / "out.jsonl")] == ["simulated/quick", "simulated/slow"] * 30
    assert topics_of(tmp_path) == [number for number in range(30) for _ in range(2)]


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_the_order_holds_in_every_fan_out(tmp_path: Path, fan_out: str) -> None:
    dataset = ordered(tmp_path, topics=60, run={"fan_out": fan_out})
    dataset.generate([jittery(tmp_path / "log", "a"), jittery(tmp_path / "log", "b", latency_s=0.01)])
    assert topics_of(tmp_path) == list(range(60))


def test_the_order_holds_where_an_item_takes_several_calls(tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=20, run={"ordered": True})
    dataset.generate_roles(roles(jittery(tmp_path / "log")))
    assert assert_balanced(dataset.report).written == 40
    documents = [row["input_document"] for row in rows_of(tmp_path / "out.jsonl")]
    assert documents == [text for text in dataset.config.input_documents for _ in range(2)]


def test_a_failed_item_in_the_middle_holds_nothing_back_and_gets_its_place_later(tmp_path: Path) -> None:
    def without_7() -> list[int]:
        return [number for number in range(40) if number != 7]

    dataset = ordered(tmp_path, topics=40)
    dataset.generate([jittery(tmp_path / "log", reply=refusing(7))])
    assert assert_balanced(dataset.report).failed == 1
    assert topics_of(tmp_path) == without_7()
    dataset.generate([jittery(tmp_path / "log")], retry_failed=True)
    assert assert_balanced(dataset.report).written == 40
    assert topics_of(tmp_path) == list(range(40))
    dataset.generate([jittery(tmp_path / "log")])
    assert dataset.report.calls == dataset.report.replayed == 0


def test_missing_rows_of_an_item_get_their_place_among_its_others(tmp_path: Path) -> None:
    def one_of_three(request: Request) -> str | None:
        asked = request.messages[-1]["content"]
        return json.dumps({"texts": ["only one"]}) if "exactly 3." in asked and "topic 2" in asked else None

    dataset = ordered(tmp_path, topics=5, num_samples_per_prompt=3)
    dataset.generate([jittery(tmp_path / "log", reply=one_of_three)])
    assert assert_balanced(dataset.report).failed == 2
    dataset.generate([jittery(tmp_path / "log")], retry_failed=True)
    assert assert_balanced(dataset.report).written == 15
    assert topics_of(tmp_path) == [number for number in range(5) for _ in range(3)]
    dataset.generate([jittery(tmp_path / "log")])
    assert assert_balanced(dataset.report).written == 15


def test_a_slow_item_lets_a_bounded_number_overtake_it(tmp_path: Path) -> None:
    def reply(request: Request) -> None:
        if "topic 0" in request.messages[-1]["content"]:
            first.append(len(requests_in(log)))

    first: list[int] = []
    log = tmp_path / "log"

    class Slow(CountingProvider):
        def open(self, *, max_connections: int) -> Any:
            backend = super().open(max_connections=max_connections)
            complete = backend.complete

            async def held_back(request: Request) -> Any:
                if "topic 0." in request.messages[-1]["content"]:
                    await asyncio.sleep(0.4)
                return await complete(request)

            backend.complete = held_back
            return backend

    dataset = ordered(tmp_path, topics=200, run={"max_concurrency": 2})
    dataset.generate([Slow("m", log=log, reply=reply)])
    assert topics_of(tmp_path) == list(range(200))
    assert first[0] <= 2 * 8


def test_a_stopped_provider_does_not_hold_back_the_others(tmp_path: Path) -> None:
    def refuse(request: Request) -> Exception:
        return ProviderError("wrong key", kind=ErrorKind.AUTHENTICATION, status=401)

    dataset = ordered(tmp_path, topics=100, run={"max_concurrency": 2})
    with pytest.raises(RunStopped):
        dataset.generate([jittery(tmp_path / "log", "good"), jittery(tmp_path / "log", "bad", reply=refuse)])
    report = assert_balanced(dataset.report)
    assert (report.written, report.pending) == (100, 100)
    assert topics_of(tmp_path) == list(range(100))
    dataset.generate([jittery(tmp_path / "log", "good"), jittery(tmp_path / "log", "bad")])
    assert_balanced(dataset.report)
    assert [row["model_id"] for row in rows_of(tmp_path / "out.jsonl")] == ["simulated/good", "simulated/bad"] * 100
    assert topics_of(tmp_path) == [number for number in range(100) for _ in range(2)]


def test_an_interrupted_run_keeps_what_has_landed_and_the_next_one_the_order(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, ItemDone):
            raise KeyboardInterrupt

    dataset = ordered(tmp_path, topics=60)
    with pytest.raises(KeyboardInterrupt):
        dataset.generate([jittery(tmp_path / "log")], on_event=interrupt)
    begun = topics_of(tmp_path)
    assert begun == sorted(begun)
    assert len(requests_in(tmp_path / "log")) == len(begun)
    dataset.generate([jittery(tmp_path / "log")])
    assert topics_of(tmp_path) == list(range(60))
    assert len(requests_in(tmp_path / "log")) == 60


def test_a_few_rows_first_and_the_rest_later_end_in_order(tmp_path: Path) -> None:
    dataset = ordered(tmp_path, topics=60)
    dataset.generate([jittery(tmp_path / "log")], limit=9)
    begun = topics_of(tmp_path)
    assert (begun, len(begun)) == (sorted(begun), 9)
    dataset.generate([jittery(tmp_path / "log")])
    assert topics_of(tmp_path) == list(range(60))
    assert len(requests_in(tmp_path / "log")) == 60


def test_rows_that_were_begun_without_an_order_are_put_in_order(tmp_path: Path) -> None:
    raw(tmp_path, topics=60).generate([jittery(tmp_path / "log")])
    before = rows_of(tmp_path / "out.jsonl")
    ordered(tmp_path, topics=60).generate([jittery(tmp_path / "log")])
    assert topics_of(tmp_path) == list(range(60))
    assert same_rows(before, rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "log")) == 60
    assert sorted(path.name for path in tmp_path.glob("out.jsonl*") if "lock" not in path.name) == [
        "out.jsonl",
        "out.jsonl.ledger",
        "out.jsonl.manifest.json",
    ]


def test_a_changed_order_of_the_config_becomes_that_of_the_rows(tmp_path: Path) -> None:
    names = [f"topic {number}" for number in range(20)]
    ordered(tmp_path, topics=names).generate([jittery(tmp_path / "log")])
    ordered(tmp_path, topics=names[::-1]).generate([jittery(tmp_path / "log")])
    assert topics_of(tmp_path) == list(range(20))[::-1]
    assert len(requests_in(tmp_path / "log")) == 20


def test_a_file_that_is_edited_during_the_run_is_not_rewritten(tmp_path: Path) -> None:
    raw(tmp_path, topics=20).generate([jittery(tmp_path / "log")])
    before = topics_of(tmp_path)

    def append(event: Event) -> None:
        with (tmp_path / "out.jsonl").open("ab") as file:
            file.write(b'{"mine": true}\n')

    with pytest.raises(RunStopped, match="was changed by somebody else while the run went on"):
        ordered(tmp_path, topics=20).generate([jittery(tmp_path / "log")], on_event=append)
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["metadata"]["topic"] for line in lines[:20]] == [f"topic {number}" for number in before]
    assert lines[20] == b'{"mine": true}'


def test_no_room_for_the_sorted_file_costs_the_order_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw(tmp_path, topics=20).generate([jittery(tmp_path / "log")])
    before = rows_of(tmp_path / "out.jsonl")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "order_rows", full)
    dataset = ordered(tmp_path, topics=20)
    with pytest.warns(DatafastWarning, match="could not be put in order: No space left on device"):
        dataset.generate([jittery(tmp_path / "log")])
    assert assert_balanced(dataset.report).written == 20
    assert rows_of(tmp_path / "out.jsonl") == before


@pytest.fixture(scope="module")
def forks() -> Any:
    with fork_server() as server:
        yield server


@pytest.mark.parametrize("kill_after_s", [0.02, 0.05, 0.09, 0.14])
def test_a_killed_run_goes_on_in_order(tmp_path: Path, forks: ForkServer, kill_after_s: float) -> None:
    log = tmp_path / "log"
    fields = {"topics": 120, "run": {"ordered": True}}
    code = forks.run(
        "tests.support:counting_raw_run", folder=str(tmp_path), log=str(log), kill_after_s=kill_after_s, **fields
    )
    assert code in {-9, 0}
    assert (
        forks.run("tests.support:counting_raw_run", folder=str(tmp_path), log=str(log), kill_after_s=None, **fields)
        == 0
    )
    assert topics_of(tmp_path) == list(range(120))
    assert len(requests_in(log)) <= 120 + 8


@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.ledger:Ledger.replace_appends", "after"),
        ("datafast.store.compaction:finish_rewrite", "before"),
        ("datafast.store.compaction:finish_rewrite", "after"),
    ],
)
def test_a_death_while_rows_are_put_in_order_loses_nothing(
    tmp_path: Path, forks: ForkServer, point: str, when: str
) -> None:
    raw(tmp_path, topics=30).generate([CountingProvider("m", log=tmp_path / "log", latency_jitter_s=0.02)])
    before = rows_of(tmp_path / "out.jsonl")
    code = forks.run(
        "tests.support:crashing_run",
        folder=str(tmp_path),
        log=str(tmp_path / "log"),
        point=point,
        when=when,
        topics=30,
        run={"ordered": True},
    )
    assert code == 9
    dataset = ordered(tmp_path, topics=30)
    dataset.generate([CountingProvider("m", log=tmp_path / "log")])
    assert topics_of(tmp_path) == list(range(30))
    assert same_rows(before, rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "log")) == 30
    assert not OutputPaths.of(tmp_path / "out.jsonl").journal.exists()
