"""How the outputs in this folder were made: by datafast 0.1.0, commit db1f43b, with a server on loopback. Kept as documentation.

They are never made again: later versions have to read what 0.1.0 wrote. It needs no more than that version, and `tests`.

    PYTHONPATH=. python tests/data/outputs-0.1.0/make.py [CASE ...]
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.servers.fault_server import Answer, FaultServer, Recorded, reply_to
from tests.servers.schema_sample import sample
from tests.store.test_outputs_of_010 import (
    OUTPUTS,
    PLACE,
    by_content,
    command,
    go_on,
    hashes,
    read_only,
    restore,
    take_away_rows,
)

WORK = Path("/tmp/outputs-0.1.0")
GENERATE = ["generate", "config.yaml"]

# Commands before the output is taken; one `generate` where nothing stands here.
STEPS: dict[str, list[list[str]]] = {
    "raw-limited": [[*GENERATE, "--limit", "3"]],
    "raw-changed-plan": [["generate", "config-before.yaml"], GENERATE],
    "columns-changed-schema": [["generate", "config-before.yaml"], GENERATE],
    "raw-retried": [GENERATE, ["relent"], [*GENERATE, "--retry-failed"]],
    "raw-simulated": [[*GENERATE, "--offline"]],
    "raw-killed": [["killed", "3", "whole"]],
    "preference-killed": [["killed", "4", "half"]],
}
# Runs beside `again` and `rebuilt`: config and options.
RUNS: dict[str, dict[str, tuple[str, list[str]]]] = {
    "raw-limited": {"limited again": ("config.yaml", ["--limit", "3"])},
    "raw-changed-plan": {"before": ("config-before.yaml", [])},
    "columns-changed-schema": {"before": ("config-before.yaml", [])},
    "raw-budget-reached": {"more": ("config-more.yaml", [])},
    "raw-failed": {"retried": ("config.yaml", ["--retry-failed"])},
    "raw-killed": {"retried": ("config.yaml", ["--retry-failed"])},
    "preference-killed": {"retried": ("config.yaml", ["--retry-failed"])},
    "preference-some-failed": {"retried": ("config.yaml", ["--retry-failed"])},
    "conversation-tree": {"deeper": ("config-deeper.yaml", [])},
    "conversation-half-grown": {"more": ("config-more.yaml", [])},
    "facade-columns": {"more": ("config-more.py", [])},
}
NOT_REBUILT = {"columns-person": "the names that Faker makes up differ between its versions"}


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


class Model:
    """Answers as models do: with fences, with thoughts, with a comma too many; and some topics it cannot do."""

    relents = False

    def __call__(self, request: Recorded) -> Answer:
        asked, number = request.json, crc32(request.raw)
        delay_s = 0.02 + number % 10 / 1000
        first = json.dumps(asked, ensure_ascii=False)
        if not self.relents:
            if "refused knots" in first:
                return Answer(status=400, body={"error": {"message": "no such knots", "code": "bad_knots"}})
            if "impossible knots" in first and asked.get("model") != "m-2":
                return Answer(text="I cannot tie these.", delay_s=delay_s)
            if "impossible tides" in first and asked.get("model") == "m-4":
                return Answer(text="No verdict.", delay_s=delay_s)
            if (
                "Half impossible" in first
                and asked.get("model") == "m-4"
                and self._hates(asked["messages"][0]["content"])
            ):
                return Answer(text="No verdict.", delay_s=delay_s)
            if "cut-off tales" in first:
                return Answer(text='{"texts": ["Once', finish_reason="length", delay_s=delay_s)
        form = (asked.get("response_format") or {}).get("json_schema")
        if form is None and request.target.endswith("/chat/completions"):
            shapes = (f"Reply {number} \u2013 \u00e9\u6f6e.", f"<think>Hm.</think>\n\nReply {number}.\n")
            return Answer(text=shapes[number % 2], delay_s=delay_s)
        if form is None:
            return Answer(body=reply_to(request, Answer(), number=number), delay_s=delay_s)
        value = self._value(form["schema"], f"reply {number} \u2013 \u00e9\u6f6e", first)
        text = json.dumps(value, ensure_ascii=False)
        shapes = (
            text,
            f"```json\n{text}\n```",
            f"<think>Let me see: {{}}</think>\n{text}",
            re.sub(r'"\]', '",]', text),
            f"Here it is:\n{text}\nDone.",
        )
        return Answer(text=shapes[number % len(shapes)], delay_s=delay_s)

    def _hates(self, prompt: str) -> bool:
        return crc32(prompt.encode()) % 3 == 0

    def _value(self, schema: dict[str, Any], label: str, first: str) -> Any:
        value = sample(schema, label)
        if "score" in value:
            value["score"] = 1 + crc32(label.encode()) % 5
        if "short letters" in first and not self.relents and len(value["texts"]) == 3:
            value["texts"] = value["texts"][:2]
        return value


def die_after_append(number: int, how: str) -> None:
    """Ends this process right after its append `number` to the rows, before the ledger knows of it."""
    from datafast.engine.appendfile import AppendFile

    appended, append = 0, AppendFile.append

    def fatal(self: AppendFile, data: bytes) -> None:
        nonlocal appended
        appended += self.path.name == "out.jsonl"
        if self.path.name == "out.jsonl" and appended == number:
            append(self, data if how == "whole" else data[: -len(data) // 3])
            os._exit(9)
        append(self, data)

    AppendFile.append = fatal  # type: ignore[method-assign]


def dump(folder: Path, target: Path, before: dict[str, str]) -> None:
    """Writes files as text."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted(folder.iterdir()):
        name = path.name.replace(".jsonl", "-jsonl")
        if path.name in before or path.name.endswith(("-lock", "-wal", "-shm")):
            continue
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(path)) as database:
                written = "\n".join(database.iterdump()) + "\n"
                assert database.execute("PRAGMA user_version").fetchone() == (0,)
            (target / f"{name}.sql").write_bytes(written.encode())
            with closing(sqlite3.connect(":memory:")) as copy:
                copy.executescript(written)
                assert "\n".join(copy.iterdump()) + "\n" == written
        elif name.endswith("-replies"):
            if data:
                (target / f"{name}.base64").write_bytes(base64.encodebytes(data))
        else:
            (target / f"{name}.txt").write_bytes(data)


