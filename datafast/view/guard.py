"""Who may speak to the viewer: one ASGI middleware around all of it.

    Host            a name of this machine alone, so that no other name can be made to lead here (DNS rebinding)
    Origin          of this very address, if there is one; with POST there has to be one
    Sec-Fetch-Site  where a browser says that another page asks, only a click on a link is answered
    token           in the first address; it becomes a cookie that scripts cannot read and other sites cannot send, and leaves the address
    POST            takes JSON alone, which forms of other pages cannot send
    headers         on every answer: no script, style, picture or connection but the viewer's own, no frame around it, no referrer, no cache

The static files, which are the same for everyone, need no token, so that the page that refuses can be read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from datafast.logger_config import logger

__all__ = ["POLICY", "Guard"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-DNS-Prefetch-Control": "off",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_TOKEN = "token"  # noqa: S105 - the name of the parameter
_STATIC = "/static/"
_UNKNOWN = (
    "This address is not known to the viewer, or belongs to one that has ended. Open the address that `datafast view` has printed "
    "in its terminal, whole and with its token."
)


class Guard:
    """Lets through what the module says.

    Args:
        app: behind it.
        token: that the first address has in it.
        refused: makes the page that says why, from a status and words.
    """

    def __init__(self, app: ASGIApp, *, token: str, refused: Callable[[int, str], Response]) -> None:
        self._app = app
        self._token = token
        self._refused = refused
        self._once: set[str] = set()
        self._lock = threading.Lock()
        # Cookies do not tell ports apart: each viewer of this machine has a name of its own.
        self._cookie = f"datafast-{hashlib.sha256(token.encode()).hexdigest()[:12]}"
        self._session = secrets.token_urlsafe(32)

    def once(self) -> str:
        """A token for one use: other users of a machine can read the command line of a browser that is started with it."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._once.add(token)
        return token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        has_begun = False

        async def guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                _secure(MutableHeaders(scope=message), scope["path"])
            await send(message)

        answer = self._answer(scope)
        try:
            await (self._app if answer is None else answer)(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and the other pages go on
            # As text, because what a log makes of an error may have the values in it, and with them cookies.
            told = "".join(traceback.format_exception(error))
            logger.error("The viewer could not make {}:\n{}", scope["path"], told)
            if not has_begun:
                failed = self._refused(500, "The terminal in which the viewer runs shows why. The other pages go on.")
                await failed(scope, receive, guarded)

    def _answer(self, scope: Scope) -> Response | None:
        """What is answered without the pages: a refusal, or a cookie for a token. None for what may pass."""
        headers = Headers(scope=scope)
        wrong = _problem(scope["method"], headers)
        if wrong is not None:
            return self._refuse(scope, *wrong)
        if scope["path"].startswith(_STATIC):
            return None
        if self._is_known(headers):
            return self._entered(scope) if _has_token(scope) else None
        given = dict(_query(scope)).get(_TOKEN, "")
        if scope["method"] in {"GET", "HEAD"} and self._is_token(given):
            return self._entered(scope)
        return self._refuse(scope, 403, _UNKNOWN)

    def _is_known(self, headers: Headers) -> bool:
        # One at a time, as browsers tell them apart: other servers of this machine set cookies too, of whatever form.
        found = cookie_parser("; ".join(headers.getlist("cookie"))).get(self._cookie)
        return found is not None and _same(found, self._session)

    def _is_token(self, given: str) -> bool:
        if _same(given, self._token):
            return True
        with self._lock:
            used = next((token for token in self._once if _same(given, token)), None)
            self._once.discard(used or "")
        return used is not None

    def _entered(self, scope: Scope) -> Response:
        """To the same address without the token."""
        # A path with two slashes at its beginning would lead to another server.
        there = "/" + quote(scope["path"].lstrip("/"))
        left = urlencode([(name, value) for name, value in _query(scope) if name != _TOKEN])
        answer = RedirectResponse(f"{there}?{left}" if left else there, status_code=303)
        answer.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return answer

    def _refuse(self, scope: Scope, status: int, told: str) -> Response:
        if scope["path"].startswith("/api/"):
            return JSONResponse({"error": {"type": "Refused", "message": told}}, status)
        return self._refused(status, told)


def _problem(method: str, headers: Headers) -> tuple[int, str] | None:
    """What is wrong with a request, whoever sends it."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return (
            403,
            "The viewer answers to localhost and 127.0.0.1 alone. Open the address that it has printed in its terminal.",
        )
    origins = headers.getlist("origin")
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return 403, "The viewer answers to its own pages alone. Open the address that it has printed in its terminal."
    from_elsewhere = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    if from_elsewhere and (method != "GET" or headers.get("sec-fetch-mode") != "navigate"):
        return 403, "The viewer answers to its own pages alone. Open the address that it has printed in its terminal."
    if method in {"GET", "HEAD"}:
        return None
    if method != "POST":
        return 405, "The viewer takes GET and POST."
    if not origins:
        return (
            403,
            "What changes something has to come from a page of the viewer. Open the address that it has printed.",
        )
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, "What changes something has to be sent as JSON (application/json)."
    return None


def _secure(headers: MutableHeaders, path: str) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    # The files of the package are asked for again, and not sent again where they are the same.
    headers.setdefault("Cache-Control", "no-cache" if path.startswith(_STATIC) else "no-store")


def _query(scope: Mapping[str, Any]) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _has_token(scope: Mapping[str, Any]) -> bool:
    return scope["method"] == "GET" and any(name == _TOKEN for name, _ in _query(scope))


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
