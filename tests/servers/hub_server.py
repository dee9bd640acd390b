"""A small Hugging Face Hub on loopback, for the real `huggingface_hub` and `datasets` clients.

Datasets with branches and pull requests, and models to be read; everything in memory. It checks what the clients rely on: tokens,
visibility, the parent of a commit, the size and hash of large files, which are taken in parts if they are over `part_size`. Faults can be
injected per request. Large files are served from another host name than the API, as on the real Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["Fault", "HubServer", "Repo"]


@dataclass
class Repo:
    """A repository: `commits` maps each revision, oldest first, to its files; `branches` and pull requests (`refs/pr/1`) to revisions;
    `written` says when a file was last changed."""

    private: bool
    commits: dict[str, dict[str, bytes]]
    messages: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return self.branches["main"]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes], message: str, branch: str = "main") -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        self.written |= {path: now for path, data in files.items() if before.get(path) != data}
        seed = f"{len(self.commits)} {message} {sorted(files)}".encode()
        revision = hashlib.sha1(seed).hexdigest()
        self.commits[revision] = files
        self.messages.append(message)
        self.branches[branch] = revision
        return revision


@dataclass
class Fault:
    """Answers `times` requests whose "METHOD path" matches `pattern` with `status` (0: the connection is dropped).

    `late` does what was asked first, and then fails. `skip` so many of them go well before. A `delay_s` alone makes a good answer slow.
    `then` is called before the failure.
    """

    pattern: str
    status: int | None
    times: int = 1
    late: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    skip: int = 0
    delay_s: float = 0.0
    then: Callable[[], None] | None = None


class HubServer:
    """`with HubServer() as hub:` serves at `hub.url`; tokens -> the names they may write to."""

    def __init__(self, tokens: dict[str, set[str]] | None = None) -> None:
        self.tokens = tokens if tokens is not None else {"hf_test_token": {"someone"}}
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.role = "write"
        self.part_size: int | None = None
        self.parts: dict[str, dict[int, bytes]] = {}
        self.lock = threading.RLock()
        hub = self

        class Handler(_Handler):
            def __init__(self, *args: Any) -> None:
                self.hub = hub
                super().__init__(*args)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HubServer:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add_repo(self, name: str, *, private: bool, files: dict[str, bytes] | None = None) -> Repo:
        repo = Repo(private, {})
        repo.commit({".gitattributes": b"*.parquet filter=lfs\n"} | (files or {}), "initial commit")
        self.repos[name] = repo
        return repo

    def count(self, pattern: str) -> int:
        return sum(1 for request in self.requests if re.search(pattern, request))


def _front(text: str) -> Any:
    """The front matter of a card; None where it cannot be read."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_large(path: str) -> bool:
    return path.endswith((".parquet", ".arrow", ".gguf"))


