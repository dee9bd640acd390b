"""Trees and graphs of topics, given or grown.

    Tree.from_paths([["Sea", "Tides"], ["Sea", "Ice"]])        Tree.from_dict({"Sea": ["Tides", "Ice"]})        Tree.load("sea.json")

    tree = Tree(topic_prompt="The sea", provider="openai", model_name="gpt-6-luna", degree=4, depth=3, path="sea.json")
    await tree.build_async()        # or tree.build()

Growing is a run like any other, with limits, retries and a ledger. With `path`, an interrupted or killed build continues where it was;
without it, only while the object exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from datafast._util.normalised import normalised
from datafast._util.notify import did_you_mean
from datafast._util.user_path import user_path
from datafast.errors import ConfigError
from datafast.topics.building import Building, Event, after_build, before_build, divided
from datafast.topics.config import TopicsConfig
from datafast.topics.files import is_deepfabric_graph, read
from datafast.topics.model import TopicModel
from datafast.topics.names import GraphNames, Names

if TYPE_CHECKING:
    from datafast.engine.events import EventCallback
    from datafast.engine.settings import RunConfig
    from datafast.llms.provider import LLMProvider
    from datafast.types import RunReport

__all__ = ["Graph", "Tree", "load_topics", "shape_of"]

_TEMPERATURE = 0.7


class Grown(Names):
    """A topic model that a language model can grow.

    Args:
        topic_prompt: the root, the subject that is divided.
        provider: the name of a provider, or a provider object; not needed if `model_name` begins with it: "openai/gpt-4".
        model_name: the model, if `provider` is not an object.
        degree: subtopics of each topic. depth: levels below the root.
        temperature: of the model, if `provider` is a name.
        topic_system_prompt: a system message for every call.
        path: the file for the model, with its ledger next to it; by default only in memory.
        on_error: "stop" raises if a topic cannot be divided, "leaf" leaves it undivided and lists it under `failed`.
        run: limits and retries; see `RunConfig`.
        **options: more parameters of the provider: api_key, api_base, timeout, rpm_limit ...

    Raises:
        ConfigError: a name or value is wrong.
    """

    def __init__(
        self,
        topic_prompt: str,
        *,
        provider: str | LLMProvider | None = None,
        model_name: str | None = None,
        degree: int = 3,
        depth: int = 2,
        temperature: float | None = _TEMPERATURE,
        topic_system_prompt: str | None = None,
        path: str | Path | None = None,
        on_error: str = "stop",
        run: RunConfig | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        fields = {
            "topic_prompt": topic_prompt,
            "shape": self.shape,
            "degree": degree,
            "depth": depth,
            "topic_system_prompt": topic_system_prompt or None,
            "on_error": on_error,
            "file": path,
        }
        _check_names(options)
        try:
            self.config = TopicsConfig.model_validate(fields)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            raise ConfigError(f"{name}: {first['msg']}" if name else str(first["msg"]), key=name or None) from None
        self.provider = _provider(provider, model_name, temperature, options)
        self.report: RunReport | None = None
        self._run = run
        self._builder: Any = None
        self._events: list[Event] = []

    def build(self, *, offline: bool = False, fresh: bool = False, on_event: EventCallback | None = None) -> Self:
        """Grows the model, or what is missing.

        Args:
            offline: use a simulated model, at no cost.
            fresh: start over; existing files are moved aside.
            on_event: receives the events of the run.

        Raises:
            TopicsError: topics could not be divided; the others are kept, and `build` retries these.
            RunStopped: the run ended early and can be resumed by `build`.
        """
        growth = self._growth(offline)
        self._events = [self._first_event()]
        growth.on_divided = lambda *told: self._events.append(divided(self.shape, *told))
        self.take_grown(*growth.run(fresh=fresh, on_event=on_event))
        self._events.append(after_build(self))
        return self

    def __iter__(self) -> Iterator[Event]:
        """The events of the last `build()`; see `Building`."""
        return iter(self._events)

    def build_async(
        self, *, offline: bool = False, fresh: bool = False, on_event: EventCallback | None = None
    ) -> Building[Self]:
        """`build`, to be awaited from any event loop, or gone through for its events; see `Building`."""

        async def build(tell: Callable[[Event], None]) -> Self:
            growth = self._growth(offline)
            growth.on_divided = lambda *told: tell(divided(self.shape, *told))
            return self.take_grown(*await growth.run_async(fresh=fresh, on_event=on_event))

        return Building(self._first_event(), build)

    def _first_event(self) -> Event:
        config = self._asked()
        return before_build(self.provider.model_id, config.depth, config.degree)

    @property
    def model_name(self) -> str:
        """The model that grows it."""
        return self.provider.model_id

    @property
    def topic_prompt(self) -> str:
        """The subject that is divided."""
        return self._asked().topic_prompt

    @property
    def degree(self) -> int:
        """Subtopics that each topic is divided into."""
        return self._asked().degree

    @property
    def temperature(self) -> float | None:
        """That of the model."""
        found: float | None = self.provider.sampling.get("temperature")
        return found

    def _asked(self) -> TopicsConfig:
        if not hasattr(self, "config"):
            raise ConfigError(
                f"These topics were given, so they cannot be grown. {type(self).__name__}(topic_prompt=..., provider=...) can."
            )
        return self.config

    def _growth(self, offline: bool) -> Any:
        from datafast.topics.build import Growth

        config = self._asked()
        if self._builder is None or self._builder.offline != offline:
            self._builder = Growth(config, self.provider, begin=type(self).begun, run=self._run, offline=offline)
        return self._builder

    def take_grown(self, record: dict[str, Any], report: RunReport) -> Self:
        """Takes the result of a run that has grown `config`, as `build` does."""
        self._take(record)
        self.report = report
        return self

    # -- taking proposals

    @classmethod
    def begun(cls, topic: str) -> Self:
        """A model that has only a root."""
        model = cls._empty()
        model.nodes = cls.from_paths([[topic]]).nodes
        return model

    def absorb(self, parent: int, topics: Sequence[str], related: Sequence[str]) -> list[int]:
        """Takes the topics that were proposed below a parent, merges duplicates, and returns the new nodes."""
        raise TypeError(f"{type(self).__name__} does not say how it takes topics. Override this method.")

    def _numbers(self) -> dict[str, int]:
        """The node of each topic by its normalised text. New nodes are added here too; it is built again if `nodes` is replaced."""
        found: dict[str, int] | None = self.__dict__.get("_named")
        if found is None:
            found = {normalised(node.topic): number for number, node in enumerate(self.nodes) if node.topic}
            self.__dict__["_named"] = found
        return found


class Tree(Grown):
    """Topics with one parent each; see the module.

    A topic that is proposed again elsewhere, with the same normalised text, is merged with the first one. In given trees, the same
    words below different parents are different topics, because their paths differ.
    """

    shape = "tree"

    def absorb(self, parent: int, topics: Sequence[str], related: Sequence[str]) -> list[int]:
        named = self._numbers()
        new = []
        for topic in topics:
            if normalised(topic) in named:
                self.merged += 1
                continue
            named[normalised(topic)] = self._add(parent, topic)
            new.append(len(self.nodes) - 1)
        return new


class Graph(Grown, GraphNames):
    """Topics that may lie below several others. The same normalised text is always the same topic.

    A link that would put a topic below itself is refused and listed under `refused_links`.
    """

    shape = "graph"

    def __init__(self, topic_prompt: str, **options: Any) -> None:
        super().__init__(topic_prompt, **options)

    def absorb(self, parent: int, topics: Sequence[str], related: Sequence[str]) -> list[int]:
        named = self._numbers()
        new = []
        for topic in topics:
            if normalised(topic) in named:
                self.merged += 1
                self._link(parent, named[normalised(topic)])
                continue
            named[normalised(topic)] = self._add(parent, topic)
            new.append(len(self.nodes) - 1)
        for topic in related:
            known = named.get(normalised(topic))
            if known is not None and known not in new:
                self._link(parent, known)
        return new

    def _place_below(self, parent: int, topic: str) -> int | None:
        known = self._numbers().get(normalised(topic))
        if known is None:
            return self._add(parent, topic)
        return known if self._link(parent, known) else None

    def _add(self, parent: int, topic: str) -> int:
        number = super()._add(parent, topic)
        self._numbers()[normalised(topic)] = number
        return number

    def _link(self, parent: int, child: int) -> bool:
        """Puts an existing topic below another one too. Says whether it is there now."""
        if child in self.nodes[parent].children:
            return True
        if self._reaches(child, parent):
            refused = (self.nodes[parent].topic, self.nodes[child].topic)
            if refused not in self.refused_links:
                self.refused_links.append(refused)
            return False
        self._attach(parent, child)
        return True

    def _reaches(self, start: int, goal: int) -> bool:
        seen, stack = {start}, [start]
        while stack:
            number = stack.pop()
            if number == goal:
                return True
            below = [child for child in self.nodes[number].children if child not in seen]
            seen.update(below)
            stack += below
        return False


def shape_of(name: str) -> type[Tree] | type[Graph]:
    """The class of a shape."""
    return Graph if name == "graph" else Tree


def load_topics(path: str | Path) -> TopicModel:
    """Reads a model of either shape from a file; a tree, unless the file says otherwise. See `TopicModel.load`."""
    found = read(user_path(path))
    if isinstance(found, dict) and is_deepfabric_graph(found):
        return Graph.load(path)
    return shape_of(str(found.get("shape")) if isinstance(found, dict) else "tree").load(path)


def _check_names(options: dict[str, Any]) -> None:
    from datafast.llms.options import OPTION_SCHEMAS

    own = [
        "topic_prompt",
        "provider",
        "model_name",
        "degree",
        "depth",
        "topic_system_prompt",
        "path",
        "on_error",
        "run",
    ]
    known = [*own, *OPTION_SCHEMAS]
    for name in options:
        if name not in known:
            raise ConfigError(f"{name}: There is no such parameter. {did_you_mean(name, known)}", key=name)


def _provider(
    given: str | LLMProvider | None, model_name: str | None, temperature: float | None, options: dict[str, Any]
) -> LLMProvider:
    from datafast.llms.provider import LLMProvider
    from datafast.llms.registry import parted, provider_from_spec

    if given is None:
        given, model_name = parted(None, model_name)
    if given is None:
        raise ConfigError(
            'provider: The parameter is missing. Name it, or write it before the model: model_name="openai/gpt-4".'
        )
    if isinstance(given, LLMProvider):
        if model_name is not None or options:
            surplus = "model_name" if model_name is not None else next(iter(options))
            raise ConfigError(f"{surplus}: The provider is an object, which has its own. Leave it out.")
        return given
    spec: dict[str, Any] = {"provider": given, "temperature": temperature, **options}
    if model_name is not None:
        spec["model_id"] = model_name
    return provider_from_spec(spec)
