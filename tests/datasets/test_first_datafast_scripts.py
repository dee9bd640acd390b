"""Whole scripts, of the shape of those that the first datafast (0.0.x) shows, run as they are but for the addresses of servers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer

LABELS = """
from datafast.datasets import ClassificationDataset
from datafast.schema.config import ClassificationDatasetConfig, PromptExpansionConfig
from datafast.llms import OpenAIProvider, AnthropicProvider, GeminiProvider
from datafast.logger_config import configure_logger
from dotenv import load_dotenv

load_dotenv("secrets.env")
configure_logger()

config = ClassificationDatasetConfig(
    classes=[
        {"name": "seaworthy", "description": "The hull is sound."},
        {"name": "leaking", "description": "Water comes in somewhere."},
    ],
    num_samples_per_prompt=3,
    output_file="hull_reports.jsonl",
    languages={
        "en": "English",
        "fr": "French"
    },
    prompts=[
        (
            "Write {num_samples} reports of a '{label_name}' hull in {language_name}. "
            "{label_description} They are {{length}} and about {{vessel}}."
        )
    ],
    expansion=PromptExpansionConfig(
        placeholders={
            "vessel": ["a ferry", "a dinghy"],
            "length": ["short", "long"]
        },
        combinatorial=True,
        num_random_samples=50
    )
)
providers = [
    OpenAIProvider(model_id="gpt-4.1-mini"),
    AnthropicProvider(model_id="claude-3-5-haiku-latest"),
    GeminiProvider(model_id="gemini-2.0-flash")
]
dataset = ClassificationDataset(config)
num_expected_rows = dataset.get_num_expected_rows(providers)
dataset.generate(providers)
url = dataset.push_to_hub(repo_id="someone/hulls", train_size=0.8, seed=42, shuffle=True)
"""

PAIRS = '''
import json
from pathlib import Path

from datafast.schema.config import PreferenceDatasetConfig
from datafast.datasets import PreferenceDataset
from datafast.llms import OpenAIProvider, GeminiProvider, AnthropicProvider

def load_documents(path: str | Path) -> list[str]:
    with open(path, "r", encoding="utf-8") as f:
        return [json.loads(line)["text"] for line in f]

config = PreferenceDatasetConfig(
    input_documents=load_documents("lessons.jsonl"),
    num_samples_per_prompt=2,
    languages={"en": "English"},
    llm_as_judge=True,
    output_file="lessons_pairs.jsonl",
    question_generation_prompts=["Ask {num_samples} questions in {language_name} about: {document}"],
    chosen_response_generation_prompt="""
    Answer well, in {language_name}.
    Document: {document}
    Question: {question}
    """,
)
question_gen_llm = OpenAIProvider(model_id="gpt-4.1-mini")
chosen_response_gen_llm = AnthropicProvider(model_id="claude-3-7-sonnet-latest")
rejected_response_gen_llm = GeminiProvider(model_id="gemini-2.0-flash")
judge_llm = OpenAIProvider(model_id="gpt-4.1-mini")

dataset = PreferenceDataset(config)
num_expected_rows = dataset.get_num_expected_rows(llms=[question_gen_llm])
dataset.generate(
    question_gen_llm=question_gen_llm,
    chosen_response_gen_llm=chosen_response_gen_llm,
    rejected_response_gen_llm=rejected_response_gen_llm,
    judge_llm=judge_llm
)
print(f"Made {len(dataset.data_rows)} pairs, saved to {config.output_file}")
if dataset.data_rows:
    sample = dataset.data_rows[0]
    print(sample.question, sample.chosen_model_id, sample.rejected_model_id)
    if sample.chosen_response_score is not None:
        print(sample.chosen_response_score, sample.rejected_response_score)
url = dataset.push_to_hub(repo_id="someone/lessons")
'''

QUESTIONS = """
import os
from datafast.schema.config import MCQDatasetConfig
from datafast.datasets import MCQDataset
from datafast.inspectors import inspect_mcq_dataset
from datafast.llms import OpenAIProvider, AnthropicProvider
from datafast.logger_config import configure_logger
from dotenv import load_dotenv

load_dotenv("secrets.env")

