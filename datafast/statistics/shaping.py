"""What shaped the texts, and which combinations of values have rows, in words and tables for a console, a notebook and a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datafast.amounts import counted
from datafast.statistics.coverage import AxesCoverage, Coverage
from datafast.statistics.placeholder_effect import PlaceholderEffect

__all__ = ["EFFECT_HEADINGS", "coverage_lines", "effect_cells", "effect_title"]

EFFECT_HEADINGS = ("", "values", "told", "95 %", "by chance", "effect", "without its words")
_LOST = 5


def effect_title(effects: Sequence[PlaceholderEffect]) -> str:
    """What the table says."""
    texts = max((effect.texts for effect in effects), default=0)
    return f"which values are told from the texts, in {counted(texts, 'text')}"


def effect_cells(effects: Sequence[PlaceholderEffect]) -> list[list[str]]:
    """A row for each effect, the largest first."""
    ranked = sorted(effects, key=lambda effect: (-effect.effect, effect.name))
    return [
        [
            one.name,
            f"{one.values:,}{' of ' + format(one.values + one.values_left_out, ',') if one.values_left_out else ''}",
            f"{one.accuracy:.0%}",
            f"{one.low:.0%}-{one.high:.0%}",
            f"{one.chance:.0%}",
            "at chance" if one.is_at_chance else f"{one.effect:.2f}",
            "" if one.is_at_chance else f"{one.effect_without_words:.2f}",
        ]
        for one in ranked
    ]


def coverage_lines(coverage: Coverage) -> Iterator[tuple[str, str]]:
    """What is lost, line by line, each with the axes that it is about; nothing where nothing is."""
    if not coverage.prompts_lost and not any(one.lost for one in coverage.of):
        return
    looked_at = (
        ""
        if coverage.items == coverage.items_looked_at
        else f" of the {coverage.items_looked_at:,} items that were looked at"
    )
    yield (
        "prompts",
        f"{coverage.prompts_lost:,} of {coverage.prompts:,}{looked_at} have lost all rows; `datafast generate --fill` buys them again",
    )
    for one in coverage.of:
        if one.lost:
            yield " x ".join(one.axes), _told(one)


def _told(one: AxesCoverage) -> str:
    listed = [" + ".join(lost.values.values()) for lost in one.lost_combinations[:_LOST]]
    more = f" and {one.lost - len(listed):,} more" if one.lost > len(listed) else ""
    return f"{one.lost:,} of {one.combinations:,} have lost all rows: {', '.join(listed)}{more}"
