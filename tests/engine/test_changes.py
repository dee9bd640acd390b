"""What a changed config does to an output is said before it is done: what stays, what leaves and has cost, what is to buy."""

from __future__ import annotations

import asyncio
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datafast import Estimate, OpenAICompatibleProvider
from datafast.engine.changes import Change
from datafast.errors import DatafastWarning, OutputError
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.store.reader import LedgerReader
from tests.servers.fault_server import FaultServer
from tests.support import (
    CountingProvider,
    ForkServer,
    columns,
    die_at,
    fork_server,
    preference,
    raw,
    roles,
    rows_of,
    snapshot,
)

PRICE = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
CALL_USD = 11e-6 + 7 * 10e-6  # what the server counts for each reply
TEMPLATES = [
    f"{style} {{num_samples}} text in {{language_name}} as {{document_type}} about {{topic}}."
    for style in ("Write", "Compose", "Draft")
]


@pytest.fixture
def model(fault_server: FaultServer) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("m", api_base=fault_server.url, price=PRICE)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


class Watch:
    """An `on_change` that keeps what it is told."""

    def __init__(self, answer: bool = True) -> None:
        self.told: list[Estimate] = []
        self._answer = answer

    def __call__(self, ahead: Estimate) -> bool:
        self.told.append(ahead)
        return self._answer

    @property
    def change(self) -> Change:
        (ahead,) = self.told
        assert ahead.change is not None
        return ahead.change


def told(dataset: Any, providers: Any, **options: Any) -> tuple[Change, Estimate]:
    """What is said before the run, which then makes as many calls as it was said."""
    watch = Watch()
    dataset.generate(providers, on_change=watch, **options)
    assert dataset.report.calls == watch.told[0].calls
    assert dataset.report.pending == 0
    return watch.change, watch.told[0]


