"""Splits of a dataset's rows, as they are pushed."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

from pyarrow import parquet

from datafast.datasets.dividing import splitting
from datafast.llms import SimulatedProvider
from tests.export.splits.support import divided, where
from tests.servers.hub_server import HubServer
from tests.support import raw


def test_rows_that_are_nearly_the_same_are_in_one_split() -> None:
    texts = ["the old lighthouse keeper writes down the weather of every single morning", "one two three four five six"]
    table = [{"uuid": f"u{number}", "text": f"{texts[number % 2]} {number // 2}"} for number in range(20)]
    table += [{"uuid": f"alone {number}", "text": f"{number}"} for number in range(20)]
    split = where(divided(table, splitting(train_size=0.5, group="near_duplicates"))[0])
    assert len({split[f"u{number}"] for number in range(0, 20, 2)}) == 1


def test_a_push_divides_as_it_is_told(hub: HubServer, tmp_path: Path) -> None:
    languages = {"en": "English", "fr": "French"}
    dataset = raw(tmp_path, topics=8, languages=languages, num_samples_per_prompt=2).generate([SimulatedProvider("m")])
    dataset.push_to_hub("someone/texts", train_size=0.5, group="topic", stratify="language")
    files = {path: data for path, data in hub.repos["someone/texts"].files.items() if path.endswith(".parquet")}
    train, test = (parquet.read_table(io.BytesIO(data)).to_pylist() for _, data in sorted(files.items(), reverse=True))
    assert len(train) == len(test) == 16
    assert Counter(row["language"] for row in train) == {"en": 8, "fr": 8}
    topics = [{json.loads(row["metadata"])["topic"] for row in rows} for rows in (train, test)]
    assert not topics[0] & topics[1]


def test_the_splits_on_the_hub_are_those_in_files(hub: HubServer, tmp_path: Path) -> None:
    dataset = raw(tmp_path, topics=8, num_samples_per_prompt=3).generate([SimulatedProvider("m")])
    asked = {"train_size": 0.5, "validation_size": 0.25, "seed": 7, "group": ["topic", "near_duplicates"]}
    dataset.push_to_hub("someone/texts", **asked)
    dataset.export(tmp_path / "texts", "parquet", **asked)
    for split in ("train", "validation", "test"):
        pushed = io.BytesIO(hub.repos["someone/texts"].files[f"data/{split}-00000-of-00001.parquet"])
        written = tmp_path / "texts" / f"{split}.parquet"
        assert parquet.read_table(pushed).to_pylist() == parquet.read_table(written).to_pylist()


def test_stable_splits_of_a_dataset_that_grows(tmp_path: Path) -> None:
    asked = {"train_size": 0.5, "group": "near_duplicates", "stable": True}
    splits = []
    for topics in (12, 30):
        dataset = raw(tmp_path, topics=topics).generate([SimulatedProvider("m")])
        found = dataset.to_huggingface(**asked)
        splits.append({uuid: name for name, rows in found.items() for uuid in rows["uuid"]})
    assert len(splits[1]) > len(splits[0])
    assert {uuid: splits[1][uuid] for uuid in splits[0]} == splits[0]
    assert len(list(tmp_path.glob("out.jsonl.splits-*"))) == 1
