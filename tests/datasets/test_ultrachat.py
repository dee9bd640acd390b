"""Chats: what is said and by whom, how many turns there are, and what each model is shown."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import UltrachatDataset
from datafast.engine.routes import Route
from datafast.errors import ConfigError, DatafastWarning, ErrorKind, ProviderError
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.llms.base import Request
from datafast.llms.replies.completion import encode_completion
from datafast.schema.config import RunConfig, UltrachatDatasetConfig
from datafast.topics import Tree
from datafast.types import Usage
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

TOPICS = {"Berths": ["Mooring", "Shifting"], "Water": ["Tides"]}
PERSONAS = ["A harbour master.", "A child.", "A town councillor."]
QUESTIONS = "Q: {num_samples} {language_name} {domain}/{topic}/{subtopic}"
REFORMULATED = "R: {question} by {persona} on {subtopic}"
ASSISTANT = "A: {domain}/{topic}/{subtopic} {question}"
FOLLOWUP = "F: {persona} {domain}/{subtopic}\n{dialog_summary}"
PROMPTS = {
    "question_generation_prompts": [QUESTIONS],
    "persona_question_reformulation_prompt": REFORMULATED,
    "simulated_assistant_prompt": ASSISTANT,
    "user_followup_prompt": FOLLOWUP,
}


def chats(folder: Path, *, run: dict[str, Any] | None = None, **fields: Any) -> UltrachatDataset:
    """Three subtopics with two chats each, of three turns."""
    given = {
        "domain": "Harbours",
        "topics_and_subtopics": TOPICS,
        "personas": PERSONAS,
        "num_samples": 2,
        "max_turns": 3,
        "conversation_continuation_prob": 1.0,
        "output_file": folder / "out.jsonl",
        **fields,
    }
    return UltrachatDataset(UltrachatDatasetConfig(run=RunConfig(**{"max_concurrency": 8, **(run or {})}), **given))


class Players:
    """Plays everybody, and keeps what was sent.

    Args:
        users: what the user says, one after the other, in the place of `question N?`.
        assistant: what the assistant says, likewise.
    """

    def __init__(self, folder: Path, *, users: list[Any] | None = None, assistant: list[Any] | None = None) -> None:
        self.sent: list[Request] = []
        self.users, self.assistant = users or [], assistant or []
        self.said = 0
        self.provider = CountingProvider("m", log=folder / "requests", reply=self.reply)

    def reply(self, request: Request) -> str | Exception:
        self.sent.append(request)
        self.said += 1
        if request.schema is None:
            return self.assistant.pop(0) if self.assistant else f"Answer {self.said}."
        if request.schema.list_field == "questions":
            return json.dumps({"questions": ["What holds a boat?", "Who pays?"]})
        said = self.users.pop(0) if self.users else f"question {self.said}?"
        return said if isinstance(said, Exception) else json.dumps({"question": said})

    def asked(self, of: str) -> list[str]:
        """The prompts that begin with this letter."""
        return [text for request in self.sent if (text := request.messages[-1]["content"]).startswith(of)]


# -- what is said


def test_messages_hold_what_was_said_and_nothing_else(tmp_path: Path) -> None:
    players = Players(tmp_path)
    dataset = chats(tmp_path, **PROMPTS, system_prompt="Be kind.").generate([players.provider])
    assert assert_balanced(dataset.report).written == 6 == len(dataset.data_rows)
    for row in dataset.data_rows:
        assert [said["role"] for said in row.messages] == ["user", "assistant"] * 3
        assert row.opening_question == row.messages[0]["content"]
        users = [said["content"] for said in row.messages[::2]]
        assert all(text.startswith("question ") and text.endswith("?") for text in users)
        assert all(said["content"].startswith("Answer ") for said in row.messages[1::2])
        assert all(set(said) == {"role", "content"} for said in row.messages)
        assert (row.persona in PERSONAS, row.language, row.model_id) == (True, "en", "simulated/m")


def test_rows_say_what_they_are_about_and_how_the_question_was_asked(tmp_path: Path) -> None:
    dataset = chats(tmp_path, num_samples=1).generate([Players(tmp_path).provider])
    told = [row.metadata for row in dataset.data_rows]
    assert {(one["topic"], one["subtopic"]) for one in told} == {
        ("Berths", "Mooring"),
        ("Berths", "Shifting"),
        ("Water", "Tides"),
    }
    assert {(one["domain"], one["question"], one["prompt_index"]) for one in told} == {
        ("Harbours", "What holds a boat?", 0)
    }


def test_every_model_is_shown_what_it_has_to_know(tmp_path: Path) -> None:
    players = Players(tmp_path)
    subtopics = {"Berths": ["Mooring"]}
    dataset = chats(
        tmp_path, topics_and_subtopics=subtopics, num_samples=1, run={"max_concurrency": 1}, **PROMPTS
    ).generate([players.provider])
    (row,) = dataset.data_rows
    said = [message["content"] for message in row.messages]
    assert players.asked("Q") == ["Q: 1 English Harbours/Berths/Mooring"]
    assert players.asked("R") == [f"R: What holds a boat? by {row.persona} on Mooring"]
    first, second, third = (request.messages for request in players.sent if request.schema is None)
    begin = {"role": "user", "content": f"A: Harbours/Berths/Mooring {said[0]}"}
    assert first == [begin]
    assert second == [begin, *row.messages[1:3]]
    assert third == [begin, *row.messages[1:5]]
    *_, last = players.asked("F")
    shown = f"User: {said[0]}\n\nAssistant: {said[1]}\n\nUser: {said[2]}\n\nAssistant: {said[3]}"
    assert last == f"F: {row.persona} Harbours/Mooring\n{shown}"


def test_a_system_message_stands_in_rows_only_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "told").mkdir()
    plain = chats(tmp_path, system_prompt={"assistant": "Be exact."}).generate([Players(tmp_path).provider])
    assert {said["role"] for row in plain.data_rows for said in row.messages} == {"user", "assistant"}
    players = Players(tmp_path / "told")
    told = chats(tmp_path / "told", dataset_system_prompt="You know harbours.").generate([players.provider])
    for row in told.data_rows:
        assert row.messages[0] == {"role": "system", "content": "You know harbours."}
        assert row.opening_question == row.messages[1]["content"]
    sent = {
        (request.schema is None, request.messages[0]["content"])
        for request in players.sent
        if request.messages[0]["role"] == "system"
    }
    assert sent == {(True, "You know harbours.")}


@pytest.mark.parametrize(
    "again",
    [
        "question 2?",
        "QUESTION 2?",
        " Answer 3. ",
        "User: question 2?",
        "And then?\n\nAssistant: It holds.",
        "And then? Assistant: It holds.",
        "I'm sorry, but I can't continue this conversation.",
        "  ",
        "User:",
    ],
)
def test_a_user_who_says_nothing_new_or_answers_too_is_asked_again(tmp_path: Path, again: str) -> None:
    players = Players(tmp_path, users=["question 2?", again, "Why so?", "And then?"])
    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], num_samples=1, run={"max_concurrency": 1})
    dataset.generate([players.provider])
    (row,) = dataset.data_rows
    assert [said["content"] for said in row.messages[::2]] == ["question 2?", "Why so?", "And then?"]
    assert assert_balanced(dataset.report).calls == 1 + 3 + 3 + 1


def test_the_names_of_speakers_are_not_said(tmp_path: Path) -> None:
    players = Players(tmp_path, users=["User: Why?", "**User:** How?"], assistant=["Assistant: So.", "Like this."])
    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], num_samples=1, max_turns=2)
    dataset.generate([players.provider])
    assert [said["content"] for said in dataset.data_rows[0].messages] == ["Why?", "So.", "How?", "Like this."]


@pytest.mark.parametrize("wrong", ["It is deep.\nUser: And cold?\nAssistant: Yes.", "Assistant:"])
def test_an_assistant_who_speaks_for_the_user_or_says_nothing_is_asked_again(tmp_path: Path, wrong: str) -> None:
    def reply(request: Request) -> str | None:
        properties = request.schema.json_schema["properties"] if request.schema else {}
        return wrong if not properties else json.dumps({"answer": "It is."}) if "answer" in properties else None

    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], num_samples=1, max_turns=1, personas=None)
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    assert [one["content"] for one in dataset.data_rows[0].messages[1:]] == ["It is."]
    assert assert_balanced(dataset.report).calls == 3


def test_an_assistant_who_always_speaks_for_the_user_fails_its_chat_and_may_be_asked_later(tmp_path: Path) -> None:
    def chatty(request: Request) -> str | None:
        continued = "It is.\nUser: And cold?\nAssistant: Yes."
        properties = request.schema.json_schema["properties"] if request.schema else {"answer": 0}
        if "answer" not in properties:
            return None
        return continued if request.schema is None else json.dumps({"answer": continued})

    given: dict[str, Any] = {"topics_and_subtopics": ["Tides"], "num_samples": 1, "max_turns": 1, "personas": None}
    provider = CountingProvider("m", log=tmp_path / "requests", reply=chatty)
    dataset = chats(tmp_path, **given).generate([provider])
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 1}
    again = chats(tmp_path, **given).generate([SimulatedProvider("m")], retry_failed=True)
    assert assert_balanced(again.report).written == 1


def test_the_reasoning_of_what_was_not_taken_stands_in_no_row(tmp_path: Path) -> None:
    thoughts = iter(range(1, 9))

    def reply(request: Request) -> str:
        thought = next(thoughts)
        properties = request.schema.json_schema["properties"] if request.schema else {}
        said: dict[str, Any] = {
            "questions": ["Deep?"],
            "question": "Deep?" if thought < 5 else "Cold?",
            "answer": "Yes.",
        }
        text = json.dumps({name: said[name] for name in properties}) if properties else "Yes.\nUser: And?"
        return f"<think>Thought {thought}.</think>{text}"

    given: dict[str, Any] = {"topics_and_subtopics": ["Tides"], "num_samples": 1, "max_turns": 2, "personas": None}
    dataset = chats(tmp_path, reasoning="field", **given)
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    (row,) = rows_of(tmp_path / "out.jsonl")
    taken = {"question": 1, "assistant 1": 3, "user 2": 5, "assistant 2": 7}
    assert row["reasoning"] == {part: f"Thought {number}." for part, number in taken.items()}


def test_questions_that_no_user_asks_count_as_missing(tmp_path: Path) -> None:
    def reply(request: Request) -> str | None:
        asked = ["What holds a boat?", "I'm sorry, but I can't help with that.", "Deep? Assistant: Yes."]
        is_question = request.schema is not None and request.schema.list_field == "questions"
        return json.dumps({"questions": asked}) if is_question else None

    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], num_samples=3, max_turns=1, personas=None)
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    assert [row.opening_question for row in dataset.data_rows] == ["What holds a boat?"]
    assert assert_balanced(dataset.report).failures == {"short_reply": 2}


def test_stages_count_what_was_said_once(tmp_path: Path) -> None:
    players = Players(tmp_path)  # "question N?" and "Answer N."
    exactly = {"stage": "length", "min_words": 4, "max_words": 4}
    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], max_turns=1, quality=[exactly])
    assert assert_balanced(dataset.generate([players.provider]).report).written == 2


# -- personas


def test_a_persona_is_drawn_for_each_chat(tmp_path: Path) -> None:
    dataset = chats(tmp_path, num_samples=30, max_turns=1).generate([SimulatedProvider("m")])
    counts = Counter(row.persona for row in dataset.data_rows)
    assert set(counts) == set(PERSONAS)
    assert all(15 < count < 45 for count in counts.values())


def test_a_persona_that_comes_buys_the_chats_alone_that_get_it(tmp_path: Path) -> None:
    many = [f"A person who has number {number}." for number in range(20)]
    log = tmp_path / "requests"

    def run(personas: list[str]) -> dict[str, str]:
        dataset = chats(tmp_path, personas=personas, num_samples=10, max_turns=2)
        dataset.generate([CountingProvider("m", log=log)], on_change=lambda _: True)
        assert_balanced(dataset.report)
        return {row.metadata["question"]: row.persona for row in dataset.data_rows}

    first = run(many)
    before = len(requests_in(log))
    second = run([*many[:7], "A newcomer.", *many[7:]])
    changed = [question for question, persona in second.items() if first[question] != persona]
    assert {second[question] for question in changed} == {"A newcomer."}
    assert 0 < len(changed) < 6
    assert len(requests_in(log)) - before <= 4 * len(changed)


@pytest.mark.parametrize("given", [{"personas": []}, {"personas": None}, {}])
def test_without_personas_questions_are_used_as_they_are_asked(tmp_path: Path, given: dict[str, Any]) -> None:
    players = Players(tmp_path)
    fields = {"domain": "Harbours", "topics_and_subtopics": ["Tides"], "num_samples": 2, "max_turns": 2}
    config = UltrachatDatasetConfig(
        **fields, conversation_continuation_prob=1, output_file=tmp_path / "out.jsonl", **given
    )
    dataset = UltrachatDataset(config).generate([players.provider])
    assert assert_balanced(dataset.report).written == 2
    assert {row.opening_question for row in dataset.data_rows} == {"What holds a boat?", "Who pays?"}
    assert {row.persona for row in dataset.data_rows} == {None}
    assert "question" not in dataset.data_rows[0].metadata


@pytest.mark.parametrize(("pair", "rows"), [("all", 3 * 3 * 2), ("cycle", 3 * 2), ("random", 3 * 2)])
def test_personas_may_meet_the_opening_questions_instead(tmp_path: Path, pair: str, rows: int) -> None:
    players = Players(tmp_path)
    prompts = {**PROMPTS, "question_generation_prompts": [f"{QUESTIONS} for {{persona}}"]}
    dataset = chats(tmp_path, pair=pair, **prompts)
    assert dataset.get_num_expected_rows([object()]) == rows
    dataset.generate([players.provider])
    asked = {text.partition(" for ")[2] for text in players.asked("Q")}
    assert {row.persona for row in dataset.data_rows} == asked <= set(PERSONAS)
    assert len(dataset.data_rows) == rows


def test_personas_come_from_a_source_too(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,who\n7,A pilot.\n8,A cook.\n", encoding="utf-8")
    source = {"source": str(tmp_path / "people.csv"), "column": "who", "key": "id"}
    dataset = chats(tmp_path, personas=source, max_turns=1).generate([SimulatedProvider("m")])
    assert {(row.persona, row.metadata["persona_key"]) for row in dataset.data_rows} == {
        ("A pilot.", "7"),
        ("A cook.", "8"),
    }


# -- topics


@pytest.mark.parametrize(
    ("topics", "about"),
    [
        ({"Water": []}, {("Water", "Water")}),
        (["Tides", "Ice"], {("Tides", "Tides"), ("Ice", "Ice")}),
        ({"Sea": {"Water": ["Tides"], "Ice": []}}, {("Sea > Water", "Tides"), ("Sea", "Ice")}),
        (Tree.from_paths([["Sea", "Tides"]]), {("Sea", "Tides")}),
    ],
)
def test_topics_may_be_nested_in_any_depth(tmp_path: Path, topics: Any, about: set[tuple[str, str]]) -> None:
    dataset = chats(tmp_path, topics_and_subtopics=topics, num_samples=1).generate([SimulatedProvider("m")])
    assert {(row.metadata["topic"], row.metadata["subtopic"]) for row in dataset.data_rows} == about


def test_topics_are_grown_by_a_model(tmp_path: Path) -> None:
    topics = {"topic_prompt": "The sea", "degree": 2, "depth": 2}
    dataset = chats(tmp_path, topics_and_subtopics=topics, num_samples=1)
    assert dataset.get_num_expected_rows([object()]) == 4
    dataset.generate([SimulatedProvider("m")])
    assert assert_balanced(dataset.report).written == 4
    assert {row.metadata["topic"].partition(" > ")[0] for row in dataset.data_rows} == {"The sea"}
    assert (tmp_path / "out.jsonl.topics.json").is_file()
    (tmp_path / "out.jsonl").unlink()
    again = chats(tmp_path, topics_and_subtopics=topics, num_samples=1).generate([SimulatedProvider("m")])
    assert assert_balanced(again.report).calls == 0


def test_one_more_subtopic_buys_only_its_own_chats(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    chats(tmp_path).generate([provider])
    rows = rows_of(tmp_path / "out.jsonl")
    before = len(requests_in(tmp_path / "requests"))
    more = {"Ice": ["Floes"], **TOPICS}
    chats(tmp_path, topics_and_subtopics=more).generate([provider])
    assert len(requests_in(tmp_path / "requests")) - before == before // 3
    assert rows_of(tmp_path / "out.jsonl")[: len(rows)] == rows


# -- turns


@pytest.mark.parametrize(("chance", "turns"), [(0.0, {1}), (1.0, {4})])
def test_users_who_never_or_always_ask_on(tmp_path: Path, chance: float, turns: set[int]) -> None:
    dataset = chats(tmp_path, max_turns=4, conversation_continuation_prob=chance).generate([SimulatedProvider("m")])
    assert {len(row.messages) // 2 for row in dataset.data_rows} == turns


def test_turns_are_drawn_by_the_seed_with_the_probability(tmp_path: Path) -> None:
    def turns(seed: int) -> Counter[int]:
        folder = tmp_path / str(seed)
        folder.mkdir(exist_ok=True)
        dataset = chats(folder, num_samples=100, conversation_continuation_prob=0.5, run={"seed": seed})
        estimated = dataset.estimate([SimulatedProvider("m")]).calls
        dataset.generate([SimulatedProvider("m")])
        report = assert_balanced(dataset.report)
        assert abs(estimated - report.calls) < 0.1 * max(report.calls, 1) or report.calls == 0
        return Counter(len(row.messages) // 2 for row in dataset.data_rows)

    found = turns(1)
    assert abs(found[1] - 150) < 40
    assert abs(found[2] - 75) < 30
    assert abs(found[3] - 75) < 30
    assert turns(1) == found != turns(2)


def test_more_turns_keep_the_questions_and_answers_that_are_there(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    chats(tmp_path, max_turns=1).generate([provider])
    before = len(requests_in(tmp_path / "requests"))
    begun = {row["opening_question"]: row["messages"] for row in rows_of(tmp_path / "out.jsonl")}
    dataset = chats(tmp_path, max_turns=2).generate([provider], on_change=lambda _: True)
    assert len(requests_in(tmp_path / "requests")) - before == 2 * 6
    assert {row.opening_question: row.messages[:2] for row in dataset.data_rows} == begun


def test_rows_are_the_same_in_whatever_order_replies_come(tmp_path: Path) -> None:
    found = []
    for number, latency in enumerate((0.0, 0.004)):
        folder = tmp_path / str(number)
        folder.mkdir()
        given = {
            "num_samples": 6,
            "conversation_continuation_prob": 0.6,
            "languages": {"en": "English", "fr": "French"},
        }
        chats(folder, **given).generate([SimulatedProvider("m", latency_jitter_s=latency)])
        found.append(rows_of(folder / "out.jsonl"))
    assert same_rows(*found)


# -- failures


def test_a_turn_that_fails_for_good_fails_its_chat_and_a_retry_buys_that_turn_alone(tmp_path: Path) -> None:
    players = Players(tmp_path)
    refuse = True

    def reply(request: Request) -> str | Exception:
        last = len(request.messages) == 5 and request.messages[0]["content"].endswith("Who pays?")
        return (
            ProviderError("no", kind=ErrorKind.BAD_REQUEST, status=400) if refuse and last else players.reply(request)
        )

    players.provider.reply = reply
    given = {"topics_and_subtopics": ["Tides"], "personas": None, "simulated_assistant_prompt": ASSISTANT}
    report = assert_balanced(chats(tmp_path, **given).generate([players.provider]).report)
    assert (report.written, report.failed) == (1, 1)
    refuse = False
    before = len(requests_in(tmp_path / "requests"))
    again = chats(tmp_path, **given).generate([players.provider], retry_failed=True)
    assert (assert_balanced(again.report).written, len(requests_in(tmp_path / "requests")) - before) == (2, 1)
    assert {len(row.messages) for row in again.data_rows} == {6}


def test_an_answer_that_was_cut_is_kept_only_on_request_and_says_so(tmp_path: Path) -> None:
    players = Players(tmp_path)

    def reply(request: Request) -> str | bytes | Exception:
        if request.schema is None and request.messages[0]["content"].endswith("Who pays?"):
            return encode_completion("Those who", model="m", usage=Usage(10, 5), finish_reason="length")
        return players.reply(request)

    players.provider.reply = reply
    given = {"topics_and_subtopics": ["Tides"], "personas": None, "simulated_assistant_prompt": ASSISTANT}
    report = assert_balanced(chats(tmp_path, **given).generate([players.provider]).report)
    assert (report.written, report.failed) == (1, 1)
    dataset = chats(tmp_path, **given, run={"on_truncation": "keep"})
    with pytest.warns(DatafastWarning, match="3 texts were cut"):
        dataset.generate([players.provider], retry_failed=True)
    assert assert_balanced(dataset.report).written == 2
    cut = {row.opening_question: row.metadata.get("truncated") for row in dataset.data_rows}
    assert cut == {"What holds a boat?": None, "Who pays?": True}


def test_with_cut_answers_kept_no_placeholder_is_called_truncated(tmp_path: Path) -> None:
    given = {"simulated_assistant_prompt": f"{ASSISTANT} <<truncated>>"}
    expansion = {"placeholders": {"truncated": ["a"]}}
    chats(tmp_path, **given, expansion=expansion)
    with pytest.raises(ValueError, match=r"expansion\.placeholders\.truncated: The metadata of rows already has a"):
        chats(tmp_path, **given, expansion=expansion, run={"on_truncation": "keep"})


# -- who plays whom


def models(*names: str) -> dict[str, SimulatedProvider]:
    return {name: SimulatedProvider(name) for name in names}


def test_each_provider_of_a_list_holds_all_chats_by_itself(tmp_path: Path) -> None:
    given = list(models("a", "b").values())
    dataset = chats(tmp_path)
    assert dataset.get_num_expected_rows(given) == 12
    dataset.generate(given)
    told = Counter((row.model_id, row.user_model_id, row.question_model_id) for row in dataset.data_rows)
    assert told == {("simulated/a",) * 3: 6, ("simulated/b",) * 3: 6}


@pytest.mark.parametrize(
    ("roles", "question"), [(["user", "assistant"], "user"), (["user", "assistant", "question"], "question")]
)
def test_user_and_assistant_may_be_different_models(tmp_path: Path, roles: list[str], question: str) -> None:
    dataset, given = chats(tmp_path), models(*roles)
    assert (dataset.get_num_expected_rows(given), dataset.estimate(given).calls) == (6, 3 + 6 * 6)
    dataset.generate(given)
    assert {(row.model_id, row.user_model_id, row.question_model_id) for row in dataset.data_rows} == {
        ("simulated/assistant", "simulated/user", f"simulated/{question}")
    }
    assert chats(tmp_path).generate(given).report.calls == 0  # type: ignore[union-attr]


def test_another_assistant_buys_only_what_follows_from_its_answers(tmp_path: Path) -> None:
    user, log = CountingProvider("u", log=tmp_path / "requests"), tmp_path / "requests"
    chats(tmp_path, max_turns=1).generate({"user": user, "assistant": CountingProvider("a", log=log)})
    before = len(requests_in(log))
    again = {"user": user, "assistant": CountingProvider("b", log=log)}
    chats(tmp_path, max_turns=1).generate(again, on_change=lambda _: True)
    assert [model for model, _ in requests_in(log)[before:]] == ["simulated/b"] * 6


def test_no_model_is_named_for_a_user_who_only_asks_the_opening_question(tmp_path: Path) -> None:
    dataset = chats(tmp_path, personas=None, max_turns=1).generate([SimulatedProvider("m")])
    assert {row.user_model_id for row in dataset.data_rows} == {None}


@pytest.mark.parametrize(
    ("given", "fields", "told"),
    [
        ({"user": "simulated/a"}, {}, "No provider is given for assistant"),
        ({"assistant": "simulated/a"}, {}, "No provider is given for question, user"),
        ({"user": "simulated/a", "asistant": "simulated/b"}, {}, "Did you mean 'assistant'?"),
        (
            {"user": "simulated/a", "assistant": "simulated/b"},
            {"run": {"fan_out": "split"}},
            "one provider for each role",
        ),
    ],
)
def test_providers_that_do_not_fit_are_refused(
    tmp_path: Path, given: dict[str, str], fields: dict[str, Any], told: str
) -> None:
    config = {
        "kind": "ultrachat",
        "output_file": "out.jsonl",
        "topics_and_subtopics": TOPICS,
        "providers": given,
        **fields,
    }
    (tmp_path / "chat.yaml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    with pytest.raises(ConfigError) as refused:
        load_project(tmp_path / "chat.yaml")
    assert told in str(refused.value)


def test_a_provider_for_each_role_in_yaml_gives_the_keys_of_python(tmp_path: Path) -> None:
    given = {"user": "openai/u", "assistant": "openai/a"}
    config = {"kind": "ultrachat", "output_file": "out.jsonl", "topics_and_subtopics": TOPICS, "providers": given}
    (tmp_path / "chat.yaml").write_text(json.dumps(config), encoding="utf-8")
    project = load_project(tmp_path / "chat.yaml")
    assert [place.rpartition(" ")[2] for place, _ in project.all_providers()] == [
        "providers.user",
        "providers.assistant",
    ]
    route = Route.by_role({role: OpenAIProvider(name[7:]) for role, name in {**given, "question": "openai/u"}.items()})
    in_python = UltrachatDataset(UltrachatDatasetConfig(topics_and_subtopics=TOPICS))
    assert list(project.dataset().plan_for(project.routes).keys()) == list(in_python.plan_for([route]).keys())


# -- configs


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"question_generation_prompts": ["{num_samples} {language_name} {topic}"]}, r"\{domain\}, \{subtopic\} are missing"),
        ({"persona_question_reformulation_prompt": "{question} {subtopic}"}, r"_reformulation_prompt: \{persona\} is missing"),
        ({"simulated_assistant_prompt": "{question}"}, r"simulated_assistant_prompt: \{domain\}, \{topic\}, \{subtopic\} are missing"),
        ({"user_followup_prompt": "{persona}"}, r"user_followup_prompt: \{dialog_summary\}, \{domain\}, \{subtopic\} are missing"),
        ({"user_followup_prompt": FOLLOWUP, "max_turns": 1}, r"user_followup_prompt: max_turns is 1, so users ask once\. Raise it"),
        (
            {"user_followup_prompt": FOLLOWUP, "conversation_continuation_prob": 0},
            r"user_followup_prompt: conversation_continuation_prob is 0, so",
        ),
        ({"personas": [], "user_followup_prompt": FOLLOWUP}, r"user_followup_prompt: There are no personas\. Give some, or leave"),
        (
            {"personas": None, "persona_question_reformulation_prompt": REFORMULATED},
            r"persona_question_reformulation_prompt: There are no personas, so",
        ),
        ({"user_system_prompt": "a", "system_prompt": {"user": "b"}}, r"user_system_prompt: system_prompt has one for the user too"),
        ({"question_generation_prompts": [f"{QUESTIONS} {{persona}}"]}, r"_prompts\[0\]: Each chat has its own persona, so"),
        ({"topics_and_subtopics": []}, r"topics_and_subtopics: The list is empty"),
        ({"max_turns": 11}, r"less than or equal to 10"),
        ({"conversation_continuation_prob": 1.5}, r"less than or equal to 1"),
        ({"topics": ["a"]}, r"There is no such field\. Did you mean 'topics_and_subtopics'\?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        chats(tmp_path, **fields)


def test_placeholders_of_ones_own_may_stand_in_every_prompt(tmp_path: Path) -> None:
    players = Players(tmp_path)
    given = {
        **PROMPTS,
        "simulated_assistant_prompt": f"{ASSISTANT} <<tone>>",
        "user_followup_prompt": f"{FOLLOWUP} <<mood>>",
    }
    expansion = {"placeholders": {"tone": ["short", "long"], "mood": ["calm"]}}
    dataset = chats(tmp_path, **given, expansion=expansion)
    assert dataset.get_num_expected_rows([object()]) == 3 * 2 * 2
    dataset.generate([players.provider])
    assert {(row.metadata["tone"], row.metadata["mood"]) for row in dataset.data_rows} == {
        ("short", "calm"),
        ("long", "calm"),
    }
    assert {text.split()[-1] for text in players.asked("F")} == {"calm"}


def test_topics_and_personas_of_a_yaml_config_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "topics.json").write_text(json.dumps(TOPICS), encoding="utf-8")
    (tmp_path / "people.txt").write_text("A pilot.\nA cook.\n", encoding="utf-8")
    (tmp_path / "chat.yaml").write_text(
        f"kind: ultrachat\noutput_file: {tmp_path / 'out.jsonl'}\ntopics_and_subtopics: topics.json\n"
        "personas: people.txt\nproviders: [simulated/m]\n",
        encoding="utf-8",
    )
    project = load_project(tmp_path / "chat.yaml")
    assert project.dataset().plan_for(project.routes).num_rows == 3 * 10
    assert list(project.config.personas) == ["A pilot.", "A cook."]  # type: ignore[attr-defined]
    used = {file.what for file in project.used_files()}
    assert {"topics_and_subtopics", "personas"} <= used


@pytest.mark.parametrize("place", ["field", "metadata"])
def test_what_models_thought_stands_by_turn(tmp_path: Path, place: str) -> None:
    players = Players(tmp_path, assistant=["<think>A rope.</think>A rope holds it.", "<think>Ask.</think>Ask him."])
    dataset = chats(tmp_path, topics_and_subtopics=["Tides"], num_samples=1, max_turns=2, reasoning=place)
    dataset.generate([players.provider])
    (row,) = rows_of(tmp_path / "out.jsonl")
    thought = row["reasoning"] if place == "field" else row["metadata"]["reasoning"]
    assert thought == {"assistant 1": "A rope.", "assistant 2": "Ask."}
    assert row["messages"][1]["content"] == "A rope holds it."
