"""Scripts of chatan, word for word with the import changed."""

from __future__ import annotations

import os
import textwrap
import warnings
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from datafast import dataset, generator, sample
from datafast.errors import ConfigError, DatafastWarning
from tests.servers.fault_server import FaultServer


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Datasets in the layout in which `load_dataset(name)` gives them."""
    found = {
        "some/dataset": datasets.DatasetDict(
            {"train": datasets.Dataset.from_dict({"prompt": [f"prompt {number}" for number in range(40)]})}
        ),
        "GPUMODE/KernelBook": datasets.DatasetDict(
            {
                "train": datasets.Dataset.from_dict(
                    {"python_code": [f"def book_{number}(): ..." for number in range(20)]}
                )
            }
        ),
        "ScalingIntelligence/KernelBench": datasets.DatasetDict(
            {
                f"level_{level}": datasets.Dataset.from_dict(
                    {
                        "id": [f"op {number}" for number in range(30)],
                        "python_code": [f"def op_{number}(x): return {{x}}" for number in range(30)],
                    }
                )
                for level in (1,)
            }
        ),
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split=None: found[name])
    return found


def script(code: str, **names: Any) -> dict[str, Any]:
    """Runs a script; its names."""
    space = {"__name__": "__main__", **names}
    exec(compile(textwrap.dedent(code).replace("chatan", "datafast"), "script.py", "exec"), space)
    return space


# -- the scripts


BASIC = """
import asyncio
import chatan

async def main():
    gen = chatan.generator("openai", "YOUR_API_KEY")
    ds = chatan.dataset({
        "question": gen("write an example question from a 5th grade math test"),
        "answer": gen("answer: {question}")
    })

    df = await ds.generate(n=100)
    return df

df = asyncio.run(main())
"""
MIXES = """
import asyncio
from chatan import dataset, generator, sample

async def main():
    gen = generator("openai", "YOUR_API_KEY")

    mix = [
        "san antonio, tx",
        "marfa, tx",
        "paris, fr"
    ]

    ds = dataset({
        "id": sample.uuid(),
        "topic": sample.choice(mix),
        "prompt": gen("write an example question about the history of {topic}"),
        "response": gen("respond to: {prompt}"),
    })

    df = await ds.generate(n=100)
    return df

df = asyncio.run(main())
"""
AUGMENTATION = """
import asyncio
from datasets import load_dataset
import chatan

async def main():
    gen = chatan.generator("openai", "YOUR_API_KEY")
    hf_data = load_dataset("some/dataset")

    ds = chatan.dataset({
        "original_prompt": chatan.sample.from_dataset(hf_data, "prompt"),
        "variation": gen("rewrite this prompt: {original_prompt}"),
        "response": gen("respond to: {variation}")
    })

    df = await ds.generate(n=100)
    return df

df = asyncio.run(main())
"""
SAVING = """
import asyncio

async def main():
    # ... define ds ...

    # Generate
    df = await ds.generate(n=1000)

    # Save to various formats
    ds.save("my_dataset.parquet")
    ds.save("my_dataset.csv", format="csv")

    # Convert to HuggingFace format
    hf_dataset = ds.to_huggingface()
    return df

df = asyncio.run(main())
"""
TRITON = """
import asyncio
import pandas as pd
from datasets import load_dataset
from chatan import generator, dataset, sample

async def main():
    gen = generator("openai", "YOUR_API_KEY")
    kernelbook = load_dataset("GPUMODE/KernelBook")
    kernelbench = load_dataset("ScalingIntelligence/KernelBench")

    ds_1 = dataset({
        "operation": sample.from_dataset(kernelbench, "id"),
        "prompt": gen("write a prompt asking for a Triton kernel for: {operation}"),
        "response": gen("{prompt}")
    })

    ds_2 = dataset({
        "original_prompt": sample.from_dataset(kernelbook, "python_code"),
        "prompt": gen("write a question asking for this code to be written as a Triton kernel"),
        "response": gen("{prompt}")
    })

    df_1 = await ds_1.generate(n=500)
    df_2 = await ds_2.generate(n=500)
    combined_df = pd.concat([df_1, df_2], ignore_index=True)
    return combined_df

