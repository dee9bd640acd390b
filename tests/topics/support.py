"""What the tests of topics share: a server that divides topics, models that are grown from it, and datasets about them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from datafast import ConversationDataset, Graph, Tree
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import ConversationDatasetConfig
from tests.servers.fault_server import Answer, FaultServer, Recorded

_ASKED = re.compile(r"Propose exactly (\d+) subtopics? of '(.+?)'")
ROOT = "sea"


def question(request: Recorded) -> str:
    """The first thing that the user says; a model that is asked again hears it once more."""
    return next(message["content"] for message in request.json["messages"] if message["role"] == "user")


def asked_of(request: Recorded) -> tuple[str, int] | None:
    """The topic that a request wants to have divided, and into how many; None for one that asks for conversations."""
    found = _ASKED.search(question(request))
    return (found[2], int(found[1])) if found else None


def subtopics(request: Recorded, **more: Any) -> Answer:
    """The subtopics 1, 2, ... of a topic, which carry its name; conversations where these are asked for."""
    asked = asked_of(request)
    if asked is None:
        return Answer(**more)
    topic, number = asked
    return Answer(text=json.dumps({"subtopics": [f"{topic} {n}" for n in range(1, number + 1)]}), **more)


def asked(server: FaultServer) -> list[str]:
    """The topics that were to be divided, in the order of the requests."""
    return [found[0] for request in server.requests if (found := asked_of(request))]


def provider(server: FaultServer | str, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("m", api_base=server if isinstance(server, str) else server.url, **options)


def tree(server: FaultServer, shape: type[Tree] | type[Graph] = Tree, **options: Any) -> Any:
    fields = {"topic_prompt": ROOT, "degree": 2, "depth": 2, "provider": provider(server), **options}
    return shape(**fields)


def talk(folder: Path, topics: Any, **fields: Any) -> ConversationDataset:
    given = {"output_file": folder / "out.jsonl", **fields}
    return ConversationDataset(ConversationDatasetConfig(topics=topics, **given))


GROWN = {"topic_prompt": ROOT, "degree": 2, "depth": 2}
LEAVES = [[ROOT, f"{ROOT} {one}", f"{ROOT} {one} {two}"] for one in (1, 2) for two in (1, 2)]


def refusing(*topics: str) -> Callable[[Recorded], Answer]:
    return lambda request: (
        Answer(text="I would rather not.") if (asked_of(request) or ("",))[0] in topics else subtopics(request)
    )


def meeting(request: Recorded, chance: random.Random) -> Answer:
    """Answers that depend on the topic alone and meet each other in many places; they come in any order."""
    topic, number = asked_of(request) or ("", 0)
    own = random.Random(topic)
    reply = {"subtopics": [f"thing {own.randrange(30)}" for _ in range(number)]}
    offered = re.findall(r"^- (.+)$", request.prompt.split("`related`")[-1], re.MULTILINE)
    if "`related`" in request.prompt:
        reply["related"] = own.sample(offered, min(2, len(offered)))
    return Answer(text=json.dumps(reply), delay_s=chance.uniform(0, 0.02))


# -- topic models that are given

SEA = {"Sea": {"Tides": ["Spring tides", "Neap tides"], "Ice": ["Pack ice"], "Salt": []}}
HOSTILE = [
    'a"]; click t0 "javascript:alert(1)"',
    "</pre><script>alert(1)</script>",
    "end",
    "graph TD\n    t0 --> t9",
    "subgraph x",
    "%% comment",
    "`code` **bold**",
    "1. a list",
    "- another",
    "a\x1b[2Jb\x07",
    "right\u202eleft\u2066",
    "line\u2028separator\x85next\x0bvertical",
    "\x00NUL",
    "#quot; &amp; &#34;",
    "a > b",
    "{topic} <<topic>> {{topic}}",
    "emoji 👩‍👩‍👧 and 語",
    "\ufeffmark",
]
topic = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda text: text.strip())
path = st.lists(topic, min_size=1, max_size=5)
paths = st.lists(path, min_size=1, max_size=12)
# Few names, so that paths share beginnings, meet again, and close circles.
crossing = st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True), min_size=1, max_size=12)


def shape_of(number: int) -> type[Tree] | type[Graph]:
    return (Tree, Graph)[number]


both = pytest.mark.parametrize("shape", [Tree, Graph])
