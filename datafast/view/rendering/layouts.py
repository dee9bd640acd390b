"""A row laid out by what it is: a conversation, a multiple-choice question, a pair of responses, a question with its evidence, fields.

The layout follows from the names and shapes of the fields, not from the kind, so files of other tools have it too. Each layout takes the
fields that it shows; what is left is shown by its columns, and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datafast.view.rendering.talk import Talk, Tool, is_talk, talk_of, tools_of
from datafast.view.rendering.texts import ShownText, Texts
from datafast.view.rendering.values import Value, is_plain, plainly, shown_value

__all__ = [
    "Choice",
    "Evidence",
    "Folded",
    "Option",
    "Pair",
    "RowView",
    "Section",
    "Side",
    "Tools",
    "laid_out",
    "pair_names",
]

_FIELDS = 200
_MOST_OPTIONS = 50
_MOST_QUOTES = 50
_NAME = 200


@dataclass(frozen=True, slots=True)
class Option:
    letter: str
    text: ShownText
    is_right: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """A multiple-choice question."""

    question: ShownText | None
    options: list[Option]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two responses, with what else is said of it."""

    name: str
    content: ShownText | Talk | Value
    facts: list[tuple[str, str]]
    notes: list[Value]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to the same."""

    chosen: Side
    rejected: Side


@dataclass(frozen=True, slots=True)
class Evidence:
    """A part of a document, with what is quoted from it marked. `missing` are quotes that do not stand in it."""

    name: str
    heading: str
    chunk: ShownText
    quotes: int
    missing: list[ShownText]


@dataclass(frozen=True, slots=True)
class Folded:
    """What is opened when it is wanted."""

    name: str
    values: list[Value]


@dataclass(frozen=True, slots=True)
class Tools:
    tools: list[Tool]


Section = Talk | Tools | Choice | Pair | Evidence | Folded | Value


@dataclass(slots=True)
class RowView:
    """A row: its sections from top to bottom, its short values, and those of its metadata, and what else is in that."""

    sections: list[Section] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    about: list[tuple[str, str]] = field(default_factory=list)
    metadata: list[Value] = field(default_factory=list)
    more_fields: int = 0


def laid_out(row: Any, texts: Texts) -> RowView:
    """A row as a page shows it."""
    view = RowView()
    if not isinstance(row, Mapping):
        view.sections.append(shown_value("value", row, texts, ()))
        return view
    left = _Fields(row, texts)
    for layout in _LAYOUTS:
        view.sections += layout(left)
    view.more_fields = max(0, len(left.fields) - _FIELDS)
    _add_rest(view, left)
    return view


class _Fields:
    """The fields of a row that no layout has taken yet."""

    def __init__(self, row: Mapping[str, Any], texts: Texts) -> None:
        self.fields = dict(row)
        self.texts = texts

    def text(self, *names: str) -> tuple[str, ShownText] | None:
        """Takes the first of these that is a text that says something."""
        for name in names:
            if isinstance(value := self.fields.get(name), str) and value.strip():
                del self.fields[name]
                return name, self.texts.shown(value, (name,))
        return None

    def value(self, name: str) -> Value:
        """Takes a field."""
        value = self.fields.pop(name)
        if isinstance(value, str):  # also a short one is formatted: it says something, and does not only name something
            return Value(name[:_NAME], self.texts.shown(value, (name,)))
        return shown_value(name, value, self.texts, (name,))

    def values(self, *names: str) -> list[Value]:
        """Takes those of these fields that say something."""
        return [self.value(name) for name in names if self.fields.get(name) not in (None, "", [], {})]


def _prompt_first(left: _Fields) -> Iterator[Section]:
    """What was asked stands above what was answered."""
    if pair_names(left.fields) and "instruction" not in left.fields:
        yield from _documents(left)
        yield from (value for value in left.values("system", "prompt", "question", "input") if not is_talk(value))


def _documents(left: _Fields) -> Iterator[Section]:
    for name in ("source_document", "input_document", "document", "context", "passage"):
        if isinstance(value := left.fields.get(name), str) and not is_plain(value):
            yield Folded(name, [left.value(name)])


def _talks(left: _Fields) -> Iterator[Section]:
    names = [
        name for name, value in left.fields.items() if is_talk(value) and name not in (pair_names(left.fields) or ())
    ]
    if "tools" in left.fields and (tools := tools_of(left.fields["tools"], left.texts)) is not None:
        del left.fields["tools"]
        yield Tools(tools)
    for name in names:
        yield talk_of(name, left.fields.pop(name), left.texts, (name,))


def pair_names(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The names of the two responses of a row that prefers one; None if it does not."""
    for names in (("chosen", "rejected"), ("chosen_response", "rejected_response")):
        if all(row.get(name) not in (None, "", []) for name in names):
            return names
    return None


def _pair(left: _Fields) -> Iterator[Section]:
    names = pair_names(left.fields)
    if names is not None:
        chosen, rejected = (_side(left, name) for name in names)
        yield Pair(chosen, rejected)


def _side(left: _Fields, name: str) -> Side:
    value, path = left.fields.pop(name), (name,)
    content: ShownText | Talk | Value
    if isinstance(value, str):
        content = left.texts.shown(value, path)
    else:
        content = (
            talk_of(name, value, left.texts, path) if is_talk(value) else shown_value(name, value, left.texts, path)
        )
    facts, notes = [], []
    for one in [one for one in left.fields if one.startswith((f"{name}_", f"{name.partition('_')[0]}_"))]:
        if is_plain(left.fields[one]):
            facts.append((one, plainly(left.fields.pop(one))))
        else:
            notes.append(left.value(one))
    return Side(name, content, facts, notes)


