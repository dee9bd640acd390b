"""The version of datafast, for those who may not import the package's front."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.1.0"