def main():
    global dataset, num_expected_rows, url
    config = MCQDatasetConfig(
        # hf_dataset_name="someone/lessons",
        local_file_path="lessons.jsonl",
        text_column="text",
        sample_count=2,
        num_samples_per_prompt=2,
        min_document_length=10,
        max_document_length=20000,
        output_file="lessons_questions.jsonl",
    )
    providers = [
        OpenAIProvider(model_id="gpt-5-mini-2025-08-07"),
        AnthropicProvider(model_id="claude-3-5-haiku-latest"),
    ]
    dataset = MCQDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers, source_data_num_rows=2)
    dataset.generate(providers)
    print(f"Made {len(dataset.data_rows)} questions, saved to {config.output_file}")
    inspect_mcq_dataset(dataset, random=True)
    url = dataset.push_to_hub(repo_id="someone/questions", train_size=0.7, shuffle=True, upload_card=True)

if __name__ == "__main__":
    main()
"""

QUESTIONS_IN_CONTEXT = """
import os
import json
from pathlib import Path
from dotenv import load_dotenv

load_dotenv("secrets.env")

from datafast.schema.config import MCQDatasetConfig
from datafast.datasets import MCQDataset
from datafast.llms import OpenAIProvider

def main():
    global dataset, num_expected_rows, url
    chosen_path = Path("chosen_lessons.jsonl")
    with open("lessons.jsonl", "r") as f:
        lessons = [json.loads(line) for line in f if line.strip()]
    chosen = [row for row in lessons if row.get("grade") in ["GOOD", "BEST"]]
    with open(chosen_path, "w") as f:
        for row in chosen:
            f.write(json.dumps(row) + "\\n")
    config = MCQDatasetConfig(
        local_file_path=str(chosen_path),
        text_column="text",
        context_column="summary",
        num_samples_per_prompt=2,
        min_document_length=10,
        max_document_length=20000,
        sample_count=len(chosen),
        output_file="questions_in_context.jsonl",
    )
    providers = [
        OpenAIProvider(model_id="gpt-4.1-mini"),
    ]
    dataset = MCQDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers, source_data_num_rows=len(chosen))
    dataset.generate(providers)
    print(f"Made {len(dataset.data_rows)} questions, saved to {config.output_file}")
    os.remove(chosen_path)
    url = dataset.push_to_hub(repo_id="someone/context", train_size=0.7, shuffle=True, upload_card=True)
    dataset.inspect()

if __name__ == "__main__":
    main()
"""

COLUMNS_OF_A_TABLE = """
import os
from datafast.schema.config import GenericPipelineDatasetConfig
from datafast.datasets import GenericPipelineDataset
from datafast.llms import OpenAIProvider, GeminiProvider, OllamaProvider

PROMPT = '''I give you a sailor.
Write {num_samples} texts in {language}:
1. A line for the logbook
2. A short account of their journeys\\
The sailor:
{sailor}

Answer with valid JSON: {num_samples} entries with all required fields.'''

def main():
    global dataset, num_expected_rows, url
    config = GenericPipelineDatasetConfig(
        hf_dataset_name="someone/sailors",
        input_columns=["sailor"],
        forward_columns=["rank"],
        output_columns=["line", "account"],
        sample_count=2,
        num_samples_per_prompt=2,
        prompts=[PROMPT],
        output_file="sailors_out.jsonl",
        languages={"en": "English", "fr": "French"}
    )
    providers = [
        OpenAIProvider(
            model_id="gpt-5-mini-2025-08-07",
            temperature=1
            ),
    ]
    dataset = GenericPipelineDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers)
    dataset.generate(providers)
    print(f"Made {len(dataset.data_rows)} rows, saved to {config.output_file}")
    sample_row = dataset.data_rows[0]
    print(sample_row.uuid, getattr(sample_row, "line", "none"), getattr(sample_row, "rank", "none"), sample_row.model_id)
    url = dataset.push_to_hub(repo_id="someone/accounts", seed=20250816, shuffle=True)

if __name__ == "__main__":
    from dotenv import load_dotenv

    load_dotenv("secrets.env")
    main()
"""

KEYWORDS = """
import os
from datafast.schema.config import GenericPipelineDatasetConfig
from datafast.datasets import GenericPipelineDataset
from datafast.llms import OpenAIProvider, GeminiProvider, OllamaProvider

