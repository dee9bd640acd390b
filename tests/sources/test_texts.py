"""Texts of a source wherever a config takes a list of them: which rows are used, what tells them apart, what is refused before a call."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from pydantic import ValidationError

from datafast.datasets import ConversationDataset, RawDataset
from datafast.errors import ConfigError
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import (
    ConversationDatasetConfig,
    JudgementDatasetConfig,
    MCQDatasetConfig,
    PreferenceDatasetConfig,
    RawDatasetConfig,
)
from datafast.sources.source import SourceTexts
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of

SIM = SimulatedProvider("m")
ARTICLES = [
    {"id": f"a{number}", "body": f"Article {number} is about tides.", "lang": "en" if number % 2 else "fr"}
    for number in range(10)
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def raw(folder: Path, topics: Any, **fields: Any) -> RawDataset:
    given = {"document_types": ["note"], "num_samples_per_prompt": 1, "output_file": folder / "out.jsonl", **fields}
    return RawDataset(RawDatasetConfig(topics=topics, **given))


def texts(source: Any, folder: Path | None = None) -> list[str]:
    config = RawDatasetConfig.model_validate(
        {"topics": source, "document_types": ["note"]}, context={"folder": folder} if folder else None
    )
    assert isinstance(config.topics, SourceTexts)
    return list(config.topics)


def refusal(source: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        RawDatasetConfig(topics=source, document_types=["note"])
    (error,) = caught.value.errors()
    assert error["loc"] == ("topics",)
    return str(error["msg"])


def bought(folder: Path, topics: Any, **fields: Any) -> int:
    log = folder / "requests"
    before = len(requests_in(log))
    dataset = raw(folder, topics, **fields)
    dataset.generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).pending == 0
    return len(requests_in(log)) - before


# -- what can be given


@pytest.mark.parametrize(
    "source",
    [
        {"source": ARTICLES, "column": "body"},
        {"source": pd.DataFrame(ARTICLES), "column": "body"},
        {"source": datasets.Dataset.from_list(ARTICLES), "column": "body"},
        {"source": datasets.Dataset.from_list(ARTICLES).to_iterable_dataset(), "column": "body"},
        datasets.Dataset.from_list(ARTICLES).select_columns(["body"]),
        pd.DataFrame({"text": [row["body"] for row in ARTICLES], "id": range(10)}),
    ],
    ids=["list", "frame", "dataset", "stream", "the only column", "the column called text"],
)
def test_whatever_has_rows_gives_its_texts(source: Any) -> None:
    assert texts(source) == [row["body"] for row in ARTICLES]


def test_a_file_is_relative_to_the_config(tmp_path: Path) -> None:
    write(tmp_path / "articles.jsonl", [{"body": row["body"]} for row in ARTICLES])
    assert len(texts("articles.jsonl", tmp_path)) == 10
    assert len(texts({"source": "articles.jsonl", "column": "body"}, tmp_path)) == 10


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"where": "lang == 'fr'"}, [0, 2, 4, 6, 8]),
        ({"where": "lang == 'fr'", "limit": 2}, [0, 2]),
        ({"limit": 3}, [0, 1, 2]),
        ({"where": "id in ['a3', 'a7']"}, [3, 7]),
        ({"limit": 99}, range(10)),
        ({"sample": 99}, range(10)),
    ],
)
def test_where_and_limit_say_which_rows(how: dict[str, Any], expected: Any) -> None:
    found = texts({"source": ARTICLES, "column": "body", **how})
    assert found == [ARTICLES[number]["body"] for number in expected]


def test_a_limit_reads_a_stream_no_further() -> None:
    def rows() -> Any:
        for number in range(10):
            assert number < 4
            yield {"body": f"text {number}"}

    assert texts({"source": datasets.IterableDataset.from_generator(rows), "limit": 3, "column": "body"}) == [
        "text 0",
        "text 1",
        "text 2",
    ]


def test_a_sample_follows_its_seed_and_changes_only_with_the_rows_that_change() -> None:
    def drawn(rows: list[dict[str, Any]], seed: int = 0) -> list[str]:
        return texts({"source": rows, "column": "body", "sample": 40, "seed": seed})

    rows = [{"body": f"text {number}"} for number in range(400)]
    first = drawn(rows)
    assert len(set(first)) == 40
    assert [row["body"] for row in rows if row["body"] in first] == first
    assert drawn(rows) == first
    assert drawn(rows, 1) != first
    without = [row for row in rows if row["body"] != first[7]]
    assert len(set(drawn(without)) - set(first)) == 1
    assert len(set(first) - set(drawn([*rows, {"body": "one more"}]))) <= 1


# -- what tells rows apart


def test_a_list_that_is_moved_into_a_file_buys_nothing_again(tmp_path: Path) -> None:
    bodies = [row["body"] for row in ARTICLES] + [ARTICLES[3]["body"]] * 2
    assert bought(tmp_path, bodies) == 12
    path = write(tmp_path / "articles.jsonl", [{"body": body} for body in bodies])
    assert bought(tmp_path, str(path)) == 0
    assert bought(tmp_path, {"source": [{"body": body, "n": 1} for body in reversed(bodies)], "column": "body"}) == 0


@pytest.mark.parametrize("key", [{}, {"key": "id"}], ids=["by content", "by key"])
def test_a_row_that_is_edited_buys_itself_alone(tmp_path: Path, key: dict[str, str]) -> None:
    assert bought(tmp_path, {"source": ARTICLES, "column": "body", **key}) == 10
    edited = [{**row, "body": "Edited."} if row["id"] == "a4" else row for row in reversed(ARTICLES)]
    assert bought(tmp_path, {"source": edited, "column": "body", **key}) == 1
    about = [row["metadata"]["topic"] for row in rows_of(tmp_path / "out.jsonl")]
    assert sorted(about) == sorted(row["body"] for row in edited)


def test_with_a_key_a_changed_note_beside_the_text_buys_nothing(tmp_path: Path) -> None:
    bought(tmp_path, {"source": ARTICLES, "column": "body", "key": "id"})
    noted = [{**row, "note": "new"} for row in ARTICLES]
    assert bought(tmp_path, {"source": noted, "column": "body", "key": "id", "where": "lang"}) == 0


def test_the_key_and_on_request_the_row_stand_in_the_metadata(tmp_path: Path) -> None:
    source = {"source": ARTICLES, "column": "body", "key": "id", "keep_row": True, "limit": 2}
    bought(tmp_path, source)
    for row in rows_of(tmp_path / "out.jsonl"):
        origin = json.loads(row["metadata"]["topic_row"])
        assert origin in ARTICLES[:2]
        assert row["metadata"]["topic_key"] == origin["id"]
        assert row["metadata"]["topic"] == origin["body"]


def test_a_placeholder_cannot_have_the_name_of_what_the_source_says() -> None:
    with pytest.raises(ValidationError, match=r"already has a topic_key. Choose another name"):
        RawDatasetConfig(
            topics={"source": ARTICLES, "column": "body", "key": "id"},
            document_types=["note"],
            prompts=["{num_samples} {language_name} {document_type} {topic} <<topic_key>>"],
            expansion={"placeholders": {"topic_key": ["x"]}},
        )


def test_every_field_of_texts_takes_a_source(tmp_path: Path) -> None:
    document = {"source": ARTICLES, "column": "body", "key": "id", "limit": 2}
    config = PreferenceDatasetConfig(input_documents=document)
    assert list(config.input_documents) == [row["body"] for row in ARTICLES[:2]]
    dataset = raw(tmp_path, ["tides"], document_types={"source": [{"text": "memo"}, {"text": "essay"}]})
    assert dataset.get_num_expected_rows([SIM]) == 2


def test_keys_of_a_plan_over_sources_are_those_of_its_items(tmp_path: Path) -> None:
    source = {"source": ARTICLES, "column": "body", "key": "id"}
    plan = raw(tmp_path, source, document_types={"source": [{"text": "memo"}, {"text": "memo"}]}).plan(["a", "b"])
    keys = list(plan.keys())
    assert keys == [plan[number].key for number in range(len(plan))]
    assert len(set(keys)) == len(plan) == 2 * 10 * 2


def test_conversations_take_their_topics_from_a_source(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("subject,n\ntides,1\nice,2\nsand,3\n", encoding="utf-8")
    source = {"source": "a.csv", "column": "subject", "where": "n != 2", "types": {"n": "integer"}}
    config = ConversationDatasetConfig.model_validate(
        {"topics": source, "example_data": {"source": ARTICLES, "limit": 2}}, context={"folder": tmp_path}
    )
    assert list(config.topics) == ["tides", "sand"]
    assert list(config.example_data) == ARTICLES[:2]
    config.output_file = tmp_path / "out.jsonl"
    dataset = ConversationDataset(config).generate([SIM])
    assert dataset.report.written == 2
    assert {row["metadata"]["topic_path"] for row in rows_of(tmp_path / "out.jsonl")} == {"tides", "sand"}
    with pytest.raises(ValidationError, match="told apart by their names"):
        ConversationDatasetConfig.model_validate({"topics": {**source, "key": "n"}}, context={"folder": tmp_path})


def test_nested_topics_may_be_about_sources() -> None:
    config = ConversationDatasetConfig(topics={"source": ["spring", "well"]})
    assert [path[-1] for path in config.topics.paths()] == ["spring", "well"]


def test_a_config_with_a_source_is_written_and_loaded_again(tmp_path: Path) -> None:
    path = write(tmp_path / "articles.jsonl", ARTICLES)
    config = RawDatasetConfig(topics={"source": str(path), "column": "body", "limit": 4}, document_types=["note"])
    assert RawDatasetConfig.model_validate_json(config.model_dump_json()) == config


def test_the_source_is_one_of_the_files_of_a_run(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", ARTICLES)
    before = path.read_bytes()
    dataset = raw(tmp_path, {"source": str(path), "column": "body"})
    with pytest.raises(Exception, match="is also used as topics"):
        dataset.generate([SIM])
    assert path.read_bytes() == before


# -- what is refused, before a call


@pytest.mark.parametrize(
    ("rows", "how", "words"),
    [
        ('{"t": "a"}\n\n{"t": " "}\n', {}, "line 3: The column 't' is empty; fill it, or leave such rows out with where: t | trim."),
        ('{"t": "a"}\n{"t": null}\n', {}, "line 2: The column 't' is empty"),
        ('{"t": "a"}\n{"t": 7}\n', {}, "line 2: The column 't' holds 7, which is not text"),
        ('{"t": "a"}\n{"x": "a"}\n', {"column": "t"}, "line 2: The column 't' is missing. Known: x."),
        ('{"body": "a"}\n', {"column": "bdy"}, "line 1: The column 'bdy' is missing. Did you mean 'body'?"),
        ('{"a": "x", "b": "y"}\n', {}, "column: It is not clear which column holds the texts. Say which one: a, b."),
        ('{"t": "a"}\n', {"where": "tt == 'a'"}, "has no column 'tt'. Known: t."),
        ('{"t": "a"}\n', {"where": "t ="}, "where: 't =' is not an expression"),
        ('{"t": "a"}\n{"t": "b"}\n', {"where": "t > 3"}, "line 1: "),
        ('{"t": "a"}\n', {"where": "t == 'b'"}, "has no rows that where and limit leave"),
        ('{"t": "a", "k": 1}\n{"t": "b", "k": 1}\n', {"column": "t", "key": "k"}, "line 1 and line 2 have the same k, 1."),
        ('{"t": "a", "k": 1}\n{"t": "b"}\n', {"column": "t", "key": "k"}, "line 2: The column 'k' is missing"),
        ('{"t": "a"}\n{"t": \n', {}, "rows.jsonl:2: This line is not JSON"),
        ('{"t": "a"}\n{"t": "b", "n": 9223372036854775808}\n', {"column": "t", "keep_row": True},
         "keep_row: {path}, line 2: The column 'n' holds a whole number of more than 64 bits; write it as text."),
        ('{"t": "a"}\n{"t": "a"}\n', {"key": "t"}, "line 1 and line 2 have the same t, 'a'."),
        ('{"t": "a"}\n', {"limit": 0}, "limit: expected 1 or more"),
        ('{"t": "a"}\n', {"colum": "t"}, "colum: There is no such field. Did you mean 'column'?"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, rows: str, how: dict[str, Any], words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(rows, encoding="utf-8")
    told = refusal({"source": str(path), **how})
    assert words.replace("{path}", str(path)) in told
    assert "?." not in told


def test_what_is_wrong_in_rows_that_are_left_out_is_not_looked_at() -> None:
    rows = [{"t": "a", "n": 1}, {"t": b"\xff", "n": 2}, {"t": None, "n": 3}, {"t": "b", "n": 4}, {"t": 5, "n": 5}]
    source = {"source": rows, "column": "t"}
    assert texts({**source, "where": "n in [1, 4]"}) == ["a", "b"]
    assert texts({**source, "limit": 1}) == ["a"]
    assert "row 1: The column 't' holds bytes and no text" in refusal({**source, "where": "n < 4"})
    assert "row 1: The column 't' holds bytes" in refusal({**source, "where": "t"})


def test_one_text_where_a_list_belongs_is_told_how_to_be_one() -> None:
    assert "expected a list of texts, or a source of them, got 'Tides'" in refusal("Tides")
    assert "Write [Tides] for one text." in refusal("Tides")


def test_a_source_that_changes_while_it_is_used_stops_the_run_and_goes_on_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "articles.jsonl", ARTICLES)
    dataset = raw(tmp_path, {"source": str(path), "column": "body"}, run={"max_concurrency": 1})
    write(path, ARTICLES[:5])
    with pytest.raises(Exception, match=r"has changed while it was used\. Start again to use it as it is now"):
        dataset.generate([CountingProvider("m", log=tmp_path / "requests")])
    assert bought(tmp_path, {"source": str(path), "column": "body"}) == 5


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_source_or_a_copy_that_goes_while_it_is_used_is_named_and_not_the_output(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.jsonl", ARTICLES)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    dataset = raw(tmp_path, {"source": str(tmp_path / name), "column": "body"})
    path.unlink()
    shutil.rmtree(tmp_path / "out.jsonl.ledger-sources", ignore_errors=True)
    with pytest.raises(ConfigError, match=rf"{name} cannot be read any more: No such file.*\. Start again"):
        dataset.generate([SIM])


@pytest.mark.parametrize("source", [ARTICLES, {"source": ARTICLES}], ids=["rows", "a mapping with source"])
def test_kinds_that_take_rows_take_the_same_sources(source: Any, tmp_path: Path) -> None:
    chosen = {"source": source, "where": "lang == 'en'", "limit": 2} if isinstance(source, list) else source
    mcq = MCQDatasetConfig(source=chosen, text_column="body", min_document_length=1)
    judged = JudgementDatasetConfig(source=chosen, columns=["body"], rubric={1: "bad", 2: "good"})
    expected = [1, 3] if isinstance(source, list) else range(10)
    assert [document.text for document in mcq.documents] == [ARTICLES[number]["body"] for number in expected]
    assert [row["id"] for row in judged.rows] == [ARTICLES[number]["id"] for number in expected]
    mcq.num_samples_per_prompt = 2
    assert len(mcq.documents) == len(expected)


def test_a_column_of_a_frame_is_a_list_of_texts() -> None:
    config = RawDatasetConfig(topics=pd.Series(["tides", "ice"]), document_types=["note"])
    assert config.topics == ["tides", "ice"]
    with pytest.raises(ValidationError, match="topics"):
        RawDatasetConfig(topics=pd.Series(["tides", None]), document_types=["note"])
