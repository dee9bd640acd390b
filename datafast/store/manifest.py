"""Reading `FILE.manifest.json`. `datafast.engine.manifest` writes it, and docs/reference/manifest.md says what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from datafast.errors import ConfigError, OutputError

__all__ = ["ABOUT", "MANIFEST_FORMAT", "read_manifest"]

MANIFEST_FORMAT = 1
ABOUT = "about"
"""What the last run has noted of how its rows are made, in the `meta` of the ledger."""
_PARTS = ("output", "counts", "config", "providers", "routes", "versions", "ledger")


def read_manifest(path: Path) -> Mapping[str, Any]:
    """A manifest as it is in its file.

    Raises:
        ConfigError: there is no such file.
        OutputError: it is not a manifest, or one of a newer format.
    """
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}. The end of a run writes it.") from None
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
    if missing := [part for part in _PARTS if part not in found]:
        raise OutputError(f"{path} is not a whole manifest: it has no {missing[0]}. Give the file as the run wrote it.")
    return found
