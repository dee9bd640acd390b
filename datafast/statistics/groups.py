"""Groups of rows, from the columns of entries and of replies.

What an item's replies have cost is divided evenly over its rows, also over those that were filtered or have failed: whatever role a
reply was for, and whether it was of use. So groups by what rows are about add up to the whole, but for what was paid for items that have no
such row yet. Groups by provider and role have the replies of that provider or role alone, and all rows of the items that these are
of. Seconds and endings of replies count in each group that has a row of their item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from datafast.statistics.calls import Calls
from datafast.statistics.entries import DROPPED, FAILED, OTHERS, UNKNOWN, WRITTEN, Entries
from datafast.statistics.looked_at import LookedAt
from datafast.statistics.models import Group, Grouping, Histogram, Rate, Spread, rate_of
from datafast.statistics.rows import NO_ITEM
from datafast.store.records import by_stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from datafast.statistics.fields import Field

    Numbers = NDArray[np.int64]

__all__ = ["MOST_GROUPS", "Groups"]

MOST_GROUPS = 200
"""Groups of each field that are told, the largest ones; the others are told together."""
_BINS = 20


class Groups:
    """Makes groups of entries.

    Args:
        entries: the rows.
        calls: the paid replies; None if there is no ledger.
        failed_at: the provider at which each failed item has failed.
        looked_at: the sampled rows.
        removed: items that have left the plan although their rows stay. Of these it is not known which stages dropped, so they do not
            count for the acceptance.
    """

    def __init__(
        self,
        entries: Entries,
        calls: Calls | None,
        failed_at: dict[int, str],
        looked_at: LookedAt,
        removed: Collection[int] = (),
    ) -> None:
        import numpy as np

        self._entries = entries
        self._calls = calls
        self._failed_at = failed_at
        self._outcome = np.frombuffer(entries.outcome, np.uint8) if len(entries) else np.zeros(0, np.uint8)
        self._item = _array(entries.item, np.int64)
        self._is_removed = np.isin(self._item, np.fromiter(removed, np.int64, len(removed)))
        self._why = _array(entries.why, np.int32)
        self._characters = _array(entries.characters, np.int64)
        self._words = _array(entries.words, np.int64)
        self._hashes = _array(entries.text_hash, np.int64)
        self._rows_of_item = np.bincount(self._item) if len(entries) else np.zeros(1, np.int64)
        self._sampled = np.array([row.entry for row in entries.sampled], np.int64)
        self._looked_at = looked_at
        self._near = np.full(len(entries), -1, np.int8)
        self._near[_array(entries.near.rows, np.int64)] = _array(entries.near.repeats, np.uint8)
        written = self._outcome == WRITTEN
        self._edges = [_edges(column[written]) for column in (self._characters, self._words)]

    def total(self) -> Group:
        """All rows and all replies."""
        import numpy as np

        every = np.arange(len(self._entries))
        calls = None if self._calls is None else np.arange(len(self._calls))
        return self._group(None, every, calls, None)

    def by_field(self, number: int, field: Field) -> Grouping:
        """The groups by a field of the rows, by its number."""
        import numpy as np

        codes = _array(self._entries.codes[number], np.int32)
        values = self._entries.values[number]
        order = np.argsort(codes, kind="stable")
        found, starts = np.unique(codes[order], return_index=True)
        parts = dict(zip(found.tolist(), np.split(order, starts[1:]), strict=True)) if len(order) else {}
        ranked = sorted((code for code in parts if code >= 0), key=lambda code: (-len(parts[code]), values[code]))
        shown, rest = ranked[:MOST_GROUPS], ranked[MOST_GROUPS:]
        others = [parts[code] for code in [*rest, *([OTHERS] if OTHERS in parts else [])]]
        return Grouping(
            field=field.name,
            kind=field.kind,
            groups=[self._of_rows(values[code], parts[code]) for code in shown],
            num_values=len(ranked) + (OTHERS in parts),
            others=self._of_rows(None, np.sort(np.concatenate(others))) if others else None,
            unknown=self._of_rows(None, parts[UNKNOWN]) if UNKNOWN in parts else None,
        )

    def by_provider(self) -> Grouping | None:
        """The groups by provider."""
        if self._calls is None:
            return None
        return self._by_calls("provider", self._calls, self._calls.provider, self._calls.providers, self._failed_at)

    def by_role(self) -> Grouping | None:
        """The groups by role; None where there is only one."""
        if self._calls is None or len(self._calls.roles) < 2:
            return None
        return self._by_calls("role", self._calls, self._calls.role, self._calls.roles, {})

    def _by_calls(self, field: Any, replies: Calls, codes: Any, names: list[str], more: dict[int, str]) -> Grouping:
        """The groups by what replies have. `more`: the names of items besides."""
        import numpy as np

        groups, seen = [], np.zeros(len(self._entries), np.int64)
        for name in dict.fromkeys([*names, *more.values()]):
            calls = np.flatnonzero(codes == names.index(name)) if name in names else np.zeros(0, np.int64)
            others = np.array([item for item, other in more.items() if other == name], np.int64)
            items = np.unique(np.concatenate([replies.item[calls], others]))
            rows = np.flatnonzero(np.isin(self._item, items))
            seen[rows] += 1
            groups.append(self._group(name, rows, calls, None))
        unknown = np.flatnonzero(seen == 0)
        return Grouping(
            field=field,
            kind=field,
            overlaps=bool((seen > 1).any()),
            groups=sorted(groups, key=lambda group: -group.rows)[:MOST_GROUPS],
            num_values=len(groups),
            unknown=self._group(None, unknown, np.zeros(0, np.int64), None) if len(unknown) else None,
        )

    def _of_rows(self, value: str | None, rows: Numbers) -> Group:
        """A group with its part of what its items' replies were."""
        import numpy as np

        if self._calls is None:
            return self._group(value, rows, None, None)
        items, counts = np.unique(self._item[rows], return_counts=True)
        counts, items = counts[items != NO_ITEM], items[items != NO_ITEM]
        calls = self._calls.of_items(items)
        part = counts / self._rows_of_item[items]
        return self._group(value, rows, calls, part[np.searchsorted(items, self._calls.item[calls])])

    def _group(self, value: str | None, rows: Numbers, calls: Numbers | None, part: Any) -> Group:
        """A group of rows and replies, of each of which it has a part; None for all of it."""
        import numpy as np

        outcome = self._outcome[rows]
        written = rows[outcome == WRITTEN]
        dropped, failed = rows[outcome == DROPPED], rows[outcome == FAILED]
        sampled = np.flatnonzero(_within(self._sampled, rows))
        of_written = sampled[self._outcome[self._sampled[sampled]] == WRITTEN]
        with_text = written[self._characters[written] > 0]
        used = {} if calls is None or self._calls is None else _used(self._calls, calls, part, len(written))
        return Group(
            value=value,
            rows=len(written),
            filtered=len(dropped),
            failed=len(failed),
            acceptance=None if self._calls is None else _acceptance(rows, written, self._is_removed),
            filtered_by_stage=by_stage(_counted(self._why[dropped], self._entries.reasons)),
            failures=dict(_counted(self._why[failed], self._entries.categories).most_common()),
            characters=_spread(self._characters[written], self._edges[0]),
            words=_spread(self._words[written], self._edges[1]),
            repeated=rate_of(len(with_text) - len(np.unique(self._hashes[with_text])), len(with_text)),
            near_duplicates=_rate(self._near[written]),
            **self._looked_at.told(sampled, of_written),
            **used,
        )


