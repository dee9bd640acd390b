"""`check` with a command: it runs only if the user allows it, within limits, and the exit status decides."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from datafast.cli.main import cli
from datafast.datasets import RawDataset
from datafast.errors import ConfigError
from datafast.llms.base import Request
from datafast.quality.check import CheckStage
from datafast.quality.commands import Limits, is_apart, run
from tests.support import CountingProvider, assert_balanced, raw

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands are refused on Windows")

PYTHON = [sys.executable, "-I", "-S", "{file}.py"]
LIMITS = Limits(timeout_s=20, memory_mb=512, file_mb=1)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS cannot limit it")
apart = pytest.mark.skipif(not is_apart(), reason="the system lets us make no namespaces")


class Row(BaseModel):
    code: str
    expected: str = ""


def ran(code: str, **limits: Any) -> tuple[int | None, str]:
    return run(PYTHON, code, LIMITS._replace(**limits))


def reason(code: str, expected: str = "", **settings: Any) -> str:
    stage = CheckStage(field="code", command=PYTHON, **settings)
    stage.check(Row)
    stage.allow_commands()
    return stage.decide(Row(code=code, expected=expected), None).reason  # type: ignore[arg-type]  # it looks at the row alone


# -- the verdict


def test_the_exit_status_decides() -> None:
    assert reason("print(1)") == ""
    assert reason("raise SystemExit(3)") == "the command fails"
    assert reason("Here it is:\n```python\nprint(1)\n```\nThat prints a number.") == ""
    assert reason("Here it is:\n```python\n1/0\n```") == "the command fails"
    assert reason("while True: pass", timeout_s=0.5) == "the command takes more than 0.5 s"


def test_what_it_writes_is_compared_with_a_field() -> None:
    assert reason("print(6 * 7)", "42.0", equals="expected") == ""
    assert reason("print(6 * 7)", "43", equals="expected") == "the command writes something else"
    assert reason("print(6 * 7); raise SystemExit(1)", "42", equals="expected") == "the command fails"


def test_code_comes_on_stdin_where_no_file_is_asked_for() -> None:
    assert run([sys.executable, "-c", "print(input()[::-1])"], "abc", LIMITS) == (0, "cba\n")
    assert run([sys.executable, "-c", "import sys; print(sys.argv[1:])", "{file}"], "abc", LIMITS).output.endswith(
        "/row']\n"
    )


def test_a_text_of_half_a_character_and_a_program_that_ends_by_a_signal() -> None:
    assert ran("import os; os.kill(os.getpid(), 9)")[0] == 128 + 9
    assert ran("x = '\ud800'")[0] == 1


# -- what it cannot do


def test_it_has_no_secrets_and_no_files_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    status, told = ran("import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir('.')]))")
    assert status == 0
    environment, folder, files = json.loads(told)
    assert "OPENAI_API_KEY" not in environment
    assert os.path.realpath(environment["HOME"]) == os.path.realpath(folder)
    assert files == ["row.py"]
    assert not Path(folder).exists()
    opened = "import os\nfor n in range(3, 64):\n  try: os.fstat(n); print(n)\n  except OSError: pass"
    # The interpreter itself may hold the file that it reads.
    assert len(ran(opened)[1].split()) <= 1


def test_memory_time_and_files_are_bounded() -> None:
    assert ran("open('a', 'w').write('x' * 3_000_000)")[0] != 0
    status, told = ran("print('x' * 3_000_000)")
    assert status != 0
    assert len(told) <= 1_000_000


@on_linux
def test_memory_is_bounded() -> None:
    assert ran("x = bytearray(10**9)")[0] == 1


@apart
def test_it_reaches_no_network_and_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        assert ran(f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")[0] == 1
    status, _ = ran(f"import os; os.kill({os.getpid()}, 0)")
    assert status == 1
    assert ran(f"print(open('/proc/{os.getpid()}/environ').read())")[0] == 1


@pytest.mark.parametrize("leaves", [False, pytest.param(True, marks=apart)])
def test_what_it_started_ends_with_it(tmp_path: Path, leaves: bool) -> None:
    """With namespaces also what left the group."""
    sign = tmp_path / "alive"
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        f"    {'os.setsid()' if leaves else 'pass'}\n"
        "    for _ in range(3000):\n"
        f"        open({str(sign)!r}, 'a').write('x')\n"
        "        time.sleep(0.01)\n"
        "while not os.path.exists({!r}): time.sleep(0.01)\n".format(str(sign))
    )
    assert ran(code)[0] == 0
    size = sign.stat().st_size
    time.sleep(0.2)
    assert sign.stat().st_size == size


# -- permission


def answers(request: Request) -> str:
    """Code that ends well for even topics."""
    number = int(request.messages[-1]["content"].split("topic ")[1].split(".")[0])
    return json.dumps({"texts": [f"import sys\nsys.exit({number % 2})"]})


def dataset(folder: Path, **settings: Any) -> RawDataset:
    stage = {"stage": "check", "field": "text", "command": PYTHON, **settings}
    return raw(folder, topics=6, quality=[stage])


@pytest.fixture
def provider(tmp_path: Path) -> CountingProvider:
    return CountingProvider("m", log=tmp_path / "requests", reply=answers)


def test_nothing_runs_unless_the_user_says_so(tmp_path: Path, provider: CountingProvider) -> None:
    with pytest.raises(ConfigError, match=r"quality\[0\]: command: .*--allow-commands \(allow_commands=True\)"):
        dataset(tmp_path).generate([provider])
    assert not (tmp_path / "out.jsonl").exists()
    with pytest.raises(ConfigError, match="--allow-commands"):
        CheckStage(field="code", command=PYTHON).decide(Row(code="1"), None)  # type: ignore[arg-type]
    one = dataset(tmp_path)
    report = assert_balanced(one.generate([provider], allow_commands=True).report)
    assert (report.written, report.filtered, report.failed) == (3, 3, 0)
    with pytest.raises(ConfigError, match="--allow-commands"):
        one.generate([provider])  # what was allowed for one run is not for the next


def test_an_estimate_runs_nothing_and_a_run_with_other_stages_only_what_is_new(
    tmp_path: Path, provider: CountingProvider
) -> None:
    """What a command has said is recorded like an answer."""
    sign = tmp_path / "sign"
    command = {
        "stage": "check",
        "field": "text",
        "command": ["/bin/sh", "-c", f"echo x >> {sign}; ! grep -q 'exit(1)'"],
    }

    def run(*stages: dict[str, Any], **options: Any) -> tuple[int, int, int, int]:
        """Written, filtered, calls, and how often the program has run in all."""
        made = raw(tmp_path, topics=6, quality=list(stages))
        report = assert_balanced(made.generate([provider], **options).report)
        return report.written, report.filtered, report.calls, len(sign.read_text().split()) if sign.exists() else 0

    assert run(command, allow_commands=True) == (3, 3, 6, 6)
    kept = (tmp_path / "out.jsonl").read_bytes()
    assert run({"stage": "length", "min_words": 1}, command, allow_commands=True) == (3, 3, 0, 6)
    assert run({"stage": "regex", "deny": ["exit.1"]}, command, allow_commands=True, decide_only=True)[3] == 6
    assert run() == (6, 0, 0, 6)
    assert run(command, allow_commands=True) == (3, 3, 0, 6)
    assert (tmp_path / "out.jsonl").read_bytes() == kept
    again = {**command, "version": "2"}
    change = raw(tmp_path, topics=6, quality=[again]).estimate([provider]).change
    assert change is not None
    assert len(sign.read_text().split()) == 6
    assert run(again, allow_commands=True) == (3, 3, 0, 12)
    assert run(again, allow_commands=True) == (3, 3, 0, 12)


def test_the_event_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    """Each program waits until as many as there are cores run at once, and requests go out all the while."""
    cores, others = os.cpu_count() or 1, threading.active_count()
    folder = tmp_path / "here"
    folder.mkdir()
    waits = f"n=0; mktemp {folder}/XXXXXX; while [ $(ls {folder} | wc -l) -lt {cores} ] && [ $n -lt 300 ]; do n=$((n+1)); sleep 0.05; done"
    provider = CountingProvider("m", log=tmp_path / "requests", reply=answers)
    stage = {"stage": "check", "field": "text", "command": ["/bin/sh", "-c", f"{waits}; [ $n -lt 300 ]"]}
    made = raw(tmp_path, topics=cores, quality=[{**stage, "timeout_s": 30}]).generate([provider], allow_commands=True)
    assert assert_balanced(made.report).written == cores
    assert threading.active_count() < others + 50


def test_the_command_line_asks_for_the_flag(tmp_path: Path) -> None:
    (tmp_path / "q.yaml").write_text(
        f"quality: [{{stage: check, field: code, command: {json.dumps(PYTHON)}}}]\n", encoding="utf-8"
    )
    (tmp_path / "in.jsonl").write_text('{"code": "print(1)"}\n{"code": "1/0"}\n', encoding="utf-8")
    words = [
        "filter",
        str(tmp_path / "in.jsonl"),
        "--quality",
        str(tmp_path / "q.yaml"),
        "-o",
        str(tmp_path / "o.jsonl"),
    ]
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 2
    assert "--allow-commands" in refused.output
    done = CliRunner().invoke(cli, [*words, "--allow-commands"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "o.jsonl").read_text(encoding="utf-8") == '{"code":"print(1)"}\n'
    assert "--allow-commands" in CliRunner().invoke(cli, ["generate", "--help"]).output


@pytest.mark.parametrize("command", [["generate"], ["preview", "-n", "1"]])
def test_a_command_that_is_not_allowed_is_refused_with_its_line(tmp_path: Path, command: list[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"kind: raw\ndocument_types: [note]\ntopics: [a]\noutput_file: {tmp_path / 'rows.jsonl'}\n"
        "providers: [{provider: simulated, model_id: m}]\nquality:\n  - {stage: pii}\n  - stage: check\n    field: text\n"
        "    command: [cat]\n",
        encoding="utf-8",
    )
    refused = CliRunner().invoke(cli, [*command, str(config)])
    assert refused.exit_code == 2
    assert f"{config}:10: quality[1].command: It runs what a model wrote." in refused.output


# -- configs


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"command": ["sh"]}, "field: Say which field has the code"),
        ({"field": "code", "parses_as": "json", "timeout_s": 3}, "timeout_s: It is for command alone"),
        ({"field": "code", "command": ["sh", "x{file}"]}, "stands at the beginning of an argument"),
        ({"field": "code", "command": ["sh", "{file}/../a"]}, "stands at the beginning of an argument"),
        ({"field": "code", "command": ["sh"], "parses_as": "json"}, "got parses_as and command"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CheckStage(**settings)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"command: There is no program 'none-of-ours'\. Install it"):
        CheckStage(field="code", command=["none-of-ours"]).check(Row)


def test_a_program_that_cannot_be_started_is_no_verdict(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nothing")
    broken.chmod(0o755)
    with pytest.raises(OSError, match="broken could not be run"):
        run([str(broken)], "x", LIMITS)
