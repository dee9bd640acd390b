"""`python -m benchmarks [CASE ...]`: runs the cases and prints one table. See docs/performance.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cases import CASES, FULL, QUICK
from benchmarks.table import Line, as_markdown, as_text, update

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0 whatever was measured, since a busy machine is no failure."""
    options = _parser().parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    if options.repeats:
        sizes = replace(sizes, repeats=options.repeats)
    if options.items:
        sizes = replace(sizes, large_items=options.items)
    machine = _machine()
    lines: list[Line] = []
    for name in options.cases or CASES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found = CASES[name](sizes)
        print(as_text(found), file=sys.stderr, flush=True)
        lines += found
    print(as_markdown(lines) if options.markdown else as_text(lines))
    if options.json:
        shown = {"machine": machine, "lines": [line.to_dict() for line in lines]}
        options.json.write_text(json.dumps(shown, indent=2), encoding="utf-8")
    if options.update:
        update(options.update, lines, heading=f"Last measured {machine}; median [lowest .. highest].")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory beside a floor.")
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[[], *CASES], help=f"of: {', '.join(CASES)}")
    parser.add_argument("--repeats", type=int, default=0, metavar="N", help="measurements of each figure (5)")
    parser.add_argument(
        "--items",
        type=int,
        default=0,
        metavar="N",
        help="items of the case `large` that are done (1,000,000); 10**8 take 22 GB",
    )
    parser.add_argument("--quick", action="store_true", help="smaller and fewer; the figures say less")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single value")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--update", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    return parser


def _machine() -> str:
    load = os.getloadavg()[0]
    python = platform.python_version()
    day = datetime.now(UTC).date().isoformat()
    return f"{day} on {os.cpu_count()} shared cores, Python {python}, {platform.system()}, load {load:.1f} at the start"


if __name__ == "__main__":
    sys.exit(main())
