"""A warning of another package fails no call of ours, whatever filter the host has, and the host's filters stay its own.

The flows run in fresh processes under `python -W error`, in which every package that we import late gives a warning when it
is imported, and those that work for us in each call do so there as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datafast._util.foreign_warnings import ForeignWarning, foreign_warnings_ignored
from datafast.errors import DatafastWarning
from datafast.llms import LiteLLMProvider
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer
from tests.support import ROOT

# Found and run by every Python whose path has its folder: the processes that ours start as well.
LOUD = """
import importlib.util, sys, warnings

NAMES = {
    "aiohttp", "datasets", "faker", "genai_prices", "httpx", "huggingface_hub", "jsonschema", "litellm",
    "llguidance", "numpy", "openai", "pandas", "pyarrow", "tokenizers", "torch", "transformers", "xllamacpp",
}

def warn(module):
    warnings.warn_explicit(f"{module} will change", FutureWarning, f"{module}.py", 1, module=module)

class Loud:
    def find_spec(self, name, path=None, target=None):
        if name not in NAMES:
            return None
        NAMES.discard(name)
        spec = importlib.util.find_spec(name)
        if spec is None:  # an extra that is not installed here
            return None
        run = spec.loader.exec_module
        def exec_module(module):
            warn(name)
            run(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Loud())
"""


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    folder = tmp_path / "loud"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(LOUD)
    return folder


def run_loud(loud: Path, code: str, *arguments: object, **environment: str) -> str:
    """What a script prints in a process in which every warning is an error, and there are many."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    # litellm writes a log of its own to stderr; what it notes there about its background tasks is no warning.
    found["LITELLM_LOG"] = "CRITICAL"
    env = {**found, "PYTHONPATH": f"{loud}{os.pathsep}{ROOT}", "PYTHONWARNINGS": "error", **environment}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    ended = subprocess.run(command, cwd=loud, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


CALL = """
import sys, warnings
from sitecustomize import warn
from datafast import llms

def loudly(function):
    async def call(*args, **kwargs):
        import asyncio
        async def apart():
            warn("aiohttp.client")
        warn("pydantic.main")
        await asyncio.sleep(0)
        await asyncio.create_task(apart())
        await asyncio.to_thread(warn, "certifi")
        reply = await function(*args, **kwargs)
        warn("elsewhere")
        return reply
    return call

provider = getattr(llms, sys.argv[1])(sys.argv[2], api_base=sys.argv[3], api_key="sk-canary-0123456789")
provider.generate("Hello")  # imports what it needs
if "litellm" in sys.modules:
    import litellm
    litellm.acompletion = loudly(litellm.acompletion)
provider.generate(["Hello", "Hello again"])
try:
    warn("somebody")
except FutureWarning:
    print("an error for the host")
"""


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("OpenAICompatibleProvider", "tiny"),
        ("LiteLLMProvider", "openai/tiny"),
        ("LiteLLMProvider", "anthropic/tiny"),
        ("LiteLLMProvider", "gemini/gemini-2.0-flash"),
        ("AnthropicProvider", "tiny"),
        ("GeminiProvider", "gemini-2.0-flash"),
    ],
)
def test_a_call_of_each_back_end(fault_server: FaultServer, loud: Path, provider: str, model: str) -> None:
    assert run_loud(loud, CALL, provider, model, fault_server.url) == "an error for the host"
    assert len(fault_server.requests) == 3


def test_a_call_after_the_hosts_filters_changed(fault_server: FaultServer) -> None:
    provider = LiteLLMProvider("gemini/gemini-2.0-flash", api_base=fault_server.url, api_key="sk-canary-0123456789")
    for _ in range(2):
        with warnings.catch_warnings():
            provider.generate("Hello")
            warnings.simplefilter("error")
            provider.generate("Hello again")
    assert len(fault_server.requests) == 4


TRANSFORMERS = """
import sys
from typing import Literal
from pydantic import BaseModel
from sitecustomize import warn
from datafast.llms import TransformersProvider

class Short(BaseModel):
    label: Literal["good", "bad"]

provider = TransformersProvider(model=sys.argv[1])
provider.generate("Hello", response_format=Short)
import transformers
generate = transformers.GenerationMixin.generate
def loudly(*args, **kwargs):
    warn("transformers.generation.utils")
    return generate(*args, **kwargs)
transformers.GenerationMixin.generate = loudly
provider.generate("Hello", response_format=Short)
"""


def test_a_model_of_transformers(loud: Path, tiny_transformers: Path) -> None:
    run_loud(loud, TRANSFORMERS, tiny_transformers)


def test_a_model_of_llama_cpp(loud: Path, tiny_gguf: Path) -> None:
    run_loud(
        loud,
        "import sys; from typing import Literal; from pydantic import BaseModel; from datafast.llms import LlamaCppProvider\n"
        "class Short(BaseModel): label: Literal['good', 'bad']\n"
        "LlamaCppProvider(model_path=sys.argv[1], threads=1).generate('Hello', response_format=Short)",
        tiny_gguf,
    )


def test_the_import_of_everything(loud: Path) -> None:
    run_loud(loud, "import datafast; [getattr(datafast, name) for name in datafast.__all__]")


