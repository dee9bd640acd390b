"""`datafast view`: a local web page of outputs and configs. Reads only, unless it is asked to take decisions or to save configs."""

from __future__ import annotations

from pathlib import Path

import click

from datafast.cli import options

__all__ = ["command"]


@click.command("view", short_help="Show outputs and configs in the browser.")
@click.argument("place", metavar="FILE|FOLDER|CONFIG", default=".", type=options.UserFile(path_type=Path))
@click.option("--no-open", is_flag=True, help="Only print the address, and open no browser.")
@click.option("--review", is_flag=True, help="Let the pages take decisions about rows; without it they only show.")
@click.option("--edit", is_flag=True, help="Let the page of a config save it; without it the text can be copied.")
@click.option("--port", metavar="N", type=click.IntRange(1, 65_535), help="Use this port. By default one that is free.")
@options.ledger
def command(place: Path, no_open: bool, review: bool, edit: bool, port: int | None, ledger: Path | None) -> None:
    """Show outputs in the browser, from this machine alone, until Ctrl-C.

    FILE is the output of a config or any file of rows; of a FOLDER, by default this one, all outputs are listed. A CONFIG, which is a
    YAML file, is opened in an editor that shows its problems and its plan. The address is printed on stdout. It has a token in it:
    who knows it can read what is shown.

    \b
    datafast view notes.jsonl
    datafast view runs/ --no-open
    datafast view notes.jsonl --review
    datafast view notes.yaml --edit
    """
    from contextlib import ExitStack

    from datafast._util.remote import remote_url
    from datafast.datasets.opened import opened_output
    from datafast.errors import ConfigError
    from datafast.logger_config import configure_logger
    from datafast.view.config.files import config_address, is_config
    from datafast.view.outputs import Outputs
    from datafast.view.posts import Permission
    from datafast.view.serving import ViewerServer
    from datafast.view.viewer import Viewer

    configure_logger("WARNING")
    asked: dict[Permission, bool] = {"review": review, "config": edit}
    first = "/"
    if is_config(place):
        place, first = place.absolute().parent, config_address(place.name)
    with ExitStack() as stack:
        if (url := remote_url(place)) is not None:
            if review:
                raise ConfigError(f"--review: {url} is only looked at here, in a copy. Leave it out.")
            place = stack.enter_context(opened_output(str(url), ledger)).rows
        viewer = Viewer(Outputs(place, ledger=ledger), permits=[one for one, is_asked in asked.items() if is_asked])
        server = stack.enter_context(ViewerServer(viewer, port=port or 0, first=first))
        try:
            click.echo(server.address)
            if not no_open and not server.open_browser():
                click.echo("There is no browser here. Open the address in one.", err=True)
            click.echo("Ctrl-C ends the viewer.", err=True)
            server.wait()
        except KeyboardInterrupt:
            click.echo("The viewer has ended.", err=True)
