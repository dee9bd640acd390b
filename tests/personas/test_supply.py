"""Personas that a dataset grows for its rows: when, by whom, within which budget, simulated or real, and after a kill."""

from __future__ import annotations

import itertools
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from datafast import RunStopped
from datafast.config_files.loader import load_project
from datafast.datasets import ConversationDataset, UltrachatDataset
from datafast.engine.events import PreparationStarted, RunEnded, RunStarted
from datafast.errors import ConfigError, OutputError
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request, Response
from datafast.llms.simulated.provider import SimulatedBackend
from datafast.schema.config import ConversationDatasetConfig, UltrachatDatasetConfig
from tests.personas.support import WHO, asked, asked_of, personas_of, provider, texts
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ForkServer, assert_balanced, rows_of, same_rows


def test_a_dataset_grows_its_personas_first_and_reports_both_together(server: FaultServer, tmp_path: Path) -> None:
    events: list[Any] = []
    dataset = texts(tmp_path, 30).generate([provider(server)], on_event=events.append)
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, report.calls) == (30, 30, 2 + 30)
    assert report.input_tokens == 32 * 11
    kinds = [type(event) for event in events if isinstance(event, PreparationStarted | RunStarted | RunEnded)]
    assert kinds == [PreparationStarted, RunStarted, RunEnded]
    again = texts(tmp_path, 30).generate([provider(server)])
    assert assert_balanced(again.report).calls == 0
    assert len(server.requests) == 32


def test_before_they_are_grown_rows_are_counted_and_estimated_with_as_many(tmp_path: Path) -> None:
    dataset = texts(tmp_path, 30)
    assert dataset.get_num_expected_rows(["any"]) == 30
    estimate = dataset.estimate([SimulatedProvider()])
    assert (estimate.rows, estimate.calls) == (30, 2 + 30)
    large = texts(tmp_path, 100_000, num_rows=100)
    assert large.get_num_expected_rows(["any"]) == 100
    assert large.estimate([SimulatedProvider()]).calls == pytest.approx(9_999 + 100, rel=0.02)
    assert not list(tmp_path.iterdir())


def test_they_are_grown_by_the_provider_that_is_named(server: FaultServer, tmp_path: Path) -> None:
    spec = {"provider": "openai_compatible", "model_id": "grower", "api_base": server.url}
    texts(tmp_path, 21, grow={"provider": spec}, num_rows=2).generate([provider(server)])
    assert [request.json["model"] for request in server.requests] == ["grower", "grower", "m", "m"]


def test_one_budget_holds_for_both(server: FaultServer, tmp_path: Path) -> None:
    for allowed, written in ((1, 0), (2, 0), (10, 8)):
        dataset = texts(tmp_path, 30, run={"max_calls": allowed, "max_concurrency": 1})
        with pytest.raises(RunStopped, match="max_calls"):
            dataset.generate([provider(server)])
        assert len(server.requests) == allowed
        assert dataset.report is not None
        assert (dataset.report.written, dataset.report.pending) == (written, 30 - written)
    texts(tmp_path, 30).generate([provider(server)])
    assert len(server.requests) == 32


def test_personas_in_a_file_of_their_own_are_grown_once_for_all(server: FaultServer, tmp_path: Path) -> None:
    for name in ("one", "two"):
        dataset = texts(
            tmp_path, 30, grow={"file": tmp_path / "people.json"}, output_file=tmp_path / f"{name}.jsonl", topics=[name]
        )
        dataset.generate([provider(server)])
        assert assert_balanced(dataset.report).written == 30
    assert len(asked(server)) == 2
    dataset.generate([provider(server)], fresh=True)
    assert len(asked(server)) == 2


