"""Personas and seed texts of a config: what prompts, rows and messages say about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import PreferenceDataset, RawDataset
from datafast.llms import SimulatedProvider
from datafast.schema.config import (
    GenericPipelineDatasetConfig,
    MCQDatasetConfig,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
)
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of

NURSE, CLERK = "a nurse on night shifts who answers in half sentences", "a clerk who explains everything twice"
PROMPT = "{num_samples} {language_name} {document_type} {topic}"


def raw(folder: Path, **fields: Any) -> RawDataset:
    known = {"document_types": ["note"], "topics": ["pumps", "tides"], "num_samples_per_prompt": 1}
    return RawDataset(RawDatasetConfig(output_file=folder / "out.jsonl", **{**known, **fields}))


def sent(folder: Path, dataset: Any) -> list[str]:
    dataset.generate([CountingProvider("m", log=folder / "requests")])
    assert_balanced(dataset.report)
    return [prompt for _, prompt in requests_in(folder / "requests")]


def test_each_prompt_comes_with_each_persona_and_seed_text(tmp_path: Path) -> None:
    dataset = raw(tmp_path, personas=[NURSE, CLERK], seed_texts=["It hums.", "It drips.", "It rests."])
    assert dataset.get_num_expected_rows([object()]) == 2 * 2 * 3
    prompts = sent(tmp_path, dataset)
    assert len(set(prompts)) == 12
    assert sum(NURSE in prompt for prompt in prompts) == sum(CLERK in prompt for prompt in prompts) == 6
    assert sum("It drips." in prompt for prompt in prompts) == 4
    rows = rows_of(tmp_path / "out.jsonl")
    assert {(row["metadata"]["persona"], row["metadata"]["seed_text"], row["metadata"]["topic"]) for row in rows} == {
        (person, text, topic)
        for person in (NURSE, CLERK)
        for text in ("It hums.", "It drips.", "It rests.")
        for topic in ("pumps", "tides")
    }


def test_a_text_is_written_by_the_persona_and_not_by_an_expert(tmp_path: Path) -> None:
    prompts = sent(tmp_path, raw(tmp_path, personas=[NURSE]))
    told = "The writer is this person, whether an expert or not."
    assert all(
        prompt.index("as an expert of the field") < prompt.index(told) < prompt.index(NURSE) for prompt in prompts
    )


def test_without_them_a_config_is_what_it_was(tmp_path: Path) -> None:
    dataset = raw(tmp_path, prompts=[f"{PROMPT} <<persona>>"], expansion={"placeholders": {"persona": [NURSE, CLERK]}})
    assert dataset.get_num_expected_rows([object()]) == 4
    assert sorted(sent(tmp_path, dataset)) == sorted(
        f"1 English note {topic} {person}" for topic in ("pumps", "tides") for person in (NURSE, CLERK)
    )
    plain = raw(tmp_path, prompts=[PROMPT])
    assert "persona" not in plain.metadata(plain.plan(["one"])[0])


@pytest.mark.parametrize("spelling", ["<<persona>>", "{persona}", "{{persona}}"])
def test_a_placeholder_of_that_name_beside_the_field_is_refused(tmp_path: Path, spelling: str) -> None:
    with pytest.raises(ValueError, match=r"expansion\.placeholders\.persona: .*already has a persona\. Choose another"):
        raw(
            tmp_path,
            personas=[NURSE],
            prompts=[f"{PROMPT} {spelling}"],
            expansion=PromptExpansionConfig(placeholders={"persona": ["x", "y"]}),
        )


def test_a_prompt_that_would_be_sent_to_all_of_them_alike_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prompts\[1\]: \{persona\} is missing, and personas are given\. Add it, or"):
        raw(tmp_path, personas=[NURSE, CLERK], prompts=[f"{PROMPT} {{persona}}", PROMPT])
    with pytest.raises(ValueError, match=r"prompts\[0\]: \{seed_text\} is missing, and seed_texts are given"):
        raw(tmp_path, seed_texts=["a"], prompts=[PROMPT])


def test_prompts_of_ones_own_have_them_where_they_want(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=["pumps"], personas=[NURSE], prompts=[f"{{persona}}: {PROMPT}"])
    assert sent(tmp_path, dataset) == [f"{NURSE}: 1 English note pumps"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pair": "random"}, r"pair: There is nothing to pair prompts with\. Give personas or seed_texts"),
        ({"personas": [NURSE], "pair": {"seed_texts": "cycle"}}, r"pair\.seed_texts: There are no seed_texts\."),
        ({"personas": [NURSE], "pair": "sometimes"}, r"pair"),
        ({"personas": []}, r"personas"),
        ({"personas": ["  "]}, r"personas"),
        ({"personas": NURSE}, r"personas\s.*expected a list of texts, or a source of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, fields: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        raw(tmp_path, **fields)


def test_personas_of_a_source_are_those_of_a_list(tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text(f"{NURSE}\n\n{CLERK}\n", encoding="utf-8")
    (tmp_path / "people.jsonl").write_text(
        "\n".join(json.dumps({"text": text, "id": key}) for key, text in enumerate((NURSE, CLERK))), encoding="utf-8"
    )
    keys = [
        list(raw(tmp_path, personas=personas).plan(["one"]).keys())
        for personas in (
            [NURSE, CLERK],
            tmp_path / "people.txt",
            {"source": tmp_path / "people.jsonl", "column": "text"},
        )
    ]
    assert keys[0] == keys[1] == keys[2]
    dataset = raw(tmp_path, personas={"source": tmp_path / "people.jsonl", "key": "id"})
    dataset.generate([SimulatedProvider("m")])
    assert {
        (row["metadata"]["persona"], row["metadata"]["persona_key"]) for row in rows_of(tmp_path / "out.jsonl")
    } == {
        (NURSE, 0),
        (CLERK, 1),
    }
    assert any(file.what == "personas" for file in dataset.config.used_files())


def test_yaml_has_the_same_fields(tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text(f"{NURSE}\n{CLERK}\n", encoding="utf-8")
    fields = {"document_types": ["note"], "topics": ["pumps"], "personas": "people.txt", "seed_texts": ["It hums."]}
    config = {
        "kind": "raw",
        **fields,
        "pair": {"personas": "random"},
        "output_file": str(tmp_path / "out.jsonl"),
        "providers": [{"provider": "simulated", "model_id": "m"}],
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    project = load_project(tmp_path / "config.yaml")
    plan = project.dataset().plan_for(project.routes)
    in_python = raw(
        tmp_path,
        topics=["pumps"],
        num_samples_per_prompt=5,
        personas=[NURSE, CLERK],
        seed_texts=["It hums."],
        pair={"personas": "random"},
    )
    assert list(plan.keys()) == list(in_python.plan_for(project.routes).keys())
    dumped = RawDatasetConfig(**in_python.config.model_dump(mode="json"))
    assert list(RawDataset(dumped).plan_for(project.routes).keys()) == list(plan.keys())


def test_any_prompt_of_a_kind_may_have_them(tmp_path: Path) -> None:
    question = "{num_samples} {language_name} {document}"
    known: dict[str, Any] = {"source": ["A crane lifts."], "min_document_length": 5, "personas": [NURSE, CLERK]}
    config = MCQDatasetConfig(
        **known,
        prompts=[question],
        distractor_prompt="{language_name} {question} {correct_answer} {persona}",
    )
    assert len(config.prompt_expansion()) == 1
    with pytest.raises(ValueError, match=r"prompts\[0\]: \{persona\} is missing"):
        MCQDatasetConfig(**known, prompts=[question])


def test_questions_that_are_given_are_answered_for_the_one_who_asks(tmp_path: Path) -> None:
    config = PreferenceDatasetConfig(
        questions=["Why are there tides?"], personas=[NURSE, CLERK], output_file=tmp_path / "out.jsonl"
    )
    logs = {role: CountingProvider(role, log=tmp_path / role) for role in ("chosen", "rejected")}
    PreferenceDataset(config).generate(logs)
    for role in logs:
        prompts = [prompt for _, prompt in requests_in(tmp_path / role)]
        assert sorted(person in prompt for prompt in prompts for person in (NURSE, CLERK)) == [False, False, True, True]
    with pytest.raises(ValueError, match=r"\{persona\} is missing"):
        PreferenceDatasetConfig(
            questions=["Why?"],
            personas=[NURSE],
            chosen_response_generation_prompt="{language_name} {question}",
            rejected_response_generation_prompt="{language_name} {question}",
        )


def test_a_column_of_that_name_is_refused() -> None:
    known: dict[str, Any] = {"source": [{"persona": "x", "text": "y"}], "input_columns": ["persona"]}
    with pytest.raises(ValueError, match=r"input_columns: 'persona' is a name of datafast's own"):
        GenericPipelineDatasetConfig(**known, personas=[NURSE])
    GenericPipelineDatasetConfig(**known)
