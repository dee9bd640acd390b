"""A program that generates on a Ray cluster, for tests that kill it. What it defines is only here, so workers get it by value."""

from __future__ import annotations

import sys
from pathlib import Path

from datafast.llms import OpenAIProvider
from tests.support import raw


class OwnProvider(OpenAIProvider):
    """A provider of a script."""


def main(folder: str, address: str, server: str, topics: str) -> None:
    settings = {"executor": "ray", "ray": {"address": address}, "max_concurrency": 8}
    dataset = raw(Path(folder), topics=int(topics), run=settings)
    dataset.generate([OwnProvider("gpt-test", api_key="sk-test", api_base=server)])


if __name__ == "__main__":
    main(*sys.argv[1:])
