"""Topic models that a language model grows: what it is asked, and what becomes of its answers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from datafast import Graph, RunConfig, Tree
from datafast.errors import TopicsError
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.topics.support import LEAVES, ROOT, asked, asked_of, meeting, refusing, subtopics, tree

# -- what is asked


def test_a_tree_grows_level_by_level_from_its_root(server: FaultServer) -> None:
    grown = tree(server).build()
    assert grown.paths() == LEAVES
    assert asked(server)[0] == ROOT
    assert sorted(asked(server)) == [ROOT, f"{ROOT} 1", f"{ROOT} 2"]
    assert grown.report.calls == grown.config.num_calls == 3


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


@pytest.mark.parametrize("concurrency", [1, 5])
def test_all_topics_of_a_level_are_asked_for_at_once_within_the_concurrency_of_the_run(
    server: FaultServer, concurrency: int
) -> None:
    # After the root, none is answered before so many have come, and a moment for more than that.
    enough = 1 + concurrency
    server.respond = lambda request: subtopics(
        request, delay_s=0.03, until=lambda: len(server.requests) == 1 or len(server.requests) >= enough
    )
    tree(server, degree=8, depth=2, run=RunConfig(max_concurrency=concurrency)).build()
    assert server.max_in_flight == concurrency


# -- what becomes of the answers


def test_short_lists_are_topped_up_with_what_is_there_already_named(server: FaultServer) -> None:
    names = iter("abcdefgh")
    server.respond = lambda request: Answer(text=json.dumps({"subtopics": [next(names), next(names)]}))
    grown = tree(server, degree=4, depth=1).build()
    assert grown.leaves() == ["a", "b", "c", "d"]
    assert [asked_of(request) for request in server.requests] == [(ROOT, 4), (ROOT, 2)]
    assert "- a\n- b" in server.requests[1].prompt


def test_subtopics_beside_one_that_is_not_right_are_kept_and_it_is_asked_for_again(server: FaultServer) -> None:
    server.answer_next(Answer(text='{"subtopics": ["a", null, "c"]}'), Answer(text='{"subtopics": ["b"]}'))
    grown = tree(server, degree=3, depth=1).build()
    assert grown.leaves() == ["a", "c", "b"]
    assert [asked_of(request) for request in server.requests] == [(ROOT, 3), (ROOT, 1)]


def test_subtopics_before_a_cut_are_kept(server: FaultServer) -> None:
    server.answer_next(
        Answer(text='{"subtopics": ["a", "b", "c', finish_reason="length"), Answer(text='{"subtopics": ["d"]}')
    )
    grown = tree(
        server,
        degree=3,
        depth=1,
        max_completion_tokens=9,
        provider="openai_compatible",
        model_name="m",
        api_base=server.url,
    ).build()
    assert grown.leaves() == ["a", "b", "d"]


def test_a_link_that_is_not_right_costs_no_subtopic(server: FaultServer) -> None:
    server.respond = lambda request: Answer(text='{"subtopics": ["a", "b"], "related": [null, {}]}')
    assert tree(server, Graph, degree=2, depth=1).build().leaves() == ["a", "b"]
    assert len(server.requests) == 1


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


def test_a_topic_that_cannot_be_divided_stops_the_building_and_the_next_one_asks_only_for_it(
    server: FaultServer, tmp_path: Path
) -> None:
    server.respond = refusing(f"{ROOT} 2")
    grown = tree(server, path=tmp_path / "t.json", run=RunConfig(max_parse_retries=1))
    with pytest.raises(
        TopicsError, match=f"1 of 2 topics could not be divided. The first is '{ROOT} > {ROOT} 2'"
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
