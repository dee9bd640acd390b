"""Templates over the columns of a row, and expressions that give values.

    {topic}   {person.name}   {tags[0]}      a column, or a part of its value
    {% if level == "easy" %} ... {% endif %}   Jinja's tags, with their whitespace control
    {{ topic | upper }}                        Jinja's expressions

Guarantee: every other character is kept to the byte: braces of code, JSON and LaTeX have no meaning here. Inserted values are never
looked at again. A name that is not a column is refused when the template is parsed, with the nearest column. Null is inserted as nothing,
lists and objects as JSON.
Cost: a template without Jinja is one pass and one join; jinja2 is imported for those with it only, and runs in the bounds of
`datafast.templates.sandbox`.
What decides: `{{ ... }}` is Jinja where it can be read as an expression over columns, or where the template holds tags; a `{name}` in the
manner of code (`f{x}`, `${HOME}`, `\\frac{ab}{cd}`) or of one letter is text unless it is a column. `{% raw %}` keeps anything as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from datafast._util.notify import did_you_mean, nearest
from datafast.errors import ConfigError
from datafast.templates.base import Expression, RenderError, Template
from datafast.templates.values import PATH, STEPS, follow, jinja_name, shown_path, steps_of, to_text

__all__ = ["parse_expression", "parse_template"]

Parts = Mapping[str, frozenset[str]]

_STRINGS = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
# Bounds on their lengths keep a hostile text from being gone through again and again.
_OPENING = re.compile(r"\{(?=[%{#]|[^\W\d])")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_LONGEST = 8_000
_MOST_TAGS = 10_000  # which take some seconds to compile
_TAG = re.compile(rf"\{{%[-+]?\s*([a-z]+)\b(?>{_STRINGS}|(?!%\}}|\{{%)(?s:.)){{0,{_LONGEST}}}+%\}}")
_EXPRESSION = re.compile(rf"\{{\{{[-+]?((?>{_STRINGS}|(?!\}}\}}|\{{\{{)(?s:.)){{1,{_LONGEST}}}+)\}}\}}")
_COMMENT = re.compile(rf"\{{#(?s:.){{0,{_LONGEST}}}?#\}}")
_FIELD = re.compile(rf"\{{({PATH})\}}")
_FORMATTED = re.compile(r"\{([^\W\d]\w*)(?:![rsa])?:[-+<>=^#0-9.,_]*[a-zA-Z%]?\}")
_IN_BRACES = re.compile(r"\{([^{}\[\]'\":,]+)\}")
_TAGS = frozenset(
    [
        "if",
        "elif",
        "else",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "with",
        "endwith",
        "macro",
        "endmacro",
        "call",
        "endcall",
        "filter",
        "endfilter",
        "do",
        "raw",
        "endraw",
    ]
)
_REACHING = frozenset(["block", "endblock", "extends", "from", "import", "include"])
# Before a brace these belong to code, shell or LaTeX: a placeholder in prose follows a space, a quote or an opening bracket.
_WORD = re.compile(r"[^\W\d]\w*")
_CODE_BEFORE = re.compile(r"[\w\\{}\]^$=@#%]\Z")


@dataclass(frozen=True, slots=True)
class _Plain:
    """A template without Jinja: literals, and gaps that are filled."""

    names: frozenset[str]
    pieces: tuple[str, ...]
    gaps: tuple[tuple[int, str, tuple[str | int, ...]], ...]

    def render(self, values: Mapping[str, Any]) -> str:
        pieces = list(self.pieces)
        for place, name, steps in self.gaps:
            value = values[name]
            if steps:
                try:
                    value = follow(value, steps)
                except LookupError as error:
                    raise RenderError(f"{{{shown_path(name, steps)}}} cannot be filled: {error.args[0]}") from None
            pieces[place] = to_text(value)
        return "".join(pieces)


def parse_template(text: str, *, names: Collection[str], field: str, parts: Parts | None = None) -> Template:
    """Parses and checks a template.

    Args:
        text: the template.
        names: the columns (and other names) that it may use.
        field: the config field that errors name.
        parts: of columns whose value is an object with known parts, their names.

    Raises:
        ConfigError: an unknown name or part, with the nearest one; a tag that is none, or not closed.
    """
    reader = _Reader(text, names, field, parts or {})
    tokens = list(reader.tokens())
    if tags := sum(token.jinja for token in tokens):
        if tags > _MOST_TAGS:
            raise ConfigError(f"{field}: There are {tags:,} tags, more than {_MOST_TAGS:,}. Make the template shorter.")
        from datafast.templates.jinja import jinja_template

        return jinja_template(_jinja_source(text, tokens), names=names, field=field)
    pieces: list[str] = []
    gaps = []
    done = 0
    for token in tokens:
        pieces += [text[done : token.start], ""]
        gaps.append((len(pieces) - 1, token.source, token.steps))
        done = token.end
    pieces.append(text[done:])
    return _Plain(frozenset(name for _, name, _ in gaps), tuple(pieces), tuple(gaps))


def parse_expression(text: str, *, names: Collection[str] | None, field: str) -> Expression:
    """Parses and checks a Jinja expression, with or without `{{ }}` around it. A column whose name is not a word stands in `{ }`.

    Args:
        names: the columns that it may use; None for whatever columns it names.

    Raises:
        ConfigError: it is none, or uses an unknown name; with the nearest one.
    """
    from datafast.templates.jinja import jinja_expression

    source = _without_braces(text)
    if names is None:
        names = _names_in(source, field)
    if odd := _odd_names(names):
        source = odd.sub(lambda found: jinja_name(found[1]) + found[2], source)
    return jinja_expression(source, names=names, field=field)


def is_never_true(text: str, bounds: Mapping[str, tuple[float, float]]) -> bool:
    """Whether an expression that `parse_expression` takes is false whatever these numbers are, of which the bounds are known."""
    from datafast.templates.bounds import never_true

    return never_true(_without_braces(text), bounds)


def _without_braces(text: str) -> str:
    inner = re.fullmatch(r"\s*\{\{[-+]?((?s:.*?))[-+]?\}\}\s*", text)
    return inner[1] if inner else text


def _names_in(source: str, field: str) -> Collection[str]:
    """The columns that an expression seems to name."""
    from datafast.templates.jinja import names_of
    from datafast.templates.sandbox import GLOBALS

    odd = set(_IN_BRACES.findall(source))
    try:
        words = names_of(_IN_BRACES.sub("x", source) if odd else source) or frozenset()
    except RecursionError:
        raise ConfigError(f"{field}: {source[:60]}... is nested too deeply. Divide it up.") from None
    return [*odd, *(words - GLOBALS.keys())]


def _odd_names(names: Collection[str]) -> re.Pattern[str] | None:
    """What finds columns in braces whose names are no names in Jinja, with a way into their values; None where there are none."""
    odd = sorted((name for name in names if jinja_name(name) != name), key=len, reverse=True)
    if not odd:
        return None
    return re.compile(rf"\{{({'|'.join(map(re.escape, odd))})({STEPS})\}}")


class _Token(NamedTuple):
    """A part of a template that is not text: a column with a way into its value, or something that stands in Jinja as it is."""

    start: int
    end: int
    source: str
    jinja: bool
    steps: tuple[str | int, ...] = ()

    @property
    def in_jinja(self) -> str:
        if self.jinja:
            return self.source
        return f"{{{{ {jinja_name(self.source)}{''.join(f'[{step!r}]' for step in self.steps)} }}}}"


class _Reader:
    """Finds what in one template is not text."""

    def __init__(self, text: str, names: Collection[str], field: str, parts: Parts) -> None:
        self.text = text
        self.names = names
        self.field = field
        self.parts = parts
        self._raw_ends = True
        self._odd = _odd_names(names)
        self._opening = re.compile(r"\{") if self._odd else _OPENING
        self._closers: dict[str, int] = {}
        self._tagged = any(self._tag(found.start()) for found in re.finditer(r"\{%", text))

    def tokens(self) -> Iterator[_Token]:
        """In their order. Raises ConfigError."""
        place = 0
        while opening := self._opening.search(self.text, place):
            token = self._token(opening.start())
            if token is not None:
                yield token
            # Braces that mean nothing may have something in them that does.
            place = opening.start() + 1 if token is None else token.end

    def _token(self, start: int) -> _Token | None:
        match self.text[start + 1]:
            case "%":
                return self._raw(start) or self._tag(start)
            case "{":
                return self._expression(start)
            case "#":
                closed = self._tagged and self._closed(start, "#}")
                return self._jinja(_COMMENT.match(self.text, start)) if closed else None
            case _:
                return self._column(start)

    def _closed(self, start: int, closer: str) -> bool:
        """Whether what is opened here may be closed within reason."""
        found = self._closers.get(closer, -1)
        if 0 <= found < start or closer not in self._closers:
            found = self._closers[closer] = self.text.find(closer, start)
        return start < found <= start + _LONGEST

    @staticmethod
    def _jinja(found: re.Match[str] | None) -> _Token | None:
        return _Token(found.start(), found.end(), found.group(), True) if found else None

    def _raw(self, start: int) -> _Token | None:
        begins = _RAW.match(self.text, start) if self._raw_ends else None
        if begins is None:
            return None
        ends = _END_RAW.search(self.text, begins.end())
        if ends is None:
            self._raw_ends = False
            return None
        return _Token(start, ends.end(), self.text[start : ends.end()], True)

    def _tag(self, start: int) -> _Token | None:
        found = _TAG.match(self.text, start) if self._closed(start, "%}") else None
        return self._jinja(found) if found and self._is_tag(found[1]) else None

    def _is_tag(self, word: str) -> bool:
        if word in _TAGS:
            return True
        if word in _REACHING:
            raise ConfigError(f"{self.field}: {{% {word} %}} is not possible here. A template stands by itself.")
        if nearest(word, _TAGS):
            raise ConfigError(f"{self.field}: There is no tag {{% {word} %}}. {did_you_mean(word, _TAGS)}")
        return False

    def _expression(self, start: int) -> _Token | None:
        found = _EXPRESSION.match(self.text, start) if self._closed(start, "}}") else None
        if found is None:
            return None
        inner = found[1].removesuffix("-").removesuffix("+")
        if self._tagged or any(name in self.names for name in _WORD.findall(inner)):
            from datafast.templates.jinja import names_of

            try:
                used = names_of(inner)
            except RecursionError:
                raise ConfigError(
                    f"{self.field}: {found.group()[:60]}... is nested too deeply. Divide it up."
                ) from None
            if used is not None and (self._tagged or used & set(self.names)):
                return self._jinja(found)
        name = inner.strip()
        near = nearest(name, self.names) if re.fullmatch(r"[^\W\d]\w+", name) and name not in self.names else None
        if near:
            self._refuse(name, found.group())
        return None

    def _column(self, start: int) -> _Token | None:
        """A `{name}` that is a column. Raises ConfigError where it was meant to be one and is not."""
        formatted = _FORMATTED.match(self.text, start)
        if formatted and formatted[1] in self.names:
            name = formatted[1]
            raise ConfigError(
                f"{self.field}: {formatted.group()}: A format is written as {{{{ '%.1f' | format({name}) }}}} "
                f"or {{{{ {name} | round(1) }}}}."
            )
        found = _FIELD.match(self.text, start)
        if odd := self._odd and self._odd.match(self.text, start):
            found = odd
            name, steps = odd[1], steps_of(f"x{odd[2]}")[1]
        elif found is None:
            return None
        else:
            name, steps = steps_of(found[1])
        if name not in self.names:
            if len(name) > 1 and not _CODE_BEFORE.search(self.text, max(0, start - 1), start):
                self._refuse(name, found.group())
            return None
        self._check_part(name, steps, found.group())
        return _Token(start, found.end(), name, False, steps)

    def _check_part(self, name: str, steps: tuple[str | int, ...], shown: str) -> None:
        known = self.parts.get(name)
        if known and steps and steps[0] not in known:
            hint = did_you_mean(str(steps[0]), sorted(known))
            raise ConfigError(f"{self.field}: {shown}: The column {name!r} has no {steps[0]!r}. {hint}")

    def _refuse(self, name: str, shown: str) -> NoReturn:
        raise ConfigError(
            f"{self.field}: {shown}: There is no column {name!r}. {did_you_mean(name, self.names)} "
            f"Text in braces stands between {{% raw %}} and {{% endraw %}}."
        )


def _jinja_source(text: str, tokens: list[_Token]) -> str:
    """The template in Jinja's own language: columns become expressions, braces that mean nothing are escaped."""
    parts: list[str] = []
    done = 0
    for token in tokens:
        parts += [_escaped(text[done : token.start]), token.in_jinja]
        done = token.end
    parts.append(_escaped(text[done:]))
    return "".join(parts)


_SPECIAL = re.compile(r"\{\{|\{%|\{#|\{\Z|\r")


def _escaped(literal: str) -> str:
    """Text that Jinja leaves as it is; `{` at the end because what follows may begin with one."""
    return "".join(_escapes(literal))


def _escapes(literal: str) -> Iterator[str]:
    done = 0
    for found in _SPECIAL.finditer(literal):
        yield literal[done : found.start()]
        yield "{{ " + repr(found.group()) + " }}"
        done = found.end()
    yield literal[done:]
