"""Datasets on the Hugging Face Hub, by the real `datasets` and `huggingface_hub`, from a Hub on loopback."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafast.datasets import RawDataset
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms.simulated.provider import SimulatedProvider
from datafast.schema.config import RawDatasetConfig
from datafast.sources import SourceRows, open_source
from tests.servers.hub_server import Fault, HubServer

REPO = "someone/notes"
ROWS = [{"text": f"note {number}", "lang": "en" if number % 2 else "fr"} for number in range(40)]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def _here(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_ENDPOINT", hub.url)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.STREAMING_READ_RETRY_INTERVAL", 0)


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def streamed(folder: Path, **how: Any) -> SourceRows:
    return open_source(REPO, field="source", streaming=True, spool=folder / "sources", **how)


def downloads(hub: HubServer) -> int:
    return hub.count("^GET .*/resolve/") + hub.count("^GET /cdn/")


def test_a_stream_is_kept_beside_the_ledger_and_is_not_downloaded_again(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, private=False, files={"data/train.jsonl": lines(ROWS)})
    first = streamed(tmp_path)
    assert list(first) == ROWS
    told = downloads(hub)
    again = streamed(tmp_path)
    assert list(again) == ROWS
    assert downloads(hub) == told > 0
    assert (again.digest, again.columns, list(again.ids)) == (first.digest, first.columns, list(first.ids))


def test_another_commit_is_streamed_once_and_replaces_what_was_kept(hub: HubServer, tmp_path: Path) -> None:
    repo = hub.add_repo(REPO, private=False, files={"train.jsonl": lines(ROWS)})
    before = repo.head
    streamed(tmp_path)
    repo.commit({"train.jsonl": lines(ROWS[:3])}, "shorter")
    assert list(streamed(tmp_path)) == ROWS[:3]
    told = downloads(hub)
    assert list(streamed(tmp_path)) == ROWS[:3]
    assert downloads(hub) == told
    assert len(list((tmp_path / "sources").glob("*/*/rows.jsonl"))) == 1
    assert list(streamed(tmp_path, revision=before)) == ROWS


def test_a_limit_is_served_by_what_is_kept_if_that_is_enough(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, private=False, files={"train.jsonl": lines(ROWS)})
    assert len(streamed(tmp_path, limit=10)) == 10
    told = downloads(hub)
    assert list(streamed(tmp_path, limit=4)) == ROWS[:4]
    assert downloads(hub) == told
    assert list(streamed(tmp_path, limit=11)) == ROWS[:11]
    assert downloads(hub) > told
    assert list(streamed(tmp_path)) == ROWS


def test_rows_that_where_leaves_keep_their_places_and_their_problems(hub: HubServer, tmp_path: Path) -> None:
    rows = [{**row, "n": b"?" if number == 31 else None} for number, row in enumerate(ROWS)]
    pq.write_table(pa.Table.from_pylist(rows), file := io.BytesIO())
    hub.add_repo(REPO, private=False, files={"train.parquet": file.getvalue()})
    for _ in range(2):
        found = streamed(tmp_path, where="lang == 'en'")
        assert [found.place(0), found.place(1), found[1]["text"]] == ["row 1", "row 3", "note 3"]
        with pytest.raises(ConfigError, match=f"{REPO}, row 31: The column 'n' holds bytes and no text"):
            found.check(["n"], field="source")
        assert found.columns == ("text", "lang", "n")
    assert len(streamed(tmp_path, where="lang == 'fr'")) == 20


def test_the_hub_cannot_be_asked_and_what_is_kept_is_used_with_a_warning(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo(REPO, private=False, files={"train.jsonl": lines(ROWS)})
    streamed(tmp_path)
    hub.faults.append(Fault(".", 404, times=1_000))
    with pytest.warns(DatafastWarning, match=f"cannot be asked about {REPO}; the copy of an earlier run is used"):
        assert list(streamed(tmp_path)) == ROWS
    with pytest.raises(ConfigError, match="cannot be loaded from the Hugging Face Hub"):
        streamed(tmp_path, revision="v2")


def test_what_a_broken_stream_left_half_is_never_used(hub: HubServer, tmp_path: Path) -> None:
    rows = [*ROWS, {"text": None, "lang": "en"}]
    repo = hub.add_repo(REPO, private=False, files={"train.jsonl": lines(rows)})
    config = {"topics": {"source": REPO, "streaming": True, "column": "text"}, "document_types": ["note"]}
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{REPO}, row 40: The column 'text' is empty"):
            RawDatasetConfig(**config, output_file=tmp_path / "out.jsonl")
    repo.commit({"train.jsonl": lines(ROWS)}, "corrected")
    made = RawDatasetConfig(**config, output_file=tmp_path / "out.jsonl")
    assert len(made.topics) == 40
    (half,) = (tmp_path / "out.jsonl.ledger-sources").glob("*/*")
    assert sorted(path.name for path in half.iterdir()) == ["about.json", "rows.jsonl"]
    assert len(RawDataset(made).generate([SimulatedProvider("m")]).data_rows) == 200


def test_several_splits_and_a_config_are_kept_each_by_itself(hub: HubServer, tmp_path: Path) -> None:
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files:\n  - {{split: a, path: {name}/a.jsonl}}\n  - {{split: b, path: {name}/b.jsonl}}\n"
        for name in ("one", "two")
    )
    files = {
        f"{name}/{split}.jsonl": lines([{"text": f"{name} {split}"}] * 2) for name in ("one", "two") for split in "ab"
    }
    hub.add_repo(REPO, private=False, files={"README.md": f"{card}---\n".encode(), **files})
    for _ in range(2):
        with pytest.warns(DatafastWarning, match="The splits a, b are read one after the other"):
            found = streamed(tmp_path, config="two")
        assert [row["text"] for row in found] == ["two a", "two a", "two b", "two b"]
        assert found.place(3) == "the split b, row 1"
        with pytest.warns(DatafastWarning, match="The splits"):
            assert len(streamed(tmp_path, config="one", limit=3)) == 3
    assert [row["text"] for row in streamed(tmp_path, config="one", split="b")] == ["one b", "one b"]


def test_files_at_hf_addresses_are_copied_once_and_anew_with_another_commit(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfFileSystem

    # Both are read from the environment when the package is imported.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    HfFileSystem.clear_instance_cache()
    repo = hub.add_repo(REPO, private=False, files={f"data/{name}.csv": f"text\n{name}\n".encode() for name in "ab"})
    before = repo.head

    def texts(address: str) -> list[str]:
        rows = open_source(f"hf://datasets/{REPO}{address}", field="source", spool=tmp_path / "sources")
        return [row["text"] for row in rows]

    for address in ("/data", "/data/*.csv", "@main/data"):
        assert texts(address) == ["a", "b"]
    told = downloads(hub)
    assert texts("/data/a.csv") == ["a"]
    assert downloads(hub) == told
    repo.commit({**repo.files, "data/a.csv": b"text\nnew\n"}, "changed")
    assert texts("/data/*.csv") == ["new", "b"]
    assert texts(f"@{before}/data/a.csv") == ["a"]

    hub.faults.append(Fault(".", 500, times=10_000))
    HfFileSystem.clear_instance_cache()
    with pytest.warns(DatafastWarning, match="cannot be reached .*; the copy of an earlier run is used"):
        assert texts("/data/*.csv") == ["new", "b"]