_ROUTES: list[tuple[str, str]] = [
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (r"GET /api/whoami-v2", "whoami"),
    (r"GET /api/datasets/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<rev>.+))?", "info"),
    (r"GET /api/datasets/(?P<name>[^/]+/[^/]+)/tree/(?P<rev>refs/pr/\d+|[^/]+)(?:/(?P<path>.*))?", "tree"),
    (r"GET /api/models/(?P<name>[^/]+/[^/]+)(?:/revision/(?P<rev>.+))?", "info"),
    (r"GET /api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<rev>refs/pr/\d+|[^/]+)(?:/(?P<path>.*))?", "tree"),
    (r"(?:HEAD|GET) /(?P<name>[^/]+/[^/]+)/resolve/(?P<rev>refs/pr/\d+|[^/]+)/(?P<path>.*)", "resolve"),
    (r"POST /api/datasets/(?P<name>[^/]+/[^/]+)/paths-info/(?P<rev>.+)", "paths"),
    (r"POST /api/datasets/(?P<name>[^/]+/[^/]+)/preupload/(?P<rev>.+)", "preupload"),
    (r"POST /api/datasets/(?P<name>[^/]+/[^/]+)/commit/(?P<rev>.+)", "commit"),
    (r"POST /datasets/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    (r"POST /api/datasets/(?P<name>[^/]+/[^/]+)/branch/(?P<branch>.+)", "branch"),
    (r"GET /api/datasets/(?P<name>[^/]+/[^/]+)/discussions", "discussions"),
    (r"PUT /blobs/(?P<oid>\w+)", "put"),
    (r"PUT /blobs/(?P<oid>\w+)/(?P<number>\d+)", "part"),
    (r"POST /complete/(?P<oid>\w+)", "complete"),
    (r"POST /verify/(?P<oid>\w+)", "verify"),
    (r"(?:HEAD|GET) /datasets/(?P<name>[^/]+/[^/]+)/resolve/(?P<rev>refs/pr/\d+|[^/]+)/(?P<path>.*)", "resolve"),
    (r"(?:HEAD|GET) /cdn/(?P<oid>\w+)", "cdn"),
]


# The client asks for it once a day, on a thread of its own and so at any moment: no part of what it is told to do.
_OF_A_THREAD = "GET /api/agent-harnesses"


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: 40 ms apart otherwise

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        self.body = self._read()
        request = f"{self.command} {unquote(urlsplit(self.path).path)}"
        if request == _OF_A_THREAD:
            self._muted = False
            self._json(404, {"error": "not here"})
            return
        with self.hub.lock:
            self.hub.requests.append(request)
            fault = self._fault(request)
            if fault and fault.status is not None:
                self._muted = True
                if fault.late:
                    self._route(request)
                self._muted = False
                self._fail(fault)
                return
            self._muted = False
            if fault:
                time.sleep(fault.delay_s)
            self._route(request)

    def _fault(self, request: str) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, request):
                if fault.skip:
                    fault.skip -= 1
                else:
                    fault.times -= 1
                    return fault
        return None

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _fail(self, fault: Fault) -> None:
        if fault.then:
            fault.then()
        if fault.status:
            self._json(fault.status, {"error": f"injected {fault.status}"}, fault.headers)
        else:
            self.close_connection = True

    def _route(self, request: str) -> None:
        for pattern, name in _ROUTES:
            if match := re.fullmatch(pattern, request):
                getattr(self, f"_{name}")(**{key: value for key, value in match.groupdict().items() if value})
                return
        self._json(404, {"error": f"no route for {request}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self._muted:
            return
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _writable(self) -> set[str] | None:
        """The names that the request's token may write to; None: the token is unknown."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.hub.tokens.get(token)

    def _may_write(self, name: str) -> bool:
        writable = self._writable()
        if writable is None:
            self._json(401, {"error": "Invalid credentials in Authorization header"})
            return False
        if name.partition("/")[0] not in writable:
            self._json(403, {"error": "You don't have the rights to write there"})
            return False
        return True

    def _found(self, name: str, rev: str = "main") -> tuple[Repo, str, dict[str, bytes]] | None:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self._writable() is None):
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        revision = repo.branches.get(rev, rev)
        if revision not in repo.commits:
            self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo, revision, repo.commits[revision]

    def _create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or next(iter(self._writable() or {"nobody"}))
        name = f"{owner}/{asked['name']}"
        if not self._may_write(name):
            return
        url = f"{self.hub.url}/datasets/{name}"
        if name in self.hub.repos:
            self._json(409, {"error": "You already created this dataset repo", "url": url})
            return
        self.hub.add_repo(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
        self._json(200, {"url": url, "name": name})

    def _whoami(self) -> None:
        writable = self._writable()
        if writable is None:
            self._json(401, {"error": "Invalid credentials in Authorization header"})
            return
        name, *others = sorted(writable)
        orgs = [{"name": other, "roleInOrg": "write"} for other in others]
        access = {"type": "access_token", "accessToken": {"displayName": "t", "role": self.hub.role}}
        self._json(200, {"type": "user", "name": name, "orgs": orgs, "auth": access})

    def _validate(self) -> None:
        import yaml

        front = json.loads(self.body)["content"].split("---\n")[1]
        try:
            yaml.safe_load(front)
        except yaml.YAMLError as error:
            self._json(400, {"errors": [{"message": str(error)}], "warnings": []})
        else:
            self._json(200, {"errors": [], "warnings": []})

    def _info(self, name: str, rev: str = "main") -> None:
        if found := self._found(name, rev):
            repo, revision, files = found
            siblings = [{"rfilename": path} for path in files]
            info = {"id": name, "sha": revision, "private": repo.private, "tags": [], "downloads": 0, "likes": 0}
            if readme := files.get("README.md", b"").decode("utf-8", "replace").split("---\n")[1:2]:
                info["cardData"] = _front(readme[0])
            self._json(
                200,
                {**info, "author": name.partition("/")[0], "disabled": False, "xetEnabled": True, "siblings": siblings},
            )

    def _entry(self, path: str, data: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _git_oid(data)}
        if _is_large(path):
            entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
        return entry

    def _tree(self, name: str, rev: str, path: str = "") -> None:
        if not (found := self._found(name, rev)):
            return
        folder = f"{path}/" if path else ""
        inside = {key: data for key, data in found[2].items() if key.startswith(folder)}
        if folder and not inside:
            self._json(404, {"error": f"{path} does not exist"}, {"X-Error-Code": "EntryNotFound"})
            return
        entries = []
        if "recursive=true" in self.path.lower():
            entries = [self._entry(key, data) for key, data in inside.items()]
        else:
            entries = [self._entry(key, data) for key, data in inside.items() if "/" not in key[len(folder) :]]
            folders = {folder + key[len(folder) :].partition("/")[0] for key in inside if "/" in key[len(folder) :]}
            entries += [{"type": "directory", "path": key, "oid": "0" * 40, "size": 0} for key in sorted(folders)]
        self._json(200, entries)

    def _paths(self, name: str, rev: str) -> None:
        if found := self._found(name, rev):
            is_form = "urlencoded" in self.headers.get("Content-Type", "")
            form = parse_qs(self.body.decode()) if is_form else json.loads(self.body)
            entries = [self._entry(path, found[2][path]) for path in form["paths"] if path in found[2]]
            if str(form.get("expand", "")).strip("[']").lower() == "true":
                for entry in entries:
                    entry["lastCommit"] = {"id": found[1], "title": "a commit", "date": found[0].written[entry["path"]]}
            self._json(200, entries)

    def _preupload(self, name: str, rev: str) -> None:
        if not self._may_write(name) or not (found := self._found(name, rev)):
            return
        answers = []
        for file in json.loads(self.body)["files"]:
            large, data = _is_large(file["path"]), found[2].get(file["path"])
            ignored = any(fnmatch(file["path"], rule) for rule in found[2].get(".gitignore", b"").decode().split())
            answer = {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": ignored}
            if data is not None:
                answer["oid"] = _sha256(data) if large else _git_oid(data)
            answers.append(answer)
        self._json(200, {"files": answers})

    def _batch(self, name: str) -> None:
        if not self._may_write(name):
            return
        objects = []
        for asked in json.loads(self.body)["objects"]:
            oid = asked["oid"]
            answer = {"oid": oid, "size": asked["size"]}
            if oid not in self.hub.blobs:
                upload: dict[str, Any] = {"href": f"{self.hub.url}/blobs/{oid}"}
                size, part = asked["size"], self.hub.part_size
                if part and size > part:
                    parts = {str(n + 1): f"{self.hub.url}/blobs/{oid}/{n + 1}" for n in range(-(-size // part))}
                    upload = {"href": f"{self.hub.url}/complete/{oid}", "header": {"chunk_size": str(part), **parts}}
                verify = {"href": f"{self.hub.url}/verify/{oid}"}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        self._json(200, {"transfer": "basic", "objects": objects})

    def _put(self, oid: str) -> None:
        if _sha256(self.body) != oid:
            self._json(400, {"error": "the content does not match its hash"})
            return
        self.hub.blobs[oid] = self.body
        self._json(200, {})

    def _part(self, oid: str, number: str) -> None:
        self.hub.parts.setdefault(oid, {})[int(number)] = self.body
        self._send(200, b"", {"ETag": f'"{_sha256(self.body)}"'})

    def _complete(self, oid: str) -> None:
        parts = self.hub.parts.get(oid, {})
        asked = [(part["partNumber"], part["etag"].strip('"')) for part in json.loads(self.body)["parts"]]
        self.body = b"".join(parts[number] for number, _ in asked)
        if asked != [(number, _sha256(part)) for number, part in sorted(parts.items())]:
            self._json(400, {"error": "these are not the parts"})
        else:
            self._put(oid)

    def _verify(self, oid: str) -> None:
        is_there = len(self.hub.blobs.get(oid, b"")) == json.loads(self.body)["size"]
        self._json(200 if is_there else 404, {})

    def _commit(self, name: str, rev: str) -> None:
        if not self._may_write(name) or not (found := self._found(name, rev)):
            return
        repo, revision, present = found
        operations = [json.loads(line) for line in self.body.splitlines() if line]
        header = operations[0]["value"]
        is_pull = "create_pr=1" in self.path
        if not is_pull and rev not in repo.branches:
            self._json(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return
        if not is_pull and header.get("parentCommit", revision) != revision:
            self._json(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        files = dict(present)
        for operation in operations[1:]:
            value = operation["value"]
            match operation["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.blobs[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        home = f"{self.hub.url}/datasets/{name}"
        answer = {"success": True, "hookOutput": ""}
        if is_pull:
            number = len(repo.pulls) + 1
            author = sorted(self._writable() or {""})[0]
            repo.pulls.append({"num": number, "title": header["summary"], "author": author, "status": "open"})
            rev = f"refs/pr/{number}"
            answer["pullRequestUrl"] = f"{home}/discussions/{number}"
        oid = repo.commit(files, header["summary"], rev)
        self._json(200, {**answer, "commitOid": oid, "commitUrl": f"{home}/commit/{oid}"})

    def _branch(self, name: str, branch: str) -> None:
        if not self._may_write(name) or not (found := self._found(name)):
            return
        repo, revision, _ = found
        if branch in repo.branches:
            self._json(409, {"error": "Reference already exists"})
            return
        repo.branches[branch] = json.loads(self.body or b"{}").get("startingPoint", revision)
        self._json(200, {})

    def _discussions(self, name: str) -> None:
        if found := self._found(name):
            told = {
                "isPullRequest": True,
                "createdAt": "2026-01-01T00:00:00.000Z",
                "repo": {"name": name, "type": "dataset"},
            }
            pulls = [{**pull, **told, "author": {"name": pull["author"]}} for pull in found[0].pulls]
            self._json(200, {"count": len(pulls), "start": 0, "discussions": pulls})

    def _resolve(self, name: str, rev: str, path: str) -> None:
        if not (found := self._found(name, rev)):
            return
        _, revision, files = found
        headers = {"X-Repo-Commit": revision}
        if path not in files:
            self._json(404, {"error": "Entry not found"}, {**headers, "X-Error-Code": "EntryNotFound"})
            return
        data = files[path]
        if not _is_large(path):
            self._send(200, data, {**headers, "ETag": f'"{_git_oid(data)}"'})
            return
        oid = _sha256(data)
        self.hub.blobs[oid] = data
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
        # Another host name: the clients take a redirect on the same one for a renamed repository.
        self._send(302, b"", {**headers, **linked, "Location": f"http://localhost:{self.hub.port}/cdn/{oid}"})

    def _cdn(self, oid: str) -> None:
        data = self.hub.blobs[oid]
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not span:
            self._send(200, data, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})
            return
        start, end = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
        part = data[start : end + 1]
        self._send(206, part, {"ETag": f'"{oid}"', "Content-Range": f"bytes {start}-{end}/{len(data)}"})
