"""Rows that stages have dropped, in the ledger: the row, the stage, the reason, the number that it decided by, and the place.

A place is an append of the row's item, with which the item was finished; the append may have no rows. A row whose place is not known any
more gets the last one of its item before all rows are decided about again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence

from datafast.store.records import FilteredLine, FilteredRow, PlacedRow, Remade
from datafast.store.row_values import filtered_values, masks_from, numbers_of, storable, unpack

__all__ = ["FilteredTable"]

_WITH_ITEMS = "filtered CROSS JOIN items ON items.id = filtered.item"


class FilteredTable:
    """The table `filtered`. Methods that write are called inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def put(self, rows: Iterable[FilteredRow]) -> None:
        self._db.executemany(
            "INSERT INTO filtered(item, number, stage, reason, row, at, place, score, generation, hidden) "
            "VALUES(?,?,?,?,?,?,?,?,?,?)",
            map(filtered_values, rows),
        )

    def remove(self, ids: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM filtered WHERE id = ?", ((one,) for one in ids))

    def reword(self, told: Iterable[tuple[str, str, float | None, int]]) -> None:
        """Gives rows another stage, reason and score, by id."""
        self._db.executemany(
            "UPDATE filtered SET stage = ?, reason = ?, score = ? WHERE id = ?",
            ((storable(stage), storable(reason), score, one) for stage, reason, score, one in told),
        )

    def retell(self, told: Iterable[tuple[bytes, int]]) -> None:
        """Gives rows another line, by id."""
        self._db.executemany("UPDATE filtered SET row = ? WHERE id = ?", told)

    def forget_items(self, item_ids: Iterable[int]) -> None:
        """Removes the rows of these items."""
        self._db.executemany("DELETE FROM filtered WHERE item = ?", ((item_id,) for item_id in item_ids))

    def forget_rows(self, rows: Mapping[int, int]) -> None:
        """Removes rows by item, given by their numbers as a bit mask."""
        numbers = ((item_id, number) for item_id, mask in rows.items() for number in numbers_of(mask))
        self._db.executemany("DELETE FROM filtered WHERE item = ? AND number = ?", numbers)

    def forget_but(self, item_id: int, slots: int, *, first: int = 0) -> None:
        """Removes the rows of an item from number `first` on, without other generations of those in `slots` (a bit mask)."""
        query = "SELECT number, min(hidden) FROM filtered WHERE item = ? AND number >= ? GROUP BY number"
        found = self._db.execute(query, (item_id, first)).fetchall()
        gone = [number for number, is_hidden in found if not (is_hidden and slots >> number & 1)]
        self.forget_rows({item_id: sum(1 << number for number in gone)})

    # -- generations

    @property
    def has_generations(self) -> bool:
        """Whether a row was made again, or is to be."""
        found = "SELECT EXISTS(SELECT 1 FROM filtered WHERE hidden = 1 OR generation > 0)"
        return bool(self._db.execute(found).fetchone()[0])

    def hide(self, ids: Iterable[int], *, is_hidden: bool) -> None:
        """Notes that rows do not count, or that they do."""
        self._db.executemany("UPDATE filtered SET hidden = ? WHERE id = ?", ((int(is_hidden), one) for one in ids))

    def generations(self) -> Generator[tuple[int, int, int, bool, int, int, str], None, None]:
        """All rows of items that are in the plan, by item, number and generation: item, number, the item's state, whether another
        generation is in the file; the row's id, whether it does not count, and the stage that has dropped it."""
        query = (
            f"SELECT item, number, state, slots, rows_written, filtered.id, hidden, stage FROM {_WITH_ITEMS} "  # noqa: S608 - our own text
            "WHERE state != 3 AND number < num_rows ORDER BY item, number, filtered.generation"
        )
        for item, number, state, slots, count, row, hidden, stage in self._db.execute(query):
            yield item, number, state, bool(unpack(slots, count) >> number & 1), row, hidden, stage

    def shown_of(self, item_id: int) -> dict[int, int]:
        """By number, which generation of a row of an item is in the file if one is: the first that is not here."""
        query = "SELECT number, generation FROM filtered WHERE item = ? ORDER BY number, generation"
        found: dict[int, int] = {}
        for number, generation in self._db.execute(query, (item_id,)):
            if found.setdefault(number, 0) == generation:
                found[number] += 1
        return found

    def to_replace(self, item_ids: Sequence[int]) -> dict[int, dict[int, Remade]]:
        """By item and number: rows of whose dropped generations none counts. One of another generation may be in the file."""
        marks = ",".join("?" * len(item_ids))
        query = (
            "SELECT item, number, count(*), sum(hidden) = count(*), max(generation), reason, stage, "  # noqa: S608 - question marks
            "CASE stage WHEN 'review' THEN row ELSE '' END FROM filtered "
            f"WHERE item IN ({marks}) GROUP BY item, number"
        )
        found: dict[int, dict[int, Remade]] = {}
        for item, number, rows, is_hidden, _, reason, stage, line in self._db.execute(query, item_ids):
            if is_hidden:
                found.setdefault(item, {})[number] = Remade(rows, reason, stage, line or b"")
        return found

    # -- places

    def forget_places(self, *, all_of_them: bool) -> None:
        """Forgets places that are no append any more, or all of them."""
        known = "" if all_of_them else "AND place NOT IN (SELECT id FROM appends)"
        self._db.execute(f"UPDATE filtered SET place = NULL WHERE place IS NOT NULL {known}")  # noqa: S608 - our own text

    def forget_places_after_last(self) -> None:
        """Forgets places behind the last append: new appends will have their ids."""
        self._db.execute("UPDATE filtered SET place = NULL WHERE place > (SELECT coalesce(max(id), 0) FROM appends)")

    def give_places(self, *, last: int, end: int) -> None:
        """Gives each row that has no place the last one of its item, or a new one at the end of the file if that has none.

        Args:
            last: the id of the last append; `end`: where the file ends.
        """
        if not self._db.execute("SELECT 1 FROM filtered WHERE place IS NULL LIMIT 1").fetchone():
            return
        without = "SELECT item, min(id) AS first FROM filtered WHERE place IS NULL GROUP BY item"
        self._db.execute("CREATE TEMP TABLE last_places(item INTEGER PRIMARY KEY, id INTEGER)")
        self._db.execute(
            f"INSERT INTO last_places SELECT item, max(id) FROM appends WHERE item IN (SELECT item FROM ({without})) GROUP BY item"  # noqa: S608
        )
        self._db.execute(
            "INSERT INTO appends SELECT ? + row_number() OVER (ORDER BY first), item, 0, ?, 0, 0, NULL "  # noqa: S608
            f"FROM ({without}) WHERE item NOT IN (SELECT item FROM last_places)",
            (last, end),
        )
        self._db.execute("INSERT INTO last_places SELECT item, id FROM appends WHERE id > ?", (last,))
        self._db.execute(
            "UPDATE filtered SET place = (SELECT l.id FROM last_places l WHERE l.item = filtered.item) WHERE place IS NULL"
        )
        self._db.execute("DROP TABLE last_places")

    # -- reading

    def by_place(self) -> Generator[PlacedRow, None, None]:
        """All rows that have a place, in the order of the file."""
        query = (
            "SELECT id, place, number, stage, reason, score, row, generation FROM filtered WHERE place IS NOT NULL "
            "ORDER BY place, number"
        )
        for row in self._db.execute(query):
            yield PlacedRow(*row)

    def lines(self) -> Generator[FilteredLine, None, None]:
        """The rows of items that are in the plan, in the order in which they were dropped."""
        query = (
            "SELECT filtered.id, item, position, key, number, stage, reason, score, row, at, filtered.generation, hidden "  # noqa: S608 - our own text
            f"FROM {_WITH_ITEMS} WHERE state != 3 ORDER BY filtered.id"
        )
        for row in self._db.execute(query):
            yield FilteredLine(*row)

    def of_item(self, item_id: int) -> list[PlacedRow]:
        """The rows of an item by their numbers; their place is 0 where it is not known."""
        query = "SELECT id, coalesce(place, 0), number, stage, reason, score, row, generation FROM filtered WHERE item = ? ORDER BY number"
        return [PlacedRow(*row) for row in self._db.execute(query, (item_id,))]

    def counts(self) -> Counter[tuple[str, str]]:
        """The rows of items that are in the plan, by stage and reason; a row that was made several times counts once."""
        query = (
            "SELECT stage, reason, sum(found) FROM (SELECT stage, reason, rows AS found FROM sealed_filtered "
            "UNION ALL SELECT stage, reason, count(*) FROM filtered WHERE id > (SELECT dropped FROM sealed) AND NOT hidden GROUP BY 1, 2 "
            "UNION ALL SELECT stage, reason, -count(*) FROM items CROSS JOIN filtered ON filtered.item = items.id "
            "WHERE EXISTS(SELECT 1 FROM filtered) AND state = 3 AND state != 1 AND NOT hidden GROUP BY 1, 2) "
            "GROUP BY 1, 2 HAVING sum(found) > 0"
        )
        return Counter({(stage, reason): rows for stage, reason, rows in self._db.execute(query)})

    def by_position(self) -> Generator[tuple[int, str, int], None, None]:
        """The rows of each item that is in the plan, by stage: its position, the stage, how many."""
        yield from self._db.execute(
            f"SELECT position, stage, count(*) FROM {_WITH_ITEMS} WHERE state != 3 AND NOT hidden GROUP BY filtered.item, stage"  # noqa: S608 - our own text
        )

    def in_plan(self) -> dict[int, int]:
        """The numbers of the rows, as a bit mask, of each item that is in the plan."""
        return masks_from(self._db.execute(f"SELECT item, number FROM {_WITH_ITEMS} WHERE state != 3"))  # noqa: S608 - our own text

    def counted(self) -> dict[int, int]:
        """The same, without those that do not count."""
        query = f"SELECT item, number FROM {_WITH_ITEMS} WHERE state != 3 AND NOT hidden"  # noqa: S608 - our own text
        return masks_from(self._db.execute(query))

    def of_unfinished(self) -> dict[int, int]:
        """The same of each item that is open or has failed, of rows that count."""
        query = (
            "SELECT item, number FROM items CROSS JOIN filtered ON filtered.item = items.id WHERE EXISTS(SELECT 1 FROM filtered) "
            "AND state IN (0, 2) AND state != 1 AND NOT hidden"
        )
        return masks_from(self._db.execute(query))
