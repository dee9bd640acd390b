"""Decisions about rows that version 0.1.0 has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datafast.reviews import Reviews
from datafast.store.paths import OutputPaths
from tests.servers.fault_server import FaultServer
from tests.store.test_outputs_of_010 import EXPECTED, RUNS, folder, go_on, lines_of, restore, server

__all__ = ["folder", "server"]

DONE = [(case, name) for case, name in RUNS if name == "again" and not EXPECTED[case]["runs"][name]["requests"]]


@pytest.mark.parametrize(("case", "name"), DONE[::12])
def test_they_are_folded_in_and_taken_back_without_a_request(
    case: str, name: str, folder: Path, server: FaultServer
) -> None:
    restore(case, folder, server.url)
    config, options = (EXPECTED[case]["runs"][name][part] for part in ("config", "options"))
    first = go_on(folder, server, config, options)
    before = lines_of(folder)
    reviews = Reviews(OutputPaths.of(folder / "out.jsonl"))
    reviews.reject(json.loads(before[0]), "dull")
    reviews.accept(json.loads(before[-1]))
    told = go_on(folder, server, config, options)
    assert (told["written"], told["filtered"]) == (first["written"] - 1, first["filtered"] + 1)
    while reviews.undo() is not None:
        pass
    go_on(folder, server, config, options)
    assert lines_of(folder) == before
    assert server.requests == []
