"""`python .ci/site.py FOLDER`: builds the site of the docs into FOLDER, and looks at every page of it.

Warnings are errors: those of zensical, those of the docstrings, and what `page_checks.py` finds. Needs the extra `docs`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import page_checks

ROOT = Path(__file__).resolve().parent.parent
# What zensical says when it is content. Of a docstring that it cannot read it says more, and its exit code is 0.
_CONTENT = re.compile(r"|Build started|No issues found|Build finished in .*")


def main(target: Path) -> int:
    """Builds the site, and prints what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree(ROOT / "docs", place / "docs", ignore=shutil.ignore_patterns("*.py", "*.sh"))
        shutil.copy(ROOT / "zensical.toml", place)
        (place / "datafast").symlink_to(ROOT / "datafast")
        problems = built(place) or page_checks.problems(place / "site")
        if not problems:
            shutil.copytree(place / "site", target, dirs_exist_ok=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def built(place: Path) -> list[str]:
    """Builds the site of a folder there, in `site`; what zensical says if it is not content."""
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    said = [line for line in f"{done.stdout}{done.stderr}".splitlines() if not _CONTENT.fullmatch(line)]
    return said if said or not done.returncode else [f"zensical: exit code {done.returncode}"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
