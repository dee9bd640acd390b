"""Values that match a JSON Schema, for simulated models.

Guarantee: the same random state gives the same value. Types, enums, bounds on numbers, lengths of strings and lists,
`$ref`, `anyOf`, `oneOf` and `allOf` are respected; the elements of a list differ if the schema allows it. Cost: about 15 us per text.
Limits: validators in Python are not known here, nor are `not`, `if`, `contains` and the like. For patterns see `patterns`. A schema
that asks for a text of more than 100,000 letters, a list of more than 1,000 elements, or more than 20,000 values gets what does not match.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any
from uuid import UUID

from datafast._util.linear_schema import matches
from datafast.llms.simulated.patterns import text_for

if TYPE_CHECKING:
    from datafast.llms.simulated.text import Writer

__all__ = ["ValueMaker"]

_MAX_DEPTH = 5
_DEEPEST = 60
_TRIES = 25
_MOST_VALUES = 20_000
_LONGEST_LIST = 1_000
_MOST_LETTERS = 100_000
_COMBINED = ("allOf", "anyOf", "oneOf")
_SHORT_FIELDS = ("title", "name", "topic", "label", "keyword", "category", "heading", "tag", "role", "persona")
_QUOTING_FIELDS = ("evidence", "quote")
_ASKING_FIELDS = ("question", "query", "instruction", "prompt")


class ValueMaker:
    """Makes values for the nodes of one schema.

    Args:
        schema: the root, with the `$defs` that references point to.
        writer: the source of strings and random choices.
        num_items: the length of lists, if their bounds allow it.
        examples: texts that stand in where none is made for a pattern.
        given: the texts of fields, by name, that are not made.

    Attributes:
        unmade: properties and their patterns for which no text was made.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        writer: Writer,
        *,
        num_items: int = 3,
        examples: Callable[[str], Sequence[str]] = lambda pattern: (),
        given: Mapping[str, str] | None = None,
    ) -> None:
        self._defs: Mapping[str, Any] = schema.get("$defs", {})
        self._schema = schema
        self._examples = examples
        self._given = given or {}
        self._writer = writer
        self._rng = writer.rng
        self._num_items = num_items
        self.unmade: list[tuple[str, str]] = []
        self._left = _MOST_VALUES
        self._nested = 0

    def make(self) -> Any:
        """One value for the whole schema."""
        return self._value(self._schema, "", 0)

    def _value(self, node: Mapping[str, Any] | bool, name: str, depth: int) -> Any:
        self._left -= 1
        self._nested += 1
        try:
            if self._left < 0 or self._nested > _DEEPEST:
                return None
            # `true` and `false` are schemas too, of anything and of nothing.
            return self._writer.phrase() if isinstance(node, bool) else self._made(node, name, depth)
        finally:
            self._nested -= 1

    def _made(self, node: Mapping[str, Any], name: str, depth: int) -> Any:
        if "$ref" in node:
            return self._value(self._defs[node["$ref"].rpartition("/")[2]], name, depth)
        if "const" in node:
            return node["const"]
        if "enum" in node:
            return self._rng.choice(node["enum"])
        key = next((key for key in _COMBINED if node.get(key)), None)
        if key is not None:
            parts = node[key] if key == "allOf" else [self._branch(node[key], depth)]
            return self._value(self._joined(node, key, parts), name, depth)
        return self._of_type(node, name, depth)

    def _of_type(self, node: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = node.get("type", "string")
        if isinstance(kind, list):
            kind = kind[0]
        if kind == "object":
            return self._object(node, depth)
        if kind == "array":
            return self._array(node, name, depth)
        if kind == "null":
            return None
        if kind == "boolean":
            return self._rng.random() < 0.5
        return (
            self._number(node, whole=kind == "integer") if kind in {"integer", "number"} else self._string(node, name)
        )

    def _joined(self, node: Mapping[str, Any], key: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """A node with parts of it in the place of a keyword."""
        joined = {name: value for name, value in node.items() if name != key}
        for part in parts:
            if "$ref" in part and len(parts) > 1:
                part = self._defs[part["$ref"].rpartition("/")[2]]
            inner = {**joined.get("properties", {}), **part.get("properties", {})}
            joined |= {**part, "properties": inner} if inner else part
        return joined

    def _branch(self, branches: list[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        nulls = [branch for branch in branches if branch.get("type") == "null"]
        others = [branch for branch in branches if branch.get("type") != "null"]
        if nulls and (depth >= _MAX_DEPTH or not others or self._rng.random() < 0.15):
            return nulls[0]
        return self._rng.choice(others)

    def _object(self, node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        made = {name: self._value(sub, name, depth + 1) for name, sub in node.get("properties", {}).items()}
        rest = node.get("additionalProperties")
        if not made and rest not in (None, False):
            sub = rest if isinstance(rest, Mapping) else {"type": "string"}
            made = {self._writer.phrase(): self._value(sub, "", depth + 1) for _ in range(2)}
        return made

    def _array(self, node: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if "prefixItems" in node:
            return [self._value(sub, name, depth + 1) for sub in node["prefixItems"]]
        least = min(node.get("minItems", 0), _LONGEST_LIST)
        count = max(least, min(self._num_items, node.get("maxItems", self._num_items)))
        if depth >= _MAX_DEPTH:
            count = least
        items: list[Any] = []
        for _ in range(count):
            item = self._value(node.get("items", {}), name, depth + 1)
            for _ in range(_TRIES):
                if item not in items:
                    break
                item = self._value(node.get("items", {}), name, depth + 1)
            if item not in items or not node.get("uniqueItems"):
                items.append(item)
        return items

    def _number(self, node: Mapping[str, Any], *, whole: bool) -> float:
        step: float = node.get("multipleOf", 1 if whole else 0.01)
        low: float | None = node.get("minimum")
        high: float | None = node.get("maximum")
        if "exclusiveMinimum" in node:
            low = node["exclusiveMinimum"] + step if low is None else max(low, node["exclusiveMinimum"] + step)
        if "exclusiveMaximum" in node:
            high = node["exclusiveMaximum"] - step if high is None else min(high, node["exclusiveMaximum"] - step)
        if low is None:
            low = 0 if high is None else min(0, high - 100 * step)
        if high is None:
            high = low + 100 * step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first > last:  # the bounds are closer than a step
            return (low + high) / 2
        number = self._rng.randint(first, last) * step
        return int(number) if whole else round(number, 10)

    def _string(self, node: Mapping[str, Any], name: str) -> str:
        if name in self._given:
            return self._given[name]
        if "format" in node or "pattern" in node:
            made = self._shaped(node)
            if made is not None:
                return made
            if "pattern" in node:
                self.unmade.append((name, node["pattern"]))
        low, high = min(node.get("minLength", 0), _MOST_LETTERS), node.get("maxLength")
        text = self._text(name)
        if len(text) < low:
            text = " ".join([text, *self._sentences(low - len(text))])
        if high is None or len(text) <= high:
            return text
        cut = text[:high].rsplit(" ", 1)[0].rstrip(" ,.") if text[high] != " " else text[:high].rstrip(" ,")
        return cut if len(cut) >= max(low, 1) else text[:high]

    def _sentences(self, letters: int) -> Iterator[str]:
        """As many as it takes to have so many letters."""
        while letters > 0:
            yield (sentence := self._writer.sentence())
            letters -= len(sentence) + 1

    def _text(self, name: str) -> str:
        words = name.casefold()
        if any(hint in words for hint in _SHORT_FIELDS):
            return self._writer.phrase()
        if any(hint in words for hint in _QUOTING_FIELDS):
            return self._writer.quote()
        return self._writer.question() if any(hint in words for hint in _ASKING_FIELDS) else self._writer.paragraph()

    def _shaped(self, node: Mapping[str, Any]) -> str | None:
        day = date(2024, 1, 1) + timedelta(days=self._rng.randrange(366))
        number = self._rng.randrange(10_000)
        shapes = {
            "date": day.isoformat(),
            "date-time": f"{day.isoformat()}T12:00:00Z",
            "time": "12:00:00Z",
            "duration": f"PT{number}S",
            "email": f"person{number}@example.org",
            "uri": f"https://example.org/{number}",
            "uuid": str(UUID(int=self._rng.getrandbits(128), version=4)),
        }
        if "pattern" not in node:
            return shapes.get(node["format"])
        word = re.sub(r"\W+", "", self._writer.phrase())
        digits = [f"{number:0{width}d}"[:width] for width in range(1, 11)]
        tries = [word.lower(), word.upper(), word.capitalize(), *digits, *shapes.values()]
        letters = "".join(self._rng.choices(ascii_uppercase, k=3))
        tries += [f"{letters[:size]}{sep}{digit}" for size in (1, 2, 3) for sep in ("", "-", " ") for digit in digits]
        pattern, least, most = node["pattern"], node.get("minLength", 0), node.get("maxLength", math.inf)
        for text in tries:
            if least <= len(text) <= most and matches(pattern, text):
                return text
        made = text_for(pattern, self._rng, least=least, most=node.get("maxLength"))
        if made is None and (examples := self._examples(pattern)):
            return self._rng.choice(examples)
        return made
