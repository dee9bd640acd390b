"""How datasets are asked to generate: by a list of providers, or by one for each role, as a mapping or under the kind's own keywords."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datafast.config_files.loader import load_project
from datafast.datasets import PreferenceDataset
from datafast.errors import ConfigError, RunStopped
from datafast.llms import SimulatedProvider
from datafast.registry import load_kind
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


# -- kinds that take a list, or a provider for each role

DRAFTS = """
from datafast.datasets.raw import RawDataset, RawDatasetConfig


class DraftConfig(RawDatasetConfig):
    @property
    def roles(self):
        return ["writer", "editor"]


class DraftDataset(RawDataset):
    kind = "draft"
    config_model = DraftConfig

    async def produce(self, item, generate):
        prompt = self.render(item, {"num_samples": "1", "language_name": "English", **item.values})
        draft = await generate("writer", prompt)
        text = await generate("editor", f"Improve this: {draft}")
        row = {"text": text, "model_id": f"{generate.model_id('writer')}, {generate.model_id('editor')}"}
        return [self.row_model(uuid=item.row_uuid(0), **row)]
"""


@pytest.fixture
def drafts(offer: Callable[..., None]) -> type[Any]:
    offer("drafts", {"drafts.py": DRAFTS}, entry_points="[datafast.kinds]\ndraft = drafts:DraftDataset\n")
    return load_kind("draft")


def draft(kind: type[Any], folder: Path, **fields: Any) -> Any:
    given = {"document_types": ["note"], "topics": ["Cranes", "Tides"], "num_samples_per_prompt": 1}
    return kind(kind.config_model(**given, output_file=folder / "out.jsonl", **fields))


def test_a_kind_with_roles_takes_a_list_where_each_does_all(drafts: type[Any], tmp_path: Path) -> None:
    dataset, given = draft(drafts, tmp_path), list(models("a", "b").values())
    assert dataset.get_num_expected_rows(given) == 4
    assert assert_balanced(dataset.generate(given).report).written == 4
    assert {row.model_id for row in dataset.data_rows} == {
        "simulated/a, simulated/a",
        "simulated/b, simulated/b",
    }


def test_a_kind_with_roles_takes_a_provider_for_each_of_them(drafts: type[Any], tmp_path: Path) -> None:
    dataset, given = draft(drafts, tmp_path), models("writer", "editor")
    assert (dataset.get_num_expected_rows(given), dataset.estimate(given).calls) == (2, 4)
    assert assert_balanced(dataset.generate(given).report).written == 2
    assert {row.model_id for row in dataset.data_rows} == {"simulated/writer, simulated/editor"}

    async def main() -> list[str]:
        await dataset.generate_async(given)
        return [event.type async for event in dataset.generate_events(given)]

    assert asyncio.run(main())[-1] == "run_ended"
    assert assert_balanced(dataset.report).calls == 0


@pytest.mark.parametrize(
    ("given", "fields", "said"),
    [
        (models("writer"), {}, "No provider is given for 'editor'. This config asks writer, editor."),
        (models("writer", "editor", "editr"), {}, "A provider is given for 'editr', which this config does not ask."),
        (models("writer", "editor"), {"run": {"fan_out": "split"}}, "run.fan_out is split, but there is one provider"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    drafts: type[Any], tmp_path: Path, given: dict[str, Any], fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        draft(drafts, tmp_path, **fields).generate(given)
    assert said in str(refused.value)


def test_a_kind_without_roles_takes_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"providers: expected a list of providers, got dict"):
        raw(tmp_path).generate(models("writer"))  # type: ignore[arg-type]


def in_yaml(folder: Path, providers: object, **fields: Any) -> Any:
    given = {"document_types": ["note"], "topics": ["Cranes", "Tides"], "num_samples_per_prompt": 1, **fields}
    path = folder / "config.yaml"
    path.write_text(json.dumps({"kind": "draft", **given, "providers": providers}), encoding="utf-8")  # JSON is YAML
    return load_project(path)


def test_yaml_takes_both_forms_and_says_what_does_not_fit(drafts: type[Any], tmp_path: Path) -> None:
    by_role = {"writer": "simulated/a", "editor": "simulated/b"}
    listed = in_yaml(tmp_path, ["simulated/a", "simulated/b"])
    assert [route.sole is None for route in listed.routes] == [False, False]
    (route,) = in_yaml(tmp_path, by_role).routes
    assert route.of("editor").model_id == "simulated/b"
    with pytest.raises(ConfigError, match="No provider is given for editor"):
        in_yaml(tmp_path, {"writer": "simulated/a"})
    with pytest.raises(ConfigError, match=r"run.fan_out: It is split, but there is one provider for each role"):
        in_yaml(tmp_path, by_role, run={"fan_out": "split"})
    with pytest.raises(ConfigError, match=r"Or one for each role"):
        in_yaml(tmp_path, {})


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
