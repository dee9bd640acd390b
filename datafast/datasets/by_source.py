"""Kinds with items for each row of a source: how many rows another size of it would give."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from datafast.datasets.dataset import ConfigT, RowT
from datafast.datasets.entry import FanOutDataset
from datafast.errors import ConfigError

__all__ = ["BySourceDataset"]


class BySourceDataset(FanOutDataset[ConfigT, RowT]):
    """A kind with items for each row of a source. Its config has `sample_count` and `num_rows`."""

    @property
    @abstractmethod
    def source_rows(self) -> Sized:
        """The rows of the source that are asked about."""

    def get_num_expected_rows(
        self,
        providers: Sequence[object] | Mapping[str, object] | None = None,
        source_data_num_rows: int | None = None,
        *,
        llms: Sequence[object] | None = None,
    ) -> int:
        """The number of rows that `generate(providers)` makes; with `source_data_num_rows` if so many rows of the source were left.

        Raises:
            ConfigError: `source_data_num_rows` is negative.
        """
        rows = super().get_num_expected_rows(providers, llms=llms)
        config: Any = self.config
        if source_data_num_rows is None or config.is_drawn:
            return rows
        if source_data_num_rows < 0:
            raise ConfigError(
                f"source_data_num_rows: expected a number of rows, got {source_data_num_rows}. Give 0 or more."
            )
        return rows // len(self.source_rows) * min(source_data_num_rows, config.sample_count or source_data_num_rows)
