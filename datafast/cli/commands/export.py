"""`datafast export`: the rows of any file in the formats of trainers and other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("export", short_help="Write rows in the formats of trainers and other tools.")
@options.rows_file
@click.option(
    "--to",
    "formats",
    metavar="FORMAT",
    multiple=True,
    required=True,
    help="The format, like openai, dpo or parquet. May be given several times: all are written in one pass.",
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    required=True,
    type=options.LocalFile(path_type=Path),
    help="The new file. Of several formats, rows.jsonl stands for rows.FORMAT.jsonl, and a name without an ending for a folder; "
    "of several splits likewise for rows.SPLIT.jsonl.",
)
@click.option(
    "--container",
    metavar="NAME",
    help="jsonl, json, csv, parquet, arrow or save_to_disk. By default as OUT ends, else jsonl.",
)
@click.option("--keep", metavar="COLUMN", multiple=True, help="A column that records have besides. May be given often.")
@click.option(
    "--order",
    type=click.Choice(["file", "plan"]),
    default="file",
    show_default=True,
    help="The order of the rows.",
)
@click.option(
    "--texts", is_flag=True, help="Prompts and answers as texts, not as messages, for models without a template."
)
@click.option("--with-document", is_flag=True, help="Put the document that a row is about before its prompt.")
@click.option(
    "--column",
    "custom",
    metavar="NAME=TEMPLATE",
    multiple=True,
    help="A column of the format custom, like 'prompt={{ question }}'. May be given often.",
)
@click.option(
    "--tokenizer",
    metavar="PATH",
    type=options.UserFile(path_type=Path),
    help="The folder of a model, whose chat template the format chat_template applies.",
)
@options.splits
@click.option(
    "--read",
    "read_as",
    metavar="NAME=COLUMN",
    multiple=True,
    help="What a column is to be read as, where its name does not say it, like prompt=topic. May be given often.",
)
@options.ledger
@options.as_json
def command(
    file: str,
    formats: tuple[str, ...],
    output: Path,
    ledger: Path | None,
    custom: tuple[str, ...],
    read_as: tuple[str, ...],
    as_json: bool,
    **how: Any,
) -> None:
    """Write the rows of FILE in one or several formats, each file completely or not at all.

    FILE is the output of a config, of this or an earlier run, or any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow). What rows cannot
    be written as is refused with the list of what they can be written as. Exit code 3: no row became a record.

    \b
    datafast export notes.jsonl --to openai -o train.jsonl
    datafast export pairs.jsonl --to dpo --to kto -o train.parquet
    datafast export texts.jsonl --to csv -o texts --train-size 0.8 --group topic
    """
    from datafast.datasets.loaded import loaded_from
    from datafast.datasets.opened import opened_output

    templates = dict(_parted("--column", given, "'prompt={{ question }}'") for given in custom)
    names = dict(_parted("--read", given, "prompt=topic") for given in read_as)
    with opened_output(file, ledger, replies=False) as paths:
        written = loaded_from(paths).export(output, formats, custom=templates, read_as=names, **how)
    if as_json:
        options.print_json([one.to_dict() for one in written])
    else:
        for one in written:
            click.echo(one.in_words())
        for beside in dict.fromkeys((one.beside.path, one.beside.text) for one in written if one.beside is not None):
            click.echo("\n{}:\n{}".format(*beside).rstrip())
    if not any(one.records for one in written):  # -1 where a format does not count them
        click.get_current_context().exit(3)


def _parted(option: str, given: str, example: str) -> tuple[str, str]:
    from datafast.errors import ConfigError

    name, equals, value = given.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{option}: {given!r} has no name before a =. Write, for example, {example}.")
    return name.strip(), value
