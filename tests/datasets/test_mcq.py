"""Multiple-choice questions: where the texts come from, how answers are checked, where the right one stands."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import MCQDataset
from datafast.datasets.mcq_answers import normalised, without_labels
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.schema.config import MCQDatasetConfig, PromptExpansionConfig, RunConfig
from datafast.schema.data_rows import MCQRow
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of

TEXTS = [f"Lesson {number}: a harbour crane lifts containers." for number in range(4)]
PROMPT = "Q: {num_samples} {language_name} {document}"
DISTRACTORS = "D: {language_name} {question} {correct_answer}"


def mcq(folder: Path, *, source: Any = TEXTS, run: dict[str, Any] | None = None, **fields: Any) -> MCQDataset:
    """A dataset of two questions for each text."""
    given = {"num_samples_per_prompt": 2, "min_document_length": 5, "output_file": folder / "out.jsonl", **fields}
    if source is not None:
        given["source"] = source
    return MCQDataset(MCQDatasetConfig(run=RunConfig(**{"max_concurrency": 8, **(run or {})}), **given))


def asking(folder: Path, *replies: list[str]) -> CountingProvider:
    """A provider that asks what is 1 and what is 2, and gives these wrong answers, one list after the other."""
    left = list(replies)

    def reply(request: Request) -> str:
        if request.schema is not None and request.schema.list_field == "questions":
            asked = [{"question": f"What is {number}?", "correct_answer": f"It is {number}."} for number in (1, 2)]
            return json.dumps({"questions": asked})
        return json.dumps({"incorrect_answers": left.pop(0) if len(left) > 1 else left[0]})

    return CountingProvider("m", log=folder / "requests", reply=reply)


# -- rows


def test_each_text_gives_questions_with_four_options_and_the_right_ones_place(tmp_path: Path) -> None:
    dataset = mcq(tmp_path, languages={"en": "English", "fr": "French"})
    models = [SimulatedProvider("a"), SimulatedProvider("b")]
    assert dataset.get_num_expected_rows(models) == 4 * 2 * 2 * 2
    dataset.generate(models)
    assert assert_balanced(dataset.report).written == 32
    for row in dataset.data_rows:
        wrong = [row.incorrect_answer_1, row.incorrect_answer_2, row.incorrect_answer_3]
        assert row.options[row.answer_index] == row.correct_answer
        assert row.answer_letter == "ABCD"[row.answer_index]
        assert sorted(row.options) == sorted([*wrong, row.correct_answer])
        assert row.source_document in TEXTS
    assert Counter(row.answer_letter for row in dataset.data_rows) == dict.fromkeys("ABCD", 8)


def test_options_stand_in_an_order_that_the_seed_decides(tmp_path: Path) -> None:
    def options(name: str, **run: Any) -> dict[str, list[str]]:
        (tmp_path / name).mkdir()
        dataset = mcq(tmp_path / name, run=run).generate([SimulatedProvider("m", latency_jitter_s=0.003)])
        return {row.uuid: row.options for row in dataset.data_rows}

    first = options("one")
    assert options("two", max_concurrency=1) == first
    other = options("three", seed=5)
    assert other.keys() == first.keys()
    assert other != first
    assert {uuid: sorted(found) for uuid, found in other.items()} == {
        uuid: sorted(found) for uuid, found in first.items()
    }


def test_rows_of_the_first_datafast_have_no_options_and_can_be_read() -> None:
    fields = {f"incorrect_answer_{number}": f"wrong {number}" for number in (1, 2, 3)}
    row = MCQRow(source_document="a", question="b?", correct_answer="c", **fields)
    assert (row.options, row.answer_index, row.mcq_source) == ([], None, "synthetic")


def test_rows_are_counted_as_if_the_source_had_another_size(tmp_path: Path) -> None:
    providers = [object(), object()]
    assert mcq(tmp_path).get_num_expected_rows(providers, 100) == 100 * 2 * 2
    assert mcq(tmp_path, sample_count=3).get_num_expected_rows(providers, source_data_num_rows=100) == 3 * 2 * 2
    assert mcq(tmp_path).get_num_expected_rows(providers, 0) == 0
    with pytest.raises(ConfigError, match="source_data_num_rows: expected a number of rows, got -1"):
        mcq(tmp_path).get_num_expected_rows(providers, -1)
    assert mcq(tmp_path, num_rows=7).get_num_expected_rows(providers, source_data_num_rows=100) == 7


# -- wrong answers


@pytest.mark.parametrize(
    "first",
    [
        ["A", "B", "It is 1."],
        ["A", "B", " it is 1"],
        ["A", "B", "“IT  IS 1.”"],
        ["A", "B", "It is 1.\u200b"],
        ["A", "B", "**It is 1.**"],
        ["A) one", "B) It is 1", "C) two"],
        ["A. one", "B. one", "C. two"],
        ["(a) one", "(b) ONE.", "(c) two"],
        ["1914–1918", "1914 - 1918", "B"],
        ["A", "B", "b."],
        ["A", "B", " "],
        ["A", "B"],
    ],
)
def test_wrong_answers_that_are_the_right_one_or_each_other_are_asked_for_again(
    tmp_path: Path, first: list[str]
) -> None:
    dataset = mcq(tmp_path, source=TEXTS[:1], num_rows=1)
    dataset.generate([asking(tmp_path, first, ["A", "B", "C"])])
    (row,) = dataset.data_rows
    assert sorted(row.options) == ["A", "B", "C", "It is 1."]
    assert len(requests_in(tmp_path / "requests")) == 3


def test_the_reasoning_of_answers_that_were_not_taken_stands_in_no_row(tmp_path: Path) -> None:
    said = iter([["A", "B", "It is 1."], ["A", "B", "C"]])

    def reply(request: Request) -> str:
        if request.schema is not None and request.schema.list_field == "questions":
            return json.dumps({"questions": [{"question": "What is 1?", "correct_answer": "It is 1."}]})
        answers = next(said)
        return f"<think>{answers[-1]}</think>{json.dumps({'incorrect_answers': answers})}"

    dataset = mcq(tmp_path, source=TEXTS[:1], num_rows=1, reasoning="field")
    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["reasoning"] == "C"


def test_a_fourth_wrong_answer_takes_the_place_of_one_that_cannot_be_used(tmp_path: Path) -> None:
    dataset = mcq(tmp_path, source=TEXTS[:1], num_rows=1)
    dataset.generate([asking(tmp_path, ["A", "It is 1", "B", "C", "D"])])
    assert sorted(dataset.data_rows[0].options) == ["A", "B", "C", "It is 1."]
    assert len(requests_in(tmp_path / "requests")) == 2


def test_a_question_whose_wrong_answers_never_differ_fails_alone_and_can_be_retried(tmp_path: Path) -> None:
    bad = asking(tmp_path, ["A", "B", "It is 2"])
    dataset = mcq(tmp_path, source=TEXTS[:1]).generate([bad])
    report = assert_balanced(dataset.report)
    assert (report.written, report.failed) == (1, 1)
    (failed,) = dataset.failed_items
    assert "different from the right answer" in failed.error
    dataset.generate([asking(tmp_path, ["A", "B", "C"])], retry_failed=True)
    assert assert_balanced(dataset.report).written == 2
    assert sorted(row.correct_answer for row in dataset.data_rows) == ["It is 1.", "It is 2."]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["A) one", "B) two", "C) three"], ["one", "two", "three"]),
        (["B. one", "C. two", "D. three"], ["one", "two", "three"]),
        (["(1) one", "(2) two", "(3) three"], ["one", "two", "three"]),
        (["a: one", "b: two", "c: three", "d: four"], ["one", "two", "three"]),
        (["1. May", "2. May", "3. May"], ["1. May", "2. May", "3. May"]),
        (["A) one", "B) two", "three"], ["A) one", "B) two", "three"]),
        (["A) one", "C) two", "B) three"], ["A) one", "C) two", "B) three"]),
        (["B. one", "B. two", "B. three"], ["B. one", "B. two", "B. three"]),
    ],
)
def test_letters_in_front_of_wrong_answers_are_no_part_of_them(
    tmp_path: Path, given: list[str], kept: list[str]
) -> None:
    dataset = mcq(tmp_path, source=TEXTS[:1], num_rows=1)
    dataset.generate([asking(tmp_path, given)])
    (row,) = dataset.data_rows
    assert [row.incorrect_answer_1, row.incorrect_answer_2, row.incorrect_answer_3] == kept
    assert len(requests_in(tmp_path / "requests")) == 2


def test_initials_are_no_letters_in_front() -> None:
    species = ["B. subtilis", "C. elegans", "D. melanogaster"]
    assert without_labels(species, "E. coli") == species


@pytest.mark.parametrize(
    ("one", "other"), [("3", "-3"), ("5", ".5"), ("x > 1", "x < 1"), ("5!", "5"), ("C++", "C"), ("a - b", "a + b")]
)
def test_answers_that_differ_in_a_sign_are_different(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


# -- prompts


def test_every_prompt_and_system_message_reaches_the_model(tmp_path: Path) -> None:
    rows = [{"text": text, "about": f"book {number}"} for number, text in enumerate(TEXTS[:2])]
    dataset = mcq(
        tmp_path,
        source=rows,
        text_column="text",
        context_column="about",
        prompts=[f"{PROMPT} of {{context}} for <<reader>>", f"{PROMPT} again"],
        distractor_prompt=f"{DISTRACTORS} from {{document}} of {{context}} for <<reader>>",
        expansion=PromptExpansionConfig(placeholders={"reader": ["cooks"]}),
        system_prompt={"question": "You ask.", "distractors": "You mislead."},
    )
    systems: Counter[Any] = Counter()

    def reply(request: Request) -> None:
        systems[request.messages[0]["content"], request.messages[1]["content"][0]] += 1

    dataset.generate([CountingProvider("m", log=tmp_path / "requests", reply=reply)])
    prompts = {prompt for _, prompt in requests_in(tmp_path / "requests")}
    assert f"Q: 2 English {TEXTS[0]} of book 0 for cooks" in prompts
    assert f"Q: 2 English {TEXTS[1]} again" in prompts
    row = next(row for row in dataset.data_rows if row.source_document == TEXTS[1])
    assert f"D: English {row.question} {row.correct_answer} from {TEXTS[1]} of book 1 for cooks" in prompts
    assert systems == {("You ask.", "Q"): 4, ("You mislead.", "D"): 8}
    assert row.metadata == {"context": "book 1", "reader": "cooks", "prompt_index": row.metadata["prompt_index"]}


def test_the_context_is_in_the_default_prompt(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    mcq(tmp_path, source=[{"text": TEXTS[0], "about": "All of cranes"}], context_column="about").generate([provider])
    assert "All of cranes" in requests_in(tmp_path / "requests")[0][1]


def test_another_prompt_for_wrong_answers_buys_only_these(tmp_path: Path) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    mcq(tmp_path, prompts=[PROMPT]).generate([provider])
    before = len(requests_in(tmp_path / "requests"))
    mcq(tmp_path, prompts=[PROMPT], distractor_prompt=DISTRACTORS).generate([provider], on_change=lambda _: True)
    new = [prompt for _, prompt in requests_in(tmp_path / "requests")[before:]]
    assert [prompt[:2] for prompt in new] == ["D:"] * 8


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"prompts": ["{document} {language_name}"]}, r"prompts\[0\]: \{num_samples\} is missing"),
        ({"distractor_prompt": "{question} {language_name}"}, r"distractor_prompt: \{correct_answer\} is missing"),
        ({"distractor_prompt": DISTRACTORS + " <<tone>>"}, r"distractor_prompt.*<<tone>> is not declared"),
        ({"prompts": [PROMPT + " {context}"]}, r"context_column: A prompt has \{context\}"),
        ({"prompts": [PROMPT], "context_column": "text"}, r"context_column: No prompt has \{context\}"),
    ],
)
def test_prompts_are_checked_with_the_config(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        mcq(tmp_path, **fields)


# -- documents


def documents(**fields: Any) -> list[str]:
    return [document.text for document in MCQDatasetConfig(**{"min_document_length": 5, **fields}).documents]


def test_texts_come_from_lists_files_frames_and_by_both_names_of_the_first_datafast(tmp_path: Path) -> None:
    file = tmp_path / "lessons.jsonl"
    file.write_text("".join(json.dumps({"id": 1, "body": text}) + "\n" for text in TEXTS), encoding="utf-8")
    assert documents(source=TEXTS) == TEXTS
    assert documents(source=[{"text": text, "id": 1} for text in TEXTS]) == TEXTS
    assert documents(source=pd.DataFrame({"body": TEXTS})) == TEXTS
    assert documents(source=str(file), text_column="body") == TEXTS
    assert documents(local_file_path=str(file), text_column="body", sample_count=2) == TEXTS[:2]


def test_each_line_of_a_text_file_is_a_text_by_the_name_of_the_first_datafast(tmp_path: Path) -> None:
    file = tmp_path / "lessons.txt"
    file.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    assert documents(local_file_path=str(file), text_column="text") == TEXTS
    assert documents(source=str(file), text_column="text") == ["\n".join(TEXTS) + "\n"]
    assert documents(source={"source": str(file), "lines": True}) == TEXTS


def test_a_hub_dataset_is_named_by_hf_dataset_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []

    def load(name: str, **options: Any) -> Any:
        asked.append(name)
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": TEXTS})})

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert documents(hf_dataset_name="someone/lessons", text_column="text") == TEXTS
    assert asked == ["someone/lessons"]


def test_a_file_of_a_yaml_config_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "lessons.csv").write_text("body\n" + "\n".join(TEXTS), encoding="utf-8")
    config = tmp_path / "questions.yaml"
    config.write_text(
        "kind: mcq\nsource: lessons.csv\nmin_document_length: 5\nproviders: [simulated/m]\n", encoding="utf-8"
    )
    project = load_project(config)
    assert [document.text for document in project.config.documents] == TEXTS
    assert tmp_path / "lessons.csv" in [file.path for file in project.used_files()]


def test_texts_of_other_lengths_are_left_out_with_a_remark(tmp_path: Path) -> None:
    rows = [{"text": text} for text in ["short", "long enough here", None, "  blank   ", "x" * 50, "also long enough"]]
    with pytest.warns(DatafastWarning) as warned:
        found = documents(source=rows, min_document_length=10, max_document_length=40)
    assert found == ["long enough here", "also long enough"]
    assert str(warned[0].message) == (
        "source: the list gives 2 documents. Of its texts 3 are shorter than min_document_length, 10 characters and 1 are longer "
        "than max_document_length, 40 characters: they are left out."
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "source: No texts are given"),
        ({"source": TEXTS, "hf_dataset_name": "a/b"}, "source: source and hf_dataset_name are given"),
        (
            {"source": [{"body": "a", "id": 1}], "text_column": "boby"},
            "text_column: .* no column 'boby'. Did you mean 'body'",
        ),
        ({"source": [{"body": "a", "id": 1}]}, "text_column: .* no column 'text'"),
        (
            {"source": [{"text": 12345678}]},
            "source: the list, row 0: The column 'text' holds 12345678, which is not text",
        ),
        ({"source": ["a", "b"]}, "source: the list has no documents. Of its texts 2 are shorter"),
        ({"source": TEXTS, "min_document_length": 900, "max_document_length": 800}, "no documents|is more than"),
        ({"source": "nowhere.csv"}, "source: There is no file"),
    ],
)
def test_what_gives_no_texts_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        documents(**fields)


def test_a_change_elsewhere_in_the_source_buys_nothing_and_an_edited_text_only_its_own_questions(
    tmp_path: Path,
) -> None:
    provider = CountingProvider("m", log=tmp_path / "requests")
    rows = [{"text": text, "page": number} for number, text in enumerate(TEXTS)]
    mcq(tmp_path, source=rows).generate([provider])
    moved = [{"text": row["text"], "page": 99} for row in reversed(rows)]
    mcq(tmp_path, source=moved).generate([provider])
    assert len(requests_in(tmp_path / "requests")) == 4 + 8
    moved[0]["text"] = "A lesson that is new here."
    mcq(tmp_path, source=moved).generate([provider], on_change=lambda _: True)
    new = requests_in(tmp_path / "requests")[4 + 8 :]
    assert len(new) == 1 + 2
    assert "A lesson that is new here." in new[0][1]


def test_equal_texts_are_asked_about_each_by_itself(tmp_path: Path) -> None:
    dataset = mcq(tmp_path, source=[TEXTS[0], TEXTS[0]]).generate([SimulatedProvider("m")])
    assert len({row.uuid for row in dataset.data_rows}) == assert_balanced(dataset.report).written == 4


def test_another_field_may_be_set_and_the_texts_are_read_anew_only_where_they_are_changed(tmp_path: Path) -> None:
    config = mcq(tmp_path).config
    before = config.documents
    config.num_samples_per_prompt = 3
    assert config.documents is before
    config.sample_count = 1
    assert len(config.documents) == 1