PROMPT = '''I give you a sailor.
Name 3 keywords, separated by commas.

The sailor:
{sailor}

Answer in {language}, with valid JSON: {num_samples} entry with all required fields.'''

def main():
    global dataset, num_expected_rows, url
    config = GenericPipelineDatasetConfig(
        hf_dataset_name="someone/sailors",
        input_columns=["sailor"],
        output_columns=["keywords"],
        num_samples_per_prompt=1,
        prompts=[PROMPT],
        output_file="keywords_out.jsonl",
        languages={"en": "English", "fr": "French", "es": "Spanish"}
    )
    providers = [
        OllamaProvider(
            model_id="gemma3:27b-it-qat",
            temperature=1
        )
    ]
    dataset = GenericPipelineDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers)
    dataset.generate(providers)
    url = dataset.push_to_hub(repo_id="someone/keywords", seed=20250816, shuffle=True)

if __name__ == "__main__":
    from dotenv import load_dotenv

    load_dotenv("secrets.env")
    main()
"""

ROW_MODELS = """
from datafast.schema.config import GenericPipelineDatasetConfig
from datafast.utils import create_generic_pipeline_row_model

config = GenericPipelineDatasetConfig(
    hf_dataset_name="sailors",
    input_columns=["sailor"],
    forward_columns=["rank"],
    output_columns=["translation", "question"],
    prompts=["Look at: {sailor}. Write {num_samples} translation in {language} and a question."],
    num_samples_per_prompt=1,
    languages={"fr": "French", "es": "Spanish"}
)
RowModel = create_generic_pipeline_row_model(config)
print(RowModel.model_json_schema())
row = RowModel(
    sailor="A mate of the Anna.",
    rank="second",
    translation="Un second de l'Anna",
    question="Qui est-ce?",
    model_id="gpt-4",
    language="fr"
)
print(row.model_dump_json(indent=2))

least = GenericPipelineDatasetConfig(
    hf_dataset_name="sailors",
    input_columns=["sailor"],
    prompts=["Write {num_samples} summary in {language} of {sailor}"],
    num_samples_per_prompt=1,
)
LeastModel = create_generic_pipeline_row_model(least)
print(LeastModel(sailor="A mate", generated_text="A summary", model_id="gpt-4").model_dump_json(indent=2))
"""

TEXTS = """
from datafast.datasets import RawDataset
from datafast.schema.config import RawDatasetConfig, PromptExpansionConfig
from datafast.llms import OpenAIProvider, AnthropicProvider

def main():
    global dataset, num_expected_rows, url
    config = RawDatasetConfig(
        document_types=["logbook", "manual"],
        topics=["Ballast", "Fouling"],
        num_samples_per_prompt=1,
        output_file="hull_texts.jsonl",
        languages={"en": "English", "fr": "French"},
        prompts=[("Write {num_samples} page of a {document_type} in {language_name} about {topic} for {{reader}}.")],
        expansion=PromptExpansionConfig(placeholders={"reader": ["owners", "divers"]}, combinatorial=True),
    )
    providers = [
        OpenAIProvider(model_id="gpt-4.1-mini"),
        AnthropicProvider(model_id="claude-3-5-haiku-latest"),
    ]
    dataset = RawDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers)
    dataset.generate(providers)
    url = dataset.push_to_hub(repo_id="someone/texts", train_size=0.8, seed=20250304, shuffle=True)

if __name__ == "__main__":
    from dotenv import load_dotenv

    load_dotenv("secrets.env")
    main()
"""

CHATS = """
from datafast.datasets import UltrachatDataset
from datafast.inspectors import inspect_ultrachat_dataset
from datafast.schema.config import UltrachatDatasetConfig
from datafast.llms import AnthropicProvider, OpenAIProvider

