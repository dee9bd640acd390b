"""Pushing rows to the Hugging Face Hub: what datasets and loaded files have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Unpack

from datafast._util.user_path import user_path
from datafast.datasets.exporting import Exporting
from datafast.store.paths import UsedFile, refuse_shared

if TYPE_CHECKING:
    from datafast.datasets.dividing import SplitArguments
    from datafast.export.card_info import CardInfo
    from datafast.export.hub import HubTarget, Preview, Publication
    from datafast.export.hub_access import Access
    from datafast.export.hub_push import Pushed
    from datafast.export.splits import Splitting
    from datafast.export.splits.rows import SplitRows
    from datafast.report import Page
    from datafast.reviews import Reviews
    from datafast.store.review_state import Disagreement

__all__ = ["Publishing"]


class Publishing(Exporting):
    """Rows that can be pushed to the Hub."""

    @abstractmethod
    def card_info(self, title: str = "") -> CardInfo:
        """What their card says of them. `title` is what it is called where the config gives none."""

    @property
    @abstractmethod
    def _made_by(self) -> Any:
        """The dataset that made them; None if it is not known."""

    @property
    def is_output(self) -> bool:
        """Whether their file is an output of ours, and not any other file of rows."""
        return True

    def report_html(self, *, rows: int = 8, seed: int = 0) -> Page:
        """One page about the file: what is in it, how good it is, what it cost, and rows with their prompts. It needs neither a network nor
        a script; `datafast report` writes the same. A notebook shows it below the cell.

        Args:
            rows: how many are shown that are drawn at random.
            seed: draws all that is drawn.

        Raises:
            ConfigError: there are no rows yet.
            OutputError: the ledger cannot be read.
        """
        from datafast.datasets.reporting import report_of
        from datafast.report import html_page

        return html_page(report_of(self.paths, self._made_by, shown=rows, seed=seed))

    def reviews(self, *, reviewer: str | None = None) -> Reviews:
        """What people decide about the rows: accept, reject, edit, label, compare; how far they are, and how far they agree. It is kept
        beside the rows, and the next run folds it in.

        Args:
            reviewer: who decides; by default the name under which the user is logged in.

        Raises:
            ConfigError: the rows are those of a folder of shards, or lie elsewhere than on this machine.
        """
        from datafast.reviews import Reviews

        self.paths.refuse_copy("Decisions about rows are kept beside their file.")
        made_by = self._made_by
        disagreement: Disagreement = "reject" if made_by is None else made_by.config.disagreement
        model = self.written_model if self.is_output else None
        return Reviews(self.paths, model, reviewer=reviewer, disagreement=disagreement)

    def card(self, path: str | Path = "README.md", *, pictures: Literal["svg", "png"] | None = None) -> Path:
        """Writes the card that a push would write, its pictures in a folder `figures` beside it, and returns its path. Nothing is sent.

        Args:
            path: the card. What you wrote into an earlier one outside of datafast's marks stays.
            pictures: their format; by default what the config says.

        Raises:
            MissingExtraError: PNG is asked for, which needs the extra `png`.
            ConfigError: there are no rows yet, the file is there and is not a card of datafast, or the rows are those of a folder of
                shards, or lie elsewhere than on this machine.
            OutputWriteError: it cannot be written.
        """
        output = user_path(path)
        self.write_card(output, pictures=pictures)
        return output

    def write_card(self, output: Path, *, pictures: Literal["svg", "png"] | None = None) -> list[Path]:
        """The same, and returns all files that were written."""
        from datafast.export.card_files import write_card

        self.paths.refuse_copy("A card says how one file of rows is loaded.")
        refuse_shared([*self.used_files(), UsedFile("path", output, written=True)])
        info = self.card_info()
        if pictures == "png":
            info = replace(info, figures=[figure.as_png() for figure in info.figures])
        rows = self.rows_to_export()
        return write_card(info, rows, row_model=self.written_model, file=self.paths.place, output=output)

    def push_to_hub(
        self,
        repo_id: str,
        token: str | None = None,
        *,
        train_size: float | None = None,
        validation_size: float | None = None,
        seed: int | None = None,
        shuffle: bool = True,
        stratify: str | Sequence[str] | None = None,
        group: str | Sequence[str] | None = None,
        stable: bool = False,
        private: bool = True,
        commit_message: str | None = None,
        revision: str | None = None,
        config_name: str = "default",
        create_pr: bool = False,
        format: str | None = None,  # noqa: A002 - as of `save`
        upload_card: bool = True,
    ) -> str:
        """Publishes the rows, with a card, as a dataset on the Hugging Face Hub: private, unless asked otherwise.

        Args:
            repo_id: `user/name`.
            token: a token with write access; by default that of `HF_TOKEN`, else that of `hf auth login`.
            train_size: the share of rows for `train`, from 0 to 1. Without it and `validation_size` there is a train split only. This and
                the next six are those of `datafast.export.splits.Splitting`.
            validation_size: the same of `validation`; what the two leave is `test`.
            seed: of the splits; None is 0.
            shuffle: whether rows are divided in an order of their own, and not in that of the file.
            stratify: fields; the rows with the same values in them are divided as all rows are.
            group: fields; rows that share a value in one of them are in one split.
            stable: whether rows that come later move none to another split; sizes are then approximate.
            private: whether only you can see a new repository. Private rows are never pushed into a public one.
            revision: a branch, made from `main` if it is not there; by default `main`.
            config_name: tells several sets of rows in one repository apart; a push replaces its own alone.
            create_pr: push as a pull request.
            format: what rows become, like "openai" or "dpo"; by default they are pushed as they are.
            upload_card: whether README.md says what the rows are; without it only its front matter is written.

        Returns:
            The URL of the dataset, of the branch, or of the pull request.

        Raises:
            ConfigError: there is no token, an argument is wrong, or there are too few rows; nothing was sent.
            PublishError: the Hub refused or could not be reached.
        """
        from datafast.export.hub import HubTarget

        target = HubTarget(
            repo_id=repo_id,
            config_name=config_name,
            revision=revision,
            create_pr=create_pr,
            private=private,
            token=token,
            commit_message=commit_message,
            upload_card=upload_card,
        )
        return self.push(
            target,
            format=format,
            train_size=train_size,
            validation_size=validation_size,
            seed=seed,
            shuffle=shuffle,
            stratify=stratify,
            group=group,
            stable=stable,
        ).url

    def push(
        self,
        target: HubTarget,
        access: Access | None = None,
        *,
        format: str | None = None,  # noqa: A002
        **splits: Unpack[SplitArguments],
    ) -> Pushed:
        """As `push_to_hub`, with more told.

        Args:
            access: as `datafast.export.hub.sign_in` gives it, if that was done before.
        """
        from datafast.export.hub import push

        return push(self._publication(target, format, splits), target, access)

    def preview_push(
        self,
        target: HubTarget,
        *,
        format: str | None = None,  # noqa: A002
        **splits: Unpack[SplitArguments],
    ) -> Preview:
        """What `push` with the same arguments would bring about. Nothing is sent, and no token is needed."""
        from datafast.export.hub import preview_push

        return preview_push(self._publication(target, format, splits), target)

    def _publication(self, target: HubTarget, format_name: str | None, splits: Any) -> Publication:
        from datafast.datasets.dividing import splitting
        from datafast.export.hub import Publication

        asked = splitting(**splits)
        return Publication(
            rows=lambda: self._by_split(asked),
            row_model=self.written_model,
            format=format_name,
            card=lambda: self.card_info(target.repo_id.rpartition("/")[2]),
        )

    @contextmanager
    def _by_split(self, asked: Splitting) -> Iterator[SplitRows]:
        from datafast.export.splits.rows import SplitRows

        if self.is_output:
            yield SplitRows.of(self.paths.rows, asked, self.written_model, origin=self.paths.place)
            return
        with TemporaryDirectory(prefix="datafast-push-") as folder:
            rows = self.rows_to_export()
            yield SplitRows.copied(rows, Path(folder), asked, self.written_model, origin=self.paths.place)
