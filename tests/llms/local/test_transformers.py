"""`TransformersProvider`: a model that transformers loads in this process, asked in batches, kept to the schema."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from datafast.errors import ConfigError, ErrorKind, MissingExtraError, ProviderError, ReplyCategory, ReplyError
from datafast.llms import TransformersProvider, provider_from_spec, release_models
from datafast.llms.base import Completion, Request
from datafast.llms.local.model_cache import _entries
from datafast.llms.replies.completion import decode_completion
from datafast.types import Usage
from tests.support import ROOT, assert_balanced, preference, raw, roles, rows_of


class Judged(BaseModel):
    texts: list[str] = Field(min_length=1, max_length=3)
    label: Literal["good", "bad"]
    score: int = Field(ge=1, le=10)


class Short(BaseModel):
    label: Literal["good", "bad"]


@pytest.fixture
def model(tiny_transformers: Path) -> Iterator[Path]:
    yield tiny_transformers
    release_models()


@pytest.fixture
def batches(model: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each batch that the model is asked."""
    from datafast.llms.local.transformers_model import LoadedModel

    sizes: list[int] = []
    generate = LoadedModel._generate

    def counted(self: LoadedModel, batch: Any) -> bool:
        sizes.append(len(batch.rows))
        return generate(self, batch)

    monkeypatch.setattr(LoadedModel, "_generate", counted)
    return sizes


# -- replies


def test_100_replies_keep_their_schema(model: Path) -> None:
    provider = TransformersProvider(model=model, batch_size=16)
    replies = provider.generate([f"Text {n}" for n in range(100)], response_format=Judged)
    assert len(replies) == 100
    assert all(isinstance(reply, Judged) for reply in replies)
    assert len({reply.texts[0] for reply in replies}) > 50


def test_a_dataset_gets_100_rows_of_real_text(model: Path, tmp_path: Path) -> None:
    # The model picks words at random and now and then says nothing at all.
    dataset = raw(tmp_path, topics=100, run={"max_parse_retries": 9, "max_concurrency": 32})
    dataset.generate([TransformersProvider(model=model, batch_size=16)])
    report = dataset.report
    assert report is not None
    assert (report.written, report.cost_usd, report.simulated) == (100, 0.0, False)
    assert report.output_tokens > 0
    assert {row["model_id"] for row in rows_of(tmp_path / "out.jsonl")} == {"tiny-model"}
    assert_balanced(dataset.report)


def test_it_answers_in_every_role_of_a_preference_dataset(model: Path, tmp_path: Path) -> None:
    dataset = preference(tmp_path, documents=2, run={"max_parse_retries": 9})
    dataset.generate_roles(roles(TransformersProvider(model=model)))
    assert dataset.report.written > 0
    assert_balanced(dataset.report)


def test_usage_counts_the_tokens_of_prompt_and_reply(model: Path) -> None:
    from transformers import AutoTokenizer

    messages: Any = [{"role": "user", "content": "river bread storm"}]
    options: Any = {"max_completion_tokens": 7, "extra": {"min_new_tokens": 7}}
    completion = completion_of(TransformersProvider(model=model, **options), "river bread storm")
    tokenizer = AutoTokenizer.from_pretrained(model)
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert completion.usage == Usage(len(prompt), 7)
    assert completion.finish_reason == "length"


def completion_of(provider: TransformersProvider, prompt: str) -> Completion:
    """A reply as it comes, cut or not."""

    async def ask() -> bytes:
        backend = provider.open(max_connections=1)
        response = await backend.complete(Request([{"role": "user", "content": prompt}]))
        await backend.aclose()
        return response.raw

    return decode_completion(asyncio.run(ask()))


def test_a_reply_at_the_token_limit_is_told_as_cut(model: Path) -> None:
    with pytest.raises(ReplyError) as caught:
        TransformersProvider(model=model, max_completion_tokens=4).generate("Hello", response_format=Judged)
    assert caught.value.category is ReplyCategory.TRUNCATED


def test_a_prompt_over_the_context_is_refused_and_not_cut(model: Path) -> None:
    with pytest.raises(ProviderError, match="Shorten it") as caught:
        TransformersProvider(model=model).generate("river " * 6000)
    assert caught.value.kind is ErrorKind.CONTEXT_LENGTH


def test_a_long_prompt_and_a_short_one_at_once_are_both_answered(model: Path) -> None:
    replies = TransformersProvider(model=model).generate(["river " * 3000, "Hello"], response_format=Short)
    assert len(replies) == 2


