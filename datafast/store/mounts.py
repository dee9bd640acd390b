"""On which file system a path lies, and how far its locks reach. Known on Linux; elsewhere nothing is known."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mount", "mount_of", "mounts_in"]

_TABLE = Path("/proc/self/mountinfo")
_LOCAL = {
    "nfs": {"nolock", "local_lock=all", "local_lock=flock"},
    "nfs4": {"local_lock=all", "local_lock=flock"},
    "cifs": {"nobrl"},
    "smb3": {"nobrl"},
    "lustre": {"localflock"},
}
"""Options with which locks are known to one machine alone."""
_ALWAYS_LOCAL = frozenset(
    [
        "beegfs",
        "fuse.gcsfuse",
        "fuse.goofys",
        "fuse.mount-s3",
        "fuse.mountpoint-s3",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
    ]
)
"""Those on which they are, whatever the options say. BeeGFS can be told to share locks, but does not show it in its options."""


class Mount(NamedTuple):
    """A mounted file system: where it is, its type as `mount` names it (`ext4`, `nfs4`, `fuse.sshfs`), its options."""

    point: Path
    type: str
    options: frozenset[str]

    @property
    def local_locks(self) -> str:
        """Why no other machine sees locks that are taken here, like `nfs4 with local_lock=all`.

        Empty if others see them, or if the files are of this machine alone.
        """
        if self.type in _ALWAYS_LOCAL:
            return self.type
        found = sorted(self.options & _LOCAL.get(self.type, set()))
        return f"{self.type} with {found[0]}" if found else ""


def mount_of(path: Path) -> Mount | None:
    """The file system on which a file lies, or would lie; None where it is not known."""
    try:
        table = _TABLE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    place = Path(os.path.realpath(path))
    found = None
    for mount in mounts_in(table):  # of several on one another, the last is seen
        if place.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    return found


def mounts_in(table: str) -> list[Mount]:
    """What a text like `/proc/self/mountinfo` lists, in its order."""
    found = []
    for line in table.splitlines():
        before, dash, after = line.partition(" - ")
        own, of_type = before.split(" "), after.split(" ")
        if dash and len(own) >= 6 and len(of_type) >= 3:
            options = frozenset([*own[5].split(","), *of_type[2].split(",")])
            found.append(Mount(Path(_unescaped(own[4])), of_type[0], options))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), text)