def test_one_changed_word_says_what_stays_what_leaves_and_what_it_has_cost(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    raw(tmp_path, prompts=TEMPLATES).generate([model])
    changed = raw(tmp_path, prompts=[TEMPLATES[0], TEMPLATES[1] + " Be brief.", TEMPLATES[2]])
    assert changed.estimate([model]).change is not None
    change, ahead = told(changed, [model])
    assert (change.rows_kept, change.rows_leaving, change.rows_remade, change.rows_returning) == (12, 6, 0, 0)
    assert change.calls_unused == 6
    assert change.cost_unused_usd == pytest.approx(6 * CALL_USD)
    assert change.removes_paid_rows
    assert (ahead.rows, ahead.calls) == (6, 6)
    assert ahead.sentences()[:3] == [
        "The config has changed: 12 rows stay, 6 leave.",
        "They move to out.jsonl.stale-<time>.",
        "Recorded replies that are not used any more: 6, cost $0.0005.",
    ]
    back, ahead = told(raw(tmp_path, prompts=TEMPLATES), [model])
    assert (back.rows_returning, back.rows_leaving, ahead.calls, ahead.rows) == (6, 6, 0, 6)


def test_without_a_callback_a_warning_says_it_before_anything_is_moved(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    raw(tmp_path, topics=4).generate([model])
    before = snapshot(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            DatafastWarning, match=r"1 row stays, 3 leave\. They move to out\.jsonl\.stale-<time>\. Recorded replies"
        ):
            raw(tmp_path, topics=1).generate([model])
    assert snapshot(tmp_path) == before
    with pytest.warns(DatafastWarning, match="1 row stays, 3 leave"):
        raw(tmp_path, topics=1).generate([model])


def test_a_no_leaves_every_byte_as_it_is_and_sends_nothing(
    tmp_path: Path, model: OpenAICompatibleProvider, fault_server: FaultServer
) -> None:
    raw(tmp_path, topics=4).generate([model])
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=r"out\.jsonl stays as it is, and nothing was sent"):
        raw(tmp_path, topics=["new"]).generate([model], on_change=Watch(answer=False))
    with pytest.raises(OutputError, match="stays as it is"):
        asyncio.run(raw(tmp_path, topics=["new"]).generate_async([model], on_change=Watch(answer=False)))
    assert snapshot(tmp_path) == before
    assert len(fault_server.requests) == 4
    assert raw(tmp_path, topics=4).generate([model]).report.calls == 0  # type: ignore[union-attr]


def test_nothing_is_said_where_nothing_changes(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    raw(tmp_path, topics=["a", "b", "c"]).generate([model])
    watch = Watch(answer=False)
    raw(tmp_path, topics=["a", "b", "c"]).generate([model], on_change=watch)
    raw(tmp_path, topics=["c", "a", "b"], run={"max_retries": 2}).generate([model], on_change=watch)
    raw(tmp_path, topics=["z"]).generate([model], on_change=watch, fresh=True)
    assert watch.told == []
    (tmp_path / "new").mkdir()
    raw(tmp_path / "new").generate([model], on_change=watch)
    assert watch.told == []


def test_what_is_new_is_said_with_its_cost_and_loses_nothing(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    raw(tmp_path, topics=["a", "b"]).generate([model])
    change, ahead = told(raw(tmp_path, topics=["a", "b", "c"]), [model])
    assert (change.rows_kept, change.rows_leaving, change.removes_paid_rows) == (2, 0, False)
    assert ahead.sentences()[0] == "The config has changed: 2 rows stay, 0 leave."
    assert ahead.sentences()[1].startswith("To make: 1 row with 1 call, cost $")


def test_rows_that_were_kept_and_are_not_to_stay_any_more_are_announced(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    raw(tmp_path, topics=4).generate([model])
    raw(tmp_path, topics=1, run={"removed": "keep"}).generate([model], on_change=Watch())
    before = snapshot(tmp_path)
    moving = raw(tmp_path, topics=1)
    with pytest.raises(OutputError, match="stays as it is"):
        moving.generate([model], on_change=Watch(answer=False))
    assert snapshot(tmp_path) == before
    change, ahead = told(raw(tmp_path, topics=1), [model])
    assert (change.rows_kept, change.rows_leaving, change.rows_no_longer_kept) == (1, 3, 3)
    assert change.removes_paid_rows
    assert ahead.sentences()[:2] == [
        "The config has changed: 1 row stays, 3 leave.",
        "They move to out.jsonl.stale-<time>.",
    ]
    assert len(rows_of(tmp_path / "out.jsonl")) == 1
    watch = Watch(answer=False)
    raw(tmp_path, topics=1).generate([model], on_change=watch)
    assert watch.told == []


def test_kept_rows_whose_items_are_back_do_not_leave(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    raw(tmp_path, topics=4).generate([model])
    raw(tmp_path, topics=1, run={"removed": "keep"}).generate([model], on_change=Watch())
    watch = Watch()
    report = raw(tmp_path, topics=3).generate([model], on_change=watch).report
    assert report is not None
    assert (watch.change.rows_kept, watch.change.rows_returning, watch.change.rows_leaving) == (1, 2, 1)
    assert (report.calls, report.written, len(rows_of(tmp_path / "out.jsonl"))) == (0, 3, 3)


def test_rows_that_stay_in_the_file_are_announced_as_such(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    raw(tmp_path, topics=4).generate([model])
    change, ahead = told(raw(tmp_path, topics=1, run={"removed": "keep"}), [model])
    assert change.leaving_stay_in_file
    assert "They stay in the file, counted apart (run.removed: keep)." in ahead.sentences()


def test_simulated_rows_are_not_paid_for(tmp_path: Path) -> None:
    raw(tmp_path, topics=4).generate([SimulatedProvider("m")])
    change, ahead = told(raw(tmp_path, topics=1), [SimulatedProvider("m")])
    assert (change.rows_leaving, change.removes_paid_rows) == (3, False)
    assert "replies" not in " ".join(ahead.sentences())


def test_a_model_without_a_price_counts_as_paid_for(tmp_path: Path, fault_server: FaultServer) -> None:
    unpriced = OpenAICompatibleProvider("m", api_base=fault_server.url)
    raw(tmp_path, topics=4).generate([unpriced])
    change, ahead = told(raw(tmp_path, topics=1), [unpriced])
    assert change.removes_paid_rows
    assert change.cost_unused_usd is None
    assert "Recorded replies that are not used any more: 3, cost unknown." in ahead.sentences()


def test_another_model_uses_none_of_the_replies(tmp_path: Path, fault_server: FaultServer) -> None:
    one, two = (OpenAICompatibleProvider(name, api_base=fault_server.url, price=PRICE) for name in ("one", "two"))
    raw(tmp_path).generate([one])
    change, ahead = told(raw(tmp_path), [two])
    assert (change.rows_leaving, change.rows_remade, change.calls_unused) == (6, 0, 6)
    assert (ahead.calls, ahead.replayed) == (6, 0)


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_replies_that_another_fan_out_uses_again_are_not_bought(
    tmp_path: Path, model: OpenAICompatibleProvider, fan_out: str
) -> None:
    raw(tmp_path, topics=8, run={"fan_out": "fallback" if fan_out == "split" else "split"}).generate([model])
    change, ahead = told(raw(tmp_path, topics=8, run={"fan_out": fan_out}), [model])
    assert (change.rows_leaving, change.rows_remade, change.removes_paid_rows) == (8, 8, False)
    assert (ahead.calls, ahead.replayed) == (0, 8)


def test_another_judge_loses_the_judging_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    model, judge = (OpenAICompatibleProvider(name, api_base=fault_server.url, price=PRICE) for name in ("m", "judge"))
    preference(tmp_path).generate_roles(roles(model, judge=model))
    change, ahead = told(preference(tmp_path), roles(model, judge=judge))
    assert (change.rows_kept, change.rows_leaving, change.rows_remade) == (0, 8, 0)
    assert (ahead.calls, change.calls_unused) == (16, 16)
    assert ahead.replayed == 4 + 8 + 8
    assert change.cost_unused_usd == pytest.approx(16 * CALL_USD)
    assert [part.calls for part in ahead.providers] == [{"question": 0, "chosen": 0, "rejected": 0}, {"judge": 16}]


SCHEMA: dict[str, Any] = {
    "n": {"type": "range", "start": 1, "end": 1000},
    "question": {"type": "text", "prompt": "Ask about {n}"},
    "answer": {"type": "text", "prompt": "Answer {question}"},
}


def test_an_added_column_is_bought_alone_and_the_rest_is_replayed(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    columns(tmp_path, SCHEMA, rows=30).generate({"default": model})
    more = {**SCHEMA, "title": {"type": "text", "prompt": "A title for {question}"}}
    change, ahead = told(columns(tmp_path, more, rows=30), {"default": model})
    assert (ahead.calls, ahead.replayed) == (30, 60)
    assert (change.rows_leaving, change.rows_remade, change.calls_unused) == (30, 0, 0)
    assert not change.removes_paid_rows
    assert ahead.sentences()[-1].startswith("To make: 30 rows with 30 calls and 60 recorded replies, cost $")
    fewer = {name: column for name, column in SCHEMA.items() if name != "answer"}
    change, ahead = told(columns(tmp_path, fewer, rows=30), {"default": model})
    assert (ahead.calls, ahead.replayed, change.rows_remade) == (0, 30, 30)
    assert change.calls_unused == 30
    assert change.removes_paid_rows  # the titles


def test_many_recorded_items_are_judged_by_some_of_them(tmp_path: Path) -> None:
    model = CountingProvider("m", log=tmp_path / "log")
    columns(tmp_path, SCHEMA, rows=700).generate({"default": model})
    more = {**SCHEMA, "title": {"type": "text", "prompt": "A title for {question}"}}
    dataset = columns(tmp_path, more, rows=1000)
    ahead = dataset.estimate({"default": model})
    assert (ahead.calls, ahead.replayed, ahead.rows) == (700 + 3 * 300, 1400, 1000)
    assert dataset.generate({"default": model}).report.calls == ahead.calls  # type: ignore[union-attr]


def test_fewer_rows_of_a_table_leave_by_their_number(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    columns(tmp_path, SCHEMA, rows=10).generate({"default": model})
    change, ahead = told(columns(tmp_path, SCHEMA, rows=4), {"default": model})
    assert (change.rows_kept, change.rows_leaving, change.calls_unused) == (4, 6, 12)
    assert ahead.sentences()[-1] == "Recorded replies that are not used any more: 12, cost $0.0010."


def test_a_source_of_which_one_row_changed_says_that_one_row_is_bought(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    def dataset(facts: list[str]) -> Any:
        source = [{"fact": fact} for fact in facts]
        fact = {"type": "source", "source": source, "column": "fact", "mode": "once"}
        return columns(tmp_path, {"fact": fact, "q": {"type": "text", "prompt": "Ask of {fact}"}}, rows=len(source))

    facts = [f"fact {number}" for number in range(40)]
    dataset(facts).generate({"default": model})
    change, ahead = told(dataset([*facts[:20], "mended", *facts[21:]]), {"default": model})
    assert (change.rows_kept, change.rows_leaving, ahead.calls) == (39, 1, 1)


def test_an_unfinished_item_asks_only_for_what_it_lacks(tmp_path: Path) -> None:
    model = CountingProvider("m", log=tmp_path / "log")
    dataset = preference(tmp_path, run={"max_calls": 9, "max_concurrency": 1})
    with pytest.raises(Exception, match="The budget is reached"):
        dataset.generate_roles(roles(model))
    rest = preference(tmp_path)
    ahead = rest.estimate(roles(model))
    assert rest.generate_roles(roles(model)).report.calls == ahead.calls == 4 * (1 + 2 + 2 + 4) - 9


def test_rows_made_of_replies_to_an_earlier_form_have_their_cost(
    tmp_path: Path, model: OpenAICompatibleProvider
) -> None:
    columns(tmp_path, SCHEMA, rows=5).generate({"default": model})
    fewer = {name: column for name, column in SCHEMA.items() if name != "answer"}
    columns(tmp_path, fewer, rows=5).generate({"default": model}, on_change=Watch())
    change, _ = told(columns(tmp_path, fewer, rows=1), {"default": model})
    assert (change.rows_leaving, change.calls_unused) == (4, 8)
    assert change.removes_paid_rows


def test_after_a_change_that_was_cut_off_the_estimate_still_knows_the_replies(tmp_path: Path) -> None:
    model = CountingProvider("m", log=tmp_path / "log")
    columns(tmp_path, SCHEMA, rows=10).generate({"default": model})
    more = {**SCHEMA, "title": {"type": "text", "prompt": "A title for {question}"}}
    columns(tmp_path, more, rows=10).generate({"default": model}, limit=3)
    dataset = columns(tmp_path, more, rows=10)
    ahead = dataset.estimate({"default": model})
    assert (ahead.change, ahead.calls, ahead.replayed) == (None, 7, 14)
    assert dataset.generate({"default": model}).report.calls == 7  # type: ignore[union-attr]
    assert len(rows_of(tmp_path / "out.jsonl")) == 10


def test_rows_beyond_a_smaller_number_leave_one_by_one(tmp_path: Path, model: OpenAICompatibleProvider) -> None:
    def dataset(num_rows: int) -> Any:
        return raw(tmp_path, topics=["a", "b", "c"], num_rows=num_rows, num_samples_per_prompt=4)

    dataset(20).generate([model])
    change, ahead = told(dataset(10), [model])
    assert (change.rows_kept, change.rows_leaving, ahead.calls, ahead.rows) == (10, 10, 0, 0)
    change, ahead = told(dataset(15), [model])
    assert change.rows_kept == 10
    assert ahead.rows == 5


def test_after_a_kill_a_change_is_still_announced(tmp_path: Path, server: ForkServer) -> None:
    crash = {
        "folder": str(tmp_path),
        "log": str(tmp_path / "log"),
        "point": "datafast.store.writer:Store.close",
        "when": "before",
    }
    assert server.run("tests.support:crashing_run", topics=40, **crash) == 9
    model = CountingProvider("m", log=tmp_path / "log")
    change, ahead = told(raw(tmp_path, topics=["topic 1", "new"]), [model])
    assert ahead.calls == 1
    assert 0 < change.rows_leaving < 40  # some replies may be in the journal alone


def test_replies_that_asked_for_more_rows_are_used_for_fewer(tmp_path: Path) -> None:
    model = CountingProvider("m", log=tmp_path / "log")
    raw(tmp_path, topics=4, num_samples_per_prompt=3).generate([model])
    change, ahead = told(raw(tmp_path, topics=["topic 1", "topic 2", "new"], num_samples_per_prompt=1), [model])
    assert (ahead.calls, ahead.replayed, change.rows_leaving, change.calls_unused) == (1, 2, 12, 2)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_said_is_what_happens_whatever_changes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(8):
        run = {
            "removed": chance.choice(["keep", "move"]),
            "ordered": chance.random() < 0.4,
            "fan_out": chance.choice(["all", "split", "fallback"]),
        }
        models = [CountingProvider(name, log=tmp_path / "log") for name in chance.sample("xy", chance.randint(1, 2))]
        topics = chance.sample("abcdefgh", chance.randint(1, 6))
        dataset = raw(
            tmp_path,
            topics=topics,
            run=run,
            num_samples_per_prompt=chance.choice([1, 3]),
            prompts=chance.choice([None, TEMPLATES]),
        )
        watch = Watch()
        expected = dataset.estimate(models)
        report = dataset.generate(models, on_change=watch).report
        assert report is not None
        assert (report.calls, report.pending, report.written) == (expected.calls, 0, report.requested)
        assert len(rows_of(tmp_path / "out.jsonl")) == report.written + report.removed
        if watch.told:
            assert watch.change == expected.change
            assert watch.change.rows_kept + watch.change.rows_returning <= report.written


# -- after a kill


def killed_run(folder: str, url: str) -> None:
    """A run whose replies are in its journal alone."""
    die_at("datafast.store.calls:CallTables.put", "before")
    raw(Path(folder), topics=4).generate([OpenAICompatibleProvider("m", api_base=url, price=PRICE)])


@pytest.fixture
def killed(tmp_path: Path, server: ForkServer, model: OpenAICompatibleProvider, fault_server: FaultServer) -> int:
    """The number of replies that are in the journal alone."""
    assert server.run(f"{__name__}:killed_run", folder=str(tmp_path), url=fault_server.url) == 9
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        assert reader.max_id("calls") == 0
        count = reader.unrecorded_replies(tmp_path / "out.jsonl.ledger-replies")
    assert count > 1
    return count


def test_replies_that_a_killed_run_left_in_its_journal_are_counted(
    tmp_path: Path, killed: int, model: OpenAICompatibleProvider
) -> None:
    before = {name: data for name, (data, _) in snapshot(tmp_path, "*[!m]").items()}
    ahead = raw(tmp_path, topics=4).estimate([model])
    assert (ahead.calls, ahead.replayed) == (4 - killed, killed)
    ahead = raw(tmp_path, topics=["new"]).estimate([model])
    assert ahead.change is not None
    assert ahead.change.calls_unused == killed
    assert ahead.change.cost_unused_usd == pytest.approx(killed * CALL_USD)
    left = raw(tmp_path, topics=4, run={"max_calls": killed + 1}).estimate([model])
    assert left.in_flight == 1
    assert {name: data for name, (data, _) in snapshot(tmp_path, "*[!m]").items()} == before
    report = raw(tmp_path, topics=4).generate([model]).report
    assert report is not None
    assert (report.written, report.calls) == (4, 4 - killed)


def test_a_damaged_journal_is_told_and_kept_and_costs_only_what_is_damaged(
    tmp_path: Path, killed: int, model: OpenAICompatibleProvider
) -> None:
    journal = tmp_path / "out.jsonl.ledger-replies"
    damaged = journal.read_bytes().replace(b'{"id":1,', b'}"id":1,')
    journal.write_bytes(damaged)
    with pytest.warns(
        DatafastWarning, match=r"ledger-replies is damaged in 1 place\. What stood there is bought again"
    ):
        report = raw(tmp_path, topics=4).generate([model]).report
    assert report is not None
    assert (report.written, report.calls) == (4, 4 - killed + 1)
    (kept,) = tmp_path.glob("*.damaged-*")
    assert kept.read_bytes() == damaged
    assert str(kept) in report.set_aside
