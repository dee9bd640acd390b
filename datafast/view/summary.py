"""What the list of outputs says of one: kind, state, rows, cost.

Guarantee: what is wrong with a file is said, never raised. Nothing is written. Cost: the counts of a ledger take 0.3 s for a million rows,
the lines of a file are counted at a gigabyte or more a second, and only until as many bytes were read as are asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from datafast._util.user_path import is_file, is_folder
from datafast.errors import DatafastError
from datafast.sources.finding import ending_of
from datafast.sources.parquet import rows_noted
from datafast.store.lock import is_running
from datafast.store.reader import LedgerReader
from datafast.view.outputs import Output

__all__ = ["State", "Summary", "is_killed", "summary_of"]

State = Literal["complete", "running", "unfinished", "killed", "damaged", "rows"]
"""How an output stands; `rows` is a file of which nothing but its rows is known."""

_KINDS = {
    ".jsonl": "JSONL",
    ".ndjson": "JSONL",
    ".json": "JSON",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".tab": "TSV",
    ".parquet": "Parquet",
    ".arrow": "Arrow",
    ".feather": "Arrow",
}
_COUNTED_BYTES = 4_000_000_000
_STEP = 2**22


class Summary(NamedTuple):
    """What is known of an output.

    Attributes:
        kind: of the dataset, or what the file is; None if it is not known.
        told: what there is to say of its state.
        rows: in the file.
        is_about: whether `rows` is estimated from a part of the file.
        cost_usd: None where nothing was bought, or a price is not known.
    """

    kind: str | None
    state: State
    told: str = ""
    rows: int | None = None
    is_about: bool = False
    requested: int | None = None
    filtered: int | None = None
    failed: int | None = None
    pending: int | None = None
    cost_usd: float | None = None
    is_simulated: bool = False


def is_killed(output: Output) -> bool:
    """Whether its last run has ended without coming to its end: it would have taken in its journal."""
    return is_file(output.paths.journal) and not is_running(output.paths)


def summary_of(output: Output, *, counted_bytes: int = _COUNTED_BYTES) -> Summary:
    """What there is to say of an output.

    Args:
        counted_bytes: lines are counted in so much of a file at most.
    """
    try:
        return _of_ledger(output) if output.has_ledger else _of_rows(output, counted_bytes)
    except DatafastError as error:
        return Summary(_kind_of_file(output.path), "damaged", str(error))
    except OSError as error:
        return Summary(_kind_of_file(output.path), "damaged", f"It cannot be read: {error.strerror or error}.")
    except (ValueError, TypeError, KeyError) as error:  # what a damaged ledger says can be anything
        return Summary(None, "damaged", f"Its ledger is damaged: {error!r}.")


def _of_ledger(output: Output) -> Summary:
    running = is_running(output.paths)
    killed = not running and is_killed(output)
    with LedgerReader(output.paths.ledger) as ledger:
        counts = ledger.counts()
        totals = ledger.calls.totals()
        reason = str(ledger.meta("stop_reason") or "")
        kind = str(ledger.meta("kind") or "") or None
        is_simulated = ledger.meta("mode") == "simulated"
    state: State = "complete"
    told = ""
    if running:
        state = "running"
    elif killed:
        state, told = "killed", "The last run was cut off. The same command goes on, and pays for nothing twice."
    elif not is_file(output.path) and counts.written:
        state, told = "unfinished", "The file of rows is gone. The next run writes it again, at no cost."
    elif reason or counts.pending:
        state, told = "unfinished", f"The last run stopped early: {reason}" if reason else ""
    return Summary(
        kind,
        state,
        told,
        rows=counts.written + counts.removed,
        requested=counts.requested,
        filtered=counts.filtered,
        failed=counts.failed,
        pending=counts.pending,
        cost_usd=totals.cost_usd,
        is_simulated=is_simulated,
    )


def _of_rows(output: Output, counted_bytes: int) -> Summary:
    kind = _kind_of_file(output.path)
    if is_folder(output.path):
        return Summary(kind, "damaged", "It is a folder.")
    if output.path.suffix.lower() != ending_of(output.path.name) or kind == "JSON":
        output.path.open("rb").close()
        return Summary(kind, "rows")
    if kind not in {"JSONL", "CSV", "TSV"}:
        return Summary(kind, "rows", rows=rows_noted(output.path))
    with output.path.open("rb") as file:
        begins = file.read(100).removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == "JSONL" and begins and not begins.startswith(b"{"):
        return Summary(kind, "damaged", "It is not JSONL: its first line is no object.")
    lines, read, size = _lines(output.path, counted_bytes, is_quoted=kind == "CSV")
    if read < size:
        lines = round(lines * size / read)
    # The first line of a table has the names of its columns.
    return Summary(kind, "rows", rows=lines if kind == "JSONL" else max(0, lines - 1), is_about=read < size)


def _lines(path: Path, most: int, *, is_quoted: bool) -> tuple[int, int, int]:
    """Lines that were counted, the bytes that they were counted in, and the size of the file.

    Args:
        is_quoted: line breaks between quotation marks do not count.
    """
    size, read, lines, last, quoted = path.stat().st_size, 0, 0, b"\n", 0
    with path.open("rb", buffering=0) as file:
        while read < most and (part := file.read(_STEP)):
            if is_quoted:
                pieces = part.split(b'"')
                lines += sum(piece.count(b"\n") for piece in pieces[quoted::2])
                quoted = (quoted + len(pieces) - 1) % 2
            else:
                lines += part.count(b"\n")
            read += len(part)
            last = part[-1:]
    return lines + (last != b"\n" and read >= size), read, size


def _kind_of_file(path: Path) -> str | None:
    return _KINDS.get(ending_of(path.name))
