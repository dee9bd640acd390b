"""Pictures of a terminal as SVG: what a real command shows on a pseudo-terminal, in light and dark. Needs Linux or macOS."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 92
# Background, text, and the colours by their numbers: dark on light and light on dark, each with a contrast of 4.5 at least.
THEMES = {
    "light": TerminalTheme(
        (246, 248, 250),
        (36, 41, 47),
        [
            (36, 41, 47),
            (190, 30, 45),
            (17, 99, 41),
            (125, 78, 0),
            (9, 105, 218),
            (130, 80, 223),
            (27, 124, 131),
            (87, 96, 106),
        ],
        [
            (87, 96, 106),
            (164, 14, 38),
            (26, 127, 55),
            (99, 60, 1),
            (33, 139, 255),
            (164, 117, 249),
            (49, 146, 170),
            (36, 41, 47),
        ],
    ),
    "dark": TerminalTheme(
        (30, 33, 39),
        (214, 219, 226),
        [
            (72, 79, 88),
            (255, 123, 114),
            (63, 185, 80),
            (210, 153, 34),
            (88, 166, 255),
            (188, 140, 255),
            (57, 197, 207),
            (177, 186, 196),
        ],
        [
            (139, 148, 158),
            (255, 161, 152),
            (86, 211, 100),
            (227, 179, 65),
            (121, 192, 255),
            (210, 168, 255),
            (86, 212, 221),
            (255, 255, 255),
        ],
    ),
}
# That of rich fetches a font from the web.
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_TABLE, _ANEW = b"in flight", b"\r\x1b[2K"
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r\n|\n|\r)")


def picture(command: list[str], shown: str, *, scheme: str) -> str:
    """What a command has shown, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(command)}", style="bold"))
    for line in screen(shown.rstrip()):
        console.print(Text.from_ansi(line), soft_wrap=True)
    name = f"{command[1]}-{scheme}"
    return console.export_svg(title="datafast", code_format=SVG, unique_id=name, theme=THEMES[scheme]) + "\n"


def captured(command: list[str], folder: Path, *, lines: int = 20, seconds: float = float("inf")) -> str:
    """What a command shows on a terminal of so many lines: all of it, or so many seconds after its first table of a run."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ) as process:
        os.close(theirs)
        shown, end = b"", float("inf")
        while (
            time.monotonic() < end or _ANEW not in shown.partition(_TABLE)[2]
        ):  # the table was drawn anew once, at least
            try:
                part = os.read(ours, 65536)
            except OSError:  # it has ended
                break
            if not part:
                break
            shown += part
            if _TABLE in shown and end == float("inf"):
                end = time.monotonic() + seconds
        process.kill()
    os.close(ours)
    if seconds < float("inf"):  # not a screen that is just being drawn anew
        shown = shown[: shown.rindex(_ANEW)]
    return shown.decode()


def screen(shown: str) -> list[str]:
    """The lines that stand on the screen, with their colours: of control sequences, those are obeyed that a live display uses."""
    lines, row = [""], 0
    position = 0
    for control in _CONTROL.finditer(shown):
        lines[row] += shown[position : control.start()]
        position = control.end()
        argument, name, line_end = control.groups()
        if line_end in {"\n", "\r\n"}:
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif name == "A":
            row -= int(argument or 1)
        elif name == "K":
            lines[row] = ""
        elif name == "m":
            lines[row] += control[0]
    lines[row] += shown[position:]
    # A live display leaves lines behind that it has emptied.
    return lines if "\x1b[2K" not in shown else [line for line in lines if line]
