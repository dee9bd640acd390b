"""What the table of rows gets from the viewer: any part of a file, chosen, searched, and in any order."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from datafast.llms import SimulatedProvider
from datafast.plan.items import row_uuid
from datafast.store.reader import LedgerReader
from tests.running import wait_for
from tests.support import raw
from tests.view.client import Client, viewing

ROWS = [
    {
        "text": f"Text {number} " + ("ice " if number % 3 else "sea ") * 20,
        "language": "en" if number % 2 else "fr",
        "n": number,
    }
    for number in range(120)
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return written(tmp_path / "rows.jsonl", ROWS)


def written(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def base(client: Client, name: str = "rows.jsonl") -> str:
    return f"/api/o/{quote(client.output(name))}/rows"


@contextlib.contextmanager
def listening(client: Client, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """The events of a stream, until they are no longer wanted."""
    connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=20)
    connection.request("GET", path, headers={"Host": client.host, "Cookie": client.cookie or ""})
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")

    def events() -> Iterator[tuple[str, Any]]:
        name = ""
        for line in answer:
            text = line.decode().rstrip("\r\n")
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                yield name, json.loads(text.removeprefix("data: "))

    try:
        yield events()
    finally:
        answer.close()
        connection.close()


def settled(client: Client, path: str, **query: str) -> dict[str, Any]:
    """What is told of a query, once all of it is known."""
    told: dict[str, Any] = {}
    with listening(client, f"{path}/events?{urlencode(query)}") as events:
        for name, value in events:
            told[name] = value
            if name == "refused":
                break
            state = told.get("state")
            if not state or not state["selected"]["exact"] or state["facets"]["share"] < 1:
                continue
            newest = [state["generation"], state["facets"]["rows"], state["search"] and state["search"]["found"]]
            is_ordered = state["sort"] is None or state["sort"]["ordered"]
            if is_ordered and told.get("facets", {}).get("of") == newest:
                break
    return told


def numbers(client: Client, path: str, start: int = 0, count: int = 200, **query: str) -> list[int]:
    settled(client, path, **query)
    found = client.get(f"{path}?{urlencode({'start': start, 'count': count, **query})}").json()
    return [row["number"] for row in found["rows"]]


def test_rows_are_given_from_any_place(place: Path) -> None:
    with viewing(place) as client:
        settled(client, base(client))
        found = client.get(f"{base(client)}?start=117&count=50&c=n&c=language&c=nothing").json()
    assert found["rows"] == [
        {"number": 118, "cells": ["117", "en", None]},
        {"number": 119, "cells": ["118", "fr", None]},
        {"number": 120, "cells": ["119", "en", None]},
    ]
    assert found["of"] == {"rows": 120, "exact": True}


def test_the_first_rows_come_before_anything_is_known_of_the_file(place: Path) -> None:
    with viewing(place) as client:
        found = client.get(f"{base(client)}?count=2&c=n").json()
    assert [row["cells"] for row in found["rows"]] == [["0"], ["1"]]


def test_it_tells_what_becomes_known(place: Path) -> None:
    with viewing(place) as client:
        told = settled(client, base(client))
    assert [column["id"] for column in told["columns"]["columns"]] == ["text", "language", "n"]
    assert told["state"]["rows"] == {"rows": 120, "exact": True}
    facets = {facet["id"]: facet for facet in told["facets"]["facets"]}
    assert facets["language"]["values"] == [
        {"value": "fr", "shown": "fr", "rows": 60},
        {"value": "en", "shown": "en", "rows": 60},
    ]
    assert facets["n"]["num"] == 120


def test_rows_are_chosen_searched_and_ordered_together(place: Path) -> None:
    with viewing(place) as client:
        wanted = [row["n"] + 1 for row in ROWS if row["language"] == "en" and "sea" in row["text"]]
        narrow = {"f.language": "en", "q": "SEA"}
        assert numbers(client, base(client), **narrow) == wanted
        assert numbers(client, base(client), 1, 3, **narrow) == wanted[1:4]
        down = {"sort": "n", "by": "number", "descending": "1"}
        assert numbers(client, base(client), **narrow, **down) == wanted[::-1]
        assert numbers(client, base(client), q=r"^text 1\d\b", pattern="1") == list(range(11, 21))
        told = settled(client, base(client), **narrow)
        language = next(facet for facet in told["facets"]["facets"] if facet["id"] == "language")
        assert {one["value"]: one["rows"] for one in language["values"]} == {"en": 20, "fr": 20}


def test_a_row_is_found_among_those_that_are_shown(place: Path) -> None:
    with viewing(place) as client:
        path = base(client)

        def found(number: int, **query: str) -> Any:
            settled(client, path, **query)
            return client.get(f"{path}/place?{urlencode({'number': number, **query})}").json()["place"]

        assert found(17) == 16
        assert found(500) is None
        assert found(0) is None
        assert found(4, **{"f.language": "en"}) == 1  # row 2 is the first in English
        assert found(120, sort="n", by="number", descending="1") == 0
        assert found(3, sort="n", **{"f.language": "en"}) is None


def test_values_of_a_field_can_be_looked_for(place: Path) -> None:
    with viewing(place) as client:
        settled(client, base(client))
        found = client.get(f"{base(client)}/values?field=n&find=11").json()
        assert [one["value"] for one in found["values"]] == ["11", *map(str, range(110, 120))]
        assert client.get(f"{base(client)}/values?field=nothing").json() == {"values": [], "num": 0}


def test_what_cannot_be_searched_for_is_told(place: Path) -> None:
    with viewing(place) as client:
        told = settled(client, base(client), q="(", pattern="1")
        assert "is not a regular expression" in told["refused"]["told"]
        answer = client.get(f"{base(client)}?q=(&pattern=1")
        assert answer.status == 422
        assert "is not a regular expression" in answer.json()["error"]["message"]
        assert client.get(f"{base(client)}?start=-1").status == 422


def test_passes_stop_when_nobody_listens(place: Path) -> None:
    with viewing(place) as client:
        (output,) = client.server.viewer.outputs.all()
        settled(client, base(client), q="ice")
        table = output.table()
        wait_for(lambda: not any(table._watched.values()))


def test_rows_that_a_run_writes_are_told_of(place: Path) -> None:
    with viewing(place) as client, listening(client, f"{base(client)}/events") as events:
        rows = (value["rows"] for name, value in events if name == "state")
        assert {"rows": 120, "exact": True} in rows
        with place.open("ab") as file:
            file.write(b'{"text": "new", "language": "de", "n": 7}\n')
        assert 121 in (told["rows"] for told in rows)
        found = client.get(f"{base(client)}?start=120&c=language").json()
    assert found["rows"] == [{"number": 121, "cells": ["de"]}]


def test_hostile_rows_are_shown_as_text(tmp_path: Path) -> None:
    place = written(
        tmp_path / "rows.jsonl",
        [
            {"text": "<script>alert(1)</script>\u202egnp.exe\x00\x1b[31m"},
            b'{"text": "half',
            b"",
            {f"c{number}": number for number in range(10_000)},
            {"text": "x" * 5_000_000 + "needle"},
            b"\xff\xfe\x00",
            {"text": {"deep": [[[[["value"]]]]]}},
        ],
    )
    with viewing(place) as client:
        told = settled(client, base(client))
        answer = client.get(f"{base(client)}?c=text&c=c5")
        rows = answer.json()["rows"]
        assert len(answer.body) < 5_000
        assert rows[0]["cells"][0] == "<script>alert(1)</script>\\u202egnp.exe\\x00\\x1b[31m"
        assert rows[1]["told"] == 'This line is not a row: {"text": "half'
        assert rows[2]["told"] == "This line is empty."
        assert rows[3]["cells"] == [None, "5"]
        assert len(rows[4]["cells"][0]) == 300
        assert rows[5]["told"].startswith("This line is not a row: ")
        assert rows[6]["cells"][0] == '{"deep":[[[[["value"]]]]]}'
        assert len(told["columns"]["columns"]) == 200
        assert told["columns"]["more"] > 9_000
        assert told["state"]["facets"]["broken"] == 3
        assert numbers(client, base(client), q="needle") == [5]
        # What was found is in sight.
        assert "needle" in client.get(f"{base(client)}?c=text&q=needle").json()["rows"][0]["cells"][0]


def test_dropped_rows_are_shown_with_why(tmp_path: Path) -> None:
    raw(tmp_path, topics=12, quality=[{"stage": "keep_if", "expression": "uuid < '8'"}]).generate(
        [SimulatedProvider("m")]
    )
    with LedgerReader(tmp_path / "out.jsonl.ledger") as reader:
        dropped = list(reader.filtered.lines())
    assert dropped
    with viewing(tmp_path / "out.jsonl") as client:
        path = base(client, "out.jsonl")
        told = settled(client, path, part="dropped")
        assert [column["id"] for column in told["columns"]["columns"] if column["isShown"]][:1] == ["dropped.stage"]
        found = client.get(f"{path}?part=dropped&c=dropped.stage&c=dropped.reason").json()
        assert [row["cells"] for row in found["rows"]] == [[line.stage, line.reason] for line in dropped]
        assert [row["uuid"] for row in found["rows"]] == [row_uuid(line.key, line.number) for line in dropped]
        assert len(numbers(client, path)) == 12 - len(dropped)
        page = client.get(f"/o/{client.output('out.jsonl')}/rows/{found['rows'][0]['uuid']}")
        assert page.status == 200


def test_failed_items_are_shown_with_why(tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=3).generate([SimulatedProvider("m", faults={"invalid_json": 1.0})])
    assert len(dataset.failed_items) == 3
    with viewing(tmp_path / "out.jsonl") as client:
        path = base(client, "out.jsonl")
        settled(client, path, part="failed")
        found = client.get(f"{path}?part=failed&c=category&c=values.topic").json()
        assert {row["cells"][0] for row in found["rows"]} == {item.category for item in dataset.failed_items}
        assert {row["cells"][1] for row in found["rows"]} == {"topic 0", "topic 1", "topic 2"}
        assert {row["uuid"] for row in found["rows"]} == {item.uuids[0] for item in dataset.failed_items}


def test_rows_of_other_files_are_shown_too(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,n\nOne,1\nTwo,2\n", encoding="utf-8")
    with viewing(tmp_path / "rows.csv") as client:
        path = base(client, "rows.csv")
        assert numbers(client, path, q="two") == [2]


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"nothing of the sort")
    with (
        viewing(tmp_path / "rows.parquet") as client,
        listening(client, f"{base(client, 'rows.parquet')}/events") as events,
    ):
        told = next(value["problem"] for name, value in events if name == "state" and value["problem"])
    assert "rows.parquet" in told


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    with viewing(written(tmp_path / "rows.jsonl", [])) as client:
        assert settled(client, base(client))["state"]["selected"] == {"rows": 0, "exact": True}
        assert client.get(base(client)).json()["rows"] == []
