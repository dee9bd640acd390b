"""Files of an output that are damaged at random: every command ends with an exit code and a message, and no row is wrong.

`DATAFAST_FUZZ=20` damages twenty times as many.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from datafast.engine.events import Event
from datafast.errors import DatafastError
from datafast.llms import SimulatedProvider
from tests.support import CountingProvider, one_of_two, raw, rows_of

MANY = int(os.environ.get("DATAFAST_FUZZ", "1"))
CASES = 25 * MANY
AT_MOST_S = 10
FILES = ["out.jsonl", "out.jsonl.ledger", "out.jsonl.ledger-wal", "out.jsonl.ledger-replies"]
TOPICS = 40
QUALITY = [{"stage": "length", "max_words": 200}]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output in the middle of a run, with failed rows, and a journal with replies that are not in the ledger yet."""
    folder = tmp_path_factory.mktemp("good")
    calls = 0

    def on_event(event: Event) -> None:
        nonlocal calls
        calls += event.type == "call_finished"
        if event.type == "call_finished" and calls == 30:
            shutil.copytree(folder / "run", folder / "out")

    provider = CountingProvider("m", log=folder / "requests", reply=one_of_two, latency_s=0.01)
    dataset = raw(folder / "run", topics=TOPICS, num_samples_per_prompt=2, quality=QUALITY, run={"max_concurrency": 4})
    dataset.generate([provider], on_event=on_event)
    assert all((folder / "out" / name).stat().st_size for name in FILES)
    return folder / "out"


def damage(path: Path, chance: random.Random) -> str:
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            how = f"cut at {place}"
            del data[place:]
        case 1:
            how = f"4096 zeros at {place}"
            data[place : place + 4_096] = bytes(min(4_096, len(data) - place))
        case 2:
            how = f"noise at {place}"
            data[place : place + 64] = chance.randbytes(min(64, len(data) - place))
        case 3:
            how = f"lines exchanged at {place}"
            data = data[place:] + data[:place]
        case _:
            how = f"a bit at {place}"
            data[place] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
    return f"{path.name}: {how}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_every_command_ends_with_a_message(
    name: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {row["uuid"]: row["text"] for row in rows_of(good / "out.jsonl")}
    for number in range(CASES):
        shutil.copytree(good, tmp_path / "out")
        told = f"{number}: {damage(tmp_path / 'out' / name, random.Random(f'{name} {number}'))}"
        began = time.process_time()
        for command in (["status"], ["failures"], ["stats", "--effects", "0"]):
            result = CliRunner().invoke(cli, [*command, "out/out.jsonl"])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise AssertionError(f"{told}, {command[0]}") from result.exception
            assert result.exit_code in (0, 2, 3), told
            assert result.output.strip(), told
        dataset = raw(tmp_path / "out", topics=TOPICS, num_samples_per_prompt=2, quality=QUALITY)
        try:
            dataset.estimate([SimulatedProvider("m")])
            list(dataset.failed_items)
            dataset.generate([SimulatedProvider("m")])
        except DatafastError:  # it is refused, with what to do
            pass
        except Exception as error:
            raise AssertionError(told) from error
        else:
            found = {row["uuid"]: row["text"] for row in rows_of(tmp_path / "out" / "out.jsonl")}
            assert {uuid: text for uuid, text in found.items() if whole.get(uuid, text) != text} == {}, told
        assert time.process_time() - began < AT_MOST_S, told
        shutil.rmtree(tmp_path / "out")
