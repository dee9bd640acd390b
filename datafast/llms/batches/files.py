"""Files of requests and results at a service that has them as OpenAI has: uploaded by a form, known by an id."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from datafast.llms.batches.api import object_of
from datafast.llms.batches.values import text

if TYPE_CHECKING:
    from datafast.llms.batches.api import BatchApi

__all__ = ["Files", "Root", "pieces_of"]

_PIECE = 256 * 1024
_LOOKS = 60
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 15.0
_NOT_YET = frozenset({"pending", "running", "uploading"})


class Root:
    """The address below which a service is; its query goes with each request."""

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address)

    @property
    def path(self) -> str:
        return self._parts.path

    def below(self, name: str) -> Root:
        """The root with a folder in front of its last one, the API's version: `/v1beta` becomes `/upload/v1beta`."""
        front, _, version = self.path.rstrip("/").rpartition("/")
        return Root(urlunsplit(self._parts._replace(path=f"{front}/{name}/{version}")))

    def url(self, *names: str, **query: str) -> str:
        """The address of what is named."""
        path = "/".join([self.path.rstrip("/"), *(quote(name, safe=":") for name in names)])
        fields = dict(parse_qsl(self._parts.query)) | query
        return urlunsplit(self._parts._replace(path=path, query=urlencode(fields)))


class Files:
    """The files of one service."""

    def __init__(self, api: BatchApi, root: Root) -> None:
        self._api = api
        self._root = root

    async def upload(self, lines: Path, *, tag: str) -> dict[str, Any]:
        """Uploads requests, and waits until the service has read them.

        Returns:
            The file as the service describes it.
        """
        form = _Form({"purpose": "batch"}, lines, filename=f"datafast-{tag}.jsonl")
        url = self._root.url("files")
        file = object_of((await self._api.send("POST", url, form.pieces(), form.size, headers=form.headers)).body)
        pause_s = _PAUSE_S
        for _ in range(_LOOKS):
            if text(file.get("status")).lower() not in _NOT_YET or not text(file.get("id")):
                break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            file = await self.get(text(file["id"]))
        return file

    def url(self, file_id: str) -> str:
        return self._root.url("files", file_id)

    async def get(self, file_id: str) -> dict[str, Any]:
        return await self._api.ask("GET", self.url(file_id))

    async def remove(self, file_id: str) -> None:
        """Deletes a file, if it is still there."""
        await self._api.remove(self.url(file_id))

    def content_url(self, file_id: str) -> str:
        return self._root.url("files", file_id, "content")


def pieces_of(path: Path, *, start: int = 0) -> Iterator[bytes]:
    """A file from a place on, in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        while piece := file.read(_PIECE):
            yield piece


class _Form:
    """A form with text fields and one file, as multipart/form-data (RFC 7578)."""

    def __init__(self, fields: Mapping[str, str], path: Path, *, filename: str) -> None:
        boundary = f"datafast-{secrets.token_hex(16)}"
        self.headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        self._path = path
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n')
        parts.append("Content-Type: application/jsonl\r\n\r\n")
        self._head = "".join(parts).encode()
        self._tail = f"\r\n--{boundary}--\r\n".encode()

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def pieces(self) -> Iterator[bytes]:
        yield self._head
        yield from pieces_of(self._path)
        yield self._tail
