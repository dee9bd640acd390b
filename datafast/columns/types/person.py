"""Columns of made-up people, from Faker's word lists: nothing is fetched, and the same seed gives the same people.

Limits: Faker's lists change between its releases, so that the same seed may give other people after an upgrade; rows that are there stay.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import did_you_mean
from datafast.columns.base import Cell, NonBlank, Setup
from datafast.columns.drawn import DrawnColumn
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from faker import Faker

__all__ = ["PERSON_FIELDS", "PersonColumn"]

PersonField = Literal[
    "first_name",
    "last_name",
    "name",
    "sex",
    "age",
    "email",
    "phone",
    "street",
    "city",
    "postcode",
    "country",
    "job",
    "company",
]
PERSON_FIELDS: tuple[PersonField, ...] = PersonField.__args__  # type: ignore[attr-defined]

_FAMILY_NAME_FIRST = frozenset(["hu_HU", "ja_JP", "ko_KR", "vi_VN", "zh_CN", "zh_TW"])
_MADE: dict[str, Callable[[Any], str]] = {
    "phone": lambda faker: faker.phone_number(),
    "street": lambda faker: faker.street_address(),
    "city": lambda faker: faker.city(),
    "postcode": lambda faker: faker.postcode(),
    "country": lambda faker: faker.current_country(),
    "job": lambda faker: faker.job(),
    "company": lambda faker: faker.company(),
}


@lru_cache(maxsize=32)
@foreign_warnings_ignored()
def _faker(locale: str) -> Faker:
    from faker import Faker

    return Faker(locale)


@foreign_warnings_ignored()
def _locales() -> frozenset[str]:
    from faker.config import AVAILABLE_LOCALES

    return frozenset(AVAILABLE_LOCALES)


class PersonColumn(DrawnColumn):
    """A made-up person: one field as text, or several as an object."""

    type: Literal["person"] = "person"
    """A made-up person."""
    same_in_cases = ("field", "fields")

    locale: NonBlank | list[NonBlank] = "en_US"
    """Where the person lives, like de_DE; of a list, one for each row."""

    field: PersonField | None = None
    """One field of the person, so that the cell is a text (a number for age)."""

    fields: list[PersonField] | None = Field(default=None, min_length=1)
    """The fields of the object; first_name, last_name, name, sex, age, email, city, country and job by default."""

    sex: Literal["female", "male"] | None = None
    """Either, by default."""

    min_age: int = Field(default=18, ge=0, le=120)
    """The youngest."""
    max_age: int = Field(default=80, ge=0, le=120)
    """The oldest."""

    _locales: tuple[str, ...] = PrivateAttr(default=())
    _fields: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _consistent(self) -> PersonColumn:
        if self.field is not None and self.fields is not None:
            raise ValueError("field: gives a text, and fields an object. Leave one of them out.")
        if self.min_age > self.max_age:
            raise ValueError(f"min_age: {self.min_age} is more than max_age, {self.max_age}. Exchange them.")
        return self

    def prepare_draw(self, setup: Setup) -> None:
        self._locales = (self.locale,) if isinstance(self.locale, str) else tuple(self.locale)
        known = _locales()
        for locale in self._locales or ("",):
            if locale not in known:
                raise ConfigError(f"locale: There is no locale {locale!r}. {did_you_mean(locale, sorted(known))}")
        default = ("first_name", "last_name", "name", "sex", "age", "email", "city", "country", "job")
        self._fields = (self.field,) if self.field else tuple(dict.fromkeys(self.fields or default))

    def draw(self, cell: Cell) -> Any:
        rng = cell.rng()
        person = _person(rng, rng.choice(self._locales), self._fields, self)
        return person[self.field] if self.field else person

    def drawn_type(self) -> Any:
        if self.field is None:
            return dict[str, str | int]
        return int if self.field == "age" else str

    def parts(self) -> frozenset[str] | None:
        return None if self.field else frozenset(self.fields or PERSON_FIELDS)


@foreign_warnings_ignored()
def _person(rng: random.Random, locale: str, fields: tuple[str, ...], column: PersonColumn) -> dict[str, Any]:
    faker = _faker(locale)
    sex = column.sex or rng.choice(("female", "male"))
    age = rng.randint(column.min_age, column.max_age)
    faker.seed_instance(rng.getrandbits(64))
    first = faker.first_name_female() if sex == "female" else faker.first_name_male()
    last = faker.last_name()
    known = {"first_name": first, "last_name": last, "sex": sex, "age": age}
    known["name"] = f"{last} {first}" if locale in _FAMILY_NAME_FIRST else f"{first} {last}"
    known["email"] = _email(first, last, rng)
    # Fields are made in one order, so that asking for one more leaves the others as they were.
    made = {name: make(faker) for name, make in _MADE.items()} if set(fields) & _MADE.keys() else {}
    return {name: {**known, **made}[name] for name in fields}


def _email(first: str, last: str, rng: random.Random) -> str:
    """An address that reaches nobody (RFC 2606)."""
    plain = unicodedata.normalize("NFKD", f"{first}.{last}").encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", ".", plain).strip(".")
    number = rng.randrange(10, 1000)
    return f"{name or 'person'}{number}@example.{rng.choice(('com', 'net', 'org'))}"
