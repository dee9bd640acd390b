"""The gallery of the site: each recipe is run offline when the site is built, and gets a page with its config, a row and its report."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from datafast.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- recipes -->"
# About a provider, and as rows the same as the others.
_NO_RECIPES = {"azure", "batch", "local_models"}
_GUIDES = {"conversation": "conversations", "instruction": "instructions"}
# What is telling of a dataset, the most telling first: one chart of each is shown, and the first is its picture.
_CHARTS = [
    r"scores-rows-by-.*",
    r"rows-rows-by-(?!provider|language).*",
    r"coverage-.*",
    r"lengths-length-of-rows-in-words",
]
_LONGEST_TEXT, _MOST_ENTRIES = 280, 4


@dataclass(frozen=True)
class Recipe:
    """A config, and what became of it.

    Attributes:
        name: of its file, without the ending.
        title: the beginning of its first line, up to the colon.
        about: the rest of that line: what it makes.
        lead: what its report says first.
        charts: the files of its charts, each with what it says.
    """

    name: str
    title: str
    about: str
    config: str
    row: dict[str, Any]
    lead: str
    charts: dict[str, str]

    @property
    def guide(self) -> str:
        """The page about its kind."""
        (kind,) = re.findall(r"^kind: (\w+)", self.config, re.MULTILINE)
        return f"../guides/{_GUIDES.get(kind, kind).replace('_', '-')}.md"


def write(docs: Path) -> list[str]:
    """Runs the recipes and writes their pages and reports into a copy of the docs; their names, in order."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _without_keys():
        shutil.copytree(ROOT / "examples", "examples")
        configs = [path for path in sorted(Path("examples").glob("*.yaml")) if path.stem not in _NO_RECIPES]
        recipes = [_made(config, docs / "gallery" / config.stem) for config in configs]
    index = docs / "gallery" / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace(MARK, _cards(recipes)), encoding="utf-8")
    for recipe in recipes:
        (docs / "gallery" / f"{recipe.name}.md").write_text(_page(recipe), encoding="utf-8")
    return [recipe.name for recipe in recipes]


@contextlib.contextmanager
def _without_keys() -> Any:
    """An environment in which no model could be asked."""
    kept = dict(os.environ)
    for name in [name for name in kept if name.endswith(("_API_KEY", "_TOKEN"))]:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _made(config: Path, target: Path) -> Recipe:
    """Runs a recipe and its report, whose page and charts go into the target."""
    text = config.read_text(encoding="utf-8")
    (output,) = re.findall(r"^output_file: (\S+)", text, re.MULTILINE)
    target.mkdir(parents=True)
    _run("generate", str(config), "--offline")
    _run("report", output, "-o", str(target / "report.html"), "--pictures", str(target))
    page = (target / "report.html").read_text(encoding="utf-8")
    title, _, about = text.partition("\n")[0].removeprefix("# ").rstrip(".").partition(": ")
    with Path(output).open(encoding="utf-8") as rows:
        row = json.loads(next(rows))
    lead = re.findall(r'<p class="lead">(.*?)</p>', page, re.DOTALL)[0]
    return Recipe(
        config.stem, title, f"{about[0].upper()}{about[1:]}", text, row, re.sub(r"<[^>]*>", "", lead), _charts(target)
    )


def _run(*words: str) -> None:
    done = CliRunner().invoke(cli, words)
    if done.exit_code:
        raise SystemExit(f"datafast {' '.join(words)}: exit code {done.exit_code}\n{done.output}")


def _charts(folder: Path) -> dict[str, str]:
    """The charts that are shown, each with what it says; the others are removed."""
    files = sorted(path.stem for path in folder.glob("*.svg"))
    chosen = [next((name for name in files if re.fullmatch(wanted, name)), None) for wanted in _CHARTS]
    for name in set(files) - set(chosen):
        (folder / f"{name}.svg").unlink()
    said = {name: (folder / f"{name}.svg").read_text(encoding="utf-8") for name in chosen if name}
    return {name: re.findall(r"<title[^>]*>(.*?)</title>", svg)[0] for name, svg in said.items()}


def _cards(recipes: list[Recipe]) -> str:
    cards = []
    for recipe in recipes:
        name, title = next(iter(recipe.charts.items()))
        cards.append(
            f"-   ![A chart of its report: {title}]({recipe.name}/{name}.svg){{ loading=lazy }}\n\n"
            f"    **[{recipe.title}]({recipe.name}.md)**\n\n    {recipe.about}. [Report]({recipe.name}/report.html)\n"
        )
    return '<div class="grid cards gallery" markdown>\n\n' + "\n".join(cards) + "\n</div>"


def _page(recipe: Recipe) -> str:
    charts = "\n".join(
        f"![{title}]({recipe.name}/{name}.svg){{ loading=lazy }}" for name, title in recipe.charts.items()
    )
    row = json.dumps(_short(recipe.row), indent=2, ensure_ascii=False)
    return f"""\
# {recipe.title}

{recipe.about}. [The guide]({recipe.guide}) tells more.

```sh
datafast plan examples/{recipe.name}.yaml
datafast generate examples/{recipe.name}.yaml --offline
```

## The report

{recipe.lead}

<div class="charts" markdown>
{charts}
</div>

[The whole report]({recipe.name}/report.html){{ .md-button }}

## A row

Texts and lists are cut short here.

<div class="row" markdown>

```json
{row}
```

</div>

## The config

```yaml title="examples/{recipe.name}.yaml"
{recipe.config.rstrip()}
```
"""


def _short(value: Any) -> Any:
    """A value with the beginnings of its long texts and lists."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT].rstrip()} …"
    if isinstance(value, list):
        return [_short(entry) for entry in value[:_MOST_ENTRIES]] + (["…"] if len(value) > _MOST_ENTRIES else [])
    return {key: _short(entry) for key, entry in value.items()} if isinstance(value, dict) else value
