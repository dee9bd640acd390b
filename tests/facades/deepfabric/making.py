"""A generator under DeepFabric's names, and topics for it."""

from __future__ import annotations

from typing import Any

from datafast import DataSetGenerator, Tree
from tests.servers.fault_server import Answer

TREE = Tree.from_dict({"sea": ["tides", "ice", "waves", "salt"]})
MANY = Tree.from_dict({"sea": ["zeppelin", *(f"wave {number}" for number in range(11))]})
BAD = Answer(text='{"conversations": []}')


def generator(**fields: Any) -> DataSetGenerator:
    given = {"generation_system_prompt": "You teach.", "provider": "openai", "model_name": "m-1", **fields}
    return DataSetGenerator(**given)
