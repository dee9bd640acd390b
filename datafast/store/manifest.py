"""Reading `FILE.manifest.json`. `datafast.engine.manifest` writes it, and docs/reference/manifest.md says what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from datafast.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from datafast.store.ledger import Ledger

__all__ = ["ABOUT", "MANIFEST_FORMAT", "is_newest", "read_manifest"]

MANIFEST_FORMAT = 1
ABOUT = "about"
"""What the last run has noted of how its rows are made, in the `meta` of the ledger."""


class _Output(TypedDict):
    file: str
    bytes: int
    sha256: str


class _File(TypedDict):
    file: str
    sha256: str


class _Source(TypedDict):
    rows: NotRequired[int]
    digest: NotRequired[str]
    files: NotRequired[list[_File]]


class _Spec(TypedDict):
    provider: str
    model_id: str


class _Provider(TypedDict):
    label: str
    identity: str | None
    spec: _Spec


class _Route(TypedDict):
    own: str | dict[str, str]
    further: NotRequired[dict[str, str]]


class _Manifest(TypedDict):
    """What readers rely on. There may be more in all of it."""

    kind: str | None
    simulated: bool
    command: str | None
    output: _Output
    row: dict[str, Any]
    counts: dict[str, int]
    config: dict[str, Any]
    sources: dict[str, _Source]
    providers: list[_Provider]
    routes: list[_Route]
    models: dict[str, dict[str, int]]
    calls: dict[str, Any]
    versions: dict[str, Any]
    ledger: dict[str, int]


def read_manifest(path: Path) -> Mapping[str, Any]:
    """A manifest as it is in its file.

    Raises:
        ConfigError: there is no such file.
        OutputError: it is not a manifest, or one of a newer format.
    """
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(
            f"There is no file {path}. The end of a run writes it: run the config again, at no cost where nothing is missing."
        ) from None
    except OSError as error:
        raise OutputError(f"Cannot read {path}: {error.strerror}. Make it readable.") from error
    except orjson.JSONDecodeError:
        raise OutputError(
            f"{path} is not a manifest: it is not JSON. Give the file that a run wrote beside its rows."
        ) from None
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise OutputError(f"{path} is not a manifest. Give the file that a run wrote beside its rows.")
    if found["format"] > MANIFEST_FORMAT:
        raise OutputError(
            f"{path} has format {found['format']}, and this version of datafast knows formats up to {MANIFEST_FORMAT}. Update datafast."
        )
    if wrong := _what_is_wrong(found):
        raise OutputError(f"{path} is not a whole manifest: {wrong}. Give the file as the run wrote it.")
    return found


def is_newest(told: Mapping[str, Any], ledger: Ledger) -> bool:
    """Whether a manifest is of an output as it is now, by its ledger."""
    tables = {name: number for name, number in told["ledger"].items() if name != "format"}
    now = {name: ledger.max_id(name) for name in tables}
    return now == tables and ledger.appends.committed_size() == told["output"]["bytes"]


@cache
def _shape() -> TypeAdapter[_Manifest]:
    return TypeAdapter(_Manifest)


def _what_is_wrong(found: Mapping[str, Any]) -> str:
    """What of a manifest is not as it is written, '' where all is."""
    try:
        told = _shape().validate_python(found, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"it has no {place}" if first["type"] == "missing" else f"{place} is not what it should be"
    known = {provider["label"] for provider in told["providers"]}
    for number, route in enumerate(told["routes"]):
        own = route["own"]
        labels = [*([own] if isinstance(own, str) else own.values()), *route.get("further", {}).values()]
        if unknown := [label for label in labels if label not in known]:
            return f"routes.{number} names {unknown[0]}, which is not among its providers"
    return ""
