"""What scripts and files of the first datafast (0.0.x) rely on, as one finds it when only the package is exchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import datafast
from datafast.datasets import ClassificationDataset, PreferenceDataset, RawDataset, UltrachatDataset
from datafast.errors import ConfigError, OutputChangedError, PartialResults, ProviderError, ReplyError, RunStopped
from datafast.inspectors import inspect_classification_dataset
from datafast.llms import (
    AnthropicProvider,
    GeminiProvider,
    LLMProvider,
    MistralProvider,
    OllamaProvider,
    OpenAIProvider,
    OpenRouterProvider,
    SimulatedProvider,
)
from datafast.schema.config import (
    ClassificationDatasetConfig,
    PreferenceDatasetConfig,
    PromptExpansionConfig,
    RawDatasetConfig,
    UltrachatDatasetConfig,
)
from datafast.schema.data_rows import (
    ChatRow,
    LabelSource,
    PreferenceRow,
    PreferenceSource,
    TextClassificationRow,
    TextRow,
    TextSource,
)
from tests.export.support import REPO, stored
from tests.servers.fault_server import Answer, FaultServer
from tests.servers.hub_server import HubServer

CLASSES = [{"name": "leak", "description": "Water gets in."}, {"name": "dry", "description": "No water gets in."}]


def classification(folder: Path, **fields: Any) -> ClassificationDataset:
    given = {"classes": CLASSES, "num_samples_per_prompt": 2, "output_file": str(folder / "labels.jsonl"), **fields}
    return ClassificationDataset(ClassificationDatasetConfig(**given))


def preference(folder: Path, **fields: Any) -> PreferenceDataset:
    given = {"num_samples_per_prompt": 2, "output_file": str(folder / "pairs.jsonl"), **fields}
    return PreferenceDataset(PreferenceDatasetConfig(input_documents=["Of pumps.", "Of valves."], **given))


# -- rows that are expected, and who answers


def test_providers_are_also_called_llms(tmp_path: Path) -> None:
    models = [SimulatedProvider("a"), SimulatedProvider("b")]
    dataset = classification(tmp_path)
    assert dataset.get_num_expected_rows(llms=models) == 2 * 2 * 2
    assert len(dataset.generate(llms=models).data_rows) == 8
    with pytest.raises(ConfigError, match=r"^llms: .* Leave one of them out\.$"):
        dataset.generate(models, llms=models)
    with pytest.raises(ConfigError, match=r"^providers: expected a list of providers"):
        dataset.generate()


@pytest.mark.parametrize("given", [{"llms": [SimulatedProvider("q")]}, {"providers": [SimulatedProvider("q")]}, {}])
def test_a_preference_dataset_may_be_told_who_asks_when_it_counts_rows(tmp_path: Path, given: Any) -> None:
    assert preference(tmp_path).get_num_expected_rows(**given) == 2 * 2


def test_the_providers_of_roles_are_given_by_position(tmp_path: Path) -> None:
    question, chosen, rejected, judge = (SimulatedProvider(name) for name in ("q", "c", "r", "j"))
    plain = preference(tmp_path).generate(question, chosen, rejected)
    assert {(row.question_model_id, row.judge_model_id) for row in plain.data_rows} == {("simulated/q", None)}
    (tmp_path / "judged").mkdir()
    judged = preference(tmp_path / "judged", llm_as_judge=True).generate(question, chosen, rejected, None, judge)
    assert {row.judge_model_id for row in judged.data_rows} == {"simulated/j"}
    assert {row.chosen_model_id for row in judged.data_rows} <= {"simulated/c", "simulated/r"}


def test_more_providers_than_roles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^providers: expected providers by role\. Give one mapping, \{'question'"):
        preference(tmp_path).generate(*[SimulatedProvider("m")] * 6)
    with pytest.raises(ConfigError, match=r"^providers: expected providers by role"):
        preference(tmp_path).generate({"question": SimulatedProvider("m")}, SimulatedProvider("m"))


def test_a_role_has_one_provider_and_the_message_says_how_to_use_several(tmp_path: Path) -> None:
    one, other = SimulatedProvider("a"), SimulatedProvider("b")
    with pytest.raises(
        ConfigError, match=r"^chosen: expected one provider, got several\. Make a dataset with an output_file"
    ):
        preference(tmp_path).generate(one, [one, other], one)  # type: ignore[arg-type]


def test_providers_that_are_given_in_another_way_are_told_the_right_one(tmp_path: Path) -> None:
    one = SimulatedProvider("a")
    with pytest.raises(
        ConfigError, match=r"got a list\. Give them one by one, in the order question, chosen, rejected"
    ):
        preference(tmp_path).generate([one, one, one])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^llms: A run has no such option\. Did you mean 'providers'\?$"):
        preference(tmp_path).generate(llms=[one])
    with pytest.raises(
        ConfigError, match=r"^question_llm: A run has no such option\. Did you mean 'question_gen_llm'\?$"
    ):
        preference(tmp_path).estimate(question_llm=one)


def test_a_judge_that_the_config_does_not_ask_is_refused(tmp_path: Path) -> None:
    model = SimulatedProvider("m")
    with pytest.raises(ConfigError, match=r"A provider is given for 'judge', .* Set llm_as_judge: true to use it\.$"):
        preference(tmp_path).generate(model, model, model, judge_llm=model)


def test_a_missing_key_is_told_when_the_run_begins(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Set OPENAI_API_KEY in the environment"):
        classification(tmp_path).generate([OpenAIProvider()])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "wrong", "right"),
    [
        (RawDatasetConfig, "topcs", "topics"),
        (ClassificationDatasetConfig, "clases", "classes"),
        (PreferenceDatasetConfig, "input_document", "input_documents"),
        (PromptExpansionConfig, "placeholder", "placeholders"),
    ],
)
def test_a_misspelt_field_of_a_config_is_refused_with_the_nearest(make: Any, wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=rf"Did you mean '{right}'\?"):
        make(**{wrong: ["a"]})


def test_a_raw_dataset_has_no_source_texts() -> None:
    with pytest.raises(ValueError, match="source_texts"):
        RawDatasetConfig(document_types=["log"], topics=["pumps"], source_texts=["a"])  # type: ignore[call-arg]


def test_metadata_have_every_value_that_shaped_the_row(tmp_path: Path) -> None:
    config = RawDatasetConfig(
        document_types=["log"],
        topics=["pumps"],
        prompts=["Write {num_samples} {document_type} in {language_name} of {topic} for <<reader>>."],
        expansion=PromptExpansionConfig(placeholders={"reader": ["experts"]}),
        output_file=tmp_path / "rows.jsonl",
    )
    row, *_ = RawDataset(config).generate([SimulatedProvider("m")]).data_rows
    assert row.metadata == {"prompt_index": 0, "document_type": "log", "topic": "pumps", "reader": "experts"}
    assert (row.language, row.model_id) == ("en", "simulated/m")


def test_a_second_run_makes_missing_rows_alone_and_fresh_starts_over(tmp_path: Path) -> None:
    def run(**options: Any) -> tuple[int, int]:
        dataset = classification(tmp_path).generate([SimulatedProvider("m")], **options)
        assert dataset.report is not None
        return len(dataset.data_rows), dataset.report.calls

    assert [run(), run(), run(fresh=True)] == [(4, 2), (4, 0), (4, 2)]


def test_a_provider_that_always_fails_is_stopped_and_the_run_says_why(
    tmp_path: Path, fault_server: FaultServer
) -> None:
    fault_server.respond = lambda request: Answer(status=401, body={"error": {"message": "no such key"}})
    provider = OpenAIProvider("some-model", "sk-0123456789", api_base=fault_server.url)
    with pytest.raises(RunStopped, match=r"401.*no such key"):
        classification(tmp_path, num_samples_per_prompt=50).generate([provider])
    assert len(fault_server.requests) < 10


def test_an_output_file_is_a_path_as_it_was_written(tmp_path: Path) -> None:
    config = ClassificationDatasetConfig(classes=CLASSES, output_file=str(tmp_path / "a.jsonl"))  # type: ignore[arg-type]
    assert config.output_file == tmp_path / "a.jsonl"


def test_every_document_gets_every_question_template(tmp_path: Path) -> None:
    prompts = [f"{word} {{num_samples}} in {{language_name}} of {{document}}" for word in ("Ask", "Quiz", "Test")]
    dataset = preference(tmp_path, question_generation_prompts=prompts, num_samples_per_prompt=1)
    assert dataset.get_num_expected_rows() == 2 * 3


# -- providers


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (OpenAIProvider, "gpt-6-luna"),
        (AnthropicProvider, "claude-haiku-4-5-20251001"),
        (GeminiProvider, "gemini-3.5-flash-lite"),
        (OpenRouterProvider, "openai/gpt-6-luna"),
        (MistralProvider, "mistral-small-latest"),
        (OllamaProvider, "gemma3:4b"),
    ],
)
def test_models_by_default_are_those_that_the_page_names(kind: type[LLMProvider], model: str) -> None:
    assert kind().model_id == model
    page = (Path(datafast.__file__).parent.parent / "docs/coming-from/datafast-0.md").read_text(encoding="utf-8")
    assert f"`{model}`" in page


@pytest.mark.parametrize(
    "kind", [OpenAIProvider, AnthropicProvider, GeminiProvider, MistralProvider, OpenRouterProvider, OllamaProvider]
)
def test_the_key_may_be_given_by_position(kind: type[LLMProvider]) -> None:
    provider = kind("some-model", "sk-0123456789")
    assert (provider.model_id, provider.api_key) == ("some-model", "sk-0123456789")
    assert "0123456789" not in repr(provider)
    assert provider.identity == kind("some-model").identity


def test_a_provider_class_of_a_script_says_what_it_lacks_before_anything_is_sent(tmp_path: Path) -> None:
    class Groq(LLMProvider):
        @property
        def provider_name(self) -> str:  # type: ignore[override]
            return "groq"

        @property
        def env_key_name(self) -> str:  # type: ignore[override]
            return "GROQ_API_KEY"

    provider = Groq("llama", "sk-0123456789")
    told = r"^groq/llama: Groq does not say how it is called: .* use LiteLLMProvider\('groq/llama'\)\.$"
    with pytest.raises(ConfigError, match=told):
        provider.generate("x")
    with pytest.raises(ConfigError, match=told):
        classification(tmp_path).generate([provider])
    assert list(tmp_path.iterdir()) == []


def test_parameters_after_the_key_are_given_by_name() -> None:
    with pytest.raises(
        ConfigError, match=r"^api_key: expected a text, got float\. Give parameters like temperature by name\.$"
    ):
        OllamaProvider("gemma3:4b", 0.7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Either prompts or messages must be provided"),
        (
            {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
            "Provide either prompts or messages, not both",
        ),
        ({"prompt": []}, "prompt cannot be empty"),
        ({"prompt": 5}, "prompt must be a string or list of strings"),
        ({"prompt": ["a", 5]}, "prompt must be a string or list of strings"),
        ({"messages": []}, "messages cannot be empty"),
        ({"messages": [[]]}, "messages cannot be empty"),
        ({"messages": ["hello"]}, "Invalid messages format"),
    ],
)
def test_wrong_input_of_generate_is_a_value_error_with_the_known_words(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match=rf"^{told}\. .*\.$"):
        OpenAIProvider("some-model", "sk-0123456789").generate(**given)


class Form(BaseModel):
    answer: str


def test_a_failed_request_is_a_runtime_error_and_says_what_it_was(fault_server: FaultServer) -> None:
    provider = OpenAIProvider("some-model", "sk-0123456789", api_base=fault_server.url)
    fault_server.answer_next(Answer(status=500, body="{}"), Answer(text="no JSON"))
    with pytest.raises(RuntimeError) as failed:
        provider.generate("x")
    assert isinstance(failed.value, ProviderError)
    with pytest.raises(RuntimeError) as misread:
        provider.generate("x", response_format=Form)
    assert isinstance(misread.value, ReplyError)
    fault_server.respond = lambda request: (
        Answer(status=500, body="{}") if request.prompt == "b" else Answer(text="yes")
    )
    with pytest.raises(RuntimeError) as some:
        provider.generate(["a", "b"])
    assert isinstance(some.value, PartialResults)
    assert some.value.results[0] == "yes"


# -- rows


def test_rows_are_made_from_what_the_first_datafast_asked_for() -> None:
    row = TextRow(text="a", text_source="human", metadata={"date": "2025-06-30"})  # type: ignore[arg-type]
    assert (row.text_source, row.model_id, row.language) == (TextSource.HUMAN, None, None)
    assert row.uuid == TextRow(text="a", text_source=TextSource.HUMAN).uuid != TextRow(text="b").uuid
    assert [source.value for source in TextSource] == [source.value for source in LabelSource]
    assert [source.value for source in TextSource] == [source.value for source in PreferenceSource]
    assert TextSource.VERIFIED == "verified"


UUID = "0b0e6d1e-0000-4000-8000-000000000001"
FORMER = [
    (
        RawDataset(RawDatasetConfig(document_types=["log"], topics=["pumps"])),
        {
            "text": "a",
            "text_source": "verified",
            "model_id": None,
            "language": "en",
            "uuid": UUID,
            "metadata": {"x": "y"},
        },
    ),
    (
        ClassificationDataset(ClassificationDatasetConfig(classes=CLASSES)),  # type: ignore[arg-type]
        {"text": "a", "label": "leak", "model_id": "m", "label_source": "synthetic", "confidence_scores": None}
        | {"language": None, "uuid": UUID, "metadata": {}},
    ),
    (
        PreferenceDataset(PreferenceDatasetConfig(input_documents=["Of pumps."])),
        {"input_document": "d", "question": "q", "chosen_response": "c", "rejected_response": "r"}
        | {"preference_source": "synthetic", "chosen_model_id": "m", "rejected_model_id": "n", "language": "en"}
        | {"chosen_response_score": 9, "uuid": UUID, "metadata": {"instruction_model": "m"}},
    ),
    (
        UltrachatDataset(UltrachatDatasetConfig(topics_and_subtopics={"Pumps": ["Seals"]})),
        {"opening_question": "q", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
        | {"model_id": "m", "uuid": UUID, "metadata": {"domain": "d", "topic": "t", "subtopic": "s"}, "persona": "p"},
    ),
]


@pytest.mark.parametrize(("dataset", "line"), FORMER)
def test_a_file_of_the_first_datafast_is_read_saved_and_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: HubServer, dataset: Any, line: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(dataset.config.output_file).write_text(json.dumps(line) + "\n", encoding="utf-8")
    row = dataset.data_rows[0]
    assert isinstance(row, TextRow | TextClassificationRow | PreferenceRow | ChatRow)
    assert {name: value for name, value in row.model_dump(mode="json").items() if name in line} == line
    dataset.save("copy.json")
    assert json.loads(Path("copy.json").read_text(encoding="utf-8"))[0]["uuid"] == UUID
    dataset.push_to_hub(REPO, "hf_test_token")
    assert hub.repos[REPO].private
    assert [row["uuid"] for row in stored(hub, "train")] == [UUID]


def test_a_file_of_the_first_datafast_is_not_appended_to(tmp_path: Path) -> None:
    dataset, model = classification(tmp_path), SimulatedProvider("m")
    written = json.dumps(FORMER[1][1]) + "\n"
    (tmp_path / "labels.jsonl").write_text(written, encoding="utf-8")
    with pytest.raises(
        OutputChangedError, match=r"another output_file .* start over with fresh=True .* as they are\.$"
    ):
        dataset.generate([model])
    assert (tmp_path / "labels.jsonl").read_text(encoding="utf-8") == written
    assert len(dataset.generate([model], fresh=True).data_rows) == 4
    (kept,) = tmp_path.glob("labels.jsonl.*.bak")
    assert kept.read_text(encoding="utf-8") == written


# -- looking at rows


def test_rows_are_looked_at_by_the_names_of_the_inspectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = classification(tmp_path).generate([SimulatedProvider("m")])
    dataset.inspect()
    first = capsys.readouterr().out
    assert first.startswith("Row 1 of 4\n  text: ")
    assert first.count("\n  label: ") == 4
    inspect_classification_dataset(dataset, random=True)
    assert sorted(capsys.readouterr().out.split("\n\n")) == sorted(first.split("\n\n"))
    dataset.inspect(num_rows=1)
    assert capsys.readouterr().out.count("Row ") == 1


def test_what_a_model_wrote_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = RawDataset(RawDatasetConfig(document_types=["log"], topics=["pumps"], output_file=tmp_path / "a.jsonl"))
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a \x1b[2J b"}) + "\n", encoding="utf-8")
    dataset.inspect()
    assert "text: a \\x1b[2J b" in capsys.readouterr().out


def test_rows_cannot_be_set_and_the_message_says_where_they_go(tmp_path: Path) -> None:
    dataset = classification(tmp_path)
    with pytest.raises(ConfigError, match=r"^data_rows: They are read from .*labels\.jsonl and cannot be set\. Write"):
        dataset.data_rows = [TextClassificationRow(text="a", label="leak")]


# -- what does not exist here


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("from datafast.datasets import UltraChatDataset", "UltrachatDataset"),
        ("from datafast.schema.config import UltraChatDatasetConfig", "UltrachatDatasetConfig"),
        ("from datafast.datasets import TextClassificationDataset", "ClassificationDataset"),
        ("from datafast.llms import GoogleProvider", "GeminiProvider"),
        ("from datafast import LLMStep", "ColumnsDataset"),
    ],
)
def test_a_name_that_does_not_exist_here_says_what_does(code: str, told: str) -> None:
    with pytest.raises(ImportError, match=rf"^datafast\S* has no \w+\. .*{told}.*\.$"):
        exec(code)


def test_the_version_is_told() -> None:
    assert datafast.get_version() == datafast.__version__
