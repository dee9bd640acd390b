"""The viewer's table of many rows of 100 words: what its server takes, and how fast passes go over the file."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from benchmarks.instruments import ROOT, stopwatch
from benchmarks.statistics import write_output
from datafast.store.paths import OutputPaths
from datafast.view.facets import Facets
from datafast.view.index import Lines, RowIndex
from datafast.view.search import Search
from datafast.view.sorting import Sorting

__all__ = ["passed", "served"]

_PAGE = 50
_PAGES = 400  # of all, from the first to the last
_BLOCK = 2**20


def served(folder: str, rows: int) -> dict[str, float]:
    """Seconds until the first rows are there in a fresh viewer, and the peak in MB of its server: scrolled to the end, with all facets, a
    search and an order."""
    path = Path(folder) / "rows.jsonl"
    write_output(OutputPaths.of(path), rows, ledger=False)
    command = [sys.executable, "-m", "datafast", "view", str(path), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            table = _Table(server.stdout.readline().strip())
            began = time.perf_counter()
            table.get(f"/o/{table.output}/rows")
            with table.watched():
                first = table.rows(0)
                first_s = time.perf_counter() - began
                if len(first) != _PAGE:
                    raise RuntimeError(f"The first page has {len(first)} rows")
                table.settled()
                for page in range(_PAGES + 1):
                    found = table.rows((rows - _PAGE) * page // _PAGES)
                if found[-1]["number"] != rows:
                    raise RuntimeError(f"The last row is {found[-1]['number']:,}")
            with table.watched(q="zz", sort="text", by="length", descending="1"):
                table.settled()
            with table.watched(sort="text", by="text"):
                table.settled()
            status = Path(f"/proc/{server.pid}/status").read_text()
            peak = re.search(r"VmHWM:\s+(\d+) kB", status)
            assert peak is not None
            return {"first_s": first_s, "peak_mb": int(peak[1]) * 1024 / 1e6}
        finally:
            server.terminate()


def passed(folder: str, rows: int) -> dict[str, float]:
    """MB a second of CPU over such rows: read, counted, searched for a text that none holds, their values counted, put in order."""
    path = Path(folder) / "rows.jsonl"
    if not path.exists():
        write_output(OutputPaths.of(path), rows, ledger=False)
    size = path.stat().st_size / 1e6
    index = RowIndex(path)
    spent = stopwatch()
    for _ in _blocks(path):
        pass
    found = {"read": size / spent().cpu_s}
    spent = stopwatch()
    while index.step():
        pass
    found["counted"] = size / spent().cpu_s
    takers: dict[str, Any] = {
        "searched": Search("no such text"),
        "facets": Facets(),
        "ordered": Sorting(("text",), "length"),
    }
    for name, taker in takers.items():
        spent = stopwatch()
        for lines in index.scan():
            _taken(taker, lines)
        found[name] = size / spent().cpu_s
        if taker.rows != rows:
            raise RuntimeError(f"{name}: {taker.rows:,} of {rows:,} rows were taken")
    return found


def _taken(taker: Any, lines: Lines) -> None:
    taker.take(lines)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


class _Table:
    """The table of a viewer that shows one file, as a browser asks for it."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self._cookie = ""
        answer, _ = self._ask(f"/?{urlsplit(address).query}")
        self._cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        answer, _ = self._ask("/")
        self.output = (answer.getheader("location") or "").split("/")[2]
        self._query: dict[str, str] = {}
        self._state: dict[str, Any] = {}

    def _ask(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        connection.request("GET", path, headers={"Cookie": self._cookie} if self._cookie else {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def get(self, path: str) -> bytes:
        answer, body = self._ask(path)
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path}: {answer.status}")
        return body

    def rows(self, start: int) -> list[dict[str, Any]]:
        query = urlencode({"start": start, "count": _PAGE, "c": "text", **self._query})
        found: list[dict[str, Any]] = json.loads(self.get(f"/api/o/{quote(self.output)}/rows?{query}"))["rows"]
        return found

    def watched(self, **query: str) -> _Watched:
        self._query = query
        self._state = {}
        path = f"/api/o/{quote(self.output)}/rows/events?{urlencode(query)}"
        return _Watched(self._host, self._cookie, path, self._state)

    def settled(self) -> None:
        """Waits until all is known of what is watched."""
        while True:
            state = self._state.get("state")
            if state and state["rows"]["exact"] and state["facets"]["share"] == 1 and state["selected"]["exact"]:
                sort = state["sort"]
                if sort is None or sort["ordered"]:
                    return
            time.sleep(0.05)


class _Watched:
    """The stream of events of a table, read in a thread."""

    def __init__(self, host: str, cookie: str, path: str, state: dict[str, Any]) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=60)
        self._path, self._cookie, self._state = path, cookie, state
        self._ended = False

    def __enter__(self) -> None:
        self._connection.request("GET", self._path, headers={"Cookie": self._cookie})
        self._answer = self._connection.getresponse()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        name = ""
        while not self._ended:
            line = self._answer.readline().decode().rstrip("\r\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self._state[name] = json.loads(line.removeprefix("data: "))

    def __exit__(self, *raised: object) -> None:
        self._ended = True
