"""Proxies that the environment names: used, told from the server when they are down, and refused where they cannot be used."""

from __future__ import annotations

import socket

import pytest

from datafast.errors import ConfigError, ErrorKind
from datafast.llms import OpenAICompatibleProvider
from tests.llms.asking import asked, refused, send
from tests.servers.fault_server import FaultServer


def direct() -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider("tiny", api_base="http://model.invalid")


def test_a_proxy_of_the_environment_is_used(fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", fault_server.url)
    send(direct(), asked())
    assert fault_server.requests[0].target == "http://model.invalid/v1/chat/completions"


@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY"])
def test_a_proxy_for_everything_is_used(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, fault_server.url)
    send(direct(), asked())
    assert fault_server.requests[0].target == "http://model.invalid/v1/chat/completions"


def test_a_proxy_that_is_down_is_named_and_not_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("http_proxy", f"http://me:secret@{proxy}")
        error = refused(direct())
    assert error.kind is ErrorKind.CONNECTION
    assert not error.maybe_paid
    assert f"the proxy http://{proxy}" in str(error)
    assert "no_proxy" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("proxy", ["socks4://127.0.0.1:1080", "ftp://127.0.0.1", "http://127.0.0.1:port"])
def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(ConfigError, match=r"all_proxy.*socks5://.*no_proxy"):
        direct().require_ready()
    monkeypatch.setenv("no_proxy", "model.invalid")
    direct().require_ready()
