"""What is known of an output, from its ledger and its manifest: what was done, by whom, and what it took."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from datafast.datasets.card.config import CardConfig
from datafast.errors import OutputError
from datafast.store.manifest import read_manifest
from datafast.store.paths import OutputPaths
from datafast.store.reader import LedgerReader
from datafast.store.records import Counts, by_category, by_stage
from datafast.types import ProviderUsage

__all__ = ["Known"]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known. Without a ledger, nothing is.

    Attributes:
        kind: of the dataset.
        card: what its config says of the card, which is known also where the rest of the config cannot be read any more.
        command: that made it; of files, the names alone.
        counts: rows by what became of them; None without a ledger.
        dropped: rows that stages dropped, by stage and reason. failures: failed rows by category.
        usage: calls, tokens and cost by provider.
        versions: of the package that have worked on it, oldest first.
        first, last: when the first and the last reply was asked for.
        models: the models that replies name, by provider, with the number of replies.
        parameters: what was asked of each provider.
        seeds: by their place in the config.
    """

    kind: str = ""
    card: CardConfig = field(default_factory=CardConfig)
    simulated: bool = False
    command: str = ""
    counts: Counts | None = None
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    usage: Mapping[str, ProviderUsage] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    models: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, paths: OutputPaths) -> Known:
        """Raises OutputError if the ledger cannot be read."""
        if not paths.ledger.is_file():
            return cls()
        manifest = _manifest(paths)
        with LedgerReader(paths.ledger) as ledger:
            times = ledger.calls.sent()
            first, last = (None, None) if times is None else (datetime.fromtimestamp(time, UTC) for time in times)
            return cls(
                kind=str(ledger.meta("kind") or ""),
                card=_card(ledger.meta("config") or "{}"),
                simulated=ledger.meta("mode") == "simulated",
                command=_without_folders(ledger.meta("command") or ""),
                counts=ledger.counts(),
                dropped=by_stage(ledger.filtered.counts()),
                failures=by_category(ledger.failure_counts()),
                usage=ledger.calls.usage_by_provider(),
                versions=tuple(ledger.versions),
                first=first,
                last=last,
                models=manifest.get("models") or {},
                parameters=dict(map(_parameters, manifest.get("providers") or ())),
                seeds=manifest.get("seeds") or {},
            )

    @property
    def total(self) -> ProviderUsage:
        """What all calls have used."""
        found = ProviderUsage()
        for usage in self.usage.values():
            found.add(usage)
        return found


def _card(config: str) -> CardConfig:
    told = orjson.loads(config).get("card")
    try:
        return CardConfig() if told is None else CardConfig.model_validate(told)
    except ValidationError:  # another version wrote it, with fields that this one does not know
        return CardConfig(inputs="none")


def _manifest(paths: OutputPaths) -> Mapping[str, Any]:
    """What the last run has noted; nothing where an earlier version made the output, or the file is gone or damaged."""
    if not paths.manifest.is_file():
        return {}
    try:
        return read_manifest(paths.manifest)
    except OutputError:
        return {}  # everything else is known without it


def _parameters(provider: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    try:
        asked = orjson.loads(
            provider.get("identity") or "{}"
        )  # of providers made in Python, it alone has the parameters
    except orjson.JSONDecodeError:
        asked = {}
    told = {**(asked if isinstance(asked, dict) else {}), **(provider.get("spec") or {})}
    return str(provider.get("label")), {name: value for name, value in told.items() if name not in _NAMED}


_NAMED = frozenset({"provider", "model_id", "stands_in_for", "weight", "price"})
"""What is told elsewhere, or is not about the texts."""


def _without_folders(command: str) -> str:
    """A command in which files have no folders, which are the business of the machine where it ran."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return shlex.join(_name(word) for word in words)


def _name(word: str) -> str:
    option, equals, value = word.partition("=")
    if equals and option.startswith("-"):
        return f"{option}={_name(value)}"
    return Path(word).name if word.startswith(("/", "~", "..")) or "\\" in word or word[1:2] == ":" else word
