from __future__ import annotations

from collections.abc import Iterator

import pytest

from datafast.storage import patient, uploader
from tests.servers.s3_server import S3Proxy, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3."""
    with s3_server() as address:
        yield address


@pytest.fixture(autouse=True)
def _asks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is sent again as often as ever, and sooner."""
    monkeypatch.setattr(patient, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(uploader, "_FIRST_WAIT_S", 0.1)


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A bucket of its own, reached through a proxy that may make trouble."""
    with S3Proxy(s3) as proxy:
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        yield proxy
