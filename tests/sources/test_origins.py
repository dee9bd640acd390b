"""The key of a row of a source, and all of it on request, in the metadata of what is made of it: in every kind that takes a source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.llms.simulated.provider import SimulatedProvider
from datafast.registry import load_kind
from tests.support import CountingProvider, requests_in

BODY = "The tide comes in and goes out again, twice a day, and nobody asks it why. It has always been so on this coast."
ROWS = [{"id": f"r{number}", "body": f"{number}. {BODY}", "score": number} for number in range(4)]
OTHER = {"min_document_length": 1, "num_samples_per_prompt": 1}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "raw": ("topics", "topic", {"document_types": ["note"], "num_samples_per_prompt": 1}),
    "preference": ("input_documents", "document", {"num_samples_per_prompt": 1}),
    "mcq": ("source", "document", OTHER),
    "document_qa": ("source", "document", OTHER),
    "generic_pipeline": ("source", "source", {"input_columns": ["body"]}),
    "judgement": ("source", "source", {"rubric": "Is it true?", "columns": ["body"]}),
}
ROLES = {"preference": ("question", "chosen", "rejected"), "judgement": ("judge",)}
WITHOUT_COLUMN = ("generic_pipeline", "judgement")


def dataset(kind: str, folder: Path, rows: Any = ROWS, **how: Any) -> Any:
    field, _, others = KINDS[kind]
    column = {} if kind in WITHOUT_COLUMN else {"column": "body"}
    made = load_kind(kind)
    return made(
        made.config_model(**{field: {"source": rows, **column, **how}}, **others, output_file=folder / "out.jsonl")
    )


def generated(kind: str, folder: Path, rows: Any = ROWS, **how: Any) -> tuple[list[dict[str, Any]], int]:
    """The metadata of the rows, and how many requests were sent for them."""
    log = folder / "requests"
    log.unlink(missing_ok=True)
    provider = CountingProvider("m", log=log)
    made = dataset(kind, folder, rows, **how)
    made.generate(dict.fromkeys(ROLES[kind], provider) if kind in ROLES else [provider])
    return [getattr(row, "metadata", {}) for row in made.data_rows], len(requests_in(log))


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_and_on_request_the_row_stand_in_the_metadata(kind: str, tmp_path: Path) -> None:
    called = KINDS[kind][1]
    told, _ = generated(kind, tmp_path, key="id", keep_row=True, where="score > 0", limit=2)
    told = sorted(told, key=lambda row: row[f"{called}_key"])
    assert [row[f"{called}_key"] for row in told] == ["r1", "r2"]
    assert [json.loads(row[f"{called}_row"]) for row in told] == ROWS[1:3]


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_row_buys_itself_alone_with_a_key_and_without(kind: str, tmp_path: Path) -> None:
    edited = [ROWS[3], {**ROWS[0], "body": "A new text. " + BODY}, *ROWS[1:3]]
    for name, how in (("with", {"key": "id"}), ("without", {})):
        (folder := tmp_path / name).mkdir()
        whole = generated(kind, folder, **how)[1]
        assert generated(kind, folder, edited, **how)[1] * len(ROWS) == whole > 0


@pytest.mark.parametrize("kind", KINDS)
def test_equal_texts_are_told_apart_by_their_keys(kind: str, tmp_path: Path) -> None:
    rows = [{**ROWS[0], "id": name} for name in "abc"]
    told, bought = generated(kind, tmp_path, rows, key="id")
    again, once_more = generated(kind, tmp_path, [*reversed(rows)], key="id")
    called = f"{KINDS[kind][1]}_key"
    assert {row[called] for row in told} == {row[called] for row in again} == set("abc")
    assert (bought > 0, once_more) == (True, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rows", "how", "words"),
    [
        ([{**ROWS[0]}, {**ROWS[1], "id": "r0"}], {"key": "id"}, "row 0 and row 1 have the same id, 'r0'."),
        ([{**ROWS[0]}, {**ROWS[1], "id": None}], {"key": "id"}, "row 1: .*id.* is empty"),
        (ROWS, {"key": "idd"}, "'idd'"),
        ([ROWS[0], {**ROWS[1], "score": 2**70}], {"keep_row": True}, "row 1: The column 'score' holds a whole number of more"),
    ],
)  # fmt: skip
def test_keys_and_rows_that_cannot_be_kept_are_refused(
    kind: str, rows: Any, how: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValidationError, match=words):
        dataset(kind, tmp_path, rows, **how)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("mcq", {"source": {"source": ROWS, "column": "body"}, "text_column": "id"}, "text_column: It is 'id', and"),
        ("generic_pipeline", {"source": {"source": ROWS, "key": "id"}, "key_column": "body", "input_columns": ["body"]},
         "key_column: It is 'body', and key of source is 'id'"),
        ("judgement", {"source": {"source": [{"metadata": 1, "id": 1}], "key": "id"}, "rubric": "Is it true?"},
         "columns: The column 'metadata' of the list cannot be one of a judged row"),
        ("mcq", {"source": {"source": ROWS, "column": "body", "key": "id"},
                 "expansion": {"placeholders": {"document_key": ["a"]}}},
         "The metadata of rows already has a document_key"),
        ("judgement", {"source": {"source": ROWS, "column": "body"}, "rubric": "Is it true?"}, "column"),
    ],
)  # fmt: skip
def test_what_is_said_twice_or_has_no_place_is_refused(kind: str, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        load_kind(kind).config_model(**fields)


def test_rows_of_a_judgement_without_a_key_have_no_metadata(tmp_path: Path) -> None:
    made = dataset("judgement", tmp_path)
    made.generate({"judge": SimulatedProvider("m")})
    assert "metadata" not in json.loads((tmp_path / "out.jsonl").read_text("utf-8").splitlines()[0])