def main():
    global dataset, num_expected_rows, url
    config = UltrachatDatasetConfig(
        domain="Care of old hulls",
        topics_and_subtopics={"Timber": ["Caulking", "Rot"], "Steel": ["Rust"]},
        personas=["Apprentice in her first year", "Owner of a ferry"],
        num_samples=2,
        max_turns=3,
        conversation_continuation_prob=0.25,
        output_file="hull_chats.jsonl",
        languages={"en": "English"}
    )
    providers = [
        AnthropicProvider(model_id="claude-sonnet-4-5-20250929"),
        OpenAIProvider(model_id="gpt-4.1-mini"),
    ]
    dataset = UltrachatDataset(config)
    num_expected_rows = dataset.get_num_expected_rows(providers)
    dataset.generate(providers)
    print(f"Made {len(dataset.data_rows)} chats, saved to {config.output_file}")
    dataset.inspect()
    inspect_ultrachat_dataset(dataset, random=True)
    url = dataset.push_to_hub(repo_id="someone/chats", train_size=0.8, seed=42, shuffle=True)

if __name__ == "__main__":
    from dotenv import load_dotenv
    load_dotenv("secrets.env")
    main()
"""


@pytest.fixture
def sailors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset on the Hub with a column of classes, which are numbers."""
    import datasets

    classes = datasets.ClassLabel(names=["mate", "cook"])
    features = datasets.Features({"sailor": datasets.Value("string"), "rank": classes})
    table = {"sailor": ["A mate of the Anna.", "Her cook.", "Her pilot."], "rank": [0, 1, 0]}
    found = datasets.DatasetDict({"train": datasets.Dataset.from_dict(table, features=features)})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **options: found)


def test_a_script_that_looks_at_the_models_of_rows_runs_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sailors: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(ROW_MODELS, "script.py", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    assert '"rank": "second"' in printed
    assert '"generated_text": "A summary"' in printed


@pytest.mark.parametrize(
    ("script", "rows", "splits"),
    [
        (LABELS, 2 * 2 * 4 * 3 * 3, {"train", "test"}),
        (PAIRS, 2 * 2, {"train"}),
        (TEXTS, 2 * 2 * 2 * 2 * 2, {"train", "test"}),
        (QUESTIONS, 2 * 2 * 2, {"train", "test"}),
        (QUESTIONS_IN_CONTEXT, 2 * 2, {"train", "test"}),
        (COLUMNS_OF_A_TABLE, 2 * 2 * 2, {"train"}),
        (KEYWORDS, 3 * 3, {"train"}),
        (CHATS, 3 * 2 * 2, {"train", "test"}),
    ],
    ids=["classification", "preference", "raw", "mcq", "mcq with context", "generic_pipeline", "keywords", "ultrachat"],
)
def test_a_script_runs_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault_server: FaultServer,
    hub: HubServer,
    sailors: None,
    script: str,
    rows: int,
    splits: set[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for vendor in ("OPENAI", "ANTHROPIC", "GEMINI", "OLLAMA"):
        monkeypatch.setenv(f"{vendor}_BASE_URL", fault_server.url)
        monkeypatch.setenv(f"{vendor}_API_KEY", "")  # so that what the script loads is gone after the test
        monkeypatch.delenv(f"{vendor}_API_KEY")
    keys = [f"{vendor}_API_KEY=sk-of-{vendor.lower()}-0123456789" for vendor in ("OPENAI", "ANTHROPIC", "GEMINI")]
    (tmp_path / "secrets.env").write_text("\n".join(keys), encoding="utf-8")
    if script is PAIRS:
        for line in keys:
            monkeypatch.setenv(*line.split("="))
    lessons = [
        {"text": f"Lesson {number}: check the valves.", "grade": "BEST", "summary": "Of ships."} for number in range(2)
    ]
    (tmp_path / "lessons.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in lessons), encoding="utf-8")
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(script, "script.py", "exec"), space)
    dataset = space["dataset"]
    assert space["num_expected_rows"] == rows == len(dataset.data_rows) == dataset.report.written
    (name,) = hub.repos
    assert space["url"] == f"{hub.url}/datasets/{name}"
    stored_files = {path.partition("-")[0].removeprefix("data/") for path in hub.repos[name].files if "data/" in path}
    assert stored_files == splits
    sent = {json.loads(request.raw).get("model", "gemini") for request in fault_server.requests}
    named = re.findall(r'Provider\(\s*model_id="([^"]+)"', script)
    assert sent == {"gemini" if name.startswith("gemini") else name for name in named}
    before = len(fault_server.requests)
    exec(compile(script, "script.py", "exec"), space)
    assert len(fault_server.requests) == before