def test_a_shorter_prompt_in_a_batch_gets_the_reply_it_gets_alone(model: Path) -> None:
    # The penalty keeps the likeliest token from coming each time.
    provider = TransformersProvider(
        model=model, temperature=0, frequency_penalty=2, max_completion_tokens=40, extra={"min_new_tokens": 30}
    )

    async def at_once(*prompts: str) -> list[str]:
        backend = provider.open(max_connections=4)
        asked = [backend.complete(Request([{"role": "user", "content": prompt}])) for prompt in prompts]
        texts = [decode_completion(response.raw).text for response in await asyncio.gather(*asked)]
        await backend.aclose()
        return texts

    prompts = ["Hello", "river " * 50, "a poem " * 9, "(7)", "why?"]
    together = asyncio.run(at_once(*prompts))
    assert together == [completion_of(provider, prompt).text for prompt in prompts]
    assert len(set(together)) > 1


def test_a_frequency_penalty_lowers_what_was_said_already(model: Path) -> None:
    plain, strict = (
        completion_of(
            TransformersProvider(model=model, temperature=0, frequency_penalty=penalty, max_completion_tokens=60),
            "Hello",
        ).text
        for penalty in (None, 2.0)
    )
    assert len(set(strict)) > len(set(plain))


def test_further_parameters_of_generate_go_through_extra(model: Path) -> None:
    likeliest = TransformersProvider(model=model, extra={"top_k": 1}, max_completion_tokens=20)
    assert len({completion_of(likeliest, "Hello").text for _ in range(3)}) == 1
    with pytest.raises(ProviderError, match="no_such_parameter") as caught:
        TransformersProvider(model=model, extra={"no_such_parameter": 1}).generate("Hello")
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_model_without_a_chat_template_is_asked_in_plain_text(model: Path, tmp_path: Path) -> None:
    from tests.servers.tiny_model import write_tiny_transformers

    write_tiny_transformers(tmp_path / "base", chat=False)
    replies = TransformersProvider(model=tmp_path / "base").generate(["Hello", "Bye"], response_format=Judged)
    assert [type(reply) for reply in replies] == [Judged, Judged]


# -- batches


def test_requests_that_wait_together_share_a_batch(batches: list[int], model: Path) -> None:
    TransformersProvider(model=model, batch_size=6).generate([f"Text {n}" for n in range(18)], response_format=Short)
    assert batches == [6, 6, 6]


def test_requests_with_other_parameters_do_not_share_a_batch(batches: list[int], model: Path) -> None:
    warm, cold = (TransformersProvider(model=model, temperature=t, max_completion_tokens=5) for t in (1.0, 0.2))

    async def both() -> None:
        backends = [provider.open(max_connections=4) for provider in (warm, cold)]
        request = Request([{"role": "user", "content": "Hello"}])
        await asyncio.gather(*(backend.complete(request) for _ in range(4) for backend in backends))
        for backend in backends:
            await backend.aclose()

    asyncio.run(both())
    assert batches == [4, 4]
    assert len(_entries) == 1  # one model for both


def test_where_memory_is_short_the_batch_is_halved_and_stays_so(
    batches: list[int], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import LlamaForCausalLM

    forward = LlamaForCausalLM.forward

    def short_of_memory(self: Any, input_ids: Any, *args: Any, **kwargs: Any) -> Any:
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, input_ids, *args, **kwargs)

    monkeypatch.setattr(LlamaForCausalLM, "forward", short_of_memory)
    provider = TransformersProvider(model=model, batch_size=8)
    with pytest.warns(UserWarning, match="There is too little memory for"):
        replies = provider.generate([f"Text {n}" for n in range(12)], response_format=Short)
    assert len(replies) == 12
    assert batches == [8, 4, 2, 2, 4, 2, 2, 2, 2]


