"""Nodes below nodes: what can be said of them by walking from the root down. Node 0 is the root; without nodes there is no model yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from datafast.errors import ConfigError

__all__ = ["TopicNode", "TopicPath", "first_parents", "levels", "paths_below", "walk"]

TopicPath = tuple[str, ...]


@dataclass(slots=True)
class TopicNode:
    """A topic, and the numbers of the topics below it."""

    topic: str
    children: list[int] = field(default_factory=list)
    id: int = field(default=0, compare=False)
    """Its number, by which other nodes name it."""


def paths_below(nodes: Sequence[TopicNode]) -> list[int]:
    """For each node, the number of paths from it to a leaf.

    Raises:
        ConfigError: a node lies below itself.
    """
    counts = [0] * len(nodes)
    state = bytearray(len(nodes))  # 0 new, 1 being counted, 2 counted
    stack = [0] if nodes else []
    while stack:
        number = stack[-1]
        children = nodes[number].children
        if state[number] == 0:
            state[number] = 1
            if any(state[child] == 1 for child in children):
                raise ConfigError(f"The topic {nodes[number].topic!r} lies below itself. Remove one of the links.")
            stack.extend(child for child in children if state[child] == 0)
            continue
        stack.pop()
        if state[number] == 1:
            counts[number] = sum(counts[child] for child in children) if children else 1
            state[number] = 2
    return counts


def first_parents(nodes: Sequence[TopicNode]) -> list[int | None]:
    """The parent of each node on the first path that leads to it; None for the root."""
    parents: list[int | None] = [None] * len(nodes)
    seen: set[int] = set()
    stack: list[tuple[int, int | None]] = [(0, None)] if nodes else []
    while stack:
        number, parent = stack.pop()
        if number not in seen:
            seen.add(number)
            parents[number] = parent
            stack.extend((child, number) for child in reversed(nodes[number].children))
    return parents


def levels(nodes: Sequence[TopicNode]) -> int:
    """The number of levels below the root."""
    deepest, level = 0, [0] if nodes else []
    while level := list(dict.fromkeys(child for number in level for child in nodes[number].children)):
        deepest += 1
    return deepest


def walk(nodes: Sequence[TopicNode]) -> Iterator[tuple[int, int]]:
    """(number, depth) of every node, parents before children and left before right, each once below its first parent."""
    seen: set[int] = set()
    stack = [(0, 0)] if nodes else []
    while stack:
        number, depth = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        yield number, depth
        stack.extend((child, depth + 1) for child in reversed(nodes[number].children))
