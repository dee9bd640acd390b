"""Judges over rows of every kind: in a plan, after a change, and across kills."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.test_contract import Bench, bench, every_kind, others
from tests.support import ForkServer, same_rows

__all__ = ["bench", "others"]

pytestmark = pytest.mark.filterwarnings("ignore:All .* rows were filtered")


def judge(at_least: int = 3) -> list[dict[str, Any]]:
    critic = {"provider": "simulated", "model_id": "critic"}
    return [{"stage": "judge", "keep_if": f"score >= {at_least}", "providers": [critic]}]


@every_kind
def test_a_judge_decides_alike_before_and_after_rows_are_written(bench: Bench, tmp_path: Path) -> None:
    plain = bench.run()
    before = bench.rows
    judged = bench.changed(quality=judge())
    expected = judged.project.estimate(judged.project.dataset())
    assert expected.calls == plain.written
    report = judged.run()
    assert (report.calls, report.calls_missing, report.failed) == (plain.written, 0, plain.failed)
    assert 0 < report.filtered < report.requested
    kept = judged.output.read_bytes()

    other = bench.changed(quality=judge(5)).run()
    assert (other.calls, other.filtered >= report.filtered) == (0, True)
    assert judged.run().calls == 0
    assert judged.output.read_bytes() == kept
    judged.output.unlink()
    assert judged.run().calls == 0
    assert bench.changed(quality=[]).run().calls == 0
    assert same_rows(bench.rows, before)

    at_once = bench.changed(tmp_path / "at once", quality=judge())
    whole = at_once.run()
    assert (whole.written, whole.filtered) == (report.written, report.filtered)
    assert whole.calls == plain.calls + plain.written


@every_kind
def test_a_kill_while_rows_are_judged_costs_no_call_that_was_answered(
    bench: Bench, children: ForkServer, tmp_path: Path
) -> None:
    plain = bench.run()
    whole = bench.changed(quality=judge())
    expected = whole.run()

    for sort, before in (("later", plain.calls), ("at once", 0)):
        killed = bench.changed(tmp_path / sort)
        if before:
            killed.run()
        killed = killed.changed(quality=judge())
        arguments = {"kind": bench.kind, "folder": str(killed.folder), "site": str(tmp_path / "site-others")}
        at = (plain.calls + plain.written - before) // 2
        died = children.run("tests.datasets.test_contract:killed_run", **arguments, at=at, quality=judge())
        assert died == -signal.SIGKILL
        rest = killed.run()
        assert at - 1 + rest.calls <= plain.calls + plain.written - before + 4
        assert (rest.written, rest.filtered, rest.calls_missing) == (expected.written, expected.filtered, 0)
        assert same_rows(killed.rows, whole.rows)
        assert killed.run().calls == 0
