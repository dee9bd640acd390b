"""Conversations with tools: who is asked what, what the rows hold, and what happens when replies are not as asked."""

from __future__ import annotations

import json
import random
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datafast import ConversationDataset, RunConfig
from datafast.llms import SimulatedProvider
from datafast.schema.data_rows import ToolConversationRow
from tests.datasets.conversation.support import provider, talk
from tests.datasets.conversation.tool_server import (
    HUSUM,
    LEVEL,
    PIER,
    WIND,
    WITH_TOOLS,
    Cast,
    asked_for,
    assert_sound,
    cast,
    rows_with,
)
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, rows_of, same_rows


def sorts(server: FaultServer) -> list[str]:
    return [asked_for(request) for request in server.requests]


def test_a_row_has_the_messages_of_openai_with_parallel_calls(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["Can I sail?"]], calls=[[HUSUM, PIER]], results=[["0.7 m", {"knots": 12}]], either=["Yes."])
    (row,) = rows_with(tmp_path, fault_server, cast=made, dataset_system_prompt="You pilot.")
    call = {"id": "call00000", "type": "function", "function": HUSUM}
    other = {"id": "call00001", "type": "function", "function": PIER}
    assert row["messages"] == [
        {"role": "system", "content": "You pilot."},
        {"role": "user", "content": "Can I sail?"},
        {"role": "assistant", "content": "", "tool_calls": [call, other]},
        {"role": "tool", "content": "0.7 m", "name": "tide_level", "tool_call_id": "call00000"},
        {"role": "tool", "content": '{"knots":12}', "name": "wind", "tool_call_id": "call00001"},
        {"role": "assistant", "content": "Yes."},
    ]
    described = {"description": "", "name": "wind", "parameters": WIND["inputSchema"]}
    assert row["tools"] == [{"type": "function", "function": LEVEL}, {"type": "function", "function": described}]
    assert list(row) == ["messages", "tools", "model_id", "language", "uuid", "metadata"]
    assert sorts(fault_server) == ["openings", "calls", "results", "either"]
    assert ToolConversationRow.model_validate(row).model_dump(mode="json") == row


def test_the_assistant_sees_what_the_row_holds_and_nothing_else(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["Can I sail?"]], calls=[[HUSUM]], either=[[PIER], "Yes."], results=["0.7 m", {"knots": 3}])
    (row,) = rows_with(tmp_path, fault_server, cast=made, dataset_system_prompt="You pilot.", instructions="Short.")
    last = fault_server.requests[-1].json["messages"]
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert last[0]["content"].startswith("You pilot.\n")
    assert json.dumps(LEVEL["parameters"], separators=(",", ":")) in last[0]["content"]
    assert last[1]["content"] == "Can I sail?"
    assert json.loads(last[2]["content"]) == {"next": {"calls": [HUSUM]}}
    assert json.loads(last[3]["content"].splitlines()[1]) == {
        "name": "tide_level",
        "id": "call00000",
        "result": "0.7 m",
    }
    seen = json.dumps(last)
    assert all(message["content"] in seen for message in row["messages"] if message["role"] == "user")
    assert "Short." not in seen


def test_who_plays_the_tools_sees_all_earlier_results(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["Can I sail?"]], results=["0.7 m", "0.9 m"])
    rows_with(tmp_path, fault_server, cast=made, min_turns=2, max_turns=2, generation_system_prompt="Be exact.")
    assert sorts(fault_server) == ["openings", "calls", "results", "either", "message", "calls", "results", "either"]
    played = fault_server.requests[6]
    assert '"content":"0.7 m"' in played.prompt
    assert '"returns":{"type":"object"' in played.prompt
    assert played.json["messages"][0] == {"role": "system", "content": "Be exact."}
    follow_up = fault_server.requests[4].prompt
    assert "User: Can I sail?\n\nAssistant: It is 0.7 m." in follow_up


def test_questions_without_a_call_are_answered_at_once(tmp_path: Path, fault_server: FaultServer) -> None:
    (row,) = rows_with(tmp_path, fault_server, cast=Cast(openings=[["Hello"]]), share_without_calls=1.0)
    assert sorts(fault_server) == ["openings", "answer"]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert "without calling a tool" in fault_server.requests[0].prompt


