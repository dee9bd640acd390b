"""The report of an output or of any file of rows, with what is known of the dataset that made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from datafast.datasets.explaining import Explained, explain_items
from datafast.errors import DatafastError
from datafast.report import Call, Message, Provenance, Report, make_report, shown_text
from datafast.store.paths import OutputPaths

__all__ = ["report_of"]

_MOST_CALLS = 12


def report_of(
    paths: OutputPaths,
    dataset: Any = None,
    *,
    rows: Callable[[], Iterable[Mapping[str, Any]]] | None = None,
    shown: int | None = None,
    seed: int = 0,
) -> Report:
    """The report of a file.

    Args:
        dataset: that made its rows; None if that is not known.
        rows: gives what counts as its rows, where that is something else than its lines.
        shown: how many rows are drawn at random.
        seed: draws all that is drawn.

    Raises:
        ConfigError: there is no such file, or it is not known how to read it.
        OutputError: the ledger cannot be read.
    """
    known: dict[str, Any] = {} if shown is None else {"shown": shown}
    if dataset is not None:
        known |= {
            "row_model": dataset.written_model,
            "placeholders": dataset.placeholders,
            "plan_of": dataset.whole_plan,
        }
    return make_report(paths, rows=rows, told=lambda asked: _told(paths, asked, dataset), seed=seed, **known)


def _told(paths: OutputPaths, asked: Sequence[tuple[int, str]], dataset: Any) -> list[Provenance]:
    why = "" if dataset is not None else "The prompts are not known: the config in the ledger cannot be loaded here."
    try:
        found = explain_items(paths, asked, dataset, why_none=why)
    except DatafastError as error:  # what the rows were made from may be gone
        found = explain_items(paths, asked, why_none=f"The prompts are not known: {error}")
    return [_provenance(one) for one in found]


def _provenance(told: Explained) -> Provenance:
    notes = list(told.notes)
    if len(told.calls) > _MOST_CALLS:
        left = f"{_MOST_CALLS} of {len(told.calls)} calls"
        notes.append(f"The first {left} are shown; `datafast explain` has all of them.")
    return Provenance(
        values={name: shown_text(value).text for name, value in told.values.items()},
        calls=[_call(call) for call in told.calls[:_MOST_CALLS]],
        notes=notes,
    )


def _call(call: Mapping[str, Any]) -> Call:
    messages = call["messages"] or ()
    return Call(
        **{name: call[name] for name in Call.model_fields if name not in {"messages", "said"}},
        messages=[
            Message(role=message["role"], **shown_text(_content(message["content"])).model_dump())
            for message in messages
        ],
        said=shown_text(call["said"]),
    )


def _content(content: Any) -> str:
    return content if isinstance(content, str) else str(content)