def make(case: str) -> None:
    folder = WORK / case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    model = Model()
    with FaultServer() as server:
        server.respond = model
        for source in (path for path in (OUTPUTS / case).iterdir() if path.is_file() and path.name != "expected.json"):
            (folder / source.name).write_bytes(source.read_bytes().replace(PLACE.encode(), server.url.encode()))
        before = hashes(folder)
        for step in STEPS.get(case, [GENERATE]):
            if step == ["relent"]:
                model.relents = True
            elif step[0] == "killed":
                ended = subprocess.run([sys.executable, __file__, *step], check=False, capture_output=True, text=True)
                assert ended.returncode == 9, ended
            elif (folder / "config.py").exists():
                say(case, go_on(folder, server, "config.py", []))
            else:
                code, report = command(*step)
                say(case, step, code, {name: report[name] for name in ("written", "failed", "pending", "calls")})
    dump(folder, OUTPUTS / case / "made", before)


def expect(case: str) -> None:
    """Notes what 0.1.0 does with the files that were made."""
    config = "config.py" if (OUTPUTS / case / "config.py").exists() else "config.yaml"
    options = ["--offline"] if case == "raw-simulated" else []
    runs = {"again": (config, options), **RUNS.get(case, {})}
    if case not in NOT_REBUILT:
        runs["rebuilt"] = (config, options)
    found: dict[str, Any] = {"status": {}, "runs": {}}
    for name, (config, options) in runs.items():
        folder = WORK / f"{case} {name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.chdir(folder)
        with FaultServer() as server:
            server.respond = by_content
            restore(case, folder, server.url)
            found["status"], codes = read_only(folder)
            assert set(codes) == {0}, codes
            if name == "rebuilt":
                take_away_rows(folder)
            found["runs"][name] = go_on(folder, server, config, options)
        shown = {key: value for key, value in found["runs"][name].items() if key not in ("uuids", "config", "options")}
        say(case, name, shown)
    (OUTPUTS / case / "expected.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["killed"]:
        from datafast.cli.main import cli

        die_after_append(int(sys.argv[2]), sys.argv[3])
        cli.main(GENERATE)
    else:
        for chosen in sys.argv[1:] or sorted(path.name for path in OUTPUTS.iterdir() if path.is_dir()):
            make(chosen)
            expect(chosen)
