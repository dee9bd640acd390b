"""From the start of a process to its first request: nothing is imported that the run does not need, whatever is installed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.fault_server import FaultServer
from tests.support import ROOT

KINDS = {
    "RawDataset": "datafast.datasets.raw",
    "ClassificationDataset": "datafast.datasets.classification",
    "MCQDataset": "datafast.datasets.mcq",
    "DocumentQADataset": "datafast.datasets.document_qa",
    "GenericPipelineDataset": "datafast.datasets.generic_pipeline",
    "InstructionDataset": "datafast.datasets.instruction",
    "JudgementDataset": "datafast.datasets.judgement",
    "PreferenceDataset": "datafast.datasets.preference",
    "ConversationDataset": "datafast.datasets.conversation",
    "ColumnsDataset": "datafast.datasets.columns",
    "UltrachatDataset": "datafast.datasets.ultrachat",
}
LAZY = [
    "datafast",
    "datafast.datasets",
    "datafast.llms",
    "datafast.schema.config",
    "datafast.schema.data_rows",
    "datafast.topics",
]
# Imported by jsonschema with itself wherever they are installed, as they are beside Jupyter; rfc3987_syntax alone takes 0.7 s.
FORMATS = [
    "arrow",
    "fqdn",
    "isoduration",
    "jsonpointer",
    "rfc3339_validator",
    "rfc3987_syntax",
    "uri_template",
    "webcolors",
]
NEEDLESS = [
    "IPython",
    "aiohttp",
    "datasets",
    "faker",
    "httpx",
    "huggingface_hub",
    "jinja2",
    "jsonschema",
    "lark",
    "latex2mathml",
    "litellm",
    "nh3",
    "numpy",
    "pandas",
    "pyarrow",
    "ray",
    "sse_starlette",
    "starlette",
    "torch",
    "transformers",
    "uvicorn",
]


def modules_after(code: str, *arguments: object, folder: Path = ROOT) -> set[str]:
    """The modules that a fresh process holds when the code has run."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}\nprint('\\n', *sys.modules)"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("config", [False, True])
def test_a_kind_is_imported_without_the_others(name: str, config: bool) -> None:
    place, name_there = ("schema.config", f"{name}Config") if config else ("datasets", name)
    loaded = modules_after(f"from datafast.{place} import {name_there}")
    assert KINDS[name] in loaded
    assert sorted(loaded & (set(KINDS.values()) - {KINDS[name]})) == []


def test_importing_a_config_reads_no_source_of_configs_and_builds_none() -> None:
    code = (
        "import linecache\n"
        "from datafast import RawDatasetConfig\n"
        "assert [name for name in linecache.cache if name.endswith('config.py')] == []\n"
        "assert not any(vars(model).get('__pydantic_complete__') for model in RawDatasetConfig.__mro__)"
    )
    modules_after(code)


def test_a_row_is_imported_without_other_kinds() -> None:
    loaded = modules_after("from datafast.schema.data_rows import TextRow")
    assert loaded & set(KINDS.values()) == {"datafast.datasets.raw"}


def test_a_provider_is_imported_without_other_families() -> None:
    loaded = modules_after("from datafast.llms import OpenAIProvider")
    others = ("datafast.llms.local", "datafast.llms.simulated", "datafast.llms.providers.litellm")
    assert [name for name in sorted(loaded) if name.startswith(others)] == []


def test_settings_of_topics_are_imported_without_topic_models() -> None:
    assert "datafast.topics.model" not in modules_after("from datafast.topics import TopicsConfig")


@pytest.mark.parametrize("package", LAZY)
def test_a_lazy_package_offers_exactly_what_it_lists(package: str) -> None:
    home = importlib.import_module(package)
    assert [name for name in home.__all__ if name not in dir(home)] == []
    assert [name for name in home.__all__ if getattr(home, name) is None] == []
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'RawDatset'"):
        home.RawDatset  # noqa: B018 - the access is what is tested
    with pytest.raises(ImportError, match="RawDatset"):
        exec(f"from {package} import RawDatset")


RUN = """
from datafast.cli.main import main
sys.argv = ["datafast", "generate", "notes.yaml", "--json"]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


@pytest.mark.parametrize("provider", ["openai_compatible", "anthropic", "gemini"])
def test_a_config_with_a_direct_provider_runs_without_what_it_does_not_need(
    fault_server: FaultServer, tmp_path: Path, provider: str
) -> None:
    (tmp_path / "notes.yaml").write_text(
        "kind: raw\noutput_file: notes.jsonl\ndocument_types: [note]\ntopics: [ice, tides]\nnum_samples_per_prompt: 1\n"
        f"providers:\n  - {{provider: {provider}, model_id: tiny, api_base: '{fault_server.url}'}}\n"
    )
    assert [name for name in FORMATS if find_spec(name) is None] == [], "the extra `test` brings them"
    loaded = modules_after(RUN, folder=tmp_path)
    assert len(fault_server.requests) == 2
    assert [name for name in [*FORMATS, *NEEDLESS] if name in loaded] == []
    assert ("genai_prices" in loaded) is (provider != "openai_compatible"), "no list knows the models of any server"


def test_a_run_that_changes_nothing_is_not_estimated(fault_server: FaultServer, tmp_path: Path) -> None:
    code = (
        "from datafast import OpenAICompatibleProvider, RawDataset, RawDatasetConfig\n"
        "config = RawDatasetConfig(topics=['ice'], document_types=['note'], num_samples_per_prompt=1, output_file='x.jsonl')\n"
        "for _ in range(2): RawDataset(config).generate([OpenAICompatibleProvider('tiny', api_base=sys.argv[1])])"
    )
    loaded = modules_after(code, fault_server.url, folder=tmp_path)
    assert len(fault_server.requests) == 1
    assert loaded & {"datafast.engine.estimate", "datafast.llms.simulated"} == set()


def test_a_conversation_without_tools_checks_no_schema() -> None:
    code = (
        "from datafast import ConversationDataset, ConversationDatasetConfig\n"
        "config = ConversationDatasetConfig(topics=['ice'], num_rows=1, output_file='x.jsonl')\n"
        "ConversationDataset(config).get_num_expected_rows(['any'])"
    )
    loaded = modules_after(code)
    assert [name for name in [*FORMATS, *NEEDLESS] if name in loaded] == []


def test_a_viewer_starts_without_what_makes_rows_and_reports() -> None:
    loaded = modules_after("from datafast.view.serving import ViewerServer")
    ours = {"datafast.datasets.dataset", "datafast.engine.run", "datafast.report", "datafast.export.card"}
    others = {"datasets", "faker", "httpx", "huggingface_hub", "litellm", "pandas", "pyarrow"}
    assert sorted(loaded & (ours | others)) == []
