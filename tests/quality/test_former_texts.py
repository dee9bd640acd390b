"""Stages see rows of earlier versions with the prompts that these were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from datafast.config_files.loader import load_project
from datafast.engine.options import RunOptions
from datafast.plan.items import WorkItem
from datafast.quality.base import KEEP, Stage, Verdict, drop
from tests.servers.fault_server import FaultServer
from tests.store.test_outputs_of_010 import restore
from tests.support import assert_balanced

SHOWN: set[str] = set()


class TemplateStage(Stage):
    """Notes the prompts of rows."""

    stage: Literal["template"] = "template"
    drops: bool

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        SHOWN.add(item.template.text)
        return drop("all") if self.drops else KEEP


@pytest.mark.filterwarnings("ignore:All .* rows were filtered")
def test_rows_of_an_earlier_version_are_decided_about_with_its_prompts(
    tmp_path: Path, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    restore("raw-default-prompts", tmp_path, fault_server.url)
    project = load_project(next(tmp_path.glob("*.yaml")))

    def decided(drops: bool) -> Any:
        dataset = project.dataset()
        dataset.config.quality = [TemplateStage(drops=drops)]
        project.generate(dataset, RunOptions(progress=False, decide_only=True))
        return assert_balanced(dataset.report)

    plan = project.dataset().plan_for(project.routes)
    former = {plan.former[0][position].template.text for position in range(len(plan))}
    assert former.isdisjoint(plan[position].template.text for position in range(len(plan)))
    assert decided(drops=True).dropped_again > 0
    assert decided(drops=False).returned > 0
    assert former == SHOWN
    assert not fault_server.requests
