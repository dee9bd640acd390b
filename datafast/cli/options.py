"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = [
    "as_json",
    "concurrency",
    "config_file",
    "env_file",
    "ledger",
    "local",
    "offline",
    "output",
    "output_file",
    "print_json",
    "verbose",
]

config_file = click.argument("config", metavar="CONFIG.yaml", type=click.Path(path_type=Path))
output_file = click.argument("file", metavar="FILE.jsonl", type=click.Path(path_type=Path))
ledger = click.option(
    "--ledger", metavar="FILE", type=click.Path(path_type=Path), help="The ledger, where `run: {ledger: ...}` moved it."
)
offline = click.option(
    "--offline", is_flag=True, help="Simulated models in place of the real ones: no key, no cost; the rows say so."
)
local = click.option(
    "--local",
    metavar="MODEL",
    help="One model on this machine in place of all others: a .gguf file, or owner/name[:QUANT] on the Hugging Face Hub. "
    "No key, no cost; the rows are real.",
)
output = click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write here, not to output_file."
)
concurrency = click.option(
    "--max-concurrency", metavar="N", type=click.IntRange(1, 100_000), help="Requests in flight at once."
)
env_file = click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where the keys are; by default secrets.env beside the config, if it is there.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Log everything that happens, on stderr.")


def print_json(value: object) -> None:
    """Writes one JSON document to stdout, in UTF-8 wherever it goes."""
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