def test_the_file_of_grown_personas_can_be_edited_and_given_as_a_list(server: FaultServer, tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    texts(tmp_path, 5, grow={"file": people}, num_rows=1).generate([provider(server)])
    record = json.loads(people.read_text(encoding="utf-8"))
    given = texts(tmp_path, personas=people, output_file=tmp_path / "given.jsonl").generate([provider(server)])
    assert personas_of(given) == sorted(record["personas"])
    people.write_text(json.dumps({**record, "personas": ["a pilot", *record["personas"][1:]]}), encoding="utf-8")
    edited = texts(tmp_path, 5, grow={"file": people}, output_file=tmp_path / "edited.jsonl")
    edited.generate([provider(server)])
    assert "a pilot" in personas_of(edited)
    assert len(asked(server)) == 1
    for broken in ('{"personas": [1], "grown_from": {}}', '{"personas": "x"}', "[]", "no"):
        people.write_text(broken, encoding="utf-8")
        with pytest.raises(ValueError, match=r"people\.json"):
            texts(tmp_path, personas=people)


def test_a_persona_that_was_blanked_in_the_file_is_named_and_nothing_is_sent(
    server: FaultServer, tmp_path: Path
) -> None:
    people = tmp_path / "people.json"
    texts(tmp_path, 5, grow={"file": people}, num_rows=1).generate([provider(server)])
    record = json.loads(people.read_text(encoding="utf-8"))
    record["personas"][2] = " "
    people.write_text(json.dumps(record), encoding="utf-8")
    before = len(server.requests)
    with pytest.raises(ConfigError, match=r"people\.json: personas\[2\] is blank\. Describe a person there\."):
        texts(tmp_path, 5, grow={"file": people}, output_file=tmp_path / "edited.jsonl").generate([provider(server)])
    assert len(server.requests) == before


def test_another_model_is_asked_only_for_the_personas_that_are_missing(server: FaultServer, tmp_path: Path) -> None:
    def named(request: Recorded) -> Answer:
        wanted = asked_of(request)
        if wanted is None:
            return Answer()
        people = [f"{request.json['model']}{wanted[0]}{chr(97 + n)}" for n in range(wanted[1])]
        return Answer(text=json.dumps({"personas": people}))

    server.respond = named
    texts(tmp_path, 25).generate([provider(server)])
    few = json.loads((tmp_path / "out.jsonl.personas.json").read_text(encoding="utf-8"))["personas"]
    other = {"provider": "openai_compatible", "model_id": "other", "api_base": server.url}
    more = texts(tmp_path, 40, grow={"provider": other})
    assert more.estimate([provider(server)]).calls == 1 + 15
    server.requests.clear()
    more.generate([provider(server)])
    grown = json.loads((tmp_path / "out.jsonl.personas.json").read_text(encoding="utf-8"))["personas"]
    assert grown[:25] == few
    assert all(person.startswith("other") for person in grown[30:])
    assert len(server.requests) == 1 + 15


def test_fresh_rows_grow_personas_of_their_own_anew(server: FaultServer, tmp_path: Path) -> None:
    for fresh in (False, True):
        texts(tmp_path, 30).generate([provider(server)], fresh=fresh)
    assert len(asked(server)) == 4
    assert list(tmp_path.glob("out.jsonl.personas.json.*.bak"))


@pytest.mark.filterwarnings("ignore:The config has changed")
def test_another_description_grows_others(server: FaultServer, tmp_path: Path) -> None:
    for describe in (WHO, "sailors"):
        texts(tmp_path, 5, grow={"describe": describe}).generate([provider(server)])
    assert len(asked(server)) == 2


def test_simulated_personas_never_meet_real_rows(server: FaultServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"personas\.provider: Simulated personas and real rows cannot be mixed"):
        texts(tmp_path, grow={"provider": "simulated/m"}).generate([provider(server)])
    shared = {"file": tmp_path / "people.json"}
    texts(tmp_path, grow=shared).generate([provider(server)], offline=True)
    with pytest.raises(OutputError, match=r"people\.json has personas that a simulated model has grown\. Name another"):
        texts(tmp_path, grow=shared, output_file=tmp_path / "other.jsonl").generate([provider(server)])
    texts(tmp_path, output_file=tmp_path / "own.jsonl").generate([provider(server)], offline=True)
    with pytest.raises(OutputError, match=r"has personas that a simulated model has grown\. Start over with --fresh"):
        texts(tmp_path, output_file=tmp_path / "own.jsonl").generate([provider(server)])
    assert not server.requests
    texts(tmp_path, output_file=tmp_path / "own.jsonl").generate([provider(server)], fresh=True)
    assert len(asked(server)) == 2


def test_a_list_of_personas_that_a_simulated_model_has_grown_is_warned_of(tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    texts(tmp_path, 3, grow={"file": people}).generate([SimulatedProvider()])
    with pytest.warns(match=r"people\.json: A simulated model has grown these personas\."):
        texts(tmp_path, personas=people)


def test_after_a_trial_the_estimate_has_what_is_still_to_be_grown(tmp_path: Path) -> None:
    for grow in ({}, {"topics": {"topic_prompt": "sea", "degree": 2, "depth": 1}}):
        config = ConversationDatasetConfig(
            **{"topics": ["tides", "ice"], **grow},
            personas={"describe": WHO, "count": 30},
            output_file=tmp_path / f"{len(grow)}.jsonl",
        )
        providers = [provider("http://127.0.0.1:1")]
        before = ConversationDataset(config).estimate(providers).calls
        assert before == len(grow) + 2 + 60
        ConversationDataset(config).generate(providers, offline=True)
        after = ConversationDataset(config).estimate(providers)
        assert after.calls == before
        assert "that a simulated model has grown. Start over with --fresh" in after.notes[0]


def test_secrets_of_the_provider_that_grows_them_are_in_no_file(server: FaultServer, tmp_path: Path) -> None:
    secret = "canary-header-0123456789"
    spec = {
        "provider": "openai_compatible",
        "model_id": "m",
        "api_base": server.url,
        "extra_headers": {"X-Auth": secret},
    }
    dataset = texts(tmp_path, 3, grow={"provider": spec}).generate([provider(server)])
    assert server.requests[0].headers["x-auth"] == secret
    card = str(dataset.config.model_dump(mode="json"))
    for data in [card.encode(), *(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())]:
        assert secret.encode() not in data


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.ledger"])
def test_a_file_of_personas_that_is_another_file_of_the_run_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"personas\.file: .*is also used as"):
        texts(tmp_path, grow={"file": tmp_path / name}).generate([SimulatedProvider()])


@pytest.mark.parametrize("field", ["personas", "topics"])
def test_the_output_of_a_dataset_is_no_file_to_grow_into(tmp_path: Path, field: str) -> None:
    other = tmp_path / "other.jsonl"
    texts(tmp_path, personas=["a pilot"], output_file=other).generate([SimulatedProvider()])
    before = other.read_bytes()
    grown: dict[str, Any] = {
        "personas": {"describe": WHO, "count": 3, "file": other},
        "topics": {"topic_prompt": "sea", "degree": 2, "depth": 1, "file": other},
    }
    config = ConversationDatasetConfig(**{"topics": ["tides"], field: grown[field]}, output_file=tmp_path / "out.jsonl")
    with pytest.raises(OutputError, match=rf"other\.jsonl is the output of .* the kind raw, and has no {field}\. Name"):
        ConversationDataset(config).generate([SimulatedProvider()])
    assert other.read_bytes() == before
    assert not list(tmp_path.glob("*stale*"))


def test_conversations_grow_personas_and_topics(tmp_path: Path) -> None:
    config = ConversationDatasetConfig(
        topics={"topic_prompt": "sea", "degree": 2, "depth": 1},
        personas={"describe": WHO, "count": 3},
        output_file=tmp_path / "out.jsonl",
    )
    dataset = ConversationDataset(config).generate([SimulatedProvider()])
    assert assert_balanced(dataset.report).written == 6
    assert dataset.report is not None
    assert dataset.report.calls == 1 + 1 + 6
    assert len({(row.metadata["topic"], row.metadata["persona"]) for row in dataset.data_rows}) == 6  # type: ignore[attr-defined]


def test_one_budget_holds_for_personas_topics_and_rows(tmp_path: Path) -> None:
    for allowed, told in ((1, "Growing the topic tree"), (2, "max_calls"), (5, "max_calls"), (8, None)):
        config = ConversationDatasetConfig(
            topics={"topic_prompt": "sea", "degree": 2, "depth": 1},
            personas={"describe": WHO, "count": 3},
            output_file=tmp_path / "out.jsonl",
            run={"max_calls": allowed, "max_concurrency": 1},  # type: ignore[arg-type]
        )
        dataset = ConversationDataset(config)
        if told is None:
            dataset.generate([SimulatedProvider()])
        else:
            with pytest.raises(RunStopped, match=told):
                dataset.generate([SimulatedProvider()])
        assert dataset.report is not None
        assert dataset.report.written == max(0, allowed - 2)


def test_chats_have_grown_personas_too(tmp_path: Path) -> None:
    for pair in (None, "all"):
        config = UltrachatDatasetConfig(
            topics_and_subtopics={"Tides": ["spring tides"]},
            personas={"describe": WHO, "count": 3},
            num_samples=3,
            pair=pair,
            output_file=tmp_path / f"{pair}.jsonl",
        )
        dataset = UltrachatDataset(config).generate([SimulatedProvider()])
        assert assert_balanced(dataset.report).written == (9 if pair else 3)
        assert dataset.personas is not None
        drawn = {row["persona"] for row in rows_of(tmp_path / f"{pair}.jsonl")}
        assert drawn == set(dataset.personas) if pair else drawn <= set(dataset.personas)


def test_a_limit_grows_all_of_them_and_writes_some_rows(server: FaultServer, tmp_path: Path) -> None:
    dataset = texts(tmp_path, 30).generate([provider(server)], limit=4)
    assert (len(asked(server)), len(dataset.data_rows)) == (2, 4)
    texts(tmp_path, 30).generate([provider(server)])
    assert len(server.requests) == 32


def test_more_personas_drawn_at_random_change_few_rows(server: FaultServer, tmp_path: Path) -> None:
    many = {"topics": [f"topic {number}" for number in range(200)], "pair": "random"}
    texts(tmp_path, 40, **many).generate([provider(server)])
    before = {row["metadata"]["topic"]: row["metadata"]["persona"] for row in rows_of(tmp_path / "out.jsonl")}
    server.requests.clear()
    with pytest.warns(match="The config has changed"):
        texts(tmp_path, 42, **many).generate([provider(server)])
    after = {row["metadata"]["topic"]: row["metadata"]["persona"] for row in rows_of(tmp_path / "out.jsonl")}
    changed = [topic for topic in before if before[topic] != after[topic]]
    assert len(changed) < 30
    assert len(server.requests) - len(asked(server)) == len(changed)


def test_from_yaml_the_same_personas_are_grown(server: FaultServer, tmp_path: Path) -> None:
    config = {
        "kind": "raw",
        "document_types": ["note"],
        "topics": ["tides"],
        "num_samples_per_prompt": 1,
        "personas": {"describe": WHO, "count": 30},
        "output_file": str(tmp_path / "out.jsonl"),
        "providers": [{"provider": "openai_compatible", "model_id": "m", "api_base": server.url}],
    }
    (tmp_path / "c.yaml").write_text(json.dumps(config), encoding="utf-8")
    project = load_project(tmp_path / "c.yaml")
    dataset = project.dataset()
    project.generate(dataset, {"progress": False})
    in_python = texts(tmp_path, 30)
    assert list(in_python.plan_for(project.routes).keys()) == list(dataset.plan_for(project.routes).keys())
    assert personas_of(in_python) == personas_of(dataset)  # type: ignore[arg-type]


# -- killed


def killed_run(folder: str, at: int) -> None:
    """A run whose process is gone when so many requests were sent."""
    sent, own = itertools.count(1), SimulatedBackend.complete

    async def complete(backend: SimulatedBackend, request: Request) -> Response:
        if next(sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return await own(backend, request)

    SimulatedBackend.complete = complete  # type: ignore[method-assign]
    texts(Path(folder), 60, run={"max_concurrency": 2}).generate([SimulatedProvider()])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("at", [1, 2, 4, 5, 6, 7, 40, 65])
def test_a_run_that_is_killed_while_growing_or_writing_ends_in_the_rows_of_one_run(
    children: ForkServer, tmp_path: Path, at: int
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = texts(tmp_path / "whole", 60).generate([SimulatedProvider()])
    assert whole.report is not None
    code = children.run("tests.personas.test_supply:killed_run", folder=str(tmp_path / "killed"), at=at)
    assert code == -signal.SIGKILL
    rest = texts(tmp_path / "killed", 60).generate([SimulatedProvider()])
    report = assert_balanced(rest.report)
    assert report.written == 60
    assert whole.report.calls - at <= report.calls <= whole.report.calls - at + 3
    assert same_rows(rows_of(tmp_path / "killed" / "out.jsonl"), rows_of(tmp_path / "whole" / "out.jsonl"))
    files = [tmp_path / name / "out.jsonl.personas.json" for name in ("whole", "killed")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_growth_that_stopped_goes_on_where_it_was(server: FaultServer, tmp_path: Path) -> None:
    server.answer_next(Answer(text=json.dumps({"personas": [f"one {n}" for n in range(20)]})), Answer(status=401))
    with suppress(RunStopped):
        texts(tmp_path, 60).generate([provider(server)])
    asked_before = len(server.requests)
    dataset = texts(tmp_path, 60).generate([provider(server)])
    assert assert_balanced(dataset.report).written == 60
    assert ("", 20) not in asked(server)[asked_before:]
