"""Parts of rows and of ledgers: what is written is read back to the byte, cut at any line, and memory does not grow with the output."""

from __future__ import annotations

import io
import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datafast._util.remote import remote_url
from datafast.errors import OutputError, RunStopped
from datafast.storage import ledger_parts, row_parts, uploads
from datafast.storage.buckets import Buckets
from datafast.storage.folders import Folder
from datafast.storage.manifest import Manifest, read_manifest
from datafast.storage.parquet import ParquetCodec
from datafast.storage.row_parts import JSONL, put_together, sealed, still_true
from datafast.store.reader import LedgerReader
from datafast.types import StopCause
from tests.running import until, wait_for
from tests.servers.s3_server import Asked, S3Proxy
from tests.storage.conftest import Rounds
from tests.storage.remote import bought, dataset, provider, refused_puts, rows_there, url_of
from tests.support import raw, rows_of, same_rows

COLUMNS = [
    {"name": "text", "type": "string"},
    {"name": "number", "type": "int64"},
    {"name": "score", "type": "float64"},
    {"name": "flag", "type": "bool"},
    {"name": "tags", "type": ["string"]},
    {"name": "who", "type": {"name": "string", "age": "int64"}},
    {"name": "metadata", "type": "json"},
]
texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
fitting = st.fixed_dictionaries(
    {
        "text": texts,
        "number": st.integers(-(2**63), 2**63 - 1),
        "score": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        "flag": st.booleans(),
        "tags": st.lists(texts, max_size=3),
        "who": st.fixed_dictionaries({"name": texts, "age": st.none() | st.integers(0, 99)}),
        "metadata": st.dictionaries(texts, values, max_size=3),
    }
)
names = st.sampled_from([column["name"] for column in COLUMNS])
rows = st.lists(fitting | st.dictionaries(names | texts, values, max_size=8), min_size=1, max_size=6)


@given(rows, st.booleans())
def test_a_parquet_part_gives_back_its_very_bytes(written: list[dict[str, Any]], is_spaced: bool) -> None:
    lines = b"".join(orjson.dumps(row).replace(b'":', b'": ' if is_spaced else b'":') + b"\n" for row in written)
    codec = ParquetCodec(COLUMNS)
    assert ParquetCodec().decode(codec.encode(lines)) == lines


def test_rows_that_fit_have_no_further_column() -> None:
    import pyarrow.parquet as pq

    row = {
        "text": "a",
        "number": 1,
        "score": 0.5,
        "flag": True,
        "tags": ["x"],
        "who": {"name": "b", "age": 2},
        "metadata": {},
    }
    table = pq.read_table(io.BytesIO(ParquetCodec(COLUMNS).encode(orjson.dumps(row) + b"\n")))
    assert table.column_names == list(row)


