"""Values of the ledger as they stand in its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from datafast.llms import OpenAICompatibleProvider
from tests.servers.fault_server import FaultServer
from tests.support import raw


def test_blobs_are_blobs_and_what_is_missing_is_null(tmp_path: Path, fault_server: FaultServer) -> None:
    """They are bound in other forms, which readers and earlier versions must not meet."""
    dataset = raw(tmp_path, topics=3)
    dataset.generate([OpenAICompatibleProvider("m", api_base=fault_server.url)])
    with closing(sqlite3.connect(dataset.paths.ledger)) as db:
        items = db.execute(
            "SELECT DISTINCT typeof(key), typeof(content), typeof(state), typeof(slots), typeof(kept) FROM items"
        )
        assert items.fetchall() == [("blob", "blob", "integer", "null", "null")]
        calls = db.execute("SELECT DISTINCT typeof(key), typeof(raw), typeof(cost_usd), typeof(format) FROM calls")
        assert calls.fetchall() == [("blob", "blob", "null", "null")]
        assert db.execute("SELECT DISTINCT typeof(slots) FROM appends").fetchall() == [("null",)]
