"""Texts that one reply brings: which of them become rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning
from datafast.llms import OpenAICompatibleProvider, SimulatedProvider
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, columns, preference, raw, rows_of

REPEATING = '{"texts": ["a", " a ", "b", "a"]}'


def test_a_text_that_comes_again_in_a_reply_counts_as_missing(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=REPEATING)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b"]
    assert dataset.report.failures == {"short_reply": 2}


def test_topping_up_asks_for_what_repeats_left_out(tmp_path: Path, fault_server: FaultServer) -> None:
    texts = iter([REPEATING, '{"texts": ["c", "d"]}'])
    fault_server.respond = lambda request: Answer(text=next(texts))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4, run={"top_up": True})
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b", "c", "d"]
    assert "exactly 2." in fault_server.requests[1].prompt


def test_a_text_that_topping_up_brings_again_counts_as_missing_too(tmp_path: Path, fault_server: FaultServer) -> None:
    texts = iter(['{"texts": ["a", "b"]}', '{"texts": ["a", "c"]}'])
    fault_server.respond = lambda request: Answer(text=next(texts, '{"texts": ["c"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4, run={"top_up": True})
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b", "c"]
    assert dataset.report.failures == {"short_reply": 1}
    sent = len(fault_server.requests)
    (tmp_path / "out.jsonl").unlink()
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "b", "c"]
    assert len(fault_server.requests) == sent


def test_repeats_are_taken_where_the_config_says_so(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=REPEATING)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4, keep_repeats=True)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    assert [row.text for row in dataset.data_rows] == ["a", "a", "b", "a"]


# -- a reply that is not all right


def provider(server: FaultServer, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("m", api_base=server.url, **options)


def texts_of(dataset: Any) -> list[str]:
    return [row.text for row in dataset.data_rows]


@pytest.mark.parametrize("bad", ["null", "7", '["b"]', '{"text": "b"}'])
def test_what_is_no_text_is_left_out_and_the_others_are_kept(
    tmp_path: Path, fault_server: FaultServer, bad: str
) -> None:
    fault_server.respond = lambda request: Answer(text=f'{{"texts": ["a", {bad}, "c"]}}')
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3)
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["a", "c"]
    report = assert_balanced(dataset.report)
    assert (report.calls, report.failures) == (1, {"short_reply": 1})
    (failed,) = dataset.failed_items
    assert failed.error.startswith("Only 2 of the 3 rows that were asked for came in a usable form. ")
    assert "texts.1: " in failed.error
    assert failed.error.endswith(". With run.top_up: true a run asks for the missing ones by itself.")


@pytest.mark.parametrize("framed", ["```json\n{}\n```", "Here they are: {}", "<think>Well.</think>{}", "{}"])
def test_it_is_so_whatever_stands_around_the_reply(tmp_path: Path, fault_server: FaultServer, framed: str) -> None:
    fault_server.respond = lambda request: Answer(text=framed.replace("{}", '{"texts": [null, "b"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["b"]


@pytest.mark.parametrize("reply", ['{"texts": [null, 7]}', '{"texts": [null, "  "]}', '{"texts": null}', "{}"])
def test_a_reply_in_which_nothing_is_right_is_asked_for_again(
    tmp_path: Path, fault_server: FaultServer, reply: str
) -> None:
    fault_server.answer_next(Answer(text=reply), Answer(text='{"texts": ["a", "b"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["a", "b"]
    assert "That reply cannot be used" in fault_server.requests[1].prompt


def test_topping_up_asks_for_what_was_left_out(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(text='{"texts": ["a", null, "c"]}'), Answer(text='{"texts": ["b"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3, run={"top_up": True})
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["a", "c", "b"]
    assert (assert_balanced(dataset.report).failed, len(fault_server.requests)) == (0, 2)


def test_a_retry_buys_only_what_was_left_out(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.answer_next(Answer(text='{"texts": ["a", null, "c"]}'), Answer(text='{"texts": ["b"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3)
    dataset.generate([provider(fault_server)])
    dataset.generate([provider(fault_server)], retry_failed=True)
    assert texts_of(dataset) == ["a", "c", "b"]
    report = assert_balanced(dataset.report)
    assert (report.calls, report.failed) == (1, 0)


def test_rows_of_such_a_reply_are_rebuilt_for_free(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["a", null, "c"]}')
    dataset = raw(tmp_path, topics=2, num_samples_per_prompt=3)
    dataset.generate([provider(fault_server)])
    before, sent = sorted(texts_of(dataset)), len(fault_server.requests)
    (tmp_path / "out.jsonl").unlink()
    dataset.generate([provider(fault_server)])
    assert sorted(texts_of(dataset)) == before == ["a", "a", "c", "c"]
    assert len(fault_server.requests) == sent
    assert_balanced(dataset.report)


@pytest.mark.parametrize("fan_out", ["split", "fallback"])
def test_it_is_so_where_a_prompt_goes_to_one_of_several(
    tmp_path: Path, fault_server: FaultServer, fan_out: str
) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["a", null]}')
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2, run={"fan_out": fan_out})
    dataset.generate([provider(fault_server), OpenAICompatibleProvider("n", api_base=fault_server.url)])
    assert texts_of(dataset) == ["a"]
    assert_balanced(dataset.report)


def test_questions_that_are_right_are_kept(tmp_path: Path, fault_server: FaultServer) -> None:
    def respond(request: Recorded) -> Answer:
        return Answer(text='{"texts": [null, "Why?", "How?"]}' if "Write questions" in request.prompt else None)

    fault_server.respond = respond
    dataset = preference(tmp_path, documents=1, num_samples_per_prompt=3, llm_as_judge=False)
    model = provider(fault_server)
    dataset.generate_roles({"question": model, "chosen": model, "rejected": model})
    assert [row.question for row in dataset.data_rows] == ["Why?", "How?"]
    assert assert_balanced(dataset.report).failures == {"short_reply": 1}


def test_a_text_that_holds_the_list_is_read_and_what_is_wrong_in_it_left_out(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: Answer(text=json.dumps({"texts": json.dumps(["a", None])}))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["a"]


def test_several_lists_are_still_refused(tmp_path: Path, fault_server: FaultServer) -> None:
    reply = '{"texts": ["a", null]}\n{"texts": ["b", null]}'
    fault_server.respond = lambda request: Answer(text=reply)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2, run={"max_parse_retries": 0})
    dataset.generate([provider(fault_server)])
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 2}


# -- a reply that is cut


def cut(text: str) -> Answer:
    return Answer(text=text, finish_reason="length")


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ('{"texts": ["a", "b", "c', ["a", "b"]),
        ('{"texts": ["a", "b",', ["a", "b"]),
        ('{"texts": ["a", "b"', ["a"]),  # its quote may be the first of a quotation
        ('{"texts": ["a", "b"]', ["a", "b"]),
        ('["a", "b", "c', ["a", "b"]),
        ('```json\n{"texts": ["a", "b", "c', ["a", "b"]),
        ('Here are some:\n```json\n{ "texts" : [ "a" , "b" , "c', ["a", "b"]),
        ('<think>Hm.</think>{"texts": ["a", null, "b", "c', ["a", "b"]),
        ('{"texts": ["a", "b\\', ["a"]),
    ],
)
def test_whole_texts_before_a_cut_are_kept(
    tmp_path: Path, fault_server: FaultServer, reply: str, kept: list[str]
) -> None:
    fault_server.respond = lambda request: cut(reply)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=4)
    dataset.generate([provider(fault_server, max_completion_tokens=20)])
    assert texts_of(dataset) == kept
    report = assert_balanced(dataset.report)
    assert (report.calls, report.failures) == (1, {"short_reply": 4 - len(kept)})
    (failed,) = dataset.failed_items
    assert "cut off at the output-token limit" in failed.error
    assert "Raise max_completion_tokens" in failed.error


@pytest.mark.parametrize(
    "reply",
    [
        '{"texts": ["a',
        '{"texts": ["He said "no" and", "b',  # where a text ends cannot be known
        '{"other": ["a", "b',
        '{"texts": ["a", "b", {"texts": ["c',
        '{"texts": "a", "b',
        "",
    ],
)
def test_nothing_is_made_of_a_cut_reply_without_a_whole_text(
    tmp_path: Path, fault_server: FaultServer, reply: str
) -> None:
    fault_server.respond = lambda request: cut(reply)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([provider(fault_server, max_completion_tokens=20)])
    assert assert_balanced(dataset.report).failures == {"truncated": 2}


def test_a_whole_reply_is_asked_for_first_where_the_user_set_no_limit(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.answer_next(cut('{"texts": ["a", "b'), Answer(text='{"texts": ["c", "d"]}'))
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2)
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["c", "d"]


@pytest.mark.parametrize(
    ("then", "kept"),
    [
        ([cut('{"texts": ["c", "d", "e')], ["c", "d"]),
        ([cut('{"texts": ["c', )], ["a"]),
        ([Answer(text='{"texts": [null, "c"]}')], ["a"]),
        ([Answer(text="no")] * 2, ["a"]),
        ([], ["a"]),
    ],
)  # fmt: skip
def test_what_came_before_is_kept_where_no_whole_reply_comes(
    tmp_path: Path, fault_server: FaultServer, then: list[Answer], kept: list[str]
) -> None:
    dataset = raw(tmp_path, topics=2, num_samples_per_prompt=3, run={"max_concurrency": 1})
    refused = Answer(status=400, body={"error": {"message": "no"}})
    fault_server.respond = lambda request: refused if "topic 1" in request.prompt else Answer()
    fault_server.answer_next(Answer(text='{"texts": ["x", "y", "z"]}'), cut('{"texts": ["a", "b'), *then)
    dataset.generate([provider(fault_server)])
    report = assert_balanced(dataset.report)
    assert texts_of(dataset) == ["x", "y", "z", *kept]
    assert report.failures == {"short_reply": 3 - len(kept)}
    sent = len(fault_server.requests)
    (tmp_path / "out.jsonl").unlink()
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["x", "y", "z", *kept]
    assert len(fault_server.requests) == sent


def test_a_retry_keeps_what_came_before_a_cut_and_buys_the_rest(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: cut('{"texts": ["a", "b", "c')
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3)
    dataset.generate([provider(fault_server)])
    assert (texts_of(dataset), len(fault_server.requests)) == (["a", "b"], 2)
    fault_server.respond = lambda request: Answer(text='{"texts": ["c"]}')
    dataset.generate([provider(fault_server)], retry_failed=True)
    assert (texts_of(dataset), len(fault_server.requests)) == (["a", "b", "c"], 3)
    assert assert_balanced(dataset.report).failed == 0


def test_a_retry_with_a_higher_limit_buys_a_new_reply(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: (
        cut('{"texts": ["a') if request.json["max_tokens"] < 100 else Answer(text='{"texts": ["a whole text"]}')
    )
    dataset = raw(tmp_path, topics=2)
    dataset.generate([provider(fault_server, max_completion_tokens=20)])
    assert assert_balanced(dataset.report).failures == {"truncated": 2}
    dataset.generate([provider(fault_server, max_completion_tokens=20)], retry_failed=True)
    assert assert_balanced(dataset.report).failures == {"truncated": 2}
    dataset.generate([provider(fault_server, max_completion_tokens=200)])
    assert dataset.report.calls == 0  # failed rows are only taken up where that is asked for
    dataset.generate([provider(fault_server, max_completion_tokens=200)], retry_failed=True)
    report = assert_balanced(dataset.report)
    assert (report.calls, report.written, report.failed) == (2, 2, 0)


# -- free text that is cut


def free_texts(folder: Path, server: FaultServer, **run: Any) -> Any:
    """A preference dataset of one pair, the chosen response of which is cut."""
    dataset = preference(folder, documents=1, num_samples_per_prompt=1, llm_as_judge=False, run=run)
    short, model = provider(server, max_completion_tokens=5), provider(server, name="other")
    server.respond = lambda request: cut("A tide is") if "max_tokens" in request.json else Answer()
    dataset.generate_roles({"question": model, "chosen": short, "rejected": model})
    return dataset


def test_a_cut_text_fails_its_row(tmp_path: Path, fault_server: FaultServer) -> None:
    dataset = free_texts(tmp_path, fault_server)
    assert assert_balanced(dataset.report).failures == {"truncated": 1}
    assert dataset.failed_items[0].error.endswith("With run.on_truncation: keep it is taken as it is.")


def test_a_cut_text_is_kept_where_that_is_asked_for_and_its_row_says_so(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    with pytest.warns(DatafastWarning, match="1 texts were cut at the output-token limit and kept"):
        dataset = free_texts(tmp_path, fault_server, on_truncation="keep")
    (row,) = dataset.data_rows
    assert row.chosen_response == "A tide is"
    assert row.metadata == {"prompt_index": 0, "truncated": True}
    assert row.metadata["truncated"] is True
    assert assert_balanced(dataset.report).failed == 0


def test_whole_texts_say_so_too_so_that_all_rows_have_the_same_fields(tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=1, llm_as_judge=False, run={"on_truncation": "keep"})
    model = SimulatedProvider("m")
    dataset.generate_roles({"question": model, "chosen": model, "rejected": model})
    assert [row.metadata["truncated"] for row in dataset.data_rows] == [False, False]


def test_cut_texts_of_an_earlier_run_are_kept_for_free_once_that_is_asked_for(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    free_texts(tmp_path, fault_server)
    sent = len(fault_server.requests)
    dataset = preference(
        tmp_path, documents=1, num_samples_per_prompt=1, llm_as_judge=False, run={"on_truncation": "keep"}
    )
    short, model = provider(fault_server, max_completion_tokens=5), provider(fault_server, name="other")
    roles = {"question": model, "chosen": short, "rejected": model}
    with pytest.warns(DatafastWarning, match="cut"):
        dataset.generate_roles(roles, retry_failed=True)
    assert [row.chosen_response for row in dataset.data_rows] == ["A tide is"]
    assert len(fault_server.requests) == sent
    assert assert_balanced(dataset.report).failed == 0


def test_reasoning_that_is_cut_is_no_text(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: cut("<think>A tide is")
    dataset = columns(tmp_path, {"a": {"type": "text", "prompt": "Say it"}}, rows=1, run={"on_truncation": "keep"})
    dataset.generate({"default": provider(fault_server, max_completion_tokens=5)})
    assert assert_balanced(dataset.report).failures == {"truncated": 1}


def test_cut_texts_of_columns_are_kept_too_and_their_row_names_them(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: cut("A tide is") if "Say it" in request.prompt else Answer(text="Whole.")
    schema = {"a": {"type": "text", "prompt": "Say it"}, "b": {"type": "text", "prompt": "Go on"}}
    dataset = columns(tmp_path, schema, rows=1, run={"on_truncation": "keep"})
    with pytest.warns(DatafastWarning, match="cut"):
        dataset.generate({"default": provider(fault_server)})
    assert rows_of(tmp_path / "out.jsonl") == [{"a": "A tide is", "b": "Whole.", "truncated": ["a"]}]
    assert len(fault_server.requests) == 3  # where the user set no limit, it is asked for without one first
    assert dataset.to_pandas()["truncated"].tolist() == [["a"]]
    # The setting may change: the rows that are there stay and are read.
    for run in ({}, {"on_truncation": "keep"}):
        again = columns(tmp_path, schema, rows=1, run=run).generate({"default": provider(fault_server)})
        assert assert_balanced(again.report).calls == 0
        assert [row.a for row in again.data_rows] == ["A tide is"]
        again.save(tmp_path / "out.parquet")


def test_rows_that_were_made_before_the_mark_have_none(tmp_path: Path) -> None:
    schema = {"a": {"type": "text", "prompt": "Say it"}}
    model = {"default": SimulatedProvider("m")}
    columns(tmp_path, schema, rows=1).generate(model)
    dataset = columns(tmp_path, schema, rows=2, run={"on_truncation": "keep"}).generate(model)
    assert [row.truncated for row in dataset.data_rows] == [[], []]
    dataset.save(tmp_path / "out.parquet")


def test_no_column_takes_the_place_of_that_mark(tmp_path: Path) -> None:
    schema = {"truncated": {"type": "text", "prompt": "Say it"}}
    columns(tmp_path, schema)
    with pytest.raises(ValueError, match=r"(?s)columns\.truncated.*Give the column another name"):
        columns(tmp_path, schema, run={"on_truncation": "keep"})


def test_a_placeholder_cannot_take_the_place_of_that_mark(tmp_path: Path) -> None:
    expansion = {"placeholders": {"truncated": ["x"]}}
    prompts = ["{num_samples} {language_name} {document} <<truncated>>"]
    with pytest.raises(ValueError, match="truncated"):
        preference(tmp_path, expansion=expansion, question_generation_prompts=prompts, run={"on_truncation": "keep"})


# -- characters that no text can hold

HALF, PAIR = "\\ud83d", "\\ud83d\\ude00"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (f"a{HALF}b", "a\ufffdb"),  # half a pair in the text of the body
        (f"a{HALF}{PAIR}", "a\ufffd\U0001f600"),
        (f"{HALF}{HALF}", "\ufffd\ufffd"),
    ],
)
def test_half_a_surrogate_pair_in_a_text_is_replaced_and_told_of(
    tmp_path: Path, fault_server: FaultServer, content: str, text: str
) -> None:
    body = f'{{"choices": [{{"message": {{"content": "{content}"}}, "finish_reason": "stop"}}]}}'
    fault_server.respond = lambda request: Answer(body=body)
    dataset = columns(tmp_path, {"a": {"type": "text", "prompt": "Say it"}}, rows=1)
    with pytest.warns(DatafastWarning, match=r"1 reply has characters .* U\+FFFD"):
        dataset.generate({"default": provider(fault_server)})
    assert rows_of(tmp_path / "out.jsonl") == [{"a": text}]


@pytest.mark.parametrize("framed", ["{}", "```json\n{}\n```", "{},"])
def test_it_is_so_in_a_structured_reply(tmp_path: Path, fault_server: FaultServer, framed: str) -> None:
    reply = framed.replace("{}", f'{{"texts": ["a{HALF}b", "{PAIR}", "\\\\{HALF}"]}}')
    fault_server.respond = lambda request: Answer(text=reply)
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=3)
    with pytest.warns(DatafastWarning, match="1 reply has characters"):
        dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == ["a\ufffdb", "\U0001f600", "\\\ufffd"]


@pytest.mark.parametrize("text", [PAIR, "\\\\ud83d", "\ufffd", "\\ufffd", "\U0001f600"])
def test_nothing_is_told_of_what_the_model_wrote_itself(tmp_path: Path, fault_server: FaultServer, text: str) -> None:
    fault_server.respond = lambda request: Answer(text=f'{{"texts": ["{text}"]}}')
    dataset = raw(tmp_path, topics=1)
    dataset.generate([provider(fault_server)])
    assert len(texts_of(dataset)) == 1


# -- numbers that no row can hold


@pytest.mark.parametrize("framed", ["{}", "```json\n{}\n```"])
@pytest.mark.parametrize("number", [str(2**64), str(-(2**63) - 1), "1" * 40, "1e999", "-1e999"])
@pytest.mark.parametrize("schema", [{"type": "number"}, {"type": "object", "additionalProperties": True}])
def test_a_number_that_no_row_can_hold_is_refused(
    tmp_path: Path, fault_server: FaultServer, framed: str, number: str, schema: dict[str, Any]
) -> None:
    value, good = (number, "1") if schema == {"type": "number"} else (f'{{"a": {number}}}', "{}")
    fault_server.answer_next(Answer(text=framed.replace("{}", f'{{"n": {value}}}')), Answer(text=f'{{"n": {good}}}'))
    form = {"type": "object", "properties": {"n": schema}, "required": ["n"]}
    dataset = columns(tmp_path, {"a": {"type": "structured", "prompt": "Count", "json_schema": form}}, rows=1)
    dataset.generate({"default": provider(fault_server)})
    assert (assert_balanced(dataset.report).written, len(fault_server.requests)) == (1, 2)
    assert "expected a number" in fault_server.requests[1].prompt


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**53 + 1])
def test_a_number_of_64_bits_keeps_all_its_digits(tmp_path: Path, fault_server: FaultServer, number: int) -> None:
    fault_server.respond = lambda request: Answer(text=f'```json\n{{"n": {number}}}\n```')
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    dataset = columns(tmp_path, {"a": {"type": "structured", "prompt": "Count", "json_schema": form}}, rows=1)
    dataset.generate({"default": provider(fault_server)})
    assert f'"n":{number}' in (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize("text", ["[" * 3_000_000, "<|im_end|>" * 300_000, "a<" * 1_500_000])
@pytest.mark.parametrize("column", [{"type": "text"}, {"type": "judge"}])
def test_a_text_that_nobody_can_want_is_refused_before_it_is_looked_at(
    tmp_path: Path, fault_server: FaultServer, text: str, column: dict[str, Any]
) -> None:
    fault_server.respond = lambda request: Answer(text=text)
    dataset = columns(tmp_path, {"a": {"prompt": "Say it", **column}}, rows=1, run={"max_parse_retries": 0})
    dataset.generate({"default": provider(fault_server)})
    assert assert_balanced(dataset.report).failures == {"invalid_reply": 1}
    assert "1,000,000 characters" in dataset.failed_items[0].error


@pytest.mark.parametrize(("bad", "told"), [(9_999, "texts.0: "), (150_000, "in 150,000 places")])
def test_a_reply_with_very_many_things_that_are_not_right_is_read_in_no_time(
    tmp_path: Path, fault_server: FaultServer, bad: int, told: str
) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": [' + "null," * bad + '"a"]}')
    dataset = raw(tmp_path, topics=1, num_samples_per_prompt=2, run={"max_parse_retries": 0})
    dataset.generate([provider(fault_server)])
    assert texts_of(dataset) == (["a"] if bad < 10_000 else [])
    assert told in dataset.failed_items[0].error
