"""The README.md of a published dataset: what it is, how it was made, and the front matter that lets it be loaded.

Guarantee: the keys of the front matter that are ours (`OWNED_KEYS`) are rewritten, so nothing is left over from an earlier push; what is
the user's is kept (see `card_kept`). The same inputs give the same bytes. Text from configs, models and rows is escaped: it cannot end the
front matter, start HTML or break a table; templates stand in code fences longer than any run of backticks in them.

Never in it: settings that are named like keys, headers, addresses or local files, and every value of an environment
variable that is named like a secret. Of values other than templates, 80 characters at most.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from datafast.export.card_kept import DEFAULT, Kept, closing_mark, kept_of, opening_mark, text_digest

if TYPE_CHECKING:
    from collections import Counter

    from datafast.export.features import Column

__all__ = ["OWNED_KEYS", "CardInfo", "Contents", "front_matter", "readme"]

OWNED_KEYS = ("language", "tags", "pretty_name", "size_categories", "dataset_info", "configs")

_TAGS = ("synthetic", "datafast")
_PRIVATE_SETTING = re.compile(
    r"api_?key|secret|password|credential|authorization|headers|(^|_)token$|(^|_)(file|path|dir|ledger)$|api_base|base_url",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
_TEMPLATE_SETTING = re.compile(r"prompt|template", re.IGNORECASE)
_SIMULATED = "simulated/"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_MAX_LISTED = 20
_MAX_SETTINGS = 100
_MAX_TEXT = 80  # of one value: what is longer is likely to be data, not a setting
_JOINERS = "\u200c\u200d"  # unprintable, and part of Persian words and of emoji
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it "
    "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl "
    "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo "
    "za zh zu"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInfo:
    """What a dataset kind knows about its dataset.

    Attributes:
        title: one line; also the name shown on the Hub.
        kind: what the rows are, in words ("raw text", "preference pairs"); '' for rows that were not made by datafast.
        models: identities of the models that were asked to write rows.
        languages: language code -> name.
        settings: settings of the run by name; nested values are flattened. Texts under a name with "prompt" or
            "template" in it are shown as templates. Private ones (keys, headers, addresses, files) are left out.
        num_rows: filled in by `push_to_hub`, which counts the rows it publishes.
        simulated: the rows come from simulated models.
    """

    title: str
    kind: str
    models: Sequence[str] = ()
    languages: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_rows: int = 0
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in one config of the repository: rows per split, columns, and rows per value of `language` and `model_id`."""

    repo_id: str
    config_name: str = DEFAULT
    splits: Mapping[str, int]
    columns: Sequence[Column]
    counts: Mapping[str, Counter[str]]

    @property
    def folder(self) -> str:
        """Where its files lie in the repository."""
        return "data" if self.config_name == DEFAULT else self.config_name


def front_matter(info: CardInfo, contents: Contents) -> dict[str, Any]:
    """Our keys of the front matter but `dataset_info`, as YAML values."""
    codes = {
        code.lower().replace("_", "-").split("-")[0] for code in [*info.languages, *contents.counts.get("language", ())]
    }
    files = [{"split": split, "path": f"{contents.folder}/{split}-*"} for split in contents.splits]
    return {
        "language": sorted(codes.intersection(_ISO_639_1.split())) or None,
        "tags": [tag for tag in _TAGS if info.kind or tag != "synthetic"],
        "pretty_name": _one_line(info.title),
        "size_categories": [_size_category(info.num_rows)],
        "configs": [{"config_name": contents.config_name, "data_files": files}],
    }


def readme(
    info: CardInfo | None, contents: Contents, front: Mapping[str, Any], *, previous: str, secrets: Iterable[str]
) -> tuple[str, list[str]]:
    """The whole README.md, and what in it was changed by others and is rewritten, a sentence each.

    Args:
        info, contents: what the text says. Without `info` there is no text of ours: only the front matter is written.
        front: our keys of the front matter.
        previous: the README that is in the repository, '' where there is none.
        secrets: values that must not appear, besides those of the environment.

    Raises:
        PublishError: the front matter of `previous` is not valid YAML.
    """
    from huggingface_hub import DatasetCardData

    name = contents.config_name
    kept = kept_of(previous, name)
    data = DatasetCardData()
    for key, value in kept.front.items():
        if key not in OWNED_KEYS:
            data[str(key)] = value
    redact = _redactor(secrets)
    codes = front.get("language") or ()
    data["language"] = sorted({*codes, *map(str, kept.languages)}) or None
    data["tags"] = kept.tags(front["tags"])
    data["pretty_name"] = kept.front.get("pretty_name") or redact(front["pretty_name"])
    data["size_categories"] = [_size_category(sum(contents.splits.values()) + kept.rows_of_others)]
    for key in ("dataset_info", "configs"):
        data[key] = kept.with_others(key, front.get(key))
    head = f"---\n{data.to_yaml()}\n---\n"
    notes = kept.notes(rewrites_text=info is not None)
    between, digest = kept.between, kept.digest
    if info is not None:
        between = redact(_section(info, contents))
        digest = text_digest(between)
    if digest is None:  # there is no part of ours, or one of an earlier version, which stays as it is
        return f"{head}{kept.body}", notes
    return f"{head}{_placed(f'{opening_mark(name)}{between}{closing_mark(digest, head, codes, name)}', kept)}", notes


def _size_category(num_rows: int) -> str:
    return next((name for limit, name in _SIZES if num_rows < limit), "n>10M")


