from __future__ import annotations

from collections.abc import Iterator

import pytest

from datafast.storage import patient, uploader, uploads
from tests.running import until
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


class Rounds:
    """The uploads beside the runs of this process, for replies that are held until there was another one."""

    def __init__(self) -> None:
        self.done = 0

    async def another(self) -> None:
        """Waits until one is over that had not begun."""
        known = self.done
        await until(lambda: self.done >= known + 2)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    counted, upload = Rounds(), uploads.Uploads.upload

    def count(self: uploads.Uploads, *, ended: bool) -> bool:
        try:
            return upload(self, ended=ended)
        finally:
            counted.done += 1

    monkeypatch.setattr(uploads.Uploads, "upload", count)
    return counted


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Proxy]:
    """A bucket of its own, reached through a proxy that may make trouble."""
    with S3Proxy(s3) as proxy:
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        yield proxy
