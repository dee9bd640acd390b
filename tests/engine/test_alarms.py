"""Alarms: what becomes of the rows is measured while a run goes on, and may warn, pause or stop it; the figures come as events."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.engine.control import RunControl
from datafast.engine.events import AlarmRaised, Event, ItemDone, QualityFigures
from datafast.engine.progress import Progress
from datafast.errors import DatafastWarning, RunStopped
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.base import Request
from datafast.schema.config import AlarmsConfig, RawDatasetConfig
from datafast.types import RunReport, StopCause
from tests.running import HeldProvider, stays, wait_for
from tests.servers.fault_server import Answer, FaultServer
from tests.support import CountingProvider, assert_balanced, raw, requests_in

TOPICS = 60
REFUSAL = "I'm sorry, but I can't help with that request."


def number_of(request: Request) -> int:
    return int(request.messages[-1]["content"].split("topic ")[1].split(".")[0])


def text_for(number: int) -> str:
    """A text that no other row has."""
    return f"Note {number} of the harbour: " + " ".join(f"word{number}x{place}" for place in range(20))


def texts(text: str) -> str:
    return json.dumps({"texts": [text]})


def made(folder: Path, alarms: dict[str, Any] | None, *, quality: Any = (), **fields: Any) -> RawDataset:
    return raw(
        folder,
        topics=TOPICS,
        alarms=alarms,
        quality=list(quality),
        run={"max_concurrency": 2, **fields.pop("run", {})},
        **fields,
    )


def provider(folder: Path, bad: Any, of: Any = lambda number: True, **options: Any) -> CountingProvider:
    """Answers `bad` about the topics that `of` is true of."""

    def reply(request: Request) -> Any:
        number = number_of(request)
        return bad if of(number) else texts(text_for(number))

    return CountingProvider("m", log=folder / "requests", reply=reply, **options)


def stopped(dataset: RawDataset, answers: Any, **options: Any) -> RunReport:
    with pytest.raises(RunStopped) as caught:
        dataset.generate([answers], **options)
    report = assert_balanced(caught.value.report)
    assert report.stop_cause is StopCause.ALARM
    assert report.pending
    return report


# -- what is measured


def test_a_server_that_refuses_stops_the_run_which_goes_on_later(tmp_path: Path, fault_server: FaultServer) -> None:
    refuses = threading.Event()
    refuses.set()

    def respond(request: Any) -> Answer:
        number = int(json.dumps(request.json).split("topic ")[1].split(".")[0])
        return Answer(text=texts(REFUSAL if refuses.is_set() and number >= 10 else text_for(number)))

    fault_server.respond = respond
    one = OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="none")
    report = stopped(made(tmp_path, {"refusal_rate": 0.2, "after": 10}), one)
    assert report.stop_reason is not None
    assert report.stop_reason.endswith(
        "of the last 10 rows read as refusals, more than alarms.refusal_rate allows (0.2)"
    )
    assert len(fault_server.requests) < 30
    refuses.clear()
    after = assert_balanced(made(tmp_path, None).generate([one]).report)
    assert (after.written, after.calls) == (TOPICS, TOPICS - report.written)


def release(held: HeldProvider) -> None:
    held.lands = math.inf


def test_duplicates_are_estimated_while_the_run_goes_on(tmp_path: Path) -> None:
    alarms = {"near_duplicates": 0.5, "after": 10}
    dataset = made(tmp_path, alarms, quality=[{"stage": "exact_duplicates"}], run={"max_concurrency": 1})
    held = HeldProvider("m", log=tmp_path / "requests", lands=12, reply=lambda _: texts("Always the same note."))
    report = stopped(dataset, held, on_event=lambda event: release(held) if isinstance(event, AlarmRaised) else None)
    assert "of the last 10 rows are duplicates of earlier ones" in str(report.stop_reason)
    assert report.written == 1  # the end of the run decides, exactly


def test_rows_that_fail(tmp_path: Path) -> None:
    report = stopped(made(tmp_path, {"failure_rate": 0.3, "after": 10}), provider(tmp_path, "no JSON", lambda n: n % 2))
    assert "of the last 10 rows have failed, more than alarms.failure_rate allows (0.3)" in str(report.stop_reason)
    assert report.failed < TOPICS / 2


def test_replies_that_are_cut(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text='{"texts": ["A note about', finish_reason="length")
    one = OpenAICompatibleProvider("m", api_base=fault_server.url, api_key="none", max_completion_tokens=5)
    report = stopped(made(tmp_path, {"truncation_rate": 0.5, "after": 10}), one)
    assert "of the last 10 replies were cut at the output-token limit" in str(report.stop_reason)


def test_rows_that_are_made_again_count_each_time(tmp_path: Path) -> None:
    asked: Counter[int] = Counter()

    def refuses_twice(request: Request) -> str:
        number = number_of(request)
        asked[number] += 1
        return texts(REFUSAL if asked[number] <= 2 else text_for(number))

    answers = CountingProvider("m", log=tmp_path / "requests", reply=refuses_twice)
    dataset = made(tmp_path, {"refusal_rate": 0.6, "after": 20}, quality=[{"stage": "refusals"}], regenerate=2)
    report = stopped(dataset, answers)
    assert report.stop_reason is not None
    assert "of the last 21 rows read as refusals" in report.stop_reason  # 7 rows, each made three times


def test_a_share_below_the_limit_and_fewer_rows_raise_nothing(tmp_path: Path) -> None:
    one = provider(tmp_path, texts(REFUSAL), lambda number: number % 5 == 0)
    assert made(tmp_path, {"refusal_rate": 0.6, "after": 10}).generate([one]).report.pending == 0  # type: ignore[union-attr]
    (tmp_path / "few").mkdir()
    few = made(tmp_path / "few", {"refusal_rate": 0.01, "after": TOPICS + 1})
    assert assert_balanced(few.generate([provider(tmp_path, texts(REFUSAL))]).report).written == TOPICS


def test_rows_from_recorded_replies_do_not_count(tmp_path: Path) -> None:
    made(tmp_path, None).generate([provider(tmp_path, texts(REFUSAL), lambda number: number < 50)])
    (tmp_path / "out.jsonl").unlink()
    report = made(tmp_path, {"refusal_rate": 0.2, "after": 10}).generate([provider(tmp_path, None)]).report
    assert assert_balanced(report).calls == 0


# -- what is done


def test_a_warning_is_given_once_and_the_run_goes_on(tmp_path: Path) -> None:
    events: list[Event] = []
    dataset = made(tmp_path, {"refusal_rate": 0.2, "after": 10, "action": "warn"})
    with pytest.warns(DatafastWarning) as caught:
        dataset.generate([provider(tmp_path, texts(REFUSAL))], on_event=events.append)
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        "100 % of the last 10 rows read as refusals, more than alarms.refusal_rate"
    )
    alarms = [event for event in events if isinstance(event, AlarmRaised)]
    assert [(one.alarm, one.action, one.share, one.limit, one.rows) for one in alarms] == [
        ("refusal_rate", "warn", 1.0, 0.2, 10)
    ]
    assert assert_balanced(dataset.report).written == TOPICS


def test_a_paused_run_begins_no_more_rows_until_it_is_said_that_it_goes_on(tmp_path: Path) -> None:
    asked: list[AlarmRaised] = []
    control = RunControl()

    def goes_on(alarm: AlarmRaised) -> bool:
        asked.append(alarm)
        wait_for(lambda: not any(one.in_flight for one in control.limits.providers))  # what had begun may end
        assert stays(lambda: requests_in(tmp_path / "requests"))
        return len(asked) < 3

    dataset = made(tmp_path, {"refusal_rate": 0.2, "after": 10, "action": "pause"})
    report = stopped(dataset, provider(tmp_path, texts(REFUSAL)), on_alarm=goes_on, control=control)
    assert [alarm.action for alarm in asked] == ["pause"] * 3  # again after each 10 rows that are no better
    assert 30 <= report.written < 45


def test_where_nobody_can_be_asked_a_pause_is_a_stop(tmp_path: Path) -> None:
    stopped(made(tmp_path, {"refusal_rate": 0.2, "after": 10, "action": "pause"}), provider(tmp_path, texts(REFUSAL)))


def test_an_error_of_who_is_asked_is_raised_when_all_is_saved(tmp_path: Path) -> None:
    def fails(alarm: AlarmRaised) -> bool:
        raise LookupError(alarm.alarm)

    dataset = made(tmp_path, {"refusal_rate": 0.2, "after": 10, "action": "pause"})
    with pytest.raises(LookupError, match="refusal_rate"):
        dataset.generate([provider(tmp_path, texts(REFUSAL))], on_alarm=fails)
    assert len(dataset.data_rows) >= 10


def test_where_nothing_is_left_to_stop_it_is_a_warning(tmp_path: Path) -> None:
    dataset = made(tmp_path, {"refusal_rate": 0.2, "after": TOPICS})
    with pytest.warns(DatafastWarning, match="100 % of the last 60 rows read as refusals"):
        dataset.generate([provider(tmp_path, texts(REFUSAL))])
    assert assert_balanced(dataset.report).stop_cause is None


def test_the_command_ends_with_4_and_says_which_alarm(tmp_path: Path, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text=texts(REFUSAL))
    (tmp_path / "c.yaml").write_text(
        f"kind: raw\noutput_file: {tmp_path / 'out.jsonl'}\ndocument_types: [note]\nnum_samples_per_prompt: 1\n"
        f"topics: [{', '.join(f't{number}' for number in range(40))}]\n"
        "run: {max_concurrency: 2}\nalarms: {refusal_rate: 0.5, after: 5, action: pause}\n"
        f"providers: [{{provider: openai_compatible, model_id: m, api_base: '{fault_server.url}'}}]\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(cli, ["generate", str(tmp_path / "c.yaml"), "--json"])
    assert done.exit_code == 4, done.output
    report = json.loads(done.stdout)
    assert report["stop_cause"] == "alarm"
    assert "alarms.refusal_rate" in report["stop_reason"]


# -- live figures


def test_figures_come_as_events_and_are_shown(tmp_path: Path) -> None:
    events: list[Event] = []
    progress = Progress()
    stages = [{"stage": "refusals"}, {"stage": "exact_duplicates"}]
    dataset = made(tmp_path, {"refusal_rate": 0.9, "after": TOPICS}, quality=stages)
    answers = provider(tmp_path, texts(REFUSAL), lambda number: number % 4 == 0)
    dataset.generate([answers], on_event=lambda event: (events.append(event), progress.take(event))[0])
    figures = [event for event in events if isinstance(event, QualityFigures)]
    assert events.index(figures[-1]) > len(events) - 4
    last = figures[-1]
    assert last.rows == TOPICS
    assert last.acceptance == pytest.approx(0.75)
    assert last.refused == pytest.approx(0.25)
    assert last.failed == last.truncated == 0
    assert last.duplicates in (None, 0)  # rows are passed over where the run is faster
    assert "75 % accepted" in progress.line()
    assert "25 % refusals" in progress.line()


@pytest.mark.parametrize("compares", [True, False])
def test_rows_that_may_still_leave_the_file_are_told_apart_from_accepted_ones(tmp_path: Path, compares: bool) -> None:
    progress, told = Progress(), []
    stages = [{"stage": "exact_duplicates" if compares else "refusals"}]
    dataset = made(tmp_path, None, quality=stages, target_rows=6)

    def look(event: Event) -> None:
        progress.take(event)
        if isinstance(event, ItemDone):
            told.append((progress.state(), progress.line()))

    dataset.generate([provider(tmp_path, None)], on_event=look)
    assert len(told) >= 6
    words = "1 of them not compared yet"
    assert [words in text for text in told[0]] == [compares, compares]
    assert "rows accepted" in told[0][0]
    assert "not compared" not in progress.line() + progress.state()
    assert ("accepted before they are compared" in progress.line()) == compares
    later = Progress()
    dataset.generate([provider(tmp_path, None)], on_event=later.take)
    assert "not compared" not in later.line()


def test_without_stages_and_alarms_there_are_none(tmp_path: Path) -> None:
    events: list[Event] = []
    made(tmp_path, None).generate([provider(tmp_path, None)], on_event=events.append)
    assert not [event for event in events if isinstance(event, QualityFigures | AlarmRaised)]


# -- configs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "There is no alarm in it"),
        ({"after": 10}, "There is no alarm in it"),
        ({"refusal_rate": 1.5}, "less than 1"),
        ({"refusal_rat": 0.1}, "There is no such field. Did you mean 'refusal_rate'"),
        ({"failure_rate": 0.1, "action": "halt"}, "'warn', 'pause' or 'stop'"),
    ],
)
def test_wrong_alarms_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlarmsConfig(**given)


def test_an_alarm_of_duplicates_needs_a_stage_that_compares_rows() -> None:
    given: dict[str, Any] = {"document_types": ["note"], "topics": ["a"], "alarms": {"near_duplicates": 0.3}}
    with pytest.raises(ValueError, match=r"alarms\.near_duplicates: No stage compares rows\. Add one under quality"):
        RawDatasetConfig(**given)
    assert RawDatasetConfig(**given, quality=[{"stage": "exact_duplicates"}]).alarms is not None


def test_an_alarm_measures_over_the_rounds_of_a_target(tmp_path: Path) -> None:
    """Each round draws fewer rows than the alarm wants to see."""
    alarms = {"refusal_rate": 0.5, "after": 40}
    dataset = raw(
        tmp_path, topics=400, alarms=alarms, quality=[{"stage": "refusals"}], target_rows=30, run={"max_concurrency": 2}
    )
    answers = provider(tmp_path, texts(REFUSAL), lambda number: number % 5 != 0)
    with pytest.raises(RunStopped) as caught:
        dataset.generate([answers])
    assert caught.value.report.stop_cause is StopCause.ALARM
    assert len(requests_in(tmp_path / "requests")) < 60
