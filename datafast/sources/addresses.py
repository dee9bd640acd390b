"""Files that lie elsewhere, at addresses that fsspec knows: `hf://`, `s3://`, `gs://`, `https://` and others.

A file is copied once, see `datafast.sources.file`. It is copied again when its size, time or tag at the address has changed; where that
cannot be asked, the copy of an earlier run is used, with a warning.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import orjson

from datafast._util.atomic_write import write_whole
from datafast._util.digest import digest
from datafast._util.notify import warn_user
from datafast.errors import ConfigError
from datafast.sources.copies import folder_of
from datafast.sources.file import SourceFile, copied, copy_of
from datafast.sources.looking import refuse_remote
from datafast.sources.reading import Reading

__all__ = ["fetched", "is_address", "remote_names", "shown_address"]

_NAMES = "names.json"  # of the files that were there
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"(?<=://)[^/@]*@")
_TOLD = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "blob_id", "checksum", "md5Hash")


def is_address(given: str) -> bool:
    """Whether it is an address, and no path."""
    return _ADDRESS.match(given) is not None


def shown_address(address: str) -> str:
    """An address as messages and files may have it: without what may be a secret in it."""
    return _USER.sub("", address.partition("?")[0] if address.startswith("http") else address)


def remote_names(given: str, reading: Reading) -> list[str]:
    """The addresses of the files that an address stands for: itself, those that a pattern means, or those in a folder.

    Raises:
        ConfigError: they cannot be listed.
    """
    refuse_remote(shown_address(given), reading.field)
    filesystem, path = _filesystem(given, reading)
    filesystem.invalidate_cache()  # which lasts as long as the process, and has what was there before
    is_pattern = any(sign in given for sign in "*[") and not given.startswith("http")
    if not is_pattern and PurePosixPath(shown_address(given)).suffix:
        return [given]
    folder = folder_of(reading, "names", given)
    try:
        found = filesystem.glob(path, detail=True) if is_pattern else filesystem.find(path, detail=True)
    except Exception as error:  # whatever a file system raises goes on as its cause
        if folder is not None and (folder / _NAMES).is_file():
            _warn_of_copy(given, error, reading)
            return [str(name) for name in orjson.loads((folder / _NAMES).read_bytes())]
        raise _unreachable(given, error, reading) from error
    names = sorted(filesystem.unstrip_protocol(name) for name, info in found.items() if info["type"] == "file")
    if folder is not None and names and given == shown_address(given):
        write_whole(folder / _NAMES, orjson.dumps(names))
    return names


def _filesystem(address: str, reading: Reading) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        # The client of HTTP passes over the proxies that the environment names, unless it is told to look there.
        how = {"client_kwargs": {"trust_env": True}} if address.startswith("http") else {}
        filesystem, path = url_to_fs(address, **how)
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"{reading.field}: Cannot open {shown_address(address)}: {error}. Install what reads such addresses, or check the address."
        ) from error
    except Exception as error:  # as below
        raise _unreachable(address, error, reading) from error
    return filesystem, path


def fetched(address: str, reading: Reading) -> SourceFile:
    """The file at an address, copied. Raises ConfigError."""
    name = shown_address(address)
    filesystem, path = _filesystem(address, reading)
    try:
        info = filesystem.info(path)
    except Exception as error:  # as above
        if (before := copy_of(name, reading)) is not None:
            _warn_of_copy(name, error, reading)
            return before
        raise _unreachable(address, error, reading) from error
    told = digest(name, *(f"{key}={info[key]}" for key in _TOLD if info.get(key) is not None))

    def opened() -> Any:
        return filesystem.open(path, "rb")

    try:
        return copied(name, told, info.get("size"), opened, reading)
    except ConfigError:
        raise
    except Exception as error:  # as above
        raise _unreachable(address, error, reading) from error


def _warn_of_copy(address: str, error: Exception, reading: Reading) -> None:
    warn_user(
        f"{reading.field}: {address} cannot be reached ({type(error).__name__}); the copy of an earlier run is used."
    )


def _unreachable(address: str, error: Exception, reading: Reading) -> ConfigError:
    said = shown_address(str(error).replace(address, shown_address(address)))
    return ConfigError(
        f"{reading.field}: Cannot read {shown_address(address)}: {type(error).__name__}: {said[:200].rstrip('.')}. "
        f"Check the address, the network and your access."
    )
