"""Preference pairs: optional placeholders in the prompts of all roles."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import ConfigError, DatafastWarning
from datafast.schema.config import PromptExpansionConfig
from tests.support import CountingProvider, assert_balanced, preference, requests_in, roles, rows_of

TONES = ["warm", "dry"]
FIELDS = {
    "question": "question_generation_prompts",
    "chosen": "chosen_response_generation_prompt",
    "rejected": "rejected_response_generation_prompt",
    "evolution": "evolution_prompt",
    "judge": "judge_prompt",
}
TEMPLATES = {
    "question": "Q: {num_samples} {language_name} {document}",
    "chosen": "C: {language_name} {document} {question}",
    "rejected": "R: {language_name} {document} {question}",
    "evolution": "E: {document} {question} {answer}",
    "judge": "J: {document} {question} {response}",
}


def asked_in(folder: Path, **templates: str) -> tuple[Any, Counter[str]]:
    """A dataset of one document, two questions and two tones, and its prompts, cut to the letter of the role and the tone."""
    texts = {FIELDS[role]: text for role, text in {**TEMPLATES, **templates}.items()}
    texts["question_generation_prompts"] = [texts["question_generation_prompts"]]  # type: ignore[assignment]
    dataset = preference(
        folder,
        documents=1,
        evol_instruct=True,
        expansion=PromptExpansionConfig(placeholders={"tone": TONES}),
        **texts,
    )
    provider = CountingProvider("m", log=folder / "requests")
    dataset.generate_roles({**roles(provider), "evolution": provider})
    prompts = [prompt for _, prompt in requests_in(folder / "requests")]
    found = Counter(
        prompt[0] + next((tone for tone in TONES if f"in a {tone} tone" in prompt), "") for prompt in prompts
    )
    return dataset, found


@pytest.mark.parametrize("spelling", ["<<tone>>", "{{tone}}", "{tone}"])
@pytest.mark.parametrize("role", FIELDS)
def test_an_optional_placeholder_works_in_the_prompt_of_every_role(tmp_path: Path, role: str, spelling: str) -> None:
    dataset, asked = asked_in(tmp_path, **{role: f"{TEMPLATES[role]} in a {spelling} tone"})
    # Two questions for each tone; each has two responses, and both are judged.
    expected = Counter({"Q": 2, "C": 4, "R": 4, "E": 4, "J": 8})
    letter = role[0].upper()
    for tone in TONES:
        expected[letter + tone] = expected[letter] // 2
    del expected[letter]
    assert asked == expected
    assert assert_balanced(dataset.report).written == 4
    assert Counter(row["metadata"]["tone"] for row in rows_of(tmp_path / "out.jsonl")) == {"warm": 2, "dry": 2}


def test_all_prompts_of_an_item_have_the_same_value(tmp_path: Path) -> None:
    told = {role: f"{text} in a <<tone>> tone" for role, text in TEMPLATES.items()}
    dataset, asked = asked_in(tmp_path, **told)
    assert asked == {
        "Qwarm": 1,
        "Qdry": 1,
        **{f"{role}{tone}": 2 for role in "CRE" for tone in TONES},
        "Jwarm": 4,
        "Jdry": 4,
    }
    assert assert_balanced(dataset.report).written == 4


def test_rows_are_rebuilt_for_free(tmp_path: Path) -> None:
    dataset, _ = asked_in(tmp_path, rejected=f"{TEMPLATES['rejected']} in a <<tone>> tone")
    rows, sent = rows_of(tmp_path / "out.jsonl"), len(requests_in(tmp_path / "requests"))
    (tmp_path / "out.jsonl").unlink()
    provider = CountingProvider("m", log=tmp_path / "requests")
    dataset.generate_roles({**roles(provider), "evolution": provider})
    assert len(rows) == 4
    assert sorted(row["uuid"] for row in rows) == sorted(row["uuid"] for row in rows_of(tmp_path / "out.jsonl"))
    assert len(requests_in(tmp_path / "requests")) == sent


def test_a_prompt_of_a_role_that_is_not_asked_multiplies_nothing(tmp_path: Path) -> None:
    with pytest.warns(DatafastWarning, match="No prompt uses tone"):
        dataset = preference(tmp_path, documents=1, expansion={"placeholders": {"tone": TONES}})
    assert dataset.get_num_expected_rows() == 2


def test_a_placeholder_that_is_not_declared_is_refused_in_every_prompt(tmp_path: Path) -> None:
    with pytest.raises((ConfigError, ValueError), match=r"judge_prompt.*<<tone>> is not declared"):
        preference(tmp_path, judge_prompt=f"{TEMPLATES['judge']} <<tone>>")


@pytest.mark.parametrize("name", ["answer", "question", "response"])
def test_a_placeholder_may_have_a_name_that_another_prompt_fills_itself(tmp_path: Path, name: str) -> None:
    dataset = preference(
        tmp_path,
        documents=1,
        question_generation_prompts=[f"{TEMPLATES['question']} <<{name}>>"],
        expansion={"placeholders": {name: ["x", "y"]}},
    )
    assert dataset.get_num_expected_rows() == 4
    provider = CountingProvider("m", log=tmp_path / "requests")
    dataset.generate_roles(roles(provider))
    assert assert_balanced(dataset.report).written == 4


@pytest.mark.parametrize("system", ["Be <<tone>>.", {"judge": "Be <<tone>>."}])
def test_a_placeholder_in_a_system_message_is_remarked_on(tmp_path: Path, system: Any) -> None:
    with pytest.warns(DatafastWarning, match="system_prompt: Nothing is filled into system messages, so <<tone>>"):
        preference(
            tmp_path,
            documents=1,
            system_prompt=system,
            question_generation_prompts=[f"{TEMPLATES['question']} <<tone>>"],
            expansion={"placeholders": {"tone": TONES}},
        )
