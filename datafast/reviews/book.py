"""`dataset.reviews()` and `datafast.load(FILE).reviews()`: decisions about rows, written and read."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
from pydantic import BaseModel, ValidationError

from datafast._util.notify import did_you_mean
from datafast._util.user_path import is_file, user_path
from datafast.errors import ConfigError, OutputChangedError
from datafast.reviews.export import export_decisions
from datafast.reviews.pairs import departure_of, summary_of_pairs
from datafast.reviews.rows import ReviewedRow, about_field, find_row, reviewed
from datafast.reviews.summary import Departure, PairSummary, Progress, agreement_between, progress_of
from datafast.store.paths import OutputPaths
from datafast.store.review_file import ReviewFile
from datafast.store.review_records import NOT_EDITED, Action, Pair, ReviewRecord, RowKey, Side, digest_of, new_id
from datafast.store.review_state import DISAGREEMENTS, Decisions, Disagreement, ReviewState

if TYPE_CHECKING:
    import pandas as pd

    from datafast.judging.agreement import Agreement

__all__ = ["Reviews", "default_reviewer"]

Row: TypeAlias = Mapping[str, Any] | BaseModel | str
"""A row: as it stands in the file, or its uuid."""

_LONGEST_NAME = 100


def default_reviewer() -> str:
    """The name under which the user of this process is logged in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no name for its user
        return "reviewer"


