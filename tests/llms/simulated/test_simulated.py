"""The simulated model: deterministic, true to the schema, on the prompt's topic, and faulty on demand."""

from __future__ import annotations

import asyncio
from datetime import date
from enum import Enum
from typing import Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from datafast.columns.json_schema import schema_model
from datafast.errors import ConfigError, ErrorKind, ProviderError, ReplyCategory, ReplyError
from datafast.llms.base import Completion, Request, Response
from datafast.llms.providers.chat_completions import OllamaProvider, OpenAIProvider, OpenRouterProvider
from datafast.llms.replies.completion import decode_completion
from datafast.llms.replies.parse import parse_reply, parse_text
from datafast.llms.schema import ResponseSchema
from datafast.llms.simulated.provider import FAULTS, SimulatedProvider
from datafast.types import Message, Usage


class Texts(BaseModel):
    texts: list[str]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    number: float = Field(gt=0, lt=1)
    flag: bool
    when: date


class Everything(BaseModel):
    title: str = Field(min_length=3, max_length=20)
    long: str = Field(min_length=700)
    score: int = Field(ge=1, le=10)
    even: int = Field(ge=3, le=5, multiple_of=2)
    below: int = Field(lt=-5)
    kind: Literal["a", "b"]
    colour: Colour
    inner: Inner
    maybe: Inner | None
    either: int | str
    pair: tuple[int, str]
    few: list[Colour] = Field(min_length=2, max_length=4)
    unique: set[Colour]
    counts: dict[str, int]
    code: str = Field(pattern=r"^[A-Z]{2}-\d{4}$")


class Tree(BaseModel):
    name: str
    children: list[Tree]


def ask_for(prompt: str, model: type[BaseModel] | None = None) -> Request:
    return Request(messages=[Message(role="user", content=prompt)], schema=ResponseSchema.of(model) if model else None)


def call(provider: SimulatedProvider, *requests: Request) -> list[Response | ProviderError]:
    async def run() -> list[Response | ProviderError]:
        backend = provider.open(max_connections=1)
        answers: list[Response | ProviderError] = []
        for request in requests:
            try:
                answers.append(await backend.complete(request))
            except ProviderError as error:
                answers.append(error)
        await backend.aclose()
        return answers

    return asyncio.run(run())


def reply(provider: SimulatedProvider, request: Request) -> Completion:
    (answer,) = call(provider, request)
    assert isinstance(answer, Response)
    return decode_completion(answer.raw)


PROMPT = "Generate exactly 4 short letters in English about lighthouse keepers and winter storms."


def test_the_same_request_gets_the_same_reply_in_every_run() -> None:
    request = ask_for(PROMPT, Texts)
    assert reply(SimulatedProvider(), request) == reply(SimulatedProvider(), request)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SimulatedProvider("a"), SimulatedProvider("b")),
        (SimulatedProvider("a"), SimulatedProvider("a", seed=1)),
        (SimulatedProvider("a"), SimulatedProvider("a", temperature=1)),
        (SimulatedProvider("a"), SimulatedProvider("a", name="second")),
    ],
)
def test_another_model_writes_another_text(one: SimulatedProvider, other: SimulatedProvider) -> None:
    assert reply(one, ask_for(PROMPT)).text != reply(other, ask_for(PROMPT)).text
    assert one.identity != other.identity


def test_another_prompt_gets_another_text() -> None:
    assert reply(SimulatedProvider(), ask_for(PROMPT)).text != reply(SimulatedProvider(), ask_for(f"{PROMPT} ")).text


def test_latency_and_faults_do_not_change_who_the_model_is() -> None:
    assert SimulatedProvider("a").identity == SimulatedProvider("a", latency_s=1, faults={"empty": 1}).identity


@given(st.text(max_size=60))
@settings(max_examples=60)
def test_replies_match_the_schema_whatever_the_prompt(prompt: str) -> None:
    provider = SimulatedProvider()
    for model in (Everything, Tree, Texts):
        assert parse_reply(reply(provider, ask_for(prompt, model)), ResponseSchema.of(model))


def test_as_many_different_elements_come_as_the_prompt_asks_for() -> None:
    texts = parse_reply(reply(SimulatedProvider(), ask_for(PROMPT.replace("4", "40"), Texts)), ResponseSchema.of(Texts))
    assert isinstance(texts, Texts)
    assert len(texts.texts) == len(set(texts.texts)) == 40


def test_bounds_of_the_schema_win_over_the_number_in_the_prompt() -> None:
    class Three(BaseModel):
        texts: list[str] = Field(min_length=3, max_length=3)

    three = parse_reply(reply(SimulatedProvider(), ask_for(PROMPT, Three)), ResponseSchema.of(Three))
    assert isinstance(three, Three)
    assert len(three.texts) == 3


