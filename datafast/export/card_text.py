"""The text of a card: what stands between datafast's two marks in README.md."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from datafast.export.card_info import CardFigure, CardInfo, CardSource, CardStage, Contents, Facts
from datafast.export.card_kept import DEFAULT
from datafast.export.card_markdown import fence, inline, one_line, table, with_code
from datafast.export.card_settings import settings_line, settings_parts
from datafast.export.card_terms import terms_of, without_terms

__all__ = ["card_text", "pictures_in"]

_SIMULATED = "simulated/"
_MAX_COUNTED = 100


def card_text(info: CardInfo, contents: Contents) -> str:
    """The whole of it."""
    is_default = contents.config_name == DEFAULT
    parts = [
        f"# {inline(info.title if is_default else f'{info.title}: {contents.config_name}')}",
        *([_markdown(info.description)] if info.description else []),
        _what(info, contents),
        *_simulated_note(info, contents),
        table(("split", "rows"), [(name, f"{rows:,}") for name, rows in contents.splits.items()]),
        fence(f"from datasets import load_dataset\n\ndataset = {_loading(contents)}", "python"),
        *_figures(info.figures, contents.figures),
        *_columns(contents),
        *_count_table("Languages", "language", info.languages, contents.counts.get("language")),
        *_count_table("Models", "model", dict.fromkeys(info.models, ""), contents.counts.get("model_id")),
        *_under("## How it was generated", [*_listed(info.made), *settings_parts(info.settings)]),
        *_under("## What became of the rows", _outcome(info)),
        *_under("## How the rows are", _listed(info.measured)),
        *_under("## What it took", _listed(info.used)),
        *_under("## Limitations", _bullets(map(inline, info.limitations))),
        *_under("## Licence, sources and terms", _rights(info)),
        *_under("## Citation", _citation(info, contents)),
    ]
    return "".join(f"\n\n{part}" for part in parts) + "\n\n"


def _what(info: CardInfo, contents: Contents) -> str:
    if not info.kind:
        return f"{info.num_rows:,} rows{', published with **datafast**' if contents.repo_id else ''}."
    return f"{info.num_rows:,} rows of synthetic data ({inline(info.kind)}), made with **datafast**."


def pictures_in(text: str, contents: Contents) -> set[str]:
    """The places of the pictures that a card of this config shows."""
    return set(re.findall(rf"\]\(({re.escape(contents.figures)}/[\w-]+\.(?:svg|png))\)", text))


def _markdown(text: str) -> str:
    """The user's own Markdown, in which no HTML begins."""
    return html.escape(text.strip(), quote=False)


def _loading(contents: Contents) -> str:
    if not contents.repo_id:
        return f'load_dataset("json", data_files="{_quoted(contents.file)}")'
    names = [contents.repo_id] if contents.config_name == DEFAULT else [contents.repo_id, contents.config_name]
    return "load_dataset({})".format(", ".join(f'"{name}"' for name in names))


