"""An output in a bucket: what is there after a run, going on here and elsewhere, rewrites, readers in the midst, two machines."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from datafast._util.remote import remote_url
from datafast.datasets import RawDataset
from datafast.errors import ConfigError, DatafastWarning, MissingExtraError, OutputInUseError, RunStopped
from datafast.storage import lock as lock_module
from datafast.storage import patient, uploader
from datafast.storage.buckets import Buckets
from datafast.storage.objects import StoreError
from datafast.types import StopCause
from tests.running import until
from tests.servers.s3_server import Asked, S3Proxy
from tests.storage.remote import bought, dataset, provider, rows_there, url_of
from tests.support import ForkServer, raw, rows_of, same_rows


def test_the_rows_of_a_remote_output_are_those_of_a_local_run(store: S3Proxy, tmp_path: Path) -> None:
    local = raw(tmp_path, topics=6).generate([provider(tmp_path)])
    there = dataset(url_of(store), tmp_path / "spool").generate([provider(tmp_path)])
    assert there.report is not None
    assert there.report.output_file == url_of(store)
    assert there.paths.rows.read_bytes() == rows_there(url_of(store))
    assert same_rows(rows_of(local.paths.rows), [row.model_dump() for row in there.data_rows])


@pytest.mark.parametrize("parts", ["jsonl", "parquet"])
def test_another_machine_goes_on_with_what_is_there_and_buys_nothing_again(
    store: S3Proxy, tmp_path: Path, parts: str
) -> None:
    url, run = url_of(store), {"parts": parts}
    first = dataset(url, tmp_path / "here", run=run).generate([provider(tmp_path)])
    other = dataset(url, tmp_path / "there", run=run).generate([provider(tmp_path)])
    assert bought(tmp_path) == 6
    assert other.paths.rows.read_bytes() == first.paths.rows.read_bytes() == rows_there(url)
    dataset(url, tmp_path / "there", topics=9, run=run).generate([provider(tmp_path)])
    assert bought(tmp_path) == 9
    with _quiet():
        back = dataset(url, tmp_path / "here", topics=9, run=run).generate([provider(tmp_path)])
    assert bought(tmp_path) == 9
    assert back.paths.rows.read_bytes() == rows_there(url)
    assert rows_there(url).startswith(first.paths.rows.read_bytes()[:100])


def test_parts_are_never_changed_and_no_part_that_a_manifest_names_is_missing(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)

    def written() -> list[str]:
        return [asked.key for asked in list(store.asked) if asked.method == "PUT" and "/rows/" in asked.key]

    async def hold(request: Any) -> None:
        """Of the first rows, each four are uploaded before the next ones come."""
        least = min(4, (bought(tmp_path) - 1) // 4)
        await until(lambda: len(written()) >= least)

    dataset(url, tmp_path / "spool", topics=40, run={"max_concurrency": 2}).generate([provider(tmp_path, waits=hold)])
    assert len(set(written())) == len(written()) > 3
    assert len(rows_there(url).splitlines()) == 40


def test_readers_see_whole_rows_after_every_request_of_the_uploader(
    s3: str, store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(store)
    place = remote_url(url)
    assert place is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    direct = Buckets(place)
    monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
    sizes: list[int] = []
    in_order = threading.Lock()  # the lock of the output is renewed by another thread than the one that uploads

    def watch(asked: Asked) -> None:
        if asked.method != "GET":
            with in_order:
                sizes.append(len(rows_there(url, direct)))

    first = [{"stage": "length", "max_characters": 100_000}]
    store.watch = watch
    dataset(url, tmp_path / "spool", topics=20, run={"max_concurrency": 2}, quality=first).generate(
        [provider(tmp_path, latency_s=0.02)]
    )
    whole = sizes[-1]
    assert sizes == sorted(sizes)
    dropping = [{"stage": "length", "max_characters": 290}]
    dataset(url, tmp_path / "spool", topics=20, quality=dropping).generate([provider(tmp_path)])
    assert bought(tmp_path) == 20
    assert set(sizes[-5:]) != {whole}
    assert sizes[-1] < whole


def test_rows_that_leave_make_other_parts_and_the_old_ones_stay_for_a_while(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    dataset(url, tmp_path / "spool", topics=8).generate([provider(tmp_path)])
    before = {asked.key for asked in store.asked if asked.method == "PUT" and "/rows/" in asked.key}
    fewer = dataset(url, tmp_path / "spool", topics=5).generate([provider(tmp_path)])
    assert rows_there(url) == fewer.paths.rows.read_bytes()
    assert len(rows_there(url).splitlines()) == 5
    place = remote_url(url)
    assert place is not None
    objects = Buckets(place)
    there = {f"some/rows.jsonl/{found.name}" for found in objects.all()}
    assert before <= there
    other = dataset(url, tmp_path / "other", topics=5).generate([provider(tmp_path)])
    assert [path.name for path in other.paths.rows.parent.glob("*.stale-*")]
    assert bought(tmp_path) == 8


def test_old_objects_go_once_nobody_can_be_reading_them(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from datafast.storage import manifest

    monkeypatch.setattr(manifest, "GRACE", timedelta(seconds=-3600))
    url = url_of(store)
    dataset(url, tmp_path / "spool", topics=8).generate([provider(tmp_path)])
    dataset(url, tmp_path / "spool", topics=5).generate([provider(tmp_path)])
    place = remote_url(url)
    assert place is not None
    objects = Buckets(place)
    names = {found.name for found in objects.all()}
    read = manifest.read_manifest(objects, url)
    assert read is not None
    assert names == {"manifest.json", "lock.json", *read[0].names()}


def test_starting_over_keeps_what_was_there(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    old = dataset(url, tmp_path / "spool").generate([provider(tmp_path)]).paths.rows.read_bytes()
    dataset(url, tmp_path / "other", topics=3).generate([provider(tmp_path)], fresh=True)
    assert len(rows_there(url).splitlines()) == 3
    place = remote_url(url)
    assert place is not None
    objects = Buckets(place)
    from datafast.storage.manifest import read_manifest

    now = read_manifest(objects, url)
    assert now is not None
    (kept,) = now[0].kept
    before = read_manifest(objects, url, kept)
    assert before is not None
    assert b"".join(objects.get(part.name)[0] for part in before[0].rows) == old


# -- faults


@pytest.mark.parametrize("trouble", ["500", "503", "reset", "late", "truncate"])
def test_a_store_that_fails_now_and_then_gets_everything(store: S3Proxy, tmp_path: Path, trouble: Any) -> None:
    url = url_of(store)
    store.plan = lambda asked: trouble if asked.number % 3 == 2 else None
    with _quiet():
        there = dataset(url, tmp_path / "spool", topics=12, run={"max_concurrency": 2}).generate(
            [provider(tmp_path, latency_s=0.02)]
        )
    store.plan = lambda asked: None
    assert rows_there(url) == there.paths.rows.read_bytes()
    with _quiet():
        dataset(url, tmp_path / "other", topics=12).generate([provider(tmp_path)])
    assert bought(tmp_path) == 12


def test_a_store_that_is_away_delays_nothing_and_the_same_command_uploads(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    store.plan = lambda asked: "500" if "/rows/" in asked.key or "/ledger/" in asked.key else None
    run = {"max_stall_s": 0.5}
    with _quiet(), pytest.raises(RunStopped) as stopped:
        dataset(url, tmp_path / "spool", run=run).generate([provider(tmp_path)])
    report = stopped.value.report
    assert (report.stop_cause, report.written, report.pending) == (StopCause.UPLOAD, 6, 0)
    assert "6 replies" in str(report.stop_reason)
    assert str(tmp_path / "spool") in str(report.stop_reason)
    assert rows_there(url) == b""
    store.plan = lambda asked: None
    there = dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    assert bought(tmp_path) == 6
    assert rows_there(url) == there.paths.rows.read_bytes()


def test_a_last_upload_may_take_its_time_while_the_store_answers(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(slow))  # goes on with the answers alone
    for module in (patient, uploader):
        monkeypatch.setattr(module, "time", clock)

    def slowly(asked: Asked) -> None:
        if asked.method == "PUT" and any(f"/{folder}/" in asked.key for folder in ("rows", "ledger", "files")):
            slow.append(100.0)
            time.sleep(2 * uploader._LOOK_S)  # so that it is looked whether this has taken too long

    url = url_of(store)
    store.plan = slowly
    there = dataset(url, tmp_path / "spool", run={"max_stall_s": 250.0, "upload_every_s": 1000.0})
    there.generate([provider(tmp_path)])
    assert sum(slow) > 250
    assert rows_there(url) == there.paths.rows.read_bytes()


def test_a_store_that_does_not_answer_at_the_start_is_told_before_anything_is_sent(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "_FIRST_WAIT_S", 0.0)
    store.plan = lambda asked: "500"
    with pytest.raises(StoreError):
        dataset(url_of(store), tmp_path / "spool").generate([provider(tmp_path)])
    store.plan = lambda asked: "403"
    with pytest.raises(ConfigError, match="credentials"):
        dataset(url_of(store), tmp_path / "spool").generate([provider(tmp_path)])
    assert bought(tmp_path) == 0


# -- the lock


def test_a_store_without_conditional_writes_is_refused_unless_the_config_says_so(
    store: S3Proxy, tmp_path: Path
) -> None:
    store.is_conditional = False
    url = url_of(store)
    with pytest.raises(ConfigError, match="lock: none"):
        dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    assert bought(tmp_path) == 0
    run = {"lock": "none"}
    there = dataset(url, tmp_path / "spool", run=run).generate([provider(tmp_path)])
    assert rows_there(url) == there.paths.rows.read_bytes()
    dataset(url, tmp_path / "other", run=run).generate([provider(tmp_path)])
    assert bought(tmp_path) == 6


def test_one_of_two_machines_writes_and_the_other_is_told_who_does(store: S3Proxy, tmp_path: Path) -> None:
    url = url_of(store)
    told: list[str] = []

    def meddle(asked: Asked) -> None:
        if "/rows/" in asked.key and not told:
            told.append("")
            with pytest.raises(OutputInUseError) as error:
                dataset(url, tmp_path / "other").generate([provider(tmp_path)])
            told.append(str(error.value))

    store.watch = meddle
    dataset(url, tmp_path / "spool").generate([provider(tmp_path)])
    assert "is writing to s3://" in told[1]
    assert bought(tmp_path) == 6
    dataset(url, tmp_path / "other").generate([provider(tmp_path)])
    assert bought(tmp_path) == 6


def test_a_lock_that_has_lapsed_is_taken_over_and_its_holder_stops(
    store: S3Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: ForkServer
) -> None:
    url = url_of(store)
    place = remote_url(url)
    assert place is not None
    monkeypatch.setattr(lock_module.RemoteLock, "_renew", lambda self: None)
    taken: list[Any] = []

    def reply(request: Any) -> None:
        if not taken:
            taken.append(None)
            (tmp_path / "other").mkdir()
            there = {"url": url, "spool": str(tmp_path / "other"), "folder": str(tmp_path / "other"), "topics": 2}
            assert children.run("tests.storage.dying:take_over", environment=store.environment, **there) == 0

    with _quiet(), pytest.raises(RunStopped) as stopped:
        dataset(url, tmp_path / "spool", topics=6, run={"max_concurrency": 1, "upload_every_s": 60}).generate(
            [provider(tmp_path, reply=reply)]
        )
    assert stopped.value.report.stop_cause is StopCause.UPLOAD
    assert "taken" in str(stopped.value.report.stop_reason)
    spent = bought(tmp_path)
    with pytest.warns(DatafastWarning, match="taken along"):
        back = dataset(url, tmp_path / "spool", topics=6).generate([provider(tmp_path)])
    assert bought(tmp_path) == spent
    assert rows_there(url) == back.paths.rows.read_bytes()
    assert len(rows_there(url).splitlines()) == 6


# -- what is refused, what is nowhere


def test_no_credentials_are_in_what_is_uploaded_or_on_the_disk(store: S3Proxy, tmp_path: Path) -> None:
    dataset(url_of(store), tmp_path / "spool").generate([provider(tmp_path)])
    place = remote_url(url_of(store))
    assert place is not None
    objects = Buckets(place)
    texts = [objects.get(found.name)[0] for found in objects.all()]
    texts += [path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    for value in store.environment.values():
        if "EXAMPLE" in value:
            assert not any(value.encode() in text for text in texts)


@pytest.mark.parametrize(
    "url", ["s3://bucket", "s3://", "hf://models/a/b/rows.jsonl", "hf://datasets/a/rows.jsonl", "gs://b/../c"]
)
def test_urls_that_are_not_whole_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="URL"):
        raw(tmp_path, output_file=url)


def test_the_ledger_of_a_remote_output_has_no_other_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="spool"):
        raw(tmp_path, output_file="s3://bucket/rows.jsonl", run={"ledger": tmp_path / "x.ledger"})


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r"datafast\[storage\]"):
        dataset("s3://bucket/rows.jsonl", tmp_path).generate([provider(tmp_path)])


def test_a_config_with_a_url_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    config = raw(tmp_path, output_file="s3://bucket/some/rows.jsonl").config
    text = config.model_dump_json()
    assert orjson.loads(text)["output_file"] == "s3://bucket/some/rows.jsonl"
    assert (
        RawDataset(type(config).model_validate_json(text)).paths == raw(tmp_path, output_file=config.output_file).paths
    )


def _quiet() -> Any:
    import warnings

    caught = warnings.catch_warnings()

    class Quiet:
        def __enter__(self) -> None:
            caught.__enter__()
            warnings.simplefilter("ignore", DatafastWarning)

        def __exit__(self, *error: Any) -> None:
            caught.__exit__(*error)

    return Quiet()
