"""A new version keys and words things in its own way; what an earlier one has bought is found and finished as it was begun."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest

from datafast.columns.registry import COLUMNS
from datafast.columns.types.llm import TextColumn
from datafast.datasets import ConversationDataset, preference, preference_pairs, replies
from datafast.datasets.preference_pairs import JUDGEMENT as Judgement
from datafast.datasets.raw import DEFAULTS, RawDatasetConfig
from datafast.errors import RunStopped
from datafast.llms.reply_model import former_key_of
from datafast.llms.schema import ResponseSchema
from datafast.plan.defaults import DefaultPrompts, editions
from datafast.schema.config import ConversationDatasetConfig, PreferenceDatasetConfig
from tests.store.test_outputs_of_010 import go_on, restore
from tests.support import (
    CountingProvider,
    assert_balanced,
    columns,
    one_of_two,
    raw,
    requests_in,
    roles,
    rows_of,
)
from tests.support import (
    preference as preference_dataset,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def bettered(old: DefaultPrompts, change: Callable[[str], str]) -> DefaultPrompts:
    """The next version of default texts."""
    texts = {field: [change(text) for text in texts] for field, texts in old.texts.items()}
    return DefaultPrompts(old.name, version=old.version + 1, texts=texts, former=old)


def better(text: str) -> str:
    return f"{text} Take care."


@pytest.fixture
def better_raw(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ships a new version of the raw kind's default prompt."""
    return lambda: monkeypatch.setattr(
        RawDatasetConfig, "default_prompts", bettered(RawDatasetConfig.default_prompts, better)
    )


def prompts_in(log: Path, since: int = 0) -> list[str]:
    return [prompt for _, prompt in requests_in(log)[since:]]


# -- a bettered default prompt


@pytest.mark.parametrize("times", [1, 2])
def test_a_bettered_default_buys_nothing_of_a_finished_output(
    tmp_path: Path, log: Path, better_raw: Callable[[], None], times: int
) -> None:
    raw(tmp_path).generate([CountingProvider("m", log=log)])
    rows = (tmp_path / "out.jsonl").read_bytes()
    for _ in range(times):
        better_raw()
        report = assert_balanced(raw(tmp_path).generate([CountingProvider("m", log=log)]).report)
        assert (report.written, report.calls, report.set_aside) == (6, 0, [])
        assert raw(tmp_path).estimate([CountingProvider("m", log=log)]).rows == 0
    assert (tmp_path / "out.jsonl").read_bytes() == rows
    (tmp_path / "out.jsonl").unlink()
    raw(tmp_path).generate([CountingProvider("m", log=log)])
    assert sorted((tmp_path / "out.jsonl").read_bytes().splitlines()) == sorted(rows.splitlines())
    assert len(requests_in(log)) == 6


def test_new_items_are_asked_with_the_new_text(tmp_path: Path, log: Path, better_raw: Callable[[], None]) -> None:
    raw(tmp_path, topics=4).generate([CountingProvider("m", log=log)])
    better_raw()
    report = assert_balanced(raw(tmp_path, topics=6).generate([CountingProvider("m", log=log)]).report)
    assert (report.written, report.calls) == (6, 2)
    assert [prompt.endswith("Take care.") for prompt in prompts_in(log)] == [False] * 4 + [True] * 2
    better_raw()
    report = assert_balanced(raw(tmp_path, topics=7).generate([CountingProvider("m", log=log)]).report)
    assert (report.written, report.calls, report.set_aside) == (7, 1, [])
    assert prompts_in(log)[-1].endswith("Take care. Take care.")


