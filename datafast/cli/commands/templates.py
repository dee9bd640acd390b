"""`datafast templates`: the prompt templates that come with datafast, listed, or one of them to copy and change."""

from __future__ import annotations

import click

from datafast.cli.options import as_json as json_option
from datafast.cli.options import print_json

__all__ = ["command"]


@click.command("templates", short_help="List the prompt templates, or print one.")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the prompt templates that `template:` in a config takes, or print one.

    \b
    datafast templates                              list them
    datafast templates domain/medicine              print one
    datafast templates domain/medicine > mine.yaml  and make it your own

    A config takes it as `template: mine.yaml`.
    """
    from datafast.prompt_library.library import TEMPLATE_NAMES, named_template, template_source

    if name is not None:
        template = named_template(name)
        if as_json:
            print_json({"name": name, **template.model_dump(mode="json")})
        else:
            click.echo(template_source(name), nl=False)
        return
    found = {name: named_template(name).summary for name in TEMPLATE_NAMES}
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in found.items()])
        return
    width = max(map(len, found))
    for name, summary in found.items():
        click.echo(f"{name:{width}}  {summary}")
