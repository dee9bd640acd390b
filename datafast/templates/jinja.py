"""Templates and expressions that need Jinja, compiled once in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from functools import lru_cache, partial
from typing import Any

from jinja2 import Template, TemplateError, meta, nodes
from jinja2.parser import Parser

from datafast._util.notify import did_you_mean
from datafast.errors import ConfigError
from datafast.templates.base import RenderError, TypesDifferError
from datafast.templates.limits import MAX_CHARS, TooMuch, checked, rendering, size
from datafast.templates.sandbox import GLOBALS, environment, guarded
from datafast.templates.values import jinja_name

__all__ = ["JinjaExpression", "JinjaTemplate", "jinja_expression", "jinja_template", "names_of", "parsed_expression"]

_SHOWN = 80
_DEEPEST = 80
_RESULT = "__result__"
_TOO_DEEP = "This is nested too deeply. Divide it into several parts, for example with {% set %}."
# NameError: a constant that is infinite has no form in Python's code.
_FAULTS = (
    *(TemplateError, TooMuch, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError),
    NameError,
)


class _Compiled:
    """What templates and expressions share: the compiled code, and the names that it needs.

    Args:
        again: what made it of `source`, and makes it again in another process.
    """

    def __init__(
        self, tree: nodes.Template, source: str, names: Collection[str], field: str, *, again: Callable[..., Any]
    ) -> None:
        self._length = len(source)
        self._again = partial(again, source, names=tuple(names), field=field)
        columns = {jinja_name(name): name for name in names}
        _check_depth(tree, field)
        _check_filters(tree, field)
        used = _names(tree)
        for name in sorted(used):
            if name not in columns and name not in GLOBALS:
                _refuse(name, names, field)
        self._columns = {name: columns[name] for name in used if name in columns}
        self.names = frozenset(self._columns.values())
        self._globals = {name: GLOBALS[name] for name in used if name not in columns}
        try:
            code = environment.compile(guarded(tree))
            self._template: Template = Template.from_code(environment, code, {})
        except (*_FAULTS, SyntaxError) as error:
            raise ConfigError(f"{field}: {_where(error)}") from None

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return self._again, ()

    def _context(self, values: Mapping[str, Any]) -> Any:
        return self._template.new_context(
            {**self._globals, **{name: values[column] for name, column in self._columns.items()}}
        )


class JinjaTemplate(_Compiled):
    """See `datafast.templates.base.Template`."""

    def render(self, values: Mapping[str, Any]) -> str:
        chunks: list[str] = []
        length = 0
        with rendering(self._length):
            try:
                for chunk in self._template.root_render_func(self._context(values)):
                    length += len(chunk)
                    if length > MAX_CHARS:
                        raise TooMuch(f"a text of more than {MAX_CHARS:,} characters")
                    chunks.append(chunk)
            except _FAULTS as error:
                raise _render_error(error, "template") from None
        return "".join(chunks)


class JinjaExpression(_Compiled):
    """See `datafast.templates.base.Expression`."""

    def evaluate(self, values: Mapping[str, Any]) -> Any:
        with rendering(self._length):
            try:
                context = self._context(values)
                for _ in self._template.root_render_func(context):
                    pass
                value = context.vars[_RESULT]
                if isinstance(value, environment.undefined):
                    str(value)  # raises what is missing
                found = checked(list(value) if hasattr(value, "__next__") or isinstance(value, range) else value)
                if size(found) > MAX_CHARS:
                    raise TooMuch(f"a value of more than {MAX_CHARS:,} characters and elements")
            except _FAULTS as error:
                raise _render_error(error, "expression") from None
        return found


def jinja_template(source: str, *, names: Collection[str], field: str) -> JinjaTemplate:
    """Compiles a template in Jinja's language. Raises ConfigError."""
    try:
        tree = environment.parse(source)
    except (TemplateError, RecursionError) as error:
        raise ConfigError(f"{field}: {_where(error)}") from None
    return JinjaTemplate(tree, source, names, field, again=jinja_template)


def jinja_expression(source: str, *, names: Collection[str], field: str) -> JinjaExpression:
    """Compiles an expression. Raises ConfigError."""
    try:
        tree = _expression_tree(source)
    except (TemplateError, RecursionError) as error:
        raise ConfigError(f"{field}: {_shown(source)} is not an expression: {_where(error)}") from None
    return JinjaExpression(tree, source, names, field, again=jinja_expression)


@lru_cache(maxsize=1024)
def names_of(expression: str) -> frozenset[str] | None:
    """The names that an expression uses, None where it is none. Raises RecursionError where it is nested too deeply."""
    try:
        tree = _expression_tree(expression)
    except TemplateError:
        return None
    # All of them: an unknown filter, which is a fault, must not make an expression look like text.
    return frozenset(name.name for name in tree.find_all(nodes.Name) if name.name != _RESULT)


def parsed_expression(source: str) -> nodes.Expr:
    """The tree of an expression. Raises TemplateError."""
    parser = Parser(environment, source, state="variable")
    value = parser.parse_expression()
    if not parser.stream.eos:
        parser.fail("there is something after its end")
    return value


def _expression_tree(source: str) -> nodes.Template:
    value = parsed_expression(source)
    body: list[nodes.Node] = [nodes.Assign(nodes.Name(_RESULT, "store", lineno=1), value, lineno=1)]
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment)
    return tree


def _shown(source: str) -> str:
    return repr(source if len(source) <= _SHOWN else f"{source[: _SHOWN - 3]}...")


def _names(tree: nodes.Template) -> frozenset[str]:
    # Of a copy: Jinja puts values in the place of what is constant on the way, and does not know that the text "false" is false.
    return frozenset(meta.find_undeclared_variables(deepcopy(tree)))


def _check_depth(tree: nodes.Template, field: str) -> None:
    """Python's compiler takes minutes to refuse what is nested a few hundred deep."""
    level: list[nodes.Node] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node.iter_child_nodes()]
        if not level:
            return
    raise ConfigError(f"{field}: {_TOO_DEEP}")


def _check_filters(tree: nodes.Template, field: str) -> None:
    for kind, known in ((nodes.Filter, environment.filters), (nodes.Test, environment.tests)):
        for used in tree.find_all(kind):
            if used.name not in known:
                # Not those of the guard, and not operators.
                names = (name for name in known if name.isidentifier() and not name.startswith("_"))
                hint = did_you_mean(used.name, sorted(names))
                raise ConfigError(f"{field}: There is no {kind.__name__.lower()} {used.name!r}. {hint}")


def _refuse(name: str, names: Collection[str], field: str) -> None:
    raise ConfigError(f"{field}: There is no column {name!r}. {did_you_mean(name, names)}")


def _where(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    line = getattr(error, "lineno", None)
    text = str(getattr(error, "message", None) or error) or type(error).__name__
    return f"line {line}: {text.rstrip('.')}." if line and line > 1 else f"{text.rstrip('.')}."


def _render_error(error: BaseException, what: str) -> RenderError:
    if isinstance(error, RecursionError):
        return RenderError(f"the {what} calls itself without end")
    if isinstance(error, TooMuch):
        return RenderError(f"the {what} was stopped: {error}")
    kind = TypesDifferError if isinstance(error, TypeError) else RenderError
    why = "a number is too large" if isinstance(error, NameError) else getattr(error, "message", None) or error
    cannot = "cannot be filled" if what == "template" else "has no value"
    return kind(f"the {what} {cannot}: {why}")
