"""Whether somebody can see a page that is opened here, and opening it."""

from __future__ import annotations

import os
import sys

__all__ = ["has_browser", "open_browser"]

_TEXT = {"w3m", "lynx", "links", "elinks", "www-browser"}
"""Browsers that would take the terminal over."""


def has_browser() -> bool:
    """Whether there is a browser with windows on this machine, and a screen for it."""
    import webbrowser

    has_screen = sys.platform in {"darwin", "win32"} or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER")
    )
    if not has_screen:
        return False
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    return os.path.basename(str(getattr(found, "name", ""))) not in _TEXT  # noqa: PTH119 - it may be a command


def open_browser(address: str) -> bool:
    """Opens an address in the browser of this machine, and says whether there is one."""
    import webbrowser

    return has_browser() and webbrowser.open(address)
