"""Topic models as indented text and as Mermaid. Topics come from a model, so they are escaped for terminals and drawings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from datafast._util.notify import plain_text

__all__ = ["to_mermaid", "to_text"]

# Characters with a meaning in Mermaid or HTML; and, at the beginning, what Mermaid reads as a list and refuses to draw.
_SPECIAL = re.compile(r"[^\w\s,.:?!'/+-]|^[-+]|(?<=^\d)\.|(?<=^\d\d)\.|(?<=^\d\d\d)\.")


class Node(Protocol):
    """A topic, and the numbers of the topics below it."""

    @property
    def topic(self) -> str: ...
    @property
    def children(self) -> Sequence[int]: ...


def to_text(nodes: Sequence[Node]) -> str:
    """One topic a line, indented by two spaces a level. The subtopics of a topic with several parents are listed once."""
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
    """A flowchart from left to right. The labels are escaped, so that no topic can change the drawing."""
    names, edges = [], []
    for number, node in enumerate(nodes):
        if node.topic:
            names.append(f'    t{number}["{_label(node.topic)}"]')
            edges += [f"    t{number} --> t{child}" for child in node.children]
    return "\n".join(["graph LR", *names, *edges])


def _label(topic: str) -> str:
    """The topic in one line, with special characters as character codes."""
    return _SPECIAL.sub(lambda match: f"#{ord(match[0])};", _in_one_line(topic))


def _in_one_line(topic: str) -> str:
    return plain_text(" ".join(topic.split()))
