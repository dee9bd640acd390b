"""Providers by name: in configs, from other packages, and in the JSON Schema of a config."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datafast import generator
from datafast.cli.main import cli
from datafast.errors import ConfigError
from datafast.llms import PROVIDERS, LLMProvider, provider_from_spec
from datafast.llms.options import OPTION_SCHEMAS
from datafast.llms.registry import provider_schema
from tests.servers.fault_server import Answer, FaultServer

Offer = Callable[..., None]

# A provider of another package, whole: its server takes {"text", "tone"} and answers {"said", "read", "written"}.
ACME = """
import orjson

from datafast.llms import LLMProvider
from datafast.llms.base import ReplyMode, Response
from datafast.llms.replies.completion import encode_completion
from datafast.llms.schema import ask
from datafast.types import Usage


class AcmeProvider(LLMProvider):
    provider_name = "acme"
    env_key_name = "ACME_API_KEY"
    default_model_id = "quill"
    default_base = "https://api.acme.example"
    own_params = {"tone": {"enum": ["dry", "warm"], "description": "How it writes."}}

    def __init__(self, model_id=None, *, tone="dry", **options):
        super().__init__(model_id, **options)
        self.tone = tone

    def open(self, *, max_connections):
        return AcmeBackend(self, max_connections)


class AcmeBackend:
    def __init__(self, provider, max_connections):
        from datafast.llms.transport.json_api import JsonApi

        self.provider = provider
        headers = {"X-Key": provider.api_key or ""}
        self.api = JsonApi(provider, f"{provider.api_base}/write", headers=headers, max_connections=max_connections)
        self.aclose = self.api.aclose

    async def complete(self, request):
        messages = ask(request.messages, request.schema, ReplyMode.PROMPT) if request.schema else request.messages
        text = "\\n".join(message["content"] for message in messages)
        response = await self.api.post(orjson.dumps({"text": text, "tone": self.provider.tone}))
        answer = orjson.loads(response.raw)
        usage = Usage(answer["read"], answer["written"])
        raw = encode_completion(answer["said"], model=self.provider.model_id, usage=usage)
        return Response(raw, response.latency_s)
"""
POINT = "[datafast.providers]\nacme = acme:AcmeProvider\n"


@pytest.fixture
def acme(offer: Offer) -> None:
    offer("acme", {"acme.py": ACME}, entry_points=POINT)


# --- names in a config


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ("openai/gpt-4.1", "openai/gpt-4.1"),
        ("openrouter/meta/llama-3:free", "openrouter/meta/llama-3:free"),
        ("anthropic", "anthropic/claude-haiku-4-5-20251001"),
        ("litellm/bedrock/some.model", "bedrock/some.model"),
        ({"provider": "ollama", "model_id": "gemma3:4b", "temperature": 0.2}, "ollama/gemma3:4b"),
    ],
)
def test_a_provider_is_made_from_its_name(spec: Any, label: str) -> None:
    assert provider_from_spec(spec).label == label


@pytest.mark.parametrize("alias", ["hf", "huggingface"])
def test_configs_and_generator_know_the_same_other_names(alias: str) -> None:
    assert provider_from_spec(f"{alias}/gpt2").label == generator(alias.upper(), model="gpt2").provider.label


def test_generator_knows_every_other_name_of_a_provider() -> None:
    assert generator("llamacpp/models/tiny.gguf").provider.provider_name == "llama_cpp"


@pytest.mark.parametrize(
    ("spec", "key", "hint"),
    [
        ("opnai/gpt-4.1", "provider", "Did you mean 'openai'?"),
        ("huggingfase/gpt2", "provider", "Did you mean 'huggingface'?"),
        ("groq/llama", "provider", "litellm/groq/<model>"),
        ({"model_id": "x"}, "provider", "openai"),
        ({"provider": "openai", "temprature": 1}, "temprature", "Did you mean 'temperature'?"),
        ({"provider": "openai", "temperature": 9}, "temperature", "0 to 2"),
        (5, "provider", "mapping"),
    ],
)
def test_a_wrong_spec_names_the_field_and_what_is_near(spec: Any, key: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        provider_from_spec(spec)
    assert caught.value.key == key
    assert hint in str(caught.value)


# --- the mapping of all providers


def test_every_provider_has_the_name_it_is_listed_under() -> None:
    assert {name: cls.provider_name for name, cls in PROVIDERS.items()} == {name: name for name in PROVIDERS}


def test_a_provider_that_does_not_exist_is_a_missing_key() -> None:
    assert "nobody" not in PROVIDERS
    assert PROVIDERS.get("nobody") is None
    with pytest.raises(KeyError):
        PROVIDERS["nobody"]


def test_a_provider_is_imported_when_it_is_taken_out_and_no_other_with_it() -> None:
    code = (
        "import sys\nfrom datafast.llms import PROVIDERS\n"
        "def held(): return sorted(name for name in sys.modules if name.startswith('datafast.llms.providers.'))\n"
        "assert len(PROVIDERS) > 5 and 'gemini' in PROVIDERS\n"
        "before = held()\nPROVIDERS['openai']\nprint(before, held())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "[] ['datafast.llms.providers.chat_completions', 'datafast.llms.providers.direct']"


# --- a provider of another package


@pytest.mark.usefixtures("acme")
def test_a_config_runs_with_the_provider_of_another_package(
    fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"said": json.dumps({"texts": ["Ice is old."]}), "read": 12, "written": 5}
    fault_server.respond = lambda request: Answer(body=json.dumps(said))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACME_API_KEY", "key-of-acme")
    Path("notes.yaml").write_text(
        "kind: raw\noutput_file: notes.jsonl\ndocument_types: [note]\ntopics: [ice, tides]\nnum_samples_per_prompt: 1\n"
        f"providers:\n  - {{provider: acme, tone: warm, api_base: '{fault_server.url}'}}\n",
        encoding="utf-8",
    )
    ended = CliRunner().invoke(cli, ["generate", "notes.yaml", "--json"])
    assert ended.exit_code == 0, ended.output
    rows = [json.loads(line) for line in Path("notes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["model_id"]) for row in rows] == [("Ice is old.", "quill")] * 2
    report = json.loads(ended.stdout)
    assert (report["requested"], report["written"], report["input_tokens"]) == (2, 2, 24)
    first = fault_server.requests[0]
    assert (first.target, first.headers["x-key"], first.json["tone"]) == ("/write", "key-of-acme", "warm")


@pytest.mark.usefixtures("acme")
def test_errors_of_such_a_provider_are_told_like_any_other(fault_server: FaultServer) -> None:
    fault_server.respond = lambda request: Answer(status=401, body='{"error": "no"}')
    provider = provider_from_spec({"provider": "acme", "api_base": fault_server.url, "api_key": "k-of-acme"})
    with pytest.raises(Exception, match="acme/quill: ") as caught:
        provider.generate("Hello")
    assert "k-of-acme" not in str(caught.value)


@pytest.mark.usefixtures("acme")
def test_the_short_form_takes_the_provider_of_another_package_and_a_slip_finds_it() -> None:
    assert provider_from_spec("acme/nib").label == "acme/nib"
    with pytest.raises(ConfigError, match="Did you mean 'acme'"):
        provider_from_spec("acmee/nib")
    with pytest.raises(ConfigError, match="Did you mean 'tone'"):
        provider_from_spec({"provider": "acme", "tonne": "dry"})


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ("acme = acme:Missing", "cannot be loaded from acme:Missing"),
        ("acme = acme:AcmeBackend", "is not a provider named 'acme': a class derived from datafast.llms.LLMProvider"),
        ("quill = acme:AcmeProvider", "is not a provider named 'quill'"),
    ],
)
def test_what_a_package_offers_wrongly_is_refused_with_the_package_named(
    offer: Offer, point: str, message: str
) -> None:
    offer("acme", {"acme.py": ACME}, entry_points=f"[datafast.providers]\n{point}\n")
    with pytest.raises(ConfigError, match="of the package acme") as caught:
        provider_from_spec(point.partition(" ")[0])
    assert message in str(caught.value)
    assert provider_from_spec("openai").label.startswith("openai/")


ANGRY = """
from datafast.llms import OpenAICompatibleProvider

