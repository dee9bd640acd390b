"""`LlamaCppProvider`: a GGUF file of this machine or of the Hub is an ordinary provider, with no key and no server to set up."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from datafast.errors import ConfigError, ErrorKind, MissingExtraError, ProviderError, ReplyCategory, ReplyError
from datafast.llms import LlamaCppProvider, OpenAIProvider, provider_from_spec, release_models
from datafast.llms.base import Request
from datafast.llms.local.model_cache import _entries
from datafast.llms.replies.completion import decode_completion
from tests.servers.hub_server import HubServer
from tests.support import ROOT, assert_balanced, preference, raw, roles, rows_of


class Judged(BaseModel):
    texts: list[str] = Field(min_length=1, max_length=3)
    label: Literal["good", "bad"]
    score: int = Field(ge=1, le=10)


class Short(BaseModel):
    label: Literal["good", "bad"]


def local(model: Path, **options: Any) -> LlamaCppProvider:
    """One thread: so small a model is no faster with several, and what runs beside it is slower."""
    return LlamaCppProvider(model_path=model, **{"threads": 1, **options})


def answers(provider: LlamaCppProvider, *prompts: str) -> bool:
    """Whether it answers each prompt. Kept to a schema, since the model's free text is now and then empty."""
    return all(
        isinstance(reply, Short) for reply in provider.generate(list(prompts) or ["Hello"], response_format=Short)
    )


@pytest.fixture
def model(tiny_gguf: Path) -> Iterator[Path]:
    yield tiny_gguf
    release_models()


def process_ids() -> list[int]:
    return [entry.model._process.pid for entry in _entries.values() if entry.model is not None]  # type: ignore[attr-defined]


# -- replies


def test_100_replies_keep_their_schema(model: Path) -> None:
    replies = local(model).generate([f"Text {n}" for n in range(100)], response_format=Judged)
    assert len(replies) == 100
    assert all(isinstance(reply, Judged) for reply in replies)


def test_a_dataset_gets_100_rows_of_real_text(model: Path, tmp_path: Path) -> None:
    # The model picks words at random and now and then says nothing at all.
    dataset = raw(tmp_path, topics=100, run={"max_parse_retries": 9})
    dataset.generate([local(model)])
    report = dataset.report
    assert report is not None
    assert (report.written, report.cost_usd, report.simulated) == (100, 0.0, False)
    assert report.output_tokens > 0
    assert {row["model_id"] for row in rows_of(tmp_path / "out.jsonl")} == {"tiny"}
    assert_balanced(dataset.report)


def test_it_answers_in_every_role_of_a_preference_dataset(model: Path, tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=3, run={"max_parse_retries": 9})
    dataset.generate_roles(roles(local(model)))
    assert dataset.report.written > 0
    assert_balanced(dataset.report)


