"""How a model grows personas: exactly so many, all different, in the same order whatever arrives when, and never paid for twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from datafast.errors import RunStopped
from datafast.schema.config import PersonasConfig
from tests.personas.support import WHO, asked, asked_of, people, personas_of, prompt_of, provider, texts
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced


def record(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "out.jsonl.personas.json").read_text(encoding="utf-8"))["personas"]
    return found


def test_exactly_as_many_are_grown_by_few_calls(server: FaultServer, tmp_path: Path) -> None:
    dataset = texts(tmp_path, 45).generate([provider(server)])
    assert asked(server)[0] == ("", 20)
    assert sorted(asked(server)[1:]) == [("xa", 10), ("xb", 10), ("xc", 10)]
    assert len(record(tmp_path)) == len(set(record(tmp_path))) == 45
    assert personas_of(dataset) == sorted(record(tmp_path))
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls) == (45, 4 + 45)


def test_a_thousand_take_three_rounds(server: FaultServer, tmp_path: Path) -> None:
    delays = random.Random(1)
    # After the first round, none is answered before many are asked for at once.
    server.respond = lambda request: people(
        request,
        delay_s=delays.uniform(0, 0.02),
        until=lambda: len(server.requests) == 1 or server.max_in_flight > 10,
    )
    dataset = texts(tmp_path, 1000, num_rows=5, run={"max_concurrency": 50})
    dataset.generate([provider(server)])
    found = record(tmp_path)
    assert len(set(found)) == 1000
    assert found == sorted(found, key=lambda persona: (len(persona), persona))  # as if the replies had come one by one
    assert len(asked(server)) == 1 + 98
    assert server.max_in_flight > 10


def test_prompts_say_who_is_wanted_and_who_is_there_already(server: FaultServer, tmp_path: Path) -> None:
    texts(tmp_path, 25, grow={"system_prompt": "You know everybody."}, num_rows=1).generate([provider(server)])
    first, second = (prompt_of(request) for request in server.requests[:2])
    assert WHO in first
    assert WHO in second
    assert "without a name" in first
    assert "- xb\n" in second
    assert "- xa\n" not in second
    assert server.requests[0].json["messages"][0] == {"role": "system", "content": "You know everybody."}


def test_those_that_are_alike_are_one_and_others_are_asked_for(server: FaultServer, tmp_path: Path) -> None:
    same = [
        "1. A retired ferryman who dictates long letters to his grandson every Sunday.",
        "a retired ferryman who dictates long letters to his GRANDSON every sunday",
        "The retired ferryman who dictates long letters to his grandson, and signs them twice",
        "Persona 4: A retired ferryman who dictates long letters to his grandson.",
        "Person 5. A retired\n ferryman who writes short notes",
        "  ",
        "東京の漁師",
        "東京の漁師。",
        "東京の教師",
    ]

    def respond(request: Recorded) -> Answer:
        found = asked_of(request)
        if found is None or "already" in prompt_of(request):
            return people(request)
        return Answer(text=json.dumps({"personas": same}))

    server.respond = respond
    texts(tmp_path, 20, num_rows=1).generate([provider(server)])
    assert record(tmp_path)[:4] == [
        "A retired ferryman who dictates long letters to his grandson every Sunday.",
        "A retired ferryman who writes short notes",
        "東京の漁師",
        "東京の教師",
    ]
    assert len(record(tmp_path)) == 20
    assert asked(server) == [("", 20), ("", 16)]


@pytest.mark.filterwarnings("ignore:The config has changed. 20 rows stay, 180 leave")
def test_more_of_them_begin_with_those_that_are_there_and_cost_only_the_rest(
    server: FaultServer, tmp_path: Path
) -> None:
    texts(tmp_path, 33).generate([provider(server)])
    few = record(tmp_path)
    server.requests.clear()
    more = texts(tmp_path, 200)
    assert more.estimate([provider(server)]).calls == 16 + 167
    more.generate([provider(server)])
    assert record(tmp_path)[:33] == few
    assert len(asked(server)) == 1 + 18 - 3
    assert len(server.requests) == 16 + 167
    server.requests.clear()
    fewer = texts(tmp_path, 20).generate([provider(server)])
    assert personas_of(fewer) == sorted(few[:20])
    assert not server.requests


def test_people_who_lead_to_nobody_are_passed_over(server: FaultServer, tmp_path: Path) -> None:
    def respond(request: Recorded) -> Answer:
        found = asked_of(request)
        return Answer(text="I cannot.") if found is not None and found[0] in ("xa", "xc") else people(request)

    server.respond = respond
    dataset = texts(tmp_path, 45, run={"max_parse_retries": 0}).generate([provider(server)])
    assert assert_balanced(dataset.report).written == 45
    assert record(tmp_path)[20:30] == [f"xb{chr(97 + n)}" for n in range(10)]


def test_a_last_call_that_fails_is_made_up_for_by_the_next_one(server: FaultServer, tmp_path: Path) -> None:
    server.respond = lambda request: (
        Answer(text="I cannot.") if (asked_of(request) or ("",))[0] in ("xa", "xb") else people(request)
    )
    texts(tmp_path, 25, num_rows=1, run={"max_parse_retries": 0}).generate([provider(server)])
    assert record(tmp_path)[20:] == [f"xc{chr(97 + n)}" for n in range(5)]


def test_a_model_that_describes_nobody_is_given_up_and_asked_again_by_the_next_run(
    server: FaultServer, tmp_path: Path
) -> None:
    server.respond = lambda request: Answer(text="I cannot.") if (asked_of(request) or ("",))[0] else people(request)
    with pytest.raises(RunStopped, match=r"Only 20 of 25 personas .* 3 calls failed for good, the last one: "):
        texts(tmp_path, 25, num_rows=1, run={"max_parse_retries": 0}).generate([provider(server)])
    assert len(asked(server)) == 4
    server.respond = people
    server.requests.clear()
    texts(tmp_path, 25, num_rows=1, run={"max_parse_retries": 0}).generate([provider(server)])
    assert [whom for whom, _ in asked(server)] == ["xa"]


def test_too_few_different_ones_stop_the_run_and_say_what_to_do(server: FaultServer, tmp_path: Path) -> None:
    def respond(request: Recorded) -> Answer:
        return people(request) if asked_of(request) is None else Answer(text=json.dumps({"personas": ["a", "b"]}))

    server.respond = respond
    dataset = texts(tmp_path, 30)
    with pytest.raises(RunStopped, match=r"Growing 30 personas: .*Only 2 of 30 personas are different from each other"):
        dataset.generate([provider(server)])
    assert dataset.report is not None
    assert (dataset.report.requested, dataset.report.written, dataset.report.pending) == (30, 0, 30)
    assert not list(tmp_path.glob("out.jsonl"))


def test_a_server_that_fails_for_a_while_costs_time_alone(server: FaultServer, tmp_path: Path) -> None:
    server.answer_next(Answer(status=500), Answer(status=429, headers={"Retry-After": "0"}), Answer(cut_after=20))
    dataset = texts(tmp_path, 30, num_rows=3).generate([provider(server)])
    assert assert_balanced(dataset.report).written == 3
    assert len(record(tmp_path)) == 30


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"describe": "x"}, r"count: The field is missing\."),
        ({"count": 3}, r"describe: The field is missing\."),
        ({"describe": " ", "count": 3}, "must not be blank"),
        ({"describe": "x", "count": 0}, "count"),
        ({"describe": "x", "count": 100_001}, "count"),
        ({"describe": "x", "count": 3, "file": "a", "degree": 2}, "degree"),
        ({"describe": "x", "count": 3, "provider": "nobody/m"}, "provider: There is no provider 'nobody'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)personas.*{told}"):
        texts(tmp_path, personas=fields)


def test_a_key_among_them_is_refused_without_being_shown(tmp_path: Path) -> None:
    spec = {"provider": "openai", "model_id": "m", "api_key": "canary-0123456789"}
    with pytest.raises(ValueError, match="Keys do not belong in a config") as caught:
        texts(tmp_path, grow={"provider": spec})
    assert "canary" not in str(caught.value)
    with pytest.raises(ValueError, match="Keys do not belong in a config") as caught:
        PersonasConfig(describe="x", count=1, provider=spec)
    assert "canary" not in str(caught.value)
