"""The settings of a config that a card shows, and how much of the user's inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sized
from typing import Any

from pydantic import BaseModel

from datafast.amounts import counted
from datafast.datasets.card.config import CardConfig
from datafast.datasets.config import DatasetConfig, PromptDatasetConfig
from datafast.datasets.inputs import sources_of
from datafast.datasets.pairing import NAMES

__all__ = ["settings_of", "shown"]

_TOPICS = "datafast-topics"  # what the format of a file of topics begins with
_OWN = "default prompts"  # which are the package's, not the user's
_ELSEWHERE = {"output_file", "run", "languages", "reasoning", "card", "alarms", "quality"}
"""Fields that are not shown, or in another place."""


def settings_of(config: DatasetConfig, card: CardConfig) -> dict[str, Any]:
    """Settings by name."""
    listed = [name for name in NAMES if isinstance(getattr(config, name, None), list)]
    inputs = list(dict.fromkeys([*config.input_fields, *listed, *sources_of(config)]))
    hidden = _ELSEWHERE if card.inputs == "samples" else {*_ELSEWHERE, *inputs}
    settings = config.model_dump(mode="json", exclude=hidden, exclude_defaults=True)
    if isinstance(config, PromptDatasetConfig) and getattr(config, config.prompts_field) is None:
        edition, *_ = config.editions()
        settings[_OWN] = [text.text for text in config.template_texts(edition)]
    for name, value in settings.items():
        if isinstance(value, dict) and str(value.get("format", "")).startswith(_TOPICS):
            settings[name] = f"{counted(len(value.get('topics', ())), 'topic')}"
    if card.inputs == "none":
        return shown(settings, "none")
    sizes = _sizes(config, [] if card.inputs == "samples" else inputs)
    return {**shown(settings, card.inputs), **sizes}


def shown(settings: Mapping[str, Any], inputs: str | None) -> dict[str, Any]:
    """Settings with as much of the user's inputs as is wanted: all, only how many there are, or no text at all."""
    if inputs not in {"none", "counts"}:
        return dict(settings)
    return {name: told for name, value in settings.items() if (told := _without_texts(value, inputs, name)) is not None}


def _without_texts(value: Any, inputs: str | None, name: str) -> Any:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: told for key, inner in value.items() if (told := _without_texts(inner, inputs, key)) is not None}
    is_template = "prompt" in name or "template" in name
    if inputs == "none":
        return value if name == _OWN else None
    return value if isinstance(value, str) or is_template else f"{len(value):,}"


def _sizes(config: DatasetConfig, inputs: Collection[str]) -> dict[str, str]:
    """How much there is of each input."""
    given = {name: getattr(config, name) for name in inputs}
    return {
        name: f"{len(value):,}"
        for name, value in given.items()
        if isinstance(value, Sized) and not isinstance(value, str)
    }
