"""Objects as models are asked for, and the ways in which models damage them on the way. All from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

__all__ = ["DAMAGES", "natural_text", "random_object", "soup"]

_WORDS = [
    "the",
    "a",
    "of",
    "and",
    "under",
    "river",
    "stone",
    "it's",
    "o'clock",
    "3.5",
    "tall",
    "grey",
    "wind",
    "[1]",
    "{x}",
    "he",
    "she",
    "naïve",
    "雨",
    "слово",
    "e.g.",
    "a:b",
    "x,y",
    "(so)",
    "http://a.b/c",
    "3,",
    "end;",
    "who?",
    "no!",
    "</think>",
    "-",
    "100%",
    "#1",
    "café",
    "😀",
]
_QUOTED = ["No,", "yes", "why not?", "see [1]", "a, b", "{x}", "one: two", "It's late."]
_BACKSLASHED = [r"C:\data\mine", r"\alpha", r"\d+", r"\(x\)", r"\_x"]


def natural_text(rng: random.Random) -> str:
    """Prose: words, quotations, dialogue, now and then a line break or a backslash."""
    parts = []
    for _ in range(rng.randint(1, 12)):
        draw = rng.random()
        if draw < 0.12:
            parts.append(f'"{rng.choice(_QUOTED)}"' + rng.choice(["", "", ",", ".", ";", ":"]))
        elif draw < 0.15:
            parts.append(rng.choice(_BACKSLASHED))
        elif draw < 0.2:
            parts.append(rng.choice(["\n", "\n\n", "\t", '5"', "'so'"]))
        else:
            parts.append(rng.choice(_WORDS))
    return re.sub(r" ?(\n+) ?", r"\1", " ".join(parts))


def soup(rng: random.Random) -> str:
    """Text that nobody writes: marks of JSON in any order."""
    return "".join(rng.choice('ab "",,\'[]{}:\n ') for _ in range(rng.randint(0, 14)))


def random_object(rng: random.Random, text: Callable[[random.Random], str]) -> Any:
    """An object of one of the shapes that kinds ask for."""
    shape = rng.randrange(4)
    if shape == 0:
        return {"texts": [text(rng) for _ in range(rng.randint(1, 5))]}
    if shape == 1:
        return {
            "question": text(rng),
            "answer": text(rng),
            "score": rng.randint(0, 10),
            "sure": rng.choice([True, False, None]),
        }
    if shape == 2:
        turns = [{"role": rng.choice(["user", "assistant"]), "content": text(rng)} for _ in range(rng.randint(1, 3))]
        return {"conversations": [{"turns": turns, "tags": [text(rng)]}]}
    return {"text": text(rng), "notes": [], "more": {"weight": 1.5, "words": [text(rng), text(rng)]}}


def _dumped(value: Any, rng: random.Random) -> str:
    return json.dumps(value, ensure_ascii=rng.random() < 0.2, indent=rng.choice([None, None, 2, 4]))


def _strings(text: str, change: Callable[[str], str]) -> str:
    return re.sub(r'"((?:[^"\\]|\\.)*)"', lambda found: change(found[0]), text)


def _masked(text: str) -> str:
    # As long as the text, without what stands in its strings.
    return _strings(text, lambda string: f'"{"x" * (len(string) - 2)}"')


def _once(pattern: str, replacement: str, text: str, rng: random.Random) -> str:
    places = list(re.finditer(pattern, _masked(text)))
    if not places:
        return text
    place = rng.choice(places)
    return text[: place.start()] + replacement + text[place.end() :]


def _quotes_unescaped(text: str, rng: random.Random) -> str:
    return text.replace('\\"', '"')


def _some_quotes_unescaped(text: str, rng: random.Random) -> str:
    return re.sub(r'\\"', lambda found: rng.choice(['"', found[0]]), text)


def _breaks_unescaped(text: str, rng: random.Random) -> str:
    return re.sub(r"(?<!\\)\\n", "\n", text)


def _all_unescaped(text: str, rng: random.Random) -> str:
    return _breaks_unescaped(_quotes_unescaped(text, rng), rng)


def _backslashes_unescaped(text: str, rng: random.Random) -> str:
    return text.replace("\\\\", "\\")


def _single_quotes(text: str, rng: random.Random) -> str:
    return _strings(text, lambda string: "'" + string[1:-1].replace('\\"', '"').replace("'", "\\'") + "'")


def _python(text: str, rng: random.Random) -> str:
    return repr(json.loads(text))


def _typographic(text: str, rng: random.Random) -> str:
    return _strings(text, lambda string: f"\u201c{string[1:-1]}\u201d")


def _bare_keys(text: str, rng: random.Random) -> str:
    return re.sub(r'"(\w+)":', r"\1:", text)


def _python_names(text: str, rng: random.Random) -> str:
    names = {"true": "True", "false": "False", "null": "None"}
    for place in reversed(list(re.finditer("true|false|null", _masked(text)))):
        text = text[: place.start()] + names[place[0]] + text[place.end() :]
    return text


def _trailing_commas(text: str, rng: random.Random) -> str:
    for place in reversed(list(re.finditer(r'(?<=["\dlse\]}])(?=\s*[\]}])', _masked(text)))):
        text = f"{text[: place.end()]},{text[place.end() :]}"
    return text


def _a_comma_missing(text: str, rng: random.Random) -> str:
    return _once(r'(?<=["\]}]),(?=\s)', "", text, rng)


def _a_quote_missing(text: str, rng: random.Random) -> str:
    return _once('"', "", text, rng)


def _a_bracket_missing(text: str, rng: random.Random) -> str:
    return _once(r"[\[\]{}]", "", text, rng)


def _a_bracket_wrong(text: str, rng: random.Random) -> str:
    return _once(r"[\]}]", rng.choice("]}"), text, rng)


def _a_colon_missing(text: str, rng: random.Random) -> str:
    return _once(r'(?<="):', "", text, rng)


def _cut(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text))]


def _in_chatter(text: str, rng: random.Random) -> str:
    return f"Here it is, as you'd asked [1]:\n```json\n{text}\n```\nIs it {{fine}}?"


def _escaped_once_more(text: str, rng: random.Random) -> str:
    return json.dumps(text)[1:-1]


def _as_string(text: str, rng: random.Random) -> str:
    return json.dumps(text)


def _apostrophes_escaped(text: str, rng: random.Random) -> str:
    return text.replace("'", "\\'")


def _a_comment(text: str, rng: random.Random) -> str:
    return _once(r"(?<=,)\s", ' // the "rest", as asked\n', text, rng)


def _doubled_quotes(text: str, rng: random.Random) -> str:
    return _strings(text, lambda string: f'"{string}"')


def _a_member_twice(text: str, rng: random.Random) -> str:
    name = rng.choice(list(json.loads(text)))
    end = text.rindex("}")
    return f'{text[:end].rstrip()}, "{name}": {rng.choice(["[]", "null", json.dumps(natural_text(rng))])}}}'


DAMAGES: dict[str, Callable[[str, random.Random], str]] = {
    name.strip("_").replace("_", " "): function
    for name, function in list(globals().items())
    if name.startswith("_")
    and function.__class__.__name__ == "function"
    and name not in {"_dumped", "_masked", "_once", "_strings"}
}


def damaged(value: Any, name: str, rng: random.Random) -> str:
    """The value as JSON, damaged in the named way."""
    return DAMAGES[name](_dumped(value, rng), rng)
