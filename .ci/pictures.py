"""`python .ci/pictures.py [FOLDER [NAME ...]]`: the pictures of the docs, taken from real runs, in light and dark.

The models are simulated, with the latency and the faults that the config of a run gives them; everything else is what a user sees.
Without arguments all are taken into docs/images. Needs the extras `docs` and `test`, and Chromium for those of pages.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from terminal import THEMES, captured, picture

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_ABOUT = """\
kind: raw
output_file: field_notes.jsonl
document_types: [field note, museum label]
topics: [tide gauges, ice cores, weather balloons, seismographs, sundials, sextants]
languages: {en: English, fr: French, de: German, es: Spanish, pt: Portuguese}
num_samples_per_prompt: 5
"""
PLANNED = f"""\
{_ABOUT}quality: [{{stage: refusals}}, {{stage: near_duplicates}}]
providers: [openai/gpt-6-luna, anthropic/claude-haiku-4-5]
"""
RUN = f"""\
{_ABOUT}providers:
  - {{provider: simulated, model_id: gpt-6-luna, latency_s: 0.8, faults: {{refused: 0.1}}}}
  - {{provider: simulated, model_id: claude-haiku-4-5, latency_s: 1.1}}
  - {{provider: simulated, model_id: gemma3-4b, latency_s: 1.6}}
run: {{max_concurrency: 15}}
"""
SECONDS = 3.0


def plan(target: Path) -> None:
    """What a config will ask, and what it will cost."""
    command = ["datafast", "plan", "field_notes.yaml", "-n", "1"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / command[2]).write_text(PLANNED, encoding="utf-8")
        shown = captured(command, Path(folder), lines=60)
    _write(target, command, shown)


def run(target: Path) -> None:
    """The screen as it is in the middle of a run."""
    command = ["datafast", "generate", "field_notes.yaml"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / command[2]).write_text(RUN, encoding="utf-8")
        shown = captured(command, Path(folder), seconds=SECONDS)
    _write(target, command, shown)


def _write(target: Path, command: list[str], shown: str) -> None:
    for scheme in THEMES:
        path = target / f"{'run' if command[1] == 'generate' else command[1]}-{scheme}.svg"
        path.write_text(picture(command, shown, scheme=scheme), encoding="utf-8", newline="\n")


def report(target: Path) -> None:
    """The beginning of a report."""
    import screens  # needs playwright, which those of a terminal do not

    screens.report(target)


def view(target: Path) -> None:
    """Pages of the viewer."""
    import screens

    screens.view(target)
    screens.live(target)


PICTURES: dict[str, Callable[[Path], None]] = {"plan": plan, "run": run, "report": report, "view": view}


def main(target: Path = IMAGES, *names: str) -> None:
    """Takes these pictures, or all, into a folder."""
    target.mkdir(exist_ok=True, parents=True)
    for name in names or PICTURES:
        PICTURES[name](target)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *sys.argv[2:])
