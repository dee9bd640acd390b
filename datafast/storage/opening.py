"""Which store a URL means."""

from __future__ import annotations

from datafast._util.remote import RemoteUrl
from datafast.storage.objects import Objects

__all__ = ["objects_of"]


def objects_of(url: RemoteUrl) -> Objects:
    """The objects of an output.

    Raises:
        MissingExtraError: the library for its store is not installed.
        ConfigError: the environment does not say how to get there.
    """
    if url.scheme == "file":
        from datafast.storage.folders import Folder

        return Folder(url)
    if url.scheme == "hf":
        from datafast.storage.hub import HubObjects

        return HubObjects(url)
    from datafast.storage.buckets import Buckets

    return Buckets(url)
