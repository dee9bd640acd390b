"""What is recorded of a row, as its page shows it: what `datafast.datasets.explaining` tells, laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datafast.amounts import money
from datafast.datasets.explaining import Explained
from datafast.export.talk import parsed
from datafast.view.rendering.differing import Difference, difference
from datafast.view.rendering.layouts import RowView, laid_out
from datafast.view.rendering.talk import Talk, talk_of
from datafast.view.rendering.texts import ShownText, Texts
from datafast.view.rendering.values import Value, plainly, shown_value, write

__all__ = ["CallView", "Changed", "Provenance", "Verdict", "provenance_of"]

_MOST_CALLS = 60
_LETTERS = 300
_OF_NO_INTEREST = frozenset({"provider", "model_id", "weight", "latency_s", "latency_jitter_s"})
_STATES = {
    "written": ("in the file", "good"),
    "filtered": ("dropped by a stage", "warn"),
    "failed": ("failed", "bad"),
    "pending": ("not made yet", ""),
    "removed": ("not in the config any more", "warn"),
}


@dataclass(frozen=True, slots=True)
class CallView:
    """A recorded reply, with what was asked."""

    name: str
    summary: str
    facts: list[tuple[str, str]]
    prompt: Talk | None
    schema: Value | None
    said: Value
    raw: ShownText
    is_used: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a stage has said when it dropped the row; `row` where it is not the one that the page shows."""

    title: str
    reason: str
    row: RowView | None


@dataclass(frozen=True, slots=True)
class Changed:
    """A field that a stage has changed: before, and after it."""

    stages: str
    name: str
    difference: Difference


@dataclass(frozen=True, slots=True)
class Provenance:
    """All that is recorded of a row."""

    state: str
    tone: str
    facts: list[tuple[str, str]]
    about: list[tuple[str, str]]
    totals: list[tuple[str, str]]
    calls: list[CallView]
    more_calls: int
    verdicts: list[Verdict]
    changes: list[Changed]
    made_again: list[str]
    failure: list[tuple[str, str]]
    failed_with: list[Value]
    notes: list[str]


def provenance_of(told: Explained, row: Any, providers: Mapping[str, Mapping[str, Any]], texts: Texts) -> Provenance:
    """What is recorded of a row.

    Args:
        row: as the page shows it.
        providers: what is known of each provider that was asked, by its name.
        texts: whose paths begin in what `told.to_dict()` gives.
    """
    state, tone = _STATES[told.state]
    return Provenance(
        state=state,
        tone=tone,
        facts=list(_facts(told)),
        about=[(name, _cut(value)) for name, value in told.values.items()],
        totals=list(_totals(told)),
        calls=[_call(call, number, providers, texts) for number, call in enumerate(told.calls[:_MOST_CALLS])],
        more_calls=max(0, len(told.calls) - _MOST_CALLS),
        verdicts=list(_verdicts(told, texts)),
        changes=list(_changes(told, row)),
        made_again=["; ".join(dict.fromkeys(map(str, one["reasons"]))) for one in told.made_again],
        failure=list(_failure(told)),
        failed_with=list(_failed_with(told, texts)),
        notes=told.notes,
    )


def _cut(value: str) -> str:
    return value if len(value) <= _LETTERS else f"{value[: _LETTERS - 1]}…"


def _facts(told: Explained) -> Iterator[tuple[str, str]]:
    item = told.item
    yield "uuid", told.uuid
    yield "item", item["key"]
    if item["position"] is not None:
        yield "place in the plan", f"{item['position'] + 1:,}"
    if item["rows"] > 1:
        yield "row of its item", f"{item['number'] + 1} of {item['rows']}"
    if item["tries"] > 1:
        yield "tries", f"{item['tries']}"


def _totals(told: Explained) -> Iterator[tuple[str, str]]:
    used = told.totals
    if not used:
        return
    yield "calls", f"{used['calls']:,}"
    if used["attempts"] != used["calls"]:
        yield "requests", f"{used['attempts']:,}, so {used['attempts'] - used['calls']:,} were sent again"
    yield "tokens", f"{used['input_tokens']:,} in, {used['output_tokens']:,} out"
    yield (
        "cost",
        money(used["cost_usd"]) + ("" if told.item["rows"] == 1 else f" for all {told.item['rows']} rows of its item"),
    )


