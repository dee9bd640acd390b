"""Fixtures that many tests share. No test can reach a paid service: keys are taken out of the environment."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from datafast._util.plugins import installed
from datafast.logger_config import unconfigure
from tests.browser import Browsing, running_browser
from tests.servers.fault_server import FaultServer
from tests.servers.hub_server import HubServer
from tests.servers.llama import LlamaServer, running_llama_server
from tests.support import ForkServer, fork_server

# How long an example takes is the machine's business, and a folder that examples share is the tests'.
settings.register_profile(
    "datafast", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("datafast")
_ENVIRONMENT_OF_PROVIDERS = ("_API_KEY", "_API_BASE", "_BASE_URL", "_PROXY", "_proxy")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores, since many tests wait for a server, a clock or another process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + cores // 2


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Outputs without a file of their own lie in the system's temporary folder: those of another test run are not ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        patch.setenv("TMPDIR", str(tempfile.tempdir))
        yield


@pytest.fixture(autouse=True)
def no_provider_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes keys, addresses and proxies of the developer's machine out of the environment."""
    for name in list(os.environ):
        if name.endswith(_ENVIRONMENT_OF_PROVIDERS) or name in {"OLLAMA_HOST", "HF_TOKEN"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def silent_logger() -> Iterator[None]:
    """Where the log is on, warnings go there instead: each test begins and ends without it."""
    unconfigure()
    yield
    unconfigure()


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a package for the length of a test: `offer("poems", {"poems.py": CODE}, entry_points=INI)`."""

    roots: set[str] = set()

    def install(package: str, modules: dict[str, str], *, entry_points: str) -> None:
        site = tmp_path / f"site-{package}"
        metadata = site / f"{package}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        for name, code in modules.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
            root = Path(name).parts[0].removesuffix(".py")
            roots.add(root)
            for known in [known for known in sys.modules if known.partition(".")[0] == root]:
                monkeypatch.delitem(sys.modules, known)
        monkeypatch.syspath_prepend(str(site))
        installed.cache_clear()

    yield install
    installed.cache_clear()
    for module in [module for module in sys.modules if module.partition(".")[0] in roots]:
        del sys.modules[module]


@pytest.fixture(scope="session")
def browser(own_temporary_folder: None) -> Iterator[Any]:
    """The Chromium of this machine; tests take `open_page`."""
    with running_browser() as running:
        yield running


@pytest.fixture
def open_page(browser: Any) -> Iterator[Browsing]:
    """Opens pages in a real browser: see tests/browser.py."""
    browsing = Browsing(browser)
    yield browsing
    browsing.close()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Pages are closed before the servers that they ask: fixtures end in the order of their making, whatever that is."""
    browsing = getattr(item, "funcargs", {}).get("open_page")
    if isinstance(browsing, Browsing):
        browsing.leave()


@pytest.fixture
def fault_server() -> Iterator[FaultServer]:
    """A server on loopback that answers as it is told to."""
    with FaultServer() as server:
        yield server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on loopback, in the place of the real one for `huggingface_hub` and `datasets`."""
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_TOKEN", "hf_test_token")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
        # Xet is a storage service of its own, spoken to by a compiled client; this Hub offers plain LFS.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        if version("huggingface_hub").startswith(("0.", "1.")):
            # There addresses are made and read with the endpoint of import time, whatever was passed.
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
            home = "file_download" if version("huggingface_hub").startswith("0.") else "constants"
            template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(f"huggingface_hub.{home}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """The real llama.cpp server with a tiny model."""
    _need("gguf", "numpy", "tokenizers", "xllamacpp")
    with running_llama_server(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that llama.cpp can load, where llama.cpp is installed."""
    _need("gguf", "numpy", "tokenizers", "xllamacpp")
    from tests.servers.tiny_model import write_tiny_model

    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest.fixture(scope="session")
def tiny_transformers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model that transformers can load, where transformers is installed."""
    _need("llguidance", "numpy", "safetensors", "tokenizers", "torch", "transformers")
    import torch

    from tests.servers.tiny_model import write_tiny_transformers

    torch.set_num_threads(1)  # so small a model is no faster on several, and tests that run beside this one are slower
    folder = tmp_path_factory.mktemp("transformers") / "tiny-model"
    write_tiny_transformers(folder)
    return folder


def _need(*names: str) -> None:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the model cannot run here: {', '.join(missing)} not installed")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    try:
        subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the openssl command to make a certificate")
    return cert, key


@pytest.fixture(scope="module")
def children() -> Iterator[ForkServer]:
    """Runs functions in processes of their own, which may be killed."""
    with fork_server() as server:
        yield server
