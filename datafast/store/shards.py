"""An output in several files: a folder with a shard in each file, and what belongs to it beside it.

    rows/shard-00001-of-00004.jsonl             the rows of the first of four shards
    rows/shard-00001-of-00004.jsonl.ledger      its ledger, and so on as for any output

Each shard is an output of its own, made by `datafast generate CONFIG --shard 1/4`. `datafast.plan.sharded` says which items it has. With
`run.ledger` the ledgers stand in a folder of their own, under the same names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import orjson

from datafast.errors import ConfigError, OutputError
from datafast.plan.members import Members
from datafast.store.paths import OutputPaths
from datafast.store.shard_exchange import finish_exchange, refuse_under_way

if TYPE_CHECKING:
    from datafast.store.ledger import Ledger

__all__ = [
    "MEMBERS",
    "MOST_SHARDS",
    "SHARD",
    "ShardFolder",
    "ShardName",
    "ShardNote",
    "going_on_with_shards",
    "is_shard_folder",
    "noted_members",
    "refuse_divided_anew",
    "require_same_division",
    "shard_paths",
    "shards_in",
]

SHARD, MEMBERS = "shard", "shard_members"
"""The names of the notes in the ledger of a shard: what it is; which positions it has, if that follows from keys."""
MOST_SHARDS = 99_999
"""As many as the five digits of a name can count."""

_FILE = re.compile(r"shard-(\d{5})-of-(\d{5})\.jsonl(\.ledger)?")
_GIVEN = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", re.ASCII)


class ShardName(NamedTuple):
    """Which shard: `number` (from 1) of `of`. As text it is `1/4`."""

    number: int
    of: int

    @classmethod
    def given(cls, value: object) -> ShardName:
        """A shard as a user names it: `"1/4"`, or `(1, 4)` in Python.

        Raises:
            ConfigError: it is no shard.
        """
        if isinstance(value, str):
            found = _GIVEN.fullmatch(value)
            numbers: object = found and tuple(map(int, found.groups()))
        else:
            numbers = value
        if not (
            isinstance(numbers, tuple | list)
            and len(numbers) == 2
            and all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
        ):
            raise ConfigError(
                f"shard: expected which shard of how many, like 1/4 ((1, 4) in Python), got {value!r}.", key="shard"
            )
        name = cls(*numbers)
        if not 1 <= name.of <= MOST_SHARDS:
            raise ConfigError(f"shard: {name}: expected 1 to {MOST_SHARDS:,} shards, got {name.of:,}.", key="shard")
        if not 1 <= name.number <= name.of:
            raise ConfigError(
                f"shard: {name}: There are {name.of:,} shards, so they are 1/{name.of} to {name.of}/{name.of}. Shards are counted "
                f"from 1.",
                key="shard",
            )
        return name

    @classmethod
    def of_file(cls, name: str) -> ShardName | None:
        """The shard whose JSONL, or its ledger, has this name; None for another file."""
        match = _FILE.fullmatch(name)
        return None if match is None else cls(int(match[1]), int(match[2]))

    @property
    def file_name(self) -> str:
        """`shard-00001-of-00004.jsonl`."""
        return f"shard-{self.number:05}-of-{self.of:05}.jsonl"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shard_paths(folder: str | Path, number: int, of: int, ledger_folder: Path | None = None) -> OutputPaths:
    """The files of one shard. They need not exist.

    Args:
        folder: the `output_file` of the config.
        ledger_folder: its `run.ledger`, if it has one.
    """
    name = ShardName(number, of).file_name
    return OutputPaths.of(Path(folder) / name, None if ledger_folder is None else ledger_folder / f"{name}.ledger")


def shards_in(folder: str | Path, ledger_folder: Path | None = None) -> list[ShardName]:
    """The shards that a folder has, of whatever division; none where there is no such folder.

    Raises:
        OutputError: it cannot be read.
    """
    return _names_in(Path(folder), ledger_folder)


def is_shard_folder(path: str | Path, ledger_folder: Path | None = None) -> bool:
    """Whether this is a folder with at least one shard in it."""
    return Path(path).is_dir() and bool(_names_in(Path(path), ledger_folder))


def _names_in(folder: Path, ledger_folder: Path | None) -> list[ShardName]:
    finish_exchange(folder)
    found: set[ShardName] = set()
    for place in dict.fromkeys([folder, ledger_folder or folder]):
        try:
            names = [path.name for path in place.iterdir()]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise OutputError(f"Cannot read {place}: {error.strerror}. Give the folder with the shards.") from error
        found.update(shard for name in names if (shard := ShardName.of_file(name)) is not None)
    return sorted(found)


@dataclass(frozen=True)
class ShardFolder:
    """A folder of shards that belong together.

    Attributes:
        path: the folder.
        of: how many shards the whole output has.
        numbers: those that are there, rising.
        ledger_folder: where their ledgers are, if not beside them.
    """

    path: Path
    of: int
    numbers: Sequence[int]
    ledger_folder: Path | None = None

    @classmethod
    def open(cls, path: str | Path, ledger_folder: Path | None = None) -> Self:
        """The shards of a folder.

        Raises:
            ConfigError: there is no such folder, or there are no shards in it.
            OutputError: it cannot be read, or it has shards of several divisions.
        """
        folder = Path(path)
        if not folder.is_dir():
            is_file = folder.exists()
            raise ConfigError(
                f"{folder} is a file. Give the folder with the shards."
                if is_file
                else f"There is no folder {folder}. Give the folder with the shards, which is the output_file of their config."
            )
        names = _names_in(folder, ledger_folder)
        if not names:
            raise ConfigError(
                f"{folder} has no shards, which are called {ShardName(1, 4).file_name}. "
                f"`datafast generate CONFIG --shard 1/4` makes one."
            )
        require_same_division(folder, names)
        # A number that is out of range is nobody's: datafast makes no such file.
        return cls(folder, names[0].of, [name.number for name in names if 1 <= name.number <= name.of], ledger_folder)

    @property
    def names(self) -> list[ShardName]:
        """The shards that are there."""
        return [ShardName(number, self.of) for number in self.numbers]

    @property
    def missing(self) -> list[int]:
        """The numbers of those that are not."""
        return sorted(set(range(1, self.of + 1)).difference(self.numbers))

    def paths(self, number: int) -> OutputPaths:
        """The files of one of its shards."""
        return shard_paths(self.path, number, self.of, self.ledger_folder)

    @property
    def outputs(self) -> list[OutputPaths]:
        """The files of each shard that is there, in order."""
        return list(map(self.paths, self.numbers))


def going_on_with_shards(folder: object, of: int) -> OutputError:
    """A run without a shard was to work on a folder that has shards, given as its path or URL: how to go on with them."""
    return OutputError(
        f"{folder} is a folder of shards. Add --shard i/{of} (shard=(i, {of})) to go on with one of them. `datafast merge {folder} "
        f"-o FILE.jsonl` puts them together, and --from FILE.jsonl goes on with that."
    )


def refuse_divided_anew(paths: OutputPaths) -> None:
    """Sees to it that a shard is one of the division that its folder has; called with its lock. The folder may have been divided anew
    while the run was looking for its items, and what it bought would then be bought twice.

    Raises:
        OutputInUseError: it is being divided anew.
        OutputError: it has another division.
    """
    name = ShardName.of_file(paths.rows.name)
    if name is not None:
        folder = paths.rows.parent
        refuse_under_way(folder)
        require_same_division(folder, [name, *shards_in(folder, paths.ledger.parent)])


def require_same_division(folder: Path, names: Sequence[ShardName]) -> None:
    """Sees to it that all shards of a folder are parts of the same number of shards.

    Raises:
        OutputError: names two that are not.
    """
    by_count = {name.of: name for name in reversed(names)}
    if len(by_count) > 1:
        first, second = [by_count[of] for of in sorted(by_count)][:2]
        raise OutputError(
            f"{folder} has shards of {first.of:,} and of {second.of:,} ({first.file_name}, {second.file_name}), which are no parts of "
            f"one output. Keep those of one division in it, and divide them anew with `datafast reshard {folder} --shards N`."
        )


# -- what the ledger of a shard says


@dataclass(frozen=True)
class ShardNote:
    """What the ledger of a shard notes of the whole, in `meta.shard`.

    Attributes:
        number, of: which shard it is.
        plan: the fingerprint of the whole plan, as hex digits; with targets, that of the plan before anything is drawn.
        by: what makes an item belong to a shard: its key (`keys`), its position (`blocks`), or the number of its draw (`draws`).
        items: how many items of the plan it has; 0 by draws, of which there are ever more.
        deferred: the names of the stages that compare rows, in their order. They have not decided about its rows.
    """

    number: int
    of: int
    plan: str
    by: Literal["keys", "blocks", "draws"]
    items: int
    deferred: Sequence[str] = ()

    @property
    def name(self) -> ShardName:
        return ShardName(self.number, self.of)

    def to_json(self) -> str:
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def read(cls, ledger: Ledger) -> Self | None:
        """The note of a ledger; None where there is none, or one that is damaged."""
        found = ledger.noted(SHARD)
        try:
            return cls(**found) if isinstance(found, dict) else None
        except TypeError:
            return None


def noted_members(ledger: Ledger, size: int) -> Members | None:
    """The positions of the items of a shard by keys, as its ledger notes them; None where it does not, or for a plan of another size."""
    packed = ledger.meta(MEMBERS)
    return Members.unpacked(packed, size=size) if isinstance(packed, bytes) else None
