"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from datafast._util.user_path import user_path

if TYPE_CHECKING:
    from collections.abc import Callable

FC = TypeVar("FC", bound="Callable[..., Any] | click.Command")

__all__ = [
    "OutputName",
    "UserFile",
    "allow_commands",
    "as_json",
    "batch",
    "concurrency",
    "config_file",
    "env_file",
    "ledger",
    "local",
    "new_file",
    "no_wait",
    "offline",
    "output",
    "output_file",
    "print_json",
    "rows_file",
    "shard",
    "shard_ledgers",
    "shards_folder",
    "splits",
    "verbose",
    "yes",
]


class UserFile(click.Path):
    """A path, in which `~` is the user's home also where no shell has replaced it (`--output=~/rows.jsonl`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return user_path(super().convert(value, param, ctx))  # type: ignore[arg-type]  # a Path: see path_type


class OutputName(UserFile):
    """What a user calls an output, or any other file of rows: see `datafast.datasets.opened`. A path, or an address like `s3://bucket/rows.jsonl`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if "://" in value else str(super().convert(value, param, ctx))


class LocalFile(UserFile):
    """A path on this machine, for what is written once and nobody goes on with: a URL would make a folder of that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from datafast._util.remote import is_remote

        if isinstance(value, str | Path) and is_remote(value):
            self.fail(
                "This file can only be written on this machine, not to a URL. Give a path, and copy the file from there.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


config_file = click.argument("config", metavar="CONFIG.yaml", type=UserFile(path_type=Path))
output_file = click.argument("file", metavar="FILE.jsonl", type=OutputName(path_type=Path))
rows_file = click.argument("file", metavar="FILE", type=OutputName(path_type=Path))
ledger = click.option(
    "--ledger",
    metavar="FILE",
    type=UserFile(path_type=Path),
    help="The ledger, if `run: {ledger: ...}` put it somewhere else.",
)
shards_folder = click.argument("folder", metavar="FOLDER", type=UserFile(path_type=Path))
shard_ledgers = click.option(
    "--ledgers",
    metavar="FOLDER",
    type=UserFile(path_type=Path),
    help="The folder with the ledgers of the shards, if `run: {ledger: ...}` put them somewhere else.",
)
allow_commands = click.option(
    "--allow-commands",
    is_flag=True,
    help="Let stages run programs over what models wrote (`{stage: check, command: ...}`), within limits that are no sandbox.",
)
offline = click.option(
    "--offline", is_flag=True, help="Simulated models instead of the real ones. No key, no cost, and the rows say so."
)
local = click.option(
    "--local",
    metavar="MODEL",
    help="One model on this machine instead of all others: a .gguf file, or owner/name[:QUANT] on the Hugging Face Hub. "
    "No key, no cost, and the rows are real.",
)
output = click.option(
    "--output",
    metavar="FILE",
    type=UserFile(path_type=Path),
    help="Write to this file instead of output_file.",
)


class _Shard(click.ParamType):  # type: ignore[type-arg]  # it has none at run time in older versions of click
    """Which shard of how many, like 1/4."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from datafast.store.shards import ShardName

        return ShardName.given(value)


shard = click.option(
    "--shard",
    metavar="I/N",
    type=_Shard(),
    help="Only shard I of N, from 1: a part of the rows, in a file of its own. output_file is then the folder of all shards, "
    "which `datafast merge` puts together.",
)
concurrency = click.option(
    "--max-concurrency", metavar="N", type=click.IntRange(1, 100_000), help="The most requests in flight at once."
)
batch = click.option(
    "--batch/--online",
    "batch",
    default=None,
    help="Send requests as batch jobs of the providers, usually at half the price and back within a day; or one by one. "
    "By default as run.mode of the config says.",
)
no_wait = click.option(
    "--no-wait",
    is_flag=True,
    help="Do not wait for batches: submit them, collect those that are back, and exit with 4 while others are under way.",
)
env_file = click.option(
    "--env-file",
    metavar="FILE",
    type=UserFile(path_type=Path),
    help="The file with the keys. By default secrets.env beside the config, if there is one.",
)
yes = click.option(
    "-y",
    "--yes",
    is_flag=True,
    help="Do not ask. Without it, you are asked in a terminal before paid rows leave because the config has changed.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Log everything that happens on stderr.")


_SPLITS = (
    click.option("--train-size", metavar="SHARE", type=float, help="Share of the rows in the split train, like 0.8."),
    click.option(
        "--validation-size", metavar="SHARE", type=float, help="The same of validation. What the two leave is test."
    ),
    click.option("--seed", metavar="N", type=int, help="Of the splits. By default 0."),
    click.option(
        "--shuffle/--no-shuffle", default=None, help="Order rows by a hash, as by default, or as they are in the file."
    ),
    click.option(
        "--stratify",
        metavar="FIELD",
        multiple=True,
        help="Divide the rows of each value of FIELD, like label, as all rows are. May be given often.",
    ),
    click.option(
        "--group",
        metavar="FIELD",
        multiple=True,
        help="Keep the rows with the same FIELD, like source_key, in one split; near_duplicates does so for rows that are nearly the same. "
        "May be given often.",
    ),
    click.option("--stable", is_flag=True, help="Rows that come later move none. Sizes are approximate."),
)


def new_file(metavar: str, text: str, *, required: bool = False, default: str | None = None) -> Callable[[FC], FC]:
    """`--output`: a file that the command makes on this machine. `text` is the help."""
    given: dict[str, Any] = (
        {} if default is None else {"default": default, "show_default": True}
    )  # None counts as a value
    return click.option(
        "-o",
        "--output",
        metavar=metavar,
        required=required,
        **given,
        type=LocalFile(path_type=Path, dir_okay=False),
        help=text,
    )


def splits(command: FC) -> FC:
    """Options about splits, as `datafast.datasets.dividing.SplitArguments` names them."""
    for option in reversed(_SPLITS):
        command = option(command)
    return command


def print_json(value: object) -> None:
    """Writes one JSON document to stdout, in UTF-8 wherever it goes."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
