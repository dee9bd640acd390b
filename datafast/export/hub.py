"""Rows -> a dataset repository on the Hugging Face Hub.

Guarantee: data and card arrive in one commit, or nothing changes. A push is private unless public is asked for, and a
private push never goes into a repository that is public. It can be repeated from the file alone, in another process: a
push of what is there already makes no commit, one with other columns or splits leaves no file or setting of the former
behind, and one that was cut off sends only what is missing. The rows and their ledger are only read.

How: Parquet with an explicit schema, and the card with `configs` and `dataset_info`, through `HfApi.create_commit`. The
`push_to_hub` of `datasets` would need the rows as a Dataset first (inferred types, or one more copy on disk), makes a
commit of its own before the card's, and does not retry a failed commit. Throttling, server errors and dropped connections
are retried with Retry-After obeyed (see `hub_client`, `hub_push`).

Cost: the Parquet files lie in the temporary folder (TMPDIR) until the push ends; a killed one leaves them there.
Limit: huggingface_hub before 2.0 needs HF_ENDPOINT set before it is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.notify import warn_user
from datafast.errors import PublishError
from datafast.export.card import CardInfo, Contents, front_matter, readme
from datafast.export.card_markdown import redactor
from datafast.export.hub_access import Access, check_arguments, check_token, endpoint, find_token
from datafast.export.hub_client import Hub, without_xet
from datafast.export.hub_errors import explaining
from datafast.export.hub_push import Push, Pushed
from datafast.export.parquet import Export, export_parquet

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.export.splits import Splitting
    from datafast.export.splits.rows import SplitRows

__all__ = ["HubTarget", "Preview", "Publication", "preview_push", "push", "push_to_hub", "sign_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTarget:
    """Where rows are pushed, and how.

    Args:
        repo_id: "owner/name"; created if it does not exist.
        config_name: several sets of rows in one repository are told apart by it; a push replaces its own alone.
        revision: a branch; created from `main` if it does not exist. None is `main`.
        create_pr: as a pull request, which others merge.
        private: who can see a new repository. True refuses to push into a public one.
        token: with write access; None takes that of the environment variable HF_TOKEN, else that of `hf auth login`.
        commit_message: of the one commit; None writes one with the number of rows.
        upload_card: whether README.md says what the rows are. False writes only its front matter, without which the
            columns would lose their types.

    Raises:
        ConfigError: an argument is not as it must be; names it.
    """

    repo_id: str
    config_name: str = "default"
    revision: str | None = None
    create_pr: bool = False
    private: bool = True
    token: str | None = None
    commit_message: str | None = None
    upload_card: bool = True

    def __post_init__(self) -> None:
        check_arguments(
            self.repo_id,
            config_name=self.config_name,
            revision=self.revision,
            commit_message=self.commit_message,
            token=self.token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a push would bring about. `files`: place in the repository -> bytes; `card`: as in a repository without one."""

    export: Export
    files: dict[str, int]
    message: str
    card: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is pushed.

    Args:
        rows: gives the rows by split, for as long as they are read. It is asked for them when the token is known to be good.
        row_model: gives the columns and checks the rows.
        format: what rows become, like "openai"; None for the rows as they are.
        card: gives what the card says besides what the rows tell.
    """

    rows: Callable[[], AbstractContextManager[SplitRows]]
    row_model: type[BaseModel]
    format: str | None = None
    card: Callable[[], CardInfo | None] = lambda: None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The rows as they are to be in the repository."""

    export: Export
    files: dict[str, Path]
    info: CardInfo
    contents: Contents
    front: dict[str, Any]
    message: str
    folder: Path

    def pictures(self, secret: str) -> dict[str, bytes]:
        """Those of the card, by their places."""
        without_secrets = redactor([secret])
        folder = self.contents.figures
        return {f"{folder}/{figure.name}": figure.content(without_secrets) for figure in self.info.figures}


def push_to_hub(
    source: Path,
    *,
    row_model: type[BaseModel],
    repo_id: str,
    splitting: Splitting,
    format: str | None = None,  # noqa: A002 - as everywhere
    card: CardInfo | None = None,
    **target: Any,
) -> str:
    """Publishes the rows of a JSONL file and returns the URL of the dataset, the branch, or the pull request.

    Args:
        source: the file, one row of `row_model` per line.
        row_model: gives the columns and checks the rows.
        splitting: the splits, and the order of the rows in them.
        format: what rows become, like "openai"; None for the rows as they are.
        card: what the card says besides what the rows tell.
        **target: see `HubTarget`.

    Raises:
        MissingKeyError: no token. Nothing was read or sent.
        ConfigError: an argument, the file or a row is not as it must be. Nothing was sent.
        PublishError: the Hub refused or could not be reached, or there is no room for the Parquet files.
    """
    from datafast.export.splits.rows import SplitRows

    return push(
        Publication(
            rows=lambda: nullcontext(SplitRows.of(Path(source), splitting, row_model)),
            row_model=row_model,
            format=format,
            card=lambda: card,
        ),
        HubTarget(repo_id=repo_id, **target),
    ).url


