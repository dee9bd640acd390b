"""The digests of what a dataset is made of: its templates, and all that is read beside its config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datafast.datasets.config import DatasetConfig, PromptDatasetConfig
from datafast.datasets.inputs import sources_of
from datafast.engine.manifest import hash_of, text_digest
from datafast.engine.portable import place_shown

__all__ = ["sources_now", "templates_now"]


def templates_now(config: DatasetConfig) -> dict[str, str]:
    """The digests of the templates that the prompts of a config are made of, with those that the kind comes with."""
    if not isinstance(config, PromptDatasetConfig):
        return {}
    edition, *_ = config.editions()
    expanded = config.prompt_expansion().templates
    found = {config.template_field(number): template for number, template in enumerate(expanded)}
    others = {f"other_templates[{number}]": other for number, other in enumerate(config.other_templates(edition))}
    return {place: text_digest(template.text) for place, template in {**found, **others}.items()}


def sources_now(config: DatasetConfig, ledgers: Sequence[Path]) -> dict[str, Any]:
    """The digests of all that is read beside the config: its sources, the files of its stages, and what was grown for it.

    `ledgers`: those of what was grown.
    """
    found: dict[str, dict[str, Any]] = {
        name: {"rows": len(texts), "digest": f"blake2b:{texts.digest.hex()}"}
        for name, texts in sources_of(config).items()
    }
    folder = config.paths.rows.absolute().parent
    for name, path in _files(config, ledgers):
        if path.is_file():
            size = path.stat().st_size
            told = {"file": place_shown(path, folder), "bytes": size, "sha256": hash_of(path, size)}
            found.setdefault(name, {}).setdefault("files", []).append(told)
    return found


def _files(config: DatasetConfig, ledgers: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for used in config.used_files():
        if not used.written:
            yield used.what, used.path
    for ledger in ledgers:
        yield "grown", ledger.with_name(ledger.name.removesuffix(".ledger"))
