"""What a run shows where there is no terminal, and messages that come again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datafast.cli.display.progress import RunDisplay
from datafast.engine.events import BatchEnded, BatchSubmitted, ItemDone, RunStarted
from datafast.logger_config import configure_logger, logger, unconfigure


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    yield
    unconfigure()


def display(*, verbose: bool = False) -> RunDisplay:
    return RunDisplay(in_flight=lambda: {"p": 3}, verbose=verbose)


def test_a_message_that_comes_again_is_shown_once_and_counted_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    with display():
        for number in range(4):
            logger.warning("The price is not known.")
            logger.warning(f"Line {number} is empty.")
    said = capfd.readouterr().err.splitlines()
    assert said.count("WARNING: The price is not known.") == 1
    assert [line for line in said if line.startswith("WARNING: Line")] == [
        f"WARNING: Line {number} is empty." for number in range(4)
    ]
    assert said[-1] == "WARNING: The price is not known. (4 times in all)"


def test_verbose_shows_every_message_as_often_as_it_comes(capfd: pytest.CaptureFixture[str]) -> None:
    with display(verbose=True):
        for _ in range(3):
            logger.warning("The price is not known.")
    assert capfd.readouterr().err.splitlines() == ["WARNING: The price is not known."] * 3


def test_a_message_cannot_move_the_cursor(capfd: pytest.CaptureFixture[str]) -> None:
    with display():
        logger.warning("up\x1b[2J [bold]down[/bold]")
    assert capfd.readouterr().err == "WARNING: up\\x1b[2J [bold]down[/bold]\n"


def test_without_a_terminal_a_line_tells_how_it_goes_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.cli.display.progress._FIRST_LINE_S", 0.01)
    shown = display()
    shown.on_event(
        RunStarted(requested=10, written=0, filtered=0, failed=0, output_file="o", providers=["p"], simulated=False)
    )
    with shown:
        shown.on_event(ItemDone(item="0a", provider="p", rows=2, filtered=0, replayed=False))
        said = ""
        while "2/10 rows" not in said:
            said += capfd.readouterr().err
    assert "2/10 rows, " in said
    assert "3 in flight" in said
    assert "\x1b" not in said


@pytest.mark.parametrize(("elapsed_s", "pause_s"), [(0, 5), (40, 5), (100, 10), (3600, 60), (100_000, 60)])
def test_lines_come_less_often_the_longer_a_run_takes(elapsed_s: float, pause_s: float) -> None:
    assert RunDisplay._pause(elapsed_s) == pause_s


@pytest.mark.parametrize(("elapsed_s", "pause_s"), [(0, 5), (100, 10), (3600, 360), (100_000, 600)])
def test_lines_come_less_often_still_while_only_batches_go_on(elapsed_s: float, pause_s: float) -> None:
    assert RunDisplay._pause(elapsed_s, waits=True) == pause_s


@pytest.mark.parametrize("verbose", [False, True])
def test_a_line_says_that_a_batch_is_submitted_and_what_it_brought(
    capfd: pytest.CaptureFixture[str], *, verbose: bool
) -> None:
    shown = display(verbose=verbose)
    with shown:
        shown.on_event(BatchSubmitted(provider="p/m", batch="b1", calls=1200, next_look_s=10.0))
        shown.on_event(BatchEnded(provider="p/m", batch="b1", answered=1190, failed=2, not_answered=8, cost_usd=0.25))
    told = [
        "p/m: batch b1 is submitted, with 1,200 calls.",
        "p/m: batch b1 has ended: 1,190 calls answered, 2 failed, 8 were not answered, cost $0.2500.",
    ]
    assert capfd.readouterr().err.splitlines() == ([] if verbose else told)
