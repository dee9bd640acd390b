"""How raw replies stand in a ledger: as they came, packed with zstd, or apart from their call, so that they can be dropped.

    keep      in the row of its call, as it came
    compress  there too, packed, with a dictionary that is made of the first replies, since replies of one provider have much in common
    drop      in the table `replies`, from which it is removed when the rows of its item are written; if they are written in the same
              moment, it never stands there

Each call says how its reply stands, so a ledger may have all of them. What was dropped is in the journal until the rows are on the disk.

Cost: packing takes about 10 µs a reply.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from datafast.errors import ConfigError, OutputError

__all__ = ["FORMS", "NO_FORMS", "REPLY", "Packer", "ReplyForm", "Stored", "Unpacker"]

ReplyForm = Literal["keep", "compress", "drop"]


class Stored:
    """How the reply of a call stands: `calls.stored`."""

    PLAIN = None
    PACKED = 1
    APART = 2


_AS_IT_CAME = "CREATE TEMP VIEW calls AS SELECT *, NULL AS stored FROM main.calls"
FORMS: tuple[str, ...] = (
    "ALTER TABLE calls ADD COLUMN stored INTEGER",
    "CREATE TABLE replies(id INTEGER PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE dictionaries(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
)
"""A step of the format."""
_NO_FORMS: tuple[str, ...] = (
    "CREATE TEMP VIEW replies AS SELECT 0 AS id, x'' AS raw WHERE 0",
    "CREATE TEMP VIEW dictionaries AS SELECT 0 AS id, x'' AS bytes WHERE 0",
)
NO_FORMS = (_AS_IT_CAME, *_NO_FORMS)
"""Views that show a ledger of an earlier format, whose replies are all as they came."""
REPLY = (
    "calls.stored, CASE calls.stored WHEN 2 THEN (SELECT r.raw FROM replies r WHERE r.id = calls.id) ELSE calls.raw END"
)
"""How the reply of a call stands, and what stands there: NULL if it was dropped."""

_LEVEL = 3
_SAMPLES, _SAMPLE_BYTES = 400, 2 * 1024 * 1024
_DICTIONARY_BYTES = 32 * 1024
_INSTALL = "Install it: pip install 'datafast[zstd]'"


class _Zstd(NamedTuple):
    """What packs and unpacks. A dictionary is given as its bytes; empty ones are none."""

    packing: Callable[[bytes], Callable[[bytes], bytes]]
    unpacking: Callable[[bytes], Callable[[bytes], bytes]]
    train: Callable[[Sequence[bytes]], bytes]
    dictionary_of: Callable[[bytes], int]
    """The number of the dictionary that something was packed with; 0 for none."""


def _backend() -> _Zstd:
    """Python's own module from 3.14 on, else the package `zstandard`. Raises ImportError."""
    try:
        from compression import zstd
    except ImportError:
        return _by_package()

    def options(dictionary: bytes) -> dict[str, Any]:
        return {"zstd_dict": zstd.ZstdDict(dictionary)} if dictionary else {}

    def packing(dictionary: bytes) -> Callable[[bytes], bytes]:
        given = options(dictionary)
        return lambda raw: zstd.compress(raw, level=_LEVEL, **given)

    def unpacking(dictionary: bytes) -> Callable[[bytes], bytes]:
        given = options(dictionary)
        return lambda packed: zstd.decompress(packed, **given)

    return _Zstd(
        packing,
        unpacking,
        lambda samples: zstd.train_dict(samples, _DICTIONARY_BYTES).dict_content,
        lambda packed: int(zstd.get_frame_info(packed).dictionary_id),
    )


def _by_package() -> _Zstd:
    import zstandard

    def given(dictionary: bytes) -> dict[str, Any]:
        return {"dict_data": zstandard.ZstdCompressionDict(dictionary)} if dictionary else {}

    def packing(dictionary: bytes) -> Callable[[bytes], bytes]:
        compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=_LEVEL, **given(dictionary)).compress
        return compress

    def unpacking(dictionary: bytes) -> Callable[[bytes], bytes]:
        decompress: Callable[[bytes], bytes] = zstandard.ZstdDecompressor(**given(dictionary)).decompress
        return decompress

    return _Zstd(
        packing,
        unpacking,
        lambda samples: bytes(zstandard.train_dictionary(_DICTIONARY_BYTES, [*samples]).as_bytes()),
        lambda packed: int(zstandard.get_frame_parameters(packed).dict_id),
    )


class Unpacker:
    """Unpacks replies of one ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[int, Callable[[bytes], bytes]] = {}
        self._zstd: _Zstd | None = None

    def reply(self, stored: int | None, raw: bytes | None) -> bytes:
        """A reply as it came; empty if it was dropped.

        Raises:
            OutputError: nothing here reads zstd.
        """
        if stored is None or stored == Stored.APART:
            return raw or b""
        if self._zstd is None:
            try:
                self._zstd = _backend()
            except ImportError:
                raise OutputError(
                    f"The ledger has replies that are packed with zstd, which nothing here reads. {_INSTALL}."
                ) from None
        number = self._zstd.dictionary_of(raw or b"")
        if number not in self._known:
            self._known[number] = self._zstd.unpacking(self._dictionary(number))
        return self._known[number](raw or b"")

    def _dictionary(self, number: int) -> bytes:
        if not number:
            return b""
        row = self._db.execute("SELECT bytes FROM dictionaries WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise OutputError(
                "The ledger is damaged: replies were packed with a dictionary that it lacks. Restore the file from a backup."
            )
        return bytes(row[0])


class Packer:
    """Packs replies for one ledger. Called inside a transaction of it, which may get a new dictionary.

    Raises:
        ConfigError: nothing here packs with zstd.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        try:
            self._zstd = _backend()
        except ImportError:
            raise ConfigError(
                f"run.ledger.replies: compress needs zstd, and nothing here packs with it. {_INSTALL}."
            ) from None
        row = db.execute("SELECT bytes FROM dictionaries ORDER BY rowid DESC LIMIT 1").fetchone()
        self._samples: list[bytes] | None = [] if row is None else None
        self._sampled = 0
        self._pack = self._zstd.packing(bytes(row[0]) if row else b"")

    @property
    def is_learning(self) -> bool:
        """Whether there is no dictionary yet."""
        return self._samples is not None

    def pack(self, raw: bytes) -> bytes:
        """A reply, packed."""
        if self._samples is not None:
            self._samples.append(raw)
            self._sampled += len(raw)
            if len(self._samples) >= _SAMPLES or self._sampled > _SAMPLE_BYTES:
                self.learn(self._samples)
        return self._pack(raw)

    def learn(self, samples: list[bytes]) -> None:
        """Makes a dictionary of replies. Where replies are too few or too different for one, there is none."""
        self._samples = None
        try:
            dictionary = self._zstd.train(samples)
        except Exception as error:  # of zstd, whose class depends on the library
            if "zstd" not in type(error).__name__.lower():
                raise
            return
        number = self._zstd.dictionary_of(self._zstd.packing(dictionary)(b""))
        self._db.execute("INSERT OR IGNORE INTO dictionaries VALUES(?,?)", (number, dictionary))
        self._pack = self._zstd.packing(dictionary)