def test_the_share_of_questions_without_calls_is_kept(tmp_path: Path) -> None:
    dataset = talk(tmp_path, 100, **{**WITH_TOOLS, "share_without_calls": 0.3}, examples_per_call=10)
    rows = rows_of(dataset.generate([SimulatedProvider("m")], progress=False).config.output_file)
    without = sum(not any(message["role"] == "tool" for message in row["messages"]) for row in rows)
    assert 18 <= without <= 42


def test_which_messages_need_no_call_is_said_by_number(tmp_path: Path, fault_server: FaultServer) -> None:
    rows_with(tmp_path, fault_server, 8, share_without_calls=0.5, examples_per_call=8)
    asked = fault_server.requests[0].prompt
    without = {number for number in range(1, 9) if f"Number {number}: The user wants something that the" in asked}
    assert 0 < len(without) < 8
    answered = [
        request.json["messages"][1]["content"] for request in fault_server.requests if asked_for(request) == "answer"
    ]
    rows = rows_of(tmp_path / "out.jsonl")
    assert len(without) == len([row for row in rows if len(row["messages"]) == 3]) <= len(answered)


def test_steps_and_parallel_calls_are_bounded(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(
        calls=[[HUSUM]],
        either=[[PIER], [HUSUM]],
        answer=["Enough."],
        results=lambda request: "0.7" if "tide_level {" in request.prompt else {"knots": 1},
    )
    (row,) = rows_with(tmp_path, fault_server, cast=made, max_steps=3, max_parallel_calls=2)
    assert sorts(fault_server)[1::2] == ["calls", "either", "either", "answer"]
    assert row["messages"][-1]["content"] == "Enough."
    schema = fault_server.requests[1].json["response_format"]["json_schema"]["schema"]
    assert '"maxItems": 2' in json.dumps(schema)
    assert "2 at most in one step" in fault_server.requests[1].json["messages"][0]["content"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ([{"name": "depth", "arguments": {}}], "there is no tool 'depth'"),
        ([{"name": "tide_level", "arguments": {"station": "Husum", "hour": 24}}], "arguments of tide_level.hour"),
        ([HUSUM, HUSUM], "the same call is there twice"),
        ([HUSUM, PIER, {"name": "wind", "arguments": {"place": "buoy"}}], "at most 2"),
        ("I know it.", "calls"),
    ],
)
def test_a_step_that_is_not_as_asked_is_asked_again_with_the_reason(
    tmp_path: Path, fault_server: FaultServer, bad: Any, reason: str
) -> None:
    made = Cast(openings=[["Can I sail?"]], calls=[bad, [HUSUM]])
    (row,) = rows_with(tmp_path, fault_server, cast=made, max_parallel_calls=2)
    assert sorts(fault_server) == ["openings", "calls", "calls", "results", "either"]
    assert reason in fault_server.requests[2].json["messages"][-1]["content"]
    assert "tool_calls" in row["messages"][2]


def test_a_result_that_does_not_fit_its_schema_is_asked_again(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(calls=[[PIER]], results=[[{"knots": -1}], [{"knots": 4}]])
    (row,) = rows_with(tmp_path, fault_server, cast=made)
    assert row["messages"][3]["content"] == '{"knots":4}'
    assert (
        "the result of wind, knots: -1 is less than the minimum"
        in fault_server.requests[3].json["messages"][-1]["content"]
    )


@pytest.mark.parametrize(
    "call",
    [
        {"id": "1", "type": "function", "function": {"name": "tide_level", "arguments": '{"station": "Husum"}'}},
        {"name": "tide_level", "arguments": '{"station": "Husum"}'},
    ],
)
def test_calls_in_the_form_of_openai_are_taken(tmp_path: Path, fault_server: FaultServer, call: dict[str, Any]) -> None:
    (row,) = rows_with(tmp_path, fault_server, cast=Cast(openings=[["How high?"]], calls=[[call]]))
    assert_sound(row)
    assert row["messages"][2]["tool_calls"][0]["function"] == HUSUM
    assert sorts(fault_server) == ["openings", "calls", "results", "either"]


def test_an_argument_that_the_tool_does_not_have_is_asked_again(tmp_path: Path, fault_server: FaultServer) -> None:
    wrong = {"name": "tide_level", "arguments": {"station": "Husum", "houres": 3}}
    (row,) = rows_with(tmp_path, fault_server, cast=Cast(openings=[["How high?"]], calls=[[wrong], [HUSUM]]))
    assert row["messages"][2]["tool_calls"][0]["function"] == HUSUM
    assert "tide_level has no argument 'houres'. Did you mean 'hour'?" in json.dumps(fault_server.requests[2].json)


def test_data_from_a_tool_that_gives_texts_is_written_as_one(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["How high?"]], results=[[{"level": 0.7}]])
    (row,) = rows_with(tmp_path, fault_server, cast=made)
    assert row["messages"][3]["content"] == '{"level":0.7}'
    assert sorts(fault_server).count("results") == 1


