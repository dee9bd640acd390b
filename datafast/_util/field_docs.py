"""What the fields of a config mean: the texts that stand below them in the source.

They are read when somebody asks. pydantic would read them for every class as it is made, which is a seventh of the time that importing a
dataset takes.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Mapping
from itertools import zip_longest

from pydantic import BaseModel

__all__ = ["field_docs"]


@functools.cache
def field_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """The meanings of the fields of a model by their names, also of those that it inherits; of no field where the source is not there."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _own(base)
    return {name: text for name, text in found.items() if text}


@functools.cache
def _own(model: type[BaseModel]) -> Mapping[str, str]:
    """Those of the fields that the class itself declares; '' for one without a text."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    found = {}
    for one, below in zip_longest(statements, statements[1:]):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            found[one.target.id] = _text_of(below)
    return found


def _text_of(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        text = statement.value.value
        return inspect.cleandoc(text) if isinstance(text, str) else ""
    return ""
