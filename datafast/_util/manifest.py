"""The name of the manifest beside an output, for those that look for data in folders and for those that write it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["MANIFEST", "is_manifest"]

MANIFEST = ".manifest.json"
"""What the name of the manifest ends with, after that of the rows."""


def is_manifest(path: Path) -> bool:
    """Whether a file is the manifest of rows beside it."""
    return path.name.endswith(MANIFEST) and path.with_name(path.name.removesuffix(MANIFEST)).is_file()