def test_an_assistant_that_repeats_its_calls_has_to_answer(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["How high?"]], calls=[[HUSUM]], either=[[PIER]], answer=["0.7 m."])
    made.results = lambda request: "0.7" if "tide_level {" in request.prompt else {"knots": 1}
    (row,) = rows_with(tmp_path, fault_server, cast=made)
    calls = [call["function"] for message in row["messages"] for call in message.get("tool_calls", [])]
    assert (calls, row["messages"][-1]["content"]) == ([HUSUM, PIER], "0.7 m.")
    assert_sound(row)


@pytest.mark.parametrize("again", ["How high?", "Assistant: It is high.", "I'm sorry, but I can't help with that."])
def test_a_user_who_says_nothing_new_or_speaks_for_the_assistant_is_asked_again(
    tmp_path: Path, fault_server: FaultServer, again: str
) -> None:
    made = Cast(openings=[["How high?"]], message=[again, "And at six?"])
    (row,) = rows_with(tmp_path, fault_server, cast=made, min_turns=2, max_turns=2)
    assert [said["content"] for said in row["messages"] if said["role"] == "user"] == ["How high?", "And at six?"]


def test_an_assistant_says_neither_its_name_nor_what_the_user_says_next(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    wrong = ["Low.\nUser: Thanks.\nAssistant: Gladly.", '{"next": {"calls": []}}', "Assistant: It is low."]
    (row,) = rows_with(tmp_path, fault_server, cast=Cast(openings=[["User: How high?"]], either=wrong))
    assert (row["messages"][1]["content"], row["messages"][-1]["content"]) == ("How high?", "It is low.")


def test_the_reasoning_of_what_was_not_taken_stands_in_no_row(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["How high?"]], message=["How high?", "And at six?"], calls=[[HUSUM]], either=[[HUSUM]])
    said = count(1)

    def thinking(request: Recorded) -> Answer:
        return Answer(text=f"<think>Thought {next(said)}.</think>{made(request).text}")

    fault_server.respond = thinking
    fields = {**WITH_TOOLS, "min_turns": 2, "max_turns": 2, "reasoning": "metadata"}
    talk(tmp_path, 1, **fields).generate([provider(fault_server)], progress=False)
    (row,) = rows_of(tmp_path / "out.jsonl")
    # 1 opening, 2 calls, 3 results, 4 the calls again, 5 answer, 6 the question again, 7 another one, 8 calls, 9 results, 10 and 11.
    found = {int(number) for number in re.findall(r"Thought (\d+)\.", json.dumps(row["metadata"]["reasoning"]))}
    assert found == {1, 2, 3, 5, 7, 8, 9, 11}


def test_an_estimate_says_that_the_number_of_calls_is_up_to_the_assistant(tmp_path: Path) -> None:
    note = "How often an assistant calls tools for a question, 1 to 5 times (max_steps), is its own choice"
    with_tools, plain = talk(tmp_path, 2, **WITH_TOOLS), talk(tmp_path, 2)
    assert any(note in said for said in with_tools.estimate([SimulatedProvider("m")]).notes)
    assert not any("calls tools" in said for said in plain.estimate([SimulatedProvider("m")]).notes)


