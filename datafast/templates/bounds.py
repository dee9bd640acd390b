"""Whether an expression can be true at all, by what is known of the numbers in it: `score >= 9` is not, of scores from 1 to 5.

Comparisons of numbers with each other, `and`, `or` and `not` are understood. Of everything else it is taken that it may be true or false.
"""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import nodes

from datafast.templates.jinja import parsed_expression

__all__ = ["never_true"]

Bounds = tuple[float, float]


def never_true(source: str, bounds: Mapping[str, Bounds]) -> bool:
    """Whether an expression, which is one, is false whatever its numbers are.

    Args:
        bounds: the lowest and the highest value of numbers, by name.
    """
    return _truth(parsed_expression(source), bounds) is False


def _truth(node: nodes.Node, bounds: Mapping[str, Bounds]) -> bool | None:
    """What is known of it; None if it may be both."""
    match node:
        case nodes.And():
            return _both(_truth(node.left, bounds), _truth(node.right, bounds))
        case nodes.Or():
            return _not(_both(_not(_truth(node.left, bounds)), _not(_truth(node.right, bounds))))
        case nodes.Not():
            return _not(_truth(node.node, bounds))
        case nodes.Compare():
            known: bool | None = True
            left = _range(node.expr, bounds)
            for operand in node.ops:
                right = _range(operand.expr, bounds)
                known = _both(known, None if left is None or right is None else _compared(operand.op, left, right))
                left = right
            return known
    return None


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True


def _not(known: bool | None) -> bool | None:
    return None if known is None else not known


def _range(node: nodes.Node, bounds: Mapping[str, Bounds]) -> Bounds | None:
    """Between which numbers its value is; None if that is not known."""
    match node:
        case nodes.Name():
            return bounds.get(node.name)
        case nodes.Const() if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return node.value, node.value
        case nodes.Neg():
            found = _range(node.node, bounds)
            return None if found is None else (-found[1], -found[0])
    return None


def _compared(operator: str, one: Bounds, other: Bounds) -> bool | None:
    match operator:
        case "gt":
            return True if one[0] > other[1] else False if one[1] <= other[0] else None
        case "lteq":
            return _not(_compared("gt", one, other))
        case "lt":
            return _compared("gt", other, one)
        case "gteq":
            return _not(_compared("gt", other, one))
        case "eq":
            apart = one[1] < other[0] or other[1] < one[0]
            return False if apart else True if one == other and one[0] == one[1] else None
        case "ne":
            return _not(_compared("eq", one, other))
    return None
