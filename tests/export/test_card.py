"""The card of a pushed dataset."""

from __future__ import annotations

import io
import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

from datafast.datasets import ConversationDataset, PreferenceDataset, RawDataset
from datafast.errors import PublishError
from datafast.export import CardInfo
from datafast.llms import SimulatedProvider
from datafast.schema.config import ConversationDatasetConfig, PreferenceDatasetConfig, RawDatasetConfig
from tests.export.support import (
    REPO,
    TOKEN,
    PreferenceRow,
    card,
    front,
    preference_rows,
    push,
    text_rows,
    write,
)
from tests.servers.hub_server import HubServer

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_push_with_other_columns_keeps_the_users_part_and_nothing_of_ours(
    hub: HubServer, source: Path, tmp_path: Path
) -> None:
    push(source, train_size=0.8)
    repo = hub.repos[REPO]
    edited = card(hub).replace("tags:\n", "license: cc-by-4.0\ntags:\n- space\n", 1)
    edited += "\n## Known gaps\n\nFew rows about <i>Mars</i>.\n"
    repo.commit({**repo.files, "README.md": edited.encode()}, "edited by hand")

    push(write(tmp_path / "b.jsonl", preference_rows(5)), row_model=PreferenceRow)

    assert card(hub).endswith("\n## Known gaps\n\nFew rows about <i>Mars</i>.\n")
    assert card(hub).count("datafast:begin") == 1
    found = front(hub)
    assert found["license"] == "cc-by-4.0"
    assert found["tags"] == ["synthetic", "datafast", "space"]
    assert [feature["name"] for feature in found["dataset_info"]["features"]] == list(PreferenceRow.model_fields)
    assert [file for file in repo.files if file.startswith("data/")] == ["data/train-00000-of-00001.parquet"]


def test_every_data_file_of_the_card_exists_and_its_features_are_those_of_the_parquet(
    hub: HubServer, tmp_path: Path
) -> None:
    import pyarrow.parquet as pq
    from datasets import Features

    push(write(tmp_path / "b.jsonl", preference_rows(5)), row_model=PreferenceRow, train_size=0.6)

    found = front(hub)
    for entry in found["configs"][0]["data_files"]:
        paths = [path for path in hub.repos[REPO].files if fnmatch(path, entry["path"])]
        assert len(paths) == 1
        features = Features._from_yaml_list(found["dataset_info"]["features"])
        assert features.arrow_schema == pq.read_schema(io.BytesIO(hub.repos[REPO].files[paths[0]]))
    assert [split["num_examples"] for split in found["dataset_info"]["splits"]] == [3, 2]


def test_a_readme_that_datafast_did_not_write_is_kept_below(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True, files={"README.md": b"# Mine\n\n--- \nmy words\n"})
    push(source)
    assert card(hub).endswith(" -->\n\n# Mine\n\n--- \nmy words\n")


def test_a_readme_with_a_byte_order_mark_keeps_its_front_matter(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True, files={"README.md": b"\xef\xbb\xbf---\nlicense: mit\n---\nmy words\n"})
    push(source)
    assert front(hub)["license"] == "mit"
    assert card(hub).endswith(" -->\n\nmy words\n")


def test_a_readme_that_is_no_text_is_not_overwritten(hub: HubServer, source: Path) -> None:
    hub.add_repo(REPO, private=True, files={"README.md": b"caf\xe9\n"})
    with pytest.raises(PublishError, match="is not UTF-8"):
        push(source)
    assert hub.repos[REPO].files["README.md"] == b"caf\xe9\n"


def test_broken_front_matter_is_not_overwritten(hub: HubServer, source: Path) -> None:
    broken = b"---\ntags: [a\n---\nmy words\n"
    hub.add_repo(REPO, private=True, files={"README.md": broken})
    with pytest.raises(PublishError, match="not valid YAML"):
        push(source)
    assert card(hub).encode() == broken


HOSTILE = (
    "x\n---\nlicense: mit\n---\n<script>alert(1)</script> | `a` [b](javascript:c) ![d](e) <!-- datafast:end --> # f"
)


def test_hostile_texts_break_neither_front_matter_nor_page(hub: HubServer, source: Path) -> None:
    info = CardInfo(
        title=HOSTILE,
        kind=HOSTILE,
        models=[HOSTILE],
        languages={"en": HOSTILE},
        settings={"topics": [HOSTILE], HOSTILE: HOSTILE, "prompts": [f"{HOSTILE}\n````\n<b>", "<!-- datafast:end -->"]},
    )
    push(source, card=info)
    first = card(hub)
    push(source, card=info)

    assert card(hub) == first
    assert set(front(hub)) == {"language", "size_categories", "pretty_name", "tags", "dataset_info", "configs"}
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", first.split("---\n", 2)[2], flags=re.DOTALL | re.MULTILINE)
    assert outside.count("<") == 2  # our two markers
    assert not re.search(r"(?<!\\)\]\(", outside)  # no link
    assert all(len(re.findall(r"(?<!\\)\|", line)) in (0, 3, 4) for line in outside.splitlines())
    assert "`````text\n" in first