def _call(call: Mapping[str, Any], number: int, providers: Mapping[str, Mapping[str, Any]], texts: Texts) -> CallView:
    path = ("calls", number)
    messages, schema = call["messages"], call["json_schema"]
    return CallView(
        _name(call),
        _summary(call),
        list(_call_facts(call, providers.get(call["provider"], {}))),
        None if not messages else talk_of("prompt", messages, texts, (*path, "messages")),
        None if not schema else shown_value("schema of the answer", schema, texts, (*path, "json_schema")),
        _said(call["said"], texts, (*path, "said")),
        texts.as_it_is(call["raw"], (*path, "raw")),
        call["used"] is not False,
    )


def _name(call: Mapping[str, Any]) -> str:
    if not call["attempts"]:
        return f"What {call['provider']} gave back"
    return f"{call['provider']} as {call['role']}" if call["role"] else str(call["provider"])


def _summary(call: Mapping[str, Any]) -> str:
    if not call["attempts"]:
        return ""
    tokens = f"{call['input_tokens'] or 0:,} tokens in, {call['output_tokens'] or 0:,} out"
    attempts = [f"{call['attempts']} attempts"] if call["attempts"] > 1 else []
    return ", ".join([tokens, money(call["cost_usd"]), f"{call['latency_s']:.3g} s", *attempts])


def _call_facts(call: Mapping[str, Any], provider: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if call["model"] not in call["provider"]:
        yield "answered as", call["model"]
    if call["attempts"] > 1:
        yield "attempts", f"{call['attempts']}: {call['attempts'] - 1} before it failed and were sent again"
    if call["try"] > 1:
        yield "try of the item", str(call["try"])
    if not call["of_this_item"]:
        yield "bought for", "another item that asks for the same"
    yield "sent at", call["sent_at"].replace("T", " ").replace("+00:00", " UTC")
    for name, value in provider.items():
        if name not in _OF_NO_INTEREST and value not in (None, "", {}, []):
            yield name, plainly(value) if not isinstance(value, dict | list) else write(value, indent=None)


def _said(said: str, texts: Texts, path: tuple[str | int, ...]) -> Value:
    value = parsed(said) if said[:1] in ("{", "[") and len(said) < 200_000 else said
    if isinstance(value, str):
        return Value("answer", texts.shown(value or "(nothing)", path))
    return shown_value("answer", value, texts, None)


def _verdicts(told: Explained, texts: Texts) -> Iterator[Verdict]:
    for number, said in enumerate(told.verdicts):
        times = f", made for the {said['generation'] + 1}. time" if said["generation"] or len(told.verdicts) > 1 else ""
        score = "" if said["score"] is None else f" ({said['score']:g})"
        title = f"Dropped by {said['stage']}{score}{times}" if said["stage"] else f"Made and not used{times}"
        is_shown = told.state == "filtered" and number == len(told.verdicts) - 1
        yield Verdict(title, said["reason"] or "", None if is_shown else laid_out(said["row"], texts))


def _changes(told: Explained, row: Any) -> Iterator[Changed]:
    for change in told.changes:
        before, now = _flat(change["before"]), _flat(row if isinstance(row, dict) else {})
        for name in dict.fromkeys([*before, *now]):
            if (was := before.get(name)) != (is_now := now.get(name)):
                yield Changed(", ".join(change["stages"]), name, difference(_as_text(was), _as_text(is_now)))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row, and those of its metadata each by itself."""
    metadata = row.get("metadata")
    within = metadata if isinstance(metadata, Mapping) else {}
    return {
        **{name: value for name, value in row.items() if value is not within},
        **{f"metadata.{name}": value for name, value in within.items()},
    }


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else write(value)


def _failure(told: Explained) -> Iterator[tuple[str, str]]:
    if told.failure is not None:
        yield "why", f"{told.failure['category']}: {told.failure['error']}"
        for name in ("provider", "role", "attempts", "at"):
            if told.failure[name]:
                yield name, plainly(told.failure[name])


def _failed_with(told: Explained, texts: Texts) -> Iterator[Value]:
    for name, title in (("prompt", "prompt"), ("raw", "last reply")):
        if told.failure is not None and told.failure[name]:
            yield Value(title, texts.as_it_is(told.failure[name], ("failure", name)))
