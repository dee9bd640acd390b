"""Metrics beside references: their values are those of their sources, and the result says how sure they are."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import create_model

from datafast.cli.main import cli
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import SimulatedProvider
from datafast.statistics.evaluation import Evaluation, evaluate, prediction_beside
from datafast.statistics.metrics import BertScore, Bleu, Metric
from tests.support import columns

PAIRS = [
    (
        "The pilot boat leaves the harbour an hour before high water.",
        "The pilot boat leaves an hour before high water.",
    ),
    ("Nobody hurries: a ship waits half a day.", "Nobody hurries. A ship that misses the tide waits half a day."),
    ("the tide", "the tide"),
    ("Something else", "The channel is deep enough by then."),
    ("", "x"),
]


def rows(pairs: Sequence[tuple[Any, Any]] = PAIRS) -> list[dict[str, Any]]:
    return [{"said": said, "wanted": wanted} for said, wanted in pairs]


def of(metric: str | Metric, pairs: Sequence[tuple[Any, Any]] = PAIRS, **options: Any) -> Evaluation:
    return evaluate(rows(pairs), "wanted", [metric], prediction="said", **options)


def test_exact_matches() -> None:
    found = of("exact_match", [(" a\n", "a"), ("a", "b"), ("A", "a"), (3, 3), ("3", 3), ("c", ["a", "c"])])
    assert found.by_row["exact_match"] == [1, 0, 0, 1, 1, 1]
    assert found["exact_match"].value == pytest.approx(4 / 6)


def distance(one: str, other: str) -> int:
    """Levenshtein's, as it is defined."""
    before = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        now = [i]
        for j, wanted in enumerate(other, 1):
            now.append(min(before[j] + 1, now[j - 1] + 1, before[j - 1] + (letter != wanted)))
        before = now
    return before[-1]


def test_edit_similarity_is_one_less_the_distance_over_the_longer_text() -> None:
    expected = [1 - distance(said, wanted) / max(len(said), len(wanted)) for said, wanted in PAIRS]
    assert of("edit_similarity").by_row["edit_similarity"] == pytest.approx(expected)
    assert of("edit_similarity", [("", "")])["edit_similarity"].value == 1


def test_bleu_is_that_of_sacrebleu_over_the_corpus_and_for_sentences() -> None:
    from sacrebleu.metrics.bleu import BLEU

    said, wanted = [pair[0] for pair in PAIRS], [pair[1] for pair in PAIRS]
    found = of("bleu")
    assert found["bleu"].value == pytest.approx(BLEU().corpus_score(said, [wanted]).score / 100)
    sentence = BLEU(effective_order=True)
    assert found.by_row["bleu"] == pytest.approx([sentence.sentence_score(s, [w]).score / 100 for s, w in PAIRS])
    assert of(Bleu(tokenize="char"), [("潮水涨落", "潮水涨落")])["bleu"].value == pytest.approx(1)


def test_rouge_is_that_of_rouge_score_where_texts_are_ascii() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names)
    found = of("rouge")
    for name in names:
        assert found.by_row[name] == pytest.approx(
            [scorer.score(wanted, said)[name].fmeasure for said, wanted in PAIRS]
        )


@pytest.mark.parametrize("text", ["Приливы приходят дважды", "潮水每天涨落两次", "المد يأتي مرتين", "Größe über Öl"])
def test_rouge_reads_every_script(text: str) -> None:
    found = of("rouge", [(text, text), (text, "nothing of it")])
    assert found.by_row["rouge1"] == [1, 0]


def test_the_nearest_of_several_references_counts() -> None:
    for metric, score in (("edit_similarity", "edit_similarity"), ("rouge", "rougeL"), ("bleu", "bleu")):
        assert of(metric, [("the pilot boat leaves now", ["x y", "the pilot boat leaves now"])])[score].value == (
            pytest.approx(1)
        )


# -- BERTScore


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder with random weights, and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("model")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *["the", "a", "pilot", "boat", "tide", "leaves", "waits", "for", "harbour", "nobody"],
    ]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=12, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_bert_score_is_the_formula_of_its_paper(model: Path) -> None:
    import torch
    import transformers

    pairs = [("the pilot boat leaves", "a boat waits for the tide"), ("nobody waits", "nobody waits"), ("", "the tide")]
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(model))
    bert = transformers.AutoModel.from_pretrained(str(model)).eval()

    def embedded(text: str) -> list[list[float]]:
        with torch.inference_mode():
            state = bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return [row.tolist() for row in state[1:-1]]

    def cosine(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))

    found = evaluate(rows(pairs), "wanted", ["bertscore"], prediction="said", model=model)
    for number, (said, wanted) in enumerate(pairs[:2]):
        text, reference = embedded(said), embedded(wanted)
        precision = sum(max(cosine(x, y) for y in reference) for x in text) / len(text)
        recall = sum(max(cosine(x, y) for x in text) for y in reference) / len(reference)
        assert found.by_row["bertscore_precision"][number] == pytest.approx(precision, abs=1e-5)
        assert found.by_row["bertscore_recall"][number] == pytest.approx(recall, abs=1e-5)
        expected = 2 * precision * recall / (precision + recall)
        assert found.by_row["bertscore"][number] == pytest.approx(expected, abs=1e-5)
    assert found.by_row["bertscore"][1] == pytest.approx(1, abs=1e-5)
    assert found.by_row["bertscore"][2] == 0
    assert of(BertScore(model, layer=1), pairs)["bertscore"].value != pytest.approx(found["bertscore"].value, abs=1e-6)


