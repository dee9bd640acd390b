"""Serves a viewer on this machine alone: the loopback, a port that is free, a token that nobody can guess."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from datafast._util.browser import open_browser
from datafast.errors import ConfigError
from datafast.view.app import viewer_app
from datafast.view.viewer import Viewer

__all__ = ["ViewerServer"]

_LOOPBACK = "127.0.0.1"
_ENDS_S = 2  # for streams that are open


class ViewerServer:
    """A viewer and its server, in a thread of its own. Use it with `with`, or call `stop`.

    Args:
        port: of the address; 0 for one that is free.
        first: the page that the address opens.

    Attributes:
        address: to open in a browser, with the token.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(self, viewer: Viewer, *, port: int = 0, first: str = "/") -> None:
        self.viewer = viewer
        self._first = first
        self._token = secrets.token_urlsafe(32)
        self._app = viewer_app(viewer, token=self._token)
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self.address = self.address_of(first)
        # Nothing of a request is logged: its address may have the token in it.
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_ENDS_S,
        )
        self._server = uvicorn.Server(config)
        # Of a process that ends it is no concern.
        self._thread = threading.Thread(target=self._run, name="datafast-view", daemon=True)
        self._thread.start()

    def address_of(self, page: str) -> str:
        """The address of one of its pages, with the token."""
        return _with_token(self.port, page, self._token)

    def open_browser(self, page: str | None = None) -> bool:
        """Opens it in the browser of this machine, and says whether there is one.

        Args:
            page: that it opens; by default that of the address.
        """
        return open_browser(_with_token(self.port, page or self._first, self._app.once()))

    def wait(self) -> None:
        """Returns when it has stopped, or with KeyboardInterrupt."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # a wait without an end cannot be interrupted on Windows

    def stop(self) -> None:
        self.viewer.ending.set()
        self._server.should_exit = True
        self.viewer.close()
        self._thread.join(_ENDS_S + 5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        finally:
            self._socket.close()


def _with_token(port: int, page: str, token: str) -> str:
    return f"http://{_LOOPBACK}:{port}{page}{'&' if '?' in page else '?'}token={token}"


def _bound(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        found.bind((_LOOPBACK, port))
        # From here on a browser that is quicker than the server waits.
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigError(
            f"--port: {port} cannot be used: {error.strerror or error}. Leave it out to get one that is free."
        ) from error
    return found
