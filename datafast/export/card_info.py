"""What a card is made of, as plain values: what is known of the dataset, and what is in the repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from datafast._util.png import need_png, png_of
from datafast.export.card_kept import DEFAULT
from datafast.figures import still

if TYPE_CHECKING:
    from collections import Counter

    from datafast.export.features import Column

__all__ = ["CardFigure", "CardInfo", "CardSource", "CardStage", "Contents"]

_PNG = ".png"
Facts = Sequence[tuple[str, str]]
"""Lines, each with what it is about."""


@dataclass(frozen=True, slots=True)
class CardFigure:
    """A picture beside the README: the name of its file (SVG, or PNG), what it shows in words, and the SVG of it."""

    name: str
    alt: str
    svg: str

    def as_png(self) -> CardFigure:
        """The same picture as a PNG file.

        Raises:
            ConfigError: there can be none here.
        """
        need_png()
        return replace(self, name=f"{self.name.removesuffix('.svg')}{_PNG}", svg=still(self.svg))

    def content(self, redact: Callable[[str], str]) -> bytes:
        """What its file holds, without what may not be told."""
        svg = redact(self.svg)
        return png_of(svg) if self.name.endswith(_PNG) else svg.encode()


@dataclass(frozen=True, slots=True)
class CardStage:
    """A stage that decided about rows, what it was set to, and how many rows it dropped, by reason."""

    name: str
    settings: Mapping[str, Any]
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CardSource:
    """Rows that the dataset is made from.

    Attributes:
        field: of the config.
        name: of the file without its folder, or of the dataset.
        rows: how many there are; None where that is not known.
        hub_id: of a dataset on the Hub, '' for another source.
        licence: what its owner says; '' where it is not known.
        note: why it is not known, a sentence.
    """

    field: str
    name: str
    rows: int | None = None
    hub_id: str = ""
    licence: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInfo:
    """What is known of a dataset. Everything but the first two may be missing, and is then left out of the card.

    Attributes:
        title: one line; also the name shown on the Hub.
        kind: what the rows are, in words ("raw text", "preference pairs"); '' if it is not known whether datafast made them.
        description: by the user, in Markdown.
        task: the id of a task on the Hub that such rows are for.
        models: identities of the models that were asked to write rows.
        languages: language code -> name.
        made: how it was made: command, versions, dates, models as they were returned, parameters.
        settings: settings of the run by name; nested values are flattened. Texts under a name with "prompt" or
            "template" in it are shown as templates. Private ones (keys, headers, addresses, files) are left out.
        outcome: what became of the requested rows.
        stages: the stages in their order.
        failures: failed rows by category.
        measured: how the rows are.
        used: calls, tokens and cost.
        limitations: sentences.
        figures: pictures.
        sources: what it is made from.
        providers: the names of the providers of models, for their terms.
        license, license_link, authors, citation, tags: as in the config.
        year: of the last call, for the citation.
        version: of the package that made it.
        num_rows: filled in by `push_to_hub`, which counts the rows it publishes.
        simulated: the rows come from simulated models.
    """

    title: str
    kind: str
    description: str = ""
    task: str = ""
    models: Sequence[str] = ()
    languages: Mapping[str, str] = field(default_factory=dict)
    made: Facts = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    outcome: Facts = ()
    stages: Sequence[CardStage] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    measured: Facts = ()
    used: Facts = ()
    limitations: Sequence[str] = ()
    figures: Sequence[CardFigure] = ()
    sources: Sequence[CardSource] = ()
    providers: Sequence[str] = ()
    license: str = ""
    license_link: str = ""
    authors: Sequence[str] = ()
    citation: str = ""
    tags: Sequence[str] = ()
    year: int | None = None
    version: str = ""
    num_rows: int = 0
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in one config of the repository: rows per split, columns, and rows per value of `language` and `model_id`.

    Attributes:
        repo_id: '' for a card on this machine, of the file `file`.
    """

    repo_id: str
    config_name: str = DEFAULT
    splits: Mapping[str, int]
    columns: Sequence[Column]
    counts: Mapping[str, Counter[str]]
    file: str = ""

    @property
    def folder(self) -> str:
        """Where its files lie in the repository."""
        return "data" if self.config_name == DEFAULT else self.config_name

    @property
    def figures(self) -> str:
        """Where its pictures lie."""
        return "figures" if self.config_name == DEFAULT else f"figures/{self.config_name}"