def _quoted(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _under(heading: str, parts: Sequence[str]) -> list[str]:
    return [heading, *parts] if parts else []


def _bullets(lines: Iterator[str]) -> list[str]:
    found = [f"- {line}" for line in lines]
    return ["\n".join(found)] if found else []


def _listed(facts: Facts) -> list[str]:
    return _bullets(f"{inline(name)}: {inline(text)}" for name, text in facts)


def _simulated_note(info: CardInfo, contents: Contents) -> list[str]:
    if not info.simulated and not any(name.startswith(_SIMULATED) for name in contents.counts.get("model_id", ())):
        return []
    return [
        "> **Simulated rows.** No language model wrote them: they are placeholders from datafast's simulated models, "
        "made to try a config out. They are of no use for training or evaluation."
    ]


def _figures(figures: Sequence[CardFigure], folder: str) -> list[str]:
    return [f"![{inline(figure.alt)}]({folder}/{figure.name})" for figure in figures]


def _columns(contents: Contents) -> list[str]:
    in_json = not contents.repo_id  # where free-form values are not text
    labels = [column.label.replace("JSON text", "JSON") if in_json else column.label for column in contents.columns]
    rows = [
        (inline(column.name), inline(label), with_code(column.description))
        for column, label in zip(contents.columns, labels, strict=True)
    ]
    if not any(meaning for _, _, meaning in rows):
        parts = ["## Columns", table(("column", "type"), [row[:2] for row in rows])]
    else:
        parts = ["## Columns", table(("column", "type", "meaning"), rows)]
    if any("JSON text" in label for label in labels):
        parts.append(
            "Columns of type JSON text hold one JSON value per row: `json.loads` gives exactly what was stored."
        )
    return parts


def _count_table(heading: str, label: str, names: Mapping[str, str], counts: Counter[str] | None) -> list[str]:
    if counts is None:
        items = [f"- {inline(key)} {inline(name)}".rstrip() for key, name in names.items()]
        return [f"## {heading}", "\n".join(items)] if items else []
    found = [*counts.most_common(_MAX_COUNTED), *((name, 0) for name in names if name not in counts)]
    if not found:
        return []
    rows = [(inline(f"{key} {names.get(key, '')}"), f"{rows:,}") for key, rows in found]
    return [f"## {heading}", table((label, "rows"), rows)]


def _outcome(info: CardInfo) -> list[str]:
    parts = _listed(info.outcome)
    if info.stages:
        rows = [(inline(stage.name), settings_line(stage.settings), _dropped(stage)) for stage in info.stages]
        parts.append(table(("stage", "settings", "dropped"), rows))
    if info.failures:
        failed = [(inline(category), f"{count:,}") for category, count in info.failures.items()]
        parts.append(table(("failed because of", "rows"), failed))
    return parts


def _dropped(stage: CardStage) -> str:
    reasons = list(stage.dropped.items())
    total = sum(stage.dropped.values())
    shown = ", ".join(f"{count:,} {inline(reason)}" for reason, count in reasons[:5])
    if len(reasons) < 2:
        return shown or "0"
    return f"{total:,}: {shown}{' and others' if len(reasons) > 5 else ''}"


def _rights(info: CardInfo) -> list[str]:
    parts = []
    if info.license:
        link = f" ({inline(info.license_link)})" if info.license_link else ""
        parts.append(f"Licence of this dataset: {inline(info.license)}{link}.")
    if info.sources:
        rows = [_source(source) for source in info.sources]
        parts.append(table(("made from", "rows", "licence of the source"), rows))
    if terms := list(terms_of(info.providers)):
        parts.append("What may be done with texts of a model is also for the terms of its provider to say:")
        parts.append("\n".join(f"- {name}: <{address}>" for name, address in terms))
    if others := without_terms(info.providers):
        names = ", ".join(map(inline, others))
        parts.append(
            f"What may be done with texts of the models of {names} is for the licences of these models to say."
        )
    return parts


def _source(source: CardSource) -> tuple[str, str, str]:
    name = inline(source.name)
    if source.hub_id:
        name = f"[{name}](https://huggingface.co/datasets/{source.hub_id})"
    licence = inline(source.licence or source.note or "not known")
    return f"{inline(source.field)}: {name}", "" if source.rows is None else f"{source.rows:,}", licence


def _citation(info: CardInfo, contents: Contents) -> list[str]:
    if info.citation:
        return [fence(info.citation.strip(), "bibtex")]
    if not info.version:
        return []
    key = re.sub(r"[^A-Za-z0-9]+", "-", info.title).strip("-").lower() or "dataset"
    fields = {
        "title": _bibtex(info.title),
        "author": " and ".join(map(_bibtex, info.authors)),
        "year": str(info.year or ""),
        "url": f"https://huggingface.co/datasets/{contents.repo_id}" if contents.repo_id else "",
        "note": f"Synthetic dataset, made with datafast {_bibtex(info.version)}",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return [fence("\n".join([f"@misc{{{key},", *lines, "}"]), "bibtex")]


def _bibtex(text: str) -> str:
    """Text in which no character means anything to BibTeX or LaTeX."""
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\~^]", "", one_line(text)))
