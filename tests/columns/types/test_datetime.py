"""Dates and times."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from datafast.facades.sample import sample
from tests.columns.support import refusal, rows, values


def test_datetimes_lie_between_their_bounds(tmp_path: Path) -> None:
    found = values(tmp_path, {"type": "datetime", "start": "2024-01-30", "end": "2024-02-01T06:00:00"}, count=50)
    moments = [datetime.fromisoformat(text) for text in found]
    assert all(datetime(2024, 1, 30) <= moment <= datetime(2024, 2, 1, 6) for moment in moments)
    assert len(set(moments)) == 50


def test_datetimes_in_whole_days_and_in_a_format_and_after_another(tmp_path: Path) -> None:
    schema = {
        "day": {"type": "datetime", "start": date(2024, 1, 1), "end": date(2024, 1, 3), "unit": "day"},
        "later": {"type": "datetime", "start": "{day}", "end": "2024-01-05", "unit": "day"},
        "written": {"type": "datetime", "start": "2024-01-01", "end": "2024-01-01", "format": "%d.%m.%y"},
    }
    found = rows(tmp_path, schema, count=30)
    assert {row["day"] for row in found} == {"2024-01-01", "2024-01-02", "2024-01-03"}
    assert all(row["day"] <= row["later"] <= "2024-01-05" for row in found)
    assert {row["written"] for row in found} == {"01.01.24"}


def test_the_last_day_is_drawn_like_every_other(tmp_path: Path) -> None:
    for end in ("2024-01-03", date(2024, 1, 3), "{last}"):
        schema = {
            "last": {"type": "constant", "value": "2024-01-03"},
            "day": {"type": "datetime", "start": "2024-01-01", "end": end, "format": "%d"},
        }
        found = [row["day"] for row in rows(tmp_path / str(end), schema, count=300)]
        assert all(70 < found.count(day) < 130 for day in ("01", "02", "03"))


def test_an_end_with_a_time_is_that_moment(tmp_path: Path) -> None:
    column = {"type": "datetime", "start": "2024-01-01", "end": "2024-01-01T00:00:00"}
    assert set(values(tmp_path, column)) == {"2024-01-01T00:00:00"}


def test_bounds_may_be_written_in_the_samplers_format(tmp_path: Path) -> None:
    column = sample.datetime("30/01/2024", "31/01/2024", format="%d/%m/%Y")
    assert set(values(tmp_path, column, count=40)) == {"30/01/2024", "31/01/2024"}
    assert "expected a date as 2024-01-31" in refusal(tmp_path, {"x": sample.datetime("soon", "2024-01-01")})
