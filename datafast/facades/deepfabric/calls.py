"""The calls of a `DataSetGenerator`, and the temporary folders of calls without an output file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from datafast._util.scratch import Scratch

if TYPE_CHECKING:
    from datafast.datasets.conversation.kind import ConversationDataset
    from datafast.llms.provider import LLMProvider

__all__ = ["Call", "Folders"]


class Call:
    """One call of `create_data`, checked and ready to run.

    Attributes:
        about: what distinguishes it from other calls.
        scratch: the temporary folder of its files; None if the user has given an output file.
        taken: whether its rows were read.
    """

    def __init__(
        self, dataset: ConversationDataset, provider: LLMProvider, about: bytes, scratch: Scratch | None
    ) -> None:
        self.dataset = dataset
        self.provider = provider
        self.about = about
        self.scratch = scratch
        self.taken = False

    @property
    def num_rows(self) -> int:
        return self.dataset.get_num_expected_rows([self.provider])


class Folders:
    """Temporary folders: a new one for each call, and the same one for the repetition of a call that ended early."""

    def __init__(self) -> None:
        self._unfinished: dict[bytes, list[Scratch]] = {}

    def take(self, about: bytes) -> Scratch:
        waiting = self._unfinished.get(about)
        return waiting.pop() if waiting else Scratch()

    @contextlib.contextmanager
    def keeping(self, call: Call) -> Iterator[None]:
        """Removes the folder of a call whose rows were read or that wrote nothing; keeps the others."""
        try:
            yield
        finally:
            if call.scratch is not None and (call.taken or not any(call.scratch.folder.iterdir())):
                call.scratch.remove()
            elif call.scratch is not None:
                self._unfinished.setdefault(call.about, []).append(call.scratch)
