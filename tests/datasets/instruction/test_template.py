"""Instructions that a prompt template guides: what is asked, what responses must have, and how many rows there are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datafast import PromptTemplate
from datafast.config_files.loader import load_project
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.prompt_library import TEMPLATE_NAMES, named_template
from tests.datasets.instruction.support import HARDER, TASK, Told, instructions
from tests.support import CountingProvider, requests_in

WINE = PromptTemplate(
    summary="Wine.",
    guidance="The user is <<guest>>. A vintage is named.",
    placeholders={"guest": ["a planner", "a novice"]},
    requires=[{"pattern": r"\b(19|20)\d\d\b", "reason": "no vintage is named"}],
    example="A Riesling of 2019.",
)
SORTS: dict[str, dict[str, Any]] = {
    "topics": {"topics": ["Fish", "Cheese"]},
    "seeds": {"seed_tasks": ["Plan a dinner.", "Choose a wine."]},
    "both": {"topics": ["Fish", "Cheese"], "seed_tasks": ["Plan a dinner."]},
    "given": {"instructions": ["Plan a dinner.", "Choose a wine."]},
}
every_sort = pytest.mark.parametrize("sort", SORTS)


def told(folder: Path, responses: list[str]) -> CountingProvider:
    """A model whose responses are these, in the form that is asked for."""
    said = Told(tasks=["Plan a dinner of fish.", "Choose a wine for cheese.", "Say why."])

    def reply(request: Request) -> str:
        properties = request.schema.json_schema["properties"] if request.schema else {}
        return json.dumps({"response": responses.pop(0)}) if "response" in properties else said(request)

    return CountingProvider("m", log=folder / "requests", reply=reply)


def prompts(folder: Path, having: str) -> list[str]:
    return [prompt for _, prompt in requests_in(folder / "requests") if having in prompt]


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
@every_sort
def test_each_template_makes_rows_with_simulated_models(sort: str, name: str, tmp_path: Path) -> None:
    dataset, plain = instructions(tmp_path, template=name, **SORTS[sort]), instructions(tmp_path, **SORTS[sort])
    assert dataset.get_num_expected_rows([SimulatedProvider()]) == plain.get_num_expected_rows([SimulatedProvider()])
    dataset.generate([SimulatedProvider()])
    assert dataset.report is not None
    assert dataset.report.written == dataset.report.requested == len(dataset.data_rows)
    template = named_template(name)
    for row in dataset.data_rows:
        for placeholder, values in template.placeholders.items():
            assert row.metadata[placeholder] in values
        assert template.missing_in([row.response]) is None


@every_sort
def test_guidance_is_told_to_who_writes_and_to_who_answers(sort: str, tmp_path: Path) -> None:
    dataset = instructions(tmp_path, template=WINE, num_rows=2, with_input="never", **SORTS[sort])
    rows = dataset.generate([told(tmp_path, ["A Riesling of 2019."] * 2)]).data_rows
    assert len(rows) == 2
    for row in rows:
        guided = f"The user is {row.metadata['guest']}. A vintage is named."
        (answered,) = {text for text in prompts(tmp_path, "response, which alone") if text.startswith(row.instruction)}
        assert answered.endswith(guided)
        assert sort == "given" or any(guided in prompt for prompt in prompts(tmp_path, "you write the tasks alone"))
        assert "is named" not in row.instruction + row.response


def test_what_the_guidance_says_about_the_topic_is_filled_everywhere(tmp_path: Path) -> None:
    about = WINE.model_copy(update={"guidance": "It is about {topic}.", "placeholders": {}})
    dataset = instructions(tmp_path, template=about, topics=["Fish"], num_rows=1, with_input="never")
    dataset.generate([told(tmp_path, ["A Riesling of 2019."])])
    assert len(prompts(tmp_path, "It is about Fish.")) == 2


def test_a_persona_is_who_asks_for_the_task_and_who_is_answered(tmp_path: Path) -> None:
    template = PromptTemplate.model_validate({**WINE.model_dump(), "user": "guest"})
    people = {"personas": ["A child of nine."], "with_input": "never"}
    dataset = instructions(tmp_path, template=template, topics=["Fish"], num_rows=1, **people)
    (row,) = dataset.generate([told(tmp_path, ["A Riesling of 2019."])]).data_rows
    assert (row.metadata["persona"], "guest" in row.metadata) == ("A child of nine.", False)
    assert len(prompts(tmp_path, "The user is the person described in this prompt.")) == 2
    assert len(prompts(tmp_path, "A child of nine.")) == 2


def test_a_requirement_that_comes_later_checks_recorded_responses(tmp_path: Path) -> None:
    wine = [{"pattern": "Riesling", "reason": "no wine is named"}]
    loose = PromptTemplate.model_validate({**WINE.model_dump(), "requires": wine})
    given: dict[str, Any] = {"topics": ["Fish"], "num_rows": 1, "with_input": "never"}
    instructions(tmp_path, template=loose, **given).generate([told(tmp_path, ["A Riesling."])])
    dataset = instructions(tmp_path, template=WINE, **given)
    (row,) = dataset.generate([told(tmp_path, ["A Riesling of 2019."])]).data_rows
    assert row.response == "A Riesling of 2019."
    assert dataset.report is not None
    assert dataset.report.calls == 1


def test_prompts_of_ones_own_are_all_asked(tmp_path: Path) -> None:
    own = [f"{letter} {{num_samples}} {{language_name}} {{topic}}" for letter in "ABC"]
    dataset = instructions(tmp_path, template=WINE, topics=["Fish", "Cheese"], prompts=own)
    assert dataset.get_num_expected_rows([SimulatedProvider()]) == 2 * 3 * 3
    rows = dataset.generate([SimulatedProvider()]).data_rows
    found = Counter((row.metadata["topic"], row.metadata["prompt_index"]) for row in rows)
    assert found == {(topic, number): 3 for topic in ("Fish", "Cheese") for number in range(3)}


def test_a_response_that_lacks_what_is_required_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, template=WINE).generate([told(tmp_path, ["A Riesling.", "A Riesling of 2019."])])
    assert [row.response for row in dataset.data_rows] == ["A Riesling of 2019."]
    first, again = prompts(tmp_path, "")
    assert (first.startswith(TASK), "no vintage is named" in again) == (True, True)


def test_a_response_that_never_has_it_fails_its_row(tmp_path: Path) -> None:
    dataset = instructions(tmp_path, template=WINE).generate([told(tmp_path, ["A Riesling."] * 9)])
    assert dataset.report is not None
    assert (dataset.report.written, dataset.report.failed) == (0, 1)
    assert dataset.report.failures == {"invalid_reply": 1}


def test_an_evolution_that_is_refused_is_dropped_whatever_is_required(tmp_path: Path) -> None:
    responses = ["I'm sorry, but I cannot.", "A Riesling of 2019."]
    dataset = instructions(tmp_path, template=WINE, evolution={"rounds": 1, "breadth": 0, "depth": ["constraints"]})
    (row,) = dataset.generate([told(tmp_path, responses)]).data_rows
    assert (row.instruction, row.response) == (TASK, "A Riesling of 2019.")
    assert [(step.instruction, step.dropped) for step in row.evolutions] == [(HARDER, "the response refuses")]


def test_yaml_and_python_make_the_same_keys(tmp_path: Path) -> None:
    (tmp_path / "wine.yaml").write_text(WINE.model_dump_json())
    (tmp_path / "config.yaml").write_text(
        "kind: instruction\noutput_file: out.jsonl\ntopics: [Fish, Cheese]\ntemplate: wine.yaml\n"
        "providers: [{provider: simulated, model_id: m}]\n"
    )
    project = load_project(tmp_path / "config.yaml")
    in_python = instructions(tmp_path, template=WINE, topics=["Fish", "Cheese"])
    assert list(project.dataset().plan(["a"]).keys()) == list(in_python.plan(["a"]).keys())


def test_other_guidance_makes_other_items_and_no_template_the_same(tmp_path: Path) -> None:
    def keys(**fields: Any) -> list[bytes]:
        return list(instructions(tmp_path, topics=["Fish"], **fields).plan(["a"]).keys())

    other = WINE.model_copy(update={"guidance": "The user is <<guest>>."})
    assert keys() == keys(template=None)
    assert len({*map(tuple, [keys(), keys(template=WINE), keys(template=other)])}) == 3


def test_what_is_dumped_reads_as_the_same(tmp_path: Path) -> None:
    config = instructions(tmp_path, template="advanced/multi_part", topics=["Fish"]).config
    assert type(config).model_validate_json(config.model_dump_json()) == config
