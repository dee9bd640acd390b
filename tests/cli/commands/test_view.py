"""`datafast view`: its address alone on stdout, until Ctrl-C."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.view.serving import ViewerServer
from tests.support import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal")


def test_it_prints_its_address_and_serves_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"text": "ice"}\n')
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "datafast", "view", str(tmp_path), "--no-open"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A job in the background of a shell, where these tests may run, leaves it ignored to what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with started as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        port, _, path = address.removeprefix("http://127.0.0.1:").partition("/")
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        connection.request("GET", f"/{path}")
        assert connection.getresponse().status == 303
        connection.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("", 0), err
    assert "token" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "datafast", "view", str(tmp_path / "none"), "--no-open"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "There is no file or folder" in ended.stderr


def test_a_ledger_belongs_to_no_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["view", str(tmp_path), "--ledger", str(tmp_path / "other.ledger"), "--no-open"])
    assert done.exit_code == 2
    assert "--ledger: It belongs to one output" in done.output


def test_a_config_is_opened_in_the_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, frozenset[str]]] = []

    def wait(server: ViewerServer) -> None:
        seen.append((server.address.partition("token=")[0].partition("/config")[2], server.viewer.permits))

    monkeypatch.setattr(ViewerServer, "wait", wait)
    (tmp_path / "my notes.yaml").write_text("kind: raw\n")
    for words in ([], ["--edit"]):
        ended = CliRunner().invoke(cli, ["view", str(tmp_path / "my notes.yaml"), "--no-open", *words])
        assert ended.exit_code == 0, ended.output
    assert seen == [("?path=my%20notes.yaml&", frozenset()), ("?path=my%20notes.yaml&", frozenset({"config"}))]
    ended = CliRunner().invoke(cli, ["view", str(tmp_path / "none.yaml"), "--no-open"])
    assert ended.exit_code == 2
    assert "There is no file" in ended.output
