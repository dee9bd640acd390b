"""Rows can be trained on: chat templates of every sort render them, with calls and tools as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from tests.datasets.conversation.support import EXCHANGES, STYLES, every_style, said, talk
from tests.datasets.conversation.templates import OF_OBJECTS, OF_TEXT, THINKING, rendered
from tests.datasets.conversation.tool_server import HUSUM, PIER, WITH_TOOLS, Cast, rows_with
from tests.servers.fault_server import Answer, FaultServer
from tests.support import rows_of

pytest.importorskip("transformers")


def an_agents_row(folder: Path, server: FaultServer, **fields: Any) -> dict[str, Any]:
    from tests.datasets.conversation.support import generated

    server.answer_next(said(EXCHANGES["tools"], EXCHANGES["tools"]))
    (row,) = generated(folder, server, max_turns=2, dataset_system_prompt="You pilot.", **STYLES["tools"], **fields)
    return row


@every_style
@pytest.mark.parametrize("template", OF_OBJECTS)
@pytest.mark.parametrize("output_format", [None, "conversational"])
def test_templates_render_rows_of_every_style(
    tmp_path: Path, style: str, template: str, output_format: str | None
) -> None:
    dataset = talk(tmp_path, 3, max_turns=2, output_format=output_format, **STYLES[style])
    dataset.generate([SimulatedProvider("m")])
    found = rows_of(tmp_path / "out.jsonl")
    assert len(found) == 3
    for row in found:
        text = rendered(OF_OBJECTS[template], row)
        assert row["messages"][-1]["content"] in text
        assert ("tide_level" in text) is (style == "tools")


@pytest.mark.parametrize("template", OF_OBJECTS)
@pytest.mark.parametrize("output_format", [None, "conversational"])
def test_arguments_are_rendered_once_and_tools_with_their_parameters(
    tmp_path: Path, fault_server: FaultServer, template: str, output_format: str | None
) -> None:
    text = rendered(OF_OBJECTS[template], an_agents_row(tmp_path, fault_server, output_format=output_format))
    assert '\\"' not in text
    assert text.count("Husum") == 2
    assert "station" in text.replace("Husum", "")


@pytest.mark.parametrize("template", OF_OBJECTS)
@pytest.mark.parametrize("output_format", [None, "conversational"])
def test_parallel_calls_are_rendered_each_with_its_result(
    tmp_path: Path, fault_server: FaultServer, template: str, output_format: str | None
) -> None:
    at_once = 1 if template in ("llama", "gpt-oss") else 2  # these take one call in a message
    said = {"openings": [["Can I sail?"]], "results": [["0.7 m", {"knots": 12}][:at_once]]}
    made = Cast(calls=[[HUSUM, PIER][:at_once]], **said)
    (row,) = rows_with(tmp_path, fault_server, cast=made, max_parallel_calls=at_once, output_format=output_format)
    text = rendered(OF_OBJECTS[template], row)
    assert text.count("Husum") == 1
    of_tools = rendered(OF_OBJECTS[template], {**row, "messages": []})
    assert text.count("pier") == of_tools.count("pier") + at_once - 1
    assert "0.7 m" in text
    assert row["messages"][-1]["content"] in text
    assert "None" not in text


@pytest.mark.parametrize("template", OF_TEXT)
def test_templates_that_take_arguments_as_text_render_the_openai_form(
    tmp_path: Path, fault_server: FaultServer, template: str
) -> None:
    fault_server.answer_next(said(EXCHANGES["tools"]))
    dataset = talk(tmp_path, 1, **STYLES["tools"])
    from tests.datasets.conversation.support import provider

    dataset.generate([provider(fault_server)])
    dataset.save(tmp_path / "openai.jsonl", format="openai")
    (row,) = rows_of(tmp_path / "openai.jsonl")
    assert 'function:tide_level\n{"station":"Husum"}\n' in rendered(OF_TEXT[template], row)


@pytest.mark.parametrize("fields", [STYLES["tools"], WITH_TOOLS])
def test_a_row_of_a_table_is_the_row_again(tmp_path: Path, fields: dict[str, Any]) -> None:
    dataset = talk(tmp_path, 4, **fields).generate([SimulatedProvider("m")])
    dataset.save(tmp_path / "rows.parquet")
    import pyarrow.parquet

    (first, *_) = pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert isinstance(json.loads(first["tools"]), list)
    first["metadata"] = json.loads(first["metadata"])
    assert dataset.row_model.model_validate(first).model_dump(mode="json") == rows_of(tmp_path / "out.jsonl")[0]


@pytest.mark.parametrize(("template", "shown"), [("qwen", "<think>[Moon."), ("glm", "<thought>Moon.")])
def test_what_a_model_thought_is_rendered_before_its_answer(
    tmp_path: Path, fault_server: FaultServer, template: str, shown: str
) -> None:
    from tests.datasets.conversation.support import provider

    text = json.dumps({"conversations": [{"exchanges": [EXCHANGES["basic"]]}]})
    fault_server.answer_next(Answer(text=f"<think>\nMoon.\n</think>\n{text}"))
    dataset = talk(tmp_path, 1, reasoning="field").generate([provider(fault_server)])
    dataset.save(tmp_path / "trl.jsonl", format="trl")
    (row,) = rows_of(tmp_path / "trl.jsonl")
    assert row["messages"][-1] == {"reasoning_content": "Moon.", "role": "assistant", "content": "Because."}
    text = rendered(THINKING[template], row)
    assert text.index(shown) < text.index("Because.")
    dataset.save(tmp_path / "chatml.jsonl", format="chatml")
    (chatml,) = rows_of(tmp_path / "chatml.jsonl")
    assert chatml["text"].endswith("<|im_start|>assistant\n<think>\nMoon.\n</think>\n\nBecause.<|im_end|>\n")
