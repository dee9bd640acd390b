"""How two outputs differ, or two files of rows of any tool: what they were asked for, their rows, what these are like, what they cost.

Everything but the rows by uuid is about all rows of both files, whatever became of single ones. Lengths and categories have effect sizes
with 95 % intervals (`uncertainty`); the diversity of texts is measured on as many texts of one as of the other, because it depends on how
many there are, and has no interval. Rows count as independent of each other; where an item has several, intervals are a little too narrow.

Cost: twice what the statistics of each cost. Memory: that of the statistics of one, and 16 bytes a row.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import orjson

from datafast._util.user_path import is_file, is_folder
from datafast.amounts import counted
from datafast.errors import ConfigError, OutputError
from datafast.sources import open_source
from datafast.statistics.differences import (
    CategoryDifference,
    Comparison,
    ConfigDifference,
    Estimated,
    NumberDifference,
    RowDifference,
    Side,
    ValueShare,
)
from datafast.statistics.diversity import ROWS, Texts
from datafast.statistics.entries import Entries, MadeRow
from datafast.statistics.fields import HEAD, About, Fields
from datafast.statistics.measuring import SAMPLE, measure
from datafast.statistics.pairs import Pairs
from datafast.statistics.result import Statistics
from datafast.statistics.rows import NO_ITEM, Reading
from datafast.statistics.uncertainty import cliffs_delta, cramers_v, total_variation
from datafast.statistics.verdicts import Judging, Verdicts, judge_pairs
from datafast.store.paths import OutputPaths, UsedFile, refuse_shared
from datafast.store.reader import LedgerReader
from datafast.store.shards import is_shard_folder

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

__all__ = ["compare"]

_TOLD_VALUES = 20
_MOST_VALUES = 1_000
_NOT_COMPARED = frozenset({"output_file"})


def compare(
    a: str | Path | OutputPaths,
    b: str | Path | OutputPaths,
    *,
    ledger_a: Path | None = None,
    ledger_b: Path | None = None,
    judging: Judging | None = None,
    seed: int = 0,
) -> Comparison:
    """How two files of rows differ.

    Args:
        a: an output of datafast, or any file of rows (JSONL, JSON, CSV, TSV, Parquet, Arrow); or the files of an output.
        b: the other one.
        ledger_a: the ledger of `a`, where it is not beside it.
        ledger_b: that of `b`.
        judging: asks models which rows are better; see `Judging`.
        seed: of samples, intervals and pairs. The same files and seed give the same numbers.

    Raises:
        ConfigError: a file cannot be read, or judges cannot be asked.
        OutputError: a ledger, or the file of verdicts, cannot be used.
        RunStopped: judging ended early; the same call goes on.
    """
    files = [_files_of(a, ledger_a), _files_of(b, ledger_b)]
    for named, paths in zip((ledger_a, ledger_b), files, strict=True):
        if named is not None and not is_file(named):
            raise OutputError(
                f"There is no ledger {named} of {paths.name}. Name the file that `run: {{ledger: ...}}` says."
            )
    if judging is not None:
        refuse_shared([*_compared(files), *judging.paths.used("verdicts", "run.ledger")])
    one, other = (
        _Measured.of(paths, by, seed)
        for paths, by in zip(files, _told_apart_by([path.rows for path in files]), strict=True)
    )
    rows = min(ROWS, len(one.texts), len(other.texts))
    return Comparison(
        a=one.side(rows),
        b=other.side(rows),
        config=_config_differences(one.config, other.config),
        rows=_row_difference(one.uuids, other.uuids),
        numbers=list(_numbers(one, other, seed)),
        categories=list(_categories(one, other, seed)),
        verdicts=None if judging is None else _verdicts([paths.rows for paths in files], judging, seed),
        seed=seed,
        notes=[*_notes(one, other, rows)],
    )


def _files_of(given: str | Path | OutputPaths, ledger: Path | None) -> OutputPaths:
    if isinstance(given, OutputPaths):
        return given
    if is_folder(Path(given)) and is_shard_folder(given, ledger):
        raise ConfigError(
            f"{given} is a folder of shards, which the command `datafast compare` takes. Here, give one output of its shards: "
            f"`datafast merge {given} -o FILE.jsonl` makes it, at no cost."
        )
    return OutputPaths.of(Path(given), ledger)


def _compared(files: Sequence[OutputPaths]) -> Iterator[UsedFile]:
    """The files that are compared, which no verdict may be written into."""
    for name, paths in zip("AB", files, strict=True):
        for file in paths.read():
            yield UsedFile(name, file.path, written=False)


def _verdicts(paths: Sequence[Path], judging: Judging, seed: int) -> Verdicts:
    one, other = (open_source(path, field="FILE") for path in paths)
    return judge_pairs(Pairs(one, other, seed=seed, match=judging.match, field=judging.field), judging)


def _told_apart_by(paths: Sequence[Path]) -> Iterator[list[str]]:
    """The fields of each file that tell rows of both apart: also one that has the same value in all rows of a file."""
    heads = [[row for row, _ in islice(Reading.of_file(path), HEAD)] for path in paths]
    fields = Fields([row for head in heads for row in head], About()).groups
    for head in heads:
        yield [field.name for field in fields if any(field.value(row) is not None for row in head)]


class _Uuids:
    """Eight bytes for the uuid of each row, and eight for all that it says."""

    def __init__(self) -> None:
        self._digests = array("Q")

    def add(self, row: Mapping[str, Any]) -> None:
        if row.get("uuid"):
            self._digests.extend((_digest(row["uuid"]), _digest(row)))

    def columns(self) -> tuple[Array, Array]:
        """The two columns; a uuid that comes twice counts once."""
        import numpy as np

        both = np.array(self._digests, dtype=np.uint64).reshape(-1, 2)
        uuids, first = np.unique(both[:, 0], return_index=True)
        return uuids, both[first, 1]


def _digest(value: object) -> int:
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


@dataclasses.dataclass
class _Measured:
    """A file, measured."""

    statistics: Statistics
    entries: Entries
    uuids: _Uuids
    config: Mapping[str, Any] | None
    has_ledger: bool
    providers: list[str]

    @classmethod
    def of(cls, paths: OutputPaths, by: Sequence[str], seed: int) -> _Measured:
        statistics, uuids = measure(paths, effect_texts=0, seed=seed), _Uuids()
        entries = Entries(_noted(paths.rows, uuids), [], About(), by=by, text_fields=None, sample=SAMPLE, seed=seed)
        if not paths.ledger.is_file():
            return cls(statistics, entries, uuids, None, has_ledger=False, providers=[])
        with LedgerReader(paths.ledger) as ledger:
            told = ledger.meta("config")
            providers = list(ledger.calls.usage_by_provider())
        return cls(
            statistics, entries, uuids, orjson.loads(told) if told else None, has_ledger=True, providers=providers
        )

    @property
    def texts(self) -> list[str]:
        """The texts of the sampled rows that are in the file, in random order."""
        return ["\n".join(row.texts) for row in self.entries.sampled]

    def side(self, rows: int) -> Side:
        """What is told of it; its diversity on so many texts."""
        found, total, known = self.statistics, self.statistics.total, self.has_ledger
        return Side(
            file=found.file,
            rows=total.rows,
            has_ledger=known,
            dataset_kind=found.dataset_kind,
            simulated=found.simulated,
            providers=self.providers,
            requested=found.requested,
            filtered=total.filtered if known else None,
            failed=total.failed if known else None,
            calls=total.calls,
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            cost_usd=total.cost_usd,
            cost_per_row_usd=total.cost_per_row_usd,
            diversity=Texts(self.texts[:rows]).diversity(range(rows)),
        )

    def counts(self, name: str) -> Counter[Hashable]:
        """How often each value of a field comes."""
        import numpy as np

        for field, codes, values in zip(self.entries.fields, self.entries.codes, self.entries.values, strict=True):
            if field.name == name:
                found, number = np.unique(np.array(codes), return_counts=True)
                return Counter({values[code]: int(n) for code, n in zip(found, number, strict=True) if code >= 0})
        return Counter()

    def lengths(self, name: str) -> Counter[float]:
        """How often each number of characters or words comes."""
        import numpy as np

        found, number = np.unique(np.array(getattr(self.entries, name)), return_counts=True)
        return Counter(dict(zip(found.tolist(), number.tolist(), strict=True)))


def _noted(path: Path, uuids: _Uuids) -> Iterator[MadeRow]:
    """The rows of a file; their uuids are noted."""
    for row, _ in Reading.of_file(path):
        uuids.add(row)
        yield MadeRow(row, NO_ITEM)


# -- configs


def _config_differences(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> list[ConfigDifference] | None:
    if a is None or b is None:
        return None
    return [ConfigDifference(field=field, a=one, b=other) for field, one, other in _differences(a, b, "")]


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*a, *b]):
        field = f"{place}{name}"
        one, other = a.get(name), b.get(name)
        if one == other or field in _NOT_COMPARED:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, f"{field}.")
        elif _is_plain(one) and _is_plain(other):
            only_a, only_b = [x for x in one if x not in other], [x for x in other if x not in one]
            # Another order, or another number of equal values, is all that differs.
            yield (field, only_a, only_b) if only_a or only_b else (field, one, other)
        elif _is_listed(one) and _is_listed(other) and len(one) == len(other):
            numbered = [dict(enumerate(value)) for value in (one, other)]
            for number, first in numbered[0].items():
                yield from _differences({f"[{number}]": first}, {f"[{number}]": numbered[1][number]}, field)
        else:
            yield field, one, other


def _is_plain(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and not any(isinstance(part, list | dict) for part in value)


def _is_listed(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


# -- rows


def _row_difference(a: _Uuids, b: _Uuids) -> RowDifference | None:
    import numpy as np

    (one, said), (other, said_there) = a.columns(), b.columns()
    if not len(one) or not len(other):
        return None
    _, first, second = np.intersect1d(one, other, return_indices=True)
    same = int((said[first] == said_there[second]).sum())
    return RowDifference(
        only_in_a=len(one) - len(first), only_in_b=len(other) - len(first), same=same, changed=len(first) - same
    )


# -- what rows are like


def _numbers(one: _Measured, other: _Measured, seed: int) -> Iterator[NumberDifference]:
    for field in ("characters", "words"):
        a, b = one.lengths(field), other.lengths(field)
        if not a or not b:
            continue
        yield NumberDifference(
            field=field,
            a_mean=_mean(a),
            b_mean=_mean(b),
            a_median=_median(a),
            b_median=_median(b),
            delta=Estimated.of(cliffs_delta(a, b, seed=seed)),
        )


def _mean(counts: Counter[float]) -> float:
    return sum(value * number for value, number in counts.items()) / counts.total()


def _median(counts: Counter[float]) -> float:
    below, half = 0, counts.total() / 2
    for value, number in sorted(counts.items()):
        below += number
        if below >= half:
            return value
    return 0.0


def _categories(one: _Measured, other: _Measured, seed: int) -> Iterator[CategoryDifference]:
    names = dict.fromkeys(field.name for side in (one, other) for field in side.entries.fields)
    for name in names:
        a, b = one.counts(name), other.counts(name)
        values = sorted(map(str, {*a, *b}))
        if not a or not b or not 1 < len(values) <= _MOST_VALUES:
            continue
        shares = [ValueShare(value=value, a=a[value] / a.total(), b=b[value] / b.total()) for value in values]
        yield CategoryDifference(
            field=name,
            a_rows=a.total(),
            b_rows=b.total(),
            total_variation=Estimated.of(total_variation(a, b, seed=seed)),
            cramers_v=Estimated.of(cramers_v(a, b, seed=seed)),
            shares=sorted(shares, key=lambda share: -abs(share.a - share.b))[:_TOLD_VALUES],
            num_values=len(values),
        )


def _notes(one: _Measured, other: _Measured, rows: int) -> Sequence[str]:
    told = [] if rows <= 0 else [f"Diversity was measured on {counted(rows, 'text')} of each file."]
    for side in (one, other):
        told += [f"{side.statistics.file}: {note}" for note in side.statistics.notes]
    return told
