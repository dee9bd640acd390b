"""A build that can be awaited for the model, or gone through for its events:

    await tree.build_async()        asyncio.run(tree.build_async())        async for event in tree.build_async(): ...

Events are mappings with `event`:

    build_start           model_name, depth, degree
    subtopics_generated   of a tree: parent_path, count, success, and error where there is one
    node_expanded         of a graph: node_topic, subtopics_added, connections_added
    build_complete        total_paths, nodes_count, failed_generations
    error                 error; then it is raised
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Generator
from typing import Any, TypeVar

from datafast.topics.model import TopicModel
from datafast.topics.nodes import TopicPath

__all__ = ["Building", "Divided", "Event", "after_build", "before_build", "divided"]

M = TypeVar("M", bound=TopicModel)
Event = dict[str, Any]
Divided = Callable[[TopicPath, int, int, str | None], None]
"""Is told of each topic: its path, the numbers of new subtopics and of links, and what went wrong."""


def before_build(model_name: str, depth: int, degree: int) -> Event:
    return {"event": "build_start", "model_name": model_name, "depth": depth, "degree": degree}


def divided(shape: str, path: TopicPath, count: int, links: int, error: str | None) -> Event:
    """The event of a topic that was divided, or could not be."""
    why = {"error": error} if error else {}
    if shape == "graph":
        added = {"subtopics_added": count, "connections_added": links}
        return {"event": "node_expanded", "node_topic": path[-1], **added, **why}
    return {"event": "subtopics_generated", "parent_path": list(path), "count": count, "success": count > 0, **why}


def after_build(model: TopicModel) -> Event:
    counts = {"total_paths": model.num_paths, "nodes_count": len(model.nodes)}
    return {"event": "build_complete", **counts, "failed_generations": len(model.failed)}


class Building(Coroutine[Any, Any, M], AsyncIterable[Event]):
    """See the module.

    Args:
        begin: the first event.
        run: builds the model, and hands the event of each topic to what it is given, from any thread.
    """

    def __init__(self, begin: Event, run: Callable[[Callable[[Event], None]], Coroutine[Any, Any, M]]) -> None:
        self._begin = begin
        self._run = run
        self._own: Coroutine[Any, Any, M] | None = None

    @property
    def _awaited(self) -> Coroutine[Any, Any, M]:
        if self._own is None:
            self._own = self._run(lambda event: None)
        return self._own

    def __await__(self) -> Generator[Any, Any, M]:
        return self._awaited.__await__()

    def send(self, value: Any, /) -> Any:
        return self._awaited.send(value)

    def throw(self, *error: Any) -> Any:
        return self._awaited.throw(*error)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | None]()

        def tell(event: Event | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        task = asyncio.ensure_future(self._run(tell))
        task.add_done_callback(lambda _: tell(None))
        yield self._begin
        try:
            while (event := await events.get()) is not None:
                yield event
            try:
                model = task.result()
            except Exception as error:
                yield {"event": "error", "error": str(error)}
                raise
            yield after_build(model)
        finally:
            if not task.done():  # the iteration was left
                task.cancel()
                await asyncio.wait([task])
