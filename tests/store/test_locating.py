"""Where items of an output are in a changed plan is found once, and is used by the run only as long as it holds."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets.raw import RawDatasetConfig
from datafast.errors import OutputError, RunStopped
from datafast.plan.defaults import DefaultPrompts
from datafast.store import matching
from datafast.store.ledger import Ledger
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from tests.support import (
    CountingProvider,
    assert_balanced,
    fork_server,
    one_of_two,
    raw,
    requests_in,
    rows_of,
    same_rows,
)

TEMPLATES = [
    f"{style} {{num_samples}} text in {{language_name}} as {{document_type}} about {{topic}}."
    for style in ("Write", "Compose", "Draft")
]


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Has an entry for each time that the items of a ledger are looked for."""
    found: list[bool] = []
    locate = matching.locate

    def counted(ledger: Ledger, *args: Any) -> Any:
        if ledger.max_id("items"):
            found.append(True)
        return locate(ledger, *args)

    monkeypatch.setattr(matching, "locate", counted)
    return found


def generate(folder: Path, *, on_change: Callable[[Any], bool] | None = None, **fields: Any) -> Any:
    """A run whose items begin in the order of the plan, one at a time."""
    options = {name: fields.pop(name) for name in ("fresh", "limit", "retry_failed") if name in fields}
    run = {"max_concurrency": 1, **fields.pop("run", {})}
    provider = CountingProvider("m", log=folder / "requests", reply=one_of_two)
    with suppress(RunStopped):
        return raw(folder, run=run, **fields).generate([provider], on_change=on_change, **options)


def recorded(folder: Path) -> dict[str, list[Any]]:
    """What the ledger says, without times, the marks of openings, and the places of rows: stages decide about items beside each other, so
    the next one may be done first."""
    queries = {
        "items": "SELECT * FROM items ORDER BY id",
        "calls": "SELECT id, item, key, generation, raw FROM calls ORDER BY id",
        "failures": "SELECT item, category, error, rows FROM failures ORDER BY item",
        "filtered": "SELECT item, number, stage, row FROM filtered ORDER BY item, number, id",
        "appends": "SELECT item, size, crc FROM appends ORDER BY item, id",
        "meta": "SELECT name, value FROM meta WHERE name NOT IN ('opening', 'config', 'models', 'hashed') ORDER BY name",
    }
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database:
        return {name: database.execute(query).fetchall() for name, query in queries.items()}


def forget_mark(folder: Path) -> None:
    """Makes the ledger one of a version that did not write marks."""
    with closing(sqlite3.connect(folder / "out.jsonl.ledger")) as database, database:
        database.execute("DELETE FROM meta WHERE name = 'opening'")


def copied(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.parent / name))


# -- the same with and without


def _some(values: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True)


CONFIGS = st.fixed_dictionaries(
    {
        "topics": _some([f"topic {number}" for number in range(5)]),
        "document_types": _some(["note", "letter", "poem"]),
        "num_samples_per_prompt": st.sampled_from([1, 2, 2]),
    },
    optional={
        "prompts": _some(TEMPLATES),
        "num_rows": st.integers(1, 12),
        "quality": st.just([{"stage": "length", "min_words": 3}]),
        "run": st.fixed_dictionaries(
            {}, optional={"max_calls": st.integers(1, 6), "removed": st.sampled_from(["keep", "move"])}
        ),
        "limit": st.integers(1, 5),
        "version": st.integers(1, 2),
    },
)


def _of_version(version: int) -> DefaultPrompts:
    """The default prompts of a version; those of the raw kind as they are for 0."""
    found: DefaultPrompts = RawDatasetConfig.default_prompts
    for _ in range(version):
        texts = {field: [f"{text} Take care." for text in texts] for field, texts in found.texts.items()}
        found = DefaultPrompts(found.name, version=found.version + 1, texts=texts, former=found)
    return found


