"""One push of a finished export: the state of the repository -> one commit that brings it to what is wanted.

Guarantee: data and card arrive in one commit, or nothing changes. It names its parent, so that another commit in between is noticed (409,
412) and ours is built anew upon it. Files that are there already are not sent again, and a commit whose answer was lost is not made a
second time: the next try finds its files in place. For a pull request, open ones with the same title and files are looked for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datafast._util.notify import warn_user
from datafast.errors import PublishError
from datafast.export.card import CardInfo, Contents, readme
from datafast.export.card_kept import kept_of
from datafast.export.card_text import pictures_in
from datafast.export.hub_client import Hub, HubFailed, asked, delays, pause

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

__all__ = ["Push", "Pushed"]

# As we and `datasets` name shards; its older releases added a fingerprint.
_SHARD = re.compile(r"[\w.]+-\d{5}-of-\d{5}(-[0-9a-f]+)?\.parquet")
_README = "README.md"
_UPLOADED_TOGETHER = 5  # as many as the client sends at once
_PULL_REQUESTS_READ = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push has led to.

    Attributes:
        url: of the dataset, of the branch if one was named, or of the pull request.
        private: whether the repository is.
        changed: whether a commit was made; not where all was there already.
        splits: the rows of each split.
    """

    url: str
    private: bool
    changed: bool
    splits: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class Push:
    """What is to be in the repository, and how it is to get there.

    Attributes:
        files: place in the repository -> file on this machine.
        pictures: place in the repository -> content, of those that the card shows.
        front: the front matter of the card.
        info: of the card; None writes only the front matter.
        user: whose token it is, '' where that is not known.
        secrets: what must not be in the card.
        folder: for what is downloaded.
    """

    hub: Hub
    repo_id: str
    private: bool
    revision: str | None
    create_pr: bool
    message: str
    files: Mapping[str, Path]
    pictures: Mapping[str, bytes]
    front: Mapping[str, Any]
    info: CardInfo | None
    contents: Contents
    user: str
    secrets: Sequence[str]
    folder: Path
    _notes: list[str] = field(default_factory=list)
    _changed: bool = False
    _keeps_old_text: bool = False

    def run(self) -> Pushed:
        """Raises HubFailed, or PublishError where it is known what to do."""
        repository = self._repository()
        self._check_visibility(is_private=bool(repository.private))
        url = self._committed(repository)
        for note in self._notes:
            warn_user(f"{self.repo_id}: {note} What it was is in the repository's history, before this push.")
        if self._keeps_old_text and self._changed:
            warn_user(
                f"{self.repo_id}: The text of its card is still that of an earlier push, because this one writes none. Push with the "
                "card, or change it on the Hub."
            )
        private, splits = bool(repository.private), self.contents.splits
        return Pushed(url=url, private=private, changed=self._changed, splits=splits)

    def _committed(self, repository: Any) -> str:
        """The address of what was made; each try builds upon what is there by then."""
        waits = delays()
        first: str | None = None
        while True:
            head = self._head(repository)
            first = first or head
            operations = self._operations(head)
            if self.create_pr and (url := self._open_pull_request(operations)):
                return url
            self._upload([operation for operation in operations if hasattr(operation, "path_or_fileobj")])
            try:
                made = self._commit(operations, head)
                self._changed = made.oid != first
                return made.pr_url or self._url()
            except HubFailed as failed:
                if not (failed.fault.passes or failed.fault.conflicts):
                    raise
                pause(failed, next(waits))

    # -- the state of the repository

    def _repository(self) -> Any:
        """The repository, which is made if it is not there."""
        hub, api = self.hub, self.hub.api
        try:
            return hub.ask(api.repo_info, self.repo_id, repo_type="dataset")
        except HubFailed as failed:
            if failed.fault.status != 404:
                raise
        try:
            hub.ask(api.create_repo, self.repo_id, repo_type="dataset", private=self.private)
        except HubFailed as failed:
            # It was made by somebody else, or by a try whose answer was lost; or the client cannot read the answer.
            if failed.fault.status not in (None, 409):
                raise
        return hub.ask(api.repo_info, self.repo_id, repo_type="dataset")

    def _check_visibility(self, *, is_private: bool) -> None:
        if self.private and not is_private:
            raise PublishError(
                f"{self.repo_id} is public, and this push is private. Nothing was uploaded. Pass private=False to "
                "publish the rows for everyone, make the repository private in its settings, or choose another repo_id."
            )
        if is_private and not self.private:
            warn_user(f"{self.repo_id} is private and stays so. Its visibility is changed in its settings on the Hub.")

    def _head(self, repository: Any) -> str:
        """The commit that ours comes after. A branch that is not there is made from `main`."""
        hub, api = self.hub, self.hub.api
        where = {"repo_type": "dataset", "revision": self.revision}
        try:
            return str(hub.ask(api.repo_info, self.repo_id, **where).sha)
        except HubFailed as failed:
            if failed.fault.status != 404 or self.revision is None or self.create_pr:
                raise
        try:
            hub.ask(api.create_branch, self.repo_id, branch=self.revision, revision=repository.sha, repo_type="dataset")
        except HubFailed as failed:
            if failed.fault.status != 409:  # it is there by now
                raise
        return str(hub.ask(api.repo_info, self.repo_id, **where).sha)

    def _operations(self, head: str) -> list[Any]:
        """What is to be changed there; made anew for each try, because the client notes in them what it has done."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        present = set(self.hub.ask(self.hub.api.list_repo_files, self.repo_id, repo_type="dataset", revision=head))
        previous = self._read_card(head) if _README in present else ""
        self._keeps_old_text = self.info is None and bool(kept_of(previous, self.contents.config_name).between)
        content, self._notes = readme(self.info, self.contents, self.front, previous=previous, secrets=self.secrets)
        return [
            CommitOperationAdd(_README, content.encode()),
            *(CommitOperationAdd(place, path) for place, path in self.files.items()),
            *(CommitOperationAdd(place, picture) for place, picture in self.pictures.items()),
            *(CommitOperationDelete(place) for place in sorted(self._stale(present, previous))),
        ]

    def _read_card(self, revision: str) -> str:
        path = self.hub.ask(
            self.hub.api.hf_hub_download,
            self.repo_id,
            _README,
            repo_type="dataset",
            revision=revision,
            local_dir=self.folder / "card",
        )
        try:
            return Path(path).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise PublishError(
                f"The README.md in {self.repo_id} is not UTF-8, so what you wrote there cannot be kept. Correct or delete it on "
                "the Hub, then push again."
            ) from error

    def _stale(self, present: set[str], previous: str) -> Iterator[str]:
        """Shards of this config that are no longer part of it, and pictures that its card has shown. What other configs name stays."""
        folder = self.contents.folder
        kept = kept_of(previous, self.contents.config_name)
        others = kept.patterns_of_others
        if self.info is not None:
            yield from present & pictures_in(kept.between or "", self.contents) - self.pictures.keys()
        for place in present - self.files.keys():
            within, _, name = place.rpartition("/")
            is_ours = within == folder and _SHARD.fullmatch(name)
            if is_ours and not any(fnmatchcase(place, pattern) for pattern in others):
                yield place

    # -- the commit

    def _upload(self, additions: list[CommitOperationAdd]) -> None:
        """Sends the files that are not there yet, a few at a time, so that a failure costs the tries of these alone."""
        for start in range(0, len(additions), _UPLOADED_TOGETHER):
            self.hub.ask(
                self.hub.api.preupload_lfs_files,
                self.repo_id,
                additions[start : start + _UPLOADED_TOGETHER],
                repo_type="dataset",
                revision=self.revision,
                create_pr=self.create_pr,
                free_memory=False,
            )
        if ignored := [one.path_in_repo for one in additions if getattr(one, "_should_ignore", False)]:
            raise PublishError(
                f"The .gitignore in {self.repo_id} leaves {ignored[0]} out. Nothing was changed. Take that rule out of the "
                "file on the Hub, then push again."
            )

    def _commit(self, operations: list[Any], head: str) -> Any:
        return asked(
            self.hub.api.create_commit,
            self.repo_id,
            operations,
            commit_message=self.message,
            repo_type="dataset",
            revision=self.revision,
            create_pr=self.create_pr,
            parent_commit=head,
        )

    def _url(self) -> str:
        home = f"{self.hub.endpoint}/datasets/{self.repo_id}"
        return home if self.revision in (None, "main") else f"{home}/tree/{self.revision}"

    def _open_pull_request(self, operations: list[Any]) -> str | None:
        """The address of an open pull request that has the same title and files: one of an earlier push, or of a try
        whose answer was lost."""
        hub, api = self.hub, self.hub.api
        found = hub.ask(lambda: list(api.get_repo_discussions(self.repo_id, repo_type="dataset")))
        alike = [
            one
            for one in found
            if one.is_pull_request
            and one.status in ("open", "draft")
            and one.title == self.message
            and self.user in ("", one.author)
        ]
        for one in sorted(alike, key=lambda one: one.num, reverse=True)[:_PULL_REQUESTS_READ]:
            if self._has_all(f"refs/pr/{one.num}", operations):
                return f"{hub.endpoint}/datasets/{self.repo_id}/discussions/{one.num}"
        return None

    def _has_all(self, revision: str, operations: list[Any]) -> bool:
        """Whether everything that the operations lead to is there already."""
        gone = {one.path_in_repo for one in operations if not hasattr(one, "path_or_fileobj")}
        wanted = {place: {_lfs_digest(path)} for place, path in self.files.items()}
        for place, content in {**self.pictures, _README: operations[0].path_or_fileobj}.items():
            wanted[place] = {_git_digest(content), hashlib.sha256(content).hexdigest()}  # however it is kept there
        entries = self.hub.ask(
            self.hub.api.get_paths_info, self.repo_id, [*wanted, *gone], repo_type="dataset", revision=revision
        )
        there = {entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in entries}
        return there.keys() == wanted.keys() and all(there[place] in digests for place, digests in wanted.items())


def _lfs_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