def test_a_half_finished_item_is_finished_with_the_text_that_it_was_begun_with(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The questions are paid for, and some answers; the rest is asked in the old words, and new documents in the new ones."""
    stopping = CountingProvider("m", log=log)
    first = preference_dataset(tmp_path, run={"max_calls": 9, "max_concurrency": 1})
    with pytest.raises(RunStopped):
        first.generate_roles(roles(stopping))
    paid = requests_in(log)
    monkeypatch.setattr(PreferenceDatasetConfig, "default_prompts", bettered(preference.DEFAULTS, better))
    begun = {document for document in range(4) for _, prompt in paid if f"document {document} " in prompt}
    report = assert_balanced(_generated(preference_dataset(tmp_path), CountingProvider("m", log=log)))
    assert report.written == 8
    new = prompts_in(log, since=len(paid))
    assert len(paid) + len(new) == 4 * (1 + 2 * 2 + 2 * 2)
    assert not {prompt for _, prompt in paid} & {prompt for prompt in new if "Judge how" not in prompt}
    for prompt in new:
        (document,) = (number for number in range(4) if f"document {number} " in prompt)
        assert ("Take care." in prompt) is (document not in begun)
    asked = len(requests_in(log))
    (tmp_path / "out.jsonl").unlink()
    again = assert_balanced(_generated(preference_dataset(tmp_path), CountingProvider("m", log=log)))
    assert (again.written, len(requests_in(log))) == (8, asked)


def _generated(dataset: Any, provider: CountingProvider) -> Any:
    dataset.generate_roles(roles(provider))
    return dataset.report


def test_a_failed_item_is_retried_with_the_text_that_it_was_begun_with(
    tmp_path: Path, log: Path, better_raw: Callable[[], None]
) -> None:
    fields: dict[str, Any] = {"topics": 4, "num_samples_per_prompt": 2}
    report = raw(tmp_path, **fields).generate([CountingProvider("m", log=log, reply=one_of_two)]).report
    assert assert_balanced(report).failed == 2
    before = rows_of(tmp_path / "out.jsonl")
    better_raw()
    report = raw(tmp_path, **fields).generate([CountingProvider("m", log=log)]).report
    assert (assert_balanced(report).failed, len(requests_in(log))) == (2, 4)
    made = raw(tmp_path, **fields)
    assert {tuple(item.values.values())[-1] for item in made.failed_items} <= {
        "en",
        "English",
        "note",
        "topic 0",
        "topic 2",
    }
    assert all(item.values for item in made.failed_items)
    report = made.generate([CountingProvider("m", log=log)], retry_failed=True).report
    assert (assert_balanced(report).written, len(requests_in(log))) == (8, 6)
    assert not any("Take care." in prompt for prompt in prompts_in(log))
    assert all(row in rows_of(tmp_path / "out.jsonl") for row in before)


def test_another_judge_after_a_bettered_default_buys_the_judging_alone(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items with another judge are other items, but what they ask first is paid for, in its former words."""
    dataset = preference_dataset(tmp_path)
    dataset.generate_roles(roles(CountingProvider("m", log=log)))
    paid = len(requests_in(log))
    monkeypatch.setattr(PreferenceDatasetConfig, "default_prompts", bettered(preference.DEFAULTS, better))
    dataset = preference_dataset(tmp_path)
    dataset.generate_roles(roles(CountingProvider("m", log=log), judge=CountingProvider("judge", log=log)))
    assert_balanced(dataset.report)
    assert {model for model, _ in requests_in(log)[paid:]} == {"simulated/judge"}


def test_texts_of_the_users_own_are_not_touched(tmp_path: Path, log: Path, better_raw: Callable[[], None]) -> None:
    own: dict[str, Any] = {"prompts": ["{num_samples} of {document_type} in {language_name}: {topic}."]}
    plan = raw(tmp_path, **own).plan(["m"])
    assert plan.former == ()
    better_raw()
    assert list(raw(tmp_path, **own).plan(["m"]).keys()) == list(plan.keys())


def conversations(folder: Path, **fields: Any) -> ConversationDataset:
    config = {
        "topics": ["tides", "storms"],
        "output_file": folder / "out.jsonl",
        "instructions": "Be <<tone>>.",
        **fields,
    }
    return ConversationDataset(
        ConversationDatasetConfig.model_validate({**config, "expansion": {"placeholders": {"tone": ["short", "kind"]}}})
    )


def test_prompt_form_and_system_message_of_conversations_are_bettered_together(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversations(tmp_path).generate([CountingProvider("m", log=log)])
    rows = rows_of(tmp_path / "out.jsonl")
    monkeypatch.setattr(
        ConversationDatasetConfig, "default_prompts", bettered(ConversationDatasetConfig.default_prompts, better)
    )
    (tmp_path / "out.jsonl").unlink()
    report = conversations(tmp_path).generate([CountingProvider("m", log=log)]).report
    assert (assert_balanced(report).written, len(requests_in(log))) == (4, 4)
    key = lambda row: row["uuid"]  # noqa: E731
    assert sorted(rows_of(tmp_path / "out.jsonl"), key=key) == sorted(rows, key=key)
    conversations(tmp_path, topics=["tides", "storms", "winds"]).generate([CountingProvider("m", log=log)])
    assert [prompt.count("Take care.") for prompt in prompts_in(log)] == [0] * 4 + [3] * 2
    added = [row for row in rows_of(tmp_path / "out.jsonl") if row not in rows]
    assert {row["messages"][0]["content"] for row in added} == {"You are a helpful assistant. Take care."}


@pytest.mark.parametrize(
    ("case", "config", "field"),
    [
        ("raw-default-prompts", RawDatasetConfig, "default_prompts"),
        ("preference-default-prompts", PreferenceDatasetConfig, "default_prompts"),
        ("conversation-freetext", ConversationDatasetConfig, "default_prompts"),
    ],
)
@pytest.mark.parametrize("name", ["again", "rebuilt"])
def test_outputs_of_the_first_version_outlive_a_bettered_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_server: Any, case: str, config: Any, field: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, field, bettered(config.default_prompts, better))
    restore(case, tmp_path, fault_server.url)
    before = sorted((tmp_path / "out.jsonl").read_bytes().splitlines())
    if name == "rebuilt":
        (tmp_path / "out.jsonl").unlink()
    (settings,) = tmp_path.glob("c*.yaml")
    assert go_on(tmp_path, fault_server, settings.name, [])["requests"] == 0
    assert sorted((tmp_path / "out.jsonl").read_bytes().splitlines()) == before


# -- what a version of default texts is


@pytest.mark.parametrize(
    ("texts", "former"),
    [
        ({"prompts": ["{topic}", "and {topic}"]}, DefaultPrompts("k", version=1, texts={"prompts": ["{topic}"]})),
        ({"prompts": ["{topic}"]}, DefaultPrompts("k", version=1, texts={"prompts": ["{theme}"]})),
        ({"prompts": ["{topic}"]}, None),
    ],
)
def test_a_version_that_would_change_the_shape_of_plans_is_refused(
    texts: Mapping[str, Sequence[str]], former: DefaultPrompts | None
) -> None:
    with pytest.raises(ValueError, match="k: "):
        DefaultPrompts("k", version=2, texts=texts, former=former)


def test_the_words_of_the_first_version_never_change() -> None:
    """They are what outputs of version 0.1.0 are keyed by. Bettered texts are a new version."""
    from datafast.datasets import classification
    from datafast.datasets.conversation import config
    from datafast.datasets.pairing import SENTENCES
    from datafast.plan.items import digest

    found = {}
    for defaults in (DEFAULTS, classification.DEFAULTS, preference.DEFAULTS, config.DEFAULTS):
        first = editions(defaults)[-1]
        assert first.prompts is not None
        fields = [field for field in first.prompts.texts if field not in SENTENCES]  # version 0.1.0 had no personas
        texts = [text.keyed for field in fields for text in first.texts(field)]
        found[defaults.name] = digest(*texts).hex()
    assert found == FIRST_TEXTS


FIRST_TEXTS = {
    "classification": "d61b96fcc3aa54290227e579fab2c008",
    "conversation": "3e6736afef542893e2e133c0c9581cb9",
    "preference": "f3f461346d9cb5201d88c4a281194627",
    "raw": "0939cce3699c77daf92608e7568657b7",
}


# -- words of reply models


@pytest.mark.parametrize("of_the_first_version", [True, False])
def test_other_words_in_a_reply_model_buy_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault_server: Any, of_the_first_version: bool
) -> None:
    """The rows are made anew, so every call is looked up; then those of an output of this version."""
    monkeypatch.chdir(tmp_path)
    if of_the_first_version:
        restore("preference-default-prompts", tmp_path, fault_server.url)
        (config,) = (path.name for path in tmp_path.glob("c*.yaml"))

        def again() -> int:
            return int(go_on(tmp_path, fault_server, config, [])["requests"])
    else:
        log = tmp_path / "requests"
        _generated(preference_dataset(tmp_path), CountingProvider("m", log=log))
        paid = len(requests_in(log))

        def again() -> int:
            _generated(preference_dataset(tmp_path), CountingProvider("m", log=log))
            return len(requests_in(log)) - paid

    before = sorted((tmp_path / "out.jsonl").read_bytes().splitlines())
    (tmp_path / "out.jsonl").unlink()
    _reword(monkeypatch)
    assert again() == 0
    assert sorted((tmp_path / "out.jsonl").read_bytes().splitlines()) == before