class Reviews:
    """What people have decided about the rows of a file. Kept in `FILE.reviews`, which is only ever added to; a decision is on the disk
    when the method that makes it has returned. Several processes may decide at the same time.

    Wherever a row is asked for, it is the row as it stands in the file (or as it was dropped), or its uuid; finding a uuid takes a pass
    over the file. A decision is about the row as it is now, with all edits that stand.

    Args:
        row_model: of the rows, by which edits are checked; None where it is not known.
        reviewer: who decides; by default the name under which the user is logged in.
        disagreement: what counts where reviewers disagree; see `datafast.store.review_state.Disagreement`.
        wait_s: how long other processes that write are waited for.

    Attributes:
        path: the file of the decisions.
    """

    def __init__(
        self,
        paths: OutputPaths,
        row_model: type[BaseModel] | None = None,
        *,
        reviewer: str | None = None,
        disagreement: Disagreement = "reject",
        wait_s: float = 5.0,
    ) -> None:
        if disagreement not in DISAGREEMENTS:
            raise ConfigError(
                f"disagreement: {disagreement!r} is not known. Give one of {', '.join(DISAGREEMENTS)}.",
                key="disagreement",
            )
        self.path = paths.reviews
        self.reviewer = _name(default_reviewer() if reviewer is None else reviewer)
        self._paths = paths
        self._row_model = row_model
        self._disagreement: Disagreement = disagreement
        self._file = ReviewFile(paths.reviews, wait_s=wait_s)
        self._decisions = Decisions(disagreement=disagreement)
        self._times_replaced = 0
        self._taken = 0

    # -- deciding

    def accept(self, row: Row, *, reviewer: str | None = None, seen: str | None = None) -> ReviewRecord:
        """Accepts a row: it stays, whatever stages say.

        Args:
            reviewer: who decides, if not the one of this object.
            seen: the digest of the row as it was shown (`ReviewState.becomes`), where it may have been edited since.

        Raises:
            ConfigError: there is no such row.
            OutputChangedError: the row was edited since it was shown; nothing was saved.
            OutputInUseError: another process has been writing for too long.
            OutputError: the file cannot be written or read.
        """
        return self._add("accept", row, reviewer, seen)

    def reject(
        self, row: Row, reason: str = "", *, note: str = "", reviewer: str | None = None, seen: str | None = None
    ) -> ReviewRecord:
        """Rejects a row: it counts as filtered by the stage `review`, with this reason. Raises as `accept` does.

        Args:
            note: more about it than a reason by which rows are counted; a model that makes the row again is told both.
        """
        if note:
            return self._add_both(row, reason, note, reviewer, seen)
        return self._add("reject", row, reviewer, seen, reason=_plain(reason, "reason"))

    def edit(
        self,
        row: Row,
        fields: Mapping[str, Any] | None = None,
        /,
        *,
        reviewer: str | None = None,
        seen: str | None = None,
        **more: Any,
    ) -> ReviewRecord:
        """Gives fields of a row other values, and accepts it so. What it was before is kept. Raises as `accept` does.

        Raises:
            ConfigError: a field is not there, is not edited, or cannot have this value; names it.
        """
        given = {**(fields or {}), **more}
        row = self._row(row)

        def make() -> Mapping[str, Any]:
            current = {**row, **self._decisions.of(RowKey.of(row)).fields}
            changed = self._edited(current, given)
            before = {name: current.get(name) for name in changed}
            return {"fields": changed, "before": before, "becomes": digest_of({**current, **changed})}

        return self._add("edit", row, reviewer, seen, make=make)

    def label(self, row: Row, name: str, value: Any = True, *, reviewer: str | None = None) -> ReviewRecord:
        """Gives a row a label: any JSON value under a name. A later one of the same reviewer under that name takes its place. Raises as
        `accept` does."""
        _require_json(value, "value")
        return self._add("label", row, reviewer, None, name=_name(name, "name"), value=value)

    def note(self, row: Row, text: str, *, reviewer: str | None = None) -> ReviewRecord:
        """Says something about a row. Raises as `accept` does."""
        if not text.strip():
            raise ConfigError("text: A note is empty. Write what is to be said about the row.", key="text")
        return self._add("note", row, reviewer, None, text=_plain(text, "text"))

    def prefer(
        self,
        one: Row | tuple[Row, str],
        other: Row | tuple[Row, str],
        better: int | None,
        *,
        shown_first: int = 0,
        reviewer: str | None = None,
    ) -> ReviewRecord:
        """Says which of two texts is better, of two rows, or of fields of rows. Raises as `accept` does.

        Args:
            one, other: rows, or rows each with the name of a field.
            better: 0 for the first, 1 for the other, None for a tie.
            shown_first: which of them stood first, on the left or above.
        """
        if better not in {None, 0, 1} or isinstance(better, bool):
            raise ConfigError("better: Give 0 for the first, 1 for the other, or None for a tie.", key="better")
        if shown_first not in {0, 1}:
            raise ConfigError("shown_first: Give 0 for the first, or 1 for the other.", key="shown_first")
        sides = (self._side(one), self._side(other))
        if sides[0][:3] == sides[1][:3]:
            raise ConfigError("other: Both are the same text. Give two.", key="other")

        def make() -> ReviewRecord:
            return ReviewRecord(
                action="prefer",
                id=new_id(),
                at=time.time(),
                reviewer=self._who(reviewer),
                row=sides[0].row,
                digest=sides[0].digest,
                pair=Pair(sides, better, shown_first),
            )

        return self._written(make)

    def undo(self, record: ReviewRecord | str | None = None, *, reviewer: str | None = None) -> ReviewRecord | None:
        """Takes a decision back, and returns it: the newest of the reviewer that stands, or the one given, which may itself be an undo.
        None where there is none. Raises as `accept` does."""
        who = self._who(reviewer)
        undone: list[ReviewRecord] = []

        def make() -> Iterable[ReviewRecord]:
            wanted = record.id if isinstance(record, ReviewRecord) else record
            found = self._decisions.last_of(who) if wanted is None else self._decisions.by_id.get(wanted)
            if found is None and wanted is not None:
                raise ConfigError(f"record: There is no decision {wanted} in {self.path}. Give its id.", key="record")
            if found is None:
                return
            undone.append(found)
            yield ReviewRecord(
                action="undo",
                id=new_id(),
                at=time.time(),
                reviewer=who,
                row=found.row,
                digest=found.digest,
                undoes=found.id,
            )

        self._add_records(make)
        return undone[0] if undone else None

    # -- reading

    @property
    def decisions(self) -> Decisions:
        """All decisions, also those that other processes have made by now."""
        self._take()
        return self._decisions

    def state(self, row: Row) -> ReviewState:
        """How a row stands. Raises ConfigError if there is no row of this uuid."""
        found = self._row(row)
        return self.decisions.of(RowKey.of(found))

    def history(self, row: Row) -> list[ReviewRecord]:
        """All that was decided about a row, also what was taken back, in its order."""
        return list(self.decisions.records_of(RowKey.of(self._row(row)).row))

    def rows(self, *, dropped: bool = False) -> Iterator[ReviewedRow]:
        """The rows with their states, in the order of the file.

        Args:
            dropped: also those that stages or reviewers have dropped, after the others.
        """
        return reviewed(self._paths, self.decisions, dropped=dropped)

    def progress(self) -> Progress:
        """How far the reviewers are. Cost: a pass over the file."""
        return progress_of(self.rows(dropped=True), self.decisions)

    def agreement(self, label: str | None = None) -> Agreement:
        """How far reviewers agree whether rows are taken, or about a label: Krippendorff's alpha. What they said about other texts of a row
        is compared apart.

        Raises:
            MissingExtraError: nltk is not installed.
        """
        return agreement_between(self.decisions, label)

    def pairs(self) -> PairSummary:
        """Win rates of models by the preferences between two texts, and how far the judges in the rows agree with them."""
        return summary_of_pairs(self._paths, self.decisions)

    def departure(self, score: str | None = None, *, most: int = 20) -> Departure:
        """Where scores in rows depart from what people say of these.

        Args:
            score: the name of the score, like `score` or `metadata.judge.score`; the first one that rows have where none is given.
            most: how many rows are listed, those first that depart the most.

        Raises:
            ConfigError: no row that was decided about has such a score.
        """
        return departure_of(self.rows(dropped=True), score, most)

    def to_pandas(self) -> pd.DataFrame:
        """All decisions, one a line, also those that were taken back."""
        import pandas as pd

        return pd.DataFrame([record.told() for record in self.decisions.by_id.values()])

    def export(self, path: str | Path, *, accepted: bool = False) -> int:
        """Writes the rows that there are decisions about, with these, and returns how many there are.

        Args:
            path: a .jsonl or .csv file; one that is there is replaced.
            accepted: only accepted rows, as rows alone, with their edits: for a source of other rows.

        Raises:
            ConfigError: the path is of another format, or one of the files of the output.
            OutputWriteError: it cannot be written.
        """
        return export_decisions(self._paths, self.rows(dropped=True), user_path(path), accepted=accepted)

    def import_from(self, path: str | Path) -> int:
        """Adds the decisions of another such file that are not there yet, and returns how many these are.

        Raises:
            ConfigError: there is no such file.
            OutputError: it holds other things.
            OutputInUseError: another process has been writing for too long.
        """
        other = user_path(path)
        if not is_file(other):
            raise ConfigError(f"There is no file {other}. Give the .reviews file of another reviewer.", key="path")
        added = self._file.merge(ReviewFile(other).read())
        self._take()
        return len(added)

    # -- inside

    def _take(self) -> None:
        self._file.refresh()
        self._sync()

    def _sync(self) -> None:
        """Takes in what the file has read since."""
        if self._times_replaced != self._file.times_replaced:
            self._times_replaced = self._file.times_replaced
            self._decisions, self._taken = Decisions(disagreement=self._disagreement), 0
        self._decisions.take(self._file.records[self._taken :])
        self._taken = len(self._file.records)

    def _written(self, make: Any) -> ReviewRecord:
        return self._add_records(lambda: [make()])[0]

    def _add_records(self, make: Any) -> list[ReviewRecord]:
        def in_lock() -> Iterable[ReviewRecord]:
            self._sync()  # what others have added in the meantime
            return list(make())

        added = list(self._file.add(in_lock))
        self._sync()
        return added

    def _add(
        self, action: Action, row: Row, reviewer: str | None, seen: str | None, make: Any = None, **more: Any
    ) -> ReviewRecord:
        found, who = self._row(row), self._who(reviewer)
        return self._written(lambda: self._record(action, found, who, seen, {**(make() if make else {}), **more}))

    def _add_both(self, row: Row, reason: str, note: str, reviewer: str | None, seen: str | None) -> ReviewRecord:
        """A rejection and what is said about it, which are saved together."""
        found, who = self._row(row), self._who(reviewer)
        told = {"reason": _plain(reason, "reason")}, {"text": _plain(note, "note")}
        added = self._add_records(
            lambda: [
                self._record("note", found, who, seen, told[1]),
                self._record("reject", found, who, seen, told[0]),
            ]
        )
        return added[1]

    def _record(
        self, action: Action, row: Mapping[str, Any], who: str, seen: str | None, more: Mapping[str, Any]
    ) -> ReviewRecord:
        key = RowKey.of(row)
        now = self._decisions.of(key).becomes
        if seen is not None and seen != now:
            raise OutputChangedError(
                f"{key.row}: The row was edited since it was shown. Nothing was saved; look at it again."
            )
        return ReviewRecord(action=action, id=new_id(), at=time.time(), reviewer=who, row=key.row, digest=now, **more)

    def _row(self, row: Row) -> Mapping[str, Any]:
        if isinstance(row, Mapping):
            return row
        if isinstance(row, BaseModel):
            found: Mapping[str, Any] = orjson.loads(row.model_dump_json())
            return found
        known = find_row(self._paths, row)
        if known is None:
            raise ConfigError(
                f"row: There is no row {row} in {self._paths.rows}. Give the uuid of a row, or the row itself.",
                key="row",
            )
        return known

    def _side(self, given: Row | tuple[Row, str]) -> Side:
        row, field = given if isinstance(given, tuple) else (given, None)
        found = self._row(row)
        if field is not None and field not in found:
            raise ConfigError(f"field: The row has no {field!r}. {did_you_mean(field, list(found))}", key="field")
        key = RowKey.of(found)
        model = found.get("model_id") if field is None else about_field(found, field, "model_id")
        return Side(key.row, self.decisions.of(key).becomes, field, model if isinstance(model, str) else None)

    def _who(self, reviewer: str | None) -> str:
        return self.reviewer if reviewer is None else _name(reviewer)

    def _edited(self, row: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that have other values after an edit, as the row model leaves them."""
        if not given:
            raise ConfigError("fields: Nothing is edited. Give a field with its new value.", key="fields")
        known = row if self._row_model is None else {**row, **self._row_model.model_fields}
        for name, value in given.items():
            if name in NOT_EDITED:
                raise ConfigError(
                    f"{name}: It says which row it is and how it came about, and is not edited. Give the row a label or a note.",
                    key=name,
                )
            if name not in known:
                raise ConfigError(f"{name}: Rows have no such field. {did_you_mean(name, list(known))}", key=name)
            _require_json(value, name)
        told: Mapping[str, Any] = {**row, **given}
        if self._row_model is not None:
            told = _checked(self._row_model, told)
        changed = {name: value for name, value in told.items() if name not in NOT_EDITED and value != row.get(name)}
        if not changed:
            raise ConfigError("fields: The row has these values already. Give others, or accept it.", key="fields")
        return changed

    def __repr__(self) -> str:
        return f"<reviews of {self._paths.rows}: decisions about {len(self.decisions):,} rows>"


def _checked(model: type[BaseModel], row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as its model leaves it.

    Raises:
        ConfigError: the model does not allow it; names the field.
    """
    try:
        found: dict[str, Any] = orjson.loads(model.model_validate_json(orjson.dumps(row)).model_dump_json())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "fields"
        raise ConfigError(
            f"{place}: {first['msg'].removesuffix('.')}. Give it a value that rows of this kind may have.", key=place
        ) from error
    return found


def _require_json(value: object, field: str) -> None:
    try:
        orjson.dumps(value)
        json.dumps(value, allow_nan=False, default=str)  # orjson would write NaN and infinities as null
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{field}: {error}. Give a value that JSON can hold.", key=field) from error


def _plain(text: str, field: str) -> str:
    """A text that the file can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{field}: It holds half a character ({error.reason}). Write it again.", key=field) from error
    return text.strip()


def _name(given: str, field: str = "reviewer") -> str:
    """A name by which people or labels are told apart."""
    name = _plain(given, field)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            f"{field}: {given!r:.120} is no name. Give one of 1 to {_LONGEST_NAME} letters that can be shown.",
            key=field,
        )
    return name
