"""Jinja, made harmless: no code, no files, and bounds on time, steps and size.

Guarantee: a template sees the values it is given and nothing else. It ends within about a second and never holds more than a few
million characters: loops, calls and outputs are counted, and whatever makes a large value out of small ones (`*`, `+`, `~`, `%`, `**`,
`join`, `replace`, `indent`, `range`) is measured before it is done. Filters and methods that could not be bounded are not there, nor is
anything random or dependent on the clock. Missing names and parts are errors.
Cost: about 10 us a rendering; jinja2 is imported with this module only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from datafast.templates.filters import FILTERS, formatted
from datafast.templates.limits import TooMuch, allow, bounded_text, size, step, write
from datafast.templates.values import counted_true

__all__ = ["GLOBALS", "environment", "guarded"]

_MAX_ELEMENTS = 10_000
_MAX_BITS = 4_096
_MAX_POWER = 64

_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        [
            "capitalize",
            "casefold",
            "count",
            "endswith",
            "find",
            "index",
            "isalpha",
            "isdigit",
            "isupper",
            "islower",
            "lower",
            "lstrip",
            "removeprefix",
            "removesuffix",
            "rfind",
            "rsplit",
            "rstrip",
            "split",
            "splitlines",
            "startswith",
            "strip",
            "title",
            "upper",
        ]
    ),
    dict: frozenset(["get", "items", "keys", "values"]),
    list: frozenset(["count", "index"]),
    LoopContext: frozenset(["cycle", "changed"]),
}
_REFUSED_TAGS = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Block)


# -- operators, loops, calls


def _checked_operation(operator: str, left: Any, right: Any) -> None:
    step()
    if operator == "*":
        for one, other in ((left, right), (right, left)):
            if isinstance(one, str | list | tuple) and isinstance(other, int):
                allow(size(one) * max(0, other))
    if operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        allow(size(left) + size(right))
    if isinstance(left, int) and isinstance(right, int):
        if operator == "**" and (abs(right) > _MAX_POWER or left.bit_length() > _MAX_BITS // _MAX_POWER):
            raise TooMuch("a power of too many digits")
        if operator in "+*" and max(left.bit_length(), right.bit_length()) > _MAX_BITS:
            raise TooMuch("a number of too many digits")


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > _MAX_ELEMENTS:
        raise TooMuch(f"a range of {len(found):,} numbers; at most {_MAX_ELEMENTS:,}")
    return found


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        step()
        yield value


def _concat(parts: Sequence[Any]) -> str:
    step()
    texts = [bounded_text(part) for part in parts]
    allow(sum(map(len, texts)))
    return "".join(texts)


def _bounded(value: Any) -> Any:
    step()
    allow(size(value))
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["+", "-", "*", "**", "%", "/", "//"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _checked_operation(operator, left, right)
        if operator == "%" and isinstance(left, str):
            return formatted(left, *(right if isinstance(right, tuple) else (right,)))
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]  # a value's own parts come before the methods of mappings
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro) or obj is _range or obj is Namespace or obj is dict:
            return True
        owner = getattr(obj, "__self__", None)
        return any(isinstance(owner, kind) and obj.__name__ in names for kind, names in _METHODS.items())

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> Any:
        step()
        if not self.is_safe_callable(obj):
            raise SecurityError(f"{getattr(obj, '__name__', type(obj).__name__)} cannot be called here")
        return super().call(context, obj, *args, **kwargs)


_OWN = {"__bounded": _bounded, "__counted": _counted, "__concat": _concat, "__true": counted_true}

GLOBALS: Mapping[str, Any] = {"dict": dict, "namespace": Namespace, "range": _range}
"""What templates may use beside columns; a column of the same name hides it."""


def _made() -> _Sandbox:
    made = _Sandbox(undefined=StrictUndefined, finalize=write, keep_trailing_newline=True, autoescape=False)
    made.globals = {}
    made.filters = {**FILTERS, **_OWN}
    return made


environment = _made()


class _Guard(NodeTransformer):
    """Puts counters into loops and concatenations, which the sandbox itself lets through; and the truth of texts where it is asked."""

    def _asking(self, node: Any) -> Any:
        self.generic_visit(node)
        if node.test is not None:
            node.test = _filtered(node.test, "__true")
        return node

    visit_If = visit_CondExpr = _asking  # noqa: N815 - named by Jinja

    def visit_Not(self, node: nodes.Not) -> nodes.Node:  # noqa: N802 - named by Jinja
        self.generic_visit(node)
        node.node = _filtered(node.node, "__true")
        return node

    def _choosing(self, node: Any) -> Any:
        self.generic_visit(node)
        node.left = _filtered(node.left, "__true")
        return node

    visit_And = visit_Or = _choosing  # noqa: N815 - named by Jinja

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - named by Jinja
        if node.recursive:
            raise SecurityError("a recursive loop is not possible here")
        self._asking(node)
        node.iter = _filtered(node.iter, "__counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - named by Jinja
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "__concat")

    def _measured(self, node: nodes.Expr) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "__bounded")

    visit_List = visit_Dict = _measured  # noqa: N815 - named by Jinja

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802 - named by Jinja
        return self._measured(node) if node.ctx == "load" else node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def guarded(tree: nodes.Template) -> nodes.Template:
    """The tree with its counters.

    Raises:
        SecurityError: it holds a tag that reaches beyond itself.
    """
    for tag in tree.find_all(_REFUSED_TAGS):
        raise SecurityError(f"{type(tag).__name__.lower()} is not possible here. A template stands by itself")
    for used in tree.find_all(nodes.Filter):
        if used.name in _OWN:
            raise SecurityError(f"there is no filter {used.name!r}")
    guarded_tree: nodes.Template = _Guard().visit(tree)
    return guarded_tree
