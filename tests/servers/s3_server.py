"""A server that speaks S3 on loopback (moto's, with conditional writes), and a proxy in front of it that makes trouble.

The proxy counts requests from 1 and asks `plan` what becomes of each: a status instead of an answer, a dropped connection, an answer that
is lost after the request was carried out, a body that breaks off, no answer for a while, or a process that is killed.
"""

from __future__ import annotations

import http.client
import logging
import os
import signal
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

__all__ = ["Asked", "S3Proxy", "Trouble", "s3_environment", "s3_server"]

Trouble = Literal["500", "503", "403", "reset", "late", "truncate", "hang", "kill", "kill-after"] | None


@dataclass
class Asked:
    """A request: its number, its method, the object's name below the bucket."""

    number: int
    method: str
    key: str
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.key}"


@contextmanager
def s3_server() -> Iterator[str]:
    """Serves as long as the context lasts; gives the address."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@dataclass
class S3Proxy:
    """`with S3Proxy(server) as store:` serves a bucket of its own at `store.url`.

    Attributes:
        plan: what becomes of each request.
        is_conditional: whether conditions of writes are passed on.
        victim: the process that is killed.
        watch: called after each request that was carried out.
    """

    upstream: str
    plan: Callable[[Asked], Trouble] = lambda asked: None
    watch: Callable[[Asked], None] = lambda asked: None
    is_conditional: bool = True
    hang_s: float = 1.0
    victim: int = 0
    bucket: str = field(default_factory=lambda: f"b-{uuid.uuid4().hex[:12]}")
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    has_ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> S3Proxy:
        urllib.request.urlopen(urllib.request.Request(f"{self.upstream}/{self.bucket}", method="PUT")).close()
        proxy = self

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                self.proxy = proxy
                super().__init__(*args)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.has_ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        return s3_environment(self.url)


def s3_environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        "AWS_REGION": "us-east-1",
    }


class _Handler(BaseHTTPRequestHandler):
    proxy: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None: ...

    def _serve(self) -> None:
        proxy = self.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        key = self.path.partition("?")[0].removeprefix(f"/{proxy.bucket}").strip("/")
        with proxy.lock:
            asked = Asked(len(proxy.asked) + 1, self.command, key, dict(self.headers))
            proxy.asked.append(asked)
            trouble = proxy.plan(asked)
        if trouble == "kill":
            os.kill(proxy.victim, signal.SIGKILL)
        if trouble in {"kill", "reset"}:
            self.close_connection = True
            return
        if trouble == "hang":
            proxy.has_ended.wait(proxy.hang_s)
        if trouble in {"500", "503", "403"}:
            self._answer(int(trouble), b"<Error><Code>Trouble</Code></Error>", {})
            return
        status, data, headers = self._forwarded(body)
        proxy.watch(asked)
        if trouble == "kill-after":
            os.kill(proxy.victim, signal.SIGKILL)
        if trouble in {"late", "kill-after"}:
            self.close_connection = True
            return
        self._answer(status, data, headers, cut=trouble == "truncate")

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve

    def _forwarded(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        if not self.proxy.is_conditional:
            headers = {name: value for name, value in headers.items() if not name.lower().startswith("if-")}
        connection = http.client.HTTPConnection(self.proxy.upstream.removeprefix("http://"), timeout=30)
        try:
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.headers)
        finally:
            connection.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        left_out = {"connection", "transfer-encoding", "content-length", "date", "server"}
        for name, value in headers.items():
            if name.lower() not in left_out:
                self.send_header(name, value)
        size = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True
