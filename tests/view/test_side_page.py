"""Rows side by side: any two, chosen and rejected, the answers of several models, and rows that are nearly the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datafast.llms import SimulatedProvider
from datafast.view.comparing import compared_pair, compared_rows
from tests.support import raw, rows_of
from tests.view.client import Client, viewing
from tests.view.hostile import hostile_rows, write_hostile
from tests.view.rendering.safe_html import text_of


def side(client: Client, query: str = "") -> str:
    answer = client.get(f"/o/{client.server.viewer.outputs.all()[0].id}/side{query}")
    assert answer.status == 200, answer.text
    return " ".join(text_of(answer.text, " ").split())


def file_of(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_two_rows_are_compared_field_by_field() -> None:
    first = {"text": "one two", "label": "a", "uuid": "1", "metadata": {"topic": "x", "n": 1}, "gone": [1]}
    second = {"text": "one three", "label": "a", "uuid": "2", "metadata": {"topic": "y", "n": 1}, "new": None}
    found = compared_rows(first, second)
    assert [(one.name, one.only) for one in found.differing] == [
        ("text", ""),
        ("metadata.topic", ""),
        ("gone", "first"),
        ("new", "second"),
    ]
    assert found.same == ["label", "metadata.n"]
    assert text_of(found.differing[0].difference.second) == "one [only here: three]"


def test_conversations_are_compared_message_by_message() -> None:
    first = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
    second = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes"},
            {"role": "user", "content": "?"},
        ]
    }
    found = compared_rows(first, second)
    assert [(one.name, one.only) for one in found.differing] == [
        ("messages, message 2: assistant", ""),
        ("messages, message 3: user", "second"),
    ]
    assert found.same == ["messages, message 1: user"]


def test_a_pair_is_compared() -> None:
    found = compared_pair({"chosen": "a b", "rejected": "a c"})
    assert found is not None
    assert [one.name for one in found.differing] == ["response"]
    assert compared_pair({"text": "a"}) is None


def test_what_is_too_much_is_counted() -> None:
    found = compared_rows({str(number): "a" for number in range(400)}, {str(number): "b" for number in range(400)})
    assert (len(found.differing), found.left_out) == (150, 250)


def test_the_page_compares_two_rows_by_number_and_by_uuid(tmp_path: Path) -> None:
    uuid = "7c0f0000-0000-5000-8000-000000000002"
    with viewing(file_of(tmp_path, {"text": "one two"}, {"text": "one three", "uuid": uuid})) as client:
        for second in ("2", uuid):
            shown = side(client, f"?first=1&second={second}")
            assert "Row 1 and row 2 text 50 % of the words are the same" in shown
            assert "one [only here: two ] row 2 one [only here: three ]" in shown


def test_chosen_and_rejected_stand_against_each_other(tmp_path: Path) -> None:
    with viewing(file_of(tmp_path, {"prompt": "p", "chosen": "good answer", "rejected": "bad answer"})) as client:
        assert "chosen [only here: good ] answer rejected [only here: bad ] answer" in side(client, "?row=1")


def test_the_answers_of_all_models_to_one_prompt_are_shown(tmp_path: Path) -> None:
    providers = [SimulatedProvider(name) for name in ("luna", "terra")]
    raw(tmp_path, topics=2, num_samples_per_prompt=2).generate(providers)
    rows = rows_of(tmp_path / "out.jsonl")
    same = [row for row in rows if row["metadata"]["topic"] == rows[0]["metadata"]["topic"]]
    assert {row["model_id"] for row in same} == {"simulated/luna", "simulated/terra"}
    with viewing(tmp_path / "out.jsonl") as client:
        shown = side(client, "?row=1")
        for row in rows:
            assert (row["text"][:120] in shown) == (row in same)
        assert "Row 1 and row" in side(client, f"?first=1&second={same[-1]['uuid']}")


def test_rows_of_a_table_that_are_nearly_the_same_are_found_at_once(tmp_path: Path) -> None:
    same = "The tide gauge of Brest has been read every hour since the year 1807 by people and machines."
    texts = [f"Note {number} about {number * 7} cores." for number in range(2000)]
    (tmp_path / "out.csv").write_text("text\n" + "".join(f"{text}\n" for text in [same, *texts, f"{same} Indeed."]))
    with viewing(tmp_path / "out.csv") as client:
        assert "in 2,002 rows." in side(client, "?near=1")


def test_rows_that_are_nearly_the_same_are_found(tmp_path: Path) -> None:
    text = "the harbour crane lifts its load over the quay while the tide goes out and gulls follow the boats home"
    rows = [
        {"text": text},
        {"text": "nothing like that, this is another text about ice cores and drills"},
        {"text": f"{text} now"},
    ]
    path = file_of(tmp_path, *rows)
    with viewing(path) as client:
        shown = side(client, "?near=1")
        assert "1 group in 3 rows." in shown
        assert "2 rows: 1 , 3 Compare rows 1 and 3" in shown
        file_of(tmp_path, *rows[:2])
        assert "No two of the 2 rows are nearly the same." in side(client, "?near=1")


def test_what_cannot_be_compared_says_so(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"text": "a"})
    path.write_bytes(path.read_bytes() + b"{broken\n")
    with viewing(path) as client:
        output = client.server.viewer.outputs.all()[0].id
        assert "Which rows?" in side(client)
        assert "only known with a ledger" in side(client, "?row=1")
        for query in ("first=1&second=2", "first=1&second=9", "row=zz"):
            assert client.get(f"/o/{output}/side?{query}").status == 404


@pytest.mark.parametrize("query", ["first={one}&second={other}", "row={one}"])
def test_rows_that_try_to_harm_can_be_compared(tmp_path: Path, query: str) -> None:
    with viewing(write_hostile(tmp_path / "hostile.jsonl")) as client:
        output = client.server.viewer.outputs.all()[0].id
        for number in range(1, len(hostile_rows()) + 1):
            answer = client.get(f"/o/{output}/side?{query.format(one=number, other=number % len(hostile_rows()) + 1)}")
            assert answer.status == 200, number
            assert "<script>alert" not in answer.text
