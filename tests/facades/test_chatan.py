"""What scripts of chatan write differently: names of options, values of samplers, doubled braces."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import datafast
from datafast import RunConfig, dataset, generator, sample
from datafast.errors import ConfigError, DatafastWarning
from datafast.llms import PROVIDERS, OpenAIProvider, SimulatedProvider
from tests.servers.fault_server import Answer, FaultServer
from tests.support import rows_of


def made(schema: dict[str, Any], n: int = 4, **options: Any) -> pd.DataFrame:
    return dataset(schema).generate_sync(n, **options)


# -- options


def test_a_bar_shows_how_many_rows_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    gen = generator(SimulatedProvider("m"))
    seen: list[str] = []
    ds = dataset({"a": gen("Of tides.")})
    assert len(ds.generate_sync(3, progress=True, on_event=lambda event: seen.append(event.type))) == 3
    shown = capsys.readouterr().err
    assert "Generating rows" in shown
    assert "3/3" in shown
    assert seen[-1] == "run_ended"
    assert len(asyncio.run(ds.generate(n=4, progress=False))) == 4
    assert len(ds.generate_sync(5)) == 5  # outside of a notebook
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({"concurrency": 3}, 3),
        ({"max_concurrent_rows": 2}, 2),
        ({"max_concurrent_rows": 2, "max_concurrent_columns": 2}, 4),
        ({"concurrency": 5, "max_concurrent_columns": -1}, 5),
    ],
)
def test_rows_and_columns_at_once_bound_the_requests_in_flight(
    openai: FaultServer, given: dict[str, int], most: int
) -> None:
    openai.respond = lambda request: Answer(text="yes", until=lambda: openai.max_in_flight >= most, delay_s=0.05)
    gen = generator("openai", "sk-0123456789")
    made({"a": gen("one"), "b": gen("two")}, 6, **given)
    assert openai.max_in_flight == most


def test_an_option_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match=r"^concurency: A run has no such option\. Did you mean 'max_concurrency'\?$"):
        made({"a": "x"}, concurency=3)


def test_the_names_of_parameters_of_openai_are_understood() -> None:
    provider = generator("openai", "sk-0123456789", model="m", max_tokens=50, base_url="http://127.0.0.1:9/v1").provider
    assert isinstance(provider, OpenAIProvider)
    assert (provider.max_completion_tokens, provider.api_base) == (50, "http://127.0.0.1:9/v1")


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_every_provider_takes_a_model_and_options(name: str) -> None:
    address = {} if "api_base" in PROVIDERS[name].unused_options else {"base_url": "http://127.0.0.1:9/v1"}
    provider = generator(name, model="a/m", temperature=0.5, max_tokens=50, **address).provider
    assert (provider.provider_name, provider.temperature, provider.max_completion_tokens) == (name, 0.5, 50)


def test_a_dataset_tells_its_schema_and_its_number_of_rows() -> None:
    schema = {"a": "x"}
    assert (dataset(schema, n=50).n, dataset(schema).n, dataset(schema).schema) == (50, 100, schema)


def test_requests_are_sent_in_parallel_32_at_a_time_by_default(openai: FaultServer) -> None:
    openai.respond = lambda request: Answer(until=lambda: openai.max_in_flight >= 32, delay_s=0.1)
    made({"n": sample.range(1, 900), "a": generator("openai", "sk-0123456789")("of {n}")}, 40)
    assert openai.max_in_flight == 32 == RunConfig().max_concurrency


# -- schemas


def test_columns_come_in_the_order_of_the_schema_and_may_be_declared_in_any(openai: FaultServer) -> None:
    gen = generator("openai", "sk-0123456789")
    frame = made({"answer": gen("to {question}"), "question": gen("about {topic}"), "topic": "T"}, 1)
    assert frame.to_dict("records") == [{"answer": "<to <about T>>", "question": "<about T>", "topic": "T"}]


def test_drawn_values_follow_the_seed_at_any_concurrency() -> None:
    slow = SimulatedProvider("m", latency_s=0.001, latency_jitter_s=0.01)
    schema = {
        "id": sample.uuid(),
        "who": sample.person("name"),
        "topic": sample.choice(["a", "b", "c"]),
        "weight": sample.weighted({"x": 1, "y": 3}),
        "level": sample.range(1, 99),
        "day": sample.datetime("2024-01-01", "2024-12-31"),
        "row": sample.from_dataset([{"q": number} for number in range(20)], "q"),
        "fixed": sample.constant(7),
        "text": generator(slow)("{id}"),
    }
    drawn = list(schema)[:-1]

    def values(seed: int, concurrency: int) -> pd.DataFrame:
        return dataset(schema, seed=seed).generate_sync(12, max_concurrency=concurrency)[drawn]

    first = values(7, 1)
    pd.testing.assert_frame_equal(values(7, 12), first)
    other = values(8, 12)
    assert set(first["fixed"]) == set(other["fixed"]) == {7}
    assert not set(first["id"]) & set(other["id"])
    assert all(list(first[name]) != list(other[name]) for name in drawn if name != "fixed")


# -- samplers


def test_datetimes_are_datetimes_in_the_frame_and_text_in_prompts_and_files(
    openai: FaultServer, tmp_path: Path
) -> None:
    gen = generator("openai", "sk-0123456789")
    schema = {"day": sample.datetime("01/02/2024", "05/02/2024", format="%d/%m/%Y"), "asked": gen("On {day}?")}
    frame = dataset(schema, output_file=tmp_path / "rows.jsonl").generate_sync(5)
    assert set(frame["day"].dt.month) == {2}
    assert frame["day"].between(datetime.datetime(2024, 2, 1), datetime.datetime(2024, 2, 5)).all()
    texts = [row["day"] for row in sorted(rows_of(tmp_path / "rows.jsonl"), key=lambda row: row["asked"])]
    assert sorted(texts) == sorted(frame["day"].dt.strftime("%d/%m/%Y"))
    assert list(frame["asked"]) == [f"<On {day}?>" for day in frame["day"].dt.strftime("%d/%m/%Y")]


def test_a_format_that_does_not_tell_the_day_stays_text() -> None:
    frame = made({"month": sample.datetime("2024-01-01", "2024-12-31", format="%B %Y")})
    assert [type(month) for month in frame["month"]] == [str] * 4


@pytest.mark.parametrize("empty", [pd.DataFrame({"c": []}), {"c": []}, []])
def test_a_corpus_without_rows_gives_its_default(empty: Any) -> None:
    assert set(made({"a": sample.from_dataset(empty, "c", default=sample.choice(["x", "y"]))}, 20)["a"]) == {"x", "y"}
    assert set(made({"a": sample.from_dataset(empty, "c", default="z")})["a"]) == {"z"}
    with pytest.raises(ConfigError, match="has no rows"):
        made({"a": sample.from_dataset(empty, "c")})


def test_a_corpus_with_rows_gives_its_own() -> None:
    assert set(made({"a": sample.from_dataset({"c": ["q"]}, "c", default=sample.uuid())})["a"]) == {"q"}


CORPUS = [{"name": name, "length": len(name)} for name in ("a", "bb", "ccc", "dddd", "eeeee")]


def drawn(mode: Any) -> list[str]:
    """Names of 25 rows, whose other column is of the same row of the corpus."""
    schema = {key: sample.from_dataset(CORPUS, key, mode=mode) for key in ("name", "length")}
    frame = made(schema, 25)
    assert all(frame["name"].str.len() == frame["length"])
    return list(frame["name"])


def test_rows_of_a_corpus_are_drawn_with_replacement_where_that_is_asked() -> None:
    assert Counter(drawn("cycle")) == dict.fromkeys([entry["name"] for entry in CORPUS], 5)
    names = drawn("random")
    assert len(set(names[:5])) < 5 or set(Counter(names).values()) != {5}
    assert set(names) == {entry["name"] for entry in CORPUS}


def test_the_split_train_is_used_or_all_if_there_is_none() -> None:
    parts = {name: datasets.Dataset.from_dict({"t": [name] * 2}) for name in ("test", "train", "other")}
    assert set(made({"t": sample.from_dataset(datasets.DatasetDict(parts), "t")}, 4)["t"]) == {"train"}
    del parts["train"]
    with pytest.warns(DatafastWarning, match="The splits test, other are read one after the other"):
        assert set(made({"t": sample.from_dataset(datasets.DatasetDict(parts), "t")}, 4)["t"]) == {"test", "other"}


def test_a_missing_cell_of_a_corpus_has_the_default() -> None:
    rows = [{"t": None}, {"t": "here"}]
    assert sorted(made({"t": sample.from_dataset(rows, "t", default="none")}, 2)["t"]) == ["here", "none"]


def test_a_function_sees_all_columns_that_do_not_need_it_wherever_they_stand() -> None:
    frame = made({"loud": lambda said: said.upper(), "said": lambda ctx: "-".join(sorted(ctx)), "a": 1, "b": 2}, 1)
    assert list(frame.iloc[0]) == ["A-B", "a-b", 1, 2]


def test_functions_of_whole_rows_see_the_earlier_ones_of_their_sort() -> None:
    schema = {"x": lambda second: second, "first": lambda ctx: sorted(ctx), "second": lambda row: sorted(row), "z": 1}
    frame = made(schema, 1)
    assert list(frame.iloc[0]) == [["first", "z"], ["z"], ["first", "z"], 1]


# -- templates


@pytest.mark.parametrize(
    ("prompt", "sent"),
    [
        ('{{"k": 1}} about {t}', '{"k": 1} about T'),
        ('{{"k": {{"deep": [1]}}}} about {t}', '{"k": {"deep": [1]}} about T'),
        ('{{\n  "k": "{t}"\n}}', '{\n  "k": "T"\n}'),
        ('{{"k": 1}} of {d[key]}', '{"k": 1} of V'),
        # not written for str.format
        ('{"k": 1} about {t}', '{"k": 1} about T'),
        ("{{ t }} and {t}", "T and T"),
        ("{{ t | upper }}: {t}", "T: T"),
        ('{% if t %}{{"k": 1}}{% endif %}', '{{"k": 1}}'),
        ('{{"k": 1}} as {"k": 1}', '{{"k": 1}} as {"k": 1}'),
    ],
)
def test_doubled_braces_around_text_are_single_ones(openai: FaultServer, prompt: str, sent: str) -> None:
    gen = generator("openai", "sk-0123456789")
    made({"t": "T", "d": {"key": "V"}, "a": gen(prompt)}, 1)
    assert [request.prompt for request in openai.requests] == [sent]


@pytest.mark.parametrize("value", [lambda row: row["t"], sample.choice(["a", "b"])])
def test_a_variable_that_differs_from_row_to_row_is_refused_with_what_to_write(value: Any) -> None:
    gen = generator(SimulatedProvider("m"))
    with pytest.raises(ConfigError, match=r"^name: .* is a column\. Put it into the schema: dataset\(\{'name': \.\.\."):
        gen("Hello {name}", name=value)


def test_fixed_variables_are_filled_in(openai: FaultServer) -> None:
    gen = generator("openai", "sk-0123456789")
    made({"a": gen("Hello {name}", name="Bob")}, 1)
    assert openai.requests[0].prompt == "Hello Bob"
    assert json.loads(openai.requests[0].raw)["messages"] == [{"role": "user", "content": "Hello Bob"}]


def test_reserved_names_are_not_variables(openai: FaultServer) -> None:
    gen = generator("openai", "sk-0123456789")
    frame = made({"n": 1, "a": gen("Hello", system="Be brief."), "b": gen("More", when="n > 1", on_error="null")}, 1)
    assert [entry["content"] for entry in openai.requests[0].json["messages"]] == ["Be brief.", "Hello"]
    assert frame["b"].isna().all()


def test_what_is_not_here_says_so_when_it_is_imported() -> None:
    with pytest.raises(ImportError, match=r"^datafast has no generate_with_viewer\. .*on_event.*\.$"):
        exec("from datafast import generate_with_viewer")


# -- comparisons


def test_a_column_holds_the_score_of_each_row() -> None:
    schema = {
        "answer": sample.choice(["tides", "tide"]),
        "expected": "tide",
        "right": datafast.eval.exact_match("answer", "expected"),
        "far": datafast.eval.edit_distance("answer", "expected"),
        "near": datafast.eval.bleu_score("answer", "expected"),
    }
    frame = made(schema, 20)
    assert set(frame["answer"]) == {"tides", "tide"}
    assert list(frame["right"]) == [float(answer == "tide") for answer in frame["answer"]]
    assert list(frame["far"]) == pytest.approx([0.2 if answer == "tides" else 0 for answer in frame["answer"]])
    assert list(frame["near"])[list(frame["answer"]).index("tide")] == pytest.approx(1)


def test_a_score_of_a_column_waits_for_what_a_model_writes(openai: FaultServer) -> None:
    gen = generator("openai", "sk-0123456789")
    frame = made({"a": gen("x"), "b": "<x>", "right": datafast.eval.exact_match("a", "b")}, 1)
    assert list(frame["right"]) == [1.0]


def test_scores_over_all_rows_of_one_dataset_and_of_several() -> None:
    one, other = dataset({"a": sample.choice(["x", "y"]), "b": "x"}), dataset({"a": "z", "b": "x"})
    with pytest.raises(ConfigError, match="nothing to evaluate yet"):
        one.evaluate({"right": one.eval.exact_match("a", "b")})
    share = float((one.generate_sync(12)["a"] == "x").mean())
    other.generate_sync(3)
    found = one.evaluate({"right": one.eval.exact_match("a", "b"), "rouge": one.eval.rouge("a", "b", "rouge1")})
    assert found == {"right": share, "rouge": share}
    scores = {"one": one.eval.exact_match("a", "b"), "other": other.eval.edit_distance("a", "b")}
    assert datafast.evaluate(scores) == {"one": share, "other": 1.0}
    assert one.evaluate("b", ["exact_match"], prediction="a")["exact_match"].value == share
    with pytest.raises(ConfigError, match=r"right: It is not said of which dataset\. Write ds\.eval\.exact_match"):
        datafast.evaluate({"right": datafast.eval.exact_match("a", "b")})
    with pytest.raises(AttributeError, match=r"There is no comparison llm_judge\. A column of type judge"):
        _ = one.eval.llm_judge


@pytest.mark.parametrize("name", ["transformers", "huggingface", "hf"])
def test_a_local_model_has_the_names_that_it_had(name: str) -> None:
    assert generator(name, model="gpt2").provider.label == "transformers/gpt2"


def test_cut_texts_fail_their_rows_unless_they_are_wanted(openai: FaultServer) -> None:
    openai.respond = lambda request: Answer(text="Once upon a", finish_reason="length")
    gen = generator("openai", "sk-0123456789", max_tokens=3)
    ds = dataset({"a": gen("Tell.")})
    with pytest.warns(DatafastWarning, match="2 of 2 rows failed"):
        assert ds.generate_sync(2).empty
    assert "or take cut texts (run.on_truncation: keep)." in ds.failed_items[0].error
    sent = len(openai.requests)
    kept = dataset({"a": gen("Tell.")}, run=RunConfig(on_truncation="keep"))
    with pytest.warns(DatafastWarning, match="2 texts were cut"):
        assert list(kept.generate_sync(2, retry_failed=True)["a"]) == ["Once upon a"] * 2
    assert len(openai.requests) == sent == 2
