"""Steps that need one another: begun as soon as possible, all of them once, errors after what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast.engine.stop import ItemPending
from datafast.engine.task_graph import TaskGraph, run_graph


async def pass_time(duration: float | str, log: list[str]) -> None:
    if not isinstance(duration, str):
        await asyncio.sleep(duration)
        return
    for _ in range(1000):  # turns of the loop; a step that never comes to its end must not hang the test
        if f"end {duration}" in log:
            return
        await asyncio.sleep(0)


def run(
    needs: dict[str, list[str]], seconds: dict[str, float | str | None], fail: dict[str, BaseException] | None = None
) -> list[str]:
    """Runs steps that take so long (None: done at once; a name: until that step has ended); returns what happened in its order."""
    log: list[str] = []

    def step(name: str) -> Callable[[], Any] | None:
        log.append(f"begin {name}")
        duration = seconds.get(name)
        if duration is None:
            if fail and name in fail:
                raise fail[name]
            return None

        async def work() -> None:
            await pass_time(duration, log)
            if fail and name in fail:
                raise fail[name]
            log.append(f"end {name}")

        return work

    try:
        asyncio.run(run_graph(TaskGraph(needs), step))
    except BaseException as error:
        log.append(repr(error))
    return log


def test_a_step_is_not_held_back_by_one_that_it_does_not_need() -> None:
    log = run({"slow": [], "quick": [], "after": ["quick"]}, {"slow": "after", "quick": 0.0, "after": 0.0})
    assert log.index("end after") < log.index("end slow")


def test_steps_that_are_done_at_once_are_run_without_waiting() -> None:
    assert run({"c": ["b"], "b": ["a"], "a": []}, {}) == ["begin a", "begin b", "begin c"]


def test_what_is_under_way_lands_before_an_error_is_raised_and_nothing_new_is_begun_after_it() -> None:
    needs = {"bad": [], "slow": [], "after": ["bad"]}
    log = run(needs, {"bad": 0.0, "slow": 0.03, "after": 0.0}, {"bad": ValueError("x")})
    assert log == ["begin bad", "begin slow", "end slow", "ValueError('x')"]


def test_of_several_errors_the_first_in_the_order_of_the_flow_is_raised() -> None:
    log = run({"b": [], "a": []}, {"a": 0.0, "b": 0.02}, {"a": ValueError("a"), "b": ValueError("b")})
    assert log[-1] == "ValueError('b')"


def test_the_end_of_the_run_comes_before_an_error() -> None:
    log = run({"a": [], "b": []}, {"a": 0.0, "b": 0.0}, {"a": ValueError("a"), "b": ItemPending()})
    assert log[-1] == "ItemPending()"


def test_cancelling_a_flow_cancels_its_steps() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        task = asyncio.create_task(run_graph(TaskGraph({"a": [], "b": []}), lambda name: work))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["cancelled", "cancelled"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, float | str | None]]:
    count = draw(st.integers(1, 9))
    names = [f"s{number}" for number in range(count)]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:place] or [name]), max_size=3)) if place else []
        for place, name in enumerate(names)
    }
    order = draw(st.permutations(names))
    return {name: needs[name] for name in order}, {name: draw(st.sampled_from([None, 0.0, 0.001])) for name in names}


@given(graphs())
def test_every_step_runs_once_and_after_all_that_it_needs(
    graph: tuple[dict[str, list[str]], dict[str, float | str | None]],
) -> None:
    needs, seconds = graph
    log = run(needs, seconds)
    assert sorted(entry for entry in log if entry.startswith("begin")) == sorted(f"begin {name}" for name in needs)
    for name, needed in needs.items():
        for other in needed:
            done = f"begin {other}" if seconds[other] is None else f"end {other}"
            assert log.index(done) < log.index(f"begin {name}")
