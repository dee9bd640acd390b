"""The configs of `examples/`, made in a folder of a test's own by simulated models."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datafast.config_files.loader import load_project
from datafast.datasets.dataset import Dataset
from datafast.executors.base import Executor
from tests.support import ROOT, assert_balanced

__all__ = ["CONFIGS", "copied_examples", "lines_in_order", "made_of_example"]

CONFIGS = sorted(path.name for path in (ROOT / "examples").glob("*.yaml"))


def copied_examples(folder: Path) -> Path:
    """A copy of the examples, with what they read."""
    return Path(shutil.copytree(ROOT / "examples", folder / "examples"))


def made_of_example(path: Path, output: Path, executor: Executor | None = None, **options: Any) -> Dataset[Any, Any]:
    """A dataset of a config, by simulated models. Called in the folder of the example."""
    project = load_project(path, output=output).simulated()
    dataset = project.dataset(executor)
    project.generate(dataset, {"progress": False, **options})
    assert_balanced(dataset.report)
    return dataset


def lines_in_order(path: Path) -> list[bytes]:
    """The lines of a file of rows, which has some, in an order that does not depend on which came first."""
    lines = sorted(path.read_bytes().splitlines())
    assert lines
    return lines