@foreign_warnings_ignored()
def sign_in(target: HubTarget) -> Access:
    """Finds the token, and checks it.

    Raises:
        MissingKeyError: there is none. Nothing was sent.
        ConfigError, PublishError: it is not good for a push, or the Hub cannot be reached.
    """
    secret = find_token(target.token)
    hub = Hub(endpoint(), secret)
    with explaining(target.repo_id, target.revision, hub.endpoint, secret):
        return Access(hub, secret, check_token(hub))


@foreign_warnings_ignored()
def push(publication: Publication, target: HubTarget, access: Access | None = None) -> Pushed:
    """As `push_to_hub`, with more told. `access` is that of `sign_in`, where rows were to be read after it only."""
    access = access or sign_in(target)
    told = explaining(target.repo_id, target.revision, access.hub.endpoint, access.token)
    with told, _prepared(publication, target) as ready, without_xet():
        return Push(
            hub=access.hub,
            repo_id=target.repo_id,
            private=target.private,
            revision=target.revision,
            create_pr=target.create_pr,
            message=ready.message,
            files=ready.files,
            pictures=ready.pictures(access.token) if target.upload_card else {},
            front=ready.front,
            info=ready.info if target.upload_card else None,
            contents=ready.contents,
            user=access.user,
            secrets=[access.token],
            folder=ready.folder,
        ).run()


@foreign_warnings_ignored()
def preview_push(publication: Publication, target: HubTarget) -> Preview:
    """What `push` with the same arguments would bring about. Nothing is sent or kept, and no token is needed."""
    with _prepared(publication, target, keeps=False) as ready:
        info = ready.info if target.upload_card else None
        text, _ = readme(info, ready.contents, ready.front, previous="", secrets=[target.token or ""])
        return Preview(
            export=ready.export,
            files={
                **{place: path.stat().st_size for place, path in ready.files.items()},
                **({place: len(picture) for place, picture in ready.pictures("").items()} if info else {}),
            },
            message=ready.message,
            card=text,
        )


@contextmanager
def _prepared(publication: Publication, target: HubTarget, *, keeps: bool = True) -> Iterator[_Prepared]:
    model = publication.row_model
    with TemporaryDirectory(prefix="datafast-push-") as name:
        folder = Path(name)
        with publication.rows() as rows:
            export = _exported(rows, folder, model, publication.format)
            if keeps:
                rows.keep()
        for note in export.notes:
            warn_user(note)
        info = publication.card() or CardInfo(title=target.repo_id.partition("/")[2], kind=model.__name__)
        info = replace(info, num_rows=export.num_rows)
        contents = Contents(
            repo_id=target.repo_id,
            config_name=target.config_name,
            splits={split.name: split.num_rows for split in export.splits},
            columns=export.schema.columns,
            counts=export.counts,
        )
        yield _Prepared(
            export=export,
            files={f"{contents.folder}/{file.path_in_repo.rpartition('/')[2]}": file.path for file in export.files},
            info=info,
            contents=contents,
            front=_front(export, info, contents),
            message=target.commit_message or f"Upload {export.num_rows:,} rows with datafast",
            folder=folder,
        )


def _exported(rows: SplitRows, folder: Path, row_model: type[BaseModel], format_name: str | None) -> Export:
    try:
        return export_parquet(rows, folder, row_model=row_model, format=format_name)
    except OSError as error:
        raise PublishError(
            f"The Parquet files cannot be written to {folder}: {error}. "
            "Set TMPDIR to a folder with more room, then push again."
        ) from error


def _front(export: Export, info: CardInfo, contents: Contents) -> dict[str, Any]:
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = SplitDict()
    for split in export.splits:
        splits.add(SplitInfo(name=split.name, num_bytes=split.num_bytes, num_examples=split.num_rows))
    told = DatasetInfo(
        features=export.schema.features,
        splits=splits,
        download_size=sum(file.size for file in export.files),
        dataset_size=sum(split.num_bytes for split in export.splits),
    )
    data = DatasetCardData()
    DatasetInfosDict({contents.config_name: told}).to_dataset_card_data(data)
    return {**front_matter(info, contents), "dataset_info": data["dataset_info"]}
