"""Topic models that a language model grows: what it is asked, what becomes of its answers, and what is never paid for twice."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from datafast import ConversationDataset, Graph, RunConfig, RunStopped, Tree, logger_config
from datafast.cli.main import cli
from datafast.engine.events import PreparationStarted, RunEnded, RunStarted
from datafast.errors import ConfigError, OutputError, TopicsError
from datafast.llms import OpenAICompatibleProvider, OpenAIProvider, SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig, TopicsConfig
from tests import support
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ForkServer, assert_balanced, fork_server, rows_of

_ASKED = re.compile(r"Propose exactly (\d+) subtopics? of '(.+?)'")
ROOT = "sea"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def question(request: Recorded) -> str:
    """The first thing that the user says; a model that is asked again hears it once more."""
    return next(message["content"] for message in request.json["messages"] if message["role"] == "user")


def asked_of(request: Recorded) -> tuple[str, int] | None:
    """The topic that a request wants to have divided, and into how many; None for one that asks for conversations."""
    found = _ASKED.search(question(request))
    return (found[2], int(found[1])) if found else None


def subtopics(request: Recorded, **more: Any) -> Answer:
    """The subtopics 1, 2, ... of a topic, which carry its name; conversations where these are asked for."""
    asked = asked_of(request)
    if asked is None:
        return Answer(**more)
    topic, number = asked
    return Answer(text=json.dumps({"subtopics": [f"{topic} {n}" for n in range(1, number + 1)]}), **more)


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    fault_server.respond = subtopics
    return fault_server


def asked(server: FaultServer) -> list[str]:
    """The topics that were to be divided, in the order of the requests."""
    return [found[0] for request in server.requests if (found := asked_of(request))]


def provider(server: FaultServer | str, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("m", api_base=server if isinstance(server, str) else server.url, **options)


def tree(server: FaultServer, shape: type[Tree] | type[Graph] = Tree, **options: Any) -> Any:
    fields = {"topic_prompt": ROOT, "degree": 2, "depth": 2, "provider": provider(server), **options}
    return shape(**fields)


def talk(folder: Path, topics: Any, **fields: Any) -> ConversationDataset:
    given = {"output_file": folder / "out.jsonl", **fields}
    return ConversationDataset(ConversationDatasetConfig(topics=topics, **given))


GROWN = {"topic_prompt": ROOT, "degree": 2, "depth": 2}
LEAVES = [[ROOT, f"{ROOT} {one}", f"{ROOT} {one} {two}"] for one in (1, 2) for two in (1, 2)]


# -- what is asked


def test_a_tree_grows_level_by_level_from_its_root(server: FaultServer) -> None:
    grown = tree(server).build()
    assert grown.paths() == LEAVES
    assert asked(server)[0] == ROOT
    assert sorted(asked(server)) == [ROOT, f"{ROOT} 1", f"{ROOT} 2"]
    assert grown.report.calls == grown.config.num_calls == 3


def test_a_tree_is_built_in_any_event_loop(server: FaultServer) -> None:
    assert asyncio.run(tree(server).build_async()).paths() == LEAVES


def test_each_prompt_carries_the_way_to_its_topic_and_the_number_in_words(server: FaultServer) -> None:
    tree(server, degree=1, depth=3, topic_system_prompt="You know the sea.").build()
    prompts = [request.prompt for request in server.requests]
    assert [f"{ROOT} > {ROOT} 1" in prompt for prompt in prompts] == [False, True, True]
    assert f"{ROOT} > {ROOT} 1 > {ROOT} 1 1" in prompts[2]
    assert all("exactly 1 subtopic of" in prompt for prompt in prompts)
    for request in server.requests:
        assert request.json["messages"][0] == {"role": "system", "content": "You know the sea."}


def test_the_schema_asks_for_exactly_as_many_subtopics(server: FaultServer) -> None:
    tree(server, degree=5, depth=1).build()
    listed = server.requests[0].json["response_format"]["json_schema"]["schema"]["properties"]["subtopics"]
    assert "exactly 5" in listed["description"]


def test_the_model_temperature_and_timeout_of_a_named_provider_are_used(server: FaultServer) -> None:
    options = {"provider": "openai", "model_name": "gpt-x", "temperature": 0.3, "api_base": server.url, "api_key": "k"}
    assert tree(server, **options).build().paths() == LEAVES
    assert {(request.json["model"], request.json["temperature"]) for request in server.requests} == {("gpt-x", 0.3)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"degre": 3}, "degre: there is no such parameter; did you mean 'degree'"),
        ({"degree": 0}, "degree: "),
        ({"depth": 13}, "depth: "),
        ({"degree": 100, "depth": 3}, "more than 200,000; lower one of them"),
        ({"topic_prompt": " "}, "topic_prompt: .*blank"),
        ({"on_error": "skip"}, "on_error: "),
        ({"provider": "opnai"}, "openai"),
        ({"provider": SimulatedProvider(), "model_name": "m"}, "model_name: the provider is given as an object"),
    ],
)
def test_wrong_parameters_are_refused_by_name(server: FaultServer, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tree(server, **wrong)
    assert not server.requests


# -- how it is run


@pytest.mark.parametrize("concurrency", [1, 5])
def test_all_topics_of_a_level_are_asked_for_at_once_within_the_concurrency_of_the_run(
    server: FaultServer, concurrency: int
) -> None:
    server.respond = lambda request: subtopics(request, delay_s=0.03)
    tree(server, degree=8, depth=2, run=RunConfig(max_concurrency=concurrency)).build()
    assert server.max_in_flight == concurrency


def test_a_concurrency_for_one_run_holds_for_growing_too(server: FaultServer, tmp_path: Path) -> None:
    server.respond = lambda request: subtopics(request, delay_s=0.02)
    dataset = talk(tmp_path, {**GROWN, "degree": 6})
    dataset.generate([provider(server)], max_concurrency=2)
    assert server.max_in_flight == 2
    assert assert_balanced(dataset.report).written == 36


def test_server_errors_and_rate_limits_are_waited_out(server: FaultServer) -> None:
    server.answer_next(Answer(status=500), Answer(status=429, headers={"Retry-After": "0"}), Answer(drop=True))
    grown = tree(server, degree=3).build()
    assert (grown.num_leaves, grown.report.calls, grown.report.retries) == (9, 4, 3)
    assert len(server.requests) == 7


def test_a_failed_build_leaves_a_tree_as_it_was_before(server: FaultServer) -> None:
    grown = tree(server).build()
    server.respond = lambda request: Answer(text="no")
    with pytest.raises(TopicsError):
        grown.build(fresh=True)
    assert grown.paths() == LEAVES


def test_a_tree_without_a_file_leaves_nothing_behind(server: FaultServer) -> None:
    grown = tree(server).build()
    folder = grown._builder.path.parent
    assert folder.is_dir()
    del grown
    gc.collect()
    assert not folder.exists()


def test_building_again_makes_no_call(server: FaultServer, tmp_path: Path) -> None:
    for options in ({}, {"path": tmp_path / "t.json"}):
        grown = tree(server, **options).build()
        asked_before = len(server.requests)
        assert grown.build().report.calls == 0
        assert len(server.requests) == asked_before
    assert tree(server, path=tmp_path / "t.json").build().paths() == LEAVES
    assert len(server.requests) == asked_before


def test_the_file_of_a_grown_tree_loads_as_a_given_one(server: FaultServer, tmp_path: Path) -> None:
    tree(server, path=tmp_path / "t.json").build()
    assert Tree.load(tmp_path / "t.json").paths() == LEAVES


def test_a_deeper_tree_asks_only_for_its_new_level(server: FaultServer, tmp_path: Path) -> None:
    tree(server, path=tmp_path / "t.json").build()
    del server.requests[:]
    deeper = tree(server, path=tmp_path / "t.json", depth=3).build()
    assert sorted(asked(server)) == [path[-1] for path in LEAVES]
    assert deeper.num_leaves == 8


# -- what becomes of the answers


def test_short_lists_are_topped_up_with_what_is_there_already_named(server: FaultServer) -> None:
    names = iter("abcdefgh")
    server.respond = lambda request: Answer(text=json.dumps({"subtopics": [next(names), next(names)]}))
    grown = tree(server, degree=4, depth=1).build()
    assert grown.leaves() == ["a", "b", "c", "d"]
    assert [asked_of(request) for request in server.requests] == [(ROOT, 4), (ROOT, 2)]
    assert "- a\n- b" in server.requests[1].prompt


def test_a_list_that_stays_short_is_kept_as_it_is(server: FaultServer) -> None:
    server.respond = lambda request: Answer(text='{"subtopics": ["a", "A.", "sea"]}')
    grown = tree(server, degree=4, depth=1).build()
    assert grown.leaves() == ["a"]
    assert len(server.requests) == 4


def test_more_subtopics_than_asked_for_are_left_out(server: FaultServer) -> None:
    server.respond = lambda request: Answer(text=json.dumps({"subtopics": [f"t{n}" for n in range(50)]}))
    assert tree(server, degree=3, depth=1).build().leaves() == ["t0", "t1", "t2"]


def test_subtopics_are_cleaned_of_numbers_bullets_and_line_breaks(server: FaultServer) -> None:
    server.respond = lambda request: Answer(
        text=json.dumps(
            {"subtopics": ["1. Spring\n tides", "- Neap tides", "  ", "\u2022 Ice", "1984 and after", "-40 degrees"]}
        )
    )
    leaves = tree(server, degree=5, depth=1).build().leaves()
    assert leaves == ["Spring tides", "Neap tides", "Ice", "1984 and after", "-40 degrees"]


def test_an_answer_of_blanks_is_asked_for_again(server: FaultServer) -> None:
    server.answer_next(Answer(text='{"subtopics": [" ", ""]}'), Answer(text='{"subtopics": []}'))
    assert tree(server).build().paths() == LEAVES
    assert len(server.requests) == 5


def test_a_topic_proposed_in_two_branches_of_a_tree_stays_in_the_first(server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        topic, _ = asked_of(request) or ("", 0)
        below = ["Shared topic", f"of {topic}"] if topic != ROOT else ["one", "two"]
        return Answer(text=json.dumps({"subtopics": below}), delay_s=0.05 if topic == "one" else 0)

    server.respond = respond
    grown = tree(server).build()
    assert grown.paths() == [[ROOT, "one", "Shared topic"], [ROOT, "one", "of one"], [ROOT, "two", "of two"]]
    assert grown.merged == 1


def meeting(request: Recorded, chance: random.Random) -> Answer:
    """Answers that depend on the topic alone and meet each other in many places; they come in any order."""
    topic, number = asked_of(request) or ("", 0)
    own = random.Random(topic)
    reply = {"subtopics": [f"thing {own.randrange(30)}" for _ in range(number)]}
    offered = re.findall(r"^- (.+)$", request.prompt.split("`related`")[-1], re.MULTILINE)
    if "`related`" in request.prompt:
        reply["related"] = own.sample(offered, min(2, len(offered)))
    return Answer(text=json.dumps(reply), delay_s=chance.uniform(0, 0.02))


@pytest.mark.parametrize("shape", [Tree, Graph])
def test_what_grows_does_not_depend_on_the_order_of_replies(server: FaultServer, shape: type[Tree]) -> None:
    grown = []
    for seed in range(3):
        chance = random.Random(seed)
        server.respond = lambda request, chance=chance: meeting(request, chance)  # type: ignore[misc]
        run = RunConfig(max_concurrency=(1, 4, 32)[seed])
        grown.append(tree(server, shape, degree=4, depth=3, run=run).build().to_dict())
    assert grown[0] == grown[1] == grown[2]
    assert grown[0]["merged"] > 5


def test_a_graph_links_topics_that_are_named_as_related_and_no_others(server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        topic, number = asked_of(request) or ("", 0)
        below = {ROOT: ["Ice", "Snow"]}.get(topic, [f"{topic} {n}" for n in range(number)])
        related = {"Ice": ["Snow", "No such topic"], "Snow": ["Ice", ROOT]}.get(topic, [])
        return Answer(text=json.dumps({"subtopics": below, "related": related}))

    server.respond = respond
    grown = tree(server, Graph).build()
    assert [ROOT, "Ice", "Snow", "Snow 0"] in grown.paths()
    # The other way round, and to the root, the links would lead in a circle.
    assert grown.refused_links == [("Snow", "Ice"), ("Snow", ROOT)]
    assert grown.num_leaves == 4
    offered = [r.prompt.split("`related`")[-1] for r in server.requests if asked_of(r) == ("Ice", 2)]
    assert "- Snow" in offered[0]
    assert f"- {ROOT}" not in offered[0]


def test_a_grown_graph_comes_back_from_its_file_with_what_was_refused(server: FaultServer, tmp_path: Path) -> None:
    chance = random.Random(1)
    server.respond = lambda request: meeting(request, chance)
    grown = tree(server, Graph, degree=4, depth=3, path=tmp_path / "g.json").build()
    assert Graph.load(tmp_path / "g.json").to_dict() == grown.to_dict()
    assert grown.refused_links


# -- topics that cannot be divided


def refusing(*topics: str) -> Callable[[Recorded], Answer]:
    return lambda request: (
        Answer(text="I would rather not.") if (asked_of(request) or ("",))[0] in topics else subtopics(request)
    )


def test_a_topic_that_cannot_be_divided_stops_the_building_and_the_next_one_asks_only_for_it(
    server: FaultServer, tmp_path: Path
) -> None:
    server.respond = refusing(f"{ROOT} 2")
    grown = tree(server, path=tmp_path / "t.json", run=RunConfig(max_parse_retries=1))
    with pytest.raises(
        TopicsError, match=f"1 of 2 topics could not be divided; the first, '{ROOT} > {ROOT} 2'"
    ) as caught:
        grown.build()
    assert caught.value.report.calls == 4
    assert not grown.is_built
    server.respond = subtopics
    del server.requests[:]
    assert grown.build().paths() == LEAVES
    assert asked(server) == [f"{ROOT} 2"]


def test_in_another_process_too_only_what_failed_is_asked_for(server: FaultServer, tmp_path: Path) -> None:
    server.respond = refusing(f"{ROOT} 1", f"{ROOT} 2")
    with pytest.raises(TopicsError, match="2 of 2"):
        tree(server, path=tmp_path / "t.json").build()
    server.respond = subtopics
    del server.requests[:]
    assert tree(server, path=tmp_path / "t.json").build().paths() == LEAVES
    assert sorted(asked(server)) == [f"{ROOT} 1", f"{ROOT} 2"]


def test_with_leaf_an_undivided_topic_is_a_leaf_and_is_listed(server: FaultServer, tmp_path: Path) -> None:
    server.respond = refusing(f"{ROOT} 2")
    grown = tree(server, path=tmp_path / "t.json", on_error="leaf").build()
    assert grown.paths() == [*LEAVES[:2], [ROOT, f"{ROOT} 2"]]
    assert list(grown.failed) == [(ROOT, f"{ROOT} 2")]
    assert list(Tree.load(tmp_path / "t.json").failed) == [(ROOT, f"{ROOT} 2")]


@pytest.mark.parametrize("undivided", [[ROOT], [f"{ROOT} 1", f"{ROOT} 2"]])
def test_a_level_of_which_nothing_can_be_divided_stops_whatever_is_set(
    server: FaultServer, undivided: list[str]
) -> None:
    server.respond = refusing(*undivided)
    with pytest.raises(TopicsError, match=f"{len(undivided)} of {len(undivided)} topics"):
        tree(server, on_error="leaf").build()


def test_a_refused_key_stops_at_once_and_can_go_on(server: FaultServer, tmp_path: Path) -> None:
    server.answer_next(Answer(status=401, body={"error": {"message": "no"}}))
    grown = tree(server, path=tmp_path / "t.json")
    with pytest.raises(RunStopped, match="401"):
        grown.build()
    assert grown.build().paths() == LEAVES


# -- killed while growing


def grow_until_killed(url: str, path: str, kill_after_s: float | None) -> None:
    """Run in a forked child."""
    if kill_after_s is not None:
        support.die_after(kill_after_s)
    Tree(ROOT, provider=provider(url), degree=4, depth=3, path=path, run=RunConfig(max_concurrency=4)).build()


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with fork_server() as running:
        yield running


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_tree_killed_again_and_again_while_growing_is_the_uncut_one_and_repeats_only_what_was_in_flight(
    server: FaultServer, forks: ForkServer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    # Six replies in turn at the least, 0.06 s each: no three runs of up to 0.12 s can grow the whole tree.
    server.respond = lambda request: subtopics(request, delay_s=chance.uniform(0.06, 0.1))
    grow = {"function": "tests.topics.test_topic_growth:grow_until_killed", "url": server.url}
    assert forks.run(**grow, path=str(tmp_path / "uncut.json"), kill_after_s=None) == 0
    assert len(server.requests) == 21
    del server.requests[:]
    kills = 0
    for _ in range(12):
        code = forks.run(**grow, path=str(tmp_path / "t.json"), kill_after_s=chance.uniform(0.02, 0.12))
        assert code in (0, -signal.SIGKILL)
        kills += code == -signal.SIGKILL
    assert kills > 2
    assert forks.run(**grow, path=str(tmp_path / "t.json"), kill_after_s=None) == 0
    assert (tmp_path / "t.json").read_bytes() == (tmp_path / "uncut.json").read_bytes()
    counts = Counter(asked(server))
    assert len(counts) == 21
    assert sum(counts.values()) <= 21 + 4 * kills
    assert max(counts.values()) <= 1 + kills


# -- as a part of a dataset


def test_a_dataset_grows_its_topics_first_and_reports_both_together(server: FaultServer, tmp_path: Path) -> None:
    events: list[Any] = []
    dataset = talk(tmp_path, GROWN)
    dataset.generate([provider(server)], on_event=events.append)
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.input_tokens) == (4, 3 + 4, 7 * 11)
    assert sorted(row.metadata["topic_path"] for row in dataset.data_rows) == [" > ".join(path) for path in LEAVES]
    kinds = [type(event) for event in events if isinstance(event, PreparationStarted | RunStarted | RunEnded)]
    assert kinds == [PreparationStarted, RunStarted, RunEnded]
    assert dataset.topics.paths() == LEAVES
    again = talk(tmp_path, GROWN).generate([provider(server)])
    assert assert_balanced(again.report).calls == 0


def test_a_dataset_whose_topics_fail_writes_nothing_and_goes_on_where_it_was(
    server: FaultServer, tmp_path: Path
) -> None:
    server.respond = refusing(f"{ROOT} 1")
    dataset = talk(tmp_path, GROWN)
    with pytest.raises(RunStopped, match="growing the topic tree of 'sea': 1 of 2 topics"):
        dataset.generate([provider(server)])
    assert dataset.report is not None
    assert (dataset.report.requested, dataset.report.written, dataset.report.pending) == (4, 0, 4)
    server.respond = subtopics
    del server.requests[:]
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert asked(server) == [f"{ROOT} 1"]
    assert len(server.requests) == 1 + 4


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
    dataset.generate([provider(server)])
    assert assert_balanced(dataset.report).written == 4
    assert {row.metadata["topic"][:3] for row in dataset.data_rows} == {"sky"}


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


def test_a_budget_in_dollars_counts_what_growing_has_cost(server: FaultServer, tmp_path: Path) -> None:
    priced = provider(
        server, price={"input_usd_per_million": 0.0, "output_usd_per_million": 1e6 / 7}, max_completion_tokens=7
    )
    dataset = talk(tmp_path, GROWN, run=RunConfig(budget_usd=5.5, max_concurrency=1))
    with pytest.raises(RunStopped):
        dataset.generate([priced])
    report = assert_balanced(dataset.report)
    assert (report.written, report.cost_usd) == (2, pytest.approx(5.0))


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


def test_a_config_with_topics_is_dumped_and_read_again(tmp_path: Path) -> None:
    for topics in (
        GROWN,
        ["a", "b"],
        Tree.from_dict({"sea": ["shape", "depth"]}),
        Graph.from_paths([["a", "b"], ["c", "b"]]),
        {"format": ["Parquet", "CSV"]},
    ):
        config = ConversationDatasetConfig(topics=topics, output_file=tmp_path / "o.jsonl")  # type: ignore[arg-type]
        for again in (
            ConversationDatasetConfig.model_validate(config.model_dump()),
            ConversationDatasetConfig.model_validate_json(config.model_dump_json()),
        ):
            assert again.model_dump_json() == config.model_dump_json()
            assert type(again.topics) is type(config.topics)


def test_a_key_in_the_provider_of_topics_is_refused() -> None:
    with pytest.raises(ValueError, match="keys do not belong in a config"):
        TopicsConfig(topic_prompt="sea", provider={"provider": "openai", "api_key": "sk-1"})


def test_a_model_without_topics_is_refused() -> None:
    from datafast.topics import TopicModel

    with pytest.raises(ValueError, match="holds no topics"):
        ConversationDatasetConfig(topics=TopicModel())


# -- in YAML and on the command line

Run = Callable[..., Result]
CONFIG = """\
kind: conversation
output_file: rows.jsonl
topics: %s
providers:
  - {provider: openai_compatible, model_id: m, api_base: "%s"}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> Iterator[Run]:
    """Writes c.yaml with some topics into an empty folder and calls `datafast`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any, topics: Any = None, more: str = "") -> Result:
        shown = json.dumps(topics if topics is not None else GROWN)
        Path("c.yaml").write_text(CONFIG % (shown, server.url) + more, encoding="utf-8")
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    yield call
    for sink_id in logger_config._sink_ids:
        logger_config.logger.remove(sink_id)
    logger_config._sink_ids.clear()


@pytest.mark.parametrize(
    ("topics", "leaves"),
    [
        (["a", "b"], ["a", "b"]),
        ({"Sea": ["a", "b"], "Sky": {"Clouds": ["c"]}}, ["a", "b", "c"]),
        ("given.json", ["x", "y"]),
        ("given.jsonl", ["x", "y"]),
    ],
)
def test_topics_are_given_in_yaml_as_a_list_nested_or_as_a_file_beside_it(
    run: Run, tmp_path: Path, topics: Any, leaves: list[str]
) -> None:
    (tmp_path / "given.json").write_text('{"root": ["x", "y"]}')
    (tmp_path / "given.jsonl").write_text('{"path": ["root", "x"]}\n{"path": ["root", "y"]}\n')
    result = run("generate", "c.yaml", topics=topics)
    assert result.exit_code == 0, result.stderr
    assert sorted(row["metadata"]["topic"] for row in rows_of(Path("rows.jsonl"))) == leaves


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ([], "c.yaml:3: topics: the list is empty"),
        (["a", " "], r"c.yaml:3: topics\[1\]: must not be blank"),
        (["a", 3], r"c.yaml:3: topics\[1\]: expected a text"),
        (
            {"topic_promt": "sea", "degree": 2},
            "c.yaml:3: topics.topic_promt: There is no such field. Did you mean 'topic_prompt'",
        ),
        ({"topic_prompt": "sea", "degree": 0}, r"c.yaml:3: topics\.degree: "),
        ({"topic_prompt": "sea", "provider": "opnai/x"}, r"c.yaml:3: topics\.provider: .*openai"),
        ({"topic_prompt": "s", "degree": 100, "depth": 9}, "c.yaml:3: topics: .*lower one of them"),
        ({"Sea": 5}, r"c.yaml:3: topics\.Sea: expected a mapping"),
        ("nowhere.json", "c.yaml:3: topics: cannot read .*nowhere.json"),
    ],
)
def test_wrong_topics_in_yaml_are_named_with_their_line(run: Run, topics: Any, message: str) -> None:
    result = run("plan", "c.yaml", topics=topics)
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr


def test_build_grows_the_topics_and_generate_finds_them(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["file"], told["report"]["calls"]) == ("rows.jsonl.topics.json", 3)
    assert told["topics"]["topics"][0]["topic"] == ROOT
    assert run("generate", "c.yaml").exit_code == 0
    assert len(asked(server)) == 3
    assert len(rows_of(Path("rows.jsonl"))) == 4


def test_build_says_what_there_is(run: Run) -> None:
    assert "7 topics, 4 leaves, depth 2" in run("topics", "build", "c.yaml").stderr
    again = run("topics", "build", "c.yaml")
    assert again.exit_code == 0
    assert "7 topics, 4 leaves, depth 2" in again.stderr


def test_build_fresh_grows_anew_and_moves_the_old_ones_aside(run: Run, server: FaultServer) -> None:
    for arguments in ([], ["--fresh"]):
        assert run("topics", "build", "c.yaml", *arguments).exit_code == 0
    assert len(asked(server)) == 6
    assert list(Path().glob("rows.jsonl.topics.json.*.bak"))


def test_build_offline_needs_no_server(run: Run, server: FaultServer) -> None:
    assert run("topics", "build", "c.yaml", "--offline").exit_code == 0
    assert not server.requests
    mixed = run("topics", "build", "c.yaml")
    assert mixed.exit_code == 2
    assert "simulated" in mixed.stderr


def test_build_ends_with_3_where_topics_cannot_be_divided_and_goes_on(run: Run, server: FaultServer) -> None:
    server.respond = refusing(f"{ROOT} 1")
    result = run("topics", "build", "c.yaml", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["topics"] is None
    assert "1 of 2 topics could not be divided" in result.stderr
    server.respond = subtopics
    del server.requests[:]
    assert run("topics", "build", "c.yaml").exit_code == 0
    assert asked(server) == [f"{ROOT} 1"]


def test_build_names_what_was_left_undivided(run: Run, server: FaultServer) -> None:
    server.respond = refusing(f"{ROOT} 1")
    result = run("topics", "build", "c.yaml", topics={**GROWN, "on_error": "leaf"})
    assert result.exit_code == 0
    assert f"{ROOT} > {ROOT} 1" in result.stderr


def test_build_ends_with_4_where_it_is_stopped(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", more="run: {max_calls: 2}\n")
    assert result.exit_code == 4
    assert "The same command goes on" in result.stderr
    assert run("topics", "build", "c.yaml").exit_code == 0
    assert len(server.requests) == 3


def test_build_ends_with_2_where_a_key_is_missing_or_the_kind_has_no_topics(run: Run) -> None:
    result = run("topics", "build", "c.yaml", topics={**GROWN, "provider": "openai/gpt-x"})
    assert (result.exit_code, "OPENAI_API_KEY" in result.stderr) == (2, True)
    Path("raw.yaml").write_text(
        "kind: raw\ndocument_types: [a]\ntopics: [b]\nproviders: [simulated]\noutput_file: r.jsonl\n"
    )
    result = run("topics", "build", "raw.yaml")
    assert (result.exit_code, "'raw' has no topic model" in result.stderr) == (2, True)


def test_generate_ends_with_4_where_its_topics_fail(run: Run, server: FaultServer) -> None:
    server.respond = refusing(ROOT)
    result = run("generate", "c.yaml")
    assert result.exit_code == 4
    assert "growing the topic tree of 'sea'" in result.stderr


def test_given_topics_need_no_building(run: Run, server: FaultServer) -> None:
    result = run("topics", "build", "c.yaml", topics=["a", "b"])
    assert (result.exit_code, "nothing to grow" in result.stderr) == (0, True)
    assert not server.requests


def test_show_prints_the_topics_in_every_form(run: Run) -> None:
    topics = {"Sea": {"Tides": ["a\x1b[2J", "b\nc"]}}
    assert run("topics", "show", "c.yaml", topics=topics).stdout == "Sea\n  Tides\n    a\\x1b[2J\n    b c\n"
    assert run("topics", "show", "c.yaml", "--format", "paths", topics=topics).stdout.split("\n") == [
        *("Sea > Tides > a\\x1b[2J", "Sea > Tides > b c", "")
    ]
    assert run("topics", "show", "c.yaml", "--format", "mermaid", topics=topics).stdout.startswith("graph LR\n")
    assert json.loads(run("topics", "show", "c.yaml", "--format", "json", topics=topics).stdout)["shape"] == "tree"


def test_show_reads_a_file_of_topics(run: Run) -> None:
    Graph.from_paths([["a", "b"], ["c", "b"]]).save("g.json")
    assert run("topics", "show", "g.json").stdout == "a\n  b\nc\n  b\n"


def test_show_of_topics_that_are_not_grown_names_the_command_that_grows_them(run: Run) -> None:
    result = run("topics", "show", "c.yaml")
    assert (result.exit_code, "datafast topics build c.yaml" in result.stderr) == (2, True)
    run("topics", "build", "c.yaml")
    assert run("topics", "show", "c.yaml").stdout.startswith("sea\n  sea 1\n    sea 1 1\n")


def test_a_budget_counts_rows_whose_ledger_lies_elsewhere(run: Run, server: FaultServer) -> None:
    more = "run: {max_calls: 7, ledger: deep/l.db}\n"
    assert run("generate", "c.yaml", more=more).exit_code == 0
    result = run("topics", "build", "c.yaml", "--fresh", more=more.replace("7", "5"))
    assert result.exit_code == 4
    assert len(server.requests) == 7 + 1


def test_plan_says_what_has_to_be_grown_first_and_sends_nothing(run: Run, server: FaultServer) -> None:
    result = run("plan", "c.yaml")
    assert result.exit_code == 0, result.stderr
    assert "growing the topic tree of 'sea', about 3 calls" in result.stdout
    told = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert (told["rows"], told["total_calls"], len(told["first"])) == (4, 4, 1)
    assert not server.requests
    run("topics", "build", "c.yaml")
    told = json.loads(run("plan", "c.yaml", "--json").stdout)
    assert (told["rows"], told["first"]) == (4, [])
    assert {example["values"]["topic"] for example in told["examples"]} <= {path[-1] for path in LEAVES}


def test_preview_grows_the_topics_and_shows_rows(run: Run, server: FaultServer) -> None:
    result = run("preview", "c.yaml", "-n", "2", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["rows"]) == 2
    assert len(asked(server)) == 3


def test_the_record_of_a_grown_model_says_what_it_was_grown_from_and_by_whom(run: Run) -> None:
    run("topics", "build", "c.yaml")
    record = orjson.loads(Path("rows.jsonl.topics.json").read_bytes())
    assert record["model_id"] == "m"
    assert record["grown_from"] == {**GROWN, "shape": "tree", "topic_system_prompt": None}
