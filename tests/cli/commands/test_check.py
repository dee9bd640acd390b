"""`datafast check`: whether a run could begin, told by requests that cost nothing where there are any."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from datafast import logger_config
from datafast.cli.main import cli
from datafast.llms import OpenRouterProvider
from tests.servers.fault_server import Answer, FaultServer, Recorded

KEY = "sk-canary-0123456789-abcdefghij"


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, no key of a provider; afterwards all is as before."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)
    for sink_id in logger_config._sink_ids:
        logger_config.logger.remove(sink_id)
    logger_config._sink_ids.clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments])


def checked(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json").stdout)["providers"][0]


def config(*providers: dict[str, Any] | str) -> str:
    listed = "\n".join(f"  - {json.dumps(provider)}" for provider in providers)
    Path("c.yaml").write_text(
        f"kind: raw\noutput_file: rows.jsonl\ndocument_types: [manual]\ntopics: [pumps]\nproviders:\n{listed}\n",
        encoding="utf-8",
    )
    return "c.yaml"


def at(server: FaultServer, name: str = "openai", **options: Any) -> dict[str, Any]:
    os.environ["MY_KEY"] = KEY
    return {"provider": name, "model_id": "tiny", "api_base": server.url, "api_key_env": "MY_KEY"} | options


def listing(*models: dict[str, Any]) -> Callable[[Recorded], Answer]:
    return lambda request: Answer(body={"data": list(models)}) if request.target.endswith("/models") else Answer()


def test_a_key_and_a_model_are_seen_by_a_list_that_costs_nothing(fault_server: FaultServer) -> None:
    fault_server.respond = listing({"id": "other"}, {"id": "tiny", "max_model_len": 4096})
    result = run(config(at(fault_server)))
    assert result.exit_code == 0
    assert [request.target for request in fault_server.requests] == ["/v1/models"]
    assert fault_server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "the key in MY_KEY works; the model is listed" in result.stdout
    assert "4,096 tokens of context" in result.stdout
    assert "price unknown" in result.stdout
    assert KEY not in result.output


@pytest.mark.parametrize(
    ("name", "target", "told", "limits"),
    [
        ("anthropic", "/v1/models/tiny", {"id": "tiny", "max_input_tokens": 900, "max_tokens": 80}, (900, 80)),
        (
            "gemini",
            "/v1beta/models/tiny",
            {"name": "models/tiny", "inputTokenLimit": 900, "outputTokenLimit": 80},
            (900, 80),
        ),
        ("mistral", "/v1/models", {"data": [{"id": "x", "aliases": ["tiny"], "max_context_length": 900}]}, (900, None)),
        ("ollama", "/v1/models", {"data": [{"id": "tiny:latest"}]}, (None, None)),
        (
            "openrouter",
            "/v1/models",
            {
                "data": [
                    {
                        "id": "tiny",
                        "context_length": 900,
                        "top_provider": {"max_completion_tokens": 80},
                        "supported_parameters": ["structured_outputs"],
                    }
                ]
            },
            (900, 80),
        ),
    ],
)
def test_every_vendor_is_asked_for_what_it_tells_about_models(
    fault_server: FaultServer, name: str, target: str, told: dict[str, Any], limits: tuple[int | None, int | None]
) -> None:
    fault_server.respond = lambda request: Answer(body=told)
    check = checked(config(at(fault_server, name)))
    assert [request.target for request in fault_server.requests] == [target]
    assert fault_server.requests[0].raw == b""
    assert KEY in str(fault_server.requests[0].headers)
    assert (check["status"], check["model"], check["asked"]) == ("ok", "listed", "the list of models")
    assert (check["context_tokens"], check["reply_tokens"]) == limits


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
def test_a_list_of_models_is_not_asked_for_as_a_stream(fault_server: FaultServer, name: str) -> None:
    fault_server.respond = lambda request: Answer(body={"id": "tiny", "name": "models/tiny"})
    assert checked(config(at(fault_server, name, stream=True)))["model"] == "listed"
    (request,) = fault_server.requests
    assert (request.raw, request.headers["accept"], "alt=sse" in request.target) == (b"", "application/json", False)


@pytest.mark.parametrize("answer", [Answer(status=404, body=""), Answer(body={"data": []}), Answer(body="<html>")])
@pytest.mark.parametrize("name", ["openai_compatible", "anthropic"])
def test_where_nothing_is_told_one_short_reply_is_asked_for(
    fault_server: FaultServer, name: str, answer: Answer
) -> None:
    fault_server.respond = lambda request: answer if "/models" in request.target else Answer()
    check = checked(config(at(fault_server, name)))
    assert (check["status"], check["model"], check["asked"]) == ("ok", "answered", "a short reply")
    first, second = fault_server.requests
    assert first.raw == b""
    assert second.json.get("max_tokens") == 64
    assert check["structured_replies"] == "schema"


YES = '{"works": true}'


@pytest.mark.parametrize(
    ("by_mode", "way"),
    [
        ({"json_schema": Answer()}, "schema"),
        ({"json_schema": Answer(status=400, body=""), "json_object": Answer(text=YES)}, "json"),
        ({"json_schema": Answer(text="Yes."), "json_object": Answer(text="Yes."), None: Answer(text=YES)}, "words"),
        ({"json_schema": Answer(text="Yes."), "json_object": Answer(text="Yes."), None: Answer(text="Yes.")}, None),
        ({"json_schema": Answer(text="", finish_reason="length")}, None),
    ],
)
def test_where_no_list_tells_it_a_short_reply_tells_how_structure_is_asked_for(
    fault_server: FaultServer, by_mode: dict[str | None, Answer], way: str | None
) -> None:
    def respond(request: Recorded) -> Answer:
        if request.target.endswith("/models"):
            return Answer(body={"data": [{"id": "tiny"}]})
        return by_mode[request.json.get("response_format", {}).get("type")]

    fault_server.respond = respond
    check = checked(config(at(fault_server, "openai_compatible")))
    assert (check["status"], check["model"], check["structured_replies"]) == ("ok", "listed", way)
    assert check["asked"] == "the list of models, a short reply"
    assert len(fault_server.requests) == 1 + len(by_mode)


def test_a_model_that_is_listed_and_slow_to_load_is_no_error(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.llms.check.TIMEOUT_S", 1.5)
    fault_server.respond = lambda request: (
        Answer(body={"data": [{"id": "tiny"}]}) if request.target.endswith("/models") else Answer(delay_s=30.0)
    )
    check = checked(config(at(fault_server, "openai_compatible")))
    assert (check["status"], check["model"], check["structured_replies"]) == ("ok", "listed", None)


def test_a_deployment_on_azure_is_asked_for_a_short_reply(fault_server: FaultServer) -> None:
    assert checked(config(at(fault_server, "azure")))["model"] == "answered"
    assert [request.target for request in fault_server.requests] == ["/openai/v1/chat/completions"]


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (
            Answer(status=401, body={"error": {"message": f"Incorrect key {KEY}"}}),
            "error",
            "Check the value of MY_KEY.",
        ),
        (Answer(status=403, body=""), "error", "access was denied"),
        (Answer(status=429, body={"error": {"code": "insufficient_quota"}}), "error", "billing"),
        (Answer(status=404, body=""), "error", "model 'tiny' was not found"),
        (Answer(status=400, body={"error": {"message": "Odd."}}), "warning", "Odd."),
        (Answer(status=429, body=""), "warning", "rate limited"),
        (Answer(status=503, body=""), "warning", "HTTP 503"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    fault_server: FaultServer, answer: Answer, status: str, said: str
) -> None:
    fault_server.respond = lambda request: answer
    result = run(config(at(fault_server)), "--json")
    (check,) = json.loads(result.stdout)["providers"]
    assert (check["status"], result.exit_code) == (status, 2 if status == "error" else 0)
    assert said in check["message"]
    assert check["message"].startswith("openai/tiny: ")
    assert KEY not in result.output


def test_a_server_that_is_not_there_is_told(fault_server: FaultServer) -> None:
    result = run(config(at(fault_server, api_base="http://127.0.0.1:9")))
    assert result.exit_code == 2
    assert "nothing accepts connections at http://127.0.0.1:9" in result.stdout


def test_a_model_that_writes_no_texts_is_told(fault_server: FaultServer) -> None:
    fault_server.respond = listing({"id": "tiny", "capabilities": {"completion_chat": False}})
    assert checked(config(at(fault_server, "mistral")))["message"].endswith("writes no texts. Choose another.")


def test_the_key_of_openrouter_is_asked_after_since_everybody_is_told_its_models(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenRouterProvider, "default_base", f"{fault_server.url}/api/v1")
    os.environ["OPENROUTER_API_KEY"] = KEY
    fault_server.respond = lambda request: Answer(
        status=401 if request.target == "/api/v1/key" else 200, body={"data": [{"id": "tiny"}]}
    )
    check = checked(config("openrouter/tiny"))
    assert (check["status"], len(fault_server.requests)) == ("error", 1)
    assert "Check the value of OPENROUTER_API_KEY" in check["message"]


def test_openrouter_tells_how_structure_may_be_asked_for(fault_server: FaultServer) -> None:
    fault_server.respond = listing({"id": "tiny", "supported_parameters": ["response_format"]})
    assert checked(config(at(fault_server, "openrouter")))["structured_replies"] == "json"


def test_a_missing_key_is_told_for_each_provider_and_nothing_is_sent() -> None:
    result = run(config("openai/gpt-5-mini", "mistral/mistral-small-latest"), "--no-call")
    assert result.exit_code == 2
    assert "Set OPENAI_API_KEY" in result.stdout
    assert "Set MISTRAL_API_KEY" in result.stdout
    assert "2 providers checked. 2 of them cannot be used." in result.stdout


def test_without_a_call_what_is_known_is_told(fault_server: FaultServer) -> None:
    spec = {"provider": "openai", "model_id": "gpt-5-mini", "api_base": fault_server.url, "rpm_limit": 60}
    result = run(config(spec), "--no-call")
    assert result.exit_code == 0
    assert fault_server.requests == []
    for fact in ("no key given", "structured replies by schema", "60 requests a minute", "$0.25 in and $2 out"):
        assert fact in result.stdout


def test_models_of_this_machine_are_not_asked() -> None:
    result = run(config("simulated"))
    assert result.exit_code == 0
    assert "free" in result.stdout


def test_a_provider_that_stands_in_two_places_is_asked_once(fault_server: FaultServer) -> None:
    Path("c.yaml").write_text(
        "kind: preference\noutput_file: rows.jsonl\ninput_documents: [The pump runs dry.]\nproviders:\n"
        + "".join(f"  {role}: {json.dumps(at(fault_server))}\n" for role in ("question", "chosen", "rejected")),
        encoding="utf-8",
    )
    fault_server.respond = listing({"id": "tiny"})
    assert len(checked("c.yaml")["places"]) == 3
    assert len(fault_server.requests) == 1


def test_without_a_config_every_provider_with_a_key_is_checked(fault_server: FaultServer) -> None:
    Path("secrets.env").write_text(f"OPENAI_API_KEY={KEY}\nGEMINI_API_KEY={KEY}\n", encoding="utf-8")
    os.environ |= {"OPENAI_BASE_URL": fault_server.url, "GEMINI_BASE_URL": fault_server.url}
    result = run("--json")
    assert [check["key"] for check in json.loads(result.stdout)["providers"]] == ["GEMINI_API_KEY", "OPENAI_API_KEY"]
    assert KEY not in result.output


def test_without_a_config_and_without_a_key_nothing_can_be_checked() -> None:
    result = run()
    assert result.exit_code == 2
    assert "OPENAI_API_KEY=..." in result.stderr
    os.environ["AZURE_OPENAI_API_KEY"] = KEY
    assert "AZURE_OPENAI_API_KEY is set, and no model" in run().stderr


def test_a_wrong_config_is_refused_with_its_line() -> None:
    result = run(config("openai/gpt-5-mini", {"provider": "opnai"}))
    assert result.exit_code == 2
    assert "c.yaml:7" in result.stderr


def test_a_server_that_never_answers_is_given_up_soon(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datafast.llms.check.TIMEOUT_S", 0.2)
    fault_server.respond = lambda request: Answer(delay_s=30.0)
    check = checked(config(at(fault_server)))
    assert check["status"] == "error"
    assert "within 0.2 s" in check["message"]


def test_a_line_is_readable_at_80_columns(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    fault_server.respond = listing({"id": "tiny", "max_model_len": 4096})
    lines = run(config(at(fault_server))).stdout.splitlines()
    assert len(lines) > 2
    assert all(line.startswith(" " * 9) and len(line) <= 80 for line in lines[1:-1])
