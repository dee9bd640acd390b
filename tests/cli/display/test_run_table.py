"""The table of a run that goes on: a line for each provider, a total, and nothing broken at any width."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from datafast.cli.display.run_table import run_table
from datafast.engine.events import (
    BatchDelayed,
    BatchEnded,
    BatchProgress,
    BatchSubmitted,
    CallFinished,
    ItemDone,
    ItemFailed,
    LimitChanged,
    ProviderPaused,
    ProviderResumed,
    ProviderStopped,
    Retry,
    RunStarted,
)
from datafast.engine.progress import Progress

MINI, HAIKU = "openai/gpt-4.1-mini-2025-04-14", "anthropic/claude-haiku-4-5-20251001"


def started(*providers: str, **counts: int) -> Progress:
    progress = Progress()
    given: dict[str, Any] = {"requested": 5760, "written": 0, "filtered": 0, "failed": 0, **counts}
    progress.take(RunStarted(**given, output_file="rows.jsonl", providers=list(providers), simulated=False))
    return progress


def work(progress: Progress, provider: str, *, rows: int, cost_usd: float | None = 0.25, who: str = "") -> None:
    progress.take(
        CallFinished(
            provider=provider, role="", latency_s=1.0, input_tokens=40, output_tokens=60_000, cost_usd=cost_usd
        )
    )
    progress.take(ItemDone(item="0a", provider=who or provider, rows=rows, filtered=0, replayed=False))


def shown(progress: Progress, width: int, in_flight: dict[str, int] | None = None) -> list[str]:
    """The lines on a terminal of this width, from the second look on, when there are rates."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    run_table(progress, in_flight or {}, console)
    console.print(run_table(progress, in_flight or {}, console))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def two() -> Progress:
    progress = started(MINI, HAIKU)
    work(progress, MINI, rows=1204)
    work(progress, HAIKU, rows=987, cost_usd=0.5)
    progress.take(ItemFailed(item="0b", provider=HAIKU, category="refused", error="no", rows=3))
    progress.take(Retry(provider=MINI, reason="rate_limited", attempt=1, wait_s=1.0))
    return progress


def test_each_provider_has_a_line_with_its_rows_requests_failures_and_cost() -> None:
    lines = shown(two(), 120, {MINI: 12, HAIKU: 7})
    assert lines[0].split() == ["rows", "in", "flight", "failed", "retries", "cost"]
    assert lines[1].split() == [MINI, "1,204", "12", "0", "1", "$0.2500"]
    assert lines[2].split() == [HAIKU, "987", "7", "3", "0", "$0.5000"]
    assert lines[3].split() == ["total", "2,191", "19", "3", "1", "$0.7500"]
    assert "2,191 of 5,760 rows, 38.0 %" in lines[4]
    assert lines[5] == "3 rows failed (3 refused), 99.9 % of this run's rows good."
    assert lines[6] == "Requests sent again: 1 rate_limited."


def test_rates_and_the_time_that_is_left_come_with_the_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("datafast.engine.progress.time.monotonic", lambda: now[0])
    progress = started(MINI, HAIKU)
    console = Console(file=io.StringIO(), width=120)
    run_table(progress, {}, console)
    work(progress, MINI, rows=40)
    work(progress, HAIKU, rows=20)
    now[0] += 10
    lines = shown(progress, 120)
    assert lines[1].split()[:3] == [MINI, "40", "4.0"]
    assert lines[3].split()[:3] == ["total", "60", "6.0"]
    assert "60 of 5,760 rows, 1.0 %, about 15 min 50 s left" in lines[4]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int) -> None:
    progress = two()
    progress.take(LimitChanged(provider=MINI, limit=3))
    lines = shown(progress, width, {MINI: 12, HAIKU: 7})
    assert max(cell_len(line) for line in lines) < width
    assert "1,204" in lines[1]
    assert "987" in lines[2]
    assert "3 rows failed (3 refused), 99.9 % of this run's rows good." in " ".join(lines)


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (60, "rows in flight failed cost"),
        (80, "rows in flight failed retries cost"),
        (120, "rows in flight failed retries cost"),
    ],
)
def test_a_narrow_terminal_leaves_the_less_important_columns_out(width: int, columns: str) -> None:
    assert " ".join(shown(two(), width, {})[0].split()) == columns


def test_wide_characters_in_names_count_as_two() -> None:
    progress = started("自己的/日本語のモデル名前がとても長いものです", MINI)
    lines = shown(progress, 60)
    assert len({cell_len(line[: line.rindex("$")]) for line in lines[1:4]}) == 1
    assert "…" in lines[1]


