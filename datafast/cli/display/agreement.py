"""How far the judges in an output agree, in lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datafast._util.user_path import is_file

__all__ = ["agreement_lines", "told_agreement"]


def told_agreement(path: Path) -> dict[str, dict[str, Any]]:
    """The agreement of the judges in an output file as JSON, by where in its rows they stand; empty where there are no two judges."""
    if not _may_have_judges(path):
        return {}
    from datafast.errors import MissingExtraError
    from datafast.judging.output import agreements_in, judges_in

    judges = judges_in(path)
    told: dict[str, dict[str, Any]] = {
        place: {"judges": names, "alpha": None, "rows": None, "pairs": {}, "note": None}
        for place, names in judges.items()
    }
    try:
        found = agreements_in(path) if judges else {}
    except MissingExtraError as error:
        for entry in told.values():
            entry["note"] = str(error)
        return told
    for place, agreement in found.items():
        pairs = {f"{one}, {other}": alpha for (one, other), alpha in agreement.pairs.items()}
        told[place] |= {"alpha": agreement.alpha, "rows": agreement.num_rows, "pairs": pairs}
    return told


def _may_have_judges(path: Path) -> bool:
    """Whether the first row may name judges; what reads them is loaded only then."""
    if not is_file(path):
        return False
    with path.open("rb") as file:
        line = file.readline()
    return b'"judgements"' in line or b'"scores_by_judge"' in line


def agreement_lines(told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each of them."""
    for place, entry in told.items():
        judges = ", ".join(entry["judges"])
        if entry["note"] is not None:
            yield f"{place} of {judges}: {entry['note']}"
        elif entry["alpha"] is None:
            yield f"{place} of {judges}: not known, since all scores are equal"
        else:
            what = "candidates" if place == "best_of_n" else "rows"
            yield f"{place} of {judges}: {entry['alpha']:.2f} over {entry['rows']:,} {what} (Krippendorff's alpha)"
