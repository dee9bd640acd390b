"""The calls of a `DataSetGenerator`, and the temporary folders of calls without an output file."""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import orjson

from datafast._util.scratch import Scratch
from datafast.engine.routes import Route, route_identities
from datafast.errors import DataSetGeneratorError
from datafast.plan.items import digest
from datafast.store.lock import is_running
from datafast.store.paths import OutputPaths
from datafast.topics.model import TopicModel

if TYPE_CHECKING:
    from datafast.datasets.conversation.config import ConversationDatasetConfig
    from datafast.datasets.conversation.kind import ConversationDataset
    from datafast.llms.provider import LLMProvider
    from datafast.types import RunReport

__all__ = ["Call", "Folders", "about_call"]


class Call:
    """One call of `create_data`, checked and ready to run.

    Attributes:
        about: what distinguishes it from other calls.
        scratch: the temporary folder of its files; None if the user has given an output file.
        taken: whether its rows were read. has_failures: whether rows of it failed for good.
    """

    def __init__(
        self, dataset: ConversationDataset, provider: LLMProvider, about: bytes, scratch: Scratch | None
    ) -> None:
        self.dataset = dataset
        self.provider = provider
        self.about = about
        self.scratch = scratch
        self.taken = False
        self.has_failures = False

    @property
    def report(self) -> RunReport:
        """The report of the run, which has ended well."""
        assert self.dataset.report is not None  # noqa: S101 - else an error was raised
        return self.dataset.report

    def topics_of(self, uuids: Collection[str]) -> dict[str, str]:
        """The topics of rows that are not there, by their uuids. Looks through the plan until all are found."""
        routes = route_identities([Route.single(self.provider)], fan_out=self.dataset.config.run.fan_out)
        plan, found = self.dataset.plan(routes), dict[str, str]()
        for index in range(len(plan)):
            if len(found) == len(uuids):
                break
            item = plan[index]
            for number, pick in enumerate(item.values["topic"].picks):
                if (uuid := item.row_uuid(number)) in uuids:
                    found[uuid] = pick.path[-1]
        return found

    @property
    def num_rows(self) -> int:
        return self.dataset.get_num_expected_rows([self.provider])


def about_call(config: ConversationDatasetConfig, provider: LLMProvider) -> bytes:
    """What distinguishes a call from others, in this process and in later ones: all that its rows come from."""
    fields = config.model_dump(mode="json", exclude={"output_file", "run", "example_data", "topics"})
    source, topics = config.example_data, config.topics
    assert isinstance(topics, TopicModel)  # noqa: S101 - which is what a generator gives
    grown = getattr(topics, "config", None)  # a tree that the call grows is the same before and after
    about = topics.digest if grown is None else f"{topics.provider.identity} {grown.model_dump_json()}".encode()  # type: ignore[attr-defined]
    examples = b"" if source is None else source.digest
    return digest("call", orjson.dumps(fields), provider.identity, about, examples, str(config.run.seed))


class Folders:
    """Temporary folders: the same one for the repetition of a call that ended early, also in a later process, and else a new one.

    Equal calls of one process are numbered. The folder of a call that ended well stays until the process does, so that a script that dies
    later, before it has saved the rows, gets them back; so do those with failed rows, which can be tried again.
    """

    def __init__(self) -> None:
        self._unfinished: dict[bytes, list[Scratch]] = {}
        self._with_failures: dict[bytes, Scratch] = {}

    def take(self, about: bytes, *, again: bool) -> Scratch:
        """The folder of a call. `again`: failed rows of the same call are tried again."""
        if again and (kept := self._with_failures.pop(about, None)) is not None:
            return kept
        if waiting := self._unfinished.get(about):
            return waiting.pop()
        names = (about.hex() + (f"-{number}" if number else "") for number in itertools.count())
        named = Scratch(next(name for name in names if name not in _IN_USE))
        if is_running(OutputPaths.of(named.folder / _ROWS)):
            return Scratch()  # the same call is going on in another process
        _IN_USE.add(str(named.name))
        return named

    @contextlib.contextmanager
    def keeping(self, call: Call) -> Iterator[None]:
        """Removes the folder of a call whose rows were read or that wrote nothing; keeps the others, and says where they are."""
        scratch = call.scratch
        if scratch is None:
            yield
            return
        try:
            yield
        except DataSetGeneratorError:
            raise
        except BaseException as error:  # whatever interrupts a call must not lose paid replies
            if (scratch.folder / _ROWS).exists():
                error.add_note(
                    f"Rows and replies so far are kept in {scratch.folder}. The same call goes on from there."
                )
            raise
        finally:
            self._put_away(call, scratch)

    def _put_away(self, call: Call, scratch: Scratch) -> None:
        if call.taken:
            scratch.remove_at_exit()
            if call.has_failures:
                self._with_failures[call.about] = scratch
            else:
                _FINISHED.append(scratch)
                if len(_FINISHED) > _MOST_FINISHED:
                    _FINISHED.popleft().remove()
            return
        _IN_USE.discard(str(scratch.name))
        if not scratch.folder.is_dir() or not any(scratch.folder.iterdir()):
            scratch.remove()
        elif scratch.name is None:
            self._unfinished.setdefault(call.about, []).append(scratch)


_ROWS = "rows.jsonl"
_IN_USE: set[str] = set()
"""Names of folders that calls of this process use, or that hold their rows."""
_FINISHED: deque[Scratch] = deque()
_MOST_FINISHED = 100  # so that a process that never ends does not fill the disk
