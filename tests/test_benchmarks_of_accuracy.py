"""The stages find what is planted, in both halves of the texts, as docs/guides/accuracy.md says."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from benchmarks.accuracy import (
    BASELINES,
    BLIND,
    CURVES,
    FAULTS,
    LEAST_PRECISION,
    LEAST_RECALL,
    OTHER_ENGINES,
    PASSAGES,
    Figures,
    by_stage,
    figures,
    main,
)
from benchmarks.faults import clean_texts
from benchmarks.heads import HEADS
from benchmarks.heads import main as main_of_heads
from datafast.quality import heads

PAGE = Path(__file__).parent.parent / "docs/guides/accuracy.md"


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("stage", FAULTS)
def test_faults_are_found_and_other_texts_left_alone(stage: str, held_out: bool) -> None:
    found = figures(stage, by_stage(stage), held_out=held_out)
    assert found.recall >= LEAST_RECALL
    assert found.precision >= LEAST_PRECISION
    # A line of Python is not enough.
    plain = figures(stage, BASELINES[stage][1], held_out=held_out)
    assert plain.recall + plain.precision < found.recall + found.precision


@pytest.mark.parametrize("stage", FAULTS)
def test_there_are_enough_texts_and_no_line_is_in_both_halves(stage: str) -> None:
    faulty = list(FAULTS[stage]())
    assert len(faulty) >= 60
    assert len(clean_texts()) >= 150
    halves = [{text.text for text in faulty if text.held_out == half} for half in (False, True)]
    assert not halves[0] & halves[1]
    assert list(FAULTS[stage]()) == faulty


def test_figures_are_shares_of_what_is_faulty_and_of_what_is_dropped() -> None:
    found = Figures(faulty=10, found=8, clean=20, wrong=2)
    assert (found.recall, found.precision, str(found)) == (0.8, 0.8, "0.80 / 0.80")
    assert Figures(faulty=10, found=0, clean=20, wrong=0).precision == 0


def test_the_page_has_the_tables_of_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- accuracy -->\nold\n<!-- accuracy -->\nb\n")
    assert main(["--update", str(page)]) == 0
    tables = capsys.readouterr().out.strip()
    assert page.read_text() == f"a\n<!-- accuracy -->\n\n{tables}\n\n<!-- accuracy -->\nb\n"
    assert tables in PAGE.read_text(encoding="utf-8"), (
        "run: python -m benchmarks.accuracy --update docs/guides/accuracy.md"
    )
    assert len(tables.splitlines()) == 2 + len(FAULTS) + len(OTHER_ENGINES) + len(BLIND) + len(PASSAGES) + 1 + 2 + len(
        CURVES
    )


def test_what_is_decided_wrongly_is_shown_of_the_development_half_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repetition", "--misses"]) == 0
    shown = capsys.readouterr().out
    assert "dropped (clean)" in shown
    held_out = [text.text[:60] for text in clean_texts() if text.held_out]
    assert not any(repr(text)[1:-1] in shown for text in held_out)


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_those_that_are_fitted(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_of_heads([name, "--to", str(tmp_path)]) == 0
    made = json.loads((tmp_path / f"{name}.json").read_text())
    assert made == pytest.approx(json.loads((files(heads) / f"{name}.json").read_text()), abs=2e-3), (
        "run: python -m benchmarks.heads"
    )
    assert f"{name}, cross-validated, blind: recall" in capsys.readouterr().out
