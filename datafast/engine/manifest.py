"""`FILE.manifest.json`: what an output is, how it was made, and how to tell that it is still that.

Guarantee: all of it follows from the ledger, the rows and what the last run has noted (`meta.about`), so the same output has the same
manifest, byte for byte, whenever it is written. No key, header or other secret is in it. It is written as a whole, under the run's lock.

Cost: one pass over the recorded numbers (about 1 s for a million calls). Where not all that has come since the last manifest came in
one run without batches, also a look at the new replies, for the models that they name (about 3 s for a million), and one pass over the
rows (a second for a gigabyte).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import platform
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from datafast._util.atomic_write import write_whole
from datafast._util.notify import warn_user
from datafast._util.version import VERSION
from datafast.engine.portable import command_shown, config_shown
from datafast.errors import OutputError
from datafast.llms.replies.formats import model_of
from datafast.llms.transport.redaction import without_secrets
from datafast.store.ledger import Ledger
from datafast.store.manifest import ABOUT, MANIFEST_FORMAT
from datafast.store.migrations import FORMAT
from datafast.store.paths import OutputPaths
from datafast.store.shards import ShardNote
from datafast.types import StopCause

if TYPE_CHECKING:
    from datafast.engine.assembly import Parts

__all__ = ["hash_of", "manifest_of", "text_digest", "versions_here", "write_manifest"]

_MODELS = "models"
_LIBRARIES = ("pydantic", "pydantic-core", "orjson", "jinja2", "numpy")
_TEXTS = ("prompt", "prompts", "template", "templates", "instructions", "rubric", "expression")
_CHUNK = 1 << 20


async def write_manifest(parts: Parts) -> None:
    """Writes the manifest of an output whose run is over and whose files are closed. Its lock is still held.

    What keeps it from being written is warned of: the rows are complete without it.
    """
    job = parts.job
    if job.about is None or parts.stop.cause is StopCause.OUTPUT:
        return
    store = parts.output.store
    writing = asyncio.ensure_future(
        asyncio.to_thread(_write, job.paths.rows, job.paths.ledger, store.sha256, store.models)
    )
    try:
        await asyncio.wait({writing})
    except asyncio.CancelledError:
        await asyncio.wait({writing})
        raise
    try:
        writing.result()
    except (OSError, OutputError, sqlite3.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error).removesuffix(".")
        warn_user(f"{job.paths.manifest} could not be written: {why}. The rows are complete; the next run writes it.")


def _write(rows: Path, ledger: Path, sha256: str | None, models: Counter[tuple[str, str]]) -> None:
    with closing(Ledger(ledger)) as opened:
        found = manifest_of(rows, opened, sha256, models)
        opened.checkpoint()
    if found is not None:
        write_whole(OutputPaths.of(rows).manifest, orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


def manifest_of(
    rows: Path, ledger: Ledger, sha256: str | None = None, models: Counter[tuple[str, str]] | None = None
) -> dict[str, Any] | None:
    """The manifest of an output; None if an earlier version has made it, which notes too little. What is found out is kept in the ledger.

    Args:
        sha256: of the rows, if it is known.
        models: how many replies a run has got, by provider and the model that they name.
    """
    about = ledger.noted(ABOUT)
    if not isinstance(about, dict):
        return None
    sha256 = sha256 or ledger.hashed or hash_of(rows, ledger.appends.committed_size())
    used = _used(ledger)
    named = _models(ledger, used["replies"], models or Counter())
    with ledger.transaction():
        ledger.note_hash(sha256)
        ledger.set_meta(_MODELS, orjson.dumps(named).decode())
    config = orjson.loads(ledger.meta("config") or "{}")
    counts = ledger.counts()
    return {
        "format": MANIFEST_FORMAT,
        "kind": ledger.meta("kind"),
        **({} if (shard := ShardNote.read(ledger)) is None else {"shard": asdict(shard)}),
        "simulated": ledger.meta("mode") == "simulated",
        "command": command_shown(ledger.meta("command") or "", ledger.meta("directory") or "") or None,
        "output": {
            "file": rows.name,
            "bytes": ledger.appends.committed_size(),
            "sha256": sha256,
            "ordered": bool(config.get("run", {}).get("ordered")),
        },
        "row": about["row"],
        "counts": {**asdict(counts), "pending": counts.pending},
        "stopped": ledger.meta("stop_reason") or None,
        "plan": {
            "rows": ledger.requested,
            "items": about["items"],
            "routes": len(about["routes"]),
            "num_rows": ledger.meta("num_rows"),
            "fingerprint": (ledger.meta("plan") or b"").hex(),
        },
        "config": _as_given(config, about["given"], rows.absolute().parent),
        "templates": {**about["templates"], **dict(_digests(config))},
        "sources": about["sources"],
        "seeds": dict(_seeds(config)),
        "providers": about["providers"],
        "routes": about["routes"],
        "models": named["found"],
        "calls": {**dict(zip(("first", "last"), map(_moment, named["sent"]), strict=False)), **used},
        "versions": {**about["versions"], "worked_on_it": ledger.versions},
        "ledger": {
            "format": FORMAT,
            **{table: ledger.max_id(table) for table in ("items", "calls", "appends", "filtered")},
        },
    }


@functools.cache
def versions_here() -> Mapping[str, str]:
    """The versions of what shapes the bytes of rows: this package, Python, and the libraries that are installed."""
    found = {"datafast": VERSION, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def hash_of(path: Path, size: int) -> str:
    """The SHA-256 of the first bytes of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            found.update(chunk)
            size -= len(chunk)
    return found.hexdigest()


