"""Several versions of the site in one folder, each in a folder of its own, with the list of them that the theme reads."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path


def check(version: str) -> None:
    """Refuses what is no version; none at all is fine."""
    if version and not re.fullmatch(r"\d+\.\d+|dev", version):
        raise SystemExit(f"{version}: expected a version like 0.2, or dev.")


def publish(site: Path, target: Path, version: str) -> None:
    """Puts a site into the target: as the only one, or as one of its versions, in the place of an earlier build of it."""
    if not version:
        shutil.copytree(site, target, dirs_exist_ok=True)
        return
    shutil.rmtree(target / version, ignore_errors=True)
    shutil.copytree(site, target / version)
    listed = target / "versions.json"
    known = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    names = sorted({version, *(entry["version"] for entry in known)}, key=_age)
    newest = names[0]
    entries = [{"version": name, "title": name, "aliases": ["latest"] if name == newest else []} for name in names]
    listed.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    page = f'<!doctype html><meta charset="utf-8"><title>datafast</title><meta http-equiv="refresh" content="0; url={newest}/">'
    (target / "index.html").write_text(f'{page}<a href="{newest}/">datafast {newest}</a>\n', encoding="utf-8")


def _age(version: str) -> tuple[float, ...]:
    """Orders versions: the newest first, and last what is not released."""
    return (1,) if version == "dev" else (0, *(-int(part) for part in version.split(".")))
