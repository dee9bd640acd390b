"""Outputs that are not on this machine: what their URLs say.

A URL also survives being a `Path`, as options and fields of configs are: `Path("s3://b/rows.jsonl")` reads `s3:/b/rows.jsonl`, and is
known by that. A folder of this machine whose name is one of these schemes and a colon can be given as `./s3:/...`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from datafast.errors import ConfigError

__all__ = ["RemoteUrl", "is_remote", "refuse_unknown_scheme", "remote_url"]

_URL = re.compile(r"(s3|gs|az|hf|file):(?:/+(.*))?", re.DOTALL)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+[^/]", re.IGNORECASE)  # a drive of Windows has one letter
_BUCKETS = frozenset({"s3", "gs", "az"})
_SECRET = re.compile(r"^[^/]*[@:]|\?[^/]*=")
_FORMS = {
    "s3": "s3://bucket/folder/rows.jsonl",
    "gs": "gs://bucket/folder/rows.jsonl",
    "az": "az://container/folder/rows.jsonl",
    "hf": "hf://datasets/owner/name/folder/rows.jsonl",
    "file": "file:///folder/rows.jsonl",
}


@dataclass(frozen=True)
class RemoteUrl:
    """The place of an output: the objects that belong to it have names that begin with its key.

    Attributes:
        container: the bucket or container, or `owner/name` on the Hub; '' for a folder of a file system.
        key: the rest; of a folder of a file system its whole path.
    """

    scheme: str
    container: str
    key: str

    @property
    def name(self) -> str:
        """The last part, which the files of the output are called by."""
        return self.key.rpartition("/")[2]

    @property
    def above(self) -> RemoteUrl:
        """The URL of the folder that it is in."""
        return RemoteUrl(self.scheme, self.container, self.key.rpartition("/")[0])

    def below(self, name: str) -> RemoteUrl:
        """The URL of an output in it, where it is a folder of outputs."""
        return RemoteUrl(self.scheme, self.container, f"{self.key}/{name}")

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.key}"
        place = f"datasets/{self.container}" if self.scheme == "hf" else self.container
        return f"{self.scheme}://{place}/{self.key}"


def is_remote(given: str | Path) -> bool:
    """Whether something that may be a path is the URL of an output that is not on this machine."""
    return _URL.fullmatch(_text(given)) is not None


def remote_url(given: str | Path) -> RemoteUrl | None:
    """What such a URL says; None for a path of this machine.

    Raises:
        ConfigError: it is not whole.
    """
    found = _URL.fullmatch(_text(given))
    if found is None:
        return None
    scheme, rest = found.groups()
    if scheme in _BUCKETS and _SECRET.search(rest or ""):
        raise ConfigError(
            f"A URL {scheme}://... holds neither credentials (key:secret@) nor a query (?name=value). Write it like {_FORMS[scheme]}, and "
            f"set the credentials in the environment."
        )
    parts = [part for part in (rest or "").split("/") if part]
    if any(part in {".", ".."} for part in parts):
        raise ConfigError(f"{_text(given)}: A URL cannot hold . or .. between slashes. Write the place out.")
    if scheme == "file":
        container, key = "", ("" if not parts else "/" + "/".join(parts))
    elif scheme == "hf":
        container, key = "/".join(parts[1:3]), "/".join(parts[3:])
        if parts[:1] != ["datasets"]:
            key = ""
    else:
        container, key = "/".join(parts[:1]), "/".join(parts[1:])
    if not key:
        raise ConfigError(f"{_text(given)} is not a whole URL. Write it like {_FORMS[scheme]}.")
    return RemoteUrl(scheme, container, key)


def refuse_unknown_scheme(given: str | Path) -> None:
    """Sees to it that a URL that nothing can be written to is not taken for the path of a folder of this machine.

    Raises:
        ValueError: it is such a URL; names those that can be written to.
    """
    found = _SCHEME.match(_text(given))
    if found is not None and not is_remote(given):
        raise ValueError(
            f"No output can be at a URL {found[1]}://... Write it like {', '.join(list(_FORMS.values())[:-1])} or {_FORMS['file']}. A "
            f"folder of this machine that is called {found[1]}: is given by its whole path."
        )


def _text(given: str | Path) -> str:
    return given.as_posix() if isinstance(given, Path) else given
