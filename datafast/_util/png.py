"""An SVG as PNG, by resvg, which needs no browser and no library of the system.

Limits: letters come from the fonts of this machine. resvg takes the first family that the machine prefers for `sans-serif`, whether it is
there or not; so where that gives no letters, families that many machines have are tried.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache

from datafast.errors import ConfigError, MissingExtraError

__all__ = ["need_png", "png_of"]

_ZOOM = 3
_LETTER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text y="9" font-family="sans-serif">A</text></svg>'
)
_FAMILIES = (
    "DejaVu Sans", "Liberation Sans", "Noto Sans", "Arial", "Helvetica", "Verdana", "Roboto", "Open Sans", "Ubuntu", "Cantarell",
    "FreeSans", "Segoe UI", "Noto Sans CJK SC",
)  # fmt: skip


def need_png() -> None:
    """Refuses early what could not be drawn later.

    Raises:
        MissingExtraError: resvg is not installed.
        ConfigError: this machine has no font.
    """
    if importlib.util.find_spec("resvg_py") is None:
        raise MissingExtraError(
            "PNG files are drawn by resvg-py, which is not installed. Run: pip install 'datafast[png]'. SVG files need nothing."
        )
    if not _has_letters(_family()):
        raise ConfigError(
            "This machine has no font, so PNG files would have no letters. Install one (on Debian, fonts-dejavu-core), or take SVG."
        )


def png_of(svg: str) -> bytes:
    """The picture, three times as wide and as high as it is in units: 1,440 pixels for one of our figures. `need_png` must have passed."""
    from resvg_py import svg_to_bytes

    return svg_to_bytes(svg_string=svg, zoom=_ZOOM, sans_serif_family=_family())


@lru_cache(maxsize=1)
def _family() -> str | None:
    """The family for `sans-serif`; None where resvg finds one by itself, or none of those that are tried is there."""
    return next((family for family in (None, *_FAMILIES) if _has_letters(family)), None)


def _has_letters(family: str | None) -> bool:
    from resvg_py import svg_to_bytes

    without = svg_to_bytes(svg_string=_LETTER, skip_system_fonts=True)
    return svg_to_bytes(svg_string=_LETTER, sans_serif_family=family) != without
