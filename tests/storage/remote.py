"""What the tests of remote outputs share: a dataset whose output is in a bucket, and how readers see it."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from datafast._util.remote import remote_url
from datafast.datasets import RawDataset
from datafast.storage.manifest import MANIFEST, Manifest, read_manifest
from datafast.storage.opening import objects_of
from datafast.storage.restoring import codec_of
from tests.running import until
from tests.servers.s3_server import Asked, S3Proxy
from tests.support import CountingProvider, raw, requests_in

__all__ = ["bought", "copied", "dataset", "manifest_at", "provider", "refused_puts", "rows_there", "url_of"]


def url_of(store: S3Proxy) -> str:
    return f"s3://{store.bucket}/some/rows.jsonl"


def dataset(url: str, spool: Path, *, topics: int = 6, run: dict[str, Any] | None = None, **fields: Any) -> RawDataset:
    settings = {"spool": spool, "upload_every_s": 0.05, "max_concurrency": 4, **(run or {})}
    return raw(spool, topics=topics, run=settings, output_file=url, **fields)


def provider(folder: Path, **options: Any) -> CountingProvider:
    return CountingProvider("m", log=folder / "requests.log", **options)


def refused_puts(store: S3Proxy, folder: Path, is_meant: Callable[[str], bool], *, after: int) -> Callable[[Any], Any]:
    """Lets a store refuse to take objects with such keys. Gives what holds a provider's replies, once so many were bought, until it has."""
    refused = threading.Event()

    def plan(asked: Asked) -> Any:
        if asked.method != "PUT" or not is_meant(asked.key):
            return None
        refused.set()
        return "500"

    async def hold(request: Any) -> None:
        if bought(folder) == after:
            await until(refused.is_set)

    store.plan = plan
    return hold


def bought(folder: Path) -> int:
    log = folder / "requests.log"
    return len(requests_in(log)) if log.exists() else 0


def manifest_at(url: str) -> Manifest:
    """The manifest of an output that is there."""
    place = remote_url(url)
    assert place is not None
    found = read_manifest(objects_of(place), url)
    assert found is not None
    return found[0]


def copied(share: Path, target: Path, manifest: Manifest) -> None:
    """Copies the output of a folder as this manifest speaks of it. An upload may go on meanwhile: its unfinished files have a dot."""
    shutil.copytree(share, target, ignore=shutil.ignore_patterns(".*", "*.json"))
    (target / manifest.output / MANIFEST).write_bytes(manifest.encoded())


def rows_there(url: str, objects: Any = None) -> bytes:
    """The rows as somebody else reads them: by the manifest, each part checked."""
    place = remote_url(url)
    assert place is not None
    objects = objects or objects_of(place)
    found = read_manifest(objects, url)
    return b"" if found is None else _rows(objects, found[0])


def _rows(objects: Any, manifest: Manifest) -> bytes:
    data = b""
    for part in manifest.rows:
        lines = codec_of(part.name).decode(objects.get(part.name)[0])
        assert hashlib.sha256(lines).hexdigest() == part.sha256
        assert lines.count(b"\n") == part.lines
        assert lines.endswith(b"\n")
        data += lines
    for line in data.splitlines():
        assert isinstance(orjson.loads(line), dict)
    return data
