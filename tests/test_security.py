"""Keys stay where they belong, and the package runs nothing that is not its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import datafast
from datafast import logger_config
from datafast.datasets import RawDataset
from datafast.errors import RunStopped
from datafast.llms import OpenAICompatibleProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig, RunConfig
from tests.servers.fault_server import Answer, FaultServer

CANARY = "sk-canary-0123456789abcdefghij"
PACKAGE = Path(datafast.__file__).parent


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_a_key_is_in_no_file_and_no_output(
    status: int, tmp_path: Path, fault_server: FaultServer, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {CANARY}", "param": CANARY}}
    fault_server.respond = lambda request: Answer() if status == 200 else Answer(status=status, body=echo)
    configure_logger(level="DEBUG", log_file=tmp_path / "run.log")
    config = RawDatasetConfig(
        document_types=["note"],
        topics=["a", "b"],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        run=RunConfig(max_retries=1, max_stall_s=0.1),
    )
    dataset = RawDataset(config)
    error = ""
    try:
        dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url, api_key=CANARY)])
    except RunStopped as stopped:
        error = f"{stopped!r} {stopped}"
    logger_config.unconfigure()
    assert all(request.headers["authorization"] == f"Bearer {CANARY}" for request in fault_server.requests)
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err + error + repr(dataset.report)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert CANARY.encode() not in path.read_bytes()


def test_the_package_never_evaluates_unpickles_or_shells_out() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "subprocess", "dill", "cloudpickle"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden, f"{path}:{node.lineno}"
            if isinstance(node, ast.Import):
                assert not modules & {alias.name.partition(".")[0] for alias in node.names}, f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in modules, f"{path}:{node.lineno}"
