"""Topics that a dataset grows for its rows: when, by whom, within which budget, and simulated or real."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast import RunConfig, RunStopped
from datafast.engine.events import PreparationStarted, RunEnded, RunStarted
from datafast.engine.expected_usage import Span
from datafast.errors import ConfigError, DatafastWarning, OutputError
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.store import group_commit
from datafast.topics.build import grown_record
from tests import support
from tests.servers.fault_server import FaultServer
from tests.support import assert_balanced
from tests.topics.support import GROWN, LEAVES, ROOT, asked, asked_of, provider, refusing, subtopics, talk, tree

# -- as a part of a dataset


def test_a_dataset_grows_its_topics_first_and_reports_both_together(server: FaultServer, tmp_path: Path) -> None:
    events: list[Any] = []
    dataset = talk(tmp_path, GROWN)
    dataset.generate([provider(server)], on_event=events.append)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.input_tokens) == (4, 3 + 4, 7 * 11)
    assert [usage.input_tokens for usage in report.usage_by_provider.values()] == [7 * 11]
    assert sorted(row.metadata["topic_path"] for row in dataset.data_rows) == [" > ".join(path) for path in LEAVES]
    kinds = [type(event) for event in events if isinstance(event, PreparationStarted | RunStarted | RunEnded)]
    assert kinds == [PreparationStarted, RunStarted, RunEnded]
    assert dataset.topics.paths() == LEAVES
    again = talk(tmp_path, GROWN).generate([provider(server)])
    assert assert_balanced(again.report).calls == 0


def test_an_empty_ledger_of_a_run_that_died_at_once_is_no_hindrance(server: FaultServer, tmp_path: Path) -> None:
    dataset = talk(tmp_path, GROWN)
    Path(f"{dataset.config.output_file}.topics.json.ledger").touch()
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4


def test_a_dataset_whose_topics_fail_writes_nothing_and_goes_on_where_it_was(
    server: FaultServer, tmp_path: Path
) -> None:
    server.respond = refusing(f"{ROOT} 1")
    dataset = talk(tmp_path, GROWN)
    with pytest.raises(RunStopped, match="Growing the topic tree of 'sea': 1 of 2 topics"):
        dataset.generate([provider(server)])
    assert dataset.report is not None
    assert (dataset.report.requested, dataset.report.written, dataset.report.pending) == (4, 0, 4)
    server.respond = subtopics
    del server.requests[:]
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert asked(server) == [f"{ROOT} 1"]
    assert len(server.requests) == 1 + 4


def test_secrets_of_the_provider_that_grows_topics_are_sent_and_in_no_file(server: FaultServer, tmp_path: Path) -> None:
    secrets = [f"canary-{place}-0123456789" for place in ("query", "header", "extra")]
    spec = {
        "provider": "openai_compatible",
        "model_id": "m",
        "api_base": f"{server.url}/v1?api-key={secrets[0]}",
        "extra_headers": {"X-Auth": secrets[1]},
        "extra": {"options": {"token": secrets[2]}},
    }
    dataset = talk(tmp_path, {**GROWN, "provider": spec})
    dataset.generate([provider(server)])
    sent = server.requests[0]
    assert all(secret in f"{sent.target} {sent.headers} {sent.raw!r}" for secret in secrets)
    card = str(dataset.config.model_dump(mode="json"))
    for text in [card.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]:
        assert not [secret for secret in secrets if secret.encode() in text]
    again = talk(tmp_path, {**GROWN, "provider": spec}).generate([provider(server)])
    assert assert_balanced(again.report).calls == 0


def test_a_key_in_the_config_is_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Keys do not belong in a config") as caught:
        talk(tmp_path, {**GROWN, "provider": {"provider": "openai", "model_id": "m", "api_key": "canary-0123456789"}})
    assert "canary" not in str(caught.value)


def test_topics_that_several_datasets_share_are_grown_once(server: FaultServer, tmp_path: Path) -> None:
    topics = {**GROWN, "file": tmp_path / "shared.json"}
    for name in ("one", "two"):
        dataset = talk(tmp_path, topics, output_file=tmp_path / f"{name}.jsonl", instructions=name)
        dataset.generate([provider(server)])
        assert assert_balanced(dataset.report).written == 4
    assert len(asked(server)) == 3


def test_fresh_rows_about_shared_topics_leave_the_topics_alone(server: FaultServer, tmp_path: Path) -> None:
    topics = {**GROWN, "file": tmp_path / "shared.json"}
    talk(tmp_path, topics).generate([provider(server)])
    talk(tmp_path, topics).generate([provider(server)], fresh=True)
    assert (len(asked(server)), len(server.requests)) == (3, 3 + 4 + 4)


def test_fresh_rows_grow_topics_of_their_own_anew(server: FaultServer, tmp_path: Path) -> None:
    for fresh in (False, True):
        talk(tmp_path, GROWN).generate([provider(server)], fresh=fresh)
    assert len(asked(server)) == 6
    assert list(tmp_path.glob("out.jsonl.topics.json.*.bak"))


def test_a_tree_object_that_is_not_built_yet_is_grown_once_for_all_its_uses(
    server: FaultServer, tmp_path: Path
) -> None:
    unbuilt = tree(server)
    for name in ("one", "two"):
        talk(tmp_path, unbuilt, output_file=tmp_path / f"{name}.jsonl").generate([provider(server)])
    assert len(asked(server)) == 3
    assert unbuilt.paths() == LEAVES


def test_a_tree_object_keeps_its_own_provider_and_no_simulated_topics(server: FaultServer, tmp_path: Path) -> None:
    unbuilt = tree(server)
    talk(tmp_path, unbuilt).generate([OpenAIProvider()], offline=True)
    assert not server.requests
    assert not unbuilt.is_built


def test_topics_have_a_provider_of_their_own(server: FaultServer, tmp_path: Path) -> None:
    own = {"provider": "openai_compatible", "model_id": "grower", "api_base": server.url}
    talk(tmp_path, {**GROWN, "provider": own}).generate([provider(server)])
    assert Counter((request.json["model"], bool(asked_of(request))) for request in server.requests) == {
        ("grower", True): 3,
        ("m", False): 4,
    }


def test_nothing_is_grown_for_rows_that_could_not_be_written(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        talk(
            tmp_path, {**GROWN, "provider": {"provider": "openai_compatible", "model_id": "m", "api_base": server.url}}
        ).generate([OpenAIProvider()])
    assert not server.requests


def test_another_dataset_about_other_topics_in_the_same_place_grows_its_own(
    server: FaultServer, tmp_path: Path
) -> None:
    talk(tmp_path, GROWN).generate([provider(server)])
    dataset = talk(tmp_path, {**GROWN, "topic_prompt": "sky"})
    with pytest.warns(DatafastWarning, match="The config has changed: 0 rows stay, 4 leave"):
        dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert {row.metadata["topic"][:3] for row in dataset.data_rows} == {"sky"}


def test_a_concurrency_for_one_run_holds_for_growing_too(server: FaultServer, tmp_path: Path) -> None:
    # The second request waits for the third.
    server.respond = lambda request: subtopics(request, delay_s=0.02, until=lambda: len(server.requests) != 2)
    dataset = talk(tmp_path, {**GROWN, "degree": 6})
    dataset.generate([provider(server)], max_concurrency=2)
    assert server.max_in_flight == 2
    assert assert_balanced(dataset.report).written == 36


# -- budgets


def test_a_budget_of_calls_holds_for_topics_and_rows_together(server: FaultServer, tmp_path: Path) -> None:
    dataset = talk(tmp_path, GROWN, run=RunConfig(max_calls=5, max_concurrency=1))
    for _ in range(2):
        with pytest.raises(RunStopped):
            dataset.generate([provider(server)])
        assert len(server.requests) == 5
        assert assert_balanced(dataset.report).written == 2
    dataset = talk(tmp_path, GROWN, run=RunConfig(max_calls=7))
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4


def test_a_budget_that_is_used_up_by_the_topics_buys_no_row(server: FaultServer, tmp_path: Path) -> None:
    dataset = talk(tmp_path, GROWN, run=RunConfig(max_calls=2, max_concurrency=1))
    with pytest.raises(RunStopped):
        dataset.generate([provider(server)])
    assert len(server.requests) == 2
    assert dataset.report is not None
    assert dataset.report.written == 0


def test_topics_that_became_leaves_are_tried_again_with_the_failed_rows(server: FaultServer, tmp_path: Path) -> None:
    topics = {**GROWN, "on_error": "leaf"}
    server.respond = refusing(f"{ROOT} 1")
    dataset = talk(tmp_path, topics).generate([provider(server)])
    paths = dataset.topics.paths()
    assert paths == [[ROOT, f"{ROOT} 1"], *LEAVES[2:]]
    for _ in range(2):  # the second time nothing has come of it
        del server.requests[:]
        dataset = talk(tmp_path, topics).generate([provider(server)], retry_failed=True, on_change=lambda ahead: True)
        assert {*asked(server)} == {f"{ROOT} 1"}
        assert dataset.topics.paths() == paths
    server.respond = subtopics
    del server.requests[:]
    talk(tmp_path, topics).generate([provider(server)])
    assert server.requests == []
    dataset = talk(tmp_path, topics).generate([provider(server)], retry_failed=True, on_change=lambda ahead: True)
    assert asked(server) == [f"{ROOT} 1"]
    assert dataset.topics.paths() == LEAVES
    assert assert_balanced(dataset.report).written == 4
    del server.requests[:]
    talk(tmp_path, topics).generate([provider(server)], retry_failed=True)
    assert server.requests == []


def test_a_budget_in_dollars_counts_what_growing_has_cost(server: FaultServer, tmp_path: Path) -> None:
    priced = provider(
        server, price={"input_usd_per_million": 0.0, "output_usd_per_million": 1e6 / 7}, max_completion_tokens=7
    )
    dataset = talk(tmp_path, GROWN, run=RunConfig(budget_usd=5.5, max_concurrency=1))
    with pytest.raises(RunStopped):
        dataset.generate([priced])
    report = assert_balanced(dataset.report)
    assert (report.written, report.cost_usd) == (2, pytest.approx(5.0))


def test_a_shared_file_counts_once_for_the_dataset_that_bought_it(server: FaultServer, tmp_path: Path) -> None:
    topics = {**GROWN, "file": tmp_path / "shared.json"}

    def dataset(name: str, max_calls: int, **changed: Any) -> Any:
        output = tmp_path / f"{name}.jsonl"
        return talk(tmp_path, {**topics, **changed}, output_file=output, run=RunConfig(max_calls=max_calls))

    for name, max_calls in (("first", 3 + 4), ("second", 4), ("third", 4)):
        made = dataset(name, max_calls).generate([provider(server)])
        assert assert_balanced(made.report).written == 4
    assert len(server.requests) == 3 + 3 * 4
    # The first one has used 7 of its 8, so it buys one of the four that are missing now; the second one buys the others.
    with pytest.raises(RunStopped, match="8 of 8 used"):
        dataset("first", 8, depth=3).generate([provider(server)], on_change=lambda ahead: True)
    deeper = dataset("second", 4 + 3 + 8, depth=3).generate([provider(server)], on_change=lambda ahead: True)
    assert assert_balanced(deeper.report).written == 8


def test_topics_that_were_grown_for_none_count_for_none(server: FaultServer, tmp_path: Path) -> None:
    file = tmp_path / "shared.json"
    tree(server, path=file).build()
    dataset = talk(tmp_path, {**GROWN, "file": file}, run=RunConfig(max_calls=4)).generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert len(server.requests) == 3 + 4


# -- what growing will cost


def test_an_estimate_has_the_calls_that_grow_topics_with_their_price(server: FaultServer, tmp_path: Path) -> None:
    priced = provider(server, price={"input_usd_per_million": 1.0, "output_usd_per_million": 10.0})
    estimate = talk(tmp_path, GROWN).estimate([priced])
    growing, talking = estimate.providers
    assert (growing.calls, list(talking.calls.values())) == ({"topics": 3}, [4])
    assert growing.output_tokens == Span(3 * 2 * 5, 3 * 2 * 12, 3 * 2 * 25)
    assert growing.cost_usd is not None
    assert 0 < growing.cost_usd.low < growing.cost_usd.expected < growing.cost_usd.high
    assert estimate.cost_usd is not None
    assert talking.cost_usd is not None
    assert estimate.cost_usd.expected == pytest.approx(growing.cost_usd.expected + talking.cost_usd.expected)
    assert not server.requests
    report = talk(tmp_path, GROWN).generate([priced]).report
    assert assert_balanced(report).calls == estimate.calls == 7
    assert talk(tmp_path, GROWN).estimate([priced]).calls == 0


def test_a_large_model_is_priced_by_its_first_levels(tmp_path: Path) -> None:
    estimate = talk(tmp_path, {**GROWN, "degree": 10, "depth": 4}).estimate([SimulatedProvider()])
    assert estimate.providers[0].calls == {"topics": 1111}


# -- simulated and real


def test_simulated_topics_are_not_taken_for_real_rows(server: FaultServer, tmp_path: Path) -> None:
    talk(tmp_path, GROWN).generate([provider(server)], offline=True)
    other = talk(tmp_path, GROWN, output_file=tmp_path / "out.jsonl")
    with pytest.raises(OutputError, match=r"a simulated model has grown.*--fresh"):
        other.generate([provider(server)])
    assert not server.requests
    other.generate([provider(server)], fresh=True)
    assert assert_balanced(other.report).written == 4
    assert not other.report.simulated  # type: ignore[union-attr]


def test_shared_topics_that_are_simulated_are_refused_with_the_command_for_real_ones(
    server: FaultServer, tmp_path: Path
) -> None:
    topics = {**GROWN, "file": tmp_path / "shared.json"}
    talk(tmp_path, topics).generate([SimulatedProvider()])
    with pytest.raises(OutputError, match="datafast topics build"):
        talk(tmp_path, topics, output_file=tmp_path / "real.jsonl").generate([provider(server)])


def test_simulated_topics_for_real_rows_are_refused(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be mixed"):
        talk(tmp_path, {**GROWN, "provider": "simulated"}).generate([provider(server)])
    with pytest.raises(ConfigError, match="cannot be mixed"):
        talk(tmp_path, tree(server, provider=SimulatedProvider())).generate([provider(server)])
    assert not server.requests


def test_a_real_provider_of_topics_is_simulated_along_with_the_rows(server: FaultServer, tmp_path: Path) -> None:
    dataset = talk(tmp_path, tree(server))
    dataset.generate([SimulatedProvider()])
    assert assert_balanced(dataset.report).written == 4
    assert not server.requests


# -- before it is grown


def test_before_growing_rows_are_counted_and_estimated_with_topics_of_the_same_number(tmp_path: Path) -> None:
    for shape in ("tree", "graph"):
        dataset = talk(tmp_path, {**GROWN, "degree": 3, "shape": shape})
        assert dataset.get_num_expected_rows(["any"]) == 9
        assert dataset.estimate([SimulatedProvider()]).to_dict()["rows"] == 9
    assert not list(tmp_path.iterdir())


# -- killed when the topics are in their file, and their ledger does not know yet


def grow_and_die(url: str, folder: str, point: str, when: str) -> None:
    """Run in a forked child."""
    group_commit._FLUSH_S = 600.0  # type: ignore[misc]  # all is saved at once, when the topics are in their file
    support.die_at(point, when)
    talk(Path(folder), GROWN).generate([provider(url)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize(
    ("point", "when"),
    [
        ("datafast.store.appends:AppendTable.put", "before"),
        ("datafast.store.appends:AppendTable.put", "after"),
        ("datafast.store.ledger:Ledger.checkpoint", "before"),
    ],
)
def test_a_kill_after_the_topics_are_written_loses_no_call_of_the_budget(
    server: FaultServer, tmp_path: Path, point: str, when: str
) -> None:
    with support.fork_server() as forks:
        code = forks.run(
            "tests.topics.test_supply:grow_and_die", url=server.url, folder=str(tmp_path), point=point, when=when
        )
    assert code == 9
    assert grown_record(talk(tmp_path, GROWN).topic_supply.config, tmp_path / "out.jsonl.topics.json") is not None
    assert len(server.requests) == 3
    dataset = talk(tmp_path, GROWN, run={"max_calls": 6, "max_concurrency": 1})
    with pytest.raises(RunStopped, match="max_calls"):
        dataset.generate([provider(server)])
    assert len(server.requests) == 6
    assert not (tmp_path / "out.jsonl.topics.json.ledger-replies").exists()
    dataset = talk(tmp_path, GROWN, run={"max_calls": 7})
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert len(server.requests) == 7


def test_the_log_says_what_grows(server: FaultServer, tmp_path: Path) -> None:
    from datafast import configure_logger

    configure_logger(log_file=tmp_path / "log.txt")
    talk(tmp_path, GROWN).generate([provider(server)])
    log = (tmp_path / "log.txt").read_text("utf-8")
    assert "Growing the topic tree of 'sea' with openai_compatible/m. It is going to be in" in log
    assert "1 rows requested" not in log
    assert "4 rows requested" in log
