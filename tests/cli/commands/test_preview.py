"""`datafast preview`: what was asked, to whom, beside the rows that came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast.cli.main import cli
from tests.servers.fault_server import Answer, FaultServer

RAW = """\
kind: raw
output_file: rows.jsonl
document_types: [manual]
topics: [pumps, valves]
num_samples_per_prompt: 2
system_prompt: You write for plumbers.
providers:
  - {provider: simulated, model_id: a}
  - {provider: simulated, model_id: b}
"""
PREFERENCE = """\
kind: preference
output_file: rows.jsonl
input_documents: [The pump runs dry after ten minutes.]
num_samples_per_prompt: 2
providers:
  question: {provider: simulated, model_id: asks}
  chosen: {provider: simulated, model_id: good}
  rejected: {provider: simulated, model_id: bad}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def preview(config: str, *options: str) -> Result:
    Path("c.yaml").write_text(config, encoding="utf-8")
    return CliRunner().invoke(cli, ["preview", "c.yaml", *options])


def prompts(config: str, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(preview(config, "--json", *options).stdout)["prompts"]
    return found


def test_a_prompt_is_shown_with_its_system_message_and_the_form_of_the_reply_above_the_row() -> None:
    shown = preview(RAW, "-n", "1").stdout
    asked = shown.index("asked simulated/")
    system = shown.index("[system] You write for plumbers.")
    user = shown.index("[user] ")
    reply = shown.index('[reply] JSON: {"texts": [text, 2 of them]}')
    row = shown.index("the first of its 2 rows")
    assert asked < system < user < reply < row < shown.index("text:")


def test_json_has_every_call_with_its_messages_its_schema_and_its_rows() -> None:
    found = prompts(RAW, "-n", "2")
    assert len(found) == 2
    for prompt in found:
        (call,) = prompt["calls"]
        assert call["provider"] in {"simulated/a", "simulated/b"}
        assert [message["role"] for message in call["messages"]] == ["system", "user"]
        assert prompt["values"]["topic"] in call["messages"][1]["content"]
        assert "texts" in call["json_schema"]["properties"]
        assert call["answered"] is True
        assert [row["metadata"]["topic"] for row in prompt["rows"]] == [prompt["values"]["topic"]] * 2
        assert {f"simulated/{row['model_id'].rpartition('/')[2]}" for row in prompt["rows"]} == {call["provider"]}


def test_later_calls_quote_the_replies_that_came() -> None:
    (prompt,) = prompts(PREFERENCE, "-n", "1")
    calls = prompt["calls"]
    assert [(call["role"], call["provider"]) for call in calls] == [
        ("question", "simulated/asks"),
        ("chosen", "simulated/good"),
        ("rejected", "simulated/bad"),
        ("chosen", "simulated/good"),
        ("rejected", "simulated/bad"),
    ]
    for number, row in enumerate(prompt["rows"]):
        assert row["question"] in calls[1 + 2 * number]["messages"][-1]["content"]


def test_of_several_roles_the_terminal_shows_one_call_each_and_counts_the_rest() -> None:
    shown = preview(PREFERENCE, "-n", "1").stdout
    asked = [line for line in shown.splitlines() if line.startswith("asked ")]
    assert asked == [
        "asked simulated/asks as question",
        "asked simulated/good as chosen",
        "asked simulated/bad as rejected",
    ]
    assert "and 2 more calls; --json has all of them" in shown


def test_a_second_preview_shows_the_same_prompts_without_a_call() -> None:
    first = prompts(PREFERENCE, "-n", "1")
    again = json.loads(preview(PREFERENCE, "-n", "1", "--json").stdout)
    assert again["prompts"] == first
    assert again["report"]["calls"] == 0


def served_by(server: FaultServer) -> str:
    return f"{{provider: openai_compatible, model_id: m, api_base: '{server.url}'}}"


def test_what_was_asked_is_what_the_server_got(fault_server: FaultServer) -> None:
    config = RAW.partition("providers:")[0] + f"providers: [{served_by(fault_server)}]\n"
    (prompt,) = prompts(config, "-n", "1")
    (request,) = fault_server.requests
    assert [call["messages"] for call in prompt["calls"]] == [request.json["messages"]]


def test_an_item_that_failed_is_shown_with_what_was_asked() -> None:
    config = RAW.replace("model_id: a}", "model_id: a, faults: {refused: 1.0}}")
    result = preview(config, "-n", "2")
    assert result.exit_code == 3
    assert "asked simulated/a (no usable reply)" in result.stdout
    assert "There is none: it failed" in result.stdout


def test_a_reply_that_a_later_prompt_quotes_cannot_move_the_cursor(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(text="up\x1b[2Jdown")
    config = "kind: columns\noutput_file: rows.jsonl\nnum_rows: 1\ncolumns:\n"
    config += "  first: {type: text, prompt: Say something.}\n  second: {type: text, prompt: 'Again: {first}'}\n"
    shown = preview(f"{config}providers: [{served_by(fault_server)}]\n", "-n", "1").stdout
    assert "\x1b" not in shown
    assert "[user] Again: up\\x1b[2Jdown" in shown


TALK = """\
kind: conversation
output_file: rows.jsonl
num_rows: 2
topics: {topic_prompt: The sea, degree: 2, depth: 1}
run: {max_stall_s: 0.01, retry_delay_s: 0.001, max_retry_delay_s: 0.002}
providers: [{provider: simulated, model_id: a}]
"""


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
@pytest.mark.parametrize("earlier", [False, True])
def test_a_preview_whose_topics_cannot_be_grown_shows_no_prompts_and_no_rows_of_earlier_ones(earlier: bool) -> None:
    if earlier:
        assert len(prompts(TALK)) == 2
    down = TALK.replace("The sea", "The moon").replace("model_id: a", "model_id: a, faults: {server_error: 1}")
    result = preview(down, "--json")
    assert result.exit_code == 4
    shown = json.loads(result.stdout)
    assert (shown["rows"], shown["prompts"]) == ([], [])
    assert shown["report"]["stop_reason"].startswith("Growing the topic tree of 'The moon'")
