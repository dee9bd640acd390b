"""Where in its file a stage stands that an error is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datafast._util.yaml_file import YamlFile
from datafast._util.yaml_problems import Problems
from datafast.errors import ConfigError

__all__ = ["placed_in"]

_STAGE = re.compile(r"quality\[(\d+)\][.:] ?")


@contextmanager
def placed_in(path: Path) -> Iterator[None]:
    """Puts FILE:LINE in front of what is wrong with a stage of this file, where that shows only when it is used.

    Raises:
        ConfigError: as it was raised within, with its place.
    """
    try:
        yield
    except ConfigError as error:
        stage = _STAGE.match(str(error)) if error.key == "quality" else None
        if stage is None:
            raise
        problems = Problems(YamlFile(path))
        problems.add_text(str(error)[stage.end() :], ["quality", int(stage[1])])
        raise problems.refusal() from error
