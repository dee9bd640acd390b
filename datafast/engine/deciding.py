"""What the stages of a job say about rows that are recorded: verdicts are a view, so they are given anew when the stages change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from datafast._util.notify import warn_user
from datafast.amounts import counted
from datafast.engine.reasoning import line_as, row_of
from datafast.engine.stages import Decided, settings_of, verdict_of
from datafast.logger_config import logger
from datafast.store.deciding import Dropped, Said, Undecided

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.plan.items import WorkItem

__all__ = ["Decider"]


class Decider:
    """Decides about recorded rows by the stages of a job.

    Attributes:
        settings: those of the stages, as JSON.
        undecided: how many rows kept the verdict that they have, because none could be given.
    """

    def __init__(self, job: Job) -> None:
        self.settings = settings_of(job.stages)
        self.undecided = 0
        self._plan = job.plan
        self._stages = job.stages
        self._row_model = job.row_model
        self._reasoning = job.reasoning.place
        self._why = ""

    def __call__(self, position: int, key: bytes, line: bytes) -> Said:
        """What the stages say about a row, given its line as it was made.

        Raises:
            Undecided: it is not a row of this kind any more, or a stage has raised.
        """
        if not self._stages:
            return Said(None, line)
        try:
            row = row_of(line, self._reasoning, self._row_model)
            decided = verdict_of(self._stages, Decided(row), self._item(position, key))
            line = line_as(decided.row, line, self._reasoning) if decided.changed else line
        except Exception as error:
            self._note(error)
            raise Undecided from error
        verdict = decided.verdict
        drops = None if verdict.keeps else Dropped(decided.stage, verdict.reason, verdict.score)
        return Said(drops, line, decided.changed_by)

    def tell(self) -> None:
        """Warns of rows about which nothing could be decided."""
        if self.undecided:
            stay = "stays as it was" if self.undecided == 1 else "stay as they were"
            warn_user(f"quality: {counted(self.undecided, 'recorded row')} {stay} decided before. {self._why}")

    def _item(self, position: int, key: bytes) -> WorkItem:
        """An item as it was made, with the texts of an earlier version if it has the key of that."""
        item = self._plan[position]
        if item.key == key:
            return item
        return next((found for plan in self._plan.former if (found := plan[position]).key == key), item)

    def _note(self, error: Exception) -> None:
        if not self.undecided:
            if isinstance(error, ValidationError):
                self._why = f"The first is not a row of this kind: {error}"
            else:
                again = "Correct the stage, and run with --retry-failed (retry_failed=True) to have it decide again."
                self._why = f"{type(error).__name__}: {str(error).removesuffix('.')}. {again}"
            logger.opt(exception=error).debug("A recorded row could not be decided about.")
        self.undecided += 1
