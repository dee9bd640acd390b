"""`dataset` and `generator`: what they take, what they generate, where their files lie, and what they save."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from datafast import SimulatedProvider, dataset, generator, sample
from datafast.errors import ConfigError, DatafastWarning, ErrorKind, MissingKeyError, ProviderError, RunStopped
from datafast.schema.config import RunConfig
from tests.servers.fault_server import FaultServer
from tests.support import CountingProvider, assert_balanced, requests_in, rows_of

SIM = SimulatedProvider("m")


# -- generators


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({"provider": "OpenAI"}, "openai/gpt-5-mini"),
        ({"provider": "anthropic", "model": "claude-x"}, "anthropic/claude-x"),
        ({"provider": "ollama/gemma3:4b"}, "ollama/gemma3:4b"),
        ({}, "openai/gpt-5-mini"),
    ],
)
def test_a_generator_is_named_like_a_provider(given: dict[str, Any], label: str) -> None:
    found = generator(**given).provider.label
    assert found.split("/")[0] == label.split("/")[0]
    assert "model" not in given or found == label


def test_what_a_generator_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'openai'"):
        generator("opnai")
    with pytest.raises(ConfigError, match="temperature"):
        generator("openai", temprature=1)
    with pytest.raises(ConfigError, match="already has its parameters"):
        generator(SIM, model="x")
    with pytest.raises(ConfigError, match="Call it with a prompt"):
        dataset({"x": generator(SIM)})


def test_a_key_comes_from_the_environment_and_is_missed_only_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, fault_server: FaultServer
) -> None:
    ds = dataset({"x": generator("openai")("hello")})
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        ds.generate_sync(1)
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    assert len(ds.generate_sync(1)) == 1
    assert fault_server.requests[0].headers["authorization"] == "Bearer from-the-environment"


# -- generating


def test_rows_come_in_their_order_whatever_the_order_of_replies() -> None:
    slow = SimulatedProvider("m", latency_s=0.001, latency_jitter_s=0.02)
    schema = {"n": sample.choice(list(range(40)), mode="round_robin"), "x": generator(slow)("{n}")}
    assert list(dataset(schema).generate_sync(40)["n"]) == list(range(40))


def test_no_rows_give_an_empty_frame_with_the_columns() -> None:
    df = asyncio.run(dataset({"a": 1, "b": generator("openai")("x")}).generate(n=0))
    assert (list(df.columns), len(df)) == (["a", "b"], 0)


def test_how_many_rows_is_told_at_either_place() -> None:
    assert len(dataset({"a": 1}).generate_sync()) == 100
    assert len(dataset({"a": 1}, n=3).generate_sync()) == 3
    assert len(dataset({"a": 1}, 3).generate_sync(2)) == 2
    with pytest.raises(ConfigError, match="num_rows"):
        dataset({"a": 1}).generate_sync(-1)


def test_it_can_be_generated_below_a_running_event_loop() -> None:
    async def main() -> int:
        return len(dataset({"x": generator(SIM)("y")}).generate_sync(2))

    assert asyncio.run(main()) == 2


def test_generating_again_makes_no_call_and_more_rows_only_theirs(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    ds = dataset({"n": sample.uuid(), "x": generator(CountingProvider("m", log=log))("y {n}")})
    first = ds.generate_sync(4)
    pd.testing.assert_frame_equal(ds.generate_sync(4), first)
    pd.testing.assert_frame_equal(ds.generate_sync(6)[:4], first)
    assert len(requests_in(log)) == 6


def test_offline_and_real_rows_do_not_meet(openai: FaultServer) -> None:
    ds = dataset({"x": generator("openai", "KEY")("hello")})
    assert len(ds.generate_sync(2, offline=True)) == 2
    assert openai.requests == []
    assert list(ds.generate_sync(2)["x"]) == ["<hello>"] * 2


def test_rows_that_failed_are_left_out_with_a_warning_and_can_be_retried(tmp_path: Path) -> None:
    log = tmp_path / "requests"
    refused = ProviderError("no", kind=ErrorKind.CONTENT_FILTER, status=400)
    provider = CountingProvider(
        "m", log=log, reply=lambda request: refused if "2" in request.messages[0]["content"] else None
    )
    ds = dataset({"n": sample.choice([0, 1, 2, 3], mode="round_robin"), "x": generator(provider)("about {n}")})
    with pytest.warns(DatafastWarning, match=r"1 of 4 rows failed \(content_filter 1\)"):
        df = ds.generate_sync(4)
    assert list(df["n"]) == [0, 1, 3]
    assert ds.report is not None
    assert (ds.report.failed, [item.prompt for item in ds.failed_items]) == (1, ["about 2"])
    provider.reply = None
    assert list(ds.generate_sync(4, retry_failed=True)["n"]) == [0, 1, 2, 3]


# -- where the files lie


def test_a_run_that_ended_early_keeps_its_folder_names_it_and_is_gone_on_with(
    tmp_path: Path, temporary_files: Path
) -> None:
    log = tmp_path / "requests"

    def made(limit: int | None) -> Any:
        schema = {"id": sample.uuid(), "x": generator(CountingProvider("m", log=log))("say {id}")}
        return dataset(schema, run=RunConfig(max_calls=limit, max_concurrency=1))

    with pytest.raises(RunStopped) as caught:
        made(5).generate_sync(8)
    (note,) = caught.value.__notes__
    folder = Path(re.search(r"kept in (\S+)\. ", note)[1])  # type: ignore[index]
    assert temporary_files in folder.parents
    assert len(rows_of(folder / "rows.jsonl")) == 5
    assert len(made(None).generate_sync(8)) == 8
    assert len(requests_in(log)) == 8


PROCESS = """
import sys
from datafast import dataset, generator, sample
from datafast.schema.config import RunConfig
ds = dataset({"id": sample.uuid(), "x": generator("simulated")("say {id}")}, run=RunConfig(max_calls=int(sys.argv[1]), max_concurrency=1))
try:
    print(len(ds.generate_sync(6)), ds.report.calls)
