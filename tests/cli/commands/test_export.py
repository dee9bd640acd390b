"""`datafast export`: what earlier processes and other tools have written, in other formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
from click.testing import CliRunner

from datafast import load
from datafast.cli.main import cli
from datafast.datasets import JudgementDataset
from datafast.errors import ConfigError
from datafast.llms import SimulatedProvider
from datafast.schema.config import JudgementDatasetConfig
from tests.support import columns, preference, raw, roles, rows_of

MODEL = SimulatedProvider("m")


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def test_an_output_of_an_earlier_run_in_several_formats(tmp_path: Path) -> None:
    preference(tmp_path).generate_roles(roles(MODEL))
    rows = rows_of(tmp_path / "out.jsonl")
    done = run(tmp_path / "out.jsonl", "--to", "dpo", "--to", "kto", "-o", tmp_path / "train.jsonl", "--keep", "uuid")
    assert done.exit_code == 0, done.output
    records = rows_of(tmp_path / "train.dpo.jsonl")
    assert [record["uuid"] for record in records] == [row["uuid"] for row in rows]
    assert [record["chosen"][0]["content"] for record in records] == [row["chosen_response"] for row in rows]
    assert len(rows_of(tmp_path / "train.kto.jsonl")) == 2 * len(rows)
    assert f"{tmp_path / 'train.kto.jsonl'}: {len(rows)} rows as kto, {2 * len(rows)} records." in done.output


def test_what_was_written_as_json(tmp_path: Path) -> None:
    raw(tmp_path).generate([MODEL])
    done = run(tmp_path / "out.jsonl", "--to", "language_modeling", "-o", tmp_path / "a.parquet", "--json")
    (told,) = json.loads(done.output)
    count = len(rows_of(tmp_path / "out.jsonl"))
    assert told == {
        "path": str(tmp_path / "a.parquet"),
        "format": "language_modeling",
        "container": "parquet",
        "rows": count,
        "records": count,
        "left_out": {},
        "late": [],
    }


def test_a_file_of_another_tool_is_read_by_its_columns(tmp_path: Path) -> None:
    source = tmp_path / "qa.csv"
    source.write_text("question,answer\nWhy?,So.\nHow?,\n", encoding="utf-8")
    done = run(source, "--to", "prompt_completion", "-o", tmp_path / "a.jsonl")
    assert done.exit_code == 0, done.output
    assert rows_of(tmp_path / "a.jsonl")[0] == {
        "prompt": [{"role": "user", "content": "Why?"}],
        "completion": [{"role": "assistant", "content": "So."}],
    }


def test_columns_of_any_names_are_read_as_they_are_told(tmp_path: Path) -> None:
    source = tmp_path / "own.jsonl"
    source.write_text('{"topic": "tides", "note": "They turn.", "question": "no"}\n', encoding="utf-8")
    done = run(
        source, "--to", "openai", "-o", tmp_path / "a.jsonl", "--read", "prompt=topic", "--read", "completion=note"
    )
    assert done.exit_code == 0, done.output
    assert rows_of(tmp_path / "a.jsonl") == [
        {"messages": [{"role": "user", "content": "tides"}, {"role": "assistant", "content": "They turn."}]}
    ]


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_no_record_at_all_is_exit_code_3(tmp_path: Path, how: tuple[str, ...]) -> None:
    source = tmp_path / "pairs.jsonl"
    source.write_text('{"chosen": "a", "rejected": "b"}\n', encoding="utf-8")
    done = run(source, "--to", "dpo", "-o", tmp_path / "a.jsonl", *how)
    assert done.exit_code == 3, done.output
    assert str(tmp_path / "a.jsonl") in done.output


def test_rows_without_an_answer_are_left_out_and_told(tmp_path: Path) -> None:
    source = tmp_path / "qa.jsonl"
    source.write_text('{"question": "Why?", "answer": "So."}\n{"question": "How?", "answer": null}\n', encoding="utf-8")
    done = run(source, "--to", "openai", "-o", tmp_path / "a.jsonl")
    assert "2 rows as openai. Left out, because a row has no answer: 1." in done.output
    assert len(rows_of(tmp_path / "a.jsonl")) == 1


def test_what_rows_cannot_be_written_as_is_refused(tmp_path: Path) -> None:
    raw(tmp_path).generate([MODEL])
    done = run(tmp_path / "out.jsonl", "--to", "dpo", "-o", tmp_path / "a.jsonl")
    assert done.exit_code == 2
    assert "language_modeling, axolotl_pretraining, llama_factory_pretraining, custom." in done.output
    assert not (tmp_path / "a.jsonl").exists()


def test_the_rows_and_their_ledger_are_never_replaced(tmp_path: Path) -> None:
    raw(tmp_path).generate([MODEL])
    before = (tmp_path / "out.jsonl").read_bytes()
    for own in ("out.jsonl", "out.jsonl.ledger"):
        with pytest.raises(ConfigError, match="is also used as"):
            load(tmp_path / "out.jsonl").export(tmp_path / own, "jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_the_order_of_the_plan(tmp_path: Path) -> None:
    schema = {
        "number": {"type": "uuid"},
        "text": {"type": "text", "prompt": "{number}", "provider": "m"},
    }
    made = columns(tmp_path, schema, rows=30, run={"max_concurrency": 8}).generate({"m": MODEL})
    ordered = made.export(tmp_path / "ordered.jsonl", "jsonl", order="plan")[0]
    in_file = sorted(rows_of(tmp_path / "out.jsonl"), key=lambda row: row["number"])
    assert sorted(rows_of(ordered.path), key=lambda row: row["number"]) == in_file
    one = columns(tmp_path / "one", schema, rows=30, run={"max_concurrency": 1}).generate({"m": MODEL})
    assert [row["number"] for row in rows_of(ordered.path)] == [row.number for row in one.data_rows]  # type: ignore[attr-defined]
    source = tmp_path / "other.jsonl"
    source.write_text('{"a": 1}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"order: .* has no ledger"):
        load(source).export(tmp_path / "x.jsonl", "jsonl", order="plan")


def test_compared_columns_are_a_preference(tmp_path: Path) -> None:
    lines = [json.dumps({"question": f"Why {n}?", "one": f"So {n}.", "other": f"No {n}."}) for n in range(6)]
    (tmp_path / "source.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = JudgementDatasetConfig(
        source=tmp_path / "source.jsonl", compare=["one", "other"], output_file=tmp_path / "out.jsonl"
    )
    JudgementDataset(config).generate({"judge": MODEL})
    rows = rows_of(tmp_path / "out.jsonl")
    (done,) = load(tmp_path / "out.jsonl").export(tmp_path / "dpo.jsonl", "dpo", texts=True)
    decided = [row for row in rows if row["preferred"] is not None]
    assert done.left_out.total() == len(rows) - len(decided)
    assert rows_of(done.path) == [
        {
            "prompt": row["question"],
            "chosen": row[row["preferred"]],
            "rejected": row["other" if row["preferred"] == "one" else "one"],
        }
        for row in decided
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--to", "xml"], "There is no format 'xml'"),
        (["--to", "openai", "--container", "xml"], "There is no container 'xml'"),
        (["--to", "openai", "--to", "openai"], "A format is given twice"),
        (["--to", "csv", "--container", "json"], "The format csv is not for the container json"),
        (["--to", "custom", "--column", "a"], "--column: 'a' has no name before a ="),
        (
            ["--to", "openai", "--read", "prompt=quest"],
            "read_as: The rows have no column 'quest'. Did you mean 'question'?",
        ),
        (["--to", "custom"], "custom: There is no column"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, given: list[str], message: str) -> None:
    source = tmp_path / "qa.jsonl"
    source.write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    done = run(source, *given, "-o", tmp_path / "a.jsonl")
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "a.jsonl").exists()


def compared_of_memory(folder: Path) -> list[dict[str, Any]]:
    """Rows whose config cannot be read again, because their source was a list."""
    source = [{"question": f"Why {n}?", "one": f"So {n}.", "other": f"No {n}.", "note": None} for n in range(6)]
    config = JudgementDatasetConfig(source=source, compare=["one", "other"], output_file=folder / "out.jsonl")
    JudgementDataset(config).generate({"judge": MODEL})
    return rows_of(folder / "out.jsonl")


@pytest.mark.parametrize("kept", [("out.jsonl", "out.jsonl.ledger"), ("out.jsonl", "out.jsonl.manifest.json")])
def test_rows_of_a_run_have_its_types_where_only_the_ledger_or_the_manifest_tells(
    tmp_path: Path, kept: tuple[str, ...]
) -> None:
    rows = compared_of_memory(tmp_path / "made")
    for name in kept:
        shutil.copy(tmp_path / "made" / name, tmp_path / name)
    found = load(tmp_path / "out.jsonl")
    features = found.to_huggingface().features
    assert features["margin"] == datasets.Value("float64")
    assert features["judgements"].feature["first_score"] == datasets.Value("float64")
    (done,) = found.export(tmp_path / "dpo.jsonl", "dpo")
    assert done.records == sum(row["preferred"] is not None for row in rows)
    assert rows_of(found.to_jsonl(tmp_path / "again.jsonl")) == rows


def test_a_kind_that_is_read_from_its_manifest_reads_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    preference(tmp_path / "made").generate_roles(roles(MODEL))
    for name in ("out.jsonl", "out.jsonl.manifest.json"):
        shutil.copy(tmp_path / "made" / name, tmp_path / name)
    (done,) = load(tmp_path / "out.jsonl").export(tmp_path / "a.jsonl", "dpo", with_document=True)
    (first, *_) = rows_of(done.path)
    row = rows_of(tmp_path / "out.jsonl")[0]
    assert first["prompt"] == [{"role": "user", "content": f"{row['input_document']}\n\n{row['question']}"}]