combined_df = asyncio.run(main())
"""
COMPLEX = '''
import asyncio
from chatan import generator, dataset, sample

async def main():
    gen = generator("openai", "YOUR_API_KEY")

    mixed_ds = dataset({
        "dataset_type": sample.choice(["kernelbench", "kernelbook"]),
        "operation": sample.from_dataset(kernelbench, "id"),
        "original_code": sample.from_dataset(kernelbook, "python_code"),
        "prompt": gen("""
        {%- if dataset_type == "kernelbench" -%}
        write a prompt asking for a Triton kernel for: {operation}
        {%- else -%}
        write a question asking for this code to be written as a Triton kernel: {original_code}
        {%- endif -%}
        """),
        "response": gen("{prompt}")
    })

    final_df = await mixed_ds.generate(n=1000)
    mixed_ds.save("triton_kernel_dataset.parquet")
    return final_df

final_df = asyncio.run(main())
'''
TRANSFORMERS = """
import asyncio
from chatan import generator, dataset, sample

async def main():
    # Use a local HuggingFace model
    gen = generator("transformers", model="gpt2")

    ds = dataset({
        "topic": sample.choice(["space", "history", "science"]),
        "prompt": gen("Ask a short question about {topic}"),
        "response": gen("{prompt}")
    })

    df = await ds.generate(n=5)
    return df

df = asyncio.run(main())
"""


def test_a_basic_question_and_answer_script(openai: FaultServer) -> None:
    df = script(BASIC)["df"]
    assert list(df.columns) == ["question", "answer"]
    assert len(df) == 100
    assert all(df["answer"] == "<answer: " + df["question"] + ">")
    assert {request.headers["authorization"] for request in openai.requests} == {"Bearer YOUR_API_KEY"}
    assert len(openai.requests) == 200


def test_a_script_that_mixes_samplers_and_generators(openai: FaultServer) -> None:
    df = script(MIXES)["df"]
    assert list(df.columns) == ["id", "topic", "prompt", "response"]
    assert df["id"].nunique() == 100
    assert set(df["topic"]) == {"san antonio, tx", "marfa, tx", "paris, fr"}
    assert all(df["prompt"] == "<write an example question about the history of " + df["topic"] + ">")


def test_a_script_that_augments_a_dataset_of_the_hub(openai: FaultServer, hub: dict[str, Any]) -> None:
    df = script(AUGMENTATION)["df"]
    assert df["original_prompt"].value_counts().between(2, 3).all()
    assert all(df["variation"] == "<rewrite this prompt: " + df["original_prompt"] + ">")


def test_a_script_that_saves_and_converts(openai: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ds = dataset({"n": sample.range(1, 9), "x": generator("openai", "YOUR_API_KEY")("about {n}")})
    df = script(SAVING, ds=ds)["df"]
    assert len(df) == 1000
    pd.testing.assert_frame_equal(pd.read_parquet("my_dataset.parquet"), df)
    pd.testing.assert_frame_equal(pd.read_csv("my_dataset.csv"), df)
    assert ds.to_huggingface().to_list() == df.to_dict("records")


def test_a_script_that_concatenates_two_datasets_is_told_once_of_a_column_that_it_forgot(
    openai: FaultServer, hub: dict[str, Any]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        combined = script(TRITON)["combined_df"]
    assert list(combined.columns) == ["operation", "prompt", "response", "original_prompt"]
    assert len(combined) == 1000
    ours = [warning for warning in caught if issubclass(warning.category, DatafastWarning)]
    assert len(ours) == 1
    assert "No column refers to original_prompt" in str(ours[0].message)
    assert ours[0].filename == "script.py"


def test_a_script_with_a_condition_in_a_prompt(
    openai: FaultServer, hub: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpora = {"kernelbench": hub["ScalingIntelligence/KernelBench"], "kernelbook": hub["GPUMODE/KernelBook"]}
    df = script(COMPLEX, **corpora)["final_df"]
    assert len(df) == 1000
    bench = df["dataset_type"] == "kernelbench"
    assert 400 < bench.sum() < 600
    assert all(df["prompt"][bench] == "<write a prompt asking for a Triton kernel for: " + df["operation"][bench] + ">")
    code = df["original_code"][~bench]
    assert all(
        df["prompt"][~bench] == "<write a question asking for this code to be written as a Triton kernel: " + code + ">"
    )
    assert len(pd.read_parquet("triton_kernel_dataset.parquet")) == 1000


def test_a_script_with_a_local_model() -> None:
    try:
        generator("transformers", model="gpt2")
    except ConfigError as error:
        pytest.skip(f"there is no such provider in this version: {error}")
    if os.environ.get("HF_HUB_OFFLINE", "1") == "1":
        pytest.skip("gpt2 is not on this machine; a model of its own is tested with the provider")
    assert len(script(TRANSFORMERS)["df"]) == 5
