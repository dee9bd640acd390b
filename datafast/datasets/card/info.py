"""What a dataset card says of an output, put together from its config, ledger and manifest, and from statistics of its rows.

Guarantee: nothing is written. Of inputs it has what `card.inputs` allows. Cost: seconds, whatever the number of rows (`measured`), and one
request for each source on the Hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datafast.amounts import money
from datafast.datasets.card.config import CardConfig
from datafast.datasets.card.figures import figures_of
from datafast.datasets.card.known import Known
from datafast.datasets.card.limits import limitations
from datafast.datasets.card.measured import Measured, measured
from datafast.datasets.card.settings import settings_of, shown
from datafast.datasets.card.sources import card_sources
from datafast.datasets.card.subject import Subject
from datafast.datasets.config import DatasetConfig
from datafast.export.card_info import CardFigure, CardInfo, CardStage
from datafast.statistics.display import facts_of
from datafast.store.paths import OutputPaths

__all__ = ["card_info"]

_MEASURED = {
    "words": "words",
    "characters": "characters",
    "diversity": "diversity",
    "prompt": "copies of the prompt",
    "repeated": "exact duplicates",
    "near": "near-duplicates",
    "refusals": "refusals",
}
_TASKS = {
    "classification": "text-classification",
    "conversation": "text-generation",
    "document_qa": "question-answering",
    "instruction": "text-generation",
    "mcq": "question-answering",
    "raw": "text-generation",
    "ultrachat": "text-generation",
}
_JUDGES = ("judges", "judge", "llm_as_judge")


def card_info(
    paths: OutputPaths,
    dataset: Subject | None = None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    kind: str = "",
    title: str = "",
) -> CardInfo:
    """What is known of an output, or of a JSONL without a ledger.

    Args:
        dataset: that made the rows, where it is known.
        rows: those of the file, if it is not JSON Lines.
        kind: of the dataset, where neither it nor a ledger tells it; '' for rows that were not made by datafast.
        title: where the config gives none; by default the name of the file.

    Raises:
        OutputError: the ledger cannot be read.
    """
    config = None if dataset is None else dataset.config
    known = Known.of(paths)
    card = known.card if config is None else config.card or CardConfig()
    found = measured(paths, dataset, rows=rows)
    stages = _stages(config, known, card)
    languages = dict(getattr(config, "languages", None) or {})
    kind = dataset.kind if dataset is not None else known.kind or kind
    return CardInfo(
        title=card.title or title or paths.place.stem,
        kind=kind,
        description=card.description or "",
        task=_TASKS.get(kind, ""),
        languages=languages,
        made=list(_made(known)),
        settings={} if config is None else {**settings_of(config, card), **_parameters(known, card)},
        outcome=list(_outcome(known)),
        stages=stages,
        failures=known.failures,
        measured=[] if found is None else list(_told(found)),
        used=[] if known.simulated else list(_used(known)),
        limitations=limitations(
            known,
            found,
            is_made=bool(kind),
            stages=[stage.name for stage in stages],
            languages=languages,
            is_judged=kind == "judgement" or _is_judged(config),
        ),
        figures=[] if found is None else list(_figures(found, card)),
        sources=[] if config is None or card.inputs == "none" else card_sources(config),
        providers=[provider.partition("/")[0] for provider in known.usage],
        license=card.license or "",
        license_link=card.license_link or "",
        authors=card.authors,
        citation=card.citation or "",
        tags=card.tags,
        year=None if known.last is None else known.last.year,
        version=known.versions[-1] if known.versions else "",
        num_rows=0 if found is None else found.rows,
        simulated=known.simulated,
    )


def _is_judged(config: DatasetConfig | None) -> bool:
    """Whether models judge its rows or candidates for them, beside stages that do so."""
    choice = getattr(config, "best_of_n", None)
    return any(getattr(config, name, None) for name in _JUDGES) or getattr(choice, "judge", None) is not None


def _stages(config: DatasetConfig | None, known: Known, card: CardConfig) -> list[CardStage]:
    """Those of the config in their order, then those that the kind has of its own, and earlier ones, where they dropped rows."""
    listed = [] if config is None else config.quality
    told = [
        CardStage(
            stage.stage,
            shown(stage.model_dump(mode="json", exclude_defaults=True, exclude={"stage"}), card.inputs),
            known.dropped.get(stage.stage, {}),
        )
        for stage in listed
    ]
    names = {stage.stage for stage in listed}
    return [*told, *(CardStage(name, {}, dropped) for name, dropped in known.dropped.items() if name not in names)]


def _parameters(known: Known, card: CardConfig) -> dict[str, Any]:
    """What was asked of each provider, with the seeds."""
    if known.simulated:
        return {}
    given = {"parameters": dict(known.parameters), "seeds": dict(known.seeds)}
    return shown({name: value for name, value in given.items() if value}, card.inputs)


def _made(known: Known) -> Iterator[tuple[str, str]]:
    if known.versions:
        yield "datafast", ", ".join(known.versions)
    if known.command:
        yield "command", known.command
    if known.first is not None and known.last is not None:
        first, last = known.first.date().isoformat(), known.last.date().isoformat()
        yield "date", first if first == last else f"{first} to {last}"
    for provider, models in () if known.simulated else known.models.items():
        told = ", ".join(f"{model or 'no name'} ({replies:,} replies)" for model, replies in models.items())
        yield f"models in the replies of {provider}", told


def _outcome(known: Known) -> Iterator[tuple[str, str]]:
    counts = known.counts
    if counts is None:
        return
    for name in ("requested", "written", "filtered", "failed", "pending", "removed"):
        if (number := getattr(counts, name)) or name in {"requested", "written"}:
            yield name, f"{number:,}"
    if counts.filtered or counts.failed:
        yield "accepted", f"{100 * counts.written / (counts.written + counts.filtered + counts.failed):.1f} %"


def _told(found: Measured) -> Iterator[tuple[str, str]]:
    if found.is_sample:
        yield "looked at", f"{found.looked_at:,} of {found.rows:,} rows, spread evenly over the file"
    total = found.statistics.total
    without = () if total.words is not None and total.words.mean > 0 else ("words", "characters")  # there is no text
    for name, text in facts_of(total):
        if text and name in _MEASURED and name not in without:
            yield _MEASURED[name], text


def _used(known: Known) -> Iterator[tuple[str, str]]:
    shown: Sequence[Any] = list(known.usage.items())
    for provider, usage in [*shown, *([("in all", known.total)] if len(shown) > 1 else [])]:
        tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
        yield provider, f"{usage.calls:,} calls, {tokens}, {money(usage.cost_usd)}"


def _figures(found: Measured, card: CardConfig) -> Iterator[CardFigure]:
    sampled = ", in a sample" if found.is_sample else ""
    figures = figures_of(found.statistics, shows_inputs=card.inputs in {None, "samples"}, sampled=sampled)
    return (one.as_png() for one in figures) if card.pictures == "png" else figures
