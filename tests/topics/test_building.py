"""Events of a build, and that it may be awaited too."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

import pytest

from datafast import Graph, Tree
from datafast.errors import TopicsError
from tests.servers.fault_server import Answer, FaultServer


@pytest.fixture
def server(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> FaultServer:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("OPENAI_BASE_URL", fault_server.url)
    numbers = count()
    fault_server.respond = lambda request: Answer(
        text=json.dumps({"subtopics": [f"t{next(numbers)}", f"t{next(numbers)}"]})
    )
    return fault_server


def tree(**fields: Any) -> Tree:
    return Tree("sea", model_name="openai/m-1", **{"degree": 2, "depth": 2, **fields})


def events_of(model: Tree | Graph) -> list[dict[str, Any]]:
    async def main() -> list[dict[str, Any]]:
        return [event async for event in model.build_async()]

    return asyncio.run(main())


def test_a_tree_tells_of_each_topic_that_is_divided(server: FaultServer) -> None:
    model = tree()
    first, *divided, last = events_of(model)
    assert first == {"event": "build_start", "model_name": "m-1", "depth": 2, "degree": 2}
    assert [(event["parent_path"], event["count"], event["success"]) for event in divided] == [
        (["sea"], 2, True),
        (["sea", "t0"], 2, True),
        (["sea", "t1"], 2, True),
    ]
    assert last == {"event": "build_complete", "total_paths": 4, "nodes_count": 7, "failed_generations": 0}
    assert len(model.leaves()) == 4


def test_a_graph_tells_of_each_node_with_its_links(server: FaultServer) -> None:
    answers = {
        "sea": {"subtopics": ["a", "b"]},
        "a": {"subtopics": ["c", "d"], "related": ["b"]},
        "b": {"subtopics": ["e", "f"]},
    }
    server.respond = lambda request: Answer(
        text=json.dumps(next(reply for topic, reply in answers.items() if f"subtopics of '{topic}'" in request.prompt))
    )
    model = Graph("sea", provider="openai", model_name="m-1", degree=2, depth=2)
    _, *expanded, last = events_of(model)
    assert expanded[0] == {"event": "node_expanded", "node_topic": "sea", "subtopics_added": 2, "connections_added": 0}
    assert ("a", 2, 1) in [(e["node_topic"], e["subtopics_added"], e["connections_added"]) for e in expanded]
    assert last["nodes_count"] == len(model.nodes)


@pytest.mark.parametrize("way", ["run", "await", "task", "gather"])
def test_it_is_a_coroutine_too(server: FaultServer, way: str) -> None:
    async def main() -> Tree:
        if way == "await":
            return await tree().build_async()
        if way == "task":
            return await asyncio.create_task(tree().build_async())
        return (await asyncio.gather(tree().build_async(), tree().build_async()))[1]

    model = asyncio.run(tree().build_async()) if way == "run" else asyncio.run(main())
    assert len(model.leaves()) == 4


def test_what_is_never_awaited_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    model = Tree("sea", provider="simulated", model_name="m")
    model.build_async()
    model.build_async().close()
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]


def test_the_error_is_an_event_before_it_is_raised(server: FaultServer) -> None:
    server.respond = lambda request: Answer(text='{"subtopics": []}')
    told: list[dict[str, Any]] = []

    async def main() -> None:
        async for event in tree().build_async():
            told.append(event)

    with pytest.raises(TopicsError, match="could not be divided"):
        asyncio.run(main())
    assert [event["event"] for event in told] == ["build_start", "error"]
    assert "could not be divided" in told[-1]["error"]


def test_topics_that_stay_leaves_are_told_with_their_error(server: FaultServer) -> None:
    answers = {"sea": '{"subtopics": ["a", "b"]}', "a": '{"subtopics": ["c", "d"]}', "b": '{"subtopics": []}'}
    server.respond = lambda request: Answer(
        text=next(text for topic, text in answers.items() if f"subtopics of '{topic}'" in str(request.json))
    )
    model = tree(on_error="leaf")
    *events, last = events_of(model)
    (failed,) = [event for event in events if event.get("success") is False]
    assert (failed["parent_path"], failed["count"]) == (["sea", "b"], 0)
    assert failed["error"]
    assert last["failed_generations"] == 1
    assert [entry["node_path"] for entry in model.failed_generations] == [["sea", "b"]]


def test_an_iteration_that_is_left_ends_the_build_and_the_next_one_goes_on(server: FaultServer) -> None:
    model = tree()
    numbers, fine = count(), server.respond
    server.respond = lambda request: Answer(delay_s=0.2, text=fine(request).text) if next(numbers) else fine(request)

    async def left() -> None:
        events = model.build_async().__aiter__()
        await anext(events)
        while len(server.requests) < 3:
            await asyncio.sleep(0.005)
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(asyncio.wait_for(left(), 20))
    server.respond = fine
    assert len(model.build().leaves()) == 4
    assert len(server.requests) <= 1 + 2 + 2  # those in flight may have landed


def test_events_of_the_last_build_are_iterated_over(server: FaultServer) -> None:
    assert [event["event"] for event in tree().build()] == [
        "build_start",
        *["subtopics_generated"] * 3,
        "build_complete",
    ]