@pytest.mark.filterwarnings(
    "ignore::datafast.errors.DatafastWarning"
)  # of rows that leave, of settings that have changed
@settings(max_examples=40)
@given(st.lists(CONFIGS, min_size=1, max_size=3), CONFIGS)
def test_a_run_does_the_same_whether_or_not_items_were_found_before(earlier: list[Any], last: Any) -> None:
    versions = [_of_version(version) for version in range(7)]
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder, version = Path(name) / "one", 0
        for config in (*earlier, last):
            version += config.pop("version", 0)
            patched.setattr(RawDatasetConfig, "default_prompts", versions[min(version, 6)])
            if config is last:
                other = copied(folder, "other")
                forget_mark(other)
                generate(other, **config)
            generate(folder, **config)
        assert recorded(folder) == recorded(other)
        assert same_rows(rows_of(folder / "out.jsonl"), rows_of(other / "out.jsonl"))


def topics(*numbers: int) -> list[str]:
    return [f"topic {number}" for number in numbers]


def test_items_are_looked_for_once(tmp_path: Path, looked: list[bool]) -> None:
    generate(tmp_path, topics=topics(1, 2))
    generate(tmp_path, topics=topics(1, 2))
    assert len(looked) == 0
    generate(tmp_path, topics=topics(2, 3))
    assert len(looked) == 1


def test_in_a_ledger_of_an_earlier_version_items_are_looked_for_again(tmp_path: Path, looked: list[bool]) -> None:
    generate(tmp_path, topics=topics(1, 2))
    forget_mark(tmp_path)
    assert assert_balanced(generate(tmp_path, topics=topics(2, 3)).report).written == 2
    assert len(looked) == 2


def test_replies_that_a_killed_run_left_in_its_journal_alone_are_found_with_the_others(
    tmp_path: Path, looked: list[bool]
) -> None:
    crash = {"point": "datafast.store.calls:CallTables.put", "when": "before", "nth": 2, "topics": 40}
    with fork_server() as server:
        assert server.run("tests.support:crashing_run", folder=str(tmp_path), log=str(tmp_path / "log"), **crash) == 9
    paths = OutputPaths.of(tmp_path / "out.jsonl")
    with LedgerReader(paths.ledger) as reader:
        assert reader.unrecorded_replies(paths.journal) > 0
    report = assert_balanced(generate(tmp_path, topics=topics(8, 3, 2, 1, 0)).report)
    assert report.calls == len(requests_in(tmp_path / "requests")) <= 5
    assert (report.written, len(looked)) == (5, 1)


# -- another run in between


@pytest.mark.parametrize(
    ("between", "looks"),
    [
        ({"topics": topics(4, 2, 1, 5)}, 3),
        ({"topics": topics(3, 2), "fresh": True}, 2),
        ({"topics": topics(2, 1), "fresh": True}, 2),  # as many items, and the same ones
        ({"topics": topics(1, 2)}, 2),
    ],
    ids=["a changed plan", "other items", "another order", "the same plan"],
)
def test_another_run_between_what_is_told_of_a_change_and_the_run_that_makes_it_is_seen(
    tmp_path: Path, looked: list[bool], between: dict[str, Any], looks: int
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        generate(folder, topics=topics(1, 2))

    def meanwhile(_: Any) -> bool:
        generate(one, **between)
        return True

    report = assert_balanced(generate(one, topics=topics(3, 2, 1), on_change=meanwhile).report)
    assert (report.written, len(looked)) == (3, looks)
    generate(other, **between)
    generate(other, topics=topics(3, 2, 1))
    assert recorded(one) == recorded(other)
    assert requests_in(one / "requests") == requests_in(other / "requests")


def test_an_item_with_a_number_that_no_run_gives_is_said_to_be_damage(tmp_path: Path) -> None:
    generate(tmp_path, topics=topics(1, 2))
    before = (tmp_path / "out.jsonl").read_bytes()
    with closing(sqlite3.connect(tmp_path / "out.jsonl.ledger")) as database, database:
        database.execute("UPDATE items SET id = 1 << 40 WHERE id = 2")
    with pytest.raises(OutputError, match=r"out\.jsonl\.ledger: the numbers of its items are damaged"):
        generate(tmp_path, topics=topics(2, 3))
    assert (tmp_path / "out.jsonl").read_bytes() == before