def _choice(left: _Fields) -> Iterator[Section]:
    options, right = _options(left.fields)
    if len(options) < 2:
        return
    yield from _documents(left)
    question = left.text("question", "prompt", "query", "text")
    yield Choice(
        question[1] if question else None,
        [Option(letter, left.texts.shown(text), number == right) for number, (letter, text) in enumerate(options)],
    )


def _options(fields: dict[str, Any]) -> tuple[list[tuple[str, str]], int | None]:
    """Takes the options of a question, each with its letter, and the number of the right one."""
    wrong = [name for name in fields if name.startswith("incorrect_answer") and isinstance(fields[name], str)]
    correct = fields.get("correct_answer")
    for name in ("options", "choices"):
        found = _letters(fields.get(name))
        if len(found) >= 2:
            right = _right(fields, found)
            for one in (name, "answer_index", "answer_letter", "answerKey"):
                fields.pop(one, None)
            if right is not None and correct == found[right][1]:
                del fields["correct_answer"]
            for one in wrong:
                if any(fields[one] == text for _, text in found):
                    del fields[one]
            return found, right
    if isinstance(correct, str) and wrong:
        texts = [fields.pop(one) for one in ("correct_answer", *wrong[:_MOST_OPTIONS])]
        return [("", text) for text in texts], 0
    return [], None


def _letters(options: Any) -> list[tuple[str, str]]:
    if isinstance(options, Mapping):  # {"label": ["A", "B"], "text": ["...", "..."]}, or {"A": "...", "B": "..."}
        labels, texts = options.get("label"), options.get("text")
        if isinstance(labels, list) and isinstance(texts, list) and len(labels) == len(texts):
            pairs = list(zip(labels, texts, strict=True))
        else:
            pairs = list(options.items())
    elif isinstance(options, list):
        pairs = [(chr(65 + number) if number < 26 else str(number + 1), one) for number, one in enumerate(options)]
    else:
        return []
    is_known = len(pairs) <= _MOST_OPTIONS and all(isinstance(text, str) and is_plain(label) for label, text in pairs)
    return [(plainly(label)[:10], text) for label, text in pairs] if is_known else []


def _right(fields: Mapping[str, Any], options: list[tuple[str, str]]) -> int | None:
    number = fields.get("answer_index", fields.get("answer", fields.get("label")))
    if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(options):
        return number
    told = [fields.get(name) for name in ("answer_letter", "answerKey", "correct_answer", "answer")]
    return next(
        (
            at
            for one in told
            if isinstance(one, str)
            for at, (letter, text) in enumerate(options)
            if one in (letter, text)
        ),
        None,
    )


def _evidence(left: _Fields) -> Iterator[Section]:
    name = next((one for one in ("chunk", "context", "document") if isinstance(left.fields.get(one), str)), "")
    quotes = left.fields.get("evidence")
    if not name or not isinstance(quotes, list) or not all(isinstance(one, str) for one in quotes):
        return
    yield from left.values("question", "answer")
    chunk, path = left.fields.pop(name), (name,)
    del left.fields["evidence"]
    found = [(chunk.find(quote), quote) for quote in quotes[:_MOST_QUOTES] if quote]
    places = sorted((at, at + len(quote)) for at, quote in found if at >= 0)
    heading = [plainly(left.fields.pop(one)) for one in ("document", "heading") if is_plain(left.fields.get(one, {}))]
    yield Evidence(
        name,
        " > ".join(one for one in heading if one not in ("", "null"))[:_NAME],
        left.texts.marked(chunk, _apart(places), path),
        len(quotes),
        [left.texts.as_it_is(quote) for at, quote in found if at < 0],
    )


def _apart(places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places that overlap, as one."""
    merged: list[tuple[int, int]] = []
    for start, end in places:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _reasoning(left: _Fields) -> Iterator[Section]:
    names = [
        name
        for name in ("reasoning", "reasoning_content", "thinking")
        if left.fields.get(name) not in (None, "", [], {})
    ]
    for name in names:
        yield Folded(name, [left.value(name)])
    metadata = left.fields.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("reasoning") not in (None, "", [], {}):
        left.fields["metadata"] = {name: value for name, value in metadata.items() if name != "reasoning"}
        yield Folded(
            "reasoning", [shown_value("reasoning", metadata["reasoning"], left.texts, ("metadata", "reasoning"))]
        )


def _tasks(left: _Fields) -> Iterator[Section]:
    """An instruction with its response, and what it was before it evolved."""
    if "instruction" in left.fields:
        yield from left.values("system", "instruction", "input", "response", "output")
        before = left.values("original_instruction", "original_input")
        if before:
            yield Folded("before it evolved", before)


def _main_texts(left: _Fields) -> Iterator[Section]:
    yield from left.values("text", "prompt", "question", "answer", "completion", "response")
    yield from _documents(left)


_LAYOUTS: list[Callable[[_Fields], Iterator[Section]]] = [
    _prompt_first,
    _talks,
    _pair,
    _choice,
    _evidence,
    _tasks,
    _main_texts,
    _reasoning,
]


def _add_rest(view: RowView, left: _Fields) -> None:
    metadata = left.fields.pop("metadata", None)
    for name in list(left.fields)[:_FIELDS]:
        value = left.fields[name]
        if is_plain(value):
            view.facts.append((name[:_NAME], plainly(value)))
        else:
            view.sections.append(left.value(name))
    if isinstance(metadata, Mapping):
        for name, value in list(metadata.items())[:_FIELDS]:
            if is_plain(value):
                view.about.append((name[:_NAME], plainly(value)))
            else:
                view.metadata.append(shown_value(name, value, left.texts, ("metadata", name)))
    elif metadata is not None:
        view.metadata.append(shown_value("metadata", metadata, left.texts, ("metadata",)))
