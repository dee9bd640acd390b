"""Unpacking zstd, by Python's own module from 3.14 on, else by the package `zstandard`."""

from __future__ import annotations

from typing import IO, Any

__all__ = ["ZstdReader"]

_BLOCK = 1024  # bytes at a time: each may become thirty thousand times as many


class ZstdReader:
    """A file in zstd, one frame or several, as what is in it.

    Raises:
        ImportError: nothing here reads zstd.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._new, self._error = _backend()
        self._frame: Any = None
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """About so many bytes, at least one; none at the end.

        Raises:
            EOFError: it is cut off, or not zstd.
        """
        found = bytearray()
        while len(found) < size:
            data = self._waiting or self._packed.read(_BLOCK)
            self._waiting = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("it ends in the middle")
                break
            if self._frame is None:
                self._frame = self._new()
            try:
                found += self._frame.decompress(data)
            except self._error as error:
                raise EOFError(str(error)) from error
            if self._frame.eof:
                self._waiting, self._frame = self._frame.unused_data, None
        return bytes(found)


def _backend() -> tuple[Any, type[Exception]]:
    try:
        from compression import zstd
    except ImportError:
        import zstandard

        return lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError
    return zstd.ZstdDecompressor, zstd.ZstdError
