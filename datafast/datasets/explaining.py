"""`datafast explain`: everything that is recorded of one row, wherever it ended: in the file, dropped, failed, or left out of the config.

Guarantee: nothing is sent and nothing is written, and a run is not delayed. Prompts are those of the config in the ledger, matched to the
recorded replies by the keys of their calls; where the config cannot be loaded, a note says so and the replies are told without.

Cost: a look at the keys of all items (a second or two for a million).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from datafast._util import background
from datafast.engine.dry_run import Asked, asked_before
from datafast.engine.pricing import pricing_of
from datafast.engine.recorded_providers import recorded_routes
from datafast.errors import ConfigError, OutputError, ReplyError
from datafast.llms.replies.formats import decode_reply, model_of
from datafast.plan.items import row_uuid
from datafast.store.failures import finder, planned
from datafast.store.finding_rows import RowPlace, at_byte, at_line, line_in_file, with_uuid
from datafast.store.lock import is_running
from datafast.store.manifest import ABOUT
from datafast.store.reader import LedgerReader
from datafast.store.records import OWN_CODE, CallRow, ItemRecord, ItemState, Recorded

if TYPE_CHECKING:
    from datafast.datasets.config import DatasetConfig
    from datafast.engine.job import Produce
    from datafast.engine.routes import Route
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import Plan, WorkItem
    from datafast.store.paths import OutputPaths

__all__ = ["Explained", "explain", "explain_at", "explain_items"]


class Described(Protocol):
    """The dataset that has made the rows."""

    @property
    def config(self) -> DatasetConfig: ...
    @property
    def asking(self) -> Produce: ...
    def whole_plan(self, routes: Sequence[str]) -> Plan: ...


@dataclass
class Explained:
    """All that is recorded of a row.

    Attributes:
        state: written, filtered, failed, pending, or removed: its item is not in the config any more.
        line: its number in the file, from 1; None where it is not there.
        row: as it is in the file, or as it was when a stage dropped it.
        item: the key, the position in the plan and the state of what it was asked with, and how many rows that gives.
        values: what the item is about.
        calls: the recorded replies of its item, oldest first, with what was asked, tokens and cost. All rows of an item share them. Those
            to another item that asks the same of the same model are among them if it has used them.
        verdicts: what stages have said when they dropped it, for each time that it was made.
        changes: what stages have changed, with the row as it was before.
        made_again: for which rows of the item others were made, and why.
        failure: why rows of the item have failed.
        totals: what its item's calls have used and cost; the cost is None if a price is not known.
        notes: what cannot be told, and why.
    """

    uuid: str
    output_file: str
    state: str
    line: int | None = None
    row: dict[str, Any] | None = None
    item: dict[str, Any] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    made_again: list[dict[str, Any]] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    totals: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """It as plain values."""
        return asdict(self)


def explain(
    paths: OutputPaths, uuid: str, dataset: Described | None = None, *, line: int | None = None, why_none: str = ""
) -> Explained:
    """Everything that is recorded of a row.

    Args:
        uuid: its uuid, or how that begins.
        dataset: what has made it; None where that cannot be loaded, `why_none` says why.
        line: the number of its line instead.

    Raises:
        ConfigError: there is no such row, or several.
        OutputError: the ledger cannot be read.
    """
    with LedgerReader(paths.ledger) as reader:
        if not is_running(paths):
            reader.take_in(paths.journal, pricing_of([]))
        place = at_line(paths.rows, reader, line) if line is not None else with_uuid(paths.rows, reader, uuid)
        teller = _Teller(paths, reader, place)
        told = teller.told()
        teller.add_row(told)
        _Prompts(reader, dataset, why_none).add(told, place)
        return told


def explain_at(
    paths: OutputPaths, start: int, dataset: Described | None = None, *, why_none: str = ""
) -> Explained | None:
    """What is recorded of the row whose line begins at a byte of the file, but for the row itself: for who has it already. None if no run
    has written that line."""
    with LedgerReader(paths.ledger) as reader:
        if not is_running(paths):
            reader.take_in(paths.journal, pricing_of([]))
        place = at_byte(paths.rows, reader, start)
        if place is None:
            return None
        told = _Teller(paths, reader, place).told()
        _Prompts(reader, dataset, why_none).add(told, place)
        return told


def explain_items(
    paths: OutputPaths, rows: Sequence[tuple[int, str]], dataset: Described | None = None, *, why_none: str = ""
) -> list[Explained]:
    """What is recorded of several rows, but for the rows themselves: for who has them already.

    Args:
        rows: of each the id of its item in the ledger, and its uuid.
    """
    with LedgerReader(paths.ledger) as reader:
        items = reader.items_of([item for item, _ in rows])
        prompts = _Prompts(reader, dataset, why_none)
        found = []
        for item_id, uuid in rows:
            item = items[item_id]
            numbers = range(item.num_rows)
            number = next((one for one in numbers if row_uuid(item.key, one) == uuid), 0)
            place = RowPlace(uuid, item, number)
            told = _Teller(paths, reader, place).told()
            prompts.add(told, place)
            found.append(told)
        return found


class _Teller:
    """What the ledger alone says of a row."""

    def __init__(self, paths: OutputPaths, reader: LedgerReader, place: RowPlace) -> None:
        self._paths = paths
        self._reader = reader
        self._place = place

    def told(self) -> Explained:
        place, reader = self._place, self._reader
        item = place.item
        found = Explained(place.uuid, self._paths.name, self._state())
        found.item = {
            "key": item.key.hex(),
            "position": None if item.state is ItemState.STALE else item.position,
            "state": item.state.name.lower(),
            "rows": item.num_rows,
            "number": place.number,
            "tries": item.generation + 1,
        }
        found.calls = [_call(call, is_own=call.item == item.id) for call in self._calls()]
        found.verdicts = self._verdicts()
        found.changes = [
            {"stages": list(row.stages), "generation": generation, "before": _as_row(row.original)}
            for (number, generation), row in sorted(reader.changed.of(item.id).items())
            if number == place.number
        ]
        found.made_again = [one._asdict() for one in reader.contexts.of(item.id) if place.number in one.rows]
        if item.state is ItemState.FAILED and found.state == "failed":
            found.failure = self._failure()
        return found

    def add_row(self, found: Explained) -> None:
        """Adds the row itself, and where it stands in the file."""
        item, number = self._place.item, self._place.number
        if item.slots >> number & 1:
            there = line_in_file(self._paths.rows, self._reader, self._place)
            if there is None:
                found.notes.append(f"{self._paths.name} is not as it was written, so the row is not shown.")
            else:
                found.line, found.row = there[0], _as_row(there[1])
        elif found.verdicts:
            found.row = found.verdicts[-1]["row"]

    def _state(self) -> str:
        item, number = self._place.item, self._place.number
        if item.state is ItemState.STALE or number >= item.num_rows:
            return "removed"
        if item.slots >> number & 1:
            return "written"
        if item.filtered >> number & 1:
            return "filtered"
        return "failed" if item.state is ItemState.FAILED else "pending"

    def _calls(self) -> list[CallRow]:
        """The replies of the item, and those of others with the same content, which it may use."""
        return self._reader.calls.whole(self._reader.ids_with_content(self._place.item.content))

    def _verdicts(self) -> list[dict[str, Any]]:
        return [
            {
                "stage": row.stage or None,
                "reason": row.reason or None,
                "score": row.score,
                "generation": row.generation,
                "row": _as_row(row.row),
            }
            for row in sorted(self._reader.filtered.of_item(self._place.item.id), key=lambda row: row.generation)
            if row.number == self._place.number
        ]

    def _failure(self) -> dict[str, Any] | None:
        for failure, _ in self._reader.failed([self._place.item.id]):
            told = {
                name: getattr(failure, name) for name in ("category", "error", "provider", "role", "attempts", "prompt")
            }
            return {**told, "raw": failure.raw.decode("utf-8", "replace"), "at": _moment(failure.at)}
        return None


class _Prompts:
    """What items are about and what was asked, by the config that is in the ledger."""

    def __init__(self, reader: LedgerReader, dataset: Described | None, why_none: str) -> None:
        self._reader = reader
        self._dataset = dataset
        self._why_none = why_none

    def add(self, told: Explained, place: RowPlace) -> None:
        """Adds these, or a note that says why they are not known; and leaves out replies that were none for it."""
        self._add(told, place)
        of_it = [call for call in told.calls if call["of_this_item"] or call["messages"] is not None]
        told.calls = of_it or told.calls
        told.totals = _totals(told.calls)

    def _add(self, told: Explained, place: RowPlace) -> None:
        dataset = self._dataset
        if dataset is None:
            told.notes.append(self._why_none)
            return
        item = self._find(place.item)
        if item is None:
            told.notes.append("The config does not ask for it any more, so its prompts are not known.")
            return
        told.values = item.shown_values
        try:
            asked = {one.call.key: one for one in _asked(self._reader, place, item, dataset, self._asked_routes)}
        except (OutputError, ConfigError) as error:
            told.notes.append(f"Its prompts are not known: {error}")
            return
        for call in told.calls:
            if (one := asked.get(bytes.fromhex(call["key"]))) is not None:
                call["messages"] = list(one.call.messages)
                call["json_schema"] = None if one.call.schema is None else one.call.schema.json_schema
                call["used"] = one.answered
        if any(call["messages"] is None and call["of_this_item"] and call["format"] != OWN_CODE for call in told.calls):
            told.notes.append(
                "The prompts of some calls are not known: the config, or what is known of who was asked, gives others now."
            )

    @cached_property
    def _plan(self) -> Plan:
        assert self._dataset is not None  # noqa: S101 - add has seen to it
        return planned(self._dataset.whole_plan, self._reader)

    @cached_property
    def _find(self) -> Callable[[ItemRecord], WorkItem | None]:
        return finder(self._plan)

    @cached_property
    def _asked_routes(self) -> Sequence[Route[LLMProvider]]:
        return _routes(self._reader, self._plan.num_routes)


def _asked(
    reader: LedgerReader, place: RowPlace, item: WorkItem, dataset: Described, routes: Sequence[Route[LLMProvider]]
) -> list[Asked]:
    recorded: dict[bytes, list[Recorded]] = {}
    for item_id in reader.ids_with_content(place.item.content):
        for key, reply in reader.calls.of(item_id):
            recorded.setdefault(key, []).append(reply)
    made = [item, *(item.remade(context) for context in reader.contexts.of(place.item.id))]
    fan_out = dataset.config.run.fan_out
    return [
        one
        for each in made
        for one in background.run(asked_before(dataset.asking, each, routes=routes, fan_out=fan_out, recorded=recorded))
    ]


def _routes(reader: LedgerReader, number: int) -> Sequence[Route[LLMProvider]]:
    """Who was asked: as the last run has noted; where it has not, by the names in the ledger, with no other parameters."""
    simulated = reader.meta("mode") == "simulated"
    if isinstance(noted := reader.noted(ABOUT), dict):
        return recorded_routes({**noted, "simulated": simulated})[0]
    providers = [_guessed(name) for name in reader.calls.usage_by_provider()] or [_guessed("nobody/nobody")]
    by_role = reader.calls.providers_by_role()
    if number > 1 or len({*by_role.values()}) < 2:
        by_route, some = reader.providers_by_route(number), providers[0]["label"]
        told: list[dict[str, Any]] = [{"own": by_route.get(route, some)} for route in range(number)]
    else:
        told = [{"own": by_role}]
    return recorded_routes({"providers": providers, "routes": told, "simulated": simulated})[0]


def _guessed(label: str) -> dict[str, Any]:
    name, _, model_id = label.partition("#")[0].partition("/")
    model = label if name == "simulated" or not model_id else model_id
    spec = {"provider": name, "model_id": model}
    identity = orjson.dumps(spec, option=orjson.OPT_SORT_KEYS).decode()
    return {"label": label, "spec": spec, "identity": identity}


def _call(call: CallRow, *, is_own: bool) -> dict[str, Any]:
    return {
        "role": call.role,
        "provider": call.provider,
        "model": (not call.is_dropped and model_of(call.raw, call.format)) or call.model_id,
        "sent_at": _moment(call.sent_at),
        "latency_s": call.latency_s,
        "attempts": call.attempts,
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "cost_usd": call.cost_usd,
        "try": call.generation + 1,
        "of_this_item": is_own,
        "key": call.key.hex(),
        "messages": None,
        "json_schema": None,
        "used": None,
        "said": _said(call),
        "format": call.format,
        "raw": call.raw.decode("utf-8", "replace"),
        "dropped": call.is_dropped,
    }


def _said(call: CallRow) -> str:
    """What a reply says, or what is wrong with it."""
    if call.is_dropped:
        return "(dropped once its rows were written; run.ledger.replies)"
    if call.format == OWN_CODE:
        return call.raw.decode("utf-8", "replace")
    try:
        reply = decode_reply(call.raw, call.format)
    except (ReplyError, OutputError) as error:
        return str(error)
    return reply.text or reply.structured or reply.refusal or ""


def _totals(calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sent = [call for call in calls if call["attempts"]]
    costs = [call["cost_usd"] for call in sent]
    return {
        "calls": len(sent),
        "attempts": sum(call["attempts"] for call in sent),
        "input_tokens": sum(call["input_tokens"] or 0 for call in sent),
        "output_tokens": sum(call["output_tokens"] or 0 for call in sent),
        "cost_usd": None if None in costs else sum(costs),
    }


def _as_row(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(line)
    return found


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