def text_digest(text: str) -> str:
    """The digest of a text, with the name of what makes it."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _used(ledger: Ledger) -> dict[str, Any]:
    """What all calls have used."""
    totals = asdict(ledger.calls.totals())
    return {"replies": totals.pop("calls"), **totals}


def _models(ledger: Ledger, replies: int, counts: Counter[tuple[str, str]]) -> dict[str, Any]:
    """The models that replies name, by provider, with the number of their replies. Those that were looked at before are counted already.

    Args:
        replies: how many there are.
        counts: those of the last run; the others are looked at if they are not all that are new.
    """
    after, found, sent = _known_models(ledger.noted(_MODELS))
    times = [*sent, *(ledger.calls.sent(after=after) or ())]
    if counts.total() != replies - sum(sum(models.values()) for models in found.values()):
        counts = Counter(
            (provider, model_id if raw is None else model_of(raw, wire_format))
            for _, provider, raw, wire_format, model_id in ledger.scans.replies(after=after)
        )
    after = ledger.max_id("calls")
    for (provider, model), replies in counts.items():
        of_provider = found.setdefault(provider, {})
        of_provider[model] = of_provider.get(model, 0) + replies
    ordered = {provider: dict(sorted(models.items())) for provider, models in sorted(found.items())}
    return {"after": after, "found": ordered, "sent": [min(times), max(times)] if times else []}


def _known_models(noted: Any) -> tuple[int, dict[str, dict[str, int]], list[float]]:
    """What the last manifest has noted; nothing where that is damaged, so that all replies are looked at again."""
    match noted:
        case {"after": int(after), "found": dict(found), "sent": [float(), float()] as sent}:
            if all(isinstance(models, dict) for models in found.values()):
                return after, found, sent
    return 0, {}, []


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _as_given(config: Mapping[str, Any], given: Mapping[str, list[str]], folder: Path) -> Any:
    """The fields that the user has set, of the config and of its `run`, without what is secret and the folder of the rows."""
    told = {name: value for name, value in config.items() if name in given["config"]}
    if isinstance(told.get("run"), dict):
        told["run"] = {name: value for name, value in told["run"].items() if name in given["run"]}
    # In a long list of texts nothing has a name that says it is secret.
    other = {name: _without_headers(value) for name, value in told.items() if not _is_texts(value)}
    return config_shown({**told, **without_secrets(other)}, folder)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _without_headers(value: Any) -> Any:
    """A value without the headers of providers in it."""
    if isinstance(value, dict):
        return {name: _without_headers(inner) for name, inner in value.items() if name != "extra_headers"}
    return [_without_headers(inner) for inner in value] if isinstance(value, list) else value


def _digests(value: Any, place: str = "", *, is_text: bool = False) -> Iterator[tuple[str, str]]:
    """The digests of the texts in a config that say what models are asked, and how rows are made of it, by their places."""
    if isinstance(value, str):
        if is_text:
            yield place, text_digest(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            named = is_text or name.lower().rpartition("_")[2] in _TEXTS or name == "system"
            yield from _digests(inner, f"{place}.{name}" if place else name, is_text=named)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if is_text or isinstance(inner, dict):
                yield from _digests(inner, f"{place}[{number}]", is_text=is_text)


def _seeds(value: Any, place: str = "") -> Iterator[tuple[str, int]]:
    """The seeds in a config, by their places."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{place}.{name}" if place else name
            if name.rpartition("_")[2] == "seed" and isinstance(inner, int):
                yield here, inner
            yield from _seeds(inner, here)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict):
                yield from _seeds(inner, f"{place}[{number}]")
