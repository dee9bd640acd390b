"""How personas are grown."""

from __future__ import annotations

from pathlib import Path

from pydantic import ConfigDict, Field

from datafast._util.config_model import Accepts, ConfigModel, NonBlank, UserPath, default_of
from datafast.llms.spec import ProviderSpec

__all__ = ["PersonasConfig", "grown_file"]


class PersonasConfig(ConfigModel):
    """Personas that a language model grows from a description, each in a line and none of them twice."""

    model_config = ConfigDict(hide_input_in_errors=True)  # `provider` may hold a key in the wrong place

    describe: NonBlank
    """What people they are, for example "people who call the helpline of a bank"."""

    count: int = Field(ge=1, le=100_000)
    """How many. More of them later keep those that are there."""

    provider: ProviderSpec | None = None
    """Who describes them, as under `providers`; the first provider of the dataset where none is given."""

    system_prompt: NonBlank | None = None
    """A system message for the calls that describe them."""

    file: Accepts[UserPath | None, str | Path | None] = default_of(None)
    """The JSONL for them, a line each, with its ledger next to it, relative to the working directory. Several datasets may share it. By
    default it is next to the output file."""


def grown_file(config: PersonasConfig, output_file: Path) -> Path:
    """The file that personas are grown into, by default next to the output file."""
    return config.file or output_file.with_name(f"{output_file.name}.personas.json")
