"""A JSONL file -> a dataset repository on the Hugging Face Hub.

Guarantee: data and card arrive in one commit, or nothing changes. A push is private unless public is asked for, and a
private push never goes into a repository that is public. It can be repeated from the file alone, in another process: a
push of what is there already makes no commit, and one with other columns or splits leaves no file or setting of the
former behind. The JSONL file and its ledger are only read.

How: Parquet with an explicit schema, and the card with `configs` and `dataset_info`, through `HfApi.create_commit`. The
`push_to_hub` of `datasets` would need the rows as a Dataset first (inferred types, or one more copy on disk), makes a
commit of its own before the card's, and does not retry a failed commit. Ours names its parent commit, so another push
at the same time is noticed (412) and ours is built again upon it; throttling, server errors and dropped connections are
retried with Retry-After obeyed, and because files that are there already are skipped, a commit whose answer was lost is
not made twice.

Cost: the Parquet files lie in the temporary folder (TMPDIR) until the push ends. Limits: one `default` config per
repository; the branch is `main`. HF_ENDPOINT is read at each push; huggingface_hub before 2.0 needs it set before it is
imported.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast.errors import ConfigError, MissingKeyError, PublishError
from datafast.export.card import CardInfo, Contents, front_matter, readme
from datafast.export.hub_client import Fault, HubFailed, asked, chain, told
from datafast.export.parquet import Export, export_parquet
from datafast.export.splits import Splitting
from datafast.llms.transport.redaction import redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from pydantic import BaseModel

__all__ = ["push_to_hub"]

_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_MAX_RETRY_AFTER_S = 120.0
_OUR_FILES = re.compile(r"data/(train|validation|test)-\d{5}-of-\d{5}\.parquet")
# Both parts: letters, digits, '-', '_', '.', not '-' or '.' at either end, and no repository of git's own naming.
_REPO_ID = re.compile(r"[\w](?:[\w.-]*\w)?/(?!.{97})\w(?:[\w.-]*\w)?(?<!\.git)", re.ASCII)
_AGAIN = "Nothing on disk was changed. The same call can be made again."


@foreign_warnings_ignored()
def push_to_hub(
    source: Path,
    *,
    row_model: type[BaseModel],
    repo_id: str,
    splitting: Splitting,
    private: bool = True,
    token: str | None = None,
    commit_message: str | None = None,
    upload_card: bool = True,
    card: CardInfo | None = None,
) -> str:
    """Publishes the rows of a JSONL file and returns the URL of the dataset.

    Args:
        source: the file, one row of `row_model` per line.
        row_model: gives the columns and checks the rows.
        repo_id: "owner/name"; created if it does not exist.
        splitting: the splits, and the order of the rows in them.
        private: who can see a new repository. True refuses to push into a public one.
        token: with write access; None takes that of the environment variable HF_TOKEN, else that of `hf auth login`.
        commit_message: of the one commit; None writes one with the number of rows.
        upload_card: whether README.md says what the rows are. False writes only its front matter, without which the
            columns would lose their types.
        card: what the card says besides what the rows tell.

    Raises:
        MissingKeyError: no token. Nothing was read or sent.
        ConfigError: an argument, the file or a row is not as it must be. Nothing was sent.
        PublishError: the Hub refused or could not be reached, or there is no room for the Parquet files.
    """
    _check_arguments(repo_id, commit_message=commit_message, token=token)
    secret = _token(token)
    with TemporaryDirectory(prefix="datafast-push-") as folder:
        try:
            export = export_parquet(
                Path(source),
                Path(folder),
                row_model=row_model,
                splitting=splitting,
            )
        except OSError as error:
            raise PublishError(
                f"The Parquet files cannot be written to {folder}: {error}. "
                "Set TMPDIR to a folder with more room, then push again."
            ) from error
        for note in export.notes:
            warn_user(note)
        info = card or CardInfo(title=repo_id.partition("/")[2], kind=row_model.__name__)
        info = replace(info, num_rows=export.num_rows)
        message = commit_message or f"Upload {export.num_rows:,} rows with datafast"
        push = _Push(
            repo_id,
            private=private,
            token=secret,
            message=message,
            export=export,
            info=info,
            upload_card=upload_card,
            folder=Path(folder),
        )
        return push.run()


def _token(token: str | None) -> str:
    found = (token or os.environ.get("HF_TOKEN", "")).strip()
    if not found:
        from huggingface_hub import get_token

        found = (get_token() or "").strip()
    if not found:
        raise MissingKeyError(
            "Pushing to the Hub needs a token with write access. Set the environment variable HF_TOKEN (create a token "
            "under Settings, Access Tokens, on the Hub), run `hf auth login`, or pass token=.",
            variable="HF_TOKEN",
        )
    return found


def _check_arguments(repo_id: str, **texts: str | None) -> None:
    expected: dict[str, tuple[object, str]] = {
        "repo_id": (repo_id, 'a text, like "owner/name"'),
        **{name: (value, "a text") for name, value in texts.items()},
    }
    for name, (value, what) in expected.items():
        if (value is not None or name == "repo_id") and not isinstance(value, str):
            given = type(value).__name__ if name == "token" else f"{value!r} ({type(value).__name__})"
            raise ConfigError(f"{name}: expected {what}, got {given}.", key=name)
    if not _REPO_ID.fullmatch(repo_id) or re.search(r"--|\.\.", repo_id):
        raise ConfigError(
            f'repo_id={repo_id!r} is not of the form "owner/name", where both parts are made of letters, digits, '
            "'-', '_' and '.', 96 characters at most. The owner is your user name or organization on the Hub."
        )


class _Push:
    """One push of a finished export: `run` tries until it is through or cannot be."""

    def __init__(
        self,
        repo_id: str,
        *,
        private: bool,
        token: str,
        message: str,
        export: Export,
        info: CardInfo,
        upload_card: bool,
        folder: Path,
    ) -> None:
        # Read at call time: huggingface_hub reads it once, when it is imported.
        self._endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
        self._repo_id = repo_id
        self._private = private
        self._token = token
        self._message = message
        self._export = export
        self._info = info
        self._upload_card = upload_card
        self._folder = folder
        self._notes: list[str] = []
        self._contents = Contents(
            repo_id=repo_id,
            splits={split.name: split.num_rows for split in export.splits},
            columns=export.schema.columns,
            counts=export.counts,
        )

    def run(self) -> str:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token)
        for delay in (*_DELAYS_S, None):
            try:
                self._attempt(api)
                break
            except HubFailed as failed:
                fault = failed.fault
                wait = fault.retry_after_s if fault.retry_after_s is not None else delay or 0.0
                if delay is None or not fault.passes or wait > _MAX_RETRY_AFTER_S:
                    # Not "from failed": the Hub's answer may repeat the token, and a traceback would show it.
                    raise PublishError(self._explained(fault, failed.error)) from None
                time.sleep(wait)
        for note in self._notes:
            warn_user(f"{self._repo_id}: {note} What it was is in the repository's history, before this push.")
        return f"{self._endpoint}/datasets/{self._repo_id}"

    def _attempt(self, api: HfApi) -> None:
        """Everything from the state of the repository on, so that a retry builds upon what is there by then."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        head = self._repository(api)
        self._check_visibility(is_private=bool(head.private))
        present = set(asked(api.list_repo_files, self._repo_id, repo_type="dataset", revision=head.sha))
        previous = self._read_card(api, head.sha) if "README.md" in present else ""
        ours = {file.path_in_repo: file.path for file in self._export.files}
        info = self._info if self._upload_card else None
        content, self._notes = readme(info, self._contents, self._front(), previous=previous, secrets=[self._token])
        asked(
            api.create_commit,
            self._repo_id,
            [
                CommitOperationAdd("README.md", content.encode()),
                *(CommitOperationAdd(place, path) for place, path in ours.items()),
                *(
                    CommitOperationDelete(place)
                    for place in sorted(present - ours.keys())
                    if _OUR_FILES.fullmatch(place)
                ),
            ],
            commit_message=self._message,
            repo_type="dataset",
            parent_commit=head.sha,
        )

    def _repository(self, api: HfApi) -> Any:
        """The state of the repository, which is made if it is not there."""
        refused: HubFailed | None = None
        try:
            asked(api.create_repo, self._repo_id, repo_type="dataset", private=self._private)
        except HubFailed as failed:
            # It is there (409), it may not be made (403), or the client cannot read the answer. What is there decides.
            if failed.fault.passes or failed.fault.status not in (None, 403, 409):
                raise
            refused = failed
        try:
            return asked(api.repo_info, self._repo_id, repo_type="dataset")
        except HubFailed as failed:
            raise (refused if refused is not None and refused.fault.status == 403 else failed) from None

    def _check_visibility(self, *, is_private: bool) -> None:
        if self._private and not is_private:
            raise PublishError(
                f"{self._repo_id} is public, and this push is private. Nothing was uploaded. Pass private=False to "
                "publish the rows for everyone, make the repository private in its settings, or choose another repo_id."
            )
        if is_private and not self._private:
            warn_user(f"{self._repo_id} is private and stays so. Its visibility is changed in its settings on the Hub.")

    def _read_card(self, api: HfApi, revision: str | None) -> str:
        path = asked(
            api.hf_hub_download,
            self._repo_id,
            "README.md",
            repo_type="dataset",
            revision=revision,
            local_dir=self._folder / "card",
        )
        try:
            return Path(path).read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise PublishError(
                f"The README.md in {self._repo_id} is not UTF-8, so what you wrote there cannot be kept. Correct or delete it on the "
                "Hub, then push again."
            ) from error

    def _front(self) -> dict[str, Any]:
        from datasets import DatasetInfo, SplitDict, SplitInfo
        from datasets.info import DatasetInfosDict
        from huggingface_hub import DatasetCardData

        splits = SplitDict()
        for split in self._export.splits:
            splits.add(SplitInfo(name=split.name, num_bytes=split.num_bytes, num_examples=split.num_rows))
        info = DatasetInfo(
            features=self._export.schema.features,
            splits=splits,
            download_size=sum(file.size for file in self._export.files),
            dataset_size=sum(split.num_bytes for split in self._export.splits),
        )
        data = DatasetCardData()
        DatasetInfosDict({"default": info}).to_dataset_card_data(data)
        return {**front_matter(self._info, self._contents), "dataset_info": data["dataset_info"]}

    def _explained(self, fault: Fault, error: BaseException) -> str:
        owner = self._repo_id.partition("/")[0]
        match fault.status:
            case 401:
                what = "The token was refused. Check HF_TOKEN: it may have expired or been revoked."
            case 403:
                what = f"The token may not write there. Use one with write access to the datasets of {owner!r}."
            case 404:
                what = f"It was not found. Check that {owner!r} exists on the Hub and that the token can see {self._repo_id!r}."
            case 412:
                what = "Others kept committing to it at the same time. Push again when they are done."
            case 429:
                what = "The Hub limits how often you may call it. Push again later."
            case int(status) if status >= 500:
                what = "The Hub had an error of its own. Push again later."
            case None if fault.passes:
                what = f"{self._endpoint} could not be reached. Check the network, proxy and HF_ENDPOINT."
            case _:
                what = "The Hub or its client refused the push, for the reason below."
        answer = f"HTTP {fault.status}" if fault.status else "no answer"
        details = dict.fromkeys(told(link) for link in (error, chain(error)[-1]))
        detail = redact("\n".join(details), [self._token])
        return f"The push to {self._repo_id} failed ({answer}). {what} {_AGAIN}\n{detail}"
