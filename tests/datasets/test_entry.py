"""How datasets are asked to generate: by a list of providers, or by one for each role, as a mapping or under the kind's own keywords."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import PreferenceDataset
from datafast.errors import ConfigError, RunStopped
from datafast.llms import SimulatedProvider
from datafast.schema.config import PreferenceDatasetConfig
from datafast.types import StopCause
from tests.support import assert_balanced, columns, raw

NAMES = {
    "question": "question_gen_llm",
    "chosen": "chosen_response_gen_llm",
    "rejected": "rejected_response_gen_llm",
    "evolution": "evolution_llm",
    "judge": "judge_llm",
}


def preference(folder: Path, **fields: Any) -> PreferenceDataset:
    given = {"num_samples_per_prompt": 1, "output_file": folder / "out.jsonl", **fields}
    return PreferenceDataset(PreferenceDatasetConfig(input_documents=["Of cranes."], **given))


def models(*roles: str) -> dict[str, SimulatedProvider]:
    return {role: SimulatedProvider(role) for role in roles}


def test_roles_are_given_by_keyword_or_as_a_mapping_with_the_same_result(tmp_path: Path) -> None:
    given = models("question", "chosen", "rejected", "evolution", "judge")
    keywords = {NAMES[role]: provider for role, provider in given.items()}
    dataset = preference(tmp_path, evol_instruct=True, llm_as_judge=True)
    assert dataset.generate(**keywords) is dataset
    assert assert_balanced(dataset.report).calls == 6
    again = preference(tmp_path, evol_instruct=True, llm_as_judge=True)
    assert assert_balanced(again.generate(given).report).calls == 0
    assert assert_balanced(again.generate_roles(given).report).calls == 0
    assert again.estimate(**keywords).calls == again.estimate_roles(given).calls == 0
    row = again.data_rows[0]
    assert (row.question_model_id, row.evolution_model_id) == ("simulated/question", "simulated/evolution")


def test_the_asynchronous_forms_take_the_same_keywords(tmp_path: Path) -> None:
    given: dict[str, Any] = {NAMES[role]: model for role, model in models("question", "chosen", "rejected").items()}

    async def main() -> list[str]:
        dataset = preference(tmp_path)
        types = [event.type async for event in dataset.generate_events(**given)]
        await dataset.generate_async(**given, judge_llm=None)
        assert assert_balanced(dataset.report).calls == 0
        return types

    types = asyncio.run(main())
    assert (types[0], types[-1]) == ("run_started", "run_ended")


def test_every_form_takes_providers_by_position(tmp_path: Path) -> None:
    given = list(models("question", "chosen", "rejected").values())

    async def main() -> int:
        dataset = preference(tmp_path)
        assert [event.type async for event in dataset.generate_events(*given)][-1] == "run_ended"
        assert assert_balanced((await dataset.generate_async(*given)).report).calls == 0
        return dataset.estimate(*given).calls

    assert asyncio.run(main()) == 0


def test_a_kind_with_one_role_takes_its_only_provider(tmp_path: Path) -> None:
    model = SimulatedProvider("m")
    schema: dict[str, Any] = {"a": {"type": "text", "prompt": "One."}}
    dataset = columns(tmp_path / "one", schema, rows=2)
    assert dataset.estimate(model).calls == 2
    assert assert_balanced(dataset.generate(model).report).written == 2
    both = columns(tmp_path / "two", {**schema, "b": {"type": "text", "prompt": "Two.", "provider": "x"}}, rows=2)
    with pytest.raises(ConfigError, match=r"Give one mapping, \{'default': \.\.\., 'x': \.\.\.\}\.$"):
        both.estimate(model)


def test_one_model_may_answer_in_several_roles_offline_too(tmp_path: Path) -> None:
    from datafast.llms import OpenAIProvider

    seen: list[Any] = []
    model = OpenAIProvider("gpt-5-mini")
    dataset = preference(tmp_path)
    roles = dict.fromkeys(["question", "chosen", "rejected"], model)
    dataset.generate(roles, offline=True, on_event=seen.append)
    assert len(seen[0].providers) == 1
    assert assert_balanced(dataset.report).written == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"question": SimulatedProvider("m")}, "No provider is given for 'chosen'. Give chosen_response_gen_llm=...;"),
        (models("question", "chosen", "rejected", "judge"), "Set llm_as_judge: true to use it."),
        (models("question", "chosen", "rejected", "reject"), "Did you mean 'rejected'?"),
        ({**models("question", "chosen"), "rejected": "openai/gpt-5-mini"}, "rejected: expected a provider"),
    ],
)
def test_roles_that_do_not_fit_are_refused_before_anything_is_done(
    tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    dataset = preference(tmp_path)
    for ask in (dataset.generate, dataset.estimate, dataset.generate_events):
        with pytest.raises(ConfigError) as refused:
            ask(given)
        assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_keyword_that_does_not_exist_is_refused_with_the_nearest(tmp_path: Path) -> None:
    given = models("question", "chosen", "rejected")
    with pytest.raises(ConfigError, match=r"limits: A run has no such option\. Did you mean 'limit'"):
        preference(tmp_path).generate(given, limits=3)
    with pytest.raises(ConfigError, match="fresh_start"):
        preference(tmp_path).estimate(given, fresh_start=None)


def test_columns_without_models_need_no_provider(tmp_path: Path) -> None:
    dataset = columns(tmp_path, {"n": {"type": "constant", "value": 1}}, rows=3)
    assert dataset.get_num_expected_rows() == 3
    assert dataset.estimate().calls == 0
    assert assert_balanced(dataset.generate().report).written == 3


def test_a_provider_of_a_list_is_named_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"providers\[1\]: expected a provider"):
        raw(tmp_path).generate([SimulatedProvider("m"), "openai/gpt-5-mini"])  # type: ignore[list-item]


# -- why a run stopped


def stopped(tmp_path: Path, provider: SimulatedProvider, **options: Any) -> tuple[StopCause | None, int]:
    dataset = raw(tmp_path, run=options.pop("run", None))
    with pytest.raises(RunStopped) as caught:
        dataset.generate([provider], **options)
    report = assert_balanced(caught.value.report)
    assert report.stop_reason
    assert report.to_dict()["stop_cause"] == report.stop_cause
    return report.stop_cause, report.pending


def test_a_budget_that_is_reached_is_the_cause(tmp_path: Path) -> None:
    assert stopped(tmp_path, SimulatedProvider("m"), run={"max_calls": 2}) == (StopCause.BUDGET, 4)


def test_a_provider_that_cannot_be_asked_is_the_cause(tmp_path: Path) -> None:
    provider = SimulatedProvider("m", faults={"authentication": 1.0})
    assert stopped(tmp_path, provider) == (StopCause.PROVIDER, 6)


def test_a_cell_that_may_not_fail_is_the_cause(tmp_path: Path) -> None:
    schema = {"x": {"type": "text", "prompt": "p", "provider": "m", "on_error": "stop"}}
    dataset = columns(tmp_path, schema, rows=5, run={"max_concurrency": 1})
    with pytest.raises(RunStopped):
        dataset.generate({"m": SimulatedProvider("m", faults={"refused": 1.0})})
    assert assert_balanced(dataset.report).stop_cause is StopCause.ITEM
