"""Parameters that a model refuses: they are left out once that is known to help, with one warning."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from datafast.errors import DatafastWarning, ProviderError
from datafast.llms import LiteLLMProvider, LLMProvider
from tests import support
from tests.llms.contract.backends import ONE_OF_EACH, BackEnd
from tests.servers.fault_server import Answer, FaultServer, Recorded
from tests.support import assert_balanced, raw

every_back_end = pytest.mark.parametrize("make", ONE_OF_EACH, ids=str)
CHAT, ANTHROPIC, GEMINI, _ = ONE_OF_EACH


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    support.short_waits(monkeypatch)


def carries(request: Recorded, name: str) -> bool:
    return f'"{name}"' in request.raw.decode()


def refusal(message: str) -> Answer:
    return Answer(status=400, body={"type": "error", "error": {"type": "invalid_request_error", "message": message}})


def warned(dataset: Any, provider: LLMProvider) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset.generate([provider])
    return [str(entry.message) for entry in caught if issubclass(entry.category, DatafastWarning)]


@every_back_end
def test_a_parameter_that_a_refusal_names_in_its_words_is_left_out_if_that_helps(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    fault_server.respond = lambda request: (
        refusal("`temperature` is not supported by this model.") if carries(request, "temperature") else Answer()
    )
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 4})
    (message,) = warned(dataset, make(fault_server.url, temperature=0.5))
    assert "refuses the parameter 'temperature'" in message
    assert assert_balanced(dataset.report).written == 20
    assert sum(carries(request, "temperature") for request in fault_server.requests) <= 4
    assert len(fault_server.requests) <= 24


@every_back_end
def test_several_refused_parameters_are_found_one_after_the_other(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    def respond(request: Recorded) -> Answer:
        found = [name for name in ("temperature", "top_p", "topP") if carries(request, name)]
        return refusal(f"{found[0]}: not supported.") if found else Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=10, run={"max_concurrency": 1})
    assert len(warned(dataset, make(fault_server.url, temperature=0.5, top_p=0.9))) == 2
    assert assert_balanced(dataset.report).written == 10
    assert len(fault_server.requests) == 12


@every_back_end
def test_a_parameter_that_was_not_the_reason_goes_on_being_sent(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    def respond(request: Recorded) -> Answer:
        if "topic 3." in request.raw.decode():
            return refusal("This prompt about the temperature of ice is not allowed.")
        return Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=[f"topic {number}." for number in range(10)], run={"max_concurrency": 1})
    assert warned(dataset, make(fault_server.url, temperature=0.5)) == []
    report = assert_balanced(dataset.report)
    assert (report.written, report.failures) == (9, {"bad_request": 1})
    about_3 = [request for request in fault_server.requests if "topic 3." in request.raw.decode()]
    assert sum(not carries(request, "temperature") for request in about_3) == 1
    assert all(carries(request, "temperature") for request in fault_server.requests if request not in about_3)


@pytest.mark.parametrize(
    ("make", "options", "field"),
    [
        (ANTHROPIC, {"reasoning_effort": "high"}, "thinking"),
        (GEMINI, {"reasoning_effort": "high"}, "thinkingConfig"),
        (GEMINI, {"frequency_penalty": 0.5}, "frequencyPenalty"),
        (CHAT, {"extra": {"logit_bias": {"5": 1}}}, "logit_bias"),
    ],
)
def test_options_are_known_by_their_names_on_the_wire(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd, options: dict[str, Any], field: str
) -> None:
    fault_server.respond = lambda request: refusal(f"{field}: unknown.") if carries(request, field) else Answer()
    dataset = raw(tmp_path, topics=5, run={"max_concurrency": 1})
    (message,) = warned(dataset, make(fault_server.url, **options))
    assert repr(next(iter(options.get("extra", options)))) in message
    assert assert_balanced(dataset.report).written == 5


@every_back_end
def test_a_parameter_in_the_field_of_a_refusal_that_comes_again_without_it_goes_on_being_sent(
    tmp_path: Path, fault_server: FaultServer, make: BackEnd
) -> None:
    def respond(request: Recorded) -> Answer:
        if "topic 3." in request.raw.decode():
            return Answer(status=400, body={"error": {"message": "No.", "code": "unknown", "param": "temperature"}})
        return Answer()

    fault_server.respond = respond
    dataset = raw(tmp_path, topics=[f"topic {number}." for number in range(10)], run={"max_concurrency": 1})
    assert warned(dataset, make(fault_server.url, temperature=0.5)) == []
    assert assert_balanced(dataset.report).written == 9
    sent = [carries(request, "temperature") for request in fault_server.requests if "topic 3." not in request.prompt]
    assert sent == [True] * 9


@pytest.mark.parametrize("name", ["logit_bias", "temperature"])
def test_what_litellm_itself_refuses_is_left_out_with_one_warning(
    tmp_path: Path, fault_server: FaultServer, name: str
) -> None:
    options = {"logit_bias": {"extra": {"logit_bias": {"5": 1}}}, "temperature": {"temperature": 0.5}}[name]
    model = {"logit_bias": "mistral/tiny", "temperature": "openai/gpt-5"}[name]
    provider = LiteLLMProvider(model, api_key="none", api_base=f"{fault_server.url}/v1", **options)
    dataset = raw(tmp_path, topics=5, run={"max_concurrency": 1})
    (message,) = warned(dataset, provider)
    assert f"refuses the parameter {name!r}" in message
    assert assert_balanced(dataset.report).written == len(fault_server.requests) == 5


def test_what_litellm_cannot_send_is_never_an_answer_of_the_server(tmp_path: Path, fault_server: FaultServer) -> None:
    dataset = raw(tmp_path, topics=20, run={"max_concurrency": 2})
    with pytest.raises(Exception, match="litellm itself failed, and sent nothing") as caught:
        dataset.generate([LiteLLMProvider("unheard-of/tiny", api_key="none", api_base=fault_server.url)])
    assert "HTTP" not in str(caught.value)
    assert fault_server.requests == []
    assert assert_balanced(dataset.report).pending == 20


@every_back_end
def test_outside_a_dataset_a_refused_parameter_is_left_out_too(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: (
        refusal("`temperature` is not supported by this model.")
        if carries(request, "temperature")
        else Answer(text="x")
    )
    provider = make(fault_server.url, temperature=0.5)
    with pytest.warns(DatafastWarning, match="refuses the parameter 'temperature'") as caught:
        assert provider.generate(["one", "two"]) == ["x", "x"]
    assert len(caught) == 1


@every_back_end
def test_outside_a_dataset_a_refusal_that_comes_again_is_raised(fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: refusal("No temperature.")
    with pytest.raises(ProviderError, match="No temperature"):
        make(fault_server.url, temperature=0.5).generate("one")
    assert [carries(request, "temperature") for request in fault_server.requests] == [True, False]


def test_a_parameter_that_litellm_itself_refuses_is_left_out(tmp_path: Path, fault_server: FaultServer) -> None:
    extra = {"presence_penalty": 1, "top_k": 5}
    provider = LiteLLMProvider(
        "anthropic/claude-3-haiku-20240307", "sk-canary-0123456789", api_base=fault_server.url, extra=extra
    )
    dataset = raw(tmp_path, topics=5, run={"max_concurrency": 1})
    (message,) = [said for said in warned(dataset, provider) if "refuses the parameter" in said]
    assert "presence_penalty" in message
    assert assert_balanced(dataset.report).written == 5
    assert all(carries(request, "top_k") for request in fault_server.requests)


@pytest.mark.parametrize("make", [CHAT, ANTHROPIC], ids=str)
def test_a_longer_word_names_no_parameter(tmp_path: Path, fault_server: FaultServer, make: BackEnd) -> None:
    fault_server.respond = lambda request: refusal("The temperatures of this account are not allowed.")
    dataset = raw(tmp_path, topics=1, run={"max_concurrency": 1})
    with pytest.raises(Exception, match="temperatures"):
        dataset.generate([make(fault_server.url, temperature=0.5)])
    assert all(carries(request, "temperature") for request in fault_server.requests)
