"""Tables of counts added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["added", "added_by_group"]


def added(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of each name, most first."""
    counts: Counter[str] = Counter()
    for table in tables:
        counts.update(table)
    return dict(counts.most_common())


def added_by_group(tables: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """The same of tables in which names stand in groups."""
    counts: Counter[tuple[str, str]] = Counter()
    for table in tables:
        for group, names in table.items():
            counts.update({(group, name): count for name, count in names.items()})
    found: dict[str, dict[str, int]] = {}
    for (group, name), count in counts.most_common():
        found.setdefault(group, {})[name] = count
    return found
