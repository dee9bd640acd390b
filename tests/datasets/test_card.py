"""What a card says of a dataset: from its config, ledger, manifest and rows, and never more of the inputs than is wanted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from click.testing import CliRunner

from datafast import (
    GenericPipelineDataset,
    GenericPipelineDatasetConfig,
    RawDataset,
    RawDatasetConfig,
    UltrachatDataset,
    UltrachatDatasetConfig,
    load,
)
from datafast.cli.main import cli
from datafast.datasets.card.known import Known
from datafast.datasets.card.limits import limitations
from datafast.datasets.card.measured import measured
from datafast.datasets.card.sources import card_sources
from datafast.datasets.config import DatasetConfig
from datafast.errors import ConfigError
from datafast.export.card import CardInfo, Contents
from datafast.export.card_info import CardSource
from datafast.export.card_text import card_text
from datafast.llms import OpenAIProvider, SimulatedProvider
from datafast.sources.field import TextInput
from datafast.sources.source import RowSource
from datafast.store.paths import OutputPaths
from tests.export.support import REPO
from tests.export.support import card as card_of
from tests.export.support import front as front_of
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer
from tests.support import raw

TOPICS = ["tides", "glaciers", "moss", "caves", "the vault of the firm"]


def made(tmp_path: Path, *, faults: dict[str, float] | None = None, **changes: Any) -> RawDataset:
    config: dict[str, Any] = {
        "document_types": ["letter", "diary"],
        "topics": TOPICS,
        "languages": {"en": "English", "fr": "French"},
        "num_samples_per_prompt": 2,
        "output_file": tmp_path / "notes.jsonl",
        **changes,
    }
    dataset = RawDataset(RawDatasetConfig(**config))
    dataset.generate([SimulatedProvider("one", faults=faults), SimulatedProvider("two")])
    return dataset


def written(dataset: RawDataset, tmp_path: Path) -> str:
    return dataset.card(tmp_path / "card" / "README.md").read_text(encoding="utf-8")


def front(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_card_says_how_rows_were_made_and_what_became_of_them(tmp_path: Path) -> None:
    quality = [{"stage": "length", "min_words": 40}, {"stage": "exact_duplicates"}]
    dataset = made(tmp_path, quality=quality, faults={"refused": 0.4}, system_prompt="Be plain.")
    assert dataset.report is not None
    text = written(dataset, tmp_path).replace("\\", "")
    counts = dataset.report
    assert counts.filtered
    assert counts.failed
    for part in (
        f"{counts.written} rows of synthetic data (raw)",
        "**Simulated rows.**",
        "- requested: 80",
        f"- filtered: {counts.filtered}",
        f"- failed: {counts.failed}",
        "| length | min_words: 40 |",
        "Write texts in {language_name}: exactly {num_samples}.",
        "```text\nBe plain.\n```",
        "The rows are in 2 languages: English, French.",
        f"{counts.failed} of 80 requested rows",
        f"{counts.filtered} of 80 requested rows",
        "No stage looked for personal data.",
        "| text | string | The text. |",
        "`synthetic` as it was generated.",
        "- words: ",
    ):
        assert part in text
    assert "No stage compared rows" not in text
    assert re.search(r"^- date: \d{4}-\d\d-\d\d$", text, re.MULTILINE)


def test_every_picture_that_a_card_shows_lies_beside_it_and_no_other(tmp_path: Path) -> None:
    dataset = made(tmp_path, faults={"refused": 0.4})
    text = written(dataset, tmp_path)
    shown = re.findall(r"\]\((figures/[\w-]+\.svg)\)", text)
    assert shown == [
        "figures/rows-by-model.svg",
        "figures/rows-by-language.svg",
        "figures/rows-by-topic.svg",
        "figures/rows-by-document-type.svg",
        "figures/lengths.svg",
    ]
    folder = tmp_path / "card"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.svg")) == sorted(shown)
    assert "dropped by stages" in (folder / shown[0]).read_text(encoding="utf-8")
    dataset.config.card = {"inputs": "counts"}
    written(dataset, tmp_path)
    assert sorted(path.name for path in folder.rglob("*.svg")) == [
        "lengths.svg",
        "rows-by-language.svg",
        "rows-by-model.svg",
    ]


def test_pictures_are_png_where_the_config_or_the_caller_says_so(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    dataset = made(tmp_path, card={"pictures": "png"})
    folder = tmp_path / "card"

    def drawn() -> set[str]:
        return {path.suffix for path in (folder / "figures").iterdir()}

    assert "](figures/rows-by-topic.png)" in written(dataset, tmp_path)
    assert drawn() == {".png"}
    result = CliRunner().invoke(cli, ["card", str(dataset.paths.rows), "-o", str(folder / "README.md")])
    assert result.exit_code == 0, result.output
    assert drawn() == {".png"}
    dataset.config.card = {"inputs": "counts"}
    written(dataset, tmp_path)
    assert drawn() == {".svg"}
    dataset.card(folder / "README.md", pictures="png")
    assert drawn() == {".png"}


@pytest.mark.parametrize(
    ("inputs", "there", "not_there"),
    [
        (
            None,
            ["topics: 5 (tides, glaciers, moss and 2 more)", "personas: 1", "My prompt"],
            ["clerk", "vault of the firm and"],
        ),
        ("samples", ["topics: 5 (tides, glaciers, moss and 2 more)", "personas: 1 (our clerk)", "My prompt"], []),
        ("counts", ["topics: 5\n", "personas: 1\n", "My prompt"], ["clerk", "vault", "tides"]),
        ("none", ["num_samples_per_prompt: 2"], ["clerk", "vault", "tides", "topics", "My prompt", "letter"]),
    ],
)
def test_a_card_shows_of_inputs_what_is_wanted(
    tmp_path: Path, inputs: str | None, there: list[str], not_there: list[str]
) -> None:
    prompt = (
        "My prompt: {num_samples} texts in {language_name}, of the type {document_type}, about {topic}, by {persona}."
    )
    dataset = made(tmp_path, personas=["our clerk"], prompts=[prompt], card={"inputs": inputs})
    text = written(dataset, tmp_path).replace("\\", "")
    drawn = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "card").rglob("*.svg"))
    for part in there:
        assert part in text
    for part in not_there:
        assert part not in text
        assert part not in drawn or inputs is None


def test_what_the_config_says_of_the_card_is_in_it(tmp_path: Path) -> None:
    card = {
        "title": "Field notes",
        "description": "For **tests** <b>.",
        "license": "CC-BY-4.0",
        "authors": ["Ann Example", "B & C {Lab}"],
        "tags": ["nature"],
    }
    text = written(made(tmp_path, card=card), tmp_path)
    assert front(text)["license"] == "cc-by-4.0"
    assert front(text)["tags"] == ["synthetic", "datafast", "nature"]
    assert front(text)["pretty_name"] == "Field notes"
    assert "# Field notes\n\nFor **tests** &lt;b&gt;.\n" in text
    assert "  author = {Ann Example and B \\& C Lab},\n" in text
    assert "@misc{field-notes,\n" in text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"license": "mit"}, {"license": "mit"}),
        ({"license": "Our_Licence 2.0"}, {"license": "other", "license_name": "our-licence-2.0"}),
        (
            {"license": "Ours: yes\n---", "license_link": "https://example.org/a"},
            {"license": "other", "license_name": "ours-yes", "license_link": "https://example.org/a"},
        ),
    ],
)
def test_a_licence_is_one_that_the_hub_takes(tmp_path: Path, given: dict[str, str], told: dict[str, str]) -> None:
    found = front(written(made(tmp_path, card=given), tmp_path))
    assert {name: value for name, value in found.items() if name.startswith("license")} == told


def test_a_citation_of_the_user_stands_as_it_is(tmp_path: Path) -> None:
    citation = "@article{me, title = {Mine {and} yours}}"
    assert f"```bibtex\n{citation}\n```" in written(made(tmp_path, card={"citation": citation}), tmp_path)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"licence": "mit"}, "licen[sc]e"),
        ({"license_link": "https://example.org"}, "There is no license"),
        ({"license": "ours", "license_link": "see our page"}, "expected an address"),
        ({"tags": ["a\nb"]}, "is not a tag"),
        ({"inputs": "all"}, "none"),
    ],
)
def test_a_wrong_card_is_refused(tmp_path: Path, card: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RawDatasetConfig(document_types=["a"], topics=["b"], output_file=tmp_path / "o.jsonl", card=card)


def test_a_card_changes_no_row_and_buys_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    before = (tmp_path / "notes.jsonl").read_bytes()
    again = made(tmp_path, card={"license": "mit", "inputs": "none"})
    assert again.report is not None
    assert again.report.calls == 0
    assert (tmp_path / "notes.jsonl").read_bytes() == before


def test_what_somebody_wrote_into_a_card_stays_and_another_readme_is_not_touched(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    path = tmp_path / "card" / "README.md"
    text = written(dataset, tmp_path)
    path.write_text(text.replace("<!-- datafast:begin", "My words.\n\n<!-- datafast:begin", 1), encoding="utf-8")
    assert "My words.\n\n<!-- datafast:begin" in written(dataset, tmp_path)
    path.write_text("# Another project\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not a card of datafast"):
        dataset.card(path)
    assert path.read_text(encoding="utf-8") == "# Another project\n"
    with pytest.raises(ConfigError, match="notes"):
        dataset.card(tmp_path / "notes.jsonl")


def test_a_push_has_the_whole_card_with_pictures(hub: HubServer, tmp_path: Path) -> None:
    made(tmp_path, card={"license": "mit"}).push_to_hub(REPO, train_size=0.5)
    assert "## Limitations" in card_of(hub)
    assert f"url = {{https://huggingface.co/datasets/{REPO}}}" in card_of(hub)
    assert front_of(hub)["license"] == "mit"
    assert front_of(hub)["task_categories"] == ["text-generation"]
    assert "figures/rows-by-topic.svg" in hub.repos[REPO].files


def test_the_licence_of_a_source_on_the_hub_stands_in_the_card(hub: HubServer, tmp_path: Path) -> None:
    from datafast.export.source_license import license_of

    hub.add_repo("org/open", private=False, files={"README.md": b"---\nlicense: odc-by\n---\n"})
    hub.add_repo("org/silent", private=False)
    assert license_of("org/open") == ("odc-by", "")
    assert license_of("org/silent") == ("", "its owner names none")
    licence, note = license_of("org/gone")
    assert licence == ""
    assert note.startswith("not known: the Hub did not tell it (")


class _Made(DatasetConfig):
    source: RowSource
    topics: Annotated[list[str], TextInput("topic")]


def test_sources_are_told_without_their_folders(hub: HubServer, tmp_path: Path) -> None:
    hub.add_repo("org/open", private=False, files={"README.md": b"---\nlicense: odc-by\n---\n"})
    topics = tmp_path / "secret folder" / "topics.jsonl"
    topics.parent.mkdir()
    topics.write_text('{"topic": "tides"}\n{"topic": "moss"}\n', encoding="utf-8")
    config = _Made(output_file=tmp_path / "o.jsonl", source=RowSource(source="org/open"), topics=topics)  # type: ignore[arg-type]
    assert card_sources(config) == [
        CardSource("source", "org/open", None, "org/open", "odc-by", ""),
        CardSource("topics", "topics.jsonl", 2, "", "", "not known: it is not on the Hub"),
    ]
    text = card_text(
        CardInfo(title="t", kind="k", sources=card_sources(config)),
        Contents(repo_id="a/b", splits={"train": 1}, columns=[], counts={}),
    )
    assert "| source: [org/open](https://huggingface.co/datasets/org/open) |  | odc-by |" in text
    assert "secret" not in text


def test_a_card_of_real_rows_tells_cost_models_and_terms(tmp_path: Path, fault_server: FaultServer) -> None:
    provider = OpenAIProvider("gpt-x", api_base=fault_server.url, api_key="sk-proj-0123456789abcdef", temperature=0.4)
    dataset = raw(tmp_path, topics=3)
    dataset.generate([provider])
    text = written(dataset, tmp_path).replace("\\", "")
    assert "imulated" not in text
    for part in (
        "- openai/gpt-x: 3 calls, ",
        "tokens in, ",
        "All of it comes from one model, openai/gpt-x",
        "- parameters.openai/gpt-x.temperature: 0.4",
        "- OpenAI: <https://openai.com/policies/services-agreement/>",
        "No model judged the rows. Nothing here says that people have checked them.",
    ):
        assert part in text
    assert re.search(r"^- models in the replies of openai/gpt-x: \S+ \(3 replies\)$", text, re.MULTILINE)
    for private in ("sk-proj", fault_server.url, str(tmp_path)):
        assert private not in text


def test_models_that_run_anywhere_have_licences_of_their_own() -> None:
    info = CardInfo(title="t", kind="k", providers=["ollama", "openai", "simulated", "llama_cpp"])
    text = card_text(info, Contents(repo_id="a/b", splits={"train": 1}, columns=[], counts={})).replace("\\", "")
    assert "texts of the models of ollama, llama_cpp is for the licences of these models to say." in text
    assert "- OpenAI: <https://" in text


def test_what_a_config_says_of_the_card_counts_also_where_the_rest_of_it_cannot_be_read(tmp_path: Path) -> None:
    config = GenericPipelineDatasetConfig(
        source=[{"review": "A good vault."}, {"review": "A bad vault."}],
        input_columns=["review"],
        output_columns=["mood"],
        card={"license": "mit", "inputs": "none"},
        output_file=tmp_path / "rows.jsonl",
    )
    GenericPipelineDataset(config).generate([SimulatedProvider("m")])
    text = load(tmp_path / "rows.jsonl").card(tmp_path / "README.md").read_text(encoding="utf-8")
    assert front(text)["license"] == "mit"
    assert "vault" not in text + "".join(path.read_text("utf-8") for path in (tmp_path / "figures").iterdir())


def test_a_topic_model_is_one_line(tmp_path: Path) -> None:
    config = UltrachatDatasetConfig(
        domain="harbours",
        topics_and_subtopics={"Berths": ["Shifting boats", "Assigning berths"], "Water": ["Tides"]},
        num_samples=1,
        max_turns=1,
        output_file=tmp_path / "chats.jsonl",
    )
    dataset = UltrachatDataset(config)
    dataset.generate([SimulatedProvider("m")])
    text = dataset.card(tmp_path / "README.md").read_text(encoding="utf-8").replace("\\", "")
    assert re.search(r"^- topics_and_subtopics: \d+ topics$", text, re.MULTILINE)
    assert "rows-by-topic.svg" in text
    assert "model-id.svg" not in text


def test_a_card_of_rows_without_their_ledger_says_what_the_config_knows(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    (tmp_path / "notes.jsonl.ledger").unlink()
    (tmp_path / "notes.jsonl.manifest.json").unlink()
    text = written(dataset, tmp_path)
    assert "80 rows of synthetic data (raw)" in text
    assert "topics: 5" in text
    assert "requested" not in text


def test_a_damaged_manifest_keeps_no_card_from_being_made(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    (tmp_path / "notes.jsonl.manifest.json").write_text("{", encoding="utf-8")
    assert "- requested: 80" in written(dataset, tmp_path)


def test_a_file_that_is_not_ours_has_a_card_of_what_its_rows_say(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": "A number.", "language": "en"} for n in range(12)]
    file = tmp_path / "qa.csv"
    file.write_text("question,answer,language\n" + "\n".join(",".join(row.values()) for row in rows) + "\n")
    done = CliRunner().invoke(cli, ["card", str(file), "-o", str(tmp_path / "README.md"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["card"] == str(tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "12 rows of synthetic data" not in text
    assert "12 rows" in text
    assert "| question | string |" in text
    assert "personal data" not in text  # nothing is known of stages


def test_of_many_rows_some_are_looked_at_and_the_card_says_so(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text(
        "".join(
            json.dumps({"text": f"The text of the row {number // 20}, and so on."}) + "\n" for number in range(1_000)
        )
    )
    found = measured(OutputPaths.of(file), None, most=100)
    assert found is not None
    assert (found.looked_at, found.rows) == (100, 1_000)
    assert found.is_sample
    told = limitations(Known(), found, is_made=False, stages=[], languages={}, is_judged=False)
    assert told[0].startswith("How rows are was looked at in 100 of 1,000 rows.")
    assert told[1] == "50 of 100 rows have exactly the texts of another row (50.0 %)."
    whole = measured(OutputPaths.of(file), None)
    assert whole is not None
    assert (whole.looked_at, whole.is_sample) == (1_000, False)


def test_columns_of_every_kind_have_a_meaning_in_the_card(tmp_path: Path) -> None:
    table = written(made(tmp_path), tmp_path).split("## Columns")[1].split("\n\n")[1]
    cells = [line.split("|")[3].strip() for line in table.splitlines()[2:]]
    assert len(cells) == 6
    assert all(cells)
