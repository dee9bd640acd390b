"""How a run goes in figures, for whoever shows it while it works."""

from __future__ import annotations

import math
from pathlib import Path

from datafast.engine.control import RunControl
from datafast.engine.events import AlarmRaised, CallFinished, Retry, RunPaused, RunStarted
from datafast.engine.live import LiveRun, Phase
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.types import StopCause
from tests.running import HeldProvider, Running, wait_for
from tests.support import raw


def test_the_figures_of_a_run_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    control = RunControl()
    live = LiveRun(control)
    assert live.figures().phase is Phase.OPENING
    control.pause()
    one = SimulatedProvider("m", latency_s=0.01, rpm_limit=60_000)
    run = Running(
        raw(tmp_path, topics=30, run={"max_concurrency": 4, "max_calls": 100}), [one], control=control, also=live.take
    )
    run.until(RunPaused)
    wait_for(lambda: live.figures().phase is Phase.PAUSED)
    assert live.figures().left_s is None
    control.resume()
    report = run.ended()
    figures = live.figures()
    assert (figures.phase, figures.report, figures.error) == (Phase.ENDED, report, None)
    assert (figures.requested, figures.total, figures.written, figures.new_rows) == (30, 30, 30, 30)
    assert (figures.calls, figures.output_tokens, figures.cost_usd) == (30, report.output_tokens, 0.0)
    assert figures.output_file == str(tmp_path / "out.jsonl")
    assert 0 < figures.paused_s <= figures.elapsed_s
    (provider,) = figures.providers
    assert (provider.name, provider.rows, provider.calls, provider.failed) == ("simulated/m", 30, 30, 0)
    assert provider.latency_s is not None
    assert provider.latency_s >= 0.01
    assert provider.mean_rows_per_s > 0 == provider.rows_per_s
    figures.to_dict()


def test_limits_and_the_budget_while_it_works(tmp_path: Path) -> None:
    control = RunControl()
    live = LiveRun(control)
    one = HeldProvider("m", lands=10, log=tmp_path / "requests", rpm_limit=60_000, tpm_limit=6_000_000)
    settings = {"max_concurrency": 4, "max_calls": 100}
    run = Running(raw(tmp_path, topics=100, run=settings), [one], control=control, also=live.take)
    run.until(CallFinished, 10)
    wait_for(lambda: live.figures().calls >= 10)
    figures = live.figures()
    assert figures.phase is Phase.RUNNING
    (limit,) = figures.budget
    assert (limit.name, limit.limit) == ("max_calls", 100)
    assert 10 <= limit.used <= 14
    limits = figures.providers[0].limits
    assert limits is not None
    assert (limits.concurrency, limits.limit, limits.rpm_limit, limits.tpm_limit) == (4, 4, 60_000, 6_000_000)
    assert not limits.is_down
    control.stop()
    one.lands = math.inf
    assert run.ended().stop_cause is StopCause.INTERRUPTED
    assert live.figures().phase is Phase.ENDED


def test_what_is_kept_does_not_grow_with_what_happens() -> None:
    live = LiveRun(RunControl())
    live.take(
        RunStarted(
            requested=10,
            written=0,
            filtered=0,
            failed=0,
            output_file="o",
            providers=["a"],
            simulated=True,
        )
    )
    for number in range(2_000):
        live.take(Retry(provider="a", reason=f"reason {number}", attempt=1, wait_s=0.5))
        live.take(AlarmRaised(alarm="x", share=1.0, limit=0.5, rows=1, reason=f"alarm {number}", action="warn"))
    (provider,) = live.figures().providers
    assert len(provider.retries) <= 51
    assert (sum(provider.retries.values()), provider.waited_s) == (2_000, 1_000.0)
    assert live.figures().alarms[-1] == "Alarm 1999."
    assert len(live.figures().alarms) == 5


def test_a_snapshot_is_not_made_for_each_who_asks() -> None:
    live = LiveRun(RunControl())
    assert live.figures() is live.figures()


def test_an_end_without_a_report_is_an_end() -> None:
    live = LiveRun(RunControl())
    live.end(None, "The key is missing.")
    assert (live.figures().phase, live.figures().error) == (Phase.ENDED, "The key is missing.")