def _acceptance(rows: Numbers, written: Numbers, is_removed: Any) -> float | None:
    """The share of rows that was written, without those of items that have left the plan; None if there are no others."""
    made = len(rows) - int(is_removed[rows].sum())
    return (len(written) - int(is_removed[written].sum())) / made if made else None


def _used(replies: Calls, calls: Numbers, part: Any, written: int) -> dict[str, Any]:
    """What replies were, of each of which a group has a part; None for all of it."""
    import numpy as np

    weights = np.ones(len(calls)) if part is None else part
    cost = float((replies.cost[calls] * weights).sum())
    known = None if np.isnan(cost) else cost
    latency = replies.latency[calls]
    p50, p95 = np.quantile(latency, [0.5, 0.95]).tolist() if len(latency) else (None, None)
    return {
        "calls": round(weights.sum()),
        "retries": round((replies.retries[calls] * weights).sum()),
        "truncated": _rate(replies.truncated[calls]),
        "declined": _rate(replies.declined[calls]),
        "input_tokens": round((replies.input_tokens[calls] * weights).sum()),
        "output_tokens": round((replies.output_tokens[calls] * weights).sum()),
        "cost_usd": known,
        "cost_per_row_usd": known / written if known is not None and written else None,
        "latency_p50_s": p50,
        "latency_p95_s": p95,
    }


def _array(column: Any, kind: Any) -> Any:
    import numpy as np

    return np.frombuffer(column, kind) if len(column) else np.zeros(0, kind)


def _within(values: Any, rows: Any) -> Any:
    """Which of the values are in `rows`, which rise."""
    import numpy as np

    if not len(rows):
        return np.zeros(len(values), bool)
    places = np.searchsorted(rows, values)
    return rows[np.minimum(places, len(rows) - 1)] == values


def _counted(codes: Any, names: list[Any]) -> Counter[Any]:
    import numpy as np

    return Counter({names[code]: int(n) for code, n in zip(*np.unique(codes, return_counts=True), strict=True)})


def _rate(marks: Any) -> Rate | None:
    looked_at = marks[marks >= 0]
    return rate_of(int(looked_at.sum()), len(looked_at))


def _edges(values: Any) -> list[float]:
    """Edges of whole numbers, equally far apart but the last one, so that a few long texts do not hide how the others differ."""
    import numpy as np

    if not len(values):
        return []
    step = max(1, int(np.ceil(np.quantile(values, 0.99) / (_BINS - 1))))
    edges = [float(step * number) for number in range(_BINS)]
    return [*edges, max(float(values.max()), edges[-1] + step)]


def _spread(values: Any, edges: list[float]) -> Spread | None:
    import numpy as np

    if not len(values):
        return None
    p5, p50, p95 = np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    counts = np.histogram(values, edges)[0].tolist()
    return Spread(mean=float(values.mean()), p5=p5, p50=p50, p95=p95, histogram=Histogram(edges=edges, counts=counts))
