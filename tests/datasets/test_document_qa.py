"""Questions about documents: evidence that is checked, chunks as a dimension, files of several sorts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import DocumentQADataset
from datafast.datasets.quotes import found_in
from datafast.errors import DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.schema.config import DocumentQADatasetConfig, RunConfig
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of, same_rows

CHUNK = "The crane “Anna” lifts *40 tons*. It was built in 1911 — by\nhand."
MANUAL = "# Cranes\n\nA crane lifts containers. It stands by the harbour.\n\n# Tides\n\nTides come twice a day. They move ships.\n"


def qa(folder: Path, *, source: Any = (MANUAL,), run: dict[str, Any] | None = None, **fields: Any) -> DocumentQADataset:
    given = {
        "num_samples_per_prompt": 2,
        "chunk_size": 20,
        "chunk_overlap": 4,
        "output_file": folder / "out.jsonl",
        **fields,
    }
    return DocumentQADataset(
        DocumentQADatasetConfig(source=source, run=RunConfig(**{"max_concurrency": 8, **(run or {})}), **given)
    )


def quoting(folder: Path, *evidence: list[str]) -> CountingProvider:
    """Answers with one question for each of these lists of quotes."""

    def reply(request: Request) -> str:
        asked = [
            {"question": f"Question {number}?", "answer": "An answer.", "evidence": quotes}
            for number, quotes in enumerate(evidence)
        ]
        return json.dumps({"questions": asked})

    return CountingProvider("m", log=folder / "requests", reply=reply)


# -- evidence


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("lifts *40 tons*.", "lifts *40 tons*."),
        ("lifts 40 tons", "lifts *40 tons"),
        ('the crane "Anna"', "The crane “Anna"),
        ("built in 1911 - by hand", "built in 1911 — by\nhand"),
        ("“It was built in 1911", "It was built in 1911"),
        ("It was rebuilt in 1911", None),
        ("lifts 41 tons", None),
        ("", None),
        ("...", None),
        ("It was built in 1911...", "It was built in 1911"),
        ("... 'lifts 40 tons'", "lifts *40 tons"),
        ("a", None),
        ("0 tons", None),
        ("40", "40"),
        (".", None),
    ],
)
def test_a_quote_is_found_whatever_its_spaces_and_signs(quote: str, found: str | None) -> None:
    assert found_in(CHUNK, quote) == found


@pytest.mark.parametrize(
    ("chunk", "quote", "found"),
    [
        ("It lifts 140 tons.", "40 tons", None),
        ("It lifts 140 tons, or 40 tons.", "40 tons", "40 tons"),
        ("A con\u00adtainer ship.", "container ship", "con\u00adtainer ship"),
        ("It lifts con-\ntainers.", "lifts containers", "lifts con-\ntainers"),
        ("A well-known crane.", "well known crane", "well-known crane"),
        ("From -3 to 5.", "From 3 to 5", None),
        ("A cafe\u0301 there.", "caf\u00e9", "cafe\u0301"),
        ("A cafe\u0301 there.", "cafe", None),
        ("クレーンは重い。", "重い", "重い"),
        ("\u202bמנוף כבד\u202c", "מנוף כבד", "מנוף כבד"),
        ("A_b and a_c.", "a_c", "a_c"),
    ],
)
def test_a_quote_is_whole_words_however_they_are_written(chunk: str, quote: str, found: str | None) -> None:
    assert found_in(chunk, quote) == found


def test_a_part_of_a_word_is_no_evidence(tmp_path: Path) -> None:
    dataset = qa(tmp_path, source=["It lifts 140 tons."], num_samples_per_prompt=3)
    dataset.generate([quoting(tmp_path, ["40 tons"], ["t"], ["140 tons"])])
    report = assert_balanced(dataset.report)
    assert (report.written, report.filtered) == (1, 2)
    assert dataset.data_rows[0].evidence == ["140 tons"]


def test_rows_have_the_chunks_own_words_as_evidence(tmp_path: Path) -> None:
    dataset = qa(tmp_path, source=[CHUNK], num_samples_per_prompt=1)
    dataset.generate([quoting(tmp_path, ['the crane "Anna" lifts 40 tons', "built in 1911"])])
    (row,) = dataset.data_rows
    assert row.evidence == ["The crane “Anna” lifts *40 tons", "built in 1911"]
    assert all(quote in row.chunk for quote in row.evidence)


def test_what_is_not_in_the_chunk_is_filtered_with_its_reason(tmp_path: Path) -> None:
    dataset = qa(tmp_path, source=[CHUNK], num_samples_per_prompt=4)
    dataset.generate(
        [quoting(tmp_path, ["built in 1911"], ["built in 1911", "made of steel"], [" "], ["It was built in 1911"])]
    )
    report = assert_balanced(dataset.report)
    assert (report.requested, report.written, report.filtered, report.failed) == (4, 2, 2, 0)
    reasons = {"evidence is not in the chunk": 1, "no evidence is quoted": 1}
    assert report.filtered_by_stage == {"evidence": reasons}


def test_simulated_models_quote_their_chunk(tmp_path: Path) -> None:
    dataset = qa(tmp_path).generate([SimulatedProvider("a"), SimulatedProvider("b")])
    assert assert_balanced(dataset.report).written == 2 * 2 * 2
    assert all(quote in row.chunk for row in dataset.data_rows for quote in row.evidence)


@pytest.mark.parametrize(
    "prompt",
    [
        "In {language_name}: {chunk}",
        "Text: {chunk}\nAsk {num_samples} questions in {language_name}, answer them and quote your evidence.",
        "Ask {num_samples} questions in {language_name} about this text, and quote your evidence:\n{chunk}",
        "{heading}\n\n{chunk}\n\nAsk {num_samples} questions in {language_name}, each of them about another thing that this text really "
        "says. Answer them in one sentence or two. Then quote your evidence, word for word, and all of it.",
    ],
)
def test_simulated_models_quote_their_chunk_wherever_a_prompt_of_ones_own_shows_it(tmp_path: Path, prompt: str) -> None:
    texts = [f"The crane {number} lifts forty tons. It was built by hand." for number in range(20)]
    prompt = prompt if "num_samples" in prompt else f"{{num_samples}} {prompt}"
    dataset = qa(tmp_path, source=texts, prompts=[prompt]).generate([SimulatedProvider("m")])
    report = assert_balanced(dataset.report)
    assert report.written == report.requested == 40


# -- rows and chunks


def test_rows_name_their_section_and_come_from_every_chunk(tmp_path: Path) -> None:
    dataset = qa(tmp_path, languages={"en": "English", "fr": "French"})
    assert dataset.get_num_expected_rows([object()]) == 2 * 2 * 2
    dataset.generate([SimulatedProvider("m")])
    assert {(row.heading, row.metadata["chunk"]) for row in dataset.data_rows} == {("Cranes", 0), ("Tides", 1)}
    assert {row.chunk.partition("\n")[0] for row in dataset.data_rows} == {"# Cranes", "# Tides"}


def test_an_edited_section_buys_only_its_own_questions(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    qa(tmp_path).generate([provider])
    before = rows_of(tmp_path / "out.jsonl")
    qa(tmp_path).generate([provider])
    (tmp_path / "out.jsonl").unlink()
    qa(tmp_path).generate([provider])
    assert same_rows(before, rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "requests")) == 2
    changed = MANUAL.replace("twice a day", "twice each day")
    qa(tmp_path, source=[changed]).generate([provider], on_change=lambda _: True)
    new = requests_in(tmp_path / "requests")[2:]
    assert len(new) == 1
    assert "twice each day" in new[0][1]


def test_a_prompt_of_ones_own_has_heading_and_context(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    with pytest.warns(DatafastWarning, match="were filtered"):
        qa(
            tmp_path,
            source=[{"text": "# T\n\nA text.", "about": "a book"}],
            context_column="about",
            prompts=["{context} {heading} {num_samples} {language_name}: {chunk}"],
            system_prompt="Be exact.",
        ).generate([provider])
    assert requests_in(tmp_path / "requests")[0][1] == "a book T 2 English: # T\n\nA text."


# -- files


def test_documents_are_files_of_a_folder_and_rows_name_them(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for number in range(2):
        (tmp_path / "docs" / f"{number}.md").write_text(f"# Part {number}\n\nA text about cranes.", encoding="utf-8")
    config = tmp_path / "qa.yaml"
    config.write_text("kind: document_qa\nsource: docs\nproviders: [simulated/m]\n", encoding="utf-8")
    chunks = load_project(config).config.chunks
    assert [(chunk.document, chunk.heading) for chunk in chunks] == [("0.md", "Part 0"), ("1.md", "Part 1")]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"chunk_size": 20, "chunk_overlap": 11}, "chunk_overlap: 11 is more than half of chunk_size, 20"),
        ({"name_column": "title"}, "name_column: the list has no column 'title'"),
        ({"prompts": ["{num_samples} {language_name}"]}, r"prompts\[0\]: \{chunk\} is missing"),
        ({"tokenizer": "nowhere.json"}, "tokenizer: .*nowhere.json"),
        ({"source": []}, "source"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_config(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        qa(tmp_path, **fields)
