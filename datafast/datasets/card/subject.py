"""What a card asks of a dataset."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from pydantic import BaseModel

__all__ = ["Subject"]


class Subject(Protocol):
    """A dataset, as far as a card is concerned. `config` is a `DatasetConfig`."""

    @property
    def kind(self) -> str: ...
    @property
    def config(self) -> Any: ...
    @property
    def written_model(self) -> type[BaseModel]: ...
    @property
    def placeholders(self) -> Collection[str]: ...
