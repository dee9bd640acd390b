"""Each container as the real `datasets` loads it: the types of the row model, whatever the first rows hold."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from pydantic import BaseModel

from datafast import load
from datafast.errors import OutputWriteError
from datafast.export.features import described, model_of, row_schema
from datafast.export.files import export_rows, save_rows, targets_of
from datafast.schema.data_rows import ChatRow, JudgedPreferenceRow, ReasonedConversationRow, ToolConversationRow
from tests.export.test_kinds import CALLED, CHAT, TOOL

TYPED = {"parquet": "a.parquet", "arrow": "a.arrow", "save_to_disk": "folder"}
LATE = 1_500
"""More rows than a batch has, with nothing in them."""


class Late(BaseModel):
    text: str
    note: str | None
    score: float | None
    tags: list[str]
    about: dict[str, Any] | None


def late_rows() -> Iterator[dict[str, Any]]:
    for number in range(LATE):
        yield {"text": str(number), "note": None, "score": 1, "tags": [], "about": None}
    yield {"text": "2024-01-01", "note": "x", "score": 1.5, "tags": ["a"], "about": {"n": 1}}


def loaded(path: Path, container: str, cache: Path) -> Any:
    """The file, as its users load it."""
    if container == "save_to_disk":
        return datasets.load_from_disk(str(path))
    return datasets.load_dataset(container, data_files=str(path), split="train", cache_dir=str(cache))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.mark.parametrize("container", TYPED)
def test_late_types_and_nulls_have_the_type_of_the_model(tmp_path: Path, container: str) -> None:
    path = tmp_path / TYPED[container]
    export_rows(late_rows(), targets_of(path, [container]), row_model=Late)
    found = loaded(path, container, tmp_path / "cache")
    assert found.features == row_schema(Late).features
    assert (found.num_rows, found[0]["note"], found[0]["score"]) == (LATE + 1, None, 1.0)
    assert found[LATE] == {"text": "2024-01-01", "note": "x", "score": 1.5, "tags": ["a"], "about": '{"n":1}'}


@pytest.mark.parametrize("container", ["jsonl", "json", "csv"])
def test_files_without_types_load_with_the_features_of_the_export(tmp_path: Path, container: str) -> None:
    class Row(BaseModel):
        text: str
        note: str | None
        score: float | None

    rows = [{"text": "a", "note": None, "score": None}, {"text": "b", "note": "x", "score": 0.5}]
    path = tmp_path / f"a.{container}"
    (done,) = export_rows(rows, targets_of(path, [container]), row_model=Row)
    kind = "csv" if container == "csv" else "json"
    found = datasets.load_dataset(
        kind, data_files=str(path), split="train", features=done.features, cache_dir=str(tmp_path / "cache")
    )
    assert found.features == row_schema(Row).features
    assert list(found) == rows


@pytest.mark.parametrize("container", TYPED)
def test_conversations_with_tools_keep_every_key_of_their_messages(tmp_path: Path, container: str) -> None:
    path = tmp_path / TYPED[container]
    export_rows(
        [CALLED.model_dump(mode="json")],
        targets_of(path, ["trl_conversational"], container),
        row_model=ToolConversationRow,
    )
    (row,) = loaded(path, container, tmp_path / "cache")
    assert json.loads(row["tools"]) == [TOOL]
    call = row["messages"][1]["tool_calls"][0]
    assert (call["id"], call["function"]["name"]) == ("call00000", "level")
    assert json.loads(call["function"]["arguments"]) == {"at": "pier"}
    assert row["messages"][2]["tool_call_id"] == "call00000"


def test_messages_of_other_tools_keep_every_key_wherever_it_comes_first(tmp_path: Path) -> None:
    plain = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    called = [*CALLED.model_dump()["messages"], {"role": "assistant", "content": "x", "weight": 0}]
    lines = [json.dumps({"messages": plain})] * LATE + [json.dumps({"messages": called})]
    (tmp_path / "other.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for form in ("parquet", "trl_conversational", "prompt_completion"):
        load(tmp_path / "other.jsonl").export(tmp_path / f"{form}.parquet", form, container="parquet")
        found = loaded(tmp_path / f"{form}.parquet", "parquet", tmp_path / "cache")
        assert found.num_rows == LATE + 1
        messages = found[LATE]["messages" if form != "prompt_completion" else "completion"]
        call = next(message for message in messages if message["tool_calls"])["tool_calls"][0]
        assert json.loads(call["function"]["arguments"]) == {"at": "pier"}
        assert messages[-1]["weight"] == 0


def test_a_folder_has_what_the_library_itself_writes_and_nothing_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets.enable_progress_bars()
    export_rows(late_rows(), targets_of(tmp_path / "ours", ["save_to_disk"]), row_model=Late)
    assert capsys.readouterr() == ("", "")
    datasets.disable_progress_bars()
    datasets.load_from_disk(str(tmp_path / "ours")).save_to_disk(str(tmp_path / "theirs"))
    ours, theirs = (
        json.loads((tmp_path / name / "state.json").read_text(encoding="utf-8")) for name in ("ours", "theirs")
    )
    assert {**ours, "_fingerprint": theirs["_fingerprint"]} == theirs
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {
        path.name for path in (tmp_path / "theirs").iterdir()
    }


def test_a_folder_is_whole_or_not_there_and_replaces_only_one_of_its_kind(tmp_path: Path) -> None:
    def breaking() -> Iterator[dict[str, Any]]:
        yield {"text": "a"}
        raise OSError(28, "No space left on device")

    class Row(BaseModel):
        text: str

    with pytest.raises(OutputWriteError, match="No space left"):
        save_rows(breaking(), tmp_path / "folder", "save_to_disk", row_model=Row)
    assert not list(tmp_path.iterdir())
    for text in ("a", "b"):
        save_rows([{"text": text}], tmp_path / "folder", "save_to_disk", row_model=Row)
        assert list(datasets.load_from_disk(str(tmp_path / "folder"))) == [{"text": text}]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    for name in ("photos/a.png", "thesis.docx", "data.jsonl"):
        mine = tmp_path / name[:3] / name
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        with pytest.raises(OutputWriteError, match=f"there is a folder with other things in it, like {name[:4]}"):
            save_rows([{"text": "a"}], tmp_path / name[:3], "save_to_disk", row_model=Row)
        assert mine.read_text() == "mine"


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_a_pipe_or_a_device_is_never_replaced(tmp_path: Path, format: str) -> None:  # noqa: A002
    class Row(BaseModel):
        text: str

    pipe = tmp_path / "stdout"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(OutputWriteError, match="it is a pipe or a device, and no file"):
            save_rows([{"text": "a"}], path, format, row_model=Row)
    assert pipe.is_fifo()


@pytest.mark.parametrize("format", ["jsonl", "save_to_disk"])
def test_the_folder_that_one_is_in_is_not_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,  # noqa: A002
) -> None:
    class Row(BaseModel):
        text: str

    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputWriteError, match=r"Cannot write \."):
        save_rows([{"text": "a"}], Path(), format, row_model=Row)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_two_folders_of_the_same_columns_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    class Row(BaseModel):
        text: str

    prints = set()
    for name in ("one", "two"):
        save_rows([{"text": name}], tmp_path / name, "save_to_disk", row_model=Row)
        prints.add(datasets.load_from_disk(str(tmp_path / name))._fingerprint)
    assert len(prints) == 2


@pytest.mark.parametrize("model", [Late, JudgedPreferenceRow, ReasonedConversationRow, ToolConversationRow])
def test_columns_that_were_told_give_the_same_features(model: type[BaseModel]) -> None:
    told = json.loads(json.dumps(described(model)))
    assert row_schema(model_of(told)).features == row_schema(model).features
    assert described(model_of(told)) == told


def test_whole_numbers_of_a_told_column_stay_whole(tmp_path: Path) -> None:
    class Row(BaseModel):
        score: int | float

    again = model_of(described(Row))
    assert [again.model_validate({"score": value}).model_dump()["score"] for value in (4, 4.5)] == [4, 4.5]
    assert isinstance(again.model_validate({"score": 4}).model_dump()["score"], int)


@pytest.mark.parametrize("container", ["jsonl", "csv"])
def test_a_column_whose_first_value_comes_late_is_told_where_a_file_has_no_types(
    tmp_path: Path, container: str
) -> None:
    class Row(BaseModel):
        text: str
        note: str | None
        never: str | None

    def rows(first: int) -> Iterator[dict[str, Any]]:
        for number in range(12_000):
            yield {"text": "x" * 1_000, "note": "n" if number >= first else None, "never": None}

    path = tmp_path / f"a.{container}"
    (late,) = export_rows(rows(11_500), targets_of(path, [container]), row_model=Row)
    assert late.late == ["note"]
    assert "What note holds is of another type at first than later, so load_dataset" in late.in_words()
    (early,) = export_rows(rows(500), targets_of(path, [container]), row_model=Row)
    assert early.late == []


BEGINNINGS = {
    "nothing": (None, "a"),
    "another kind": (1, "a"),
    "fractions": (1, 1.5),
    "moments": ("2024-01-01", "soon"),
    "a new key": ({"x": 1}, {"y": 1}),
    "a key that was null": ({"x": None}, {"x": "a"}),
    "a new key of messages": ([{"role": "user"}], [{"role": "user", "name": "n"}]),
    "empty lists": ([], ["a"]),
}
FINE = {
    "null later": ({"x": 1}, None),
    "a key less": ({"x": 1, "y": 1}, {"x": 2}),
    "whole numbers": (1.5, 1),
    "texts": ("a", {"x": 1}),
    "empty lists later": (["a"], []),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(("container", "rows"), [("json", 1_900), ("csv", 10_500)])
@pytest.mark.parametrize("case", [*BEGINNINGS, *FINE])
def test_what_datasets_will_refuse_is_told_and_nothing_else(
    tmp_path: Path, container: str, rows: int, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real `datasets`, which reads 10 MB of JSON at a time and 10,000 rows of a table."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # it says again what it raises

    class Row(BaseModel):
        text: str
        thing: Any

    first, later = (BEGINNINGS | FINE)[case]
    text = "x" * (10 if container == "csv" else 6_000)
    things = [{"text": text, "thing": later if number >= rows - 50 else first} for number in range(rows)]
    path = tmp_path / "a"
    (done,) = export_rows(things, targets_of(path, ["jsonl" if container == "json" else "csv"]), row_model=Row)
    try:
        found = loaded(path, container, tmp_path / "cache")
    except datasets.exceptions.DatasetGenerationError:
        assert (done.late, case in FINE) == (["thing"], False)
    else:
        assert (done.late, found.num_rows) == ([], rows)
        assert case in FINE or container == "csv"
    finally:
        gc.collect()  # it leaves files open that it cannot read


def test_messages_of_chats_have_columns_of_their_own(tmp_path: Path) -> None:
    save_rows([CHAT.model_dump(mode="json")], tmp_path / "a.parquet", row_model=ChatRow)
    (row,) = loaded(tmp_path / "a.parquet", "parquet", tmp_path / "cache")
    assert row["messages"] == CHAT.messages