except Exception as error:
    print(type(error).__name__)
"""


def test_temporary_files_go_with_the_process_unless_the_run_ended_early(temporary_files: Path) -> None:
    def run(limit: int, end: str = "") -> str:
        environment = {**os.environ, "TMPDIR": str(temporary_files)}
        done = subprocess.run(
            [sys.executable, "-c", PROCESS + end, str(limit)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=120,
        )
        return done.stdout.strip()

    def left() -> list[Path]:
        return [path for path in temporary_files.glob("datafast-*/*") if path.is_dir()]

    assert run(4) == "RunStopped"
    assert len(left()) == 1
    assert run(100) == "6 2"
    assert left() == []
    assert run(100) == "6 6"
    assert left() == []
    assert run(100, "\nraise RuntimeError") == "6 6"
    assert len(left()) == 1
    assert run(100) == "6 0"
    assert left() == []


def test_an_output_file_is_the_users_and_a_changed_schema_keeps_its_cells(tmp_path: Path) -> None:
    log, output = tmp_path / "requests", tmp_path / "rows.jsonl"
    gen = generator(CountingProvider("m", log=log))
    schema = {"id": sample.uuid(), "x": gen("x {id}")}
    dataset(schema, output_file=output).generate_sync(3)
    ds = dataset({**schema, "y": gen("y {x}")}, output_file=output)
    df = ds.generate_sync(3)
    assert_balanced(ds.report)
    assert len(requests_in(log)) == 6
    assert sorted(row["y"] for row in rows_of(output)) == sorted(df["y"])


def test_two_that_run_at_once_do_not_get_in_each_others_way() -> None:
    slow = SimulatedProvider("m", latency_s=0.2)

    async def main() -> list[int]:
        made = [dataset({"x": generator(slow)("y")}) for _ in range(2)]
        first = asyncio.create_task(made[0].generate(2))
        await asyncio.sleep(0.1)
        return [len(await made[1].generate(2)), len(await first)]

    assert asyncio.run(main()) == [2, 2]


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="other users' folders are told by their owner")
def test_a_folder_that_others_may_read_is_not_used(temporary_files: Path) -> None:
    shared = temporary_files / f"datafast-{os.getuid()}"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    dataset({"x": 1}).generate_sync(1)
    assert list(shared.iterdir()) == []


# -- saving


@pytest.mark.parametrize(
    "name", ["rows.parquet", "rows.csv", "rows.json", "rows.jsonl", "rows.ndjson", "deep/er/rows.PARQUET"]
)
def test_the_format_is_what_the_path_ends_in(tmp_path: Path, name: str) -> None:
    ds = dataset(
        {
            "n": sample.choice([1, 2, None], mode="round_robin"),
            "t": sample.choice(['ü, "x"\n', "b"], mode="round_robin"),
            "o": {"a": [1]},
            "f": lambda n: n,
        }
    )
    df = ds.generate_sync(5)
    path = ds.save(tmp_path / name)
    assert path == tmp_path / name
    kind = path.suffix.lower()
    if kind == ".parquet":
        found = pd.read_parquet(path)
        assert [json.loads(text) for text in found["o"]] == list(df["o"])
    elif kind == ".csv":
        found = pd.read_csv(path)
    elif kind == ".json":
        found = pd.DataFrame(json.loads(path.read_text("utf-8")))
    else:
        found = pd.DataFrame([json.loads(line) for line in path.read_text("utf-8").split("\n") if line])
    assert list(found.columns) == list(df.columns)
    assert list(found["t"]) == list(df["t"])
    assert [None if pd.isna(n) else int(n) for n in found["f"]] == [1, 2, None, 1, 2]
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []


def test_a_format_that_is_not_known_or_not_said_is_refused(tmp_path: Path) -> None:
    ds = dataset({"a": 1})
    with pytest.raises(ConfigError, match=r"Call await ds\.generate\(n\) or ds\.generate_sync\(n\) first\.$"):
        ds.save(tmp_path / "x.csv")
    ds.generate_sync(1)
    with pytest.raises(ConfigError, match=r"There is no format 'parqet'\. Did you mean 'parquet'"):
        ds.save(tmp_path / "x.parqet")
    with pytest.raises(ConfigError, match="does not say its format"):
        ds.save(tmp_path / "x")
    assert ds.save(tmp_path / "x.csv", format="jsonl").read_text() == '{"a":1}\n'
    assert ds.save(tmp_path / "x", "csv").read_text().splitlines() == ["a", "1"]
    assert ds.to_csv(tmp_path / "sheet").read_text().splitlines() == ["a", "1"]
    assert ds.to_jsonl(tmp_path / "lines").read_text() == '{"a":1}\n'
    assert ds.to_parquet(tmp_path / "table").read_bytes()[:4] == b"PAR1"


def test_rows_that_are_there_can_be_had_after_an_early_end() -> None:
    ds = dataset({"x": generator("simulated")("y")}, run=RunConfig(max_calls=2, max_concurrency=1))
    with pytest.raises(RunStopped):
        ds.generate_sync(5)
    assert len(ds.to_pandas()) == len(ds.to_huggingface()) == 2


def test_what_is_wrong_with_a_schema_is_said_all_at_once() -> None:
    gen = generator(SIM)
    with pytest.raises(ConfigError) as caught:
        dataset(
            {"topic": sample.choice(["a"]), "x": gen("about {topci}"), "y": gen("{x.}{% if %}"), "z": gen("a {levl}")}
        )
    lines = str(caught.value).splitlines()
    assert (
        lines[0]
        == "x.prompt: {topci}: There is no column 'topci'. Did you mean 'topic'? Text in braces stands between {% raw %} and {% endraw %}."
    )
    assert [line.split(":")[0] for line in lines] == ["x.prompt", "y.prompt", "z.prompt"]
    for bad in ("a text", {}, None):
        with pytest.raises(ConfigError, match="expected a mapping of column names"):
            dataset(bad)  # type: ignore[arg-type]


# -- functions and sources


def adding(amount: int) -> Any:
    return lambda n: n + amount


@pytest.mark.parametrize("make", [adding, lambda amount: eval(f"lambda n: n + {amount}")], ids=["closure", "no source"])
def test_schemas_that_differ_in_what_a_function_does_share_nothing(make: Any) -> None:
    made = [dataset({"n": 5, "x": make(amount)}) for amount in (1, 2)]
    assert [list(ds.generate_sync(2)["x"]) for ds in made] == [[6, 6], [7, 7]]
    assert [list(ds.to_pandas()["x"]) for ds in made] == [[6, 6], [7, 7]]


def test_rows_of_a_source_that_are_left_out_are_told_of() -> None:
    column = sample.from_dataset([{"q": str(number)} for number in range(120)], "q")
    with pytest.warns(DatafastWarning, match=r"generate makes 100 rows by default, and the list has 120\. Give n=120"):
        assert len(dataset({"q": column}).generate_sync()) == 100
    assert len(dataset({"q": column}).generate_sync(120)) == 120
