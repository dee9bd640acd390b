"""The settings of a run in a card: what may be shown of them, on a line each, and the templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from datafast.export.card_markdown import excerpt, fence, inline

__all__ = ["settings_line", "settings_parts"]

_PRIVATE_SETTING = re.compile(
    r"api_?key|secret|password|credential|authorization|headers|(^|_)token$|(^|_)(file|path|dir|ledger)$|api_base|base_url",
    re.IGNORECASE,
)
_TEMPLATE_SETTING = re.compile(r"prompt|template", re.IGNORECASE)
_MAX_LISTED = 20
_MAX_SAMPLES = 3
_MAX_SETTINGS = 100
_MAX_ON_LINE = 8


def settings_parts(settings: Mapping[str, Any]) -> list[str]:
    """Paragraphs: the settings, then the templates."""
    lines: list[str] = []
    templates: list[str] = []
    for name, value in _flat("", settings):
        texts = [value] if isinstance(value, str) else value
        if _TEMPLATE_SETTING.search(name) and isinstance(texts, list) and any(isinstance(text, str) for text in texts):
            templates += [f"{inline(name)}:\n\n{fence(str(text), 'text')}" for text in texts]
        else:
            lines.append(f"- {inline(name)}: {_listed(value)}")
    if len(lines) > _MAX_SETTINGS:
        lines = [*lines[:_MAX_SETTINGS], f"- and {len(lines) - _MAX_SETTINGS:,} more"]
    return [*(["### Settings", "\n".join(lines)] if lines else []), *(["### Prompts"] if templates else []), *templates]


def settings_line(settings: Mapping[str, Any]) -> str:
    """Settings on one line, for a table."""
    told = [f"{inline(name)}: {_listed(value)}" for name, value in _flat("", settings)]
    return "; ".join([*told[:_MAX_ON_LINE], *(["..."] if len(told) > _MAX_ON_LINE else [])])


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
        return inline(excerpt(value))
    shown = ", ".join(inline(excerpt(item)) for item in value[:_MAX_SAMPLES])
    more = f" and {len(value) - _MAX_SAMPLES:,} more" if len(value) > _MAX_SAMPLES else ""
    return f"{len(value):,} ({shown}{more})"