def test_where_several_providers_make_a_row_their_calls_are_counted() -> None:
    progress = started(MINI, HAIKU)
    for _ in range(3):
        work(progress, MINI, rows=2, who=f"{MINI} + {HAIKU}")
    lines = shown(progress, 120)
    assert lines[0].split()[0] == "calls"
    assert lines[1].split()[:2] == [MINI, "3"]
    assert "6 of 5,760 rows" in lines[4]


def test_one_provider_needs_no_total() -> None:
    progress = started(MINI)
    work(progress, MINI, rows=2)
    lines = shown(progress, 80)
    assert lines[1].startswith(MINI)
    assert "2 of 5,760 rows" in lines[2]


def test_many_providers_are_cut_and_counted() -> None:
    progress = started(*[f"p/{number}" for number in range(300)])
    lines = shown(progress, 80)
    assert len(lines) <= 15
    assert "and 290 more" in lines[11]
    assert lines[12].startswith("total")


def test_a_provider_that_was_stopped_or_slowed_down_says_so() -> None:
    progress = started(MINI, HAIKU)
    progress.take(ProviderStopped(provider=MINI, reason="the key is wrong"))
    progress.take(LimitChanged(provider=HAIKU, limit=4))
    lines = shown(progress, 120)
    assert lines[1].endswith("stopped")
    assert lines[2].endswith("at most 4 in flight")


def test_a_provider_that_does_not_work_at_present_waits_until_it_answers() -> None:
    progress = started(MINI, HAIKU)
    progress.take(ProviderPaused(provider=MINI, reason="It cannot be reached.", wait_s=1.0))
    assert shown(progress, 80)[1].endswith("waiting")
    progress.take(ProviderResumed(provider=MINI))
    assert not shown(progress, 80)[1].endswith("waiting")


def test_an_unknown_cost_says_so() -> None:
    progress = started(MINI, HAIKU)
    work(progress, MINI, rows=1, cost_usd=None)
    work(progress, HAIKU, rows=1)
    lines = shown(progress, 120)
    assert [line.split()[-1] for line in lines[1:4]] == ["unknown", "$0.2500", "unknown"]


# -- batches


def under_way(progress: Progress, provider: str, number: int, *, done: int = 0, failed: int = 0) -> None:
    batch = f"batch_{number}"
    progress.take(BatchSubmitted(provider=provider, batch=batch, calls=5000, next_look_s=10.0))
    progress.take(
        BatchProgress(
            provider=provider,
            batch=batch,
            state="under way",
            calls=5000,
            done=done,
            failed=failed,
            age_s=4320.0,
            next_look_s=250.0,
        )
    )


def waiting() -> Progress:
    progress = started(MINI, HAIKU)
    under_way(progress, MINI, 1, done=1204)
    under_way(progress, HAIKU, 2, done=4870, failed=3)
    return progress


def test_each_batch_has_a_line_with_what_is_answered_and_when_it_is_looked_at_next() -> None:
    lines = shown(waiting(), 120)
    heading, first, second = lines[-3:]
    assert heading.split() == ["batches", "answered", "errors", "for", "next", "look"]
    assert first.split("  ")[0] == MINI
    assert "1,204 of 5,000" in first
    assert "under way  1 h 12 min  in 4 min" in first
    assert "4,870 of 5,000       3  under way" in second


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_batches_fit_any_terminal_and_say_how_far_they_are(width: int) -> None:
    lines = shown(waiting(), width)
    assert all(cell_len(line) < width for line in lines)
    assert "1,204 of 5,000" in lines[-2]


def test_many_batches_are_added_up() -> None:
    progress = started(MINI)
    for number in range(9):
        under_way(progress, MINI, number, done=100)
    lines = shown(progress, 120)
    assert [line.split("  ")[0] for line in lines[-6:]] == [MINI] * 5 + ["and 4 more"]
    assert "400 of 20,000" in lines[-1]


def test_a_batch_that_has_ended_is_shown_no_more() -> None:
    progress = waiting()
    for provider, number in ((MINI, 1), (HAIKU, 2)):
        progress.take(
            BatchEnded(
                provider=provider, batch=f"batch_{number}", answered=5000, failed=0, not_answered=0, cost_usd=0.5
            )
        )
    assert not any("batches" in line for line in shown(progress, 80))
    assert "batch" not in progress.line()


def test_a_line_of_the_log_tells_of_all_batches_together() -> None:
    progress = waiting()
    assert progress.line().endswith(
        "2 batches under way, the oldest for 1 h 12 min: 6,074 of 10,000 calls answered, next look in 4 min 10 s"
    )
    progress.take(BatchDelayed(provider=MINI, batch="batch_1", reason="no answer", wait_s=30.0))
    assert progress.line().endswith("next look in 30 s")


def test_the_time_that_is_left_is_not_guessed_while_batches_are_under_way() -> None:
    progress = waiting()
    work(progress, MINI, rows=10)
    assert not any("left" in line for line in shown(progress, 120))
