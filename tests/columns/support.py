"""What the tests of columns share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from datafast.llms.simulated.provider import SimulatedProvider
from tests.support import assert_balanced, columns, rows_of

SIM = SimulatedProvider("m")
SOURCE = [{"q": f"question {number}", "a": f"answer {number}", "n": number} for number in range(5)]


def rows(
    folder: Path, schema: dict[str, Any], *, count: int = 6, provider: Any = SIM, seed: int = 0, **fields: Any
) -> list[dict[str, Any]]:
    """The rows of a dataset in the order of their numbers: with one request at a time they come in it."""
    dataset = columns(folder, schema, rows=count, run={"seed": seed, "max_concurrency": 1}, **fields)
    dataset.generate(dict.fromkeys(dataset.config.roles, provider))
    assert assert_balanced(dataset.report).failed == 0
    found = rows_of(dataset.config.output_file)
    assert len(found) == count
    return found


def values(folder: Path, column: Any, *, count: int = 6, seed: int = 0) -> list[Any]:
    return [row["x"] for row in rows(folder, {"x": column}, count=count, seed=seed)]


def refusal(folder: Path, schema: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        columns(folder, schema, **options)
    return "\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in caught.value.errors())