def test_what_breaks_off_is_no_part() -> None:
    data = ParquetCodec(COLUMNS).encode(b'{"text":"a"}\n')
    assert ParquetCodec().decode(data[: len(data) // 2]) == b""


@given(st.lists(st.lists(st.binary(max_size=9), min_size=1, max_size=9), min_size=1, max_size=40), st.integers(4, 60))
def test_parts_are_the_file_however_it_grows(grown: list[list[bytes]], most: int) -> None:
    class Places:
        def __init__(self) -> None:
            self.objects: dict[str, bytes] = {}

        def put(self, name: str, data: bytes) -> None:
            assert name not in self.objects
            self.objects[name] = data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_parts, "MOST", most)
        store: Any = Places()
        whole, parts = b"", []
        for added in grown:
            whole += b"".join(line.replace(b"\n", b"") + b"\n" for line in added)
            file = io.BytesIO(whole)
            parts += sealed(store, file, sum(part.bytes for part in parts), len(whole), JSONL)
            parts = put_together(store, file, parts, JSONL)
            assert b"".join(store.objects[part.name] for part in parts) == whole
            assert all(store.objects[part.name].endswith(b"\n") for part in parts)
            assert still_true(file, parts, len(whole)) == parts
        assert still_true(io.BytesIO(whole), parts, len(whole) - 1) == parts[:-1]
        changed = bytes([whole[0] ^ 1]) + whole[1:]
        assert still_true(io.BytesIO(changed), parts, len(whole)) == []


@given(st.binary(max_size=200))
def test_what_is_no_manifest_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(OutputError, match="not a manifest"):
        Manifest.decoded(data, "s3://bucket/rows.jsonl/manifest.json")


def test_a_manifest_of_a_newer_format_is_refused() -> None:
    with pytest.raises(OutputError, match="Update datafast"):
        Manifest.decoded(b'{"format": 99}', "s3://bucket/rows.jsonl/manifest.json")


def test_a_file_name_of_a_manifest_leads_nowhere_else(store: S3Proxy, tmp_path: Path) -> None:
    dataset(url_of(store), tmp_path / "here").generate([provider(tmp_path)])
    place = remote_url(url_of(store))
    assert place is not None
    objects = Buckets(place)
    raw_manifest = orjson.loads(objects.get("manifest.json")[0])
    raw_manifest["files"][0]["file"] = "../../evil"
    objects.overwrite("manifest.json", orjson.dumps(raw_manifest))
    with pytest.raises(OutputError, match="damaged"):
        dataset(url_of(store), tmp_path / "there").generate([provider(tmp_path)])
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(("kept", "folder"), [("keep", "/replies/"), ({"drop_after": "written"}, "/ledger/")])
def test_a_large_ledger_is_uploaded_as_the_replies_that_came(
    kept: Any, folder: str, store: S3Proxy, tmp_path: Path, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the run ends: then another machine goes on from an earlier ledger and the replies since. Where replies are dropped, from the
    newest ledger."""
    monkeypatch.setattr(ledger_parts, "_SMALL_LEDGER", 0)
    monkeypatch.setattr(uploads, "_MOST_OFTEN", 0)
    url, topics = url_of(store), 24
    local = rows_of(raw(tmp_path, topics=topics).generate([provider(tmp_path)]).paths.rows)
    before = bought(tmp_path)
    seen: list[int] = []

    def plan(asked: Asked) -> Any:
        if asked.method == "PUT" and folder in asked.key:
            seen.append(asked.number)
        return "500" if len(seen) > 3 and asked.method == "PUT" else None

    async def hold(request: Any) -> None:
        """The first ledger is uploaded, and then what is new, each time before there is more."""
        sent = bought(tmp_path) - before
        if sent == 4:
            await rounds.another()
        elif sent in (7, 10, 13, 16):
            await until(lambda: len(seen) >= (sent - 4) // 3)

    store.plan = plan
    run = {"max_concurrency": 1, "max_stall_s": 0.5, "ledger": {"replies": kept}}
    with pytest.warns(match="An upload failed"), pytest.raises(RunStopped) as stopped:
        dataset(url, tmp_path / "here", topics=topics, run=run).generate([provider(tmp_path, waits=hold)])
    assert stopped.value.report.stop_cause is StopCause.UPLOAD
    store.plan = lambda asked: None
    place = remote_url(url)
    assert place is not None
    found = read_manifest(Buckets(place), url)
    assert found is not None
    assert found[0].ledger is not None
    assert 0 < found[0].last_call < topics
    assert (found[0].ledger.last_call < found[0].last_call) is (kept == "keep") is bool(found[0].replies)
    monkeypatch.setattr(Buckets, "lease_s", -1.0)
    (tmp_path / "other").mkdir()
    with pytest.warns(match="takes over") if _is_held(place) else _nothing():
        made = dataset(url, tmp_path / "there", topics=topics).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == topics - found[0].last_call
    assert same_rows(rows_of(made.paths.rows), local)
    assert made.paths.rows.read_bytes() == rows_there(url)
    assert before == topics


def _is_held(place: Any) -> bool:
    return orjson.loads(Buckets(place).get("lock.json")[0])["spool"] is not None


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_replies_that_were_not_uploaded_are_taken_along(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(store)
    monkeypatch.setattr(Buckets, "lease_s", -1.0)
    dataset(url, tmp_path / "here", topics=2).generate([provider(tmp_path)])
    hold = refused_puts(store, tmp_path, lambda key: "lock" not in key and "probe" not in key, after=6)
    with pytest.warns(match="upload"), pytest.raises(RunStopped):
        dataset(url, tmp_path / "here", topics=6, run={"max_stall_s": 0.2}).generate([provider(tmp_path, waits=hold)])
    store.plan = lambda asked: None
    assert bought(tmp_path) == 6
    (tmp_path / "other").mkdir()
    dataset(url, tmp_path / "there", topics=3).generate([provider(tmp_path / "other")])
    assert bought(tmp_path / "other") == 1
    with pytest.warns(match="taken along"):
        made = dataset(url, tmp_path / "here", topics=6).generate([provider(tmp_path)])
    assert bought(tmp_path) == 6
    assert len(rows_of(made.paths.rows)) == 6
    assert rows_there(url) == made.paths.rows.read_bytes()


@pytest.mark.filterwarnings("ignore::datafast.errors.DatafastWarning")
def test_replies_of_a_spool_that_knows_nothing_any_more_are_there_once(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/share/rows.jsonl"
    run = {"upload_every_s": 0.05}
    made = dataset(url, tmp_path / "here", topics=5, run=run).generate([provider(tmp_path)])
    (made.paths.rows.parent / ".datafast-spool.json").unlink()
    again = dataset(url, tmp_path / "here", topics=6, run=run).generate([provider(tmp_path)])
    assert bought(tmp_path) == 6
    with LedgerReader(again.paths.ledger) as reader:
        assert reader.calls.totals().calls == 6
    assert not list((tmp_path / "here").glob("*.aside-*"))


def test_an_interruption_uploads_what_is_there(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)

    def reply(request: Any) -> None:
        if bought(tmp_path) == 4:
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have left it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            dataset(url, tmp_path / "here", topics=400, run={"max_concurrency": 1, "upload_every_s": 600}).generate(
                [provider(tmp_path, latency_s=0.05, reply=reply)]
            )
    finally:
        signal.signal(signal.SIGINT, before)
    there = rows_there(url)
    assert there
    sent = bought(tmp_path)
    assert sent < 400
    assert len(there.splitlines()) == sent
    dataset(url, tmp_path / "there", topics=400).generate([provider(tmp_path)])
    assert bought(tmp_path) == 400


def test_a_store_that_hangs_holds_up_no_call_and_an_interruption_no_longer_than_its_grace(
    store: S3Proxy, tmp_path: Path
) -> None:
    url = url_of(store)
    store.hang_s = 1000.0  # until the test is over
    store.plan = lambda asked: "hang" if "/ledger/" in asked.key else None
    made = dataset(url, tmp_path / "here", topics=20, run={"max_stall_s": 0.5})

    async def hold(request: Any) -> None:
        if bought(tmp_path) > 16:
            await until(lambda: any("/ledger/" in asked.key for asked in list(store.asked)))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(RunStopped) as stopped:
            made.generate([provider(tmp_path, waits=hold)])
        has_hung = not store.has_ended.is_set()
        store.has_ended.set()
        wait_for(lambda: not any(thread.name == "datafast-uploader" for thread in threading.enumerate()))
    assert has_hung
    assert not [str(one.message) for one in told if "The run goes on" in str(one.message)]
    report = stopped.value.report
    assert (report.written, report.stop_cause) == (20, StopCause.UPLOAD)
    assert report.elapsed_s < 55  # the client itself gives up after a minute


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    import tracemalloc

    place = remote_url(f"file://{tmp_path}/share/rows.jsonl")
    assert place is not None
    objects, file = Folder(place), tmp_path / "rows.jsonl"
    line = orjson.dumps({"text": "x" * 1000}) + b"\n"
    with file.open("wb") as grown:
        for _ in range(120):
            grown.write(line * 1000)
    size = file.stat().st_size
    tracemalloc.start()
    with file.open("rb") as read:
        parts = list(sealed(objects, read, 0, size, JSONL))
        assert still_true(read, parts, size) == parts
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(part.bytes for part in parts) == size > 7 * row_parts.MOST
    assert peak < 4 * row_parts.MOST


def test_starting_over_keeps_what_was_there_also_if_its_first_uploads_fail(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    dataset(url, tmp_path / "here", topics=5).generate([provider(tmp_path)])
    store.plan = lambda asked: "500" if asked.method == "PUT" and "/ledger/" in asked.key else None
    with _ignored(), pytest.raises(RunStopped):
        dataset(url, tmp_path / "here", topics=2, run={"max_stall_s": 0.2}).generate([provider(tmp_path)], fresh=True)
    store.plan = lambda asked: None
    dataset(url, tmp_path / "here", topics=2).generate([provider(tmp_path)])
    place = remote_url(url)
    assert place is not None
    found = read_manifest(Buckets(place), url)
    assert found is not None
    (kept,) = found[0].kept
    before = read_manifest(Buckets(place), url, kept)
    assert before is not None
    assert sum(part.lines for part in before[0].rows) == 5
    assert len(rows_there(url).splitlines()) == 2


def test_a_manifest_that_was_written_though_every_answer_was_lost_is_our_own(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    lost: list[int] = []

    def plan(asked: Asked) -> Any:
        if asked.method == "PUT" and asked.key.endswith("manifest.json") and len(lost) < 4:
            lost.append(asked.number)
            return "late"
        return None

    store.plan = plan
    with _ignored():
        made = dataset(url, tmp_path / "here", topics=8).generate([provider(tmp_path, latency_s=0.02)])
    assert len(lost) == 4
    assert rows_there(url) == made.paths.rows.read_bytes()


def test_decisions_of_people_that_are_not_there_are_kept_aside(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    here = dataset(url, tmp_path / "here", topics=3).generate([provider(tmp_path)])
    first = next(iter(here.data_rows)).uuid
    here.reviews().reject(str(first), "no")
    dataset(url, tmp_path / "there", topics=4).generate([provider(tmp_path)])
    with pytest.warns(match="decisions of people"):
        dataset(url, tmp_path / "here", topics=4).generate([provider(tmp_path)])
    (aside,) = (tmp_path / "here").glob("*.aside-*")
    assert (aside / "rows.jsonl.reviews").exists()


def _ignored() -> Any:
    import contextlib
    import warnings

    @contextlib.contextmanager
    def ignored() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield

    return ignored()
