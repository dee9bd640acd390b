"""Who may speak to the viewer: a name of this machine, its own pages, and whoever knows the token; with headers on every answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from datafast.logger_config import configure_logger
from datafast.view import app as viewer
from datafast.view.guard import POLICY
from datafast.view.posts import Post
from datafast.view.viewer import Page
from tests.view.client import Client, scripts_and_styles, viewing

REFUSED = [403, 405, 415]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes.jsonl").write_text('{"text": "ice"}\n{"text": "tides"}\n')
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "more.jsonl").write_text('{"text": "wind"}\n')
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with viewing(folder) as made:
        yield made


@pytest.fixture
def stranger(folder: Path) -> Iterator[Client]:
    with viewing(folder, is_inside=False) as made:
        yield made


def test_the_first_address_becomes_a_cookie_and_leaves(stranger: Client) -> None:
    answer = stranger.send("GET", f"/?token={stranger.token}&sort=name")
    assert (answer.status, answer.headers["location"]) == (303, "/?sort=name")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert stranger.token not in cookie + answer.text
    stranger.cookie = cookie.partition(";")[0]
    page = stranger.get("/")
    assert page.status == 200
    assert stranger.token not in page.text


def test_a_known_browser_also_loses_the_token_from_its_address(client: Client) -> None:
    answer = client.get(f"/o/{client.output('notes.jsonl')}/rows?token={client.token}")
    assert (answer.status, answer.headers["location"]) == (303, f"/o/{client.output('notes.jsonl')}/rows")


def test_the_way_from_the_token_never_leads_to_another_server(stranger: Client) -> None:
    for path in ("//elsewhere.example/", "/\\elsewhere.example/", "//elsewhere.example/%0d%0aSet-Cookie:x=y"):
        answer = stranger.send("GET", f"{path}?token={stranger.token}")
        assert answer.status in {303, 400}
        if answer.status == 303:
            location = answer.headers["location"]
            assert location.startswith("/")
            assert not location.startswith(("//", "/\\"))
            assert "x=y" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 10_000])
def test_a_wrong_token_is_refused(stranger: Client, token: str) -> None:
    answer = stranger.get(f"/?token={token.encode('unicode_escape').decode()}")
    assert answer.status == 403
    assert "notes.jsonl" not in answer.text
    assert "Open the address" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/o/notes.jsonl/rows", "/api/outputs", "/nowhere"])
def test_nothing_is_told_to_who_does_not_know_the_token(stranger: Client, path: str) -> None:
    for cookie in (None, "datafast=1", "datafast-000000000000=x", "\x80=;;,", stranger.token):
        stranger.cookie = cookie
        assert stranger.get(path).status == 403


@pytest.mark.parametrize("other", ['a={"b": [1, 2]}', "a b=c", "=", "_xsrf=2|9;path", "\x80=é"])
def test_cookies_of_other_servers_of_this_machine_shut_nobody_out(client: Client, other: str) -> None:
    own = client.cookie
    for cookie in (f"{other}; {own}", f"{own}; {other}"):
        client.cookie = cookie
        assert client.get("/").status == 200


def test_the_cookie_of_another_viewer_opens_nothing(folder: Path, client: Client) -> None:
    with viewing(folder, is_inside=False) as other:
        other.cookie = client.cookie
        assert other.get("/").status == 403


def test_a_token_for_one_use_works_once(stranger: Client) -> None:
    once = stranger.server._app.once()
    assert stranger.get(f"/?token={once}").status == 303
    assert stranger.get(f"/?token={once}").status == 403
    assert stranger.get(f"/?token={stranger.token}").status == 303


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "localhost.", "10.0.0.1", "", "[::2]"]
)
def test_another_host_is_refused_even_with_the_cookie(client: Client, host: str) -> None:
    for path in ("/", f"/?token={client.token}", "/static/base.css"):
        answer = client.get(path, Host=f"{host}:{client.server.port}" if host else "")
        assert answer.status in {400, 403}, path
        assert "notes.jsonl" not in answer.text


def test_two_hosts_are_refused(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.server.port), timeout=10) as raw:
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: {client.host}\r\nHost: elsewhere.example\r\nCookie: {client.cookie}\r\n\r\n".encode()
        )
        assert raw.recv(100).split()[1] in {b"400", b"403"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "[::1]", "127.0.0.1"])
def test_the_names_of_this_machine_are_answered_at_any_port(client: Client, host: str) -> None:
    assert client.get("/", Host=f"{host}:9000").status == 200
    assert client.get("/", Host=host).status == 200


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", "http://localhost"]
)
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    assert client.get("/", Origin=origin).status == 403
    assert client.get("/static/base.css", Origin=origin).status == 403
    assert client.post("/", {}, Origin=origin).status == 403


def test_its_own_origin_is_answered(client: Client) -> None:
    assert client.get("/", Origin=f"http://{client.host}").status == 200


def test_what_a_browser_says_of_another_site_is_heard(client: Client) -> None:
    for site in ("cross-site", "same-site"):
        for mode in ("no-cors", "cors", "websocket"):
            assert client.get("/static/shared.js", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode).status == 403
        assert client.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200


def changing(_: object) -> object:
    raise AssertionError("it must not come so far")


@pytest.fixture
def changeable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    page = Page(name="rows", title="Test", routes=[Post("/api/test/change", changing, permission="review")])
    monkeypatch.setattr(viewer, "PAGES", (*viewer.PAGES, page))
    with viewing(folder) as made:
        yield made


def test_nothing_is_changed_without_a_permission(changeable: Client) -> None:
    answer = changeable.post("/api/test/change", {})
    assert answer.status == 403
    assert "--review" in answer.json()["error"]["message"]


def test_what_changes_something_has_to_be_json_from_a_page_of_the_viewer(changeable: Client) -> None:
    path = "/api/test/change"
    assert changeable.post(path, {}, Origin="").status == 403
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert changeable.post(path, {}, Content_Type=kind).status == 415
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert changeable.send(method, path, headers={"Origin": f"http://{changeable.host}"}).status == 405


def test_a_page_cannot_take_what_changes_something_past_the_guard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(name="rows", title="Test", routes=[Route("/api/test", changing, methods=["POST"])])
    monkeypatch.setattr(viewer, "PAGES", (page,))
    with pytest.raises(TypeError, match="/api/test"), viewing(folder):
        pass


def failing(_: object) -> object:
    raise RuntimeError("a fault of the viewer")


def test_every_answer_has_the_headers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(name="rows", title="Test", routes=[Route("/fails", failing), Route("/api/fails", failing)])
    monkeypatch.setattr(viewer, "PAGES", (*viewer.PAGES, page))
    with viewing(folder, is_inside=False) as client:
        answers = [client.get("/"), client.enter(), client.get("/"), client.get("/", Host="elsewhere.example")]
        answers += [
            client.get(path)
            for path in ("/nowhere", "/static/base.css", "/static/none.js", "/o/none/rows", "/fails", "/api/fails")
        ]
        answers += [client.send("POST", "/"), client.send("HEAD", "/")]
        assert [one.status for one in answers] == [403, 303, 200, 403, 404, 200, 404, 404, 500, 500, 403, 200]
        for answer in answers:
            assert answer.headers["content-security-policy"] == POLICY
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["cache-control"] in {"no-store", "no-cache"}
            assert "server" not in answer.headers


def test_the_token_and_the_cookie_are_in_no_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = Page(name="rows", title="Test", routes=[Route("/fails", failing)])
    monkeypatch.setattr(viewer, "PAGES", (*viewer.PAGES, page))
    configure_logger("DEBUG")
    with viewing(folder, is_inside=False) as client:
        client.get(f"/fails?token={client.token}x")
        client.enter()
        client.get("/fails?secret=1")
    told = "".join(capfd.readouterr())
    assert "a fault of the viewer" in told
    assert client.token not in told
    assert client.cookie is not None
    assert client.cookie.partition("=")[2] not in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/..\\app.py",
        "/static/base.css/../../app.py",
        "/o/../rows",
        "/o/..%2f..%2fetc%2fpasswd/rows",
        "/o/notes.jsonl/rows",
        "/o/%00/rows",
        "/o/below%2fmore.jsonl/rows",
    ],
)
def test_no_path_in_an_address_leads_to_a_file(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert "import annotations" not in answer.text
    assert "root:" not in answer.text


def test_a_page_loads_only_files_of_the_package(client: Client) -> None:
    page = client.get(f"/o/{client.output('notes.jsonl')}/rows").text
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    loaded = scripts_and_styles(page)
    assert loaded
    assert [path for path in loaded if client.get(path).status != 200] == []


def test_a_missing_page_says_what_to_do(client: Client) -> None:
    assert "Go to the list of outputs" in client.get("/nowhere").text
    assert "Look for it in the list" in client.get("/o/gone/rows").text
    assert client.get("/api/nowhere").json()["error"]["message"].startswith("There is no such page")


def test_a_folder_is_refused_only_where_there_is_none(tmp_path: Path) -> None:
    from datafast.errors import ConfigError

    with pytest.raises(ConfigError, match="There is no file or folder"), viewing(tmp_path / "nowhere"):
        pass
