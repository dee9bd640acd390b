"""Code with colours, by Pygments and classes of our style sheet.

Only languages that are listed here are told apart, so that no text chooses among some hundred grammars; what is long, or takes long, is
shown plain from there on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from datafast.view.rendering.hidden import with_codes

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

__all__ = ["CLASSES", "highlighted"]

_LETTERS = 20_000
_SECONDS = 0.25
_NAMES = (
    "bash c c# c++ cpp cs csharp css cuda diff docker dockerfile go golang graphql haskell hs html ini java javascript js json jsonl jsx "
    "julia kotlin latex lua make makefile matlab nginx objective-c ocaml octave perl php powershell proto py python python3 r rb rs ruby "
    "rust scala scss sh shell sql swift tex toml ts tsx typescript vue xml yaml yml zsh"
)
_LANGUAGES = frozenset(_NAMES.split())
_ALIASES = {"jsonl": "json", "vue": "html", "proto": "protobuf", "shell": "bash"}
_KINDS = {
    "Keyword": "k",
    "Name.Builtin": "nb",
    "Name.Class": "nc",
    "Name.Function": "nf",
    "Name.Decorator": "nd",
    "Name.Tag": "nt",
    "Name.Attribute": "na",
    "Name.Variable": "nv",
    "Literal.String": "s",
    "Literal.Number": "m",
    "Comment": "c",
    "Operator.Word": "k",
    "Generic.Deleted": "gd",
    "Generic.Inserted": "gi",
    "Generic.Heading": "gh",
    "Generic.Subheading": "gh",
}
CLASSES = frozenset(f"code-{name}" for name in _KINDS.values())
"""The classes that code has."""


def highlighted(code: str, language: str) -> Markup:
    """Code as HTML for a `<code>`; plain where its language is not known."""
    lexer = _lexer(language.strip().lower())
    if lexer is None or len(code) > _LETTERS:
        return with_codes(code)
    return Markup("").join(_pieces(lexer, code))


def _pieces(lexer: Lexer, code: str) -> Iterator[Markup]:
    ends, done = time.monotonic() + _SECONDS, 0
    for at, kind, text in lexer.get_tokens_unprocessed(code):
        if time.monotonic() > ends:
            break
        done = at + len(text)
        name = _class_of(kind)
        yield Markup('<span class="code-{}">{}</span>').format(name, with_codes(text)) if name else with_codes(text)
    if done < len(code):
        yield with_codes(code[done:])


@cache
def _class_of(kind: _TokenType) -> str:
    parts = str(kind).removeprefix("Token.").split(".")
    return next((name for size in range(len(parts), 0, -1) if (name := _KINDS.get(".".join(parts[:size])))), "")


@cache
def _lexer(language: str) -> Lexer | None:
    if language not in _LANGUAGES:
        return None
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(_ALIASES.get(language, language))
    except ClassNotFound:
        return None
