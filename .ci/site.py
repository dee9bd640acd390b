"""`python .ci/site.py FOLDER [VERSION]`: builds the site of the docs into FOLDER, and looks at every page of it.

Warnings are errors: those of zensical, those of the docstrings, and what `page_checks.py` finds. Needs the extra `docs`.

With a VERSION, like 0.2 or dev, the site goes into FOLDER/VERSION, beside the other versions that are there, and each page has a list of
them; FOLDER/index.html leads to the newest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gallery
import page_checks
import versions

ROOT = Path(__file__).resolve().parent.parent
# Where in the navigation the pages of recipes are put.
_GALLERY = '"gallery/index.md",'
# What zensical says when it is content. Of a docstring that it cannot read it says more, and its exit code is 0.
_CONTENT = re.compile(r"|Build started|No issues found|Build finished in .*")
# How the theme is told that versions.json is there, which mike was the first to write.
_VERSIONS = '\n[project.extra.version]\nprovider = "mike"\n'


def main(target: Path, version: str = "") -> int:
    """Builds the site, and prints what is wrong with it."""
    versions.check(version)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree(ROOT / "docs", place / "docs", ignore=shutil.ignore_patterns("*.py", "*.sh"))
        recipes = gallery.write(place / "docs")
        config = (ROOT / "zensical.toml").read_text(encoding="utf-8")
        entries = "".join(f'"gallery/{name}.md", ' for name in recipes)
        config = config.replace(_GALLERY, f"{_GALLERY} {entries}") + (_VERSIONS if version else "")
        (place / "zensical.toml").write_text(config, encoding="utf-8")
        (place / "datafast").symlink_to(ROOT / "datafast")
        problems = built(place) or page_checks.problems(place / "site")
        if not problems:
            versions.publish(place / "site", target, version)
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
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:3]))
