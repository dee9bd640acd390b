"""Every column has random numbers of its own: others that come, go or move change nothing, and YAML gives what Python gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from datafast.cli.main import cli
from tests.columns.support import rows
from tests.support import rows_of

CASE = [{"when": "g > 2", "mean": 9}]
DRAWN: dict[str, dict[str, Any]] = {
    "a": {"type": "choice", "values": [1, 2, 3]},
    "b": {"type": "choice", "values": {"x": 2, "y": 1}, "mode": "balanced"},
    "c": {"type": "range", "start": 0, "end": 1.0},
    "d": {"type": "normal", "mean": 0, "std": 1},
    "e": {"type": "lognormal", "median": 9, "sigma": 1},
    "f": {"type": "exponential", "mean": 1},
    "g": {"type": "poisson", "mean": 3},
    "h": {"type": "binomial", "n": 9, "p": 0.5},
    "i": {"type": "normal", "mean": 0, "std": 1, "cases": CASE},
    "j": {"type": "choice", "values": [1, 2]},
    "k": {"type": "choice", "values": [1, 2]},
}
BETWEEN: dict[str, Any] = {
    "joint": [{"values": {"j": 1, "k": 1}, "rate": 0.7}],
    "constraints": ["d < f", "f < e", "j + k < 4"],
}


def test_a_column_more_changes_no_other(tmp_path: Path) -> None:
    found = rows(tmp_path / "a", DRAWN, count=20, seed=3, **BETWEEN)
    more = {"z": {"type": "uuid"}, **DRAWN, "y": {"type": "normal", "mean": "d", "std": 1}}
    for row, other in zip(found, rows(tmp_path / "b", more, count=20, seed=3, **BETWEEN), strict=True):
        assert {name: other[name] for name in row} == row


def test_another_order_of_the_columns_changes_none(tmp_path: Path) -> None:
    found = rows(tmp_path / "a", DRAWN, count=20, seed=3, **BETWEEN)
    assert rows(tmp_path / "b", dict(reversed(DRAWN.items())), count=20, seed=3, **BETWEEN) == found


@pytest.mark.parametrize("name", sorted(DRAWN.keys() - {"i", "j", "k"}))
def test_columns_of_different_names_are_independent(tmp_path: Path, name: str) -> None:
    found = rows(tmp_path, {"one": DRAWN[name], "other": DRAWN[name]}, count=40)
    assert any(row["one"] != row["other"] for row in found)


def test_yaml_gives_what_python_gives(tmp_path: Path) -> None:
    """JSON is YAML, so the schema need not be written twice."""
    found = rows(tmp_path / "a", DRAWN, count=20, seed=3, **BETWEEN)
    config = {
        "kind": "columns",
        "output_file": str(tmp_path / "rows.jsonl"),
        "num_rows": 20,
        "columns": DRAWN,
        "run": {"seed": 3, "max_concurrency": 1},
        **BETWEEN,
    }
    (tmp_path / "config.yaml").write_bytes(orjson.dumps(config))
    planned = CliRunner().invoke(cli, ["plan", str(tmp_path / "config.yaml")])
    assert planned.exit_code == 0, planned.output
    assert "20" in planned.output
    done = CliRunner().invoke(cli, ["generate", str(tmp_path / "config.yaml")])
    assert done.exit_code == 0, done.output
    assert rows_of(tmp_path / "rows.jsonl") == found


def test_the_command_line_says_which_constraint_cannot_hold(tmp_path: Path) -> None:
    config = {
        "kind": "columns",
        "output_file": str(tmp_path / "rows.jsonl"),
        "num_rows": 20,
        "columns": {"a": {"type": "range", "start": 1, "end": 3}},
        "constraints": ["a > 3"],
    }
    (tmp_path / "config.yaml").write_bytes(orjson.dumps(config))
    for command in ("plan", "generate"):
        done = CliRunner().invoke(cli, [command, str(tmp_path / "config.yaml")])
        assert done.exit_code == 2
        assert "constraints.0: 'a > 3' did not hold in 10,000 of 10,000 draws of a for row" in " ".join(
            done.output.split()
        )
