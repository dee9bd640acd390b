"""Runs the command line on a kernel that has no `flock`: `python -m tests.without_locks ERRNO generate ...`.

The system call itself fails, by a filter of seccomp, as it does on a file system that has no locks.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

from datafast.cli.main import cli

__all__ = ["refuse_flock"]

_NUMBERS = {"x86_64": 73, "aarch64": 32}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


def refuse_flock(number: int) -> None:
    """From now on `flock` fails with this number in this process and its children. Raises OSError where filters are not allowed."""
    steps = [
        (_LOAD, 0, 0, 0),  # the number of the system call
        (_JUMP_IF_EQUAL, 0, 1, _NUMBERS[platform.machine()]),
        (_RETURN, 0, 0, _ERRNO | number),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in [(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, program, 0, 0)]:
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse_flock(int(sys.argv[1]))
    cli(sys.argv[2:])
