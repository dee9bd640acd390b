"""Topic models for the eye: an indented text, and Mermaid. Topics are a model's words: none can end a line, steer a terminal or draw."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from datafast._util.notify import plain_text

__all__ = ["to_mermaid", "to_text"]

# Everything that Mermaid or HTML could take for its own; and, at the beginning, what Mermaid takes for a list and refuses to draw.
_SPECIAL = re.compile(r"[^\w\s,.:?!'/+-]|^[-+]|(?<=^\d)\.|(?<=^\d\d)\.|(?<=^\d\d\d)\.")


class Node(Protocol):
    """A topic, and the numbers of those below it."""

    @property
    def topic(self) -> str: ...
    @property
    def children(self) -> Sequence[int]: ...


def to_text(nodes: Sequence[Node]) -> str:
    """One topic a line, indented by two spaces a level. A topic with several parents is spelled out below the first one."""
    lines: list[str] = []
    shown: set[int] = set()
    stack = [(number, 0) for number in ([0] if nodes[0].topic else reversed(nodes[0].children))] if nodes else []
    while stack:
        number, depth = stack.pop()
        again = number in shown and nodes[number].children
        lines.append("  " * depth + _in_one_line(nodes[number].topic) + (" (see above)" if again else ""))
        if number not in shown:
            shown.add(number)
            stack.extend((child, depth + 1) for child in reversed(nodes[number].children))
    return "\n".join(lines)


def to_mermaid(nodes: Sequence[Node]) -> str:
    """A flowchart from left to right; the labels are escaped, so that no topic can end or change the drawing."""
    names, edges = [], []
    for number, node in enumerate(nodes):
        if node.topic:
            names.append(f'    t{number}["{_label(node.topic)}"]')
            edges += [f"    t{number} --> t{child}" for child in node.children]
    return "\n".join(["graph LR", *names, *edges])


def _label(topic: str) -> str:
    """The topic in one line, with everything special written as a character code."""
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", _in_one_line(topic))


def _in_one_line(topic: str) -> str:
    return plain_text(" ".join(topic.split()))
