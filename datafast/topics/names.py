"""What topic models are called and made by in DeepFabric, on top of our own methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Self

from datafast._util.normalised import normalised
from datafast.errors import ConfigError
from datafast.topics.model import TopicModel
from datafast.topics.nodes import TopicNode

__all__ = ["GraphNames", "Names", "Topic", "TopicPathWithId"]


class TopicPathWithId(NamedTuple):
    """A path, and an id that stays the same as long as the path does."""

    path: list[str]
    topic_id: str


class Topic(NamedTuple):
    """A leaf, and an id that stays the same as long as its path does."""

    uuid: str
    topic: str


class Names(TopicModel):
    """DeepFabric's names of every topic model."""

    def get_all_paths(self) -> list[list[str]]:
        """`paths()`."""
        return self.paths()

    @property
    def tree_paths(self) -> list[list[str]]:
        """`paths()`."""
        return self.paths()

    def get_all_paths_with_ids(self) -> list[TopicPathWithId]:
        return [TopicPathWithId(path, _id(path)) for path in self.paths()]

    def get_unique_topics(self) -> list[Topic]:
        """The leaves, each once."""
        paths = [list(self.leaf_path(index)) for index in range(self.num_leaves)]
        return [Topic(_id(path), path[-1]) for path in paths]

    def get_path_by_id(self, topic_id: str) -> list[str] | None:
        return next((found.path for found in self.get_all_paths_with_ids() if found.topic_id == topic_id), None)

    @property
    def failed_generations(self) -> list[dict[str, Any]]:
        """The topics that could not be divided, with what went wrong."""
        return [{"node_path": list(path), "error": error} for path, error in self.failed.items()]

    def print_tree(self) -> None:
        """Prints `to_text()`."""
        print(self.to_text())  # noqa: T201 - that is what it is for

    def from_dict_list(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes the topics of rows like `{"path": [...]}` in the place of its own.

        Raises:
            ConfigError: no row has a path.
        """
        paths = [row["path"] for row in rows if "path" in row]
        if not paths:
            raise ConfigError('from_dict_list: No row has a path, as in {"path": ["Sea", "Tides"]}. Give at least one.')
        made = type(self).from_paths(paths)
        self.nodes, self.merged = made.nodes, made.merged
        self.failed, self.refused_links = {}, []
        self._made()


class GraphNames(Names):
    """DeepFabric's names of a graph."""

    def add_node(self, topic: str, metadata: Mapping[str, Any] | None = None) -> TopicNode:
        """A new topic, which lies below none until `add_edge` puts it there; or the one with the same text, if there is one.

        Raises:
            ConfigError: it is blank, or has `metadata`, which is not kept.
        """
        if metadata:
            raise ConfigError("metadata: Topics have no data of their own here. Leave it out.")
        (made,) = type(self).from_topics([topic]).leaves()
        for node in self.nodes:
            if normalised(node.topic) == normalised(made):
                return node
        node = TopicNode(made, [], len(self.nodes))
        self.nodes.append(node)
        self._made()
        return node

    def add_edge(self, parent_id: int, child_id: int) -> None:
        """Puts a topic below another one.

        Raises:
            ConfigError: there is no such topic, or it would lie below itself.
        """
        for number in (parent_id, child_id):
            if not 0 <= number < len(self.nodes):
                raise ConfigError(f"add_edge: There is no topic {number}. The last one is {len(self.nodes) - 1}.")
        if child_id not in self.nodes[parent_id].children:
            self.nodes[parent_id].children.append(child_id)
            try:
                self._made()
            except ConfigError:
                self.nodes[parent_id].children.remove(child_id)
                self._made()
                raise

    @classmethod
    def from_json(cls, path: str | Path, params: object = None, *, args: object = None) -> Self:
        """`load`. The parameters of DeepFabric's, which name a model that loading does not need, are not read."""
        return cls.load(path)

    def has_cycle(self) -> bool:
        """Never: a link that would make one is refused."""
        return False

    def visualize(self, path: str | Path) -> Path:
        """Writes `to_mermaid()` to a file with the ending .mmd, which every Mermaid viewer draws, and returns its path."""
        target = Path(path)
        target = target if target.suffix == ".mmd" else target.with_name(f"{target.name}.mmd")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.to_mermaid() + "\n", encoding="utf-8")
        return target


def _id(path: Sequence[str]) -> str:
    return blake2b("\0".join(path).encode(), digest_size=8).hexdigest()
