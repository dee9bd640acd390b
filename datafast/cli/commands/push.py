"""`datafast push`: the rows of any file to the Hugging Face Hub, in this process or long after they were made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.export.hub import HubTarget, Preview
    from datafast.export.hub_push import Pushed

__all__ = ["command"]


@click.command("push", short_help="Publish rows as a dataset on the Hugging Face Hub.")
@options.rows_file
@click.argument("repo_id", metavar="REPO_ID")
@click.option("--public", is_flag=True, help="Make a new repository public. Without it, it is private.")
@click.option(
    "--format", "format_name", metavar="FORMAT", help="Push what rows become in a format, like openai or dpo."
)
@click.option(
    "--config-name",
    metavar="NAME",
    default="default",
    show_default=True,
    help="Tells several sets of rows in one repository apart. A push replaces its own alone.",
)
@click.option(
    "--revision", metavar="BRANCH", help="Push to this branch, which is made if it does not exist. By default main."
)
@click.option("--create-pr", is_flag=True, help="Open a pull request instead.")
@options.splits
@click.option("--message", metavar="TEXT", help="Of the commit. By default the number of rows.")
@click.option("--no-card", is_flag=True, help="Write no text into README.md, only what the rows need to be loaded.")
@click.option(
    "--token",
    metavar="TOKEN",
    help="A token with write access. By default that of HF_TOKEN, else that of `hf auth login`: these do not stay in the shell's history.",
)
@click.option(
    "--env-file",
    metavar="FILE",
    type=options.UserFile(path_type=Path),
    help="The file with HF_TOKEN. By default secrets.env beside FILE, if there is one.",
)
@options.ledger
@click.option("--dry-run", is_flag=True, help="Show what would be pushed, and send nothing. Needs no token.")
@options.as_json
def command(
    file: str,
    repo_id: str,
    format_name: str | None,
    public: bool,
    no_card: bool,
    message: str | None,
    env_file: Path | None,
    ledger: Path | None,
    dry_run: bool,
    as_json: bool,
    config_name: str,
    revision: str | None,
    create_pr: bool,
    token: str | None,
    **splits: Any,
) -> None:
    """Publish the rows of FILE as the dataset REPO_ID (owner/name) on the Hugging Face Hub. It is private unless --public is given.

    FILE is the output of a config, of this or an earlier run, or any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow). Pushing again
    replaces what was pushed before, and keeps what others wrote into README.md. A push that was cut off sends only what is missing.

    \b
    datafast push notes.jsonl your-name/notes --dry-run
    datafast push notes.jsonl your-name/notes --train-size 0.8 --stratify label
    datafast push pairs.jsonl your-name/pairs --format dpo --create-pr
    """
    from datafast.config_files.loader import load_secrets
    from datafast.datasets.loaded import load
    from datafast.export.hub import HubTarget, sign_in

    load_secrets(Path(file), env_file)
    target = HubTarget(
        repo_id=repo_id,
        config_name=config_name,
        revision=revision,
        create_pr=create_pr,
        private=not public,
        token=token,
        commit_message=message,
        upload_card=not no_card,
    )
    if dry_run:
        ahead = load(file, ledger=ledger).preview_push(target, format=format_name, **splits)
        _show_preview(target, ahead, as_json=as_json)
        return
    access = sign_in(target)  # before a row is read
    done = load(file, ledger=ledger).push(target, access, format=format_name, **splits)
    _show(done, as_json=as_json)


def _show(done: Pushed, *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        options.print_json(asdict(done))
        return
    click.echo(done.url)
    who = "only you and your organization can see it" if done.private else "everyone can see it"
    seen = f"The repository is {'private' if done.private else 'public'}: {who}."
    pushed = "Pushed" if done.changed else "Nothing has changed since an earlier push:"
    click.echo(f"{pushed} {_splits(done.splits)}. {seen}", err=True)


def _show_preview(target: HubTarget, ahead: Preview, *, as_json: bool) -> None:
    columns = ahead.export.schema.columns
    splits = {split.name: split.num_rows for split in ahead.export.splits}
    if as_json:
        options.print_json(
            {
                "repo_id": target.repo_id,
                "config_name": target.config_name,
                "message": ahead.message,
                "splits": splits,
                "files": ahead.files,
                "columns": [{"name": one.name, "type": one.label, "meaning": one.description} for one in columns],
                "card": ahead.card,
            }
        )
        return
    from rich.console import Console

    from datafast.cli.display.lines import labelled

    console = Console(highlight=False)
    branch = target.revision or "main"
    where = f"the branch {branch}, by a pull request" if target.create_pr else f"the branch {branch}"
    seen = "private" if target.private else "public"
    labelled(console, "to", f"{target.repo_id}, config {target.config_name}, on {where}; {seen}, if it is new")
    labelled(console, "commit", ahead.message)
    labelled(console, "splits", _splits(splits))
    for place, size in ahead.files.items():
        labelled(console, "file", f"{place}, {size:,} bytes")
    for column in columns:
        labelled(
            console, "column", f"{column.name}, {column.label}{f': {column.description}' * bool(column.description)}"
        )
    labelled(console, "card", "as below; what others wrote into the one that is there stays")
    click.echo(f"\n{ahead.card}")
    click.echo("Nothing was sent.", err=True)


def _splits(splits: Any) -> str:
    from datafast.amounts import counted

    return ", ".join(f"{counted(rows, 'row')} in {name}" for name, rows in splits.items())
