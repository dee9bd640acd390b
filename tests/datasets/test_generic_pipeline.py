"""Pipelines: a table through prompts into new columns; what is skipped, what rows are told apart by, and what names may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import GenericPipelineDataset
from datafast.errors import DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.schema.config import GenericPipelineDatasetConfig, PromptExpansionConfig, RunConfig
from datafast.utils import create_generic_pipeline_row_model, create_response_model
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

TABLE = [
    {"id": "a", "text": "Cranes lift boxes.", "page": 1, "language": "de"},
    {"id": "b", "text": "Tides come twice.", "page": 2, "language": "fr"},
    {"id": "c", "text": "", "page": 3, "language": "de"},
]
OUTPUTS = {
    "summary": "text",
    "mood": ["good", "bad"],
    "stars": "integer",
    "share": "number",
    "ok": "boolean",
    "tags": "texts",
}
ENTRY = {"summary": "Short.", "mood": "good", "stars": 3, "share": 0.5, "ok": True, "tags": ["x", "y"]}


def config(folder: Path, *, source: Any = tuple(TABLE[:2]), run: Any = None, **fields: Any) -> Any:
    settings = RunConfig(**{"max_concurrency": 8, **(run or {})})
    given = {"input_columns": ["text"], "output_file": folder / "out.jsonl", "run": settings, **fields}
    source = list(source) if isinstance(source, tuple) else source
    return GenericPipelineDatasetConfig(**({"source": source} if source is not None else {}), **given)


def pipeline(folder: Path, **fields: Any) -> GenericPipelineDataset:
    return GenericPipelineDataset(config(folder, **fields))


def answering(folder: Path, *entries: dict[str, Any]) -> CountingProvider:
    """Answers with these entries, as often as it is asked."""
    return CountingProvider("m", log=folder / "requests", reply=lambda _: json.dumps({"entries": entries}))


# -- rows


def test_a_row_has_columns_of_the_source_the_new_ones_and_where_they_come_from(tmp_path: Path) -> None:
    dataset = pipeline(
        tmp_path,
        source=TABLE[:1],
        forward_columns=["page"],
        output_columns=OUTPUTS,
        key_column="id",
        prompts=["{text}"],
    )
    dataset.generate([answering(tmp_path, ENTRY)])
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert len(row.pop("uuid")) == 36
    assert row == {
        "text": "Cranes lift boxes.",
        "page": 1,
        **ENTRY,
        "pipeline_source": "synthetic",
        "model_id": "simulated/m",
        "language": "en",
        "metadata": {"source_key": "a", "prompt_index": 0},
    }
    (read,) = dataset.data_rows
    assert json.loads(read.model_dump_json()) == rows_of(tmp_path / "out.jsonl")[0]


def test_one_text_is_made_where_no_column_is_named(tmp_path: Path) -> None:
    dataset = pipeline(tmp_path, output_columns=None).generate([SimulatedProvider("m")])
    assert all(row.generated_text for row in dataset.data_rows)
    assert list(create_response_model(dataset.config).model_fields) == ["entries"]


def test_a_reply_that_does_not_fit_its_types_is_asked_for_again(tmp_path: Path) -> None:
    wrong = [{"mood": "fine"}, {"stars": 3.5}, {"summary": "  "}, {"ok": "perhaps"}, {"tags": [""]}]
    replies = iter([{**ENTRY, **part} for part in wrong] + [ENTRY])
    provider = CountingProvider(
        "m", log=tmp_path / "requests", reply=lambda _: json.dumps({"entries": [next(replies)]})
    )
    dataset = pipeline(tmp_path, source=TABLE[:1], output_columns=OUTPUTS, run={"max_parse_retries": 5})
    dataset.generate([provider])
    assert assert_balanced(dataset.report).written == 1
    assert len(requests_in(tmp_path / "requests")) == 6


def test_a_column_may_be_one_of_several_whole_numbers(tmp_path: Path) -> None:
    replies = iter([6, 4])
    provider = CountingProvider(
        "m", log=tmp_path / "requests", reply=lambda _: json.dumps({"entries": [{"stars": next(replies)}]})
    )
    dataset = pipeline(tmp_path, source=TABLE[:1], output_columns={"stars": [1, 2, 3, 4, 5]}).generate([provider])
    assert [row.stars for row in dataset.data_rows] == [4]
    assert "stars (one of: 1; 2; 3; 4; 5)" in requests_in(tmp_path / "requests")[0][1]


def test_one_row_becomes_several_and_equal_ones_are_missing(tmp_path: Path) -> None:
    entries = [{"summary": text} for text in ("One.", "One.", "Two.")]
    dataset = pipeline(tmp_path, source=TABLE[:1], output_columns=["summary"], num_samples_per_prompt=3)
    dataset.generate([answering(tmp_path, *entries)])
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, report.failed) == (3, 2, 1)
    assert {row.summary for row in dataset.data_rows} == {"One.", "Two."}


@pytest.mark.parametrize(
    ("choices", "given", "chosen"),
    [
        (["calm", "grim"], " Calm", "calm"),
        ([1, 2], "2", 2),
        (["a", "A", "b"], "A", "A"),
        (["a", "A", "b"], " A", None),
        (["calm", "grim"], "calmer", None),
        (["1", "2"], 1, None),
    ],
)
def test_a_choice_is_read_apart_from_case_and_space(tmp_path: Path, choices: Any, given: Any, chosen: Any) -> None:
    dataset = pipeline(tmp_path, source=TABLE[:1], output_columns={"mood": choices}, run={"max_parse_retries": 0})
    dataset.generate([answering(tmp_path, {"mood": given})])
    assert_balanced(dataset.report)
    assert [row.mood for row in dataset.data_rows] == ([] if chosen is None else [chosen])


@pytest.mark.parametrize(
    ("num_samples", "reply", "written"),
    [
        (1, {"summary": "One.", "mood": "calm"}, 1),
        (1, {"summary": "One.", "mood": "grim"}, 0),
        (1, {"summary": "One."}, 0),
        (1, {"summary": "One.", "mood": "calm", "id": 7}, 0),
        (2, {"summary": "One.", "mood": "calm"}, 0),
    ],
)
def test_the_only_row_that_is_asked_for_may_stand_alone_in_the_reply(
    tmp_path: Path, num_samples: int, reply: dict[str, Any], written: int
) -> None:
    columns = {"summary": "text", "mood": ["calm"]}
    fields = {"output_columns": columns, "num_samples_per_prompt": num_samples, "source": TABLE[:1]}
    dataset = pipeline(tmp_path, run={"max_parse_retries": 0}, **fields)
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=lambda _: json.dumps(reply))])
    assert assert_balanced(dataset.report).written == written


def test_cells_keep_their_types_and_empty_ones_stay_empty(tmp_path: Path) -> None:
    table = [{"text": "a", "page": 1, "tags": ["x"]}, {"text": None, "page": None, "tags": []}]
    dataset = pipeline(tmp_path, source=table, input_columns=["text", "page", "tags"]).generate(
        [SimulatedProvider("m")]
    )
    found = sorted(([row.text, row.page, row.tags] for row in dataset.data_rows), key=str)
    assert found == [["a", 1, ["x"]], [None, None, []]]


def test_the_models_of_rows_and_replies_are_made_from_a_config(tmp_path: Path) -> None:
    made = config(tmp_path, forward_columns=["page"], output_columns=["summary"])
    row = create_generic_pipeline_row_model(made)(text="a", page=3, summary="b", model_id="m", language="en")
    assert row.model_dump()["page"] == 3
    other = create_generic_pipeline_row_model(made)(text="a", page="third", summary="b")
    assert (
        other.model_dump()["page"] == "third"
    )  # as scripts of the first datafast give any value to see what a row is like
    schema = create_response_model(made).model_json_schema()
    assert list(schema["$defs"]["Entry"]["properties"]) == ["summary"]


# -- what is asked


def test_prompts_system_message_languages_and_placeholders_reach_the_server(tmp_path: Path) -> None:
    seen = []

    def reply(request: Request) -> str:
        seen.append(tuple(message["content"] for message in request.messages))
        return json.dumps({"entries": [{"generated_text": "a"}, {"generated_text": "b"}]})

    dataset = pipeline(
        tmp_path,
        source=[{"text": "T {num_samples}", "page": 7}],
        input_columns={"text": "text", "leaf": "page"},
        prompts=[
            "1 {text} {leaf} {language} {num_samples} <<tone>>",
            '2 {text} {language_name} {num_samples} {"a": {}}',
        ],
        expansion=PromptExpansionConfig(placeholders={"tone": ["dry"]}),
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=2,
        system_prompt="Be exact.",
    )
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    assert sorted(seen) == [
        ("Be exact.", "1 T {num_samples} 7 English 2 dry"),
        ("Be exact.", "1 T {num_samples} 7 French 2 dry"),
        ("Be exact.", '2 T {num_samples} English 2 {"a": {}}'),
        ("Be exact.", '2 T {num_samples} French 2 {"a": {}}'),
    ]
    assert {row.metadata["tone"] for row in dataset.data_rows} == {"dry", None}


def test_without_prompts_the_columns_are_shown_and_the_new_ones_asked_for(tmp_path: Path) -> None:
    provider = answering(tmp_path, ENTRY)
    pipeline(tmp_path, source=TABLE[:1], input_columns=["text", "page"], output_columns=OUTPUTS).generate([provider])
    prompt = requests_in(tmp_path / "requests")[0][1]
    assert "text:\nCranes lift boxes.\n\npage:\n1" in prompt
    assert "summary (a text), mood (one of: good; bad), stars (a whole number)" in prompt
    assert "in English" in prompt


# -- which rows, and how many


def test_the_plan_is_counted_before_anything_is_sent(tmp_path: Path) -> None:
    dataset = pipeline(
        tmp_path,
        source=TABLE,
        skip_if="not text",
        languages={"en": "English", "fr": "French"},
        num_samples_per_prompt=3,
    )
    providers = [SimulatedProvider("a"), SimulatedProvider("b")]
    assert dataset.get_num_expected_rows(providers) == 2 * 2 * 3 * 2
    assert dataset.get_num_expected_rows(llms=providers, source_data_num_rows=10) == 10 * 2 * 3 * 2
    dataset.generate(providers)
    assert assert_balanced(dataset.report).written == 24
    assert len({row.uuid for row in dataset.data_rows}) == 24


def test_a_sample_is_the_first_rows_that_are_not_skipped(tmp_path: Path) -> None:
    dataset = pipeline(
        tmp_path, source=TABLE, skip_function=lambda row: row["page"] == 1 or not row["text"], sample_count=2
    )
    assert [row.columns["text"] for row in dataset.config.rows] == ["Tides come twice."]
    assert dataset.get_num_expected_rows([object()], source_data_num_rows=100) == 2


@pytest.mark.parametrize(
    ("skip_if", "left"),
    [
        ("page > 1", ["a"]),
        ("text | length < 18 and text", ["a", "c"]),
        ("flag", ["b", "c"]),
    ],
)
def test_rows_are_skipped_by_an_expression_in_which_the_text_false_is_false(
    tmp_path: Path, skip_if: str, left: list[str]
) -> None:
    table = [{**row, "flag": "true" if row["id"] == "a" else "false"} for row in TABLE]
    made = config(tmp_path, source=table, skip_if=skip_if, key_column="id")
    assert [row.key for row in made.rows] == left


def test_a_num_rows_is_that_of_a_source_of_any_size(tmp_path: Path) -> None:
    dataset = pipeline(tmp_path, source=[{"text": f"t{number}"} for number in range(50)], num_rows=7)
    assert dataset.get_num_expected_rows([object()], source_data_num_rows=100) == 7


def test_a_text_file_of_the_first_datafast_is_a_row_for_each_line(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("One.\nTwo.\n", encoding="utf-8")
    made = config(tmp_path, source=None, local_file_path=tmp_path / "lines.txt")
    assert [row.columns for row in made.rows] == [{"text": "One."}, {"text": "Two."}]


# -- what is paid for


def test_an_edited_row_buys_itself_again_and_moved_and_new_ones_nothing_else(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    pipeline(tmp_path).generate([provider])
    before = rows_of(tmp_path / "out.jsonl")
    pipeline(tmp_path, source=[TABLE[1], TABLE[0]]).generate([provider])
    assert same_rows(before, rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "requests")) == 2
    pipeline(tmp_path, source=[{**TABLE[0], "text": "New."}, *TABLE[1:2]]).generate(
        [provider], on_change=lambda _: True
    )
    new = requests_in(tmp_path / "requests")[2:]
    assert len(new) == 1
    assert "New." in new[0][1]


def test_forwarding_another_column_and_skipping_pay_for_nothing(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    pipeline(tmp_path).generate([provider])
    texts = {row["text"]: row["generated_text"] for row in rows_of(tmp_path / "out.jsonl")}
    pipeline(tmp_path, forward_columns=["page"]).generate([provider], on_change=lambda _: True)
    found = rows_of(tmp_path / "out.jsonl")
    assert {row["text"]: row["generated_text"] for row in found} == texts
    assert sorted(row["page"] for row in found) == [1, 2]
    dataset = pipeline(tmp_path, forward_columns=["page"], skip_function=lambda row: row["page"] == 1)
    dataset.generate([provider], on_change=lambda _: True)
    assert [row.page for row in dataset.data_rows] == [2]
    assert len(requests_in(tmp_path / "requests")) == 2


def test_another_type_of_a_column_asks_again(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    pipeline(tmp_path, output_columns={"stars": "integer"}).generate([provider])
    pipeline(tmp_path, output_columns={"stars": "boolean"}).generate([provider], on_change=lambda _: True)
    assert len(requests_in(tmp_path / "requests")) == 4
    assert all(isinstance(row["stars"], bool) for row in rows_of(tmp_path / "out.jsonl"))


def test_equal_rows_are_each_asked_about(tmp_path: Path) -> None:
    dataset = pipeline(tmp_path, source=[TABLE[0]] * 3).generate([SimulatedProvider("m")])
    assert len({row.uuid for row in dataset.data_rows}) == assert_balanced(dataset.report).written == 3


def test_yaml_and_python_buy_the_same_and_a_file_is_what_its_rows_are(tmp_path: Path) -> None:
    (tmp_path / "table.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in TABLE), encoding="utf-8")
    (tmp_path / "pipeline.yaml").write_text(
        """\
