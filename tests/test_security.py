"""Keys stay where they belong, and the package runs nothing that is not its own."""

from __future__ import annotations

import ast
import json
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import datafast
from datafast import logger_config
from datafast.columns.json_schema import schema_model
from datafast.datasets import RawDataset
from datafast.datasets.conversation.tools import Tools
from datafast.engine.events import Event
from datafast.errors import ConfigError, ProviderError, ReplyError, RunStopped
from datafast.llms import LiteLLMProvider, LLMProvider, OpenAICompatibleProvider
from datafast.logger_config import configure_logger
from datafast.schema.config import RawDatasetConfig, RunConfig
from tests.servers.fault_server import Answer, FaultServer
from tests.support import rows_of

CANARY = "sk-canary-0123456789abcdefghij"
PACKAGE = Path(datafast.__file__).parent


def direct(url: str, timeout: float = 0.3) -> LLMProvider:
    return OpenAICompatibleProvider("m", api_base=url, api_key=CANARY, timeout=timeout)


def through_litellm(url: str) -> LLMProvider:
    return LiteLLMProvider("openai/m", api_base=url, api_key=CANARY, timeout=2)


def configured(**options: Any) -> Callable[[str], LLMProvider]:
    """A provider with another key, and the canary in its further options."""

    def make(url: str) -> LLMProvider:
        return OpenAICompatibleProvider("m", api_base=url, api_key="the-other-key-0815", timeout=0.3, **options)

    return make


PLACES = {
    "api_key": direct,
    "litellm": through_litellm,
    "header": configured(extra_headers={"X-Auth": CANARY}),
    "cookie": configured(extra_headers={"Cookie": f"theme=dark; sid={CANARY}; lang=en"}),
    "scheme": configured(extra_headers={"X-Upstream": f"Token {CANARY}"}),
    "scheme in extra": configured(extra={"tools": [{"run": {"with": f"Bearer {CANARY}"}}]}),
    "plural": configured(extra={"metadata": {"api_keys": [CANARY]}}),
    "address in extra": configured(extra={"mcp_servers": [{"url": f"https://x.test/sse?token={CANARY}"}]}),
    "user in extra": configured(extra={"mcp_servers": [{"url": f"https://me:{CANARY}@x.test/sse"}]}),
    "looks": configured(extra={"metadata": {"who": CANARY}}),
    "query": lambda url: direct(f"{url}/v1?api-key={CANARY}"),
    "path": lambda url: direct(f"{url}/{CANARY}/v1"),
}


