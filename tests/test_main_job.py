"""The main job on a real model server: llama.cpp, decoding by grammar, two providers at once, both wire formats."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafast.datasets import PreferenceDataset, RawDataset
from datafast.errors import RunStopped
from datafast.llms import AnthropicProvider, OpenAICompatibleProvider
from datafast.schema.config import PreferenceDatasetConfig, PromptExpansionConfig, RawDatasetConfig, RunConfig
from tests.servers.llama import LlamaServer

pytestmark = pytest.mark.slow

SPACE = RawDatasetConfig(
    document_types=[
        "space engineering textbook",
        "spacecraft design justification document",
        "personal blog of a space engineer",
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
    languages={"en": "English", "fr": "French"},
    prompts=[
        "Generate {num_samples} section of a {document_type} in {language_name} about the topic of {topic} in Space "
        "Engineering. Target the content for <<expertise_level>> level readers."
    ],
    expansion=PromptExpansionConfig(
        placeholders={"expertise_level": ["executives", "senior engineers", "PhD candidates"]}
    ),
    # The model picks words at random and now and then says nothing at all.
    run=RunConfig(max_concurrency=8, max_parse_retries=9),
)


def test_288_rows_of_real_text_over_both_wire_formats(llama_server: LlamaServer, tmp_path: Path) -> None:
    config = SPACE.model_copy(update={"output_file": tmp_path / "space.jsonl"})
    providers = [
        OpenAICompatibleProvider(
            "tiny", name="openai-wire", api_base=llama_server.url, api_key=llama_server.key, temperature=0.9
        ),
        AnthropicProvider("tiny", name="anthropic-wire", api_base=llama_server.url, api_key=llama_server.key),
    ]
    dataset = RawDataset(config)
    assert dataset.get_num_expected_rows(providers) == 288
    dataset.generate(providers)
    report = dataset.report
    assert report is not None
    assert (report.requested, report.written, report.failed, report.pending) == (288, 288, 0, 0)
    assert report.output_tokens > 288
    assert report.cost_usd is None  # nobody knows the price of this model: not 0
    rows = dataset.data_rows
    assert len({row.uuid for row in rows}) == 288
    assert all(row.text.strip() for row in rows)
    assert {(row.language, row.metadata["expertise_level"]) for row in rows} == {
        (language, level) for language in ("en", "fr") for level in ("executives", "senior engineers", "PhD candidates")
    }
    with closing(sqlite3.connect(tmp_path / "space.jsonl.ledger")) as db, db:
        calls = dict(db.execute("SELECT provider, count(DISTINCT item) FROM calls GROUP BY provider").fetchall())
    db.close()
    assert calls == {"openai-wire": 144, "anthropic-wire": 144}
    dataset.generate(providers)
    assert dataset.report.calls == 0


def test_preference_pairs_of_a_real_model_with_a_judge(llama_server: LlamaServer, tmp_path: Path) -> None:
    model = OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key=llama_server.key)
    config = PreferenceDatasetConfig(
        input_documents=["The comet passed the planet.", "Bread needs wheat."],
        num_samples_per_prompt=3,
        llm_as_judge=True,
        evol_instruct=True,
        output_file=tmp_path / "pairs.jsonl",
        run=RunConfig(max_concurrency=4, max_parse_retries=9, top_up=True),
    )
    dataset = PreferenceDataset(config)
    dataset.generate(
        question_gen_llm=model,
        chosen_response_gen_llm=model,
        rejected_response_gen_llm=model,
        evolution_llm=model,
        judge_llm=model,
    )
    rows = list(dataset.data_rows)
    assert len(rows) == dataset.get_num_expected_rows() == 6
    for row in rows:
        assert row.chosen_response_score is not None
        assert row.rejected_response_score is not None
        assert 10 >= row.chosen_response_score >= row.rejected_response_score >= 1


def refused_run(tmp_path: Path, provider: OpenAICompatibleProvider, **fields: Any) -> RawDataset:
    config = RawDatasetConfig(
        **{"document_types": ["note"], "topics": ["orbit", "comet"], "num_samples_per_prompt": 1, **fields},
        output_file=tmp_path / "out.jsonl",
        # What is refused here is refused at once; a reply of the model may be invalid by chance, as above.
        run=RunConfig(max_concurrency=2, max_parse_retries=9),
    )
    return RawDataset(config)


def test_a_real_server_with_a_wrong_key_stops_its_provider(llama_server: LlamaServer, tmp_path: Path) -> None:
    provider = OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key="sk-wrong-0123456789")
    dataset = refused_run(tmp_path, provider)
    with pytest.raises(RunStopped, match="401"):
        dataset.generate([provider])
    assert dataset.report is not None
    assert (dataset.report.failed, dataset.report.pending) == (0, 2)


def test_a_prompt_beyond_a_real_context_fails_its_item_alone(llama_server: LlamaServer, tmp_path: Path) -> None:
    provider = OpenAICompatibleProvider("tiny", api_base=llama_server.url, api_key=llama_server.key)
    dataset = refused_run(tmp_path, provider, topics=["orbit", "river " * 2 * llama_server.context_tokens])
    dataset.generate([provider])
    assert dataset.report is not None
    assert dataset.report.failures == {"context_length": 1}
    assert dataset.report.failures_by_provider == {"openai_compatible/tiny": {"context_length": 1}}
    assert dataset.report.written == 1


def test_a_real_reply_cut_at_twenty_tokens_is_a_truncation(llama_server: LlamaServer, tmp_path: Path) -> None:
    provider = OpenAICompatibleProvider(
        "tiny", api_base=llama_server.url, api_key=llama_server.key, max_completion_tokens=20
    )
    dataset = refused_run(tmp_path, provider, num_samples_per_prompt=9)
    dataset.generate([provider])
    assert dataset.report is not None
    # Where a text was whole before the cut, it is kept, and the others are what the reply fell short of.
    assert set(dataset.report.failures) <= {"truncated", "short_reply"}
    assert dataset.report.written + dataset.report.failed == 18
    assert dataset.report.calls == 2
