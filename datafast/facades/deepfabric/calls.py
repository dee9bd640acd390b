"""The calls of a `DataSetGenerator`, and where the files of those lie that were given no output file."""

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
        about: what tells it from calls for something else.
        scratch: the temporary folder that its files are in, None where they are the user's.
        taken: whether its rows have been read.
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
    """Temporary folders: a new one for each call, the same again for a call that ended early. Kept ones stay on the disk."""

    def __init__(self) -> None:
        self._unfinished: dict[bytes, list[Scratch]] = {}

    def take(self, about: bytes) -> Scratch:
        waiting = self._unfinished.get(about)
        return waiting.pop() if waiting else Scratch()

    @contextlib.contextmanager
    def keeping(self, call: Call) -> Iterator[None]:
        """Removes the folder of a call whose rows have been read, or that wrote nothing; keeps what was not handed out."""
        try:
            yield
        finally:
            if call.scratch is not None and (call.taken or not any(call.scratch.folder.iterdir())):
                call.scratch.remove()
            elif call.scratch is not None:
                self._unfinished.setdefault(call.about, []).append(call.scratch)