kind: generic_pipeline
local_file_path: table.jsonl
input_columns: [text]
forward_columns: {from: language}
output_columns: {summary: text, mood: [good, bad]}
key_column: id
skip_if: not text
providers: [simulated/m]
""",
        encoding="utf-8",
    )
    of_yaml = load_project(tmp_path / "pipeline.yaml")
    of_python = config(
        tmp_path,
        source=TABLE,
        forward_columns={"from": "language"},
        output_columns={"summary": "text", "mood": ["good", "bad"]},
        key_column="id",
        skip_function=lambda row: not row["text"],
    )
    plans = [GenericPipelineDataset(made).plan(["m"]) for made in (of_yaml.config, of_python)]
    assert [item.key for item in plans[0]] == [item.key for item in plans[1]]
    assert plans[0].fingerprint == plans[1].fingerprint


# -- what does not fit


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source": None}, r"source: No rows are given\. Give one of source, hf_dataset_name and local_file_path"),
        ({"local_file_path": "a.csv"}, "source and local_file_path are given"),
        ({"input_columns": []}, "expected at least one column"),
        ({"input_columns": ["txt"]}, r"input_columns: the list has no column 'txt'\. Did you mean 'text'"),
        ({"forward_columns": ["pag"]}, "forward_columns: the list has no column 'pag'"),
        ({"key_column": "key"}, "key_column: the list has no column 'key'"),
        ({"input_columns": ["text", "language"]}, r"another name: input_columns: \{source_language: language\}"),
        ({"forward_columns": ["language"]}, r"another name: forward_columns: \{source_language: language\}"),
        ({"input_columns": {"num_samples": "page"}}, "'num_samples' is a name of datafast's own"),
        ({"output_columns": ["text"]}, "'text' is a column of the source already"),
        ({"output_columns": ["uuid"]}, "'uuid' is a name of datafast's own"),
        ({"output_columns": ["model_dump"]}, "'model_dump' cannot be the name of a column"),
        ({"output_columns": ["a", "a"]}, "A name is given twice"),
        ({"output_columns": {"a": []}}, "expected texts or whole numbers to choose from"),
        ({"output_columns": {"a": "float"}}, "output_columns"),
        ({"forward_columns": {"text": "page"}}, "'text' is another input column already"),
        ({"prompts": ["Say something."]}, r"prompts\[0\]: No input column occurs\. Write at least one of \{text\}"),
        ({"prompts": ["{text} {page}"]}, r"prompts\[0\]: \{page\} is a column that is not among input_columns"),
        ({"prompts": ["{text}"], "languages": {"en": "English", "fr": "French"}}, r"\{language\} is missing"),
        ({"prompts": ["{text}"], "num_samples_per_prompt": 2}, r"\{num_samples\} is missing"),
        ({"skip_if": "page > 0"}, r"skip_if: Every row of the list is skipped\. Change it"),
        ({"skip_if": "txt == ''"}, r"skip_if: There is no column 'txt'\. Did you mean 'text'"),
        ({"skip_if": "text + 1"}, r"skip_if: the list, row \d: .*types: \{text: number\}"),
        ({"skip_function": lambda row: row["txt"]}, r"skip_function: the list, row \d: KeyError: 'txt'\. Correct"),
        ({"skip_function": "not text"}, "In YAML, skip_if says which rows to skip"),
        ({"source": [*TABLE, TABLE[0]], "key_column": "id"}, "have the same id, 'a'"),
        ({"expansion": {"placeholders": {"source_key": ["a"]}}}, "already has a source_key"),
    ],
)
@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_what_does_not_fit_is_refused_with_the_config(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        config(tmp_path, **fields)


def test_an_async_skip_function_is_refused_because_it_would_skip_all(tmp_path: Path) -> None:
    async def skip(row: Any) -> bool:
        return False

    with pytest.raises(ValueError, match="not async"):
        config(tmp_path, skip_function=skip)


def test_an_input_column_that_no_prompt_has_is_remarked_on(tmp_path: Path) -> None:
    with pytest.warns(DatafastWarning, match=r"input_columns: No prompt has \{page\}\. Write it into one, or move"):
        config(tmp_path, input_columns=["text", "page"], prompts=["{text}"])


def test_a_config_that_is_changed_in_python_is_read_again(tmp_path: Path) -> None:
    made = config(tmp_path, source=TABLE)
    made.skip_if = "page == 1"
    assert len(made.rows) == 2
    made.num_samples_per_prompt = 2
    made.sample_count = 1
    assert GenericPipelineDataset(made).get_num_expected_rows([object()]) == 2