COLUMNS = """
import sys
from datafast import dataset, generator, sample
from datafast.columns.json_schema import schema_model
from datafast.sources import open_source

gen = generator("openai", model="gpt-4.1-mini-2025-04-14")
ds = dataset({"city": sample.choice(["Marfa", "Paris"]), "copy": gen("Ask about {city}.")})
assert len(ds.generate_sync(n=4, offline=True)) == 4
for name in ("cities.parquet", "cities.csv", "cities.jsonl"):
    assert len(open_source(ds.save(name), field="source")) == 4
assert list(ds.to_huggingface().column_names) == list(ds.to_pandas().columns)
assert open_source(ds.to_pandas(), field="source")[0]["city"]
schema_model({"type": "object", "properties": {"a": {"type": "string"}}}, name="A").model_validate({"a": "b"})
ds.push_to_hub("someone/things", train_size=0.5)  # several files are uploaded by threads
"""


def test_columns_files_tables_and_a_push(loud: Path, hub: HubServer) -> None:
    token = os.environ["HF_TOKEN"]
    run_loud(
        loud,
        COLUMNS,
        HF_ENDPOINT=hub.url,
        HF_HOME=str(loud),
        HF_TOKEN=token,
        HF_HUB_DISABLE_XET="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
    )


AGENT = """
from datafast.datasets import ConversationDataset
from datafast.llms import SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig
config = ConversationDatasetConfig(
    topics=["weather", "tides"], num_rows=2, output_file="agent.jsonl", conversation_type="chain_of_thought",
    reasoning_style="agent",
    tools=[{"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}],
)
print(ConversationDataset(config).generate([SimulatedProvider()]).report.written)
"""


def test_an_agent_whose_calls_are_checked(loud: Path) -> None:
    assert run_loud(loud, AGENT) == "2"


def test_a_config_on_the_command_line(loud: Path) -> None:
    config = {
        "kind": "columns",
        "num_rows": 3,
        "output_file": "people.jsonl",
        "columns": {
            "who": {"type": "person", "fields": ["name", "city"]},
            "note": {"type": "text", "prompt": "About {{ who.name }}."},
        },
        "providers": {"default": "simulated"},
    }
    (loud / "people.yaml").write_text(json.dumps(config))
    environment = {**os.environ, "PYTHONPATH": f"{loud}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-W", "error", "-m", "datafast", "generate", "people.yaml", "--json"]
    ended = subprocess.run(command, cwd=loud, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "will change" not in ended.stderr


# -- the host's own


def given(module: str = "somebody") -> bool:
    """Whether a warning becomes an error here."""
    try:
        warnings.warn_explicit("will change", FutureWarning, "somebody.py", 1, module=module)
    except FutureWarning:
        return True
    return False


def test_importing_the_package_leaves_the_filters_as_they_are() -> None:
    code = (
        "import sys, warnings; before = list(warnings.filters); import datafast; datafast.RawDataset; "
        "datafast.OpenAIProvider; sys.exit(before != list(warnings.filters))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 0


def test_a_warning_of_ours_is_given_inside_as_well() -> None:
    with foreign_warnings_ignored(), pytest.warns(DatafastWarning, match="ours"):
        warnings.warn("ours", DatafastWarning, stacklevel=1)


def test_outside_nothing_is_ignored() -> None:
    with foreign_warnings_ignored():
        with foreign_warnings_ignored():
            assert not given()
        assert not given()
    assert given()


def test_other_tasks_and_threads_keep_the_hosts_filters() -> None:
    async def main() -> list[bool]:
        inside, seen = asyncio.Event(), asyncio.Event()

        async def ours() -> bool:
            with foreign_warnings_ignored():
                inside.set()
                await seen.wait()
                return given()

        async def theirs() -> bool:
            await inside.wait()
            found = given()
            seen.set()
            return found

        return await asyncio.gather(ours(), theirs())

    assert asyncio.run(main()) == [False, True]
    found: list[bool] = []
    with foreign_warnings_ignored():
        thread = threading.Thread(target=lambda: found.append(given()))
        thread.start()
        thread.join()
    assert found == [True]


def test_a_thread_pool_of_a_package_that_works_for_us_is_inside() -> None:
    theirs: dict[str, Any] = {"__name__": "huggingface_hub._upload", "given": given}
    exec("def upload(): return given()", theirs)
    with ThreadPoolExecutor(max_workers=1) as pool:
        with foreign_warnings_ignored():
            assert pool.submit(theirs["upload"]).result() is False
            assert pool.submit(given).result() is True
        assert pool.submit(theirs["upload"]).result() is True


def test_a_coroutine_that_is_thrown_away_inside_ends_without_a_word() -> None:
    async def waiting() -> None:
        with foreign_warnings_ignored():
            await asyncio.sleep(60)

    async def main() -> Any:
        coroutine = waiting()
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        coroutine.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert given()


def test_the_filter_can_be_sent_to_another_process() -> None:
    # joblib hands the filters of a program to its workers.
    assert pickle.loads(pickle.dumps(ForeignWarning)) is ForeignWarning
