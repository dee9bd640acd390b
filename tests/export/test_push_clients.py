"""Pushes with each version of the Hub's client that may be installed, and with every request failing once."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.export.clients import PYTHONS, Client, why_not
from tests.export.support import REPO, TOKEN, front, preference_rows, stored, text_rows, write
from tests.servers.hub_server import Fault, HubServer
from tests.support import ROOT


@pytest.fixture(scope="module")
def server() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module", params=PYTHONS)
def client(
    request: pytest.FixtureRequest, server: HubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    if reason := why_not(request.param):
        pytest.skip(reason)
    with Client(PYTHONS[request.param], server.url, tmp_path_factory.mktemp("client")) as client:
        yield client


@pytest.fixture
def empty(server: HubServer) -> HubServer:
    for kept in (server.repos, server.blobs, server.requests, server.faults, server.parts):
        kept.clear()
    server.part_size = None
    return server


def test_the_environments_have_the_versions_that_they_are_named_after(client: Client) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    allowed = {need.name: need.specifier for need in map(Requirement, project["dependencies"])}
    found = client.versions()
    assert all(allowed[name].contains(version) for name, version in found.items())
    if client.process.args[0] == PYTHONS["lowest"]:  # type: ignore[index]  # a list
        lowest = {name: next(iter(allowed[name])).version for name in found}
        assert all(version.startswith(f"{lowest[name]}.") for name, version in found.items())
    if client.process.args[0] == PYTHONS["before-2"]:  # type: ignore[index]
        assert found["huggingface_hub"].startswith("1.")


def test_rows_and_features_come_back_equal_and_changed_splits_load(
    client: Client, empty: HubServer, tmp_path: Path
) -> None:
    texts, pairs = text_rows(30), preference_rows(7)
    source = write(tmp_path / "texts.jsonl", texts)
    assert client.push(source, train_size=0.5) == {"url": f"{empty.url}/datasets/{REPO}"}
    first = client.load(REPO)
    assert {split: len(part["rows"]) for split, part in first.items()} == {"train": 15, "test": 15}
    client.push(source, train_size=0.8, validation_size=0.1)
    again = client.load(REPO)
    assert {split: len(part["rows"]) for split, part in again.items()} == {"train": 24, "validation": 3, "test": 3}
    rows = [dict(row, metadata=json.loads(row["metadata"])) for part in again.values() for row in part["rows"]]
    assert sorted(rows, key=lambda row: row["uuid"]) == [row.model_dump() for row in texts]
    assert {part["schema"] for part in again.values()} == {first["train"]["schema"]}
    assert again["train"]["features"] == front(empty)["dataset_info"]["features"]

    told = client.push(
        write(tmp_path / "pairs.jsonl", pairs), row_model="PreferenceRow", config_name="pairs", shuffle=False
    )
    assert told == {"url": f"{empty.url}/datasets/{REPO}"}
    assert client.load(REPO, "pairs")["train"]["rows"] == [row.model_dump() for row in pairs]
    assert {split: len(part["rows"]) for split, part in client.load(REPO, "default").items()} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }


def test_branches_and_pull_requests_are_made(client: Client, empty: HubServer, source: Path) -> None:
    client.push(source)
    assert client.push(source, train_size=0.5, revision="v2") == {"url": f"{empty.url}/datasets/{REPO}/tree/v2"}
    asked = {"url": f"{empty.url}/datasets/{REPO}/discussions/1"}
    empty.faults.append(Fault("/commit/", 500, late=True))
    assert client.push(source, train_size=0.5, create_pr=True) == asked
    assert client.push(source, train_size=0.5, create_pr=True) == asked


def test_large_files_are_sent_in_parts(client: Client, empty: HubServer, source: Path) -> None:
    empty.part_size = 1000
    empty.faults.append(Fault(r"PUT /blobs/\w+/2", 500))
    client.push(source)
    assert empty.count(r"PUT /blobs/\w+/\d+") > 3
    assert len(stored(empty, "train")) == 10


def test_what_was_uploaded_is_not_sent_again_by_the_next_push(client: Client, empty: HubServer, source: Path) -> None:
    empty.faults.append(Fault("/commit/", 403))
    assert client.push(source, train_size=0.5)["error"] == "PublishError"
    assert empty.count("PUT /blobs/") == 2
    client.push(source, train_size=0.5)
    assert empty.count("PUT /blobs/") == 2
    assert len(stored(empty, "train")) == 5


@pytest.mark.parametrize(
    ("fault", "sent_again"),
    [(Fault("PUT /blobs/", 0, skip=1), 1), (Fault("/commit/", 0), 0), (Fault("/commit/", 0, late=True), 0)],
    ids=["between two files", "before the commit", "after the commit"],
)
def test_a_push_that_was_killed_is_completed_by_the_next(
    empty: HubServer, source: Path, tmp_path: Path, fault: Fault, sent_again: int
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    with Client(PYTHONS["resolved"], empty.url, first) as killed:
        empty.faults.append(replace(fault, then=killed.process.kill))
        assert "raw" in killed.push(source, train_size=0.5)
    assert killed.process.returncode < 0
    sent = empty.count("PUT /blobs/")
    with Client(PYTHONS["resolved"], empty.url, tmp_path) as client:
        assert "url" in client.push(source, train_size=0.5)
    assert empty.count("PUT /blobs/") == sent + sent_again
    assert (len(stored(empty, "train")), len(stored(empty, "test"))) == (5, 5)
    assert empty.repos[REPO].messages == ["initial commit", "Upload 10 rows with datafast"]


PASSING = [
    Fault("", 429, headers={"Retry-After": "0"}),
    Fault("", 500),
    Fault("", 503, headers={"Retry-After": "1"}),
    Fault("", 0),
    Fault("", 500, late=True),
    Fault("", 0, late=True),
    Fault("", None, delay_s=0.05),
]
LASTING = [
    Fault("", 401),
    Fault("", 403),
    Fault("", 409),
    Fault("", 412),
    Fault("", 429, headers={"Retry-After": "3600"}),
]


def name_of(fault: Fault) -> str:
    late = " after it was done" * fault.late
    return "slow" if fault.status is None else f"{fault.status or 'dropped'}{late}{' '.join(fault.headers.values())}"


def begun(hub: HubServer, existing: bool) -> dict[str, Any]:
    """A Hub that is empty but for the push before, and the options of the push to make."""
    for kept in (hub.repos, hub.blobs, hub.requests, hub.faults):
        kept.clear()
    if not existing:
        return {"train_size": 0.8}
    files = {
        "README.md": b"Mine.\n",
        "data/train-00000-of-00002.parquet": b"1",
        "data/train-00001-of-00002.parquet": b"2",
    }
    hub.add_repo(REPO, private=True, files=files)
    return {"train_size": 0.8, "revision": "next"}


def requests_of(client: Client, hub: HubServer, source: Path, existing: bool) -> list[str]:
    """Every request of a push that goes well: the pattern of each, and how many alike go before it."""
    options = begun(hub, existing)
    assert "url" in client.push(source, **options)
    return list(hub.requests)


def state(hub: HubServer, branch: str) -> dict[str, bytes] | None:
    repo = hub.repos.get(REPO)
    revision = repo and repo.branches.get(branch)
    return dict(repo.commits[revision]) if repo and revision else None


@pytest.mark.parametrize("fault", [*PASSING, *LASTING], ids=name_of)
def test_whichever_request_fails_nothing_is_lost_or_doubled(
    client: Client, empty: HubServer, source: Path, fault: Fault
) -> None:
    if client.process.args[0] == PYTHONS["resolved"]:  # type: ignore[index]  # a list
        try_each_request(client, empty, source, fault, existing=False)
    try_each_request(client, empty, source, fault, existing=True)


def try_each_request(client: Client, hub: HubServer, source: Path, fault: Fault, *, existing: bool) -> None:
    asked = requests_of(client, hub, source, existing)
    branch = "next" if existing else "main"
    complete = state(hub, branch)
    assert len(asked) > 10
    for number, request in enumerate(asked):
        options = begun(hub, existing)
        skip = asked[:number].count(request)
        where = f"{request} (of these {skip} before)"
        hub.faults.append(replace(fault, pattern=f"^{re.escape(request)}$", skip=skip))
        told = client.push(source, **options)
        assert hub.faults[0].times == 0, where
        assert "raw" not in told, f"{where}: {told}"
        assert TOKEN not in told.get("message", "") + told.get("traceback", ""), where
        if fault in PASSING or (fault.status in (409, 412) and "/commit/" in request):
            assert "url" in told, f"{where}: {told}"
        if "url" not in told:
            assert told["error"] == "PublishError", where
            before = list(hub.repos[REPO].commits.values())[:1] if REPO in hub.repos else []
            assert state(hub, branch) in [None, *before], where
            assert "url" in client.push(source, **options), where
        assert state(hub, branch) == complete, where
        assert hub.repos[REPO].messages.count("Upload 10 rows with datafast") == 1, where