def _placed(section: str, kept: Kept) -> str:
    if kept.between is not None:
        return f"{kept.above}{section}{kept.below}"
    if kept.has_other_parts:
        return f"{kept.below.rstrip()}\n\n{section}\n"
    return f"{section}\n\n{kept.below.lstrip()}" if kept.below.strip() else f"{section}\n"


def _section(info: CardInfo, contents: Contents) -> str:
    is_default = contents.config_name == DEFAULT
    loaded = f'"{contents.repo_id}"' if is_default else f'"{contents.repo_id}", "{contents.config_name}"'
    parts = [
        f"# {_inline(info.title if is_default else f'{info.title}: {contents.config_name}')}",
        f"{info.num_rows:,} rows of synthetic data ({_inline(info.kind)}), made with **datafast**."
        if info.kind
        else f"{info.num_rows:,} rows, published with **datafast**.",
        *_simulated_note(info, contents),
        _table(("split", "rows"), [(name, f"{rows:,}") for name, rows in contents.splits.items()]),
        _fence(f"from datasets import load_dataset\n\ndataset = load_dataset({loaded})", "python"),
        *_columns(contents.columns),
        *_count_table("Languages", "language", info.languages, contents.counts.get("language")),
        *_count_table("Models", "model", dict.fromkeys(info.models, ""), contents.counts.get("model_id")),
        *_settings(info.settings),
    ]
    return "".join(f"\n\n{part}" for part in parts) + "\n\n"


def _simulated_note(info: CardInfo, contents: Contents) -> list[str]:
    if not info.simulated and not any(name.startswith(_SIMULATED) for name in contents.counts.get("model_id", ())):
        return []
    return [
        "> **Simulated rows.** No language model wrote them: they are placeholders from datafast's simulated models, "
        "made to try a config out. They are of no use for training or evaluation."
    ]


def _columns(columns: Sequence[Column]) -> list[str]:
    rows = [(_inline(column.name), _inline(column.label), _inline(column.description)) for column in columns]
    parts = ["## Columns", _table(("column", "type", "meaning"), rows)]
    if any("JSON text" in column.label for column in columns):
        parts.append(
            "Columns of type JSON text hold one JSON value per row: `json.loads` gives exactly what was stored."
        )
    return parts


def _count_table(heading: str, label: str, names: Mapping[str, str], counts: Counter[str] | None) -> list[str]:
    if counts is None:
        items = [f"- {_inline(key)} {_inline(name)}".rstrip() for key, name in names.items()]
        return [f"## {heading}", "\n".join(items)] if items else []
    found = [*counts.most_common(_MAX_LISTED * 5), *((name, 0) for name in names if name not in counts)]
    if not found:
        return []
    rows = [(_inline(f"{key} {names.get(key, '')}"), f"{rows:,}") for key, rows in found]
    return [f"## {heading}", _table((label, "rows"), rows)]


def _settings(settings: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    templates: list[str] = []
    for name, value in _flat("", settings):
        texts = [value] if isinstance(value, str) else value
        if _TEMPLATE_SETTING.search(name) and isinstance(texts, list) and any(isinstance(text, str) for text in texts):
            templates += [f"{_inline(name)}:\n\n{_fence(str(text), 'text')}" for text in texts]
        else:
            lines.append(f"- {_inline(name)}: {_listed(value)}")
    parts = ["## How it was generated"] if lines or templates else []
    if len(lines) > _MAX_SETTINGS:
        lines = [*lines[:_MAX_SETTINGS], f"- and {len(lines) - _MAX_SETTINGS:,} more"]
    return [*parts, *(["\n".join(lines)] if lines else []), *(["### Prompts"] if templates else []), *templates]


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """(dotted name, scalar or list of scalars) of every setting that may be shown and has a value."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if _PRIVATE_SETTING.search(name.rpartition(".")[2]) or value in (None, "", [], (), {}):
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}".lstrip("."), item)
    elif isinstance(value, list | tuple | set | frozenset):
        nested = any(isinstance(item, Mapping | BaseModel | list | tuple) for item in value)
        if not nested:
            yield name, list(value)
        else:
            for number, item in enumerate(list(value)[:_MAX_LISTED], 1):
                yield from _flat(f"{name}.{number}", item)
            if len(value) > _MAX_LISTED:
                yield name, f"{len(value) - _MAX_LISTED:,} more"
    else:
        yield name, value


def _listed(value: Any) -> str:
    if not isinstance(value, list):
        return _inline(_excerpt(value))
    shown = ", ".join(_inline(_excerpt(item)) for item in value[:_MAX_LISTED])
    more = f" and {len(value) - _MAX_LISTED:,} more" if len(value) > _MAX_LISTED else ""
    return f"{len(value):,} ({shown}{more})"


def _excerpt(value: Any) -> str:
    text = _one_line(str(value))
    if Path(text).is_absolute():
        return Path(text).name  # of a file, the folders are this machine's business
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 4]} ..."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() or char in _JOINERS else " " for char in text).split())


def _inline(text: str) -> str:
    """Text on one line in which no character means anything to Markdown or HTML."""
    escaped = re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", html.escape(_one_line(text), quote=False))
    return re.sub(r"^([-+])", r"\\\1", escaped)


def _redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)} | set(secrets)
    # As they are (in templates) and escaped (elsewhere); very short values are not secrets.
    forms = {form for value in found if len(value) >= 8 for form in (value, _inline(value))}
    if not forms:
        return lambda text: text
    # Longest first, or a key that contains another would leave its rest behind.
    pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    return lambda text: pattern.sub("[redacted]", text)
