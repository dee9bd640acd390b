"""What every back end sends: prompts, parameters, structure, keys and headers, each where its API has it."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from datafast._util import background
from datafast.errors import DatafastWarning, ErrorKind
from datafast.llms import LLMProvider
from datafast.llms.base import ReplyMode
from datafast.llms.schema import ResponseSchema
from datafast.types import Message
from tests.llms.asking import asked, refused, send
from tests.llms.contract.backends import BACKENDS, BackEnd, every_backend, every_direct_backend
from tests.llms.contract.wires import CHAT
from tests.servers.fault_server import Answer, FaultServer

NASTY = (
    'a {topic} {{x}} <<y>> {"json": [1, "\\n"]} \\frac{1}{2} $x_i$ %s \x00 \u2028 emoji 🙂 العربية "quoted"\r\n\ttab'
)


class Entries(BaseModel):
    entries: list[str]


SCHEMA = ResponseSchema.of(Entries)


# -- prompts


@every_backend
def test_prompts_arrive_to_the_character(fault_server: FaultServer, make: BackEnd) -> None:
    send(make(fault_server.url), asked(NASTY))
    (sent,) = fault_server.requests
    assert sent.prompt == NASTY
    assert sent.target == make.target


@every_backend
def test_system_prompts_and_turns_arrive_as_such(fault_server: FaultServer, make: BackEnd) -> None:
    if not make.has_system:
        pytest.skip("litellm hands system prompts to models that it does not know as the user's text")
    messages = [
        Message(role="system", content=NASTY),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="Yes?"),
        Message(role="user", content="Go on."),
    ]
    send(make(fault_server.url), asked(messages=messages))
    body = fault_server.requests[0].json
    assert make.wire.system_of(body) == NASTY
    assert make.wire.turns_of(body) == [("user", "Hello"), ("assistant", "Yes?"), ("user", "Go on.")]


@every_direct_backend
def test_a_system_prompt_alone_is_sent_with_a_turn_where_there_must_be_one(
    fault_server: FaultServer, make: BackEnd
) -> None:
    send(make(fault_server.url), asked(messages=[Message(role="system", content="Write a haiku.")]))
    body = fault_server.requests[0].json
    assert make.wire.system_of(body) + "".join(text for _, text in make.wire.turns_of(body)) == "Write a haiku."


@every_direct_backend
def test_a_system_prompt_in_extra_stands_before_that_of_the_request(fault_server: FaultServer, make: BackEnd) -> None:
    """Also before a schema that is told in words."""
    for extra in make.wire.system_extras("Be kind."):
        provider = make(fault_server.url, extra=extra)
        send(
            provider, asked(messages=[Message(role="system", content="Be brief."), Message(role="user", content="Hi")])
        )
        told = make.wire.system_of(fault_server.requests[-1].json)
        assert re.fullmatch(r"Be kind\.\s*Be brief\.", told)
        send(provider, asked(schema=SCHEMA, mode=ReplyMode.PROMPT))
        told = make.wire.system_of(fault_server.requests[-1].json)
        assert told.startswith("Be kind.")
        assert '"entries"' in told
        send(provider, asked())
        assert make.wire.system_of(fault_server.requests[-1].json) == "Be kind."


@every_backend
def test_the_callers_messages_are_not_changed(fault_server: FaultServer, make: BackEnd) -> None:
    messages = [Message(role="system", content="Be brief."), Message(role="user", content="Hello")]
    before = json.dumps(messages)
    for mode in ReplyMode:
        send(make(fault_server.url), asked(messages=messages, schema=SCHEMA, mode=mode))
    assert json.dumps(messages) == before


# -- structure


@every_backend
def test_each_mode_asks_for_structure_in_its_way(fault_server: FaultServer, make: BackEnd) -> None:
    for mode, form in zip(
        (ReplyMode.JSON_SCHEMA, ReplyMode.JSON_OBJECT, ReplyMode.PROMPT), make.structures, strict=True
    ):
        send(make(fault_server.url), asked(schema=SCHEMA, mode=mode))
        body = fault_server.requests[-1].json
        assert make.wire.structure_of(body) == form
        told = make.wire.system_of(body) + "".join(text for _, text in make.wire.turns_of(body))
        assert ('"entries"' in told) is (form not in {"schema", "tool"})
        assert fault_server.requests[-1].prompt.endswith("Hello")


@pytest.mark.parametrize("make", [backend for backend in BACKENDS if backend.wire is CHAT])
def test_the_schema_is_sent_as_it_was_written(fault_server: FaultServer, make: BackEnd) -> None:
    send(make(fault_server.url), asked(schema=SCHEMA))
    assert fault_server.requests[0].json["response_format"] == json.loads(SCHEMA.wire)


# -- parameters


@every_backend
def test_only_what_was_set_is_sent(fault_server: FaultServer, make: BackEnd) -> None:
    send(make(fault_server.url), asked())
    (sent,) = fault_server.requests
    for name in (("temperature",), ("top_p", "topP"), ("frequency_penalty", "frequencyPenalty"), ("tools",)):
        assert make.wire.setting(sent, *name) is None
    assert make.wire.limit_of(sent) == make.limit


@every_backend
def test_parameters_and_extra_fields_are_sent(fault_server: FaultServer, make: BackEnd) -> None:
    settings: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 77}
    send(make(fault_server.url, extra={make.wire.an_extra: 5}, **settings), asked())
    (sent,) = fault_server.requests
    assert make.wire.setting(sent, "temperature") == 0.5
    assert make.wire.setting(sent, "top_p", "topP") == 0.9
    assert make.wire.setting(sent, make.wire.an_extra) == 5
    assert make.wire.limit_of(sent) == 77


@every_backend
def test_a_parameter_that_the_api_lacks_is_named_once_and_others_are_sent(
    fault_server: FaultServer, make: BackEnd
) -> None:
    provider = make(fault_server.url, frequency_penalty=0.5)
    if "frequency_penalty" in make.lacks:
        with pytest.warns(DatafastWarning, match="frequency_penalty") as caught:
            send(provider, asked("one"), asked("two"))
        assert len(caught) == 1
    else:
        send(provider, asked("one"), asked("two"))
    expected = None if "frequency_penalty" in make.lacks else 0.5
    assert [make.wire.setting(sent, "frequency_penalty", "frequencyPenalty") for sent in fault_server.requests] == 2 * [
        expected
    ]


@every_backend
def test_dropped_parameters_are_left_out(fault_server: FaultServer, make: BackEnd) -> None:
    provider = make(fault_server.url, temperature=0.5, top_p=0.9, extra={make.wire.an_extra: 5})
    send(provider, asked(dropped_params=frozenset({"temperature", make.wire.an_extra})))
    (sent,) = fault_server.requests
    assert make.wire.setting(sent, "temperature") is None
    assert make.wire.setting(sent, make.wire.an_extra) is None
    assert make.wire.setting(sent, "top_p", "topP") == 0.9


@every_backend
def test_a_lifted_token_limit_is_above_the_usual_one(fault_server: FaultServer, make: BackEnd) -> None:
    send(make(fault_server.url, max_completion_tokens=50), asked(token_limit=16_384))
    assert make.wire.limit_of(fault_server.requests[0]) >= min(8192, make.limit or 8192)


# -- keys, addresses, headers


@every_backend
def test_two_providers_at_once_keep_their_keys_and_addresses(make: BackEnd) -> None:
    async def both(first: LLMProvider, second: LLMProvider) -> None:
        backends = [provider.open(max_connections=4) for provider in (first, second)]
        await asyncio.gather(*(backend.complete(asked(str(number))) for number in range(4) for backend in backends))
        for backend in backends:
            await backend.aclose()

    keys = ["key-of-the-first-server", "key-of-the-second-server"]
    with FaultServer() as one, FaultServer() as two:
        background.run(both(make(one.url, api_key=keys[0]), make(two.url, api_key=keys[1])))
        for server, own, other in ((one, *keys), (two, *reversed(keys))):
            assert len(server.requests) == 4
            assert all(own in str(request.headers) and other not in str(request.headers) for request in server.requests)
            assert all(own not in request.target + request.raw.decode() for request in server.requests)


@every_direct_backend
def test_without_a_key_none_is_sent(
    fault_server: FaultServer, make: BackEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    send(make(fault_server.url, api_key=None), asked())
    sent = fault_server.requests[0].headers
    assert not sent.keys() & {"authorization", "api-key", "x-api-key", "x-goog-api-key"}


@every_backend
@pytest.mark.parametrize("suffix", ["/", "/v1", "/v1/"])
def test_the_version_in_the_address_is_neither_needed_nor_doubled(
    fault_server: FaultServer, make: BackEnd, suffix: str
) -> None:
    send(make(fault_server.url + suffix), asked())
    asked_for = fault_server.requests[0].target
    assert asked_for in {make.target, make.target.replace("/v1beta/", "/v1/")}


@every_backend
def test_extra_headers_are_sent(fault_server: FaultServer, make: BackEnd) -> None:
    send(make(fault_server.url, extra_headers={"X-Team": "research"}), asked())
    assert fault_server.requests[0].headers["x-team"] == "research"


@every_backend
def test_as_many_requests_as_allowed_are_in_flight(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: Answer(until=lambda: fault_server.max_in_flight >= 20)
    send(make(fault_server.url), *(asked(str(number)) for number in range(20)))
    assert fault_server.max_in_flight == 20


@pytest.mark.parametrize(
    "make", [backend for backend in BACKENDS if not backend.stream and backend.name != "litellm_openai"]
)
def test_a_certificate_of_ones_own_is_trusted_only_with_ssl_ca(certificate: tuple[Path, Path], make: BackEnd) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    with FaultServer(ssl_context=context) as server:
        error = refused(make(server.url))
        assert (error.kind, error.status) == (ErrorKind.PERMISSION, None)
        assert "ssl_ca" in str(error)
        send(make(server.url, ssl_ca=certificate[0]), asked())
        assert len(server.requests) == 1
