"""`card` in a config: what the dataset card says besides what is known of the output."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from datafast._util.config_model import ConfigModel, NonBlank

__all__ = ["CardConfig"]


class CardConfig(ConfigModel):
    """What the dataset card says. Nothing of it changes a row, a key or a call."""

    title: NonBlank | None = None
    """The heading, and the name that the Hub shows. By default the name of the repository, or of the file."""

    description: NonBlank | None = None
    """A few sentences on what the dataset is for, in Markdown. They stand below the heading."""

    license: NonBlank | None = None
    """The licence of the dataset: an id of the Hub like `cc-by-4.0`, `apache-2.0` or `mit`, or the name of another one."""

    license_link: NonBlank | None = None
    """Where the licence is, if it has no id on the Hub: an address, or LICENSE for a file of the repository."""

    authors: list[NonBlank] = Field(default=[], max_length=100)
    """Who made the dataset, for the citation."""

    citation: NonBlank | None = None
    """How to cite the dataset, as BibTeX. By default an entry of title, authors, year and address."""

    tags: list[NonBlank] = Field(default=[], max_length=100)
    """Further tags on the Hub."""

    inputs: Literal["none", "counts", "samples"] | None = None
    """What the card shows of your inputs. samples: how many, and at most three short ones of each. counts: how many. none: nothing of them,
    and no prompt templates and texts of yours either. By default samples of short lists like topics and document types, and counts of
    documents, rows of a source, personas, seed texts and examples."""

    pictures: Literal["svg", "png"] = "svg"
    """The format of the pictures beside the card. PNG is for pages that show no SVG, and needs the extra `png`."""

    @field_validator("license_link")
    @classmethod
    def _is_a_link(cls, link: str | None) -> str | None:
        if link is not None and not re.fullmatch(r"https?://\S+|LICENSE(\.\w+)?", link):
            raise ValueError(
                "expected an address that begins with https://, or LICENSE or LICENSE.md for a file of the repository."
            )
        return link

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, tags: list[str]) -> list[str]:
        for tag in tags:
            if len(tag) > 100 or not re.fullmatch(r"[\w][\w .:+/-]*", tag):
                raise ValueError(f"{tag!r} is not a tag. Use letters, digits, spaces and - . : + / _, 100 at most.")
        return tags

    @model_validator(mode="after")
    def _link_of_a_license(self) -> CardConfig:
        if self.license_link is not None and self.license is None:
            raise ValueError("license_link: There is no license. Give its name too.")
        return self
