"""The public surface: documented import paths, sorted export lists, a light import, and user scripts written years ago."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import datafast
from datafast.errors import DatafastWarning
from tests.servers.fault_server import FaultServer

IMPORT_PATHS = {
    "datafast.datasets": [
        "RawDataset",
        "ClassificationDataset",
        "DocumentQADataset",
        "GenericPipelineDataset",
        "InstructionDataset",
        "JudgementDataset",
        "MCQDataset",
        "PreferenceDataset",
        "ConversationDataset",
        "UltrachatDataset",
    ],
    "datafast.schema.config": [
        "RawDatasetConfig",
        "ClassificationDatasetConfig",
        "DocumentQADatasetConfig",
        "GenericPipelineDatasetConfig",
        "InstructionDatasetConfig",
        "InstructionEvolution",
        "InstructionJudge",
        "JudgementDatasetConfig",
        "MCQDatasetConfig",
        "PreferenceDatasetConfig",
        "ConversationDatasetConfig",
        "PromptExpansionConfig",
        "RunConfig",
        "Source",
        "PersonasConfig",
        "TopicsConfig",
        "UltrachatDatasetConfig",
    ],
    "datafast.schema.data_rows": [
        "TextRow",
        "ChatRow",
        "TextClassificationRow",
        "MCQRow",
        "JudgedPreferenceRow",
        "DocumentQARow",
        "GenericPipelineRow",
        "GenericPipelineSource",
        "InstructionRow",
        "InstructionSource",
        "JudgementRow",
        "ComparisonRow",
        "MCQSource",
        "PreferenceRow",
        "ConversationRow",
        "ReasonedConversationRow",
        "AgentConversationRow",
        "ToolConversationRow",
    ],
    "datafast.topics": ["Tree", "Graph", "load_topics"],
    "datafast.facades.generator": ["DataSetGenerator"],
    "datafast.llms": [
        "LLMProvider",
        "OpenAIProvider",
        "AnthropicProvider",
        "AzureOpenAIProvider",
        "GeminiProvider",
        "MistralProvider",
        "OpenRouterProvider",
        "OllamaProvider",
        "LlamaCppProvider",
        "TransformersProvider",
    ],
    "datafast.logger_config": ["configure_logger"],
    "datafast.expanders": ["expand_prompts"],
    "datafast.utils": ["create_generic_pipeline_row_model", "create_response_model"],
    "datafast.plan.expansion": ["expand_prompts"],
    "datafast.columns.expression": ["ExpressionColumn", "FunctionColumn"],
    "datafast.facades.columns": ["dataset", "generator", "sample"],
}
HEAVY = [
    "aiohttp",
    "datasets",
    "huggingface_hub",
    "litellm",
    "numpy",
    "pandas",
    "pyarrow",
    "ray",
    "torch",
    "transformers",
    "xllamacpp",
]


def modules() -> list[str]:
    found = pkgutil.walk_packages(datafast.__path__, prefix="datafast.")
    # Importing __main__ would run the command line.
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


def fresh_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(datafast.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- names


@pytest.mark.parametrize(("module", "names"), IMPORT_PATHS.items(), ids=list(IMPORT_PATHS))
def test_documented_import_paths_work(module: str, names: list[str]) -> None:
    home = importlib.import_module(module)
    assert [name for name in names if not hasattr(home, name)] == []
    assert [name for name in names if name not in home.__all__] == []


def test_every_name_of_the_package_root_is_importable() -> None:
    assert [name for name in datafast.__all__ if getattr(datafast, name, None) is None] == []


def test_the_package_root_offers_the_very_objects_of_their_home_modules() -> None:
    homes = {module: set(names) & set(datafast.__all__) for module, names in IMPORT_PATHS.items()}
    assert any(names for module, names in homes.items() if module != "datafast")
    for module, names in homes.items():
        for name in names:
            assert getattr(datafast, name) is getattr(importlib.import_module(module), name)


def test_dir_of_the_package_root_lists_the_public_names() -> None:
    assert set(datafast.__all__) <= set(dir(datafast))


def test_an_unknown_name_of_the_package_root_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RawDatset'"):
        datafast.RawDatset  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("name", modules())
def test_the_export_list_of_every_module_is_sorted_and_true(name: str) -> None:
    module = import_or_skip(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert _is_bare(module), f"{name} defines names and has no __all__"
        return
    assert list(exported) == _sorted(exported)
    assert [entry for entry in exported if not hasattr(module, entry)] == []


def import_or_skip(name: str) -> ModuleType:
    """The module; where it needs an extra that is not installed, the test is skipped."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {"llguidance", "torch", "transformers"}:
            raise
        pytest.skip(f"{name} needs {error.name}, which is not installed")


