"""What the tests of personas share: a server that describes people, and datasets about them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from datafast.datasets import RawDataset
from datafast.llms import OpenAICompatibleProvider
from datafast.schema.config import RawDatasetConfig
from tests.servers.fault_server import Answer, FaultServer, Recorded

_ASKED = re.compile(r"Describe exactly (\d+) ")
_ONE = re.compile(r"One of them:\n\n(.+)\n")
WHO = "people of a harbour town"


def prompt_of(request: Recorded) -> str:
    """The first thing that the user says; a model that is asked again hears it once more."""
    return next(message["content"] for message in request.json["messages"] if message["role"] == "user")


def asked_of(request: Recorded) -> tuple[str, int] | None:
    """Whom people are to have to do with, empty for nobody, and how many there are to be; None for a request for texts."""
    prompt = prompt_of(request)
    if (found := _ASKED.search(prompt)) is None:
        return None
    one = _ONE.search(prompt)
    return (one[1] if one else "", int(found[1]))


def people(request: Recorded, **more: Any) -> Answer:
    """People with the names of whom they have to do with; texts where these are asked for."""
    asked = asked_of(request)
    if asked is None:
        return Answer(**more)
    whom, number = asked
    return Answer(text=json.dumps({"personas": [f"{whom or 'x'}{chr(97 + n)}" for n in range(number)]}), **more)


def asked(server: FaultServer) -> list[tuple[str, int]]:
    """What was asked for, in the order of the requests."""
    return [found for request in server.requests if (found := asked_of(request))]


def provider(server: FaultServer | str, **options: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("m", api_base=server if isinstance(server, str) else server.url, **options)


def texts(folder: Path, count: int = 30, *, grow: dict[str, Any] | None = None, **fields: Any) -> RawDataset:
    """A dataset with a row for each of so many grown personas."""
    known: dict[str, Any] = {
        "document_types": ["note"],
        "topics": ["tides"],
        "num_samples_per_prompt": 1,
        "personas": {"describe": WHO, "count": count, **(grow or {})},
        "output_file": folder / "out.jsonl",
    }
    return RawDataset(RawDatasetConfig(**{**known, **fields}))


def personas_of(dataset: RawDataset) -> list[str]:
    return sorted(row.metadata["persona"] for row in dataset.data_rows)
