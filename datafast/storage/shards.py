"""Shards of an output at a URL: an output of their own each, below it. A whole output and shards at one URL would both buy all rows."""

from __future__ import annotations

from datafast._util.remote import RemoteUrl
from datafast.errors import OutputError
from datafast.storage.manifest import MANIFEST
from datafast.storage.objects import Objects
from datafast.storage.opening import objects_of
from datafast.storage.patient import LONG, Patient
from datafast.storage.restoring import whole_manifest
from datafast.store.shards import ShardName, going_on_with_shards

__all__ = ["refuse_neighbours", "shards_at"]


def shards_at(objects: Objects) -> list[ShardName]:
    """The shards below an output, of whatever division."""
    found = set()
    for entry in objects.all():
        folder, _, name = entry.name.partition("/")
        if name == MANIFEST and (shard := ShardName.of_file(folder)) is not None:
            found.add(shard)
    return sorted(found)


def refuse_neighbours(url: RemoteUrl) -> None:
    """Sees to it that an output that is about to begin has its rows for itself.

    Raises:
        OutputError: there are shards at the URL; or of a shard, there is a whole output in the place of its folder, or the folder has
            shards of another division.
    """
    shard = ShardName.of_file(url.name)
    if shard is None:
        found = shards_at(Patient(objects_of(url), LONG))
        if found:
            raise going_on_with_shards(url, found[0].of)
        return
    folder = url.above
    if not folder.key:
        return  # its name is by chance that of a shard: no output has a whole bucket for its place
    objects = Patient(objects_of(folder), LONG)
    if whole_manifest(objects, folder) is not None:
        raise OutputError(
            f"There is an output at {folder}, and with --shard (shard=...) it is the folder that all shards are in. Name another "
            f"output_file, or go on with what is there without --shard."
        )
    others = [name for name in shards_at(objects) if name.of != shard.of]
    if others:
        of = others[0].of
        raise OutputError(
            f"{folder} has shards of {of:,} ({others[0].file_name}), and this would be one of {shard.of:,}. Run with --shard "
            f"{min(shard.number, of)}/{of}, or name another output_file."
        )