def test_the_export_list_of_the_package_root_is_sorted() -> None:
    assert datafast.__all__ == _sorted(datafast.__all__)


def _sorted(names: list[str]) -> list[str]:
    """Constants, then classes, then the rest, as ruff's RUF022 has it."""
    return sorted(names, key=lambda name: (not (name.isupper() and len(name) > 1), not name[:1].isupper(), name))


def _is_bare(module: ModuleType) -> bool:
    """Whether a module defines nothing of its own, as the `__init__` of a package often does."""
    return not any(getattr(value, "__module__", None) == module.__name__ for value in vars(module).values())


# -- a light import


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = fresh_python(f"import datafast, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_making_a_config_and_providers_loads_nothing_heavy() -> None:
    code = (
        "from datafast import *; import sys; "
        "config = RawDatasetConfig(document_types=['blog'], topics=['ice'], output_file='x.jsonl'); "
        "RawDataset(config).get_num_expected_rows([OpenAIProvider(), AnthropicProvider()]); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    assert fresh_python(code) == "[]"


# -- scripts that users have


@pytest.fixture
def own_servers(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FaultServer:
    """What a user changes outside a script: keys, addresses, the working directory."""
    for name in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{name}_API_KEY", "a-key-for-loopback")
        monkeypatch.setenv(f"{name}_BASE_URL", fault_server.url)
    monkeypatch.chdir(tmp_path)
    return fault_server


SPACE = """
from datafast.datasets import RawDataset
from datafast.schema.config import RawDatasetConfig, PromptExpansionConfig
from datafast.llms import OpenAIProvider, AnthropicProvider


def main():
    config = RawDatasetConfig(
        document_types=[
            "space engineering textbook",
            "spacecraft design justification document",
            "personal blog of a space engineer"
        ],
        topics=[
            "Microgravity",
            "Vacuum",
            "Heavy Ions",
            "Thermal Extremes",
            "Atomic Oxygen",
            "Debris Impact",
            "Electrostatic Charging",
            "Propellant Boil-off",
        ],
        num_samples_per_prompt=1,
        output_file="space_engineering_environment_effects_texts.jsonl",
        languages={"en": "English", "fr": "French"},
        EXPANSION
    )
    providers = [
        OpenAIProvider(model_id="gpt-4.1-mini-2025-04-14"),
        AnthropicProvider(model_id="claude-3-5-haiku-latest"),
    ]
    dataset = RawDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers)
    print(f"Expected number of rows: {num_expected_rows}")
    dataset.generate(providers)


if __name__ == "__main__":
    from dotenv import load_dotenv

    load_dotenv("secrets.env")
    main()
"""
SPACE_EXPANSION = """
        prompts=[
            (
                "Generate {num_samples} section of a {document_type} in {language_name} "
                "about the topic of {topic} in Space Engineering "
                "Target the content for {{expertise_level}} level readers."
            )
        ],
        expansion=PromptExpansionConfig(
            placeholders={"expertise_level": ["executives", "senior engineers", "PhD candidates"]},
            combinatorial=True,
            num_random_samples=100
        ),
"""


def run_script(code: str) -> None:
    exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})


@pytest.mark.slow
def test_a_raw_script_of_the_first_datafast_runs_unchanged(
    own_servers: FaultServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_script(SPACE.replace("EXPANSION", SPACE_EXPANSION))
    assert "Expected number of rows: 288" in capsys.readouterr().out
    lines = (tmp_path / "space_engineering_environment_effects_texts.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 288
    assert {row["model_id"] for row in rows} == {"gpt-4.1-mini-2025-04-14", "claude-3-5-haiku-latest"}
    assert {row["language"] for row in rows} == {"en", "fr"}
    prompts = {request.prompt for request in own_servers.requests}
    assert len(prompts) == 144
    assert not any("{" in prompt or "<<" in prompt for prompt in prompts)
    assert sum("for PhD candidates level readers" in prompt for prompt in prompts) == 48


def test_the_same_script_without_expansion_expects_96_rows(
    own_servers: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    script = SPACE.replace("EXPANSION", "").replace("dataset.generate(providers)", "")
    run_script(script)
    assert "Expected number of rows: 96" in capsys.readouterr().out


def test_a_classification_config_with_classes_as_plain_dicts_is_accepted() -> None:
    config = datafast.ClassificationDatasetConfig(
        classes=[
            {"name": "positive", "description": "Text expressing positive emotions"},
            {"name": "negative", "description": "Text expressing negative emotions"},
        ],
        num_samples_per_prompt=5,
        output_file="sentiment_dataset.jsonl",
        languages={"en": "English", "fr": "French"},
    )
    assert datafast.ClassificationDataset(config).get_num_expected_rows([datafast.OpenAIProvider()]) == 20


def test_an_optional_placeholder_without_expansion_is_kept_as_text_with_one_warning() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = datafast.RawDatasetConfig(
            document_types=["research paper", "blog post"],
            topics=["AI", "climate change"],
            num_samples_per_prompt=2,
            output_file="output.jsonl",
            languages={"en": "English"},
            prompts=[
                "Generate {num_samples} {document_type} in {language_name} "
                "about {topic} with {{tone}} tone for {{audience}}."
            ],
        )
    (ours,) = [warning for warning in caught if issubclass(warning.category, DatafastWarning)]
    assert "{{tone}}" in str(ours.message)
    assert "{{audience}}" in str(ours.message)
    assert datafast.RawDataset(config).get_num_expected_rows([datafast.OpenAIProvider()]) == 8


def test_an_expansion_config_may_hold_both_combinatorial_and_a_number_of_random_samples() -> None:
    placeholders = {"tone": ["formal", "casual", "technical"], "audience": ["beginners", "experts", "general public"]}
    everything = datafast.PromptExpansionConfig(placeholders=placeholders, combinatorial=True)
    sampled = datafast.PromptExpansionConfig(placeholders=placeholders, combinatorial=False, num_random_samples=100)
    assert everything.resolved_strategy == "combinatorial"
    assert sampled.resolved_strategy == "random"


@pytest.mark.slow
def test_a_preference_script_with_one_provider_per_role_runs_unchanged(own_servers: FaultServer) -> None:
    from datafast.datasets import PreferenceDataset
    from datafast.llms import AnthropicProvider, GeminiProvider, OpenAIProvider

    config = datafast.PreferenceDatasetConfig(input_documents=["The second stage relit."], num_samples_per_prompt=2)
    dataset = PreferenceDataset(config)
    dataset.generate(
        question_gen_llm=OpenAIProvider(),
        chosen_response_gen_llm=AnthropicProvider(),
        rejected_response_gen_llm=GeminiProvider(),
    )
    assert len(dataset.data_rows) == dataset.get_num_expected_rows() == 2
    assert dataset.report is not None
    assert dataset.report.written == 2


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_the_logger_is_configured_by_level_and_file(level: str, tmp_path: Path) -> None:
    from datafast.logger_config import configure_logger, logger

    configure_logger()
    configure_logger(level=level, log_file=str(tmp_path / "generation.log"))
    logger.info("a line for the file")
    assert "a line for the file" in (tmp_path / "generation.log").read_text("utf-8")


def test_a_generator_that_gets_a_provider_object_says_where_objects_belong() -> None:
    provider: Any = datafast.SimulatedProvider()
    with pytest.raises(
        datafast.DataSetGeneratorError, match=r"expected a name, like 'openai'.*A ConversationDataset takes"
    ):
        datafast.DataSetGenerator(generation_system_prompt="You teach.", provider=provider, model_name="any")


def test_a_tree_without_a_path_takes_its_temporary_folder_along_when_it_goes() -> None:
    fresh_python(
        "import gc, os, tempfile, warnings\n"
        "warnings.simplefilter('error')\n"
        "os.environ['TMPDIR'] = tempfile.tempdir = folder = tempfile.mkdtemp()\n"
        "from datafast import Tree\n"
        "tree = Tree('The sea', provider='simulated').build()\n"
        "assert len(os.listdir(folder)) == 1\n"
        "del tree\n"
        # A thread that has worked for it may hold it for a moment.
        "import time\n"
        "until = time.monotonic() + 20\n"
        "while os.listdir(folder) and time.monotonic() < until:\n"
        "    gc.collect()\n"
        "    time.sleep(0.01)\n"
        "assert os.listdir(folder) == []\n"
        "os.rmdir(folder)\n"
    )


def test_why_topics_could_not_be_grown_reads_as_a_sentence() -> None:
    silent = datafast.SimulatedProvider(faults={"refused": 1.0})
    with pytest.raises(datafast.TopicsError, match=r"[a-z)] \(refused\)\. Replies are kept in .*\. Growing again asks"):
        datafast.Tree("The sea", provider=silent).build()
