"""Topics below topics, from a root down to the leaves that rows are about.

A `TopicModel` is a list of nodes. Node 0 is the root, and `children` are numbers of other nodes. In a tree each node has one parent; in a
graph it may have several, but no node is its own ancestor. A path leads from the root to a leaf. A root without a name, as in a model
made of a plain list, is left out of paths.

Guarantee: two nodes below the same parent never have the same normalised text (`normalised`), because duplicates are merged.
Cost: `path(i)` and `num_paths` need memory for one number a node, for any number of paths.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Self

import orjson

from datafast._util.config_model import NO_SET
from datafast._util.normalised import normalised
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.topics.files import FORMAT, is_deepfabric_graph, is_record, of_deepfabric_graph, read, save, save_paths
from datafast.topics.nodes import TopicNode, TopicPath, first_parents, levels, paths_below, walk
from datafast.topics.views import to_mermaid, to_text

__all__ = ["TopicModel"]

_MAX_DEPTH = 100


class TopicModel:
    """Topics below topics; see the module. Base of `Tree` and `Graph`.

    Attributes:
        nodes: all nodes; the first one is the root.
        merged: the number of duplicates (of proposed topics or given paths) that were merged.
        refused_links: (from, to) of links that would have made a cycle.
        failed: paths of topics that could not be divided, which are leaves, and the errors.
        read_from: the file that it was read from, if it was.
    """

    shape: ClassVar[str] = "tree"
    read_from: Path | None = None

    def __init__(self) -> None:
        self.nodes: list[TopicNode] = []
        self.merged = 0
        self.refused_links: list[tuple[str, str]] = []
        self.failed: dict[TopicPath, str] = {}
        self._below: dict[tuple[int, str], int] = {}

    # -- making one

    @classmethod
    def from_paths(cls, paths: Iterable[Sequence[str]]) -> Self:
        """A model from paths, each from the root to a leaf. Common beginnings become the same nodes.

        Raises:
            ConfigError: a path is empty, or one of its topics is blank or not a text.
        """
        model = cls._empty()
        for number, path in enumerate(paths):
            if isinstance(path, str) or not isinstance(path, Sequence) or not path:
                raise ConfigError(f"paths[{number}]: expected a list of topics from the root to a leaf, got {path!r}.")
            model._add_path([_checked(topic, f"paths[{number}]") for topic in path])
        return model._with_named_root()

    @classmethod
    def from_topics(cls, topics: Iterable[str]) -> Self:
        """A model from a plain list: leaves below a root without a name."""
        if isinstance(topics, set | frozenset):
            raise ConfigError(f"topics: {NO_SET}")
        model = cls._empty()
        for number, topic in enumerate(topics):
            model._add_path([_checked(topic, f"topics[{number}]")])
        return model._made()

    @classmethod
    def from_dict(cls, topics: Mapping[str, Any]) -> Self:
        """A model from nested mappings, with lists of leaves at the bottom: `{"Sea": {"Tides": ["Spring tides"], "Ice": []}}`.

        The result of `to_dict` is accepted too.

        Raises:
            ConfigError: a value is not a mapping, list or None, or there are no topics.
        """
        if is_record(topics):
            return cls._from_record(topics)
        model = cls._empty()
        model._add_nested(topics, [])
        return model._with_named_root()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a model from a file that `save` wrote, from nested JSON, or from JSON lines with a `path` or `paths` each.

        Raises:
            ConfigError: there is no such file, or it has no topic model.
        """
        path = user_path(path)
        try:
            model = cls._from_json(read(path))
        except ConfigError as error:
            if str(path) in str(error):
                raise
            raise ConfigError(f"{path}: {error}") from error
        model.read_from = path
        return model

    @classmethod
    def _from_json(cls, whole: Any) -> Self:
        if isinstance(whole, Mapping):
            if isinstance(whole.get("path"), list) and len(whole) == 1:
                return cls.from_paths([whole["path"]])
            if is_deepfabric_graph(whole):
                return cls.from_dict(of_deepfabric_graph(whole, cls.shape))
            return cls.from_dict(whole)
        if isinstance(whole, list) and all(isinstance(entry, list) for entry in whole):
            return cls.from_paths(whole)
        if isinstance(whole, list) and whole and all(isinstance(entry, Mapping) and "path" in entry for entry in whole):
            return cls.from_paths([entry["path"] for entry in whole])
        if isinstance(whole, list):
            return cls.from_topics(whole)
        raise ConfigError("expected a topic model: nested topics, a list of topics, or a list of paths.")

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> Self:
        if (shape := record.get("shape", cls.shape)) != cls.shape:
            raise ConfigError(f"This is a {shape}, not a {cls.shape}. Read it with {str(shape).capitalize()}.load.")
        model = cls.__new__(cls)
        TopicModel.__init__(model)
        model._take(record)
        return model

    def _take(self, record: Mapping[str, Any]) -> None:
        """Takes the nodes and notes of a record that `to_dict` made."""
        try:
            self.nodes = [
                TopicNode(str(node["topic"]), [int(c) for c in node["children"]]) for node in record["topics"]
            ]
            self.merged = int(record.get("merged", 0))
            self.refused_links = [(str(one), str(other)) for one, other in record.get("refused_links", ())]
            self.failed = {tuple(entry["path"]): str(entry["error"]) for entry in record.get("failed", ())}
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"This is not a topic model: {type(error).__name__}: {error}.") from error
        self._made()

    @classmethod
    def _empty(cls) -> Self:
        model = cls.__new__(cls)
        TopicModel.__init__(model)
        model.nodes = [TopicNode("")]
        return model

    def _add_nested(self, topics: Any, above: list[str]) -> None:
        """Adds the topics below a path."""
        where = " > ".join(above) or "the model"
        if len(above) > _MAX_DEPTH:
            raise ConfigError(f"Topics are nested more than {_MAX_DEPTH} deep below {above[0]!r}. Use fewer levels.")
        if isinstance(topics, Mapping):
            for topic, below in topics.items():
                path = [*above, _checked(topic, where)]
                if below:
                    self._add_nested(below, path)
                else:
                    self._add_path(path)
        elif isinstance(topics, Sequence) and not isinstance(topics, str):
            for topic in topics:
                if isinstance(topic, Mapping):
                    self._add_nested(topic, above)
                else:
                    self._add_path([*above, _checked(topic, where)])
        else:
            raise ConfigError(
                f"{where}: expected a mapping of topics to the topics below them, or a list, got {topics!r}."
            )

    def _add_path(self, path: Sequence[str]) -> None:
        place, before = 0, len(self.nodes)
        for topic in path:
            found = self._place_below(place, topic)
            if found is None:
                return
            place = found
        self.merged += len(self.nodes) == before

    def _place_below(self, parent: int, topic: str) -> int | None:
        """The node of a topic below a parent, which is added if it is missing; None if it cannot be there."""
        known = self._below.get((parent, normalised(topic)))
        return self._add(parent, topic) if known is None else known

    def _add(self, parent: int, topic: str) -> int:
        """A new node below a parent."""
        number = len(self.nodes)
        self.nodes.append(TopicNode(topic, [], number))
        self._attach(parent, number)
        return number

    def _attach(self, parent: int, child: int) -> None:
        self.nodes[parent].children.append(child)
        self._below[parent, normalised(self.nodes[child].topic)] = child

    def _with_named_root(self) -> Self:
        """If the root has no name and only one child, makes this child the root."""
        if not self.nodes[0].topic and len(self.nodes[0].children) == 1:
            first = self.nodes[0].children[0]
            order = [first, *(number for number in range(1, len(self.nodes)) if number != first)]
            place = {old: new for new, old in enumerate(order)}
            nodes = [self.nodes[old] for old in order]
            self.nodes = [TopicNode(node.topic, [place[child] for child in node.children]) for node in nodes]
        return self._made()

    def _made(self) -> Self:
        if not self.nodes or (len(self.nodes) == 1 and not self.nodes[0].topic):
            raise ConfigError("The topic model has no topics. Give at least one.")
        for number, node in enumerate(self.nodes):
            node.id = number
            if any(not 0 <= child < len(self.nodes) for child in node.children):
                raise ConfigError(f"The topic {node.topic!r} has a child that does not exist. Correct its children.")
        self._below = {}
        for counted in ("_paths_below", "_ends", "_leaves", "_parents", "_named"):
            self.__dict__.pop(counted, None)
        _ = self._paths_below  # refuses cycles
        return self

    # -- reading it

    @property
    def is_built(self) -> bool:
        """Whether there are topics."""
        return bool(self.nodes)

    @property
    def root(self) -> TopicNode:
        """The node at the top.

        Raises:
            ConfigError: there are no topics yet.
        """
        self._check_built()
        return self.nodes[0]

    def _check_built(self) -> None:
        if not self.nodes:
            raise ConfigError(f"This {self.shape} has no topics yet. Call build() first.")

    @property
    def num_topics(self) -> int:
        """The number of topics, each counted once; a root without a name does not count."""
        return sum(1 for node in self.nodes if node.topic)

    @property
    def num_paths(self) -> int:
        """The number of paths from the root to a leaf."""
        return self._paths_below[0] if self.nodes else 0

    @cached_property
    def _paths_below(self) -> list[int]:
        return paths_below(self.nodes)

    @cached_property
    def _ends(self) -> list[list[int]]:
        """For each node, how many paths lead through its children up to and including each one."""
        return [list(accumulate(self._paths_below[child] for child in node.children)) for node in self.nodes]

    def __len__(self) -> int:
        return self.num_leaves

    def path(self, index: int) -> TopicPath:
        """The path with this number, in the order of the leaves from left to right. Cost: one search a level.

        Raises:
            IndexError: there is no such path.
        """
        if not 0 <= index < self.num_paths:
            raise IndexError(index)
        number, path = 0, [self.nodes[0].topic]
        while children := self.nodes[number].children:
            ends = self._ends[number]
            place = bisect_right(ends, index)
            index -= ends[place - 1] if place else 0
            number = children[place]
            path.append(self.nodes[number].topic)
        return tuple(path if path[0] else path[1:])

    def paths(self) -> list[list[str]]:
        """All paths from the root to a leaf, from left to right."""
        return [list(self.path(index)) for index in range(self.num_paths)]

    @property
    def num_leaves(self) -> int:
        """The number of leaves, each counted once."""
        return len(self._leaves)

    def leaves(self) -> list[str]:
        """The topics without subtopics, each once, from left to right."""
        return [self.nodes[number].topic for number in self._leaves]

    def leaf_path(self, index: int) -> TopicPath:
        """The path to a leaf; in a graph the first path that leads to it.

        Raises:
            IndexError: there is no such leaf.
        """
        if self.num_leaves == self.num_paths:
            return self.path(index)
        number: int | None = self._leaves[range(self.num_leaves)[index]]
        path: list[str] = []
        while number is not None:
            path.append(self.nodes[number].topic)
            number = self._parents[number]
        path.reverse()
        return tuple(path if path[0] else path[1:])

    @cached_property
    def _leaves(self) -> list[int]:
        return [number for number, _ in self.walk() if not self.nodes[number].children]

    @cached_property
    def _parents(self) -> list[int | None]:
        return first_parents(self.nodes)

    @property
    def depth(self) -> int:
        """Levels below the root."""
        return levels(self.nodes)

    def walk(self) -> Iterator[tuple[int, int]]:
        """(number, depth) of every node, parents before children and left before right, each once below its first parent."""
        return walk(self.nodes)

    # -- writing it

    def to_dict(self) -> dict[str, Any]:
        """The model as plain values, which `from_dict` and `load` read."""
        return {
            "format": FORMAT,
            "shape": self.shape,
            "topics": [{"topic": node.topic, "children": list(node.children)} for node in self.nodes],
            "merged": self.merged,
            "refused_links": [list(link) for link in self.refused_links],
            "failed": [{"path": list(path), "error": error} for path, error in self.failed.items()],
        }

    def save(self, path: str | Path) -> None:
        """Writes the model to a file, completely or not at all; an older file is replaced.

        Args:
            path: ends in .jsonl for a path on each line, `{"path": [...]}`, without anything else; otherwise it is JSON with everything.

        Raises:
            ConfigError: there are no topics yet.
            OutputError: the file cannot be written.
        """
        self._check_built()
        target = user_path(path)
        if target.suffix == ".jsonl":
            save_paths(self.paths(), target)
        else:
            save(self.to_dict(), target)

    def to_text(self) -> str:
        """The topics as an indented list."""
        return to_text(self.nodes)

    def to_mermaid(self) -> str:
        """The topics as a Mermaid flowchart."""
        return to_mermaid(self.nodes)

    @property
    def digest(self) -> bytes:
        """16 bytes that change when a topic or its place does."""
        return blake2b(orjson.dumps(self.to_dict()["topics"]), digest_size=16).digest()

    def __repr__(self) -> str:
        if not self.nodes:
            return f"<{type(self).__name__}, not built yet>"
        name = f"{self.root.topic!r}, " if self.root.topic else ""
        return f"<{type(self).__name__} {name}{self.num_topics} topics, {self.num_leaves} leaves, depth {self.depth}>"


def _checked(topic: object, where: str) -> str:
    if not isinstance(topic, str) or not topic.strip():
        raise ConfigError(f"{where}: expected a topic, which is a text and not blank, got {topic!r}.")
    if any("\ud800" <= letter <= "\udfff" for letter in topic):
        raise ConfigError(f"{where}: {topic!r} has half a surrogate pair, which no file can hold. Remove it.")
    return topic.strip()