def test_the_card_tells_what_the_rows_are_and_how_they_were_made(hub: HubServer, source: Path) -> None:
    info = CardInfo(
        title="Space texts",
        kind="raw text",
        models=["openai/gpt-5-mini", "mistral/none"],
        languages={"en": "English", "fr": "French"},
        settings={
            "document_types": ["essay", "blog"],
            "expansion": {"strategy": "random"},
            "prompts": ["Write {topic}"],
        },
    )
    push(source, train_size=0.8, card=info)
    text = card(hub)
    for part in (
        "# Space texts",
        "10 rows of synthetic data (raw text), made with **datafast**.",
        "| fr French | 6 |",
        "| openai/gpt-5-mini | 5 |",
        "| mistral/none | 0 |",
        "- document\\_types: 2 (essay, blog)",
        "- expansion.strategy: random",
        "```text\nWrite {topic}\n```",
        "| text | string | The generated &lt;text&gt; \\| body |",
        "| metadata | JSON text |",
        f'load_dataset("{REPO}")',
    ):
        assert part in text
    assert front(hub)["pretty_name"] == "Space texts"
    assert front(hub)["size_categories"] == ["n<1K"]


def test_a_card_has_nothing_of_the_users_documents_but_how_many_there_are(hub: HubServer, tmp_path: Path) -> None:
    documents = [f"The merger of firm {number} is a secret." for number in range(30)]
    config = PreferenceDatasetConfig(
        input_documents=documents, num_samples_per_prompt=1, output_file=tmp_path / "pairs.jsonl"
    )
    model = SimulatedProvider("m")
    PreferenceDataset(config).generate(model, model, model).push_to_hub(REPO)
    assert "- input\\_documents: 30\n" in card(hub)
    assert "merger" not in card(hub)


def test_a_card_has_nothing_of_the_users_examples_but_how_many_there_are(hub: HubServer, tmp_path: Path) -> None:
    shown = [{"question": f"Who is patient {number}?", "answer": "Ann"} for number in range(4)]
    config = ConversationDatasetConfig(topics=["tides"], example_data=shown, output_file=tmp_path / "out.jsonl")
    ConversationDataset(config).generate([SimulatedProvider("m")]).push_to_hub(REPO)
    assert "- example\\_data: 4\n" in card(hub)
    assert "patient" not in card(hub)
    assert "- topics: 1 (tides)\n" in card(hub)


def test_a_card_has_nothing_of_the_users_personas_and_seed_texts_but_how_many_there_are(
    hub: HubServer, tmp_path: Path
) -> None:
    config = RawDatasetConfig(
        document_types=["letter"],
        topics=["tides"],
        personas=["our clerk in the vault"],
        seed_texts=["The vault is empty.", "The vault is full."],
        num_samples_per_prompt=1,
        output_file=tmp_path / "out.jsonl",
    )
    RawDataset(config).generate([SimulatedProvider("m")]).push_to_hub(REPO)
    assert "- personas: 1\n" in card(hub)
    assert "- seed\\_texts: 2\n" in card(hub)
    assert "vault" not in card(hub)


def test_long_values_and_long_lists_are_cut_and_files_lose_their_folders(hub: HubServer, source: Path) -> None:
    settings = {
        "source": str(source.absolute()),
        "about": "word " * 100,
        "classes": [{"name": f"class {number}"} for number in range(25)],
        "columns": {f"column {number}": {"type": "uuid"} for number in range(200)},
    }
    push(source, card=CardInfo(title="t", kind="k", settings=settings))
    text = card(hub)
    assert re.search(r"^- about: (word ){15}w?\.* ?\.\.\.$", text, re.MULTILINE)
    assert "class 19" in text
    assert "class 20" not in text
    assert "- classes: 5 more\n" in text
    assert "column 60.type: uuid\n" in text
    assert "column 90" not in text
    assert str(source.parent) not in text
    assert f"- source: {source.name}\n" in text
    assert "- and 123 more\n" in text


def test_only_iso_639_1_codes_reach_the_front_matter(hub: HubServer, source: Path) -> None:
    names = {"no": "Norwegian", "pt-BR": "Brazilian", "xx": "none", "klingon": "Klingon", "en": "English"}
    push(source, card=CardInfo(title="t", kind="k", languages=names))
    assert front(hub)["language"] == ["en", "fr", "no", "pt"]


def test_no_key_reaches_the_card(hub: HubServer, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-very_secret_value")
    info = CardInfo(
        title="t sk-very_secret_value",
        kind="k",
        settings={
            "providers": [{"model_id": "m", "api_key": "sk-another-secret", "max_completion_tokens": 7}],
            "topics": ["sk-very_secret_value", f"Bearer {TOKEN}"],
            "prompts": ["use sk-very_secret_value"],
            "output_file": "private/path.jsonl",
            "extra_headers": {"x": "header-secret"},
        },
    )
    push(source, card=info)
    text = card(hub).replace("\\", "")
    for secret in ("very_secret", "another-secret", TOKEN, "private/path", "header-secret"):
        assert secret not in text
    assert "max_completion_tokens: 7" in text


@pytest.mark.parametrize("told_by", ["card", "rows"])
def test_simulated_rows_are_called_so(hub: HubServer, tmp_path: Path, told_by: str) -> None:
    rows = text_rows(2)
    if told_by == "rows":
        rows[0].model_id = "simulated/openai/gpt-5-mini"
    push(write(tmp_path / "a.jsonl", rows), card=CardInfo(title="t", kind="k", simulated=told_by == "card"))
    assert "**Simulated rows.**" in card(hub)


def test_real_rows_are_not_called_simulated(hub: HubServer, source: Path) -> None:
    push(source)
    assert "imulated" not in card(hub)
