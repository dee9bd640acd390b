"""Rows are laid out by what they are, and nothing of them is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datafast.view.rendering import Texts, row_html
from datafast.view.rendering.layouts import Choice, Evidence, Folded, Pair, Tools, laid_out
from datafast.view.rendering.talk import Talk
from datafast.view.rendering.texts import PIECE, ShownText, piece_of
from datafast.view.rendering.values import Node, Number, Table, Value, row_of, write
from tests.view.rendering.safe_html import text_of

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def sections(row: Any, sort: type) -> list[Any]:
    return [one for one in laid_out(row, Texts()).sections if isinstance(one, sort)]


def words(html: str) -> str:
    return " ".join(text_of(html, " ").split())


def test_a_conversation_says_who_says_what() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yo"},
        ]
    }
    (talk,) = sections(row, Talk)
    assert [(one.role, one.who) for one in talk.messages] == [
        ("system", "System"),
        ("user", "User"),
        ("assistant", "Assistant"),
    ]
    assert words(row_html(row)) == "messages System Be brief. User Hi Assistant Yo"


def test_turns_of_sharegpt_are_a_conversation() -> None:
    row = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "<think>Hm</think>\nYo"}]}
    (talk,) = sections(row, Talk)
    assert [one.role for one in talk.messages] == ["user", "assistant"]
    assert words(row_html(row)) == "conversations User Hi Assistant Reasoning, 2 letters Hm Yo"


def test_the_result_of_a_call_stands_beside_it() -> None:
    row = {
        "messages": [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
            {"role": "tool", "tool_call_id": "c2", "content": "dry"},
            {"role": "tool", "tool_call_id": "c1", "content": '{"rain": true}'},
            {"role": "assistant", "content": "Yes."},
        ]
    }
    (talk,) = sections(row, Talk)
    assert [one.role for one in talk.messages] == ["user", "assistant", "assistant"]
    first, second = talk.messages[1].calls
    assert isinstance(first.results[0].parts[0], Value)
    assert words(row_html(row)) == (
        "messages User Rain? Assistant calls weather c1 city Oslo gave back rain true calls weather c2 city Oslo gave back dry "
        "Assistant Yes."
    )
    assert second.results[0].parts


def test_calls_and_results_of_sharegpt_go_together() -> None:
    call = json.dumps({"name": "weather", "arguments": {"city": "Oslo"}})
    row = {
        "conversations": [
            {"from": "human", "value": "Rain?"},
            {"from": "function_call", "value": call},
            {"from": "observation", "value": "dry"},
        ]
    }
    assert words(row_html(row)) == "conversations User Rain? Assistant calls weather city Oslo gave back dry"


def test_a_call_without_a_result_says_so() -> None:
    row = {"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}]}
    assert "No result of it is in the conversation." in words(row_html(row))


def test_parts_of_a_message_are_shown_and_images_not_loaded() -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": "https://a.test/x.png"}}]
    html = row_html({"messages": [{"role": "user", "content": parts}]})
    assert "<img" not in html
    assert "Look image_url, not loaded" in words(html)
    assert "https://a.test/x.png" in words(html)


def test_tools_are_told_with_their_parameters() -> None:
    properties = {
        "city": {"type": "string", "description": "Where."},
        "days": {"type": "array", "items": {"type": "integer"}},
    }
    schema = {"type": "object", "properties": properties, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": schema}}]
    row = {"messages": [{"role": "user", "content": "Hi"}], "tools": json.dumps(tools)}
    (told,) = sections(row, Tools)
    assert [(one.name, one.type, one.is_required) for one in told.tools[0].parameters] == [
        ("city", "string", True),
        ("days", "array of integer", False),
    ]
    assert words(row_html(row)).startswith("1 tool can be called: weather weather Tells it.")


def test_what_is_no_conversation_is_no_conversation() -> None:
    assert not sections({"messages": [{"role": 1}], "turns": [], "x": [{"role": "user"}]}, Talk)


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q", "options": ["a", "b"], "answer_index": 1},
        {"question": "Q", "options": ["a", "b"], "answer_letter": "B"},
        {"question": "Q", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "answerKey": "B"},
        {"question": "Q", "choices": ["a", "b"], "answer": 1},
        {"question": "Q", "options": ["a", "b"], "answer_index": 1, "correct_answer": "b", "incorrect_answer_1": "a"},
    ],
    ids=str,
)
def test_the_right_option_is_marked(row: dict[str, Any]) -> None:
    (choice,) = sections(row, Choice)
    assert [(one.letter, one.is_right) for one in choice.options] == [("A", False), ("B", True)]
    assert words(row_html(row)).startswith("question Q A a B b right answer")


def test_answers_without_options_are_options() -> None:
    (choice,) = sections({"question": "Q", "correct_answer": "b", "incorrect_answer_1": "a"}, Choice)
    assert [one.is_right for one in choice.options] == [True, False]


def test_a_pair_stands_side_by_side_with_what_is_said_of_each() -> None:
    row = {
        "question": "Q",
        "chosen_response": "good",
        "rejected_response": "bad",
        "chosen_model_id": "m",
        "rejected_response_score": 3,
    }
    (pair,) = sections(row, Pair)
    assert (pair.chosen.facts, pair.rejected.facts) == ([("chosen_model_id", "m")], [("rejected_response_score", "3")])
    assert words(row_html(row)).startswith("question Q chosen_response good")


def test_a_pair_of_conversations() -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    (pair,) = sections({"chosen": turns, "rejected": turns}, Pair)
    assert isinstance(pair.chosen.content, Talk)


def test_quotes_are_marked_in_their_chunk() -> None:
    row = {
        "chunk": "One two three two.",
        "evidence": ["two", "two three", "four"],
        "question": "Q",
        "answer": "A",
        "heading": "H",
    }
    (evidence,) = sections(row, Evidence)
    assert "One <mark>two three</mark> two." in row_html(row)
    assert "H: 2 of 3 quotes marked" in words(row_html(row))
    assert len(evidence.missing) == 1


def test_reasoning_is_folded_wherever_it_stands() -> None:
    for row in ({"text": "x", "reasoning": "hm"}, {"text": "x", "metadata": {"reasoning": "hm"}}):
        (folded,) = sections(row, Folded)
        assert folded.name == "reasoning"


def test_an_instruction_stands_before_its_response() -> None:
    row = {
        "response": "R",
        "input": "I",
        "instruction": "T",
        "original_instruction": "O",
        "evolutions": [{"operation": "deepening", "instruction": "T"}],
    }
    assert words(row_html(row)).startswith("instruction T input I response R before it evolved")


def test_unknown_rows_are_shown_by_their_columns() -> None:
    row = {
        "review": "long " * 40,
        "stars": 2,
        "nested": {"a": {"b": [1, {"c": None}]}},
        "people": [{"name": "A"}, {"name": "B"}],
        "tags": ["x", "y"],
    }
    view = laid_out(row, Texts())
    assert view.facts == [("stars", "2")]
    found = {one.name: type(one.value) for one in view.sections if isinstance(one, Value)}
    assert found == {"review": ShownText, "nested": Node, "people": Table, "tags": list}


def test_every_text_of_a_row_is_on_the_page() -> None:
    names = [
        "text",
        "prompt",
        "question",
        "answer",
        "chosen",
        "rejected",
        "chunk",
        "instruction",
        "response",
        "reasoning",
        "other",
        "uuid",
    ]
    row: dict[str, Any] = {name: f"text of {name}" for name in names}
    row |= {
        "evidence": ["text of chunk"],
        "options": ["one option", "another option"],
        "metadata": {"topic": "a topic", "deep": {"x": ["deep down", {}]}},
    }
    shown = words(row_html(row))
    for text in [
        *(value for value in row.values() if isinstance(value, str)),
        "one option",
        "another option",
        "a topic",
        "deep down",
    ]:
        assert text in shown


def test_numbers_keep_their_digits() -> None:
    line = b'{"a": 12345678901234567890123, "b": 1.10, "c": 1e400, "d": 0.1}'
    row = row_of(line)
    assert isinstance(row["b"], Number)
    shown = words(row_html(row))
    assert "a 12345678901234567890123 b 1.10 c 1e400 d 0.1" in shown
    assert '"c": "1e400"' in write(row)


@pytest.mark.parametrize("line", [b"{", b"[" * 100_000, b"", b'{"a": \xff}'])
def test_a_line_that_is_no_json_is_an_error_to_show(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        row_of(line)


def test_a_long_text_is_cut_and_comes_in_pieces() -> None:
    text = "word " * 1_000_000
    shown = Texts().shown(text, ("text",))
    assert (shown.letters, shown.shown) == (5_000_000, 20_000)
    pieces, start = [], shown.shown
    while piece := piece_of({"text": text}, ["text"], start):
        pieces.append(piece)
        start += PIECE
    assert text[: shown.shown] + "".join(pieces) == text
    assert piece_of({"text": text}, ["other"], 0) is None


def test_the_texts_of_a_page_have_a_bound_together() -> None:
    row = {f"field{number}": "word " * 4_000 for number in range(150)}
    assert len(row_html(row)) < 700_000


def test_raw_texts_are_as_they_are() -> None:
    html = row_html({"text": "**a** $x$ \u200d\n  b"}, Texts(raw=True))
    code = '<span class="hidden-character" title="U+200D zero width joiner">\\u200d</span>'
    assert f'<div class="raw-text" dir="auto">**a** $x$ {code}\n  b</div>' in html