class AngryProvider(OpenAICompatibleProvider):
    provider_name = "angry"

    def __init__(self, *parameters, **options):
        raise RuntimeError("not today")
"""


def test_a_constructor_of_another_package_that_raises_is_named(offer: Offer) -> None:
    offer("angry", {"angry.py": ANGRY}, entry_points="[datafast.providers]\nangry = angry:AngryProvider\n")
    with pytest.raises(ConfigError, match=r"'angry' cannot be made by angry\.AngryProvider: RuntimeError: not today\."):
        provider_from_spec("angry/calm")


# --- the JSON Schema of a provider


def test_the_schema_has_every_parameter_but_the_key() -> None:
    described = set(provider_schema()["oneOf"][1]["properties"])
    own = {name for provider in PROVIDERS.values() for name in provider.own_params}
    assert (set(OPTION_SCHEMAS) | own) - {"api_key"} <= described
    assert "api_key" not in described


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_parameter_of_a_class_is_one_that_its_schema_describes(provider: str) -> None:
    import inspect

    made = PROVIDERS[provider]
    taken = [
        name
        for name, parameter in inspect.signature(made.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    assert sorted(taken) == sorted(made.own_params)


def test_a_parameter_of_two_providers_says_what_it_is_for_each() -> None:
    revision = provider_schema()["oneOf"][1]["properties"]["revision"]
    assert [entry["description"].partition(":")[0] for entry in revision["anyOf"]] == ["llama_cpp", "transformers"]


@pytest.mark.usefixtures("acme")
def test_the_schema_has_the_provider_of_another_package_and_its_own_parameters() -> None:
    import jsonschema

    schema = provider_schema()
    for good in ("acme", "acme/nib", {"provider": "acme", "tone": "warm"}, "openai/gpt-4.1"):
        jsonschema.validate(good, schema)
    for bad in ("acmee", {"provider": "acme", "tone": "loud"}, {"provider": "acmee"}, {"tone": "warm"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_a_class_without_own_parameters_names_what_it_does_not_know() -> None:
    class Plain(LLMProvider):
        provider_name = "plain"

    with pytest.raises(ConfigError, match="tone: A provider has no such parameter"):
        Plain("any", tone="dry")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("google/gemini-2.0-flash", "gemini"),
        ("gemini-2.0-flash", "gemini/gemini-2.0-flash"),
        ("mistral-small", "mistral/mistral-small"),
        ("openia/gpt-5", "openai"),
    ],
)
def test_a_model_in_the_place_of_a_provider_is_told_from_a_misspelt_one(given: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        provider_from_spec(given)


def test_a_provider_that_only_litellm_knows_is_named_as_such() -> None:
    with pytest.raises(ConfigError, match=r"There is no provider 'groq'\. Known: .* is litellm/groq/<model>"):
        provider_from_spec("groq/llama")