@pytest.mark.parametrize("make", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("status", [200, "echo", "odd", 400, 401, 429, 500, "timeout"])
def test_a_key_is_in_no_file_no_output_and_no_event(
    status: int | str,
    make: Callable[[str], LLMProvider],
    tmp_path: Path,
    fault_server: FaultServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    echo = {"error": {"message": f"Incorrect API key provided: {CANARY}", "param": CANARY}}
    answers = {
        200: Answer(),
        "echo": Answer(text=f'{{"texts": ["You sent {CANARY} with it."]}}'),
        "odd": Answer(body={CANARY: f"You sent {CANARY}."}),
        "timeout": Answer(delay_s=5),
    }
    answer = answers.get(status) or Answer(status=int(status), body=echo)
    fault_server.respond = lambda request: answer
    configure_logger(level="DEBUG", log_file=tmp_path / "run.log")
    config = RawDatasetConfig(
        document_types=["note"],
        topics=["a", "b"],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        run=RunConfig(max_retries=1, max_stall_s=0.1),
    )
    dataset = RawDataset(config)
    events: list[Event] = []
    provider = make(fault_server.url)
    told = [repr(provider)]
    try:
        dataset.generate([provider], on_event=events.append)
    except RunStopped as stopped:
        told.append(f"{stopped!r} {stopped} {''.join(traceback.format_exception(stopped))}")
    try:
        provider.generate("Hello")
    except (ProviderError, ReplyError) as error:
        told.append(f"{error!r} {error} {''.join(traceback.format_exception(error))}")
    logger_config.unconfigure()
    assert all(CANARY in f"{sent.target} {sent.headers} {sent.raw!r}" for sent in fault_server.requests)
    shown = capfd.readouterr()
    told += [shown.out, shown.err, *map(repr, events), repr(dataset.report), repr(list(dataset.failed_items))]
    told += [dataset._repr_html_(), repr(dataset.estimate([provider]))]
    assert not [text for text in told if CANARY in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert CANARY.encode() not in path.read_bytes()


@pytest.mark.parametrize("key", ["AbC/d+0123456789/xyz==", 'it-has-a-"quote"-12345', "back\\slash-0123456789"])
def test_a_key_is_found_however_json_writes_it(key: str, tmp_path: Path, fault_server: FaultServer) -> None:
    texts = [f"You sent {key} with it."]
    escaped = json.dumps(texts).replace("/", "\\/")
    fault_server.respond = lambda request: Answer(text=f'{{"texts": {escaped}}}')
    config = RawDatasetConfig(
        document_types=["note"], topics=["a"], num_samples_per_prompt=1, output_file=tmp_path / "out.jsonl"
    )
    RawDataset(config).generate([OpenAICompatibleProvider("m", api_base=fault_server.url, api_key=key)])
    assert rows_of(tmp_path / "out.jsonl")[0]["text"] == "You sent [redacted] with it."


def test_the_package_never_evaluates_unpickles_or_shells_out() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve", "subprocess", "dill", "cloudpickle"}
    # Four files start a process: our own interpreter, with a script or a command of ours, without a shell. One of these scripts starts the
    # program that the user has allowed for a stage.
    names = ("llms/local/llama_server.py", "quality/commands.py", "view/config/planner.py", "view/reports.py")
    starters = [PACKAGE / name for name in names]
    # Ray itself packs what it sends by cloudpickle; so what it is given is packed by that, between processes of one cluster.
    packers = [PACKAGE / "executors" / "ray.py"]

    def allowed(path: Path) -> set[str]:
        return {"subprocess"} if path in starters else {"pickle"} if path in packers else set()

    for starter in starters:
        assert "shell" not in starter.read_text(encoding="utf-8")
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in forbidden, f"{path}:{node.lineno}"
            if isinstance(node, ast.Import):
                found = modules & {alias.name.partition(".")[0] for alias in node.names}
                assert found <= allowed(path), f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in modules, f"{path}:{node.lineno}"


ESCAPES = "\x1b]0;owned\x07\x1b[31mred\u202etxt\x00"
STEERING = set("\x1b\x07\u202e\x00")


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_what_a_server_says_steers_no_terminal(
    status: int, tmp_path: Path, fault_server: FaultServer, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = Answer(status=status, body={"error": {"message": f"No. {ESCAPES}", "code": ESCAPES}})
    fault_server.respond = lambda request: answer
    configure_logger(level="DEBUG", log_file=tmp_path / "run.log")
    config = RawDatasetConfig(
        document_types=["note"],
        topics=["a"],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
        run=RunConfig(max_retries=1, retry_delay_s=0.01, max_retry_delay_s=0.01, max_stall_s=0.1),
    )
    dataset = RawDataset(config)
    told = ""
    try:
        dataset.generate([direct(fault_server.url, timeout=60)])
    except RunStopped as stopped:
        told = "".join(traceback.format_exception(stopped))
    with pytest.raises(ProviderError) as raised:
        direct(fault_server.url, timeout=60).generate("hello")
    told += "".join(traceback.format_exception(raised.value))
    logger_config.unconfigure()
    shown = capfd.readouterr()
    failed = "".join(item.error for item in dataset.failed_items)
    assert "owned" in told
    for text in (told, failed, shown.out, shown.err, (tmp_path / "run.log").read_text("utf-8")):
        assert not set(text) & STEERING


def test_an_error_in_the_log_steers_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure_logger(log_file=tmp_path / "run.log")
    try:
        raise ValueError(ESCAPES)
    except ValueError as error:
        logger_config.logger.opt(exception=error).error(f"It said {ESCAPES}")
    logger_config.unconfigure()
    for text in (capfd.readouterr().err, (tmp_path / "run.log").read_text("utf-8")):
        assert text.count("\\x1b[31mred") == 2
        assert "Traceback" in text
        assert not set(text) & STEERING


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$recursiveRef", "$schema"])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", ["column", "tool"])
def test_no_schema_is_ever_fetched(kind: str, deep: bool, key: str, fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(body={"type": "string"})
    part = {key: f"{fault_server.url}/schema.json"}
    properties: dict[str, Any] = {"x": part if deep else {"type": "string"}}
    schema = {"type": "object", "properties": properties, **({} if deep else part)}
    with suppress(ConfigError):
        if kind == "tool":
            assert Tools([{"name": "f", "parameters": schema}]).problem({"name": "f", "arguments": {"x": "a"}}) is None
        else:
            schema_model(schema, name="A").model_validate({"x": "a"})
    assert not fault_server.requests
