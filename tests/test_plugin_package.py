"""A package outside this tree that adds a kind, a provider and a stage: one file and one entry point each, and nothing else.

It is built and installed by pip into a folder of its own, and used by the command line in processes of their own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datafast.registry import BUILT_IN
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import ROOT, rows_of

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "riddles"
version = "1.0"
dependencies = ["datafast"]

[project.entry-points."datafast.kinds"]
riddle = "riddles.kind:RiddleDataset"

[project.entry-points."datafast.providers"]
sphinx = "riddles.sphinx:SphinxProvider"

[project.entry-points."datafast.stages"]
brief = "riddles.brief:BriefStage"
unlike = "riddles.unlike:UnlikeStage"

[tool.setuptools]
packages = ["riddles"]
"""
KIND = '''\
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, Field

from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import DatasetConfig
from datafast.engine.generate import Generate
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem


class RiddleRow(BaseModel):
    riddle: str
    answer: str
    model_id: str
    uuid: str


class RiddleConfig(DatasetConfig):
    answers: list[str] = Field(min_length=1)
    """What the riddles are about."""
    output_file: Path = Path("riddles.jsonl")


class RiddleDataset(FanOutDataset[RiddleConfig, RiddleRow]):
    kind = "riddle"
    config_model = RiddleConfig
    row_model = RiddleRow

    def plan(self, routes: Sequence[str]) -> GridPlan:
        return self.grid([Dimension("answer", self.config.answers)], routes=routes)

    async def produce(self, item: WorkItem, generate: Generate) -> list[RiddleRow]:
        answer = item.values["answer"]
        riddle = await generate("riddler", f"A riddle whose answer is {answer}.")
        return [RiddleRow(riddle=riddle, answer=answer, model_id=generate.model_id("riddler"), uuid=item.row_uuid(0))]
'''
PROVIDER = '''\
import json

from datafast.llms import LLMProvider
from datafast.llms.base import Request, Response
from datafast.llms.transport.json_api import JsonApi


class SphinxProvider(LLMProvider):
    """Speaks a wire format of its own."""

    provider_name = "sphinx"
    default_model_id = "thebes"

    def open(self, *, max_connections: int) -> "SphinxBackend":
        return SphinxBackend(self, max_connections)


class SphinxBackend:
    def __init__(self, provider: SphinxProvider, max_connections: int) -> None:
        self._api = JsonApi(provider, f"{provider.api_base}/ask", headers={}, max_connections=max_connections)

    async def complete(self, request: Request) -> Response:
        answer = await self._api.post(json.dumps({"question": request.messages[-1]["content"]}).encode())
        message = {"role": "assistant", "content": json.loads(answer.raw)["says"]}
        reply = {"model": "thebes", "choices": [{"message": message, "finish_reason": "stop"}]}
        return Response(raw=json.dumps(reply).encode(), latency_s=answer.latency_s)

    async def aclose(self) -> None:
        await self._api.aclose()
'''
STAGE = '''\
from typing import Literal

from pydantic import BaseModel, Field

from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, drop


class BriefStage(Stage):
    """Drops riddles with too many words."""

    stage: Literal["brief"] = "brief"
    max_words: int = Field(ge=1)

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        return KEEP if len(row.riddle.split()) <= self.max_words else drop(f"more than {self.max_words} words")
'''
WALK_STAGE = '''\
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from datafast.quality.base import KEEP, TextWalkStage, Verdict, Walk, drop


class UnlikeStage(TextWalkStage[str]):
    """Drops riddles that begin like an earlier one."""

    stage: Literal["unlike"] = "unlike"
    letters: int = Field(default=4, ge=1)

    def features(self, rows: Sequence[BaseModel]) -> list[str]:
        return ["".join(self.texts(row))[: self.letters] for row in rows]

    def walk(self) -> Walk[str]:
        return Beginnings()


class Beginnings:
    def __init__(self) -> None:
        self.kept: set[str] = set()

    def decide(self, features: str) -> Verdict:
        return drop("begins like an earlier one") if features in self.kept else KEEP

    def keep(self, features: str) -> None:
        self.kept.add(features)
'''
FILES = {
    "pyproject.toml": PYPROJECT,
    "riddles/kind.py": KIND,
    "riddles/sphinx.py": PROVIDER,
    "riddles/brief.py": STAGE,
    "riddles/unlike.py": WALK_STAGE,
}
CONFIG = """\
kind: riddle
answers: [a river, a clock, the moon, a shadow, the wind]
output_file: riddles.jsonl
providers:
  - {provider: sphinx, api_base: "%s"}
quality:
  - {stage: brief, max_words: 5}
"""
LONG = {"a river", "the moon"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in. Its source is gone by then: nothing can be found there by chance."""
    for needed in ("pip", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"a package cannot be built and installed here: there is no {needed}")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, content in FILES.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(content, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    # Without isolation, so that the backend is the one at hand: nothing is downloaded.
    command += ["--no-build-isolation", "--no-deps", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    source.rename(source.with_name("moved"))
    return target


@pytest.fixture
def sphinx(fault_server: FaultServer) -> FaultServer:
    """A server that answers in the format of the package's provider, to some questions at length and to one not at all."""

    def respond(request: Recorded) -> Answer:
        answer = request.json["question"].removeprefix("A riddle whose answer is ").removesuffix(".")
        if answer == "the wind":
            return Answer(status=400, body={"error": "no riddle about the wind"})
        return Answer(body={"says": "What is it that never ever rests?" if answer in LONG else "What never rests?"})

    fault_server.respond = respond
    return fault_server


def datafast(site: Path, folder: Path, *words: str, exit_code: int = 0) -> str:
    """What a command prints, run where the package is installed; what it complains of, where it has to end with 2."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "datafast", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == exit_code, done.stderr
    return done.stderr if exit_code == 2 else done.stdout


def tree() -> dict[str, tuple[int, int]]:
    """Every file of datafast's own package."""
    found = [path for path in (ROOT / "datafast").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def test_a_config_of_its_kind_runs_with_its_provider_and_its_stage(
    site: Path, sphinx: FaultServer, tmp_path: Path
) -> None:
    before = tree()
    (tmp_path / "riddles.yaml").write_text(CONFIG % sphinx.url, encoding="utf-8")
    assert json.loads(datafast(site, tmp_path, "plan", "riddles.yaml", "--json"))["total_calls"] == 5
    report = json.loads(datafast(site, tmp_path, "generate", "riddles.yaml", "--json", exit_code=3))
    counts = {name: report[name] for name in ("requested", "written", "filtered", "failed", "pending")}
    assert counts == {"requested": 5, "written": 2, "filtered": 2, "failed": 1, "pending": 0}
    assert report["calls"] in {4, 5}
    assert report["filtered_by_stage"] == {"brief": {"more than 5 words": 2}}
    rows = rows_of(tmp_path / "riddles.jsonl")
    assert {row["answer"]: row["riddle"] for row in rows} == dict.fromkeys(("a clock", "a shadow"), "What never rests?")
    assert {row["model_id"] for row in rows} == {"thebes"}
    # One prompt is refused. Where nothing else is left to tell whose fault that is, it is asked again, and so is one that was answered.
    assert {request.target for request in sphinx.requests} == {"/ask"}
    assert 5 <= len(sphinx.requests) <= 8
    assert tree() == before


def test_a_run_that_is_repeated_buys_nothing_and_status_knows_its_rows(
    site: Path, sphinx: FaultServer, tmp_path: Path
) -> None:
    (tmp_path / "riddles.yaml").write_text(CONFIG % sphinx.url, encoding="utf-8")
    first, again = (
        json.loads(datafast(site, tmp_path, "generate", "riddles.yaml", "--json", exit_code=3)) for _ in range(2)
    )
    assert first["calls"] in {4, 5}
    assert again["calls"] == 0
    assert (
        5 <= len(sphinx.requests) <= 8
    )  # the refused one may have been asked again in the first run, and one that was answered
    status = json.loads(datafast(site, tmp_path, "status", "riddles.jsonl", "--json"))
    assert [status[name] for name in ("requested", "written", "filtered", "failed", "pending")] == [5, 2, 2, 1, 0]
    assert status["filtered_by_stage"] == {"brief": {"more than 5 words": 2}}


def test_its_stage_that_compares_rows_decides_in_a_run_and_over_a_file(
    site: Path, sphinx: FaultServer, tmp_path: Path
) -> None:
    stages = "{stage: unlike, field: riddle, letters: 6}"
    config = (CONFIG % sphinx.url).replace("{stage: brief, max_words: 5}", stages)
    (tmp_path / "riddles.yaml").write_text(config, encoding="utf-8")
    report = json.loads(datafast(site, tmp_path, "generate", "riddles.yaml", "--json", exit_code=3))
    assert (report["written"], report["filtered"], report["failed"]) == (2, 2, 1)
    assert report["filtered_by_stage"] == {"unlike": {"begins like an earlier one": 2}}

    texts = ["What never rests?", "What is it that rests?", "What never sleeps?"]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps({'riddle': text})}\n" for text in texts), encoding="utf-8")
    command = ["filter", "in.jsonl", "--quality", "riddles.yaml", "-o", "kept.jsonl", "--json"]
    assert json.loads(datafast(site, tmp_path, *command))["filtered"] == 1
    assert [row["riddle"] for row in rows_of(tmp_path / "kept.jsonl")] == [
        "What never rests?",
        "What is it that rests?",
    ]

    (tmp_path / "riddles.yaml").write_text(config.replace("letters: 6", "letters: 0"), encoding="utf-8")
    told = datafast(site, tmp_path, "plan", "riddles.yaml", exit_code=2)
    assert "riddles.yaml:7: quality[0].letters: " in told


def test_schema_and_help_tell_of_what_it_adds(site: Path, tmp_path: Path) -> None:
    schema = json.loads(datafast(site, tmp_path, "schema"))
    assert set(schema["properties"]["kind"]["enum"]) == {*BUILT_IN["datafast.kinds"], "riddle"}
    definitions = schema["$defs"]
    stages = definitions["RawDatasetConfig"]["properties"]["quality"]["items"]["oneOf"]
    assert {stage["properties"]["stage"]["const"] for stage in stages} >= {"length", "brief", "unlike"}
    assert "sphinx" in json.dumps(definitions["provider"])
    assert "generate" in datafast(site, tmp_path, "--help")
    assert json.loads(datafast(site, tmp_path, "schema", "riddle"))["$defs"]["RiddleConfig"]


def test_a_mistake_in_its_settings_is_told_like_one_in_built_in_ones(
    site: Path, sphinx: FaultServer, tmp_path: Path
) -> None:
    def refusal(old: str, new: str) -> str:
        (tmp_path / "riddles.yaml").write_text((CONFIG % sphinx.url).replace(old, new), encoding="utf-8")
        return datafast(site, tmp_path, "plan", "riddles.yaml", exit_code=2)

    assert "riddles.yaml:2: answrs: " in refusal("answers:", "answrs:")
    assert "riddles.yaml:7: quality[0].max_words: " in refusal("max_words: 5", "max_words: 0")
    assert "Did you mean 'sphinx'?" in refusal("provider: sphinx", "provider: sphinks")
    assert sphinx.requests == []
