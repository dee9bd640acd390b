"""`python .ci/picture.py [FILE.svg [SECONDS]]`: the picture of a run in the docs, captured from a real one on a pseudo-terminal.

The models are simulated, with the latency and the faults that the config below gives them; everything else is what a user sees. The picture
is the screen as it was in the middle of the run. Needs Linux or macOS.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, LINES = 92, 20
SECONDS = 5.0
CONFIG = """\
kind: raw
output_file: field_notes.jsonl
document_types: [field note, museum label]
topics: [tide gauges, ice cores, weather balloons, seismographs, sundials, sextants]
languages: {en: English, fr: French, de: German, es: Spanish, pt: Portuguese}
num_samples_per_prompt: 5
providers:
  - {provider: simulated, model_id: gpt-6-luna, latency_s: 0.8, faults: {refused: 0.1}}
  - {provider: simulated, model_id: claude-haiku-4-5, latency_s: 1.1}
  - {provider: simulated, model_id: gemma3-4b, latency_s: 1.6}
run: {max_concurrency: 15}
"""
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
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r\n|\n|\r)")


def main(target: Path = ROOT / "docs" / "images" / "run.svg", seconds: float = SECONDS) -> None:
    """Writes the picture of a run that many seconds after its first table."""
    command = ["datafast", "generate", "field_notes.yaml"]
    shown = captured(command, seconds)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(command)}", style="bold"))
    for line in screen(shown):
        console.print(Text.from_ansi(line), soft_wrap=True)
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        console.export_svg(title="datafast", code_format=SVG, unique_id="run") + "\n", encoding="utf-8", newline="\n"
    )


def captured(command: list[str], seconds: float) -> str:
    """What the command has shown on a terminal so many seconds after its first table."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    environment.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / command[-1]).write_text(CONFIG, encoding="utf-8")
        words = [sys.executable, "-m", *command]
        with subprocess.Popen(words, stdout=theirs, stderr=theirs, cwd=folder, env=environment) as process:
            os.close(theirs)
            shown, end = b"", float("inf")
            while time.monotonic() < end:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # it has ended
                    break
                if b"in flight" in shown and end == float("inf"):
                    end = time.monotonic() + seconds
            process.kill()
    os.close(ours)
    # Not a screen that is just being drawn anew.
    return shown[: shown.rindex(b"\r\x1b[2K")].decode()


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
    return [line for line in lines if line]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *map(float, sys.argv[2:3]))
