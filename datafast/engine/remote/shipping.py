"""What a worker gets of a job: what it needs to make outcomes, and nothing that only works where the driver is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from datafast.engine.routes import replaced
from datafast.plan.items import Plan

if TYPE_CHECKING:
    from datafast.engine.job import Job
    from datafast.plan.items import WorkItem

__all__ = ["NoPlan", "shipped"]


class NoPlan(Plan):
    """The plan of a job whose items come one by one: there are none in it."""

    counted = "all"
    num_routes = 1
    num_rows = 0
    radices = ()
    fingerprint = b""
    key_version = ""
    former = ()
    ends = ()

    def __len__(self) -> int:
        return 0

    def __getitem__(self, position: int) -> WorkItem:
        raise IndexError(position)

    def keys(self) -> Iterator[bytes]:
        return iter(())

    def draw_at(self, position: int) -> int:
        raise IndexError(position)


def shipped(job: Job) -> Job:
    """The job for workers: without plan and callbacks, and with the keys and addresses of providers that this process has found."""
    return replace(
        job,
        plan=NoPlan(),
        routes=replaced(job.routes, lambda provider: provider.settled()),
        targets=None,
        alarms=None,
        is_refusal=None,
        on_alarm=None,
        control=None,
        on_event=None,
        on_report=None,
        notes={},
        about=None,
        located=None,
        also_spent=(),
        held=None,
    )