def test_a_prompt_over_the_context_is_refused_and_not_cut(model: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        local(model, context_tokens=512).generate("river " * 3000)
    assert caught.value.kind is ErrorKind.CONTEXT_LENGTH


def test_a_reply_at_the_token_limit_is_told_as_cut(model: Path) -> None:
    with pytest.raises(ReplyError) as caught:
        local(model, max_completion_tokens=4).generate("Hello", response_format=Judged)
    assert caught.value.category is ReplyCategory.TRUNCATED


def test_sampling_parameters_reach_the_model(model: Path) -> None:
    def texts(**options: Any) -> set[str]:
        provider = local(model, max_completion_tokens=30, **options)
        return {reply_of(provider, "Hello") for _ in range(4)}

    assert len(texts(temperature=0)) == 1
    assert len(texts(extra={"top_k": 1})) == 1
    assert len(texts(temperature=1)) > 1


def reply_of(provider: LlamaCppProvider, prompt: str) -> str:
    """A reply as it comes, cut or not."""

    async def ask() -> str:
        backend = provider.open(max_connections=1)
        response = await backend.complete(Request([{"role": "user", "content": prompt}]))
        await backend.aclose()
        return decode_completion(response.raw).text

    return asyncio.run(ask())


def test_a_proxy_in_the_environment_is_not_asked(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert answers(local(model))


# -- one server for all


def test_a_model_is_loaded_once_for_all_runs_and_gone_when_released(model: Path, tmp_path: Path) -> None:
    provider = local(model, slots=2)
    assert answers(provider, "a", "b")
    before = process_ids()
    raw(tmp_path, topics=4).generate([provider, local(model, slots=2, temperature=0.5)])
    assert process_ids() == before
    assert release_models() == 1
    assert process_ids() == []
    if sys.platform != "win32":  # where signal 0 would be a real one
        with pytest.raises(ProcessLookupError):
            os.kill(before[0], 0)


def test_an_idle_server_with_too_few_slots_makes_room_for_one_with_more(model: Path) -> None:
    assert answers(local(model))
    before = process_ids()
    assert answers(local(model), "four", "at", "a", "time")
    assert len(process_ids()) == 1
    assert process_ids() != before


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_a_server_that_dies_is_started_again_and_no_row_is_lost(model: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(event: Any) -> None:
        if event.type == "item_done" and not killed:
            killed.extend(process_ids())
            os.kill(killed[0], signal.SIGKILL)

    dataset = raw(tmp_path, topics=60, run={"max_parse_retries": 9, "max_concurrency": 2})
    dataset.generate([local(model)], on_event=kill)
    assert killed
    assert process_ids() != killed
    assert dataset.report is not None
    assert (dataset.report.written, dataset.report.failed) == (60, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize(
    "ending", ["", "import os; os._exit(9)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_the_server_ends_with_the_process_however_that_ends(model: Path, ending: str) -> None:
    code = (
        "from datafast.llms import LlamaCppProvider; from datafast.llms.local.model_cache import _entries; import pydantic\n"
        "class Short(pydantic.BaseModel): yes: bool\n"
        f"LlamaCppProvider(model_path={str(model)!r}, threads=1).generate('Hello', response_format=Short)\n"
        "print(*[entry.model._process.pid for entry in _entries.values()], flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + ending], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ending or done.returncode == 0
    assert done.stderr == ""
    deadline = time.monotonic() + 60
    while Path(f"/proc/{done.stdout.strip()}").exists():
        assert time.monotonic() < deadline, "the server outlived the process that started it"
        time.sleep(0.05)


def test_a_script_ends_at_once_while_a_long_reply_is_being_written(model: Path) -> None:
    code = (
        "import asyncio, time; from datafast.llms import LlamaCppProvider; from datafast.llms.base import Request; "
        f"p = LlamaCppProvider(model_path={str(model)!r}, extra={{'ignore_eos': True}}, max_completion_tokens=4000)\n"
        "async def main():\n"
        "    backend = p.open(max_connections=1)\n"
        "    await backend.prepare()\n"
        "    try:\n"
        "        async with asyncio.timeout(0.2):\n"
        "            await backend.complete(Request([{'role': 'user', 'content': 'Hello'}]))\n"
        "    except TimeoutError:\n"
        "        print(time.time())\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.time() - float(done.stdout) < 5


# -- what it is


def test_rows_and_keys_name_the_model_and_never_the_path() -> None:
    provider = LlamaCppProvider(model_path="/home/me/models/gemma-3-4b-Q4_K_M.gguf", temperature=1)
    assert (provider.model_id, provider.label) == ("gemma-3-4b-Q4_K_M", "llama_cpp/gemma-3-4b-Q4_K_M")
    assert "/home" not in provider.identity
    assert LlamaCppProvider("mine", model_path="x.gguf").model_id == "mine"
    assert LlamaCppProvider(repo_id="who/what-GGUF", filename="a/what-Q8_0.gguf").model_id == "who/what-GGUF/what-Q8_0"
    assert LlamaCppProvider("who/what-GGUF").model_id == "who/what-GGUF"
    assert LlamaCppProvider("who/what-GGUF:Q8_0").model_id == "who/what-GGUF:Q8_0"
    assert LlamaCppProvider("big-00001-of-00003.gguf").model_id == "big"


def test_slots_threads_and_context_do_not_change_what_a_reply_is_worth() -> None:
    plain = LlamaCppProvider("m.gguf").identity
    assert LlamaCppProvider("m.gguf", slots=2, threads=1, context_tokens=512, gpu_layers=0).identity == plain
    assert LlamaCppProvider("m.gguf", temperature=0.1).identity != plain
    assert LlamaCppProvider("other.gguf").identity != plain
    assert LlamaCppProvider("who/what", revision="abc").identity != LlamaCppProvider("who/what").identity


def test_it_is_named_in_yaml_like_any_other() -> None:
    assert isinstance(provider_from_spec("llama_cpp/models/m.gguf"), LlamaCppProvider)
    spec = {"provider": "llamacpp", "model_path": "m.gguf", "slots": 2, "temperature": 0.5}
    provider = provider_from_spec(spec)
    assert repr(provider) == "LlamaCppProvider('m', temperature=0.5, slots=2)"


@pytest.mark.parametrize(
    ("arguments", "key", "message"),
    [
        ({}, "model_path", "needs a model"),
        ({"model_path": "a.gguf", "repo_id": "b/c"}, "repo_id", "Give only one"),
        ({"model_path": "a.gguf", "filename": "b.gguf"}, "filename", "repo_id, which is missing"),
        ({"model_id": "no such thing"}, "model_id", "expected the path of a .gguf file"),
        ({"model_path": "a.gguf", "slots": 0}, "slots", "1 or more, got 0"),
        ({"model_path": "a.gguf", "context_tokens": "4k"}, "context_tokens", "64 or more, got '4k'"),
        ({"model_path": "a.gguf", "api_key": "sk-x"}, "api_key", "has no use"),
        ({"model_path": "a.gguf", "slot": 1}, "slot", "Did you mean 'slots'?"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(arguments: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        LlamaCppProvider(**arguments)
    assert caught.value.key == key


def test_a_file_that_is_missing_or_no_gguf_is_refused_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("a poem")
    for path, message in ((tmp_path / "none.gguf", "There is no file"), (tmp_path / "text.gguf", "is not a GGUF file")):
        with pytest.raises(ConfigError, match=message):
            raw(tmp_path).generate([LlamaCppProvider(model_path=path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.gguf"]


def test_a_broken_file_ends_the_run_with_what_llama_cpp_said(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:100])
    with pytest.raises(ConfigError, match=r"llama\.cpp cannot load .*broken\.gguf.* It said: gguf_init"):
        raw(tmp_path).generate([LlamaCppProvider(model_path=broken)])


def test_a_folder_that_holds_one_model_stands_for_it(model: Path, tmp_path: Path) -> None:
    shutil.copy(model, tmp_path / "one.gguf")
    assert answers(local(tmp_path))
    shutil.copy(model, tmp_path / "two.gguf")
    with pytest.raises(ConfigError, match=r"has one\.gguf, two\.gguf. Name one of them"):
        LlamaCppProvider(model_path=tmp_path).require_ready()


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs xllamacpp. Install it: pip install 'datafast\[local\]'"):
        LlamaCppProvider("m.gguf").require_ready()


# -- from the Hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield server


def test_a_file_of_a_repository_is_fetched_once(hub: HubServer, model: Path) -> None:
    hub.add_repo(
        "who/tiny-GGUF", private=False, files={"tiny-Q4_K_M.gguf": model.read_bytes(), "tiny-Q8_0.gguf": b"GGUF?"}
    )
    assert answers(LlamaCppProvider(repo_id="who/tiny-GGUF", filename="tiny-Q4_K_M.gguf"))
    release_models()
    assert answers(LlamaCppProvider("who/tiny-GGUF"))  # of several the usual quantisation
    assert hub.count("GET /cdn/") == 1


def test_a_quantisation_that_a_repository_lacks_is_refused_with_those_it_has(hub: HubServer, model: Path) -> None:
    hub.add_repo(
        "who/two-GGUF", private=False, files={"a-Q5_0.gguf": b"GGUF", "a-Q8_0.gguf": b"GGUF", "mmproj-a.gguf": b""}
    )
    with pytest.raises(
        ConfigError, match=r"no file with Q2_K in the name\. Name one of its files: a-Q5_0\.gguf, a-Q8_0"
    ):
        LlamaCppProvider("who/two-GGUF:Q2_K").generate("Hello")


def test_a_repository_that_does_not_exist_is_refused_by_name(hub: HubServer, model: Path) -> None:
    with pytest.raises(ConfigError, match="Cannot download who/nothing"):
        LlamaCppProvider("who/nothing", slots=1).generate("Hello")


class UnknownFault(Exception):
    """An error of an HTTP library that this package does not know."""


def test_whatever_the_hubs_client_raises_is_one_message_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "hf_canary0123456789"

    def fail(*_: object, **__: object) -> None:
        raise UnknownFault(f"nobody there for {token}")

    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr("huggingface_hub.HfApi.list_repo_files", fail)
    with pytest.raises(ConfigError, match=r"Cannot download who/tiny.*nobody there") as caught:
        LlamaCppProvider("who/tiny", slots=1).generate("Hello")
    assert token not in "".join(traceback.format_exception(caught.value))


# -- the command line


CONFIG = """\
kind: raw
output_file: rows.jsonl
document_types: [note]
topics: [tides, dunes]
num_samples_per_prompt: 1
providers:
  - {provider: openai, model_id: gpt-5-mini, temperature: 0.7}
  - anthropic/claude-haiku-4-5
run: {max_parse_retries: 9}
"""


def datafast(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "datafast", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_local_runs_a_config_on_a_real_model_without_a_key(model: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = datafast(tmp_path, "generate", "c.yaml", "--local", model, "--limit", 1, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["written"], report["pending"], report["simulated"], report["cost_usd"]) == (1, 3, False, 0.0)
    assert f"datafast generate c.yaml --local {model}   (make the rest" in done.stderr
    status = json.loads(datafast(tmp_path, "status", "rows.jsonl", "--json").stdout)
    assert status["resume"].endswith(f"datafast generate c.yaml --local {model}")
    done = datafast(tmp_path, "generate", "c.yaml", "--local", model, "--json")
    assert (done.returncode, json.loads(done.stdout)["written"]) == (0, 4), done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["model_id"] for row in rows} == {"tiny"}


def test_preview_takes_a_local_model_too(model: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = datafast(tmp_path, "preview", "c.yaml", "--local", model, "-n", 2, "--json")
    assert (done.returncode, len(json.loads(done.stdout)["rows"])) == (0, 2), done.stderr


TOPICS = """\
kind: conversation
output_file: rows.jsonl
topics: {topic_prompt: The sea, degree: 2, depth: 1, provider: {provider: openai, model_id: gpt-5, temperature: 0.4}}
num_rows: 2
instructions: Talk.
generation_system_prompt: You write conversations.
providers: [anthropic/claude-haiku-4-5]
run: {max_parse_retries: 9}
"""


def test_a_local_model_grows_the_topics_too(model: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(TOPICS)
    done = datafast(tmp_path, "topics", "build", "c.yaml", "--local", model, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["report"]["simulated"] is False
    done = datafast(tmp_path, "generate", "c.yaml", "--local", model, "--json")
    assert json.loads(done.stdout)["requested"] == 2, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--local", "none.gguf"], "error: --local: There is no file none.gguf"),
        (["--local", "some words"], "error: --local: expected the path of a .gguf file"),
        (["--local", "none.gguf", "--offline"], "Give one of them"),
    ],
)
def test_a_local_model_that_cannot_be_is_refused(
    model: Path, arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    done = datafast(tmp_path, "generate", "c.yaml", *arguments)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_local_model_keeps_what_tells_the_providers_of_a_config_apart() -> None:
    first = OpenAIProvider("gpt-5-mini", temperature=0.7, max_completion_tokens=100, weight=2)
    stand_in = LlamaCppProvider.standing_in_for(first, "m.gguf")
    assert (stand_in.temperature, stand_in.max_completion_tokens, stand_in.weight) == (0.7, 100, 2)
    assert stand_in.identity != LlamaCppProvider.standing_in_for(OpenAIProvider("gpt-5-mini"), "m.gguf").identity


def test_the_example_runs_on_a_real_model(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples/local_llama.py"), str(model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {row["model_id"] for row in rows_of(tmp_path / "sea_texts.jsonl")} == {"tiny"}