def test_schemas_that_are_put_together_are_filled() -> None:
    given = {
        "type": "object",
        "properties": {"kind": {"oneOf": [{"const": "a"}, {"const": "b"}]}, "part": {"$ref": "#/$defs/Part"}},
        "required": ["kind", "part", "size"],
        "allOf": [{"properties": {"size": {"type": "integer", "maximum": 3}}}, {"$ref": "#/$defs/Named"}],
        "$defs": {
            "Named": {"properties": {"name": {"type": "string", "pattern": "^[a-z]{3}$"}}, "required": ["name"]},
            "Part": {"allOf": [{"$ref": "#/$defs/Named"}, {"type": "object"}]},
        },
    }
    schema = ResponseSchema.of(schema_model(given, name="Form"))
    for number in range(10):
        request = Request(messages=[Message(role="user", content=f"{PROMPT} {number}")], schema=schema)
        form = parse_reply(reply(SimulatedProvider(), request), schema).model_dump()
        assert set(form) == {"kind", "part", "size", "name"}


def test_the_topic_of_the_prompt_shows_in_free_text() -> None:
    text = parse_text(reply(SimulatedProvider(), ask_for(PROMPT)))
    assert any(word in text for word in ("lighthouse", "keepers", "winter", "storms"))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("French", {"une", "le", "la", "avec", "de"}),
        ("Spanish", {"una", "el", "la", "con", "de"}),
        ("German", {"eine", "der", "über", "das", "die"}),
        ("Italian", {"una", "il", "la", "con", "di"}),
        ("Portuguese", {"uma", "o", "a", "com", "de"}),
        ("English", {"the", "a", "and", "for"}),
    ],
)
def test_text_comes_in_the_language_that_is_asked_for(language: str, words: set[str]) -> None:
    prompt = f"Write a letter in {language} about bread. Do not answer like an English or French teacher."
    assert words & set(reply(SimulatedProvider(), ask_for(prompt)).text.casefold().split())


def test_usage_is_estimated_from_the_characters() -> None:
    completion = reply(SimulatedProvider(), ask_for("x" * 400))
    assert completion.usage == Usage(100, -(-len(completion.text) // 4))


def test_a_reply_says_that_it_is_simulated() -> None:
    assert reply(SimulatedProvider("gpt-9"), ask_for("x")).model_id == "simulated/gpt-9"
    assert reply(SimulatedProvider("simulated/gpt-9"), ask_for("x")).model_id == "simulated/gpt-9"


def test_a_simulated_model_needs_no_key_and_costs_nothing() -> None:
    provider = SimulatedProvider()
    provider.require_ready()
    assert provider.simulated
    assert provider.key_variable is None
    assert provider.cost_usd(Usage(10, 10)) == 0.0


def test_a_price_can_be_given_to_try_a_budget_out() -> None:
    provider = SimulatedProvider(price={"input_usd_per_million": 1, "output_usd_per_million": 2})
    assert provider.cost_usd(Usage(1_000_000, 1_000_000)) == 3.0


def test_a_stand_in_keeps_name_limits_and_sampling() -> None:
    original = OpenAIProvider("gpt-9", temperature=0.5, rpm_limit=7, tpm_limit=9, max_concurrency=3, name="first")
    stand_in = SimulatedProvider.standing_in_for(original)
    assert (stand_in.model_id, stand_in.name, stand_in.temperature) == ("simulated/gpt-9", "first", 0.5)
    assert (stand_in.rpm_limit, stand_in.tpm_limit, stand_in.max_concurrency) == (None, None, 3)
    assert stand_in.simulated


def test_stand_ins_for_different_originals_are_different_and_write_different_texts() -> None:
    originals = [OpenAIProvider("m"), OpenRouterProvider("m"), OllamaProvider("m"), OpenAIProvider("m", temperature=0)]
    stand_ins = [SimulatedProvider.standing_in_for(original) for original in originals]
    assert len({provider.identity for provider in stand_ins}) == 4
    assert len({reply(provider, ask_for(PROMPT)).text for provider in stand_ins}) == 4


def test_a_simulated_model_stands_in_for_itself() -> None:
    provider = SimulatedProvider(faults={"empty": 0.5})
    assert SimulatedProvider.standing_in_for(provider) is provider


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("rate_limited", ErrorKind.RATE_LIMITED, 429),
        ("server_error", ErrorKind.SERVER, 503),
        ("timeout", ErrorKind.TIMEOUT, None),
        ("connection", ErrorKind.CONNECTION, None),
        ("authentication", ErrorKind.AUTHENTICATION, 401),
    ],
)
def test_a_fault_of_the_connection_raises_what_a_real_one_would(fault: str, kind: ErrorKind, status: int) -> None:
    (error,) = call(SimulatedProvider(faults={fault: 1.0}), ask_for(PROMPT))
    assert isinstance(error, ProviderError)
    assert (error.kind, error.status) == (kind, status)
    assert error.retry_after_s == (0.05 if fault == "rate_limited" else None)


@pytest.mark.parametrize(
    ("fault", "category"),
    [
        ("invalid_json", ReplyCategory.INVALID),
        ("schema_violation", ReplyCategory.INVALID),
        ("truncated", ReplyCategory.TRUNCATED),
        ("empty", ReplyCategory.EMPTY),
        ("refused", ReplyCategory.REFUSED),
    ],
)
def test_a_spoiled_reply_is_refused_for_the_reason_it_was_spoiled(fault: str, category: ReplyCategory) -> None:
    completion = reply(SimulatedProvider(faults={fault: 1.0}), ask_for(PROMPT, Texts))
    with pytest.raises(ReplyError) as caught:
        parse_reply(completion, ResponseSchema.of(Texts))
    assert caught.value.category is category


