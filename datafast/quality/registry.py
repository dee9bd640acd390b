"""Stages by name: built-in ones and those of other packages.

A package offers one by an entry point of the group `datafast.stages`, here in its pyproject.toml:

    [project.entry-points."datafast.stages"]
    no_questions = "my_package.quality:NoQuestions"

In a script, `register(NoQuestions)` does the same for this process. A stage is imported when it is asked for by name.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from datafast._util.by_name import ByName, ModelDoor
from datafast.quality.base import BaseStage
from datafast.registry import BUILT_IN

S = TypeVar("S", bound=BaseStage)

__all__ = ["STAGES", "AnyStage", "register"]


STAGES: ModelDoor[BaseStage] = ModelDoor(
    "datafast.stages",
    noun="stage",
    built_in=BUILT_IN["datafast.stages"],
    base=BaseStage,
    home="datafast.quality.base.Stage or WalkStage",
    tag="stage",
    key="quality",
)

AnyStage = Annotated[BaseStage, ByName(STAGES, BaseStage, tag="stage", example="{stage: length, min_words: 40}")]
"""Any stage, as a field of a config."""


def register(stage: type[S]) -> type[S]:
    """Adds a stage in this process, under the default of its field `stage`. Can be used as a decorator.

    Raises:
        ConfigError: the class has no such name, or it is taken.
    """
    STAGES.add(stage)
    return stage
