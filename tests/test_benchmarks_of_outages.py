"""Short outages in each shape, as `python -m benchmarks.outages` carries them out, lose no row. Never how long anything took."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.outages import BACK_ENDS, SHAPES, VARIANTS, Cell, Outcome, as_markdown, measure, update

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="packets are swallowed as Linux does it")
SECONDS, ROWS = 0.8, 40


async def _measured(cells: list[Cell]) -> list[Outcome]:
    at_once = asyncio.Semaphore(4)

    async def one(cell: Cell) -> Outcome:
        async with at_once:
            return await measure(cell)

    return await asyncio.gather(*(one(cell) for cell in cells))


def _assert_nothing_lost(cells: list[Cell]) -> None:
    for outcome in asyncio.run(_measured(cells)):
        assert (outcome.lost, outcome.written) == (0, outcome.cell.rows), outcome
        assert "json_schema" in outcome.modes, outcome


def test_a_short_outage_loses_no_row() -> None:
    _assert_nothing_lost([Cell("direct", "HTTP 503", SECONDS, ROWS)])


# Each run through litellm imports it anew, so there are fewer.
SHAPES_OF = {"direct": SHAPES, "litellm": ("HTTP 503", "error in a choice", "swallowed", "no name")}
# Under a budget, what was in flight when connections broke counts as paid: a tenth of so few rows would not cover it.
VARIANTS_OF = {"direct": [name for name in VARIANTS if name != "budget"], "litellm": ["kill", "topics"]}


@pytest.mark.slow
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_no_shape_of_an_outage_loses_a_row(back_end: str) -> None:
    _assert_nothing_lost([Cell(back_end, shape, SECONDS, ROWS) for shape in SHAPES_OF[back_end]])


@pytest.mark.slow
@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_whatever_else_happens_in_an_outage_no_row_is_lost(back_end: str) -> None:
    variants = VARIANTS_OF[back_end]
    _assert_nothing_lost(
        [Cell(back_end, "HTTP 503", SECONDS, 10 if variant == "topics" else ROWS, variant) for variant in variants]
    )


def test_the_table_goes_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- outages -->\nold\n<!-- outages -->\nb\n")
    cells = [
        Cell("direct", "HTTP 503", 30.0, variant="kill"),
        Cell("direct", "HTTP 503", 5.0),
        Cell("litellm", "HTTP 500", 5.0),
    ]
    outcomes = [Outcome(cell, 1999, 1, 0, 12, 3.4, ("json_schema",)) for cell in cells]
    update(page, outcomes)
    assert as_markdown(outcomes).splitlines()[2:] == [
        "| HTTP 500 |  |  | 1 / 12 |",
        "| HTTP 503 | 1 / 12 |  |  |",
        "| HTTP 503, kill |  | 1 / 12 |  |",
    ]
    assert page.read_text() == f"a\n<!-- outages -->\n\n{as_markdown(outcomes)}\n\n<!-- outages -->\nb\n"