def _reword(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other docstrings and descriptions, as an edit of the source would bring them."""

    class Reworded(Judgement):
        """The opinion of somebody who knows."""

    Reworded.__name__ = "Judgement"
    Reworded.model_fields["assessment"].description = "what you think of it"
    Reworded.model_rebuild(force=True)
    words = {**Judgement.first_words}
    Reworded.first_words = words
    plain = replies.texts_model

    def reworded(count: int, *, of: str = "texts") -> Any:
        model = plain(count, of=of)
        changed = type(model.__name__, (model,), {"__doc__": "Some texts.", "first_words": model.first_words})
        changed.model_fields["texts"].description = f"{count} {of}, please"
        changed.model_rebuild(force=True)
        return changed

    made: dict[tuple[int, str], Any] = {}

    def cached(count: int, *, of: str = "texts") -> Any:
        if (count, of) not in made:
            made[count, of] = reworded(count, of=of)
        return made[count, of]

    assert ResponseSchema.of(Reworded).digest != ResponseSchema.of(Judgement).digest
    assert ResponseSchema.of(cached(2)).digest != ResponseSchema.of(plain(2)).digest
    monkeypatch.setattr(preference_pairs, "JUDGEMENT", Reworded)
    monkeypatch.setattr(preference, "texts_model", cached)


def test_another_structure_is_another_call() -> None:
    class Wider(Judgement):
        """What a judge replies."""

        extra: str

    one, other = ResponseSchema.of(Judgement), ResponseSchema.of(Wider)
    assert one.key != other.key
    assert one.former_key != other.former_key


def test_words_of_the_users_own_model_are_part_of_its_calls() -> None:
    from pydantic import BaseModel, Field

    class One(BaseModel):
        """A reply."""

        score: int = Field(description="one to five")

    class Two(BaseModel):
        """A reply."""

        score: int = Field(description="one to ten")

    assert ResponseSchema.of(One).key != ResponseSchema.of(Two).key
    assert ResponseSchema.of(One).key == ResponseSchema.of(One).former_key


def test_keys_of_our_reply_models_never_change() -> None:
    """An upgrade of pydantic that writes schemas in another way shows here, before it buys anything again."""
    from datafast.datasets.conversation.replies import DEFAULT_STEPS, Bounds, ReplyModels
    from datafast.datasets.conversation.tools import Tools
    from datafast.judging import Scale, judgement_model
    from datafast.topics.growth import subtopics_model

    def bounds(max_turns: int) -> Bounds:
        return Bounds(min_turns=1, max_turns=max_turns, max_steps=DEFAULT_STEPS)

    parameters = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    tools = Tools([{"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}}])
    models: dict[str, Any] = {
        "texts": replies.texts_model(3),
        "questions": replies.texts_model(2, of="questions"),
        "judge": Judgement,
        "sub": subtopics_model(2, None),
        "linked": subtopics_model(2, ("a", "b")),
        "unlinked": subtopics_model(2, ()),
        "basic": ReplyModels("basic", bounds(2), None)(2),
        "free": ReplyModels("freetext", bounds(1), None)(1),
        "agent": ReplyModels("agent", bounds(1), None)(1),
        "tools": ReplyModels("agent", bounds(1), tools)(1),
        "column": judgement_model(Scale(1, 5)),
    }
    schemas = {name: ResponseSchema.of(model) for name, model in models.items()}
    found = {
        name: (former_key_of(schema.model, schema.json_schema).hex(), schema.key.hex())
        for name, schema in schemas.items()
    }
    assert found == KEYS


KEYS = {
    "texts": ("f5a20aef737dc6fd52870824f2f1e790", "a83af90e93dce96ceb5fb317cb98d724"),
    "questions": ("78540fca4f9898796efafba75c80a33f", "fa3548a36395133c631f35d84488fae4"),
    "judge": ("ee812f41ea84fa643c1d355c5135978f", "e8b208241845aa3199a98849e7139e32"),
    "sub": ("02319e99264041132c1e0cc64ef86f05", "249be21b6a83fc1b6dbcf44740660583"),
    "linked": ("b14bab52a5a264dfd2e4668a0b5c905f", "74fdf9e25634283c8a465c0767c820c0"),
    "unlinked": ("5389f98580574633394c444faf2aeee1", "cf24b3dca7f84fa73368cf16f03eb5ed"),
    "basic": ("b13fcaba93b0f0f0737f3a2d6bd4d53f", "3e454e70aab7c689f6e345c8a57687ae"),
    "free": ("c0ba211e64da3e71d17f4c0b679a1e3a", "de168cd74488c9c6841d5dfd19f2d739"),
    "agent": ("26bb60515e9d099682dc01d89c8e2ed7", "81b42f0793319a6b33c30390de6594d1"),
    "tools": ("46c38ecbe7e0ab48c682a74138177721", "257f2478bd3964f7ed1ebf276293a672"),
    "column": ("39ae6e25ad0349a6333d0800bb5ca216", "7a8de0edb5b145f08ed94df5bbb644d4"),
}


# -- columns


class PatientColumn(TextColumn):
    """The text column of a later version, which has one more field."""

    type: Literal["text"] = "text"
    patience: int = 3
    notes: list[str] = []  # noqa: RUF012 - pydantic copies it


SCHEMA: dict[str, Any] = {
    "topic": {"type": "choice", "values": ["tides", "moons"], "mode": "balanced"},
    "question": {"type": "text", "prompt": "Ask about {topic}"},
}


@pytest.fixture
def later_column(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    own = COLUMNS.load
    return lambda: monkeypatch.setattr(COLUMNS, "load", lambda name: PatientColumn if name == "text" else own(name))


def test_a_new_field_of_a_column_type_moves_no_row(tmp_path: Path, log: Path, later_column: Callable[[], None]) -> None:
    dataset = columns(tmp_path, SCHEMA)
    dataset.generate(dict.fromkeys(dataset.config.roles, CountingProvider("m", log=log)))
    before = (tmp_path / "out.jsonl").read_bytes()
    later_column()
    dataset = columns(tmp_path, SCHEMA)
    dataset.generate(dict.fromkeys(dataset.config.roles, CountingProvider("m", log=log)))
    report = assert_balanced(dataset.report)
    assert (report.written, report.calls, report.set_aside) == (6, 0, [])
    assert (tmp_path / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize("case", ["columns", "columns-person"])
def test_a_new_field_of_a_column_type_moves_no_row_of_the_first_version(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault_server: Any,
    later_column: Callable[[], None],
    case: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    restore(case, tmp_path, fault_server.url)
    before = (tmp_path / "out.jsonl").read_bytes()
    later_column()
    (config,) = (path.name for path in tmp_path.glob("*.yaml"))
    assert go_on(tmp_path, fault_server, config, [])["requests"] == 0
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_field_that_is_set_is_part_of_what_a_row_is(tmp_path: Path, later_column: Callable[[], None]) -> None:
    later_column()
    patient = {**SCHEMA, "question": {**SCHEMA["question"], "patience": 4}}
    plain, other = columns(tmp_path, SCHEMA).config.table, columns(tmp_path, patient).config.table
    assert plain.digest != other.digest
    assert plain.former_digest != other.former_digest


# -- cost


def test_former_keys_are_not_looked_at_in_a_ledger_of_this_version(
    tmp_path: Path, log: Path, better_raw: Callable[[], None]
) -> None:
    better_raw()
    raw(tmp_path, topics=6).generate([CountingProvider("m", log=log)])
    walked: list[str] = []
    dataset = raw(tmp_path, topics=5)
    own = dataset.plan

    def watched(routes: Sequence[str]) -> Any:
        plan = own(routes)
        for former in plan.former:
            former.keys = lambda: walked.append("walked") or iter(())  # type: ignore[method-assign, func-returns-value]
        return plan

    dataset.plan = watched  # type: ignore[method-assign]
    dataset.generate([CountingProvider("m", log=log)])
    assert assert_balanced(dataset.report).written == 5
    assert walked == []
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database:
        assert json.loads(dict(database.execute("SELECT * FROM meta"))["keys"]) == [
            str(RawDatasetConfig.default_prompts.version)
        ]