def test_a_request_that_does_not_fit_into_memory_alone_says_what_to_do(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForCausalLM

    def no_memory(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(LlamaForCausalLM, "forward", no_memory)
    with pytest.raises(ProviderError, match="too little memory on cpu even for this request alone") as caught:
        TransformersProvider(model=model).generate("Hello")
    assert caught.value.status == 413


def test_a_reply_that_takes_longer_than_the_timeout_is_given_up(model: Path) -> None:
    provider = TransformersProvider(
        model=model, timeout=0.05, max_completion_tokens=3000, extra={"min_new_tokens": 2900}
    )
    with pytest.raises(ProviderError, match=r"within timeout=0\.05 s") as caught:
        provider.generate("Hello")
    assert caught.value.kind is ErrorKind.TIMEOUT


# -- one model for all, and its thread


def test_a_model_is_loaded_once_for_all_runs_and_gone_when_released(model: Path, tmp_path: Path) -> None:
    provider = TransformersProvider(model=model)
    provider.generate("Hello", response_format=Short)
    (entry,) = _entries.values()
    loaded = entry.model
    raw(tmp_path, topics=2).generate([provider, TransformersProvider(model=model, temperature=0.5, batch_size=2)])
    assert [entry.model for entry in _entries.values()] == [loaded]
    assert release_models() == 1
    assert not any(thread.name == "datafast-model" for thread in threading.enumerate())
    assert provider.generate("Hello", response_format=Short)  # loaded anew


def test_the_event_loop_goes_on_while_the_model_works(model: Path) -> None:
    async def main() -> int:
        backend = TransformersProvider(model=model, max_completion_tokens=300).open(max_connections=1)
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await backend.complete(Request([{"role": "user", "content": "Hello"}]))
        ticking.cancel()
        await backend.aclose()
        return ticks

    assert asyncio.run(main()) > 0


def test_a_script_that_gives_up_ends_at_once_and_without_a_word(model: Path) -> None:
    code = (
        "import asyncio, time; from datafast.llms import TransformersProvider; from datafast.llms.base import Completion, Request\n"
        f"p = TransformersProvider(model={str(model)!r}, max_completion_tokens=4000, extra={{'min_new_tokens': 3900}})\n"
        "async def main():\n"
        "    backend = p.open(max_connections=1)\n"
        "    await backend.prepare()\n"
        "    try:\n"
        "        async with asyncio.timeout(0.3):\n"
        "            await backend.complete(Request([{'role': 'user', 'content': 'Hello'}]))\n"
        "    except TimeoutError:\n"
        "        print(time.monotonic())\n"
        "asyncio.run(main())\n"
        "import atexit; atexit.register(lambda: None)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- what it is


def test_rows_and_keys_name_the_model_and_never_the_path(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    provider = TransformersProvider(model=tmp_path / "my-model")
    assert (provider.model_id, provider.label) == ("my-model", "transformers/my-model")
    assert str(tmp_path) not in provider.identity
    assert TransformersProvider("Qwen/Qwen3-0.6B").model_id == "Qwen/Qwen3-0.6B"


def test_device_and_batch_size_do_not_change_what_a_reply_is_worth() -> None:
    plain = TransformersProvider("gpt2").identity
    assert TransformersProvider("gpt2", device="cpu", batch_size=1, dtype="auto").identity == plain
    assert TransformersProvider("gpt2", dtype="bfloat16").identity != plain
    assert TransformersProvider("gpt2", revision="abc").identity != plain
    assert TransformersProvider("gpt2", top_p=0.5).identity != plain


@pytest.mark.parametrize("name", ["transformers", "huggingface", "hf"])
def test_it_is_named_in_yaml_like_any_other(name: str) -> None:
    assert isinstance(provider_from_spec(f"{name}/gpt2"), TransformersProvider)
    spec = {"provider": name, "model": "gpt2", "batch_size": 2, "temperature": 0.5}
    assert repr(provider_from_spec(spec)) == "TransformersProvider('gpt2', temperature=0.5, batch_size=2)"


@pytest.mark.parametrize(
    ("arguments", "key", "message"),
    [
        ({}, "model", "needs a model"),
        ({"model_id": "a", "model": "b"}, "model", "Give only one"),
        ({"model": "a", "dtype": "int4"}, "dtype", "expected one of auto, bfloat16"),
        ({"model": "a", "batch_size": 0}, "batch_size", "1 or more, got 0"),
        ({"model": "a", "trust_remote_code": "yes"}, "trust_remote_code", "true or false, got 'yes'"),
        ({"model": "a", "api_base": "http://x"}, "api_base", "has no use"),
        ({"model": "a", "batchsize": 1}, "batchsize", "Did you mean 'batch_size'?"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(arguments: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        TransformersProvider(**arguments)
    assert caught.value.key == key


def test_a_folder_without_a_model_is_refused_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, message in (("none", "there is no such folder"), ("empty", r"it has no config\.json")):
        with pytest.raises(ConfigError, match=message):
            raw(tmp_path).generate([TransformersProvider(model=tmp_path / folder)])
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_repository_that_cannot_be_fetched_ends_the_run_and_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"model: who/nothing cannot be loaded.*HF_TOKEN"):
        raw(tmp_path).generate([TransformersProvider("who/nothing")])


def test_a_device_that_is_not_there_is_refused_by_name(model: Path) -> None:
    with pytest.raises(ConfigError, match="torch cannot use 'cuda:77' here"):
        TransformersProvider(model=model, device="cuda:77").generate("Hello")


def test_without_the_extra_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'datafast\[transformers\]'"):
        TransformersProvider("gpt2").require_ready()
