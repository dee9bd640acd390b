"""`pii` by Presidio: what it finds without a model and with one, that it fetches nothing, and what it refuses."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast.errors import ConfigError
from datafast.quality.pii import PiiStage

pytest.importorskip("presidio_analyzer")


class Row(BaseModel):
    text: str


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network is asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spaCy model that knows two names."""
    return made(tmp_path_factory.mktemp("model"), "Ilse Varga")


def made(folder: Path, name: str) -> Path:
    import spacy

    nlp = spacy.blank("en")
    rules = nlp.add_pipe("entity_ruler")
    rules.add_patterns([{"label": "PERSON", "pattern": name}, {"label": "GPE", "pattern": "Graz"}])
    nlp.to_disk(folder)
    return folder


def stage(**settings: Any) -> PiiStage:
    made = PiiStage(engine="presidio", **settings)
    made.check(Row)
    return made


def reason(by: PiiStage, text: str) -> str:
    return by.decide(Row(text=text), None).reason  # type: ignore[arg-type]  # it looks at the row alone


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ilse.varga@web.de before noon.", "an address for mail"),
        ("Call +49 170 1234567 when you are there.", "a phone number"),
        ("Paid with 4111 1111 1111 1111.", "the number of a card"),
        ("To DE89370400440532013000, please.", "the number of a bank account"),
        ("Her number was 536-22-8145 then.", "a social security number"),
        ("It answers at 84.112.9.77 only.", "the address of a computer"),
        ("The key is AKIAQ4XW7ZL2M9TB3CKD.", "a secret key"),
        ("Ilse Varga lives in Graz.", ""),
        ("The pilot boat leaves the harbour an hour before high water.", ""),
    ],
)
def test_what_is_found_without_a_model(text: str, expected: str) -> None:
    assert reason(stage(), text) == expected


def test_only_what_is_asked_for_is_found() -> None:
    text = "Call +49 170 1234567 or write to ilse.varga@web.de."
    assert reason(stage(kinds=["phone"]), text) == "a phone number"
    assert reason(stage(kinds=["card", "key"]), text) == ""
    assert reason(stage(kinds=["key"]), text) == ""
    assert reason(stage(kinds=["phone"], min_score=0.9), text) == ""


def test_names_are_found_by_a_model(model: Path) -> None:
    assert reason(stage(kinds=["person"], model=model), "We saw Ilse Varga in Graz.") == "the name of a person"
    assert reason(stage(kinds=["location"], model=model), "We saw Ilse Varga in Graz.") == "the name of a place"
    assert reason(stage(kinds=["person", "location"], model=model), "We saw nobody.") == ""


def test_another_model_is_another_setting(tmp_path: Path, model: Path) -> None:
    same = made(tmp_path / "same", "Ilse Varga")
    other = made(tmp_path / "other", "Someone with a longer name")
    first, second, third = (stage(kinds=["person"], model=each).settings() for each in (model, same, other))
    assert first == second != third


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"kinds: Patterns do not find names \(person\)"):
        PiiStage(kinds=["person"])
    with pytest.raises(ValueError, match="min_score: It is for the engine presidio alone"):
        PiiStage(min_score=0.5)
    with pytest.raises(ValueError, match=r"model: Names .* need a spaCy model"):
        PiiStage(engine="presidio", kinds=["person"])
    with pytest.raises(ConfigError, match="is not the folder of a spaCy model, which"):
        stage(kinds=["person"], model=tmp_path)
    (tmp_path / "config.cfg").write_text("[nlp]\nlang = 'none of ours'\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model: .* cannot be loaded: "):
        stage(kinds=["person"], model=tmp_path)


def test_it_masks_what_it_finds(model: Path) -> None:
    by = stage(model=model, kinds=["person", "location", "email", "key"], action="mask")
    text = "Ilse Varga of Graz: ilse.varga@web.de, sk-abcdefghijklmnopqrstuvwx."
    made = by.decide(Row(text=text), None)  # type: ignore[arg-type]  # it looks at the row alone
    assert made.fields == {"text": "<PERSON> of <LOCATION>: <EMAIL>, <KEY>."}
