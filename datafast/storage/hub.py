"""Objects as files of a dataset repository on the Hugging Face Hub.

New objects go up at once (large ones) or wait; all of them become visible with the next write of the manifest or the lock, in one commit.
A commit names its parent, so it is made only if nothing else was committed meanwhile: that is what conditions of writes stand on. The Hub
counts commits, so there is one a minute at most, and a lock is held for a quarter of an hour without being renewed.

The repository is made, private, where there is none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast.errors import MissingKeyError
from datafast.export.hub_access import endpoint, find_token
from datafast.export.hub_client import Hub, HubFailed, asked, without_xet
from datafast.storage.objects import Conflict, Missing, ObjectInfo, Refused, StoreError

if TYPE_CHECKING:
    from datafast._util.remote import RemoteUrl

__all__ = ["HubObjects"]

_REFUSED = frozenset([401, 403])
_TRIES = 10
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_SMALL = 1 << 16


class HubObjects:
    """The objects of one output in a dataset repository.
    Whatever writes raises MissingKeyError where there is no token.
    """

    lease_s = 900.0
    least_upload_s = 60.0

    def __init__(self, url: RemoteUrl) -> None:
        self._url = url
        self._missing: MissingKeyError | None = None
        try:
            token = find_token(None)
        except MissingKeyError as error:  # public outputs are read without one
            token, self._missing = "", error
        self._hub = Hub(endpoint(), token)
        self._waiting: dict[str, Any] = {}
        self._is_made = False

    def get(self, name: str) -> tuple[bytes, str]:
        head = self._head()
        version = self._version(name, head)
        if version is None:
            raise Missing(f"{self._url} has no object {name}.")
        with tempfile.TemporaryDirectory(prefix="datafast-hub-") as folder:
            path = self._ask(
                self._hub.api.hf_hub_download,
                self._url.container,
                self._path(name),
                repo_type="dataset",
                revision=head,
                local_dir=folder,
            )
            return Path(path).read_bytes(), version

    def put(self, name: str, data: bytes) -> None:
        from huggingface_hub import CommitOperationAdd

        adds = CommitOperationAdd(path_in_repo=self._path(name), path_or_fileobj=data)
        if len(data) > _SMALL:
            self._make()
            self._ask(self._hub.api.preupload_lfs_files, self._url.container, [adds], repo_type="dataset")
        self._waiting[name] = adds

    def create(self, name: str, data: bytes) -> str:
        return self._commit(name, data, lambda version: version is None)

    def replace(self, name: str, data: bytes, version: str) -> str:
        return self._commit(name, data, lambda found: found == version)

    def overwrite(self, name: str, data: bytes) -> str:
        return self._commit(name, data, lambda found: True)

    def all(self) -> Iterator[ObjectInfo]:
        """When they were written is not told: the Hub has no object that was not named by a manifest."""
        start = self._path("")
        for found in self._tree():
            yield ObjectInfo(found.path.removeprefix(start), _LONG_AGO, found.size)

    def modified(self, name: str) -> datetime:
        found = self._ask(
            self._hub.api.get_paths_info, self._url.container, [self._path(name)], expand=True, repo_type="dataset"
        )
        if not found:
            raise Missing(f"{self._url} has no object {name}.")
        if found[0].last_commit is None:
            raise StoreError(f"{self._url}: The Hub does not say when {name} was written.")
        when: datetime = found[0].last_commit.date
        return when

    def remove(self, names: Sequence[str]) -> None:
        from huggingface_hub import CommitOperationDelete

        there = {found.path for found in self._tree()}
        gone = [CommitOperationDelete(path_in_repo=self._path(name)) for name in names if self._path(name) in there]
        if gone:
            self._ask(
                self._hub.api.create_commit,
                self._url.container,
                gone,
                repo_type="dataset",
                commit_message=f"Remove old objects of {self._url.name}",
            )

    def _path(self, name: str) -> str:
        return f"{self._url.key}/{name}"

    def _tree(self) -> list[Any]:
        def tree() -> list[Any]:
            found = self._hub.api.list_repo_tree(
                self._url.container, self._url.key, recursive=True, repo_type="dataset"
            )
            return [entry for entry in found if hasattr(entry, "size")]

        try:
            files: list[Any] = self._ask(tree)
        except Missing:
            return []
        return files

    def _commit(self, name: str, data: bytes, is_wanted: Callable[[str | None], bool]) -> str:
        """Writes an object, with all that waits, if its version is as wanted. Other objects may change meanwhile."""
        from huggingface_hub import CommitOperationAdd

        self._make()
        for _ in range(_TRIES):
            head = self._head()
            if not is_wanted(self._version(name, head)):
                break
            waiting = dict(self._waiting)
            adds = [*waiting.values(), CommitOperationAdd(path_in_repo=self._path(name), path_or_fileobj=data)]
            try:
                made = self._ask(
                    self._hub.api.create_commit,
                    self._url.container,
                    adds,
                    repo_type="dataset",
                    commit_message=f"Write {name} of {self._url.name}",
                    parent_commit=head,
                )
            except Conflict:
                continue
            for sent, adds_it in waiting.items():  # another thread may have put further ones meanwhile
                if self._waiting.get(sent) is adds_it:
                    del self._waiting[sent]
            version = self._version(name, made.oid)
            if version is None:
                raise StoreError(f"{self._url}: The Hub does not have {name} that was just written.")
            return version
        raise Conflict(f"{self._url}: The object {name} was written by another process meanwhile.")

    def _head(self) -> str:
        try:
            found = self._ask(self._hub.api.repo_info, self._url.container, repo_type="dataset")
        except Missing:
            return ""
        return str(found.sha)

    def _version(self, name: str, revision: str) -> str | None:
        """The hash of an object at a revision; None if it is not there."""
        if not revision:
            return None
        found = self._ask(
            self._hub.api.get_paths_info,
            self._url.container,
            [self._path(name)],
            revision=revision,
            repo_type="dataset",
        )
        return str(found[0].blob_id) if found else None

    def _make(self) -> None:
        """Makes the repository if there is none."""
        if self._missing is not None:
            raise self._missing
        if not self._is_made:
            self._ask(self._hub.api.create_repo, self._url.container, repo_type="dataset", private=True, exist_ok=True)
            self._is_made = True

    def _ask(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a function of the client returns."""
        try:
            with without_xet(), foreign_warnings_ignored():
                return asked(function, *arguments, **options)
        except HubFailed as failed:
            fault = failed.fault
            if fault.status == 404:
                raise Missing(f"{self._url}: There is no such file on the Hub.") from None
            if fault.conflicts:
                raise Conflict(f"{self._url}: The repository was changed meanwhile.") from None
            if fault.status in _REFUSED:
                raise Refused(
                    f"{self._url}: The Hub answers {fault.status}. Set HF_TOKEN to a token that may write to this repository."
                ) from None
            told = "The Hub does not answer" if fault.status is None else f"The Hub answers {fault.status}"
            raise StoreError(f"{self._url}: {told}.") from None
