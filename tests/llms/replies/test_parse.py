"""What counts as a usable reply, and what is said about the others."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from datafast.errors import ReplyCategory, ReplyError
from datafast.llms.base import Completion, ReplyMode
from datafast.llms.replies.completion import decode_completion, encode_completion
from datafast.llms.replies.parse import correction, parse_reply, parse_text
from datafast.llms.schema import ResponseSchema, ask
from datafast.types import Usage


class Texts(BaseModel):
    texts: list[str]


class Judgement(BaseModel):
    score: int = Field(ge=1, le=10)
    reason: str = ""
    weight: float | None = None
    accepted: bool = True


class Node(BaseModel):
    title: str
    children: list[Node] = []


class Record(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date
    kind: Literal["a", "b"]
    notes: dict[str, int]


TEXTS = ResponseSchema.of(Texts)
JUDGEMENT = ResponseSchema.of(Judgement)


def reply(text: str, finish_reason: str = "stop", reasoning: str = "", refusal: str = "") -> Completion:
    return Completion(text=text, finish_reason=finish_reason, usage=Usage(5, 7), reasoning=reasoning, refusal=refusal)


def failure(completion: Completion, schema: ResponseSchema = TEXTS) -> ReplyError:
    with pytest.raises(ReplyError) as caught:
        parse_reply(completion, schema)
    return caught.value


GOOD = '{"texts": ["one", "two"]}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD, id="plain"),
        pytest.param(f"\ufeff  {GOOD}\n", id="byte order mark and whitespace"),
        pytest.param(f"```json\n{GOOD}\n```", id="fence"),
        pytest.param(f"Sure, here's what you asked for:\n```\n{GOOD}\n```\nHope it's fine!", id="fence and chatter"),
        pytest.param(f"As said in [1], and in {{that}} order: {GOOD} [x] done", id="chatter with brackets"),
        pytest.param('{"texts": ["one", "two",],}', id="trailing commas"),
        pytest.param("{'texts': ['one', 'two']}", id="single quotes"),
        pytest.param('{texts: [\n"one"\n"two"\n]}', id="bare key, missing comma between lines"),
        pytest.param(f'<think>maybe {{"texts": ["no"]}}</think>\n{GOOD}', id="think block holding JSON"),
        pytest.param(f'<thinking>{{[ hm "</thinking>{GOOD}', id="think block with open brackets"),
        pytest.param(f"<reasoning>x</reasoning> ```json\n{GOOD}```", id="reasoning block and fence"),
        pytest.param(f"I might say {{[.\n</think>\n\n{GOOD}", id="think block without its opening tag"),
        pytest.param(f"<think>the tag </think> ends it</think>{GOOD}", id="think block that quotes its tag"),
        pytest.param('["one", "two"]', id="bare list where the model is one list"),
        pytest.param('{"Texts": {"texts": ["one", "two"]}}', id="object below the schema's name"),
        pytest.param(f"[{GOOD}]", id="list of one object"),
        pytest.param(f"{GOOD}\n{GOOD}", id="the same object twice"),
    ],
)
def test_a_reply_that_says_it_clearly_is_accepted(text: str) -> None:
    assert parse_reply(reply(text), TEXTS) == Texts(texts=["one", "two"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"texts": ["a </think> b"]}', "a </think> b"),
        ('Here: {"texts": ["a </think> b"]}', "a </think> b"),
        ('<think>x</think>{"texts": ["a </think> b",]}', "a </think> b"),
        ('{"texts": ["```json {} ```"]}', "```json {} ```"),
        ('{"texts": ["line\nbreak"]}', "line\nbreak"),
        ('{"texts": ["He said "no" to us"]}', 'He said "no" to us'),
        ('{"texts": ["half \\ud83d of it"]}', "half \ufffd of it"),
        ("{'texts': ['wait, ... what']}", "wait, ... what"),
        ('{"texts": ["C:\\data, \\ud83d\\ude00",]}', "C:\\data, \U0001f600"),
        ('{"texts": ["caf\\u00e9 \\/ \\"x\\"",]}', 'café / "x"'),
    ],
)
def test_what_stands_in_a_string_survives_unchanged(text: str, expected: str) -> None:
    assert parse_reply(reply(text), TEXTS) == Texts(texts=[expected])


@pytest.mark.parametrize(
    ("text", "category", "words"),
    [
        ("", ReplyCategory.EMPTY, "no text"),
        ("<think>x</think>  ", ReplyCategory.EMPTY, "reasoning only"),
        ('<think>perhaps {"texts": ["a"]}', ReplyCategory.EMPTY, "reasoning only"),
        ("I would rather not.", ReplyCategory.INVALID, "no JSON. Expected one JSON object with the fields: texts"),
        ('{"texts": ["one", "tw', ReplyCategory.INVALID, "not complete"),
        ('{"texts": ["one", "two"]', ReplyCategory.INVALID, "not complete"),
        ('{"texts": ["one", ...]}', ReplyCategory.INVALID, "cannot be read"),
        ('{"texts": ["one" /* and two */]}', ReplyCategory.INVALID, "cannot be read"),
        ('{"texts": ["one"], "texts" ["two"]}', ReplyCategory.INVALID, "cannot be read"),
        ('{"texts": ["a"]} or {"texts": ["b"]}', ReplyCategory.INVALID, "several different JSON objects"),
        ('{"texts": "one"}', ReplyCategory.INVALID, "texts: Input should be a valid"),
        ('{"texts": [1]}', ReplyCategory.INVALID, "texts.0: Input should be a valid string (got 1)"),
        ("[ ] nothing to do", ReplyCategory.INVALID, "no JSON"),
        ("null", ReplyCategory.INVALID, "does not match"),
        ("[" * 50_000 + "]" * 50_000, ReplyCategory.INVALID, "no JSON"),
        ('{"texts": ' * 5_000 + "[]" + ",}" * 5_000, ReplyCategory.INVALID, "cannot be read"),
        ('{"texts": ["one" "two"]}', ReplyCategory.INVALID, "cannot be read"),
    ],
)
def test_a_reply_that_is_not_usable_says_why(text: str, category: ReplyCategory, words: str) -> None:
    error = failure(reply(text))
    assert (error.category, words in str(error)) == (category, True), str(error)


def test_a_reply_cut_off_at_the_token_limit_is_never_completed() -> None:
    error = failure(reply('{"texts": ["one", "two"', finish_reason="length"))
    assert error.category is ReplyCategory.TRUNCATED
    assert "after 7 output tokens" in str(error)
    assert "max_completion_tokens" in str(error)


def test_a_reply_that_hit_the_limit_on_its_last_bracket_is_complete() -> None:
    assert parse_reply(reply(GOOD, finish_reason="length"), TEXTS) == Texts(texts=["one", "two"])


def test_a_limit_used_up_by_reasoning_is_truncation_and_says_so() -> None:
    error = failure(reply("", finish_reason="length", reasoning="hm"))
    assert (error.category, "reasoning" in str(error)) == (ReplyCategory.TRUNCATED, True)


def test_an_answer_that_never_left_the_reasoning_field_is_named() -> None:
    error = failure(reply("", reasoning=GOOD))
    assert (error.category, "reasoning only" in str(error)) == (ReplyCategory.EMPTY, True)


@pytest.mark.parametrize("completion", [reply(GOOD, refusal="I cannot."), reply(GOOD, finish_reason="content_filter")])
def test_a_refusal_counts_whatever_else_came(completion: Completion) -> None:
    assert failure(completion).category is ReplyCategory.REFUSED


def test_a_reply_that_the_server_broke_off_is_not_used() -> None:
    assert "broke the reply off" in str(failure(reply(GOOD, finish_reason="error")))


@pytest.mark.parametrize("score", ['"4"', "4", "4.0"])
def test_numbers_are_read_where_that_loses_nothing(score: str) -> None:
    assert parse_reply(reply(f'{{"score": {score}}}'), JUDGEMENT) == Judgement(score=4)


@pytest.mark.parametrize(
    "fields",
    ['"score": 4.5', '"score": true', '"score": 11', '"score": "high"', '"score": 1, "weight": false',
     '"score": 1, "weight": NaN', '"score": 1, "weight": "nan"', '"score": 1, "weight": 1e999'],
)  # fmt: skip
def test_a_number_is_never_rounded_clamped_or_made_from_something_else(fields: str) -> None:
    error = failure(reply(f"{{{fields}}}"), JUDGEMENT)
    assert error.category is ReplyCategory.INVALID
    assert re.search("score|weight|cannot be read", str(error))


def test_repaired_literals_keep_their_meaning() -> None:
    text = "{'score': 3, 'reason': 'fine', 'weight': None, 'accepted': False}"
    assert parse_reply(reply(text), JUDGEMENT) == Judgement(score=3, reason="fine", accepted=False)


def test_strict_models_take_what_json_can_write() -> None:
    schema = ResponseSchema.of(Record)
    record = Record(day=date(2024, 5, 1), kind="b", notes={"x": 1})
    assert parse_reply(reply(f"```\n{record.model_dump_json()}\n```"), schema) == record


def test_errors_are_short_and_name_the_first_fields() -> None:
    error = failure(reply(orjson.dumps({"texts": [{"x": "y" * 500}] * 50}).decode()))
    assert len(str(error)) <= 600
    assert "texts.0" in str(error)
    assert "and 46 more" in str(error)


@st.composite
def wrapped(draw: st.DrawFn) -> tuple[BaseModel, str]:
    nodes = st.recursive(
        st.builds(Node, title=st.text()), lambda below: st.builds(Node, title=st.text(), children=st.lists(below)),
        max_leaves=8,
    )  # fmt: skip
    texts = st.builds(Texts, texts=st.lists(st.text()))
    scores = st.builds(Judgement, score=st.integers(1, 10), weight=st.floats(allow_nan=False, allow_infinity=False))
    model: BaseModel = draw(st.one_of(nodes, texts, scores))
    before = draw(
        st.sampled_from(["", "Here it is, as you're used to:\n", "<think>{[ maybe </think>", "<reasoning>\n"])
    )
    text = model.model_dump_json()
    if before == "<reasoning>\n":
        before += "hm, a list?\n</reasoning>\n"
    return model, f"{before}```json\n{text}\n```" if draw(st.booleans()) else f"{before}{text}"


@given(wrapped())
def test_any_instance_fenced_or_behind_reasoning_parses_back_equal(case: tuple[BaseModel, str]) -> None:
    model, text = case
    assert parse_reply(reply(text), ResponseSchema.of(type(model))) == model


@given(st.lists(st.text(), min_size=1), st.data())
def test_no_prefix_of_a_reply_is_taken_for_the_whole(texts: list[str], data: st.DataObject) -> None:
    whole = Texts(texts=texts).model_dump_json()
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    failure(reply(part))


@given(st.text())
def test_no_text_makes_the_parser_fail_in_any_other_way(text: str) -> None:
    with suppress(ReplyError):
        assert parse_reply(reply(text), JUDGEMENT)


def test_free_text_comes_without_reasoning_and_outer_whitespace() -> None:
    assert parse_text(reply("<think>\nhm\n</think>\n\n A story.\n")) == "A story."


def test_free_text_loses_reasoning_whose_opening_tag_is_missing() -> None:
    assert parse_text(reply("First I think.\n</think>\n\nA story.")) == "A story."


@pytest.mark.parametrize("text", ["Close it with </think> always.", "Write `\n</think>\n` here", "a <think> b"])
def test_free_text_that_speaks_about_the_tags_stays(text: str) -> None:
    assert parse_text(reply(text)) == text


@pytest.mark.parametrize(
    ("completion", "category"),
    [
        (reply("A sto", finish_reason="length"), ReplyCategory.TRUNCATED),
        (reply(""), ReplyCategory.EMPTY),
        (reply("<think>only"), ReplyCategory.EMPTY),
        (reply("x", finish_reason="content_filter"), ReplyCategory.REFUSED),
    ],
)
def test_free_text_that_is_not_whole_is_refused(completion: Completion, category: ReplyCategory) -> None:
    with pytest.raises(ReplyError) as caught:
        parse_text(completion)
    assert caught.value.category is category


def test_a_schema_is_built_once_per_class() -> None:
    class Once(BaseModel):  # of its own, since a class that many others were used after may be built anew
        text: str

    assert ResponseSchema.of(Once) is ResponseSchema.of(Once)


def test_the_wire_form_is_a_strict_response_format() -> None:
    wire = orjson.loads(JUDGEMENT.wire)
    assert wire["type"] == "json_schema"
    assert (wire["json_schema"]["name"], wire["json_schema"]["strict"]) == ("Judgement", True)
    schema = wire["json_schema"]["schema"]
    assert schema["required"] == ["score", "reason", "weight", "accepted"]
    assert schema["additionalProperties"] is False
    assert not {"title", "default"} & set(orjson.dumps(schema).decode().replace('"', " ").split())


def test_a_field_called_title_is_kept() -> None:
    schema = ResponseSchema.of(Node).json_schema
    assert list(schema["properties"]) == ["title", "children"]
    assert schema["$defs"]["Node"]["required"] == ["title", "children"]


def test_lengths_are_kept_in_the_schema_and_told_in_words_on_the_wire() -> None:
    class Short(BaseModel):
        text: str = Field(min_length=3, max_length=9, description="A word.")

    schema = ResponseSchema.of(Short)
    assert schema.json_schema["properties"]["text"]["maxLength"] == 9
    sent = orjson.loads(schema.wire)["json_schema"]["schema"]["properties"]["text"]
    assert sent == {"type": "string", "description": "A word. (minLength: 3, maxLength: 9)"}


def test_words_beside_a_reference_are_kept_by_putting_the_target_in_place() -> None:
    class Outer(BaseModel):
        inner: Texts = Field(description="What was said.")

    schema = ResponseSchema.of(Outer).json_schema
    assert schema["properties"]["inner"]["description"] == "What was said."
    assert "$defs" not in schema


def test_a_schema_with_free_keys_is_not_called_strict() -> None:
    assert orjson.loads(ResponseSchema.of(Record).wire)["json_schema"]["strict"] is False


def test_names_are_made_safe_for_every_provider() -> None:
    odd = type("Odd[Näme] " + "x" * 80, (Texts,), {"__module__": __name__})
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", ResponseSchema.of(odd).name)


def test_digests_tell_schemas_apart() -> None:
    assert len(TEXTS.digest) == 16
    assert TEXTS.digest != JUDGEMENT.digest


def test_a_server_that_enforces_the_schema_gets_the_messages_as_they_are() -> None:
    messages = [{"role": "user", "content": "Go."}]
    assert ask(messages, TEXTS, ReplyMode.JSON_SCHEMA) == messages  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [ReplyMode.JSON_OBJECT, ReplyMode.PROMPT])
def test_other_servers_are_told_the_schema_in_the_system_message(mode: ReplyMode) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Go {x}."}]
    before = orjson.dumps(messages)
    asked = ask(messages, TEXTS, mode)  # type: ignore[arg-type]
    assert orjson.dumps(messages) == before
    assert asked[0]["content"].startswith("Be kind.\n\n")
    assert orjson.dumps(TEXTS.json_schema).decode() in asked[0]["content"]
    assert "JSON" in asked[0]["content"]
    assert asked[1:] == messages[1:]


def test_a_system_message_is_added_where_there_is_none() -> None:
    asked = ask([{"role": "user", "content": "Go."}], TEXTS, ReplyMode.PROMPT)
    assert [message["role"] for message in asked] == ["system", "user"]


def test_asking_again_shows_the_reply_and_the_reason() -> None:
    said, wrong = correction(ReplyError("texts.0: too short"), '{"texts": [""]}')
    assert (said["role"], said["content"]) == ("assistant", '{"texts": [""]}')
    assert wrong["role"] == "user"
    assert "texts.0: too short" in wrong["content"]


def test_asking_again_shortens_huge_replies_and_never_sends_an_empty_one() -> None:
    said, _ = correction(ReplyError("x"), "a" * 50_000 + "END")
    assert len(said["content"]) < 7_000
    assert said["content"].endswith("END")
    assert correction(ReplyError("x"), " ")[0]["content"] == "(no text)"


@given(
    st.text(),
    st.builds(Usage, *[st.integers(9, 10**6)] * 2, *[st.integers(0, 9)] * 2),
    st.sampled_from(["stop", "length"]),
    st.text(),
    st.text(),
)
def test_completions_are_read_back_as_they_were_written(
    text: str, usage: Usage, finish_reason: str, reasoning: str, refusal: str
) -> None:
    raw = encode_completion(
        text, model="m", usage=usage, finish_reason=finish_reason, reasoning=reasoning, refusal=refusal
    )
    assert decode_completion(raw) == Completion(text, finish_reason, usage, "m", reasoning, refusal)


def completion_json(message: object, **fields: object) -> bytes:
    return orjson.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **fields})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("x", "x"),
        ([{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "t", "text": "no"}, "b"], "ab"),
    ],
)
def test_content_may_be_null_a_string_or_parts(content: object, text: str) -> None:
    assert decode_completion(completion_json({"content": content})).text == text


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart_under_either_name(name: str) -> None:
    assert decode_completion(completion_json({"content": "x", name: "because"})).reasoning == "because"


def test_a_reply_without_usage_is_told_apart_from_one_of_no_tokens() -> None:
    assert decode_completion(completion_json({"content": "x"})).usage is None
    assert decode_completion(completion_json({"content": "x"}, usage={"prompt_tokens": None})).usage is None
    assert decode_completion(completion_json({"content": "x"}, usage={"prompt_tokens": 0})).usage is None
    nothing = decode_completion(completion_json({"content": ""}, usage={"prompt_tokens": 3, "completion_tokens": 0}))
    assert nothing.usage == Usage(3, 0)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"<html>busy</html>", "is not JSON"),
        (b"[]", "without a choice"),
        (b'{"error": {"message": "overloaded"}}', "overloaded"),
        (b'{"choices": [{"text": "x"}]}', "without a message"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_what_is_no_completion_is_refused_saying_what_came(raw: bytes, words: str) -> None:
    with pytest.raises(ReplyError, match=re.escape(words)):
        decode_completion(raw)