def test_a_conversation_that_fails_costs_its_own_row_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    def calls(request: Any) -> Any:
        return [{"name": "none", "arguments": {}}] if "Bad" in request.json["messages"][1]["content"] else [HUSUM]

    dataset = cast(
        tmp_path, fault_server, 3, cast=Cast(openings=[["One", "Bad", "Two"]], calls=calls), examples_per_call=3
    )
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (2, 1)
    assert [row["messages"][1]["content"] for row in rows_of(tmp_path / "out.jsonl")] == ["One", "Two"]
    fault_server.respond = Cast()
    again = dataset.generate([provider(fault_server)], retry_failed=True, progress=False).report
    assert (again.written, again.failed, again.calls) == (3, 0, 3)
    assert dataset.data_rows[2].metadata["topic"] == "topic 1"


def test_placeholders_of_the_instructions_reach_every_message_of_the_user(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    from datafast import PromptExpansionConfig

    rows_with(
        tmp_path,
        fault_server,
        instructions="The user is <<who>>.",
        expansion=PromptExpansionConfig(placeholders={"who": ["a sailor", "a child"]}),
        min_turns=2,
        max_turns=2,
    )
    asked = [request.prompt for request in fault_server.requests if asked_for(request) in ("openings", "message")]
    assert len(asked) == 4
    assert sum("The user is a sailor." in prompt for prompt in asked) == 2
    assert sum("The user is a child." in prompt for prompt in asked) == 2


def test_rows_are_the_same_whatever_order_replies_come_in(tmp_path: Path, fault_server: FaultServer) -> None:
    def answering(request: Any, delay: random.Random) -> Any:
        from dataclasses import replace

        said = Cast(
            results=lambda request: f"{len(request.prompt)} m", message=lambda request: f"And {len(request.prompt)}?"
        )(request)
        return replace(said, delay_s=delay.random() * 0.02)

    made = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        rng = random.Random(seed)
        fault_server.respond = lambda request, rng=rng: answering(request, rng)
        dataset = talk(
            folder, 6, **{**WITH_TOOLS, "share_without_calls": 0.4, "tools": [LEVEL]}, max_turns=3, examples_per_call=3
        )
        assert dataset.generate([provider(fault_server)], progress=False).report.failed == 0
        made.append(rows_of(folder / "out.jsonl"))
    assert same_rows(made[0], made[1])
    assert same_rows(made[0], made[2])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(1, 4), st.integers(1, 5)),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_every_row_is_sound(tmp_path_factory: Any, numbers: tuple[int, int, int, int], share: float, seed: int) -> None:
    folder = tmp_path_factory.mktemp("sound")
    fewest, more, steps, parallel = numbers
    table = [{"place": "pier", "result": {"knots": 3}}]
    dataset = talk(
        folder,
        4,
        **{**WITH_TOOLS, "share_without_calls": share},
        min_turns=fewest,
        max_turns=fewest + more,
        max_steps=steps,
        max_parallel_calls=parallel,
        examples_per_call=2,
        tool_results={"wind": {"table": table, "default": {"knots": 0}}},
        run=RunConfig(seed=seed),
    ).generate([SimulatedProvider("m", seed=seed)], progress=False)
    assert assert_balanced(dataset.report).written == 4
    for row in rows_of(folder / "out.jsonl"):
        assert_sound(row)
        questions = [message for message in row["messages"] if message["role"] == "user"]
        assert fewest <= len(questions) <= fewest + more
        assert all(len(message.get("tool_calls", [])) <= parallel for message in row["messages"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"tools": None}, "tools: Conversations with tools need some"),
        ({"reasoning_style": "agent"}, "reasoning_style: Conversations with tools have no agent reasoning"),
        ({"output_format": "instruction"}, "output_format: instruction has no room for calls"),
        ({"conversation_type": "basic", "tools": None}, "share_without_calls: Only conversations with tools have this"),
        ({"share_without_calls": 1.5}, "share_without_calls"),
        ({"max_parallel_calls": 0}, "max_parallel_calls"),
        ({"tool_results": "nobody"}, "tool_results"),
        ({"tool_results": {"winds": "model"}}, "There is no tool 'winds'. Did you mean 'wind'"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        talk(tmp_path, 1, **{**WITH_TOOLS, **fields})


@pytest.mark.parametrize(
    "change",
    [
        {"share_without_calls": 0.2},
        {"max_parallel_calls": 2},
        {"max_steps": 2},
        {"max_turns": 2},
        {"tools": [LEVEL]},
        {"tool_results": {"wind": {"table": [{"place": "pier", "result": {"knots": 1}}]}}},
    ],
)
def test_every_setting_is_in_the_keys(tmp_path: Path, change: dict[str, Any]) -> None:
    def keys(**fields: Any) -> list[bytes]:
        return list(talk(tmp_path, 3, **{**WITH_TOOLS, **fields}).plan(["m"]).keys())

    assert not set(keys()) & set(keys(**change))
    assert keys() == keys()


def test_the_conversational_format_has_messages_and_tools_alone(tmp_path: Path, fault_server: FaultServer) -> None:
    (row,) = rows_with(tmp_path, fault_server, output_format="conversational")
    assert set(row) == {"messages", "tools"}
    assert_sound(row)


def test_templates_of_an_output_format_see_the_conversation(tmp_path: Path, fault_server: FaultServer) -> None:
    made = Cast(openings=[["Can I sail?"]], either=["Yes."])
    shape = {"ask": "{instruction}", "say": "{response}", "all": "{messages}", "with": "{tools}"}
    (row,) = rows_with(tmp_path, fault_server, cast=made, output_format=shape)
    assert (row["ask"], row["say"]) == ("Can I sail?", "Yes.")
    assert_sound({"messages": json.loads(row["all"]), "tools": json.loads(row["with"])})


@pytest.mark.parametrize("form", ["trl", "openai", "sharegpt", "chatml"])
def test_rows_can_be_saved_for_trainers(tmp_path: Path, fault_server: FaultServer, form: str) -> None:
    made = Cast(calls=[[HUSUM, PIER]], results=[["0.7 m", {"knots": 12}]])
    dataset: ConversationDataset = cast(tmp_path, fault_server, cast=made)
    dataset.save(tmp_path / "saved.jsonl", format=form)
    text = (tmp_path / "saved.jsonl").read_text(encoding="utf-8")
    assert text.count("Husum") == 1
    assert "knots" in text


def test_answers_have_what_a_template_requires_of_one_of_them(tmp_path: Path, fault_server: FaultServer) -> None:
    required = {"pattern": "[0-9]", "reason": "no number is named"}
    template = {"summary": "Numbers.", "guidance": "Say numbers.", "requires": [required], "example": "It is 7."}
    made = Cast(calls=[[HUSUM]], either=["High.", "Higher.", "It is 7."])
    fields = {**WITH_TOOLS, "template": template, "min_turns": 2, "max_turns": 2}
    (row,) = rows_with(tmp_path, fault_server, cast=made, **fields)
    answers = [
        message["content"] for message in row["messages"] if message["role"] == "assistant" and message["content"]
    ]
    assert answers == ["High.", "It is 7."]
    assert "no number is named" in fault_server.requests[-1].json["messages"][-1]["content"]
    asked = [request.prompt for request in fault_server.requests if asked_for(request) in ("openings", "message")]
    assert all("Say numbers." in prompt for prompt in asked)
    (tmp_path / "offline").mkdir()
    report = talk(tmp_path / "offline", 5, **fields).generate([SimulatedProvider("m")], progress=False).report
    assert (report.written, report.retries) == (5, 0)


def test_the_user_is_the_persona_in_every_message(tmp_path: Path, fault_server: FaultServer) -> None:
    rows_with(tmp_path, fault_server, personas=["a pilot who shouts"], min_turns=2, max_turns=2)
    for request in fault_server.requests:
        assert ("a pilot who shouts" in json.dumps(request.json)) is (asked_for(request) in ("openings", "message"))


def test_the_best_of_several_conversations_is_taken_and_each_runs_its_own_functions(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    given: list[int] = []

    def level(station: str, hour: int = 0) -> str:
        given.append(1)
        return f"{len(given)} m"

    sources = {"tide_level": {"function": level, "version": "1"}}
    choice = {"n": 3, "check": lambda row: "2 m" in json.dumps(row["messages"])}
    made = Cast(either=lambda request: f"Reply to {request.prompt}")
    dataset = cast(tmp_path, fault_server, cast=made, tool_results=sources, best_of_n=choice)
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert "2 m" in json.dumps(row["messages"])
    before = len(given)
    (tmp_path / "out.jsonl").unlink()
    assert dataset.generate([provider(fault_server)], progress=False).report.calls == 0
    assert rows_of(tmp_path / "out.jsonl") == [row]
    assert len(given) == before
