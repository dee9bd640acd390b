"""Logging: silent until asked for, printed once, and never in the way of the host's own."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import loguru
import pytest

from datafast import logger_config
from datafast.datasets import RawDataset
from datafast.engine.event_log import EventLog
from datafast.engine.events import ItemDone, ItemFailed, LimitChanged, Retry, RoundStarted, RunEnded, RunStarted
from datafast.errors import ConfigError
from datafast.llms import OpenAICompatibleProvider, SimulatedProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig
from datafast.types import RunReport
from tests.servers.fault_server import FaultServer


def run(tmp_path: Path, **faults: float) -> None:
    config = RawDatasetConfig(
        document_types=["note"], topics=["a", "b"], num_samples_per_prompt=1, output_file=tmp_path / "out.jsonl"
    )
    RawDataset(config).generate([SimulatedProvider(faults=faults)])


def failed_report(failed: int) -> RunReport:
    return RunReport(
        requested=failed,
        written=0,
        filtered=0,
        failed=failed,
        pending=0,
        calls=failed,
        retries=0,
        replayed=0,
        input_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        elapsed_s=1.0,
        output_file="out.jsonl",
        simulated=False,
        stop_reason=None,
        filtered_by_stage={},
        failures={},
        failures_by_provider={},
        stopped_providers={},
        set_aside=[],
    )


def test_a_run_is_silent_without_configure_logger(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, refused=1.0)
    assert capfd.readouterr() == ("", "")


def test_a_configured_run_tells_start_failures_and_end_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger()
    run(tmp_path, refused=1.0)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.count("2 rows requested from") == 1
    assert shown.err.count("1 row failed at") == 1
    assert shown.err.count("In all, 2 rows failed at") == 1
    assert shown.err.count("0 written, 0 filtered, 2 failed, 0 pending") == 1


def test_equal_failures_are_logged_once_and_counted_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger(level="WARNING", format_string="{message}")
    log = EventLog()
    for number in range(40):
        log(ItemFailed(item="0a", provider="p", category="refused", error=f"No {number % 11}.", rows=2))
        log(ItemFailed(item="0b", provider="p", category="truncated", error="Too long.", rows=1))
    log(ItemFailed(item="0c", provider="", category="stage_error", error="Of a stage alone.", rows=1))
    log(RunEnded(report=failed_report(120)))
    said = capfd.readouterr().err.splitlines()
    assert said[:2] == ["2 rows failed at p (refused): No 0.", "1 row failed at p (truncated): Too long."]
    assert sum("More rows failed (refused)" in line for line in said) == 1
    assert "1 row failed (stage_error): Of a stage alone." in said
    assert len(said) == 10 + 1 + 1 + 1 + 10 + 1
    assert "In all, 40 rows failed at p (truncated): Too long." in said
    assert "In all, 8 rows failed at p (refused): No 0." in said


def test_progress_is_told_also_where_a_round_begins_with_fewer_rows_than_the_run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_logger(format_string="{message}")
    monkeypatch.setattr("datafast.engine.event_log._PROGRESS_S", 0.0)
    log = EventLog()
    begun = {"output_file": "o.jsonl", "providers": ["p"], "simulated": False, "target": 20}
    log(RunStarted(requested=20, written=10, filtered=2, failed=0, **begun))  # type: ignore[arg-type]
    log(RoundStarted(requested=20, written=11, filtered=0, failed=0))
    log(ItemDone(item="0a", provider="p", rows=1, filtered=0, replayed=False))
    assert capfd.readouterr().err.splitlines()[-1] == "12/20 rows, 0 failed."
    log(ItemDone(item="0b", provider="p", rows=1, filtered=0, replayed=False))
    assert " s to go." in capfd.readouterr().err.splitlines()[-1]


def test_a_lower_limit_is_a_warning_and_its_climb_back_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger(level="WARNING", format_string="{message}")
    log = EventLog()
    for limit in (2, 1, 2, 3, 2):
        log(LimitChanged(provider="p", limit=limit))
    assert capfd.readouterr().err.splitlines() == [
        "p limits our rate. At most 2 requests in flight from now on.",
        "p limits our rate. At most 1 request in flight from now on.",
        "p limits our rate. At most 2 requests in flight from now on.",
    ]


def test_a_run_that_waits_for_a_limit_of_its_config_says_so_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], fault_server: FaultServer
) -> None:
    configure_logger(format_string="{message}")
    model = OpenAICompatibleProvider("m", api_base=fault_server.url, rpm_limit=1200)
    RawDataset(
        RawDatasetConfig(
            document_types=["note"], topics=list("abcd"), num_samples_per_prompt=1, output_file=tmp_path / "o.jsonl"
        )
    ).generate([model])
    told = "openai_compatible/m: Requests wait for their turn, as rpm_limit is 1,200 a minute."
    assert capfd.readouterr().err.splitlines().count(told) == 1


def test_the_first_repeat_of_a_provider_is_told_and_the_others_at_the_level_debug(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logger(format_string="{level} {message}", level="DEBUG")
    log = EventLog()
    for provider in ("p", "p", "q"):
        log(Retry(provider=provider, reason="rate_limited", attempt=1, wait_s=1.5))
    assert capfd.readouterr().err.splitlines() == [
        "INFO p: rate_limited. Sent again in 1.5 s. More repeats are logged at the level DEBUG.",
        "DEBUG p: rate_limited. Sent again in 1.5 s.",
        "INFO q: rate_limited. Sent again in 1.5 s. More repeats are logged at the level DEBUG.",
    ]


def test_configuring_again_replaces_what_was_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger()
    configure_logger(level="ERROR")
    run(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_level_is_a_name_or_a_number(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger(logging.WARNING)
    run(tmp_path / "a")
    assert capfd.readouterr().err == ""
    configure_logger(logging.INFO)
    run(tmp_path / "b")
    assert "INFO" in capfd.readouterr().err


@pytest.mark.parametrize("level", ["LOUD", "", None, True, -1, 1.5])
def test_an_unknown_level_is_refused_and_what_was_set_up_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], level: Any
) -> None:
    configure_logger("info")
    with pytest.raises(ConfigError, match=r"level: expected DEBUG, INFO"):
        configure_logger(level)
    run(tmp_path)
    assert "INFO" in capfd.readouterr().err


def test_no_colour_codes_where_the_console_is_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger()
    run(tmp_path)
    shown = capfd.readouterr().err
    assert shown
    assert "\x1b" not in shown


def test_a_format_of_ones_own_is_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger(format_string="<<{level}>> {message}")
    run(tmp_path)
    assert capfd.readouterr().err.startswith("<<INFO>> 2 rows requested")


def test_messages_go_to_the_log_file_too(tmp_path: Path) -> None:
    configure_logger(level="DEBUG", log_file=tmp_path / "run.log", serialize=True)
    run(tmp_path)
    logger_config.unconfigure()
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["record"]["level"]["name"] for line in lines] == ["INFO", "SUCCESS"]


def test_the_hosts_handlers_get_nothing_and_stay(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    host = io.StringIO()
    ours = loguru.logger.add(host)
    handlers = list(logging.getLogger().handlers)
    try:
        configure_logger()
        run(tmp_path)
        loguru.logger.info("the host's own message")
        assert host.getvalue().count("\n") == 1
        assert logging.getLogger().handlers == handlers
    finally:
        loguru.logger.remove(ours)
    capfd.readouterr()


def test_a_warning_of_a_config_is_logged_once_configured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger()
    prompt = "{num_samples} {language_name} {document_type} {topic} {topics}"
    RawDatasetConfig(document_types=["note"], topics=["a"], output_file=tmp_path / "o.jsonl", prompts=[prompt])
    assert capfd.readouterr().err.count("topics") == 1
