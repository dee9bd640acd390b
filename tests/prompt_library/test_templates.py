"""Prompt templates by name and from files, in the prompts, rows and checks of conversations."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast import ConversationDataset, ConversationDatasetConfig, PromptExpansionConfig, PromptTemplate
from datafast.config_files.loader import load_project
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.llms.base import Request
from datafast.prompt_library import TEMPLATE_NAMES, named_template
from datafast.prompt_library.library import read_template, template_source
from datafast.schema.config import Requirement
from tests.support import CountingProvider

# Released texts are parts of prompts and keys. A better template gets a name of its own.
_RELEASED = {
    "basic": "1b56547a8dd54bd6",
    "advanced": "e18b278514f0bba8",
    "advanced/code_examples": "72497674380f4726",
    "advanced/structured_output": "705c015c4fe776c5",
    "advanced/multi_part": "4bad2f53d035e915",
    "domain/customer_support": "80c34df06505a52c",
    "domain/education": "eb3e456959f04564",
    "domain/finance": "7e4a1cff705a6404",
    "domain/law": "8c4e49fe3edca8e7",
    "domain/medicine": "9df10b69f271b1f9",
    "domain/software": "b4241f32970a61ed",
}


GOOD = '{"conversations": [{"exchanges": [{"user": "In one word?", "assistant": "{\\"a\\": 1}"}]}]}'


def _config(path: Path, **fields: Any) -> ConversationDatasetConfig:
    given = {"topics": ["Tides", "Ice"], "output_file": path / "rows.jsonl", **fields}
    return ConversationDatasetConfig(**given)


def _asked(folder: Path, config: ConversationDatasetConfig, *replies: str) -> list[Request]:
    """The requests of a run whose model gives these replies."""
    asked: list[Request] = []

    def reply(request: Request) -> str:
        asked.append(request)
        return replies[len(asked) - 1]

    ConversationDataset(config).generate([CountingProvider("m", log=folder / "log", reply=reply)])
    return asked


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_each_template_makes_valid_rows_with_simulated_models(name: str, tmp_path: Path) -> None:
    dataset = ConversationDataset(_config(tmp_path, template=name)).generate([SimulatedProvider()])
    assert dataset.report is not None
    assert (dataset.report.written, dataset.report.failed) == (2, 0)
    template = named_template(name)
    for row in dataset.data_rows:
        assert set(template.placeholders) <= set(row.metadata)
        for placeholder, values in template.placeholders.items():
            assert row.metadata[placeholder] in values
        assert template.missing_in([row.messages[-1]["content"]]) is None


def test_the_texts_of_released_templates_never_change() -> None:
    found = {name: hashlib.sha256(named_template(name).guidance.encode()).hexdigest()[:16] for name in TEMPLATE_NAMES}
    assert found == _RELEASED


def test_every_file_of_the_library_has_a_name() -> None:
    import datafast.prompt_library

    folder = Path(datafast.prompt_library.__file__).parent / "templates"
    assert {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")} == set(
        TEMPLATE_NAMES
    )
    assert all(template_source(name).startswith("summary: ") for name in TEMPLATE_NAMES)


def test_without_a_template_keys_are_what_they_were(tmp_path: Path) -> None:
    plain, none = (
        _config(tmp_path, instructions="Be brief."),
        _config(tmp_path, instructions="Be brief.", template=None),
    )
    assert list(ConversationDataset(plain).plan(["a"]).keys()) == list(ConversationDataset(none).plan(["a"]).keys())


def test_the_number_of_rows_is_that_without_a_template(tmp_path: Path) -> None:
    for fields in ({}, {"num_rows": 7}):
        config = _config(tmp_path, template="domain/law", **fields)
        plain = _config(tmp_path, **fields)
        provider = [SimulatedProvider()]
        assert ConversationDataset(config).get_num_expected_rows(provider) == ConversationDataset(
            plain
        ).get_num_expected_rows(provider)


def test_prompts_of_ones_own_are_all_asked(tmp_path: Path) -> None:
    own = ["A {num_samples} {topic}", "B {num_samples} {topic}", "C {num_samples} {topic}"]
    dataset = ConversationDataset(_config(tmp_path, template="domain/law", prompts=own))
    rows = dataset.generate([SimulatedProvider()]).data_rows
    found = sorted((row.metadata["topic"], row.metadata["prompt_index"]) for row in rows)
    assert found == [(topic, number) for topic in ("Ice", "Tides") for number in range(3)]


def test_an_expansion_of_ones_own_holds_for_the_placeholders_of_the_template_too(tmp_path: Path) -> None:
    own = PromptExpansionConfig(placeholders={"person": ["a midwife", "a clown"], "mood": ["calm", "cross"]})
    config = _config(tmp_path, template="domain/medicine", instructions="They are <<mood>>.", expansion=own)
    dataset = ConversationDataset(config).generate([SimulatedProvider()])
    found = {(row.metadata["person"], row.metadata["mood"]) for row in dataset.data_rows}
    assert found == {(person, mood) for person in ("a midwife", "a clown") for mood in ("calm", "cross")}
    assert len(dataset.data_rows) == 8


def test_the_guidance_reaches_the_model_before_the_instructions(tmp_path: Path) -> None:
    config = _config(tmp_path, template="domain/finance", instructions="Never mention gold.", num_rows=1)
    asked = _asked(tmp_path, config, GOOD)
    prompt = asked[0].messages[-1]["content"]
    guidance = named_template("domain/finance").guidance
    before, after = guidance.split("<<person>>")
    assert before in prompt
    assert after in prompt
    assert prompt.index(after) < prompt.index("Never mention gold.")
    assert "<<" not in prompt


@pytest.mark.parametrize("name", ["basic", "domain/education", "domain/finance", "domain/law", "domain/medicine"])
def test_personas_are_who_asks_in_the_place_of_the_person_of_the_template(name: str, tmp_path: Path) -> None:
    config = _config(tmp_path, template=name, personas=["a boy of nine"], num_rows=1)
    (asked,) = _asked(tmp_path, config, GOOD)
    prompt, user = asked.messages[-1]["content"], named_template(name).user
    assert user is not None
    assert "the person described in this prompt" in prompt
    assert not any(value in prompt for value in named_template(name).placeholders[user])
    (row,) = ConversationDataset(config).data_rows
    assert user not in row.metadata
    assert row.metadata["persona"] == "a boy of nine"


def test_values_of_ones_own_for_who_asks_stand_beside_personas(tmp_path: Path) -> None:
    own = PromptExpansionConfig(placeholders={"person": ["a midwife"]})
    config = _config(tmp_path, template="domain/medicine", personas=["a dry wit"], expansion=own, num_rows=1)
    (asked,) = _asked(tmp_path, config, GOOD)
    assert "The user is a midwife." in asked.messages[-1]["content"]


def test_what_is_not_known_in_a_template_is_told_once_with_its_place(tmp_path: Path) -> None:
    with pytest.warns(DatafastWarning) as told:
        _config(tmp_path, template=PromptTemplate(summary="s", guidance="Like {persno}, please."))
    assert [str(warning.message).partition(":")[0] for warning in told] == ["template"]


def test_a_file_of_ones_own_is_read_relative_to_the_config(tmp_path: Path) -> None:
    (tmp_path / "wine.yaml").write_text(
        "summary: Wine.\nguidance: The user is <<guest>>.\nplaceholders: {guest: [hungry]}\n"
    )
    (tmp_path / "c.yaml").write_text(
        f"kind: conversation\noutput_file: {tmp_path / 'r.jsonl'}\ntopics: [Fish]\ntemplate: wine.yaml\nproviders: [simulated/demo]\n"
    )
    from_yaml = load_project(tmp_path / "c.yaml").dataset()
    template = PromptTemplate(summary="Wine.", guidance="The user is <<guest>>.", placeholders={"guest": ["hungry"]})
    in_python = ConversationDataset(_config(tmp_path, topics=["Fish"], template=template))
    assert list(from_yaml.plan(["a"]).keys()) == list(in_python.plan(["a"]).keys())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary: s\n", "wine.yaml:1: guidance: The field is missing"),
        (
            "summary: s\nguidance: g\nplaceholder: {}\n",
            "wine.yaml:3: placeholder: There is no such field. Did you mean",
        ),
        ("summary: s\nguidance: g\nplaceholders: {a: [b]}\n", "placeholders.a: guidance has no <<a>>"),
        ("summary: s\nguidance: be <<a>>\nplaceholders: {a: []}\n", "placeholders.a: The list is empty"),
        ("summary: s\nguidance: be <<a>>\n", "template: <<a>> is not declared"),
        ("summary: s\nguidance: g\nrequires: [{reason: r}]\n", "Give a pattern, or is_json: true"),
        ("summary: s\nguidance: g\nrequires: [{pattern: '(?=x)', reason: r}]\n", "without look-around"),
        (
            "summary: s\nguidance: Say <<w>>.\nplaceholders: {w: [a]}\nuser: v\n",
            "user: 'v' is not one of the placeholders. Known: w.",
        ),
        ("summary: s\nguidance: g\nrequires: [{pattern: x, reason: no x}]\n", "example: Answers have requirements"),
        ("summary: s\nguidance: g\nrequires: [{pattern: x, reason: no x}]\nexample: y\n", "requirements: no x."),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "wine.yaml").write_text(text)
    with pytest.raises(ValidationError) as caught:
        _config(tmp_path, template=tmp_path / "wine.yaml")
    assert message in str(caught.value)


def test_a_placeholder_that_metadata_have_already_is_named_where_it_was_given(tmp_path: Path) -> None:
    template = PromptTemplate(summary="s", guidance="<<variation>>", placeholders={"variation": ["a"]})
    with pytest.raises(ValidationError, match=r"template\.placeholders\.variation: The metadata of rows already has"):
        _config(tmp_path, template=template)


def test_a_name_that_is_not_known_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"no template 'domain/medcine'. Did you mean 'domain/medicine'"):
        _config(tmp_path, template="domain/medcine")
    with pytest.raises(ConfigError, match="There is no file"):
        read_template(tmp_path / "none.yaml")


def test_a_reply_that_lacks_what_the_template_requires_is_asked_for_again_with_the_reason(tmp_path: Path) -> None:
    config = _config(tmp_path, template="advanced/structured_output", num_rows=1)
    bad = GOOD.replace('{\\"a\\": 1}', "Yes.")
    asked = _asked(tmp_path, config, bad, GOOD)
    assert len(asked) == 2
    told = asked[1].messages[-1]["content"]
    assert "exchanges: an answer is not one JSON object or array" in told
    assert ConversationDataset(config).data_rows[0].messages[-1]["content"] == '{"a": 1}'


@pytest.mark.filterwarnings("ignore:The config has changed")
def test_a_requirement_that_comes_later_checks_recorded_replies_and_asks_only_where_it_is_not_met(
    tmp_path: Path,
) -> None:
    plain = PromptTemplate(summary="s", guidance="Be exact.")
    first, second = GOOD.replace('{\\"a\\": 1}', "It is 7."), GOOD.replace('{\\"a\\": 1}', "It is so.")
    assert len(_asked(tmp_path, _config(tmp_path, template=plain, run={"max_concurrency": 1}), first, second)) == 2
    strict = PromptTemplate(
        summary="s", guidance="Be exact.", requires=[{"pattern": r"\d", "reason": "no number"}], example="7"
    )
    config = _config(tmp_path, template=strict)
    (asked,) = _asked(tmp_path, config, GOOD)
    assert "about: Ice" in asked.messages[-1]["content"]
    answers = {row.messages[-1]["content"] for row in ConversationDataset(config).data_rows}
    assert answers == {"It is 7.", '{"a": 1}'}
    assert not _asked(tmp_path, config)


@pytest.mark.parametrize(
    ("requirement", "answers", "met"),
    [
        (Requirement(pattern="x", reason="r"), ["a", "x"], True),
        (Requirement(pattern="x", every=True, reason="r"), ["a", "x"], False),
        (Requirement(is_json=True, reason="r"), ['```json\n{"a": 1}\n```'], True),
        (Requirement(is_json=True, reason="r"), ["[1, 2]"], True),
        (Requirement(is_json=True, reason="r"), ["7"], False),
        (Requirement(is_json=True, reason="r"), ['Here: {"a": 1}'], False),
    ],
)
def test_requirements(requirement: Requirement, answers: list[str], met: bool) -> None:
    example = "x" if requirement.pattern else "{}"
    template = PromptTemplate(summary="s", guidance="g", requires=[requirement], example=example)
    assert (template.missing_in(answers) is None) is met


def test_a_config_that_is_written_down_reads_as_the_same(tmp_path: Path) -> None:
    for template in ("advanced/multi_part", PromptTemplate(summary="s", guidance="g")):
        config = _config(tmp_path, template=template)
        again = ConversationDatasetConfig.model_validate_json(config.model_dump_json())
        assert again.template == config.template
    assert _config(tmp_path, template="basic").model_dump(mode="json")["template"] == "basic"
