"""The page of one row: what it holds, where it comes from, whatever became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from datafast.datasets.explaining import explain_at
from datafast.llms import SimulatedProvider
from datafast.store.reader import LedgerReader
from tests.support import raw, rows_of
from tests.view.client import Answer, Client, viewing
from tests.view.hostile import hostile_rows, write_hostile
from tests.view.rendering.safe_html import text_of

BY_UUID = {"stage": "keep_if", "expression": "uuid < '8'"}
UUID = "7c0f0000-0000-5000-8000-000000000002"


def page(client: Client, path: str) -> str:
    answer = client.get(f"/o/{client.server.viewer.outputs.all()[0].id}{path}")
    assert answer.status == 200, answer.text
    return " ".join(text_of(answer.text, " ").split())


def api(client: Client, path: str) -> Answer:
    return client.get(f"/api/o/{client.server.viewer.outputs.all()[0].id}{path}")


def file_of(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_row_of_a_run_is_shown_with_all_that_is_recorded(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=4).generate([SimulatedProvider("m", temperature=0.5)])
    row = rows_of(tmp_path / "out.jsonl")[1]
    told = dataset.explain(line=2)
    with viewing(tmp_path / "out.jsonl") as client:
        shown = page(client, "/rows/2")
        assert "of 4 rows <span" in client.get(f"/o/{client.output('out.jsonl')}/rows/2").text  # parted for the eye too
    assert "Row 2 of 4 rows in the file" in shown
    assert row["text"][:40] in shown
    assert f"topic {row['metadata']['topic']}" in shown
    for known in (told.uuid, told.item["key"], "simulated/m", "temperature 0.5", "Raw reply", "Schema of the answer"):
        assert known in shown
    assert " ".join(told.calls[0]["messages"][0]["content"].split())[:60] in shown


def test_the_page_of_a_uuid_leads_to_its_row(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=4).generate([SimulatedProvider("m")])
    uuid = dataset.data_rows[2].uuid
    with viewing(tmp_path / "out.jsonl") as client:
        for key in (uuid, uuid[:12].upper()):
            answer = client.get(f"/o/{client.server.viewer.outputs.all()[0].id}/rows/{key}?texts=raw")
            assert answer.status == 303
            assert answer.headers["location"].endswith("/rows/3?texts=raw")


def test_a_row_without_a_ledger_is_found_by_its_uuid_too(tmp_path: Path) -> None:
    with viewing(file_of(tmp_path, {"a": UUID}, {"uuid": UUID})) as client:
        answer = client.get(f"/o/{client.server.viewer.outputs.all()[0].id}/rows/{UUID}")
        assert answer.headers["location"].endswith("/rows/2")
        assert "There is no ledger beside the file" in page(client, "/rows/2")
        assert client.get(f"/o/{client.server.viewer.outputs.all()[0].id}/rows/none-such").status == 404


def test_a_dropped_row_is_shown_with_its_verdict(tmp_path: Path) -> None:
    raw(tmp_path, topics=12, quality=[BY_UUID]).generate([SimulatedProvider("m")])
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        dropped = json.loads(next(reader.filtered.by_place()).row)
    with viewing(tmp_path / "out.jsonl") as client:
        shown = page(client, f"/rows/{dropped['uuid']}")
        told = json.loads(api(client, f"/rows/{dropped['uuid']}").body)
    assert "A row that is not in the file dropped by a stage" in shown
    assert "Dropped by keep_if" in shown
    assert dropped["text"][:40] in shown
    assert told == dropped


def test_a_failed_row_is_shown_with_why_and_what_came_back(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=3).generate([SimulatedProvider("m", faults={"invalid_json": 1.0})])
    failed = dataset.failed_items[0]
    with viewing(tmp_path / "out.jsonl") as client:
        shown = page(client, f"/rows/{failed.uuids[0]}")
    assert "A row that is not in the file failed" in shown
    assert f"why {failed.category}" in shown
    assert shown.count("not usable") == 3
    assert "The row was never made" in shown


def test_what_a_stage_has_changed_is_shown_before_and_after(tmp_path: Path) -> None:
    raw(tmp_path, topics=2, quality=[{"stage": "language", "keep_language": True}]).generate([SimulatedProvider("m")])
    with viewing(tmp_path / "out.jsonl") as client:
        shown = page(client, "/rows/1")
    assert "metadata.detected_language: changed by language before now [only here:" in shown


@pytest.mark.parametrize(
    ("key", "told"),
    [("0", "There is no row 0"), ("9", "There is no row 9: the file has rows 1 to 2"), ("zz", "too short")],
)
def test_a_row_that_there_is_not(tmp_path: Path, key: str, told: str) -> None:
    raw(tmp_path, topics=2).generate([SimulatedProvider("m")])
    with viewing(tmp_path / "out.jsonl") as client:
        answer = client.get(f"/o/{client.server.viewer.outputs.all()[0].id}/rows/{key}")
    assert answer.status == 404
    assert told in answer.text


def test_raw_texts_show_what_is_there(tmp_path: Path) -> None:
    with viewing(file_of(tmp_path, {"text": "**a**\u200b"})) as client:
        assert "text a \\u200b fields" not in page(client, "/rows/1")
        assert "**a** \\u200b" in page(client, "/rows/1?texts=raw")


def test_the_json_of_a_row_is_its_line(tmp_path: Path) -> None:
    line = '{"b": 1.10, "a": "\\u00e9", "n": 12345678901234567890123}'
    with viewing(file_of(tmp_path, line)) as client:
        answer = api(client, "/rows/1")
    assert (answer.text, answer.headers["content-type"]) == (line, "application/json")


def test_a_line_that_cannot_be_read_is_shown_as_it_is(tmp_path: Path) -> None:
    with viewing(file_of(tmp_path, '{"a": <script>', "[" * 5_000)) as client:
        assert "cannot be read as JSON" in page(client, "/rows/1")
        assert '{"a": <script>' in page(client, "/rows/1")
        assert "nested too deep" in page(client, "/rows/2")


def test_a_long_text_comes_in_pieces(tmp_path: Path) -> None:
    text = "<b>word</b> \u202e" * 100_000
    with viewing(file_of(tmp_path, {"text": text, "list": [{"x": {"y": text}}]})) as client:
        for path in (["row", "text"], ["row", "list", 0, "x", "y"]):
            got, start = "", 0
            while (piece := api(client, f"/rows/1/text?from={start}&path={quote(json.dumps(path))}").json())["text"]:
                got, start = got + piece["text"], piece["next"]
            assert got == text.replace("\u202e", "\\u202e")
        line = api(client, f"/rows/1/text?from=0&path={quote(json.dumps(['line']))}").json()["text"]
        assert line.startswith('{"text": "<b>word')


def test_pieces_of_replies_and_of_nothing(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=2).generate([SimulatedProvider("m")])
    with viewing(tmp_path / "out.jsonl") as client:
        path = quote(json.dumps(["told", "calls", 0, "raw"]))
        assert api(client, f"/rows/1/text?from=0&path={path}").json()["text"] == dataset.explain(line=1).calls[0]["raw"]
        for query, status in (
            ("", 422),
            ("from=0&path=[]", 422),
            ("from=-1&path=[1]", 422),
            ('from=0&path=["row","x"]', 404),
        ):
            assert api(client, f"/rows/1/text?{quote(query, safe='=&')}").status == status


def test_neighbours_are_linked(tmp_path: Path) -> None:
    with viewing(file_of(tmp_path, {"a": 1}, {"a": 2}, {"a": 3})) as client:
        output = client.server.viewer.outputs.all()[0].id
        found = [client.get(f"/o/{output}/rows/{number}").text for number in (1, 2, 3)]
    assert [('rel="prev"' in text, 'rel="next"' in text) for text in found] == [
        (False, True),
        (True, True),
        (True, False),
    ]


def test_rows_that_try_to_harm_have_pages(tmp_path: Path) -> None:
    path = write_hostile(tmp_path / "hostile.jsonl")
    with viewing(path) as client:
        output = client.server.viewer.outputs.all()[0].id
        for number in range(1, len(hostile_rows()) + 7):
            for query in ("", "?texts=raw"):
                answer = client.get(f"/o/{output}/rows/{number}{query}")
                assert answer.status == 200, number
                assert "<script>alert" not in answer.text
                assert len(answer.body) < 3_000_000


def test_what_is_recorded_is_found_by_the_beginning_of_a_line(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=4).generate([SimulatedProvider("m")])
    lines = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    told = explain_at(dataset.paths, len(lines[0]), dataset)
    assert told is not None
    assert (told.uuid, told.calls, told.row) == (dataset.data_rows[1].uuid, dataset.explain(line=2).calls, None)
    assert explain_at(dataset.paths, 10**9, dataset) is None