@pytest.mark.parametrize("asked", [1, 2, 4, 9])
def test_a_short_reply_is_valid_and_holds_fewer_elements(asked: int) -> None:
    request = ask_for(PROMPT.replace("4", str(asked)), Texts)
    texts = parse_reply(reply(SimulatedProvider(faults={"short": 1.0}), request), ResponseSchema.of(Texts))
    assert isinstance(texts, Texts)
    assert len(texts.texts) < asked


def test_faults_fall_on_their_share_of_requests() -> None:
    provider = SimulatedProvider(faults={"server_error": 0.3, "empty": 0.1})
    answers = call(provider, *(ask_for(f"prompt {number}") for number in range(1000)))
    failed = [answer for answer in answers if isinstance(answer, ProviderError)]
    empty = [answer for answer in answers if isinstance(answer, Response) and not decode_completion(answer.raw).text]
    assert 240 < len(failed) < 360
    assert 60 < len(empty) < 140


def test_faults_fall_on_the_same_requests_in_whatever_order_they_come() -> None:
    provider = SimulatedProvider(faults={"server_error": 0.5})
    requests = [ask_for(f"prompt {number}") for number in range(40)]
    forward = [isinstance(answer, ProviderError) for answer in call(provider, *requests)]
    backward = [isinstance(answer, ProviderError) for answer in call(provider, *reversed(requests))]
    assert forward == backward[::-1]


def test_a_retry_of_the_same_request_may_succeed() -> None:
    provider = SimulatedProvider(faults={"server_error": 0.5})
    answers = call(provider, *[ask_for(PROMPT)] * 40)
    assert isinstance(answers[-1], Response)
    failed_first = [
        number
        for number in range(20)
        if isinstance(call(provider, *[ask_for(f"prompt {number}")])[0], ProviderError)
        and any(isinstance(answer, Response) for answer in call(provider, *[ask_for(f"prompt {number}")] * 30))
    ]
    assert failed_first


def test_a_token_limit_cuts_replies_off_until_it_is_lifted() -> None:
    provider = SimulatedProvider(max_completion_tokens=5)
    cut = reply(provider, ask_for(PROMPT))
    assert (cut.finish_reason, len(cut.text)) == ("length", 20)
    lifted = Request(messages=ask_for(PROMPT).messages, token_limit=16_384)
    assert reply(provider, lifted).finish_reason == "stop"


def test_a_latency_beyond_the_timeout_is_a_timeout() -> None:
    (error,) = call(SimulatedProvider(latency_s=5, timeout=0.01), ask_for(PROMPT))
    assert isinstance(error, ProviderError)
    assert error.kind is ErrorKind.TIMEOUT


def test_replies_wait_side_by_side() -> None:
    async def run() -> int:
        backend = SimulatedProvider(latency_s=0.01, latency_jitter_s=0.01).open(max_connections=50)
        replies = await asyncio.gather(*(backend.complete(ask_for(f"{number}")) for number in range(50)))
        return sum(answer.latency_s > 0.005 for answer in replies)

    assert asyncio.run(run()) == 50


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"faults": {"rate_limit": 0.1}}, "Did you mean 'rate_limited'"),
        ({"faults": {"zzz": 0.1}}, "Known: authentication"),
        ({"faults": {"empty": 1.5}}, "faults.empty: expected a share"),
        ({"faults": {"empty": True}}, "faults.empty: expected a share"),
        ({"faults": {"empty": 0.6, "short": 0.6}}, "add up to 1.2"),
        ({"latency_s": -1}, "latency_s: expected a number"),
        ({"latency_jitter_s": float("inf")}, "latency_jitter_s: expected a number"),
        ({"seed": "x"}, "seed: expected a whole number"),
        ({"api_key": "x"}, "api_key: This model is not called"),
        ({"latency": 1}, "latency"),
    ],
)
def test_wrong_parameters_are_refused_with_what_to_do(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SimulatedProvider("m", **options)  # type: ignore[arg-type]


def test_the_list_of_faults_is_complete() -> None:
    assert set(FAULTS) == {
        "authentication", "connection", "empty", "invalid_json", "rate_limited", "refused", "schema_violation",
        "server_error", "short", "timeout", "truncated",
    }  # fmt: skip


def test_the_repr_shows_what_was_set() -> None:
    assert (
        repr(SimulatedProvider("m", latency_s=0.5, rpm_limit=3))
        == "SimulatedProvider('simulated/m', rpm_limit=3, latency_s=0.5)"
    )


def test_identities_are_canonical_json() -> None:
    identity = SimulatedProvider.standing_in_for(OpenAIProvider("m")).identity
    assert orjson.dumps(orjson.loads(identity), option=orjson.OPT_SORT_KEYS).decode() == identity
