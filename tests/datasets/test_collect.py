"""What a kind of a package's own can do with replies of which some is not right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field

from datafast.datasets.base import FanOutDataset
from datafast.datasets.config import DatasetConfig
from datafast.engine.generate import Generate
from datafast.llms import OpenAICompatibleProvider
from datafast.llms.reply_model import ReplyModel
from datafast.plan.grid import Dimension, GridPlan
from datafast.plan.items import WorkItem
from tests.servers.fault_server import Answer, FaultServer
from tests.support import assert_balanced, rows_of

SEASONS = ["spring", "summer", "autumn"]


class Poem(BaseModel):
    title: str = Field(min_length=2)
    lines: list[str] = Field(min_length=1)


class Poems(ReplyModel):
    elements: ClassVar[tuple[str, ...]] = ("poems",)

    poems: list[Poem] = Field(min_length=1)


class PoemRow(BaseModel):
    season: str
    title: str
    uuid: str


class PoemConfig(DatasetConfig):
    output_file: Path = Path("poems.jsonl")

    @property
    def rows_per_item(self) -> int:
        return len(SEASONS)


class PoemDataset(FanOutDataset[PoemConfig, PoemRow]):
    kind = "poem"
    config_model = PoemConfig
    row_model = PoemRow

    def plan(self, routes: Sequence[str]) -> GridPlan:
        return self.grid([Dimension("theme", ["the sea"])], routes=routes)

    async def produce(self, item: WorkItem, generate: Generate) -> list[BaseModel | None]:
        poems = await generate.collect_for(
            "poet",
            SEASONS,
            item.num_rows,
            prompt=lambda seasons: f"A poem for each: {', '.join(seasons)}.",
            response_model=lambda count: Poems,
            items=lambda reply: reply.poems,
        )
        return [
            poem and PoemRow(season=season, title=poem.title, uuid=item.row_uuid(number))
            for number, (season, poem) in enumerate(zip(SEASONS, poems, strict=True))
        ]


def test_a_kind_names_the_list_whose_elements_stand_for_themselves(tmp_path: Path, fault_server: FaultServer) -> None:
    good, bad = '{"title": "Tide", "lines": ["in"]}', '{"title": "T", "lines": []}'
    fault_server.answer_next(Answer(text=f'{{"poems": [{good}, {bad}, {good}]}}'), Answer(text=f'{{"poems": [{bad}]}}'))
    dataset = PoemDataset(PoemConfig(output_file=tmp_path / "out.jsonl"))
    model = OpenAICompatibleProvider("m", api_base=fault_server.url)
    dataset.generate([model])
    assert [row["season"] for row in rows_of(tmp_path / "out.jsonl")] == ["spring", "autumn"]
    assert assert_balanced(dataset.report).failures == {"short_reply": 1}
    assert "poems.1.title" in dataset.failed_items[0].error

    fault_server.respond = lambda request: Answer(text=f'{{"poems": [{good}]}}')
    dataset.generate([model], retry_failed=True)
    assert fault_server.requests[-1].prompt.startswith("That reply cannot be used")  # none of the second was right
    assert [row["season"] for row in rows_of(tmp_path / "out.jsonl")] == ["spring", "autumn", "summer"]
    assert [request.json["messages"][0]["content"] for request in fault_server.requests[1:]] == [
        "A poem for each: summer."
    ] * 2
