"""Several ledgers in one: what merging shards and dividing them anew have in common.

What a ledger has is taken table by table, by SQLite itself, in one transaction for each ledger. Items, calls and all that belongs to them
get numbers of their own in the new ledger, in the order that they had; ledgers follow one another. Where the rows stand is noted first, and
becomes the appends of the new ledger when `gathered_rows` has written them.

Cost: that of copying the files. Memory: pages of SQLite; what is noted of each append, and what is sorted, is in its temporary files.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from datafast._util.digest import hashed
from datafast.errors import OutputError
from datafast.store.calls import DROPS
from datafast.store.database import address_of, connect, unreadable, unwritable
from datafast.store.ledger import Ledger
from datafast.store.migrations import FORMAT
from datafast.store.paths import OutputPaths

__all__ = ["Gathering", "Offsets", "Source"]

_STAGED = """CREATE TEMP TABLE staged(
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, item INTEGER NOT NULL, num_rows INTEGER NOT NULL, start INTEGER NOT NULL,
    size INTEGER NOT NULL, crc INTEGER NOT NULL, slots BLOB)"""

# An error counts as long as no reply of the same call is newer. Which calls are newer than others is not kept where ids are given anew.
_NEWER_THAN_REPLIES = """
    CASE WHEN s.before_call > coalesce((SELECT max(o.id) FROM src.calls o WHERE o.item = s.item AND o.key = s.key), 0)
    THEN (SELECT coalesce(max(id), 0) + 1 FROM main.calls) ELSE 0 END"""


class Source(NamedTuple):
    """A ledger and its rows.

    Attributes:
        name: what it is called in messages: `shard 1/4`.
        paths: its files.
        position_of: gives the position in the new plan of the item at a position of its own; None where they are the same.
    """

    name: str
    paths: OutputPaths
    position_of: Callable[[int], int] | None = None


# A reply that stands apart from its call stands with it afterwards.
_REPLIES = {
    "raw": "CASE s.stored WHEN 2 THEN coalesce((SELECT r.raw FROM src.replies r WHERE r.id = s.id), x'') ELSE s.raw END",
    "stored": "CASE WHEN s.stored = 2 AND EXISTS(SELECT 1 FROM src.replies r WHERE r.id = s.id) THEN NULL ELSE s.stored END",
}
_NO_REPLIES = {"raw": "x''", "stored": "CASE s.stored WHEN 1 THEN 2 ELSE s.stored END"}


class Offsets(NamedTuple):
    """What was added to the numbers of a source: of its calls and of its requests under a budget."""

    calls: int
    requests: int


class Gathering:
    """A new ledger that takes what others have. Use it with `with`: it is no output before `rows` are written and `close` was called.

    Args:
        path: of the new ledger; there must be none.
        keeps_replies: whether raw replies are taken too. Without them nothing can be replayed.

    Attributes:
        sources: those that were taken.
        requests: how many requests under a budget they have numbered.
    """

    def __init__(self, path: Path, *, keeps_replies: bool = True) -> None:
        self.path = path
        self._keeps_replies = keeps_replies
        self.sources: list[Source] = []
        self.requests = 0
        self._refused: OutputError | None = None
        Ledger(path).close()
        self.db = sqlite3.connect(path.absolute().as_uri(), uri=True, isolation_level=None)
        try:
            # What a crash leaves of it is thrown away, so nothing has to survive one before it is forced to the disk as a whole.
            for setting in ("journal_mode=DELETE", "journal_mode=OFF", "synchronous=OFF"):
                self.db.execute(f"PRAGMA {setting}")
            self.db.execute(_STAGED)
        except sqlite3.Error as error:
            self.db.close()
            raise unwritable(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.db.close()
        if isinstance(error, sqlite3.Error):
            raise unwritable(self.path, error) from error

    def take(self, source: Source, *, chosen: Iterable[int] | None = None, takes_rest: bool = True) -> Offsets:
        """Takes what a ledger has.

        Args:
            chosen: the ids of the items that are taken with all that belongs to them; None for all.
            takes_rest: whether what belongs to no item is taken too: requests that may have been paid for, closed batches.

        Raises:
            OutputError: it cannot be read, or has another format than ledgers have now.
        """
        with self._attached(source), self._writing(source):
            self._require_newest(source)
            if chosen is not None:
                self.db.execute("CREATE TEMP TABLE taken(number INTEGER PRIMARY KEY, item INTEGER NOT NULL)")
                self.db.execute("CREATE UNIQUE INDEX temp.taken_item ON taken(item)")
                self.db.executemany("INSERT INTO taken(item) VALUES(?)", ((one,) for one in chosen))
            offsets = self._take(source, is_part=chosen is not None, takes_rest=takes_rest)
            if chosen is not None:
                self.db.execute("DROP TABLE taken")
        self.sources.append(source)
        return offsets

    def finish(self) -> None:
        """Leaves nothing of the gathering in the file."""
        self.db.execute("DROP TABLE staged")

    # -- one source

    @contextlib.contextmanager
    def _attached(self, source: Source) -> Iterator[None]:
        path = source.paths.ledger
        with contextlib.ExitStack() as opened:
            try:
                # It may be a copy that is read, of a ledger that another machine is writing.
                reading = connect(path, full_durability=False, read_only=True)
                opened.callback(reading.close)
                (_, _, file) = reading.execute("PRAGMA database_list").fetchone()
                self.db.execute("ATTACH ? AS src", (address_of(Path(file)),))
            except sqlite3.Error as error:
                raise unreadable(path, error) from error
            opened.callback(self.db.execute, "DETACH src")
            yield

    @contextlib.contextmanager
    def _writing(self, source: Source) -> Iterator[None]:
        """One transaction, so that what is read of a ledger is of one moment."""
        self.db.execute("BEGIN")
        try:
            yield
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            if self._refused is not None:
                raise self._refused from error
            is_damage = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
            raise unreadable(source.paths.ledger, error) if is_damage else unwritable(self.path, error) from error
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")
            raise

    def _require_newest(self, source: Source) -> None:
        row = self.db.execute("SELECT value FROM src.meta WHERE name = 'format'").fetchone()
        if row is None or str(row[0]) != str(FORMAT):
            raise OutputError(
                f"{source.name}: Its ledger {source.paths.ledger} has the format {row[0] if row else 'of no ledger'}, and this version of "
                f"datafast writes format {FORMAT}. Run the shard again with this version, which brings it to this format and costs nothing."
            )

    def _take(self, source: Source, *, is_part: bool, takes_rest: bool) -> Offsets:
        items, calls, appends = (self._newest(table) for table in ("items", "calls", "staged"))
        requests = self.requests
        item = f"t.number + {items}" if is_part else f"s.item + {items}"
        self._take_items(source, f"t.number + {items}" if is_part else f"s.id + {items}", is_part=is_part)
        raw = _REPLIES if self._keeps_replies else _NO_REPLIES
        if self._keeps_replies:
            self._take_dictionaries(source)
            self.db.execute("INSERT OR IGNORE INTO main.meta SELECT * FROM src.meta WHERE name = ?", (DROPS,))
        self._copy("calls", {"id": "NULL" if is_part else f"s.id + {calls}", "item": item, **raw}, is_part=is_part)
        self._copy("failures", {"item": item}, is_part=is_part, order="s.item")
        for table in ("changed", "contexts"):
            self._copy(table, {"id": "NULL", "item": item}, is_part=is_part)
        self._copy("filtered", {"id": "NULL", "item": item, "place": f"s.place + {appends}"}, is_part=is_part)
        staged = {"id": f"s.id + {appends}", "source": str(len(self.sources)), "item": item}
        self._copy("appends", staged, is_part=is_part, into="staged", is_scanned=True)
        self._take_batches(item, calls=calls, requests=requests, is_part=is_part, takes_rest=takes_rest)
        if takes_rest:
            self._copy("charges", {"id": "NULL" if is_part else f"s.id + {requests}"})
        row = self.db.execute("SELECT value FROM src.meta WHERE name = 'requests'").fetchone()
        self.requests += int(row[0]) if row else 0
        return Offsets(calls, requests)

    def _take_dictionaries(self, source: Source) -> None:
        """Those that its replies were packed with. Their numbers are nearly random, so that two are the same once in many thousand shards.

        Raises:
            OutputError: this is so here.
        """
        alike = "SELECT 1 FROM src.dictionaries s JOIN main.dictionaries d ON d.id = s.id WHERE d.bytes != s.bytes"
        if self.db.execute(alike).fetchone() is not None:
            raise OutputError(
                f"{source.name}: Its replies are packed with a dictionary whose number another one has for a dictionary of its own. Unpack "
                f"them first: datafast compact {source.paths.rows} --replies keep"
            )
        self.db.execute("INSERT OR IGNORE INTO main.dictionaries SELECT * FROM src.dictionaries")

    def _take_items(self, source: Source, new: str, *, is_part: bool) -> None:
        values = {"id": new}
        if (position_of := source.position_of) is not None:
            self.db.create_function("moved", 1, self._telling(position_of))
            values["position"] = "CASE s.state WHEN 3 THEN s.position ELSE moved(s.position) END"
        self._copy("items", values, is_part=is_part, item="id")

    def _telling(self, position_of: Callable[[int], int]) -> Callable[[int], int]:
        """The function, whose OutputError is kept: SQLite would tell nothing of it."""

        def told(position: int) -> int:
            try:
                return position_of(position)
            except OutputError as error:
                self._refused = error
                raise

        return told

    def _take_batches(self, item: str, *, calls: int, requests: int, is_part: bool, takes_rest: bool) -> None:
        """The batches, and their calls that came back with an error or were never answered. A batch that was divided is one again."""
        first = int(self.db.execute("SELECT coalesce(max(first_call + num_calls), 1) FROM main.batches").fetchone()[0])
        new = {"id": "NULL", "first_call": f"s.first_call + {first}"}
        new_ones = "s.tag NOT IN (SELECT tag FROM main.batches)"
        if not takes_rest:
            new_ones += (
                " AND s.id IN (SELECT c.batch FROM temp.taken t CROSS JOIN src.batch_calls c ON c.item = t.item)"
            )
        self._copy("batches", new, where=new_ones)
        moved = {
            "id": f"s.id + {first}",
            "item": item,
            "batch": "(SELECT b.id FROM main.batches b JOIN src.batches o ON o.tag = b.tag WHERE o.id = s.batch)",
            "request": "-1" if is_part else f"s.request + {requests}",  # -1: no request of this output
            "before_call": _NEWER_THAN_REPLIES if is_part else f"s.before_call + {calls}",
        }
        self._copy("batch_calls", moved, is_part=is_part)

    def _newest(self, table: str) -> int:
        schema = "temp" if table == "staged" else "main"
        return int(self.db.execute(f"SELECT coalesce(max(id), 0) FROM {schema}.{table}").fetchone()[0])  # noqa: S608 - our own names

    def _copy(
        self,
        table: str,
        values: Mapping[str, str],
        *,
        is_part: bool = False,
        into: str | None = None,
        item: str = "item",
        where: str = "",
        order: str = "s.id",
        is_scanned: bool = False,
    ) -> None:
        """Copies rows of a table of the source.

        Args:
            values: what stands in columns whose value is another one, as SQL.
            is_part: whether only those of the items that are taken, one after another; `item` is the column that says whose a row is.
            is_scanned: whether the table has no index on items, and so is gone through.
        """
        schema, name = ("temp", into) if into else ("main", table)
        columns = [row[1] for row in self.db.execute(f"PRAGMA {schema}.table_info({name})")]
        chosen = ", ".join(values.get(column, f"s.{column}") for column in columns)
        found, by = f"src.{table} s", order
        if is_part and is_scanned:
            found += f" CROSS JOIN temp.taken t ON t.item = s.{item}"
        elif is_part:
            # SQLite takes the tables in this order, so it finds the rows of each item by the index that the table has on items.
            found = f"temp.taken t CROSS JOIN {found} ON s.{item} = t.item"
            by = "t.number" if item == "id" else f"t.number, {order}"
        query = f"INSERT INTO {schema}.{name}({', '.join(columns)}) SELECT {chosen} FROM {found}"  # noqa: S608 - our own text
        self.db.execute(f"{query} {f'WHERE {where}' if where else ''} ORDER BY {by}")

    # -- what was taken

    @property
    def newest_item(self) -> int:
        """The id of the newest item."""
        return self._newest("items")

    def twice(self) -> tuple[bytes, list[str]] | None:
        """The key of an item that several sources have, and the files that they are; None where there is none."""
        row = self.db.execute("SELECT key FROM main.items GROUP BY key HAVING count(*) > 1 LIMIT 1").fetchone()
        if row is None:
            return None
        found: list[str] = []
        for source in self.sources:
            with self._attached(source):
                if self.db.execute("SELECT 1 FROM src.items WHERE key = ? LIMIT 1", (row[0],)).fetchone():
                    found.append(source.paths.rows.name)
        return row[0], found

    def tell_apart(self) -> None:
        """Leaves one of each item that several sources have, where all others have left the plan of their source: as with targets, when a
        changed config gives draws to other shards. Of those others their calls stay, which were paid for, under a key that is no item's."""
        self.db.create_function("own_key", 2, lambda key, item: hashed(key + item.to_bytes(8, "little")))
        self.db.execute("BEGIN")
        self.db.execute(
            "CREATE TEMP TABLE others AS SELECT id FROM (SELECT id, state, row_number() OVER (PARTITION BY key ORDER BY state = 3, id) AS "
            "turn FROM main.items) WHERE turn > 1 AND state = 3"
        )
        self.db.execute(
            "UPDATE main.items SET key = own_key(key, id), rows_written = 0, slots = NULL WHERE id IN (SELECT id FROM temp.others)"
        )
        for table in ("temp.staged", "main.failures", "main.changed", "main.contexts", "main.filtered"):
            self.db.execute(f"DELETE FROM {table} WHERE item IN (SELECT id FROM temp.others)")  # noqa: S608 - our own names
        self.db.execute("DROP TABLE temp.others")
        self.db.execute("COMMIT")

    def renumbered_requests(self) -> int:
        """How many requests under a budget this ledger stands for, where it has a part of what others have."""
        charges = self._newest("charges")
        if not charges and not self.requests:
            return 0
        (attempts,) = self.db.execute("SELECT coalesce(sum(attempts), 0) FROM main.calls").fetchone()
        return int(attempts) + charges