def test_a_text_that_the_model_cannot_hold_is_cut_with_a_warning(model: Path) -> None:
    with pytest.warns(DatafastWarning, match="bertscore: Texts are cut at the 12 tokens"):
        of("bertscore", [("the tide " * 20, "the tide")], model=model)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="is not the folder of a model"):
        of("bertscore", model=tmp_path)
    with pytest.raises(ConfigError, match=r"metrics: bertscore needs a model\. Give the folder"):
        of("bertscore")


# -- the result


def test_intervals_hold_the_value_and_follow_the_seed() -> None:
    pairs = [("a", "a" if number % 3 else "b") for number in range(300)]
    first, again, other = (of("exact_match", pairs, seed=seed)["exact_match"] for seed in (0, 0, 1))
    assert first == again != other
    assert first.value == pytest.approx(2 / 3)
    # The normal interval of a share of 2/3 in 300.
    assert first.low == pytest.approx(2 / 3 - 0.053, abs=0.01)
    assert first.high == pytest.approx(2 / 3 + 0.053, abs=0.01)


def test_many_rows_are_drawn_in_groups_with_the_same_interval() -> None:
    pairs = [("a", "a" if number % 4 else "b") for number in range(25_000)]
    found = of("exact_match", pairs)["exact_match"]
    assert found.value == pytest.approx(0.75)
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.75 * 0.25 / 25_000), rel=0.15)


def test_rows_without_a_value_are_counted_and_have_no_score() -> None:
    given = rows([("a", "a"), (None, "a"), ("a", None), ("a", []), ("b", "a")])
    lacking = [{name: value for name, value in row.items() if value is not None} for row in given]
    found = evaluate(lacking, "wanted", ["exact_match"], prediction="said")
    assert evaluate(given, "wanted", ["exact_match"], prediction="said") == found
    assert (found.rows, found.missing, list(found.numbers)) == (2, 3, [0, 4])
    assert found.to_pandas()["exact_match"].to_dict() == {0: 1, 4: 0}
    assert "2 rows, 3 without a value" in found._repr_html_()
    assert "exact_match: 0.500" in str(found)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["scores"]["exact_match"]["value"] == 0.5


@pytest.mark.parametrize(
    ("metrics", "given", "message"),
    [
        (["bleeu"], PAIRS, r"metrics: There is no metric 'bleeu'\. Did you mean 'bleu'\?"),
        ("bleu", PAIRS, "metrics: expected a list of metrics"),
        ([], PAIRS, "metrics: expected a list of metrics"),
        (["exact_match"], [(None, "a")], "No row has both said and wanted"),
    ],
)
def test_what_cannot_be_compared_says_so(metrics: Any, given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(rows(given), "wanted", metrics, prediction="said")
    with pytest.raises(ConfigError, match=r"No row has a field 'x'\. Known: said, wanted\."):
        evaluate(rows(), "x", prediction="said")


# -- datasets and files


@pytest.mark.parametrize(
    ("reference", "prediction", "told"),
    [
        (["wanted"], None, r"reference: expected the name of a field, got \['wanted'\]\. Rows have wanted, said"),
        (None, None, "reference: expected the name of a field, got None"),
        ("wanted", 5, "prediction: expected the name of a field, got 5"),
        ("wnated", None, "Rows have no field 'wnated'. Did you mean 'wanted'?"),
    ],
)
def test_what_is_no_name_of_a_field_is_refused(reference: Any, prediction: Any, told: str) -> None:
    model = create_model("Row", wanted=(str, ...), said=(str, ...))
    with pytest.raises(ConfigError, match=told):
        prediction_beside(reference, model, prediction)


def test_a_dataset_compares_two_of_its_columns(tmp_path: Path) -> None:
    schema = {
        "wanted": {"type": "choice", "values": ["a", "b"]},
        "said": {"type": "constant", "value": "a"},
        "other": {"type": "constant", "value": "b"},
    }
    made = columns(tmp_path, schema, rows=10)
    with pytest.raises(ConfigError, match="Generate the dataset first"):
        made.evaluate("wanted", prediction="said")
    made.generate({})
    found = made.evaluate("wanted", ["exact_match"], prediction="said")
    shares = [row.wanted == "a" for row in made.data_rows]  # type: ignore[attr-defined]  # fields of the schema
    assert found["exact_match"].value == sum(shares) / 10
    with pytest.raises(ConfigError, match=r"Rows have no field 'wantd'\. Did you mean 'wanted'\?"):
        made.evaluate("wantd")
    with pytest.raises(ConfigError, match="prediction: Rows have several texts beside wanted: said, other"):
        made.evaluate("wanted")


def test_the_only_text_beside_the_reference_is_compared(tmp_path: Path) -> None:
    schema = {
        "wanted": {"type": "constant", "value": "a"},
        "said": {"type": "text", "prompt": "Write.", "provider": "m"},
    }
    made = columns(tmp_path, schema, rows=3).generate({"m": SimulatedProvider()})
    assert made.evaluate("wanted").prediction == "said"
    assert set(made.evaluate("wanted").scores) == {
        "exact_match",
        "edit_similarity",
        "bleu",
        "rouge1",
        "rouge2",
        "rougeL",
    }


def test_the_command_compares_columns_of_any_file(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    words = ["evaluate", str(file), "--prediction", "said", "--reference", "wanted"]
    shown = CliRunner().invoke(cli, [*words, "--metric", "exact_match", "--metric", "rouge"])
    assert shown.exit_code == 0, shown.output
    assert "said beside wanted: 5 rows" in shown.output
    assert "rougeL" in shown.output
    told = json.loads(CliRunner().invoke(cli, [*words, "--json", "--metric", "exact_match"]).output)
    assert told["scores"]["exact_match"]["value"] == pytest.approx(0.2)
    refused = CliRunner().invoke(cli, ["evaluate", str(file), "--prediction", "sad", "--reference", "wanted"])
    assert refused.exit_code == 2
