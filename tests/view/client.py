"""A viewer on a real server, and requests to it as a browser would send them, or as none would."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datafast.view.outputs import Outputs
from datafast.view.posts import Permission
from datafast.view.serving import ViewerServer
from datafast.view.viewer import Viewer

__all__ = ["Answer", "Client", "viewing"]


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to a viewer; with its cookie once `enter` was called."""

    def __init__(self, server: ViewerServer) -> None:
        self.server = server
        self.host = f"127.0.0.1:{server.port}"
        self.token = server.address.rpartition("token=")[2]
        self.cookie: str | None = None

    def enter(self) -> Answer:
        """Opens the first address."""
        answer = self.send("GET", f"/?token={self.token}")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """A GET. Words in the names of headers are parted by `_`."""
        return self.send("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, value: object, **headers: str) -> Answer:
        """JSON by POST, as a page of the viewer sends it."""
        sent = {"Content-Type": "application/json", "Origin": f"http://{self.host}"}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        return self.send("POST", path, headers=sent, body=json.dumps(value).encode())

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Any request. A header whose value is '' is left out."""
        sent = {"Host": self.host, **({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())

    def address(self, path: str = "/") -> str:
        """Of a page, as a browser opens it first."""
        return f"http://{self.host}{path}{'&' if '?' in path else '?'}token={self.token}"

    def output(self, name: str) -> str:
        """The id of an output, by its name in the list."""
        found = {output.name: output.id for output in self.server.viewer.outputs.all()}
        return found[name]


@contextlib.contextmanager
def viewing(place: Path, *permits: Permission, is_inside: bool = True) -> Iterator[Client]:
    """A viewer of a file or a folder; with its cookie, unless it is not `is_inside`."""
    with ViewerServer(Viewer(Outputs(place), permits=permits)) as server:
        client = Client(server)
        if is_inside:
            client.enter()
        yield client


def scripts_and_styles(page: str) -> list[str]:
    """What a page loads."""
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
