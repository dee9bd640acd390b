"""`datafast report`: one page about a file of rows. Reads only; works while a run writes and after a crash."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.report import Report
    from datafast.store.paths import OutputPaths

__all__ = ["command"]

_FORMATS = ("html", "md", "json")
_MARKS = (b'<meta name="generator" content="datafast ', b"<!-- datafast report -->", b"datafast-report-1")
_HEAD = 20_000
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@click.command("report", short_help="Write a page about a file: charts, duplicates, scores, cost, rows.")
@options.rows_file
@options.new_file("PAGE", "The file to write. By default NAME.report.html beside FILE; other formats go to stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="By default as the name of the output ends, or html.",
)
@click.option(
    "--pictures",
    metavar="FOLDER",
    type=options.UserFile(path_type=Path, file_okay=False),
    help="Also write each chart as a file into this folder.",
)
@click.option(
    "--pictures-as",
    "picture_form",
    type=click.Choice(["svg", "png", "dark-png"]),
    default="svg",
    show_default=True,
    help="The format of these. An SVG file follows light and dark by itself; PNG needs the extra `png`.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--rows",
    "shown",
    metavar="N",
    type=click.IntRange(0, 200),
    default=8,
    show_default=True,
    help="Show N rows drawn at random, beside those at the extremes.",
)
@click.option("--seed", metavar="N", type=int, default=0, help="Draw these with another seed.")
@click.option("--force", is_flag=True, help="Replace a file that is no report.")
@options.ledger
@options.as_json
def command(
    file: str,
    output: Path | None,
    form: str | None,
    pictures: Path | None,
    picture_form: str,
    opens: bool,
    shown: int,
    seed: int,
    force: bool,
    ledger: Path | None,
    as_json: bool,
) -> None:
    """Write one page about FILE that needs no network and no script: what is in it, how good it is and what it cost, in charts with their
    numbers, duplicates with their texts, and rows with their prompts.

    FILE is the output of a config, any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow), or a file of topics. Without a ledger beside
    it, only what the rows say is known.

    \b
    datafast report notes.jsonl --open
    datafast report notes.jsonl -o report.md
    datafast report notes.jsonl --json
    """
    from datafast.cli.known_rows import known_rows
    from datafast.datasets.reporting import report_of

    form = _form(form, output, as_json=as_json)
    if opens and form != "html":
        raise click.UsageError("--open is for pages in HTML. Leave it out, or the format.")
    if pictures is not None and picture_form != "svg":
        from datafast._util.png import need_png

        need_png()
    with known_rows(file, ledger) as known:
        if output is None and form == "html":
            place = known.paths.place
            output = place.with_name(f"{place.stem}.report.html")
        if output is not None:
            _refuse(output, known.paths, force=force)
        report = report_of(known.paths, known.dataset, rows=known.rows, shown=shown, seed=seed)
    if pictures is not None:
        for name, content in _pictures(report, picture_form):
            _write(pictures / name, content)
        click.echo(f"wrote the charts into {pictures}", err=output is None)
    if output is not None:
        _write(output, _written(report, form).encode())
        click.echo(f"wrote {output}", err=as_json)
    elif form == "json":
        options.print_json(report.to_dict())
    else:
        click.echo(_written(report, form), nl=False)
    if opens and output is not None:
        import webbrowser

        webbrowser.open(output.resolve().as_uri())


def _form(form: str | None, output: Path | None, *, as_json: bool) -> str:
    if as_json:
        if form not in {None, "json"}:
            raise click.UsageError(f"--json and --format {form} are two things. Give one of them.")
        return "json"
    ending = "" if output is None else output.suffix.lower()
    return form or {".md": "md", ".markdown": "md", ".json": "json"}.get(ending, "html")


def _written(report: Report, form: str) -> str:
    from datafast.report import html_page, markdown_page

    if form == "json":
        return report.model_dump_json(indent=1) + "\n"
    return html_page(report) if form == "html" else markdown_page(report)


def _pictures(report: Report, form: str) -> Iterator[tuple[str, bytes]]:
    """Each chart as a file, with its name."""
    from datafast._util.png import png_of
    from datafast.figures import still
    from datafast.report import sections_of

    names: set[str] = set()
    for section in sections_of(report):
        for chart in section.charts:
            if chart.figure is not None:
                slug = _NOT_IN_NAMES.sub("-", f"{section.name} {chart.title}".lower()).strip("-")[:100]
                name, number = slug, 1
                while name in names:
                    name, number = f"{slug}-{number + 1}", number + 1
                names.add(name)
                svg = chart.figure.svg
                if form == "svg":
                    yield f"{name}.svg", svg.encode()
                else:
                    yield f"{name}.png", png_of(still(svg, dark=form == "dark-png"))


def _refuse(output: Path, paths: OutputPaths, *, force: bool) -> None:
    """Refuses to write over anything that is no report.

    Raises:
        ConfigError: it is one of the files of the output, or another file.
    """
    from datafast._util.user_path import is_file
    from datafast.errors import ConfigError
    from datafast.store.paths import UsedFile, refuse_shared

    refuse_shared([*paths.read(), UsedFile("--output", output, written=True)])
    if force or not is_file(output):
        return
    with output.open("rb") as there:
        head = there.read(_HEAD)
    if not any(mark in head for mark in _MARKS):
        raise ConfigError(f"{output} is there and is no report. Name another file, or add --force.")


def _write(output: Path, content: bytes) -> None:
    from datafast._util.atomic_write import write_whole
    from datafast.errors import OutputWriteError

    try:
        write_whole(output, content)
    except OSError as error:
        raise OutputWriteError(f"{output} cannot be written: {error.strerror or error}.") from error
