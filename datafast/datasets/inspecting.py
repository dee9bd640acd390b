"""`dataset.inspect()`: the viewer where somebody can look at it, and rows as text where not."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from datafast._util.browser import has_browser
from datafast.engine.notebook import in_notebook

if TYPE_CHECKING:
    from pydantic import BaseModel

    from datafast.store.paths import OutputPaths

__all__ = ["inspect"]

_NUM_ROWS = 5
_VIEWER = "datafast.view.inspecting"
"""The viewer stands above the kinds and is imported when one is opened, so it is reached by its name."""


def inspect(paths: OutputPaths, row_model: type[BaseModel], *, random: bool, num_rows: int | None) -> None:
    """Opens the viewer on an output, or prints rows of it.

    Args:
        random: on a row drawn at random, or such rows.
        num_rows: how many rows are printed; None for the viewer where there can be one.

    Raises:
        ConfigError: there are no rows yet.
        OutputError: the ledger cannot be read.
    """
    from datafast.export.files import OutputRows
    from datafast.export.views import print_rows

    if num_rows is None and (in_notebook() or _is_watched()):
        OutputRows.of(paths, row_model)
        importlib.import_module(_VIEWER).show(paths, row_model, random=random)
        return
    print_rows(paths, row_model=row_model, random=random, num_rows=_NUM_ROWS if num_rows is None else num_rows)


def _is_watched() -> bool:
    """Whether somebody sits at this terminal and has a browser. A job, a pipe or a machine without a screen must not wait for one."""
    is_terminal = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    return is_terminal and not os.environ.get("CI") and has_browser()
