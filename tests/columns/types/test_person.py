"""Made-up people."""

from __future__ import annotations

from pathlib import Path

from tests.columns.support import rows, values


def test_people_have_what_was_asked_for(tmp_path: Path) -> None:
    schema = {
        "who": {"type": "person", "locale": ["de_DE", "ja_JP"], "min_age": 20, "max_age": 30},
        "name": {"type": "person", "field": "name", "sex": "female"},
        "place": {"type": "person", "fields": ["city", "email"]},
    }
    found = rows(tmp_path, schema, count=20)
    assert all(20 <= row["who"]["age"] <= 30 for row in found)
    assert all(row["who"]["email"].split("@")[1].startswith("example.") for row in found)
    assert len({row["name"] for row in found}) > 10
    assert all(set(row["place"]) == {"city", "email"} for row in found)
    assert found == rows(tmp_path / "again", schema, count=20)


def test_a_person_stays_the_same_when_one_more_field_is_asked_for(tmp_path: Path) -> None:
    few = values(tmp_path / "a", {"type": "person", "fields": ["name", "city"]})
    more = values(tmp_path / "b", {"type": "person", "fields": ["name", "city", "job", "phone"]})
    assert few == [{"name": person["name"], "city": person["city"]} for person in more]
