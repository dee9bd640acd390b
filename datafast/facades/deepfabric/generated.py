"""`Dataset`: rows in memory, as a `DataSetGenerator` returns them or a script puts them together."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from pydantic import BaseModel, ConfigDict, create_model

from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.user_path import user_path
from datafast.errors import ConfigError, DatafastError, DataSetGeneratorError
from datafast.html import paragraph, row_table
from datafast.sources.text_file import whole_text
from datafast.sources.values import parsed_json

if TYPE_CHECKING:
    import pandas as pd

    from datafast.types import RunReport

__all__ = ["Dataset", "load_dataset"]

Row = dict[str, Any]

_SHOWN = 5


class Dataset(Sequence[Row]):
    """Rows, each a mapping like `{"messages": [...]}`.

    Args:
        rows: none by default.

    Attributes:
        samples: the rows, as a list that may be changed.
        report: the report of the run that made them; None for others.
        failed_samples: rows that `add_samples` has refused.
    """

    def __init__(
        self,
        rows: Iterable[Row] = (),
        *,
        report: RunReport | None = None,
        row_model: type[BaseModel] | None = None,
    ) -> None:
        self.samples: list[Row] = list(rows)
        self.failed_samples: list[Any] = []
        self.report = report
        self._row_model = row_model

    # -- making one

    @classmethod
    def from_list(cls, rows: Iterable[Row]) -> Self:
        return cls(rows)

    @classmethod
    def from_jsonl(cls, path: str | Path) -> Self:
        """Reads a file with a JSON object on each line.

        Raises:
            DataSetGeneratorError: it cannot be read, or a line is not an object; names the line.
        """
        rows = []
        try:
            lines = whole_text(user_path(path)).split("\n")
        except ConfigError as error:
            raise DataSetGeneratorError(str(error)) from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = parsed_json(line)
            except (ValueError, RecursionError) as error:
                raise DataSetGeneratorError(f"{path}:{number}: This is not JSON: {error}. Correct it.") from None
            if not isinstance(row, dict):
                raise DataSetGeneratorError(f"{path}:{number}: expected an object, got {row!r:.60}.")
            rows.append(row)
        return cls(rows)

    def add_samples(self, rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
        """Adds the rows that have messages of a user or an assistant; returns the others, and why they were refused."""
        refused = []
        for row in rows:
            if self.validate_sample(row):
                self.samples.append(row)
            else:
                refused.append(row)
        self.failed_samples += refused
        return refused, ["The row has no messages with a role and a content."] * len(refused)

    @staticmethod
    def validate_sample(row: Mapping[str, Any]) -> bool:
        """Whether a row has messages, each with a role and a content."""
        messages = row.get("messages") if isinstance(row, Mapping) else None
        return bool(messages) and all(isinstance(m, Mapping) and {"role", "content"} <= set(m) for m in messages or ())

    # -- reading it

    def __len__(self) -> int:
        return len(self.samples)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    @overload
    def __getitem__(self, index: str) -> list[Any]: ...
    def __getitem__(self, index: int | slice | str) -> Row | Dataset | list[Any]:
        if isinstance(index, str):
            if index not in self.column_names:
                raise KeyError(f"There is no column {index!r}. Known: {', '.join(self.column_names)}.")
            return [row.get(index) for row in self.samples]
        return self._like(self.samples[index]) if isinstance(index, slice) else self.samples[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and self.samples == other.samples

    __hash__ = None  # type: ignore[assignment]  # it may be changed

    @property
    def column_names(self) -> list[str]:
        """The keys of all rows, in the order in which they first occur."""
        return list(dict.fromkeys(key for row in self.samples for key in row))

    columns = column_names

    @property
    def num_rows(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"<Dataset of {len(self.samples)} rows: {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows, and the report of the run."""
        count = f"{len(self.samples):,} generated rows" if self.report else f"{len(self.samples):,} rows"
        told = self.report._repr_html_() if self.report else ""
        return paragraph(count, bold=True) + row_table(self.samples[:_SHOWN]) + told

    def filter_by_role(self, role: str) -> list[Row]:
        """The rows with messages of a role, and these messages alone."""
        found = [
            {**row, "messages": [m for m in row["messages"] if m.get("role") == role]}
            for row in self.samples
            if "messages" in row
        ]
        return [row for row in found if row["messages"]]

    def get_statistics(self) -> dict[str, Any]:
        """Numbers of rows and messages, shares of the roles, and the mean length of a message in characters."""
        messages = [message for row in self.samples for message in row.get("messages", ())]
        roles = Counter(str(message.get("role")) for message in messages)
        count = len(messages) or 1
        return {
            "total_samples": len(self.samples),
            "avg_messages_per_sample": len(messages) / (len(self.samples) or 1),
            "role_distribution": {role: number / count for role, number in roles.items()},
            "avg_content_length": sum(len(str(message.get("content") or "")) for message in messages) / count,
        }

    # -- other rows

    def select(self, indices: Iterable[int]) -> Dataset:
        return self._like([self.samples[index] for index in indices])

    def filter(self, function: Callable[[Row], bool]) -> Dataset:
        return self._like([row for row in self.samples if function(row)])

    def map(self, function: Callable[[Row], Row]) -> Dataset:
        """A dataset of what the function makes of each row. It is given copies."""
        return Dataset([function(dict(row)) for row in self.samples])

    def shuffle(self, seed: int | None = None) -> Dataset:
        """The rows in another order, the same for the same seed."""
        rows = list(self.samples)
        random.Random(0 if seed is None else seed).shuffle(rows)
        return self._like(rows)

    def split(self, test_size: float = 0.1, seed: int | None = None) -> dict[str, Dataset]:
        """A share of the rows as `test`, the others as `train`; both in a seeded order, and neither empty if there are two rows.

        Raises:
            DataSetGeneratorError: the share is not between 0 and 1.
        """
        if isinstance(test_size, bool) or not isinstance(test_size, int | float) or not 0 < test_size < 1:
            raise DataSetGeneratorError(f"test_size: expected a share between 0 and 1, got {test_size!r}.")
        rows = self.shuffle(seed)
        count = min(max(round(len(rows) * test_size), 1), max(len(rows) - 1, 0))
        return {"train": rows[count:], "test": rows[:count]}

    train_test_split = split

    def _like(self, rows: list[Row]) -> Dataset:
        return Dataset(rows, report=self.report, row_model=self._row_model)

    # -- writing it

    def save(self, path: str | Path, format: str | None = None) -> Path:  # noqa: A002 - as pandas and datasets call it
        """Writes the rows into a file, completely or not at all, and returns its path.

        Args:
            format: jsonl, json, csv, parquet, or one for trainers, like trl or sharegpt; by default the ending of the path.

        Raises:
            DataSetGeneratorError: the format is not known or not for such rows, or the file cannot be written.
        """
        from datafast.export.files import save_rows

        try:
            return save_rows(self.samples, user_path(path), format, row_model=self._model())
        except DatafastError as error:
            raise DataSetGeneratorError(f"Cannot save {path}: {error}") from error

    def to_jsonl(self, path: str | Path) -> Path:
        return self.save(path, "jsonl")

    def to_csv(self, path: str | Path) -> Path:
        return self.save(path, "csv")

    def to_parquet(self, path: str | Path) -> Path:
        return self.save(path, "parquet")

    def to_list(self) -> list[Row]:
        return list(self.samples)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a DataFrame, with lists and mappings in their cells."""
        with foreign_warnings_ignored():
            import pandas as pd

            return pd.DataFrame(self.samples, columns=self.column_names)

    def to_huggingface(self) -> Any:
        """The rows as a `datasets.Dataset`."""
        from datafast.export.files import to_dataset

        return to_dataset(self.samples, row_model=self._model())

    to_hf = to_huggingface

    def push_to_hub(self, repo_id: str, *, private: bool = True, **options: Any) -> Any:
        """Publishes the rows with `datasets`; a new repository is private unless said otherwise."""
        return self.to_huggingface().push_to_hub(repo_id, private=private, **options)

    def apply_formatters(self, formatters: Iterable[Mapping[str, Any]]) -> dict[str, Dataset]:
        """The rows in other forms, by the names of the formatters, and in their files if they name some.

        Args:
            formatters: mappings with `name`, `template` ("builtin://alpaca") and perhaps `output`.

        Raises:
            DataSetGeneratorError: a form is not written by datafast, or not for such rows.
        """
        from datafast.export.files import records_of
        from datafast.facades.deepfabric.forms import FORMS, form_of

        made = {}
        for formatter in formatters:
            template = str(formatter.get("template", ""))
            form = form_of(template)
            if form is None:
                raise DataSetGeneratorError(
                    f"The form {template!r} is not written by datafast. The forms are {', '.join(FORMS)}."
                )
            try:
                rows = Dataset(records_of(self.samples, form, row_model=self._model()))
            except ConfigError as error:
                raise DataSetGeneratorError(str(error)) from error
            if formatter.get("output"):
                rows.save(str(formatter["output"]), "jsonl")
            made[str(formatter.get("name", form))] = rows
        return made

    def format(self, target_model: str | None = None, *, tokenizer: Any = None, **options: Any) -> Dataset:
        """The conversations as a tokenizer's chat template writes them, each as `{"text": ...}`.

        Args:
            tokenizer: of transformers.
            **options: of `apply_chat_template`.

        Raises:
            DataSetGeneratorError: there is no tokenizer.
        """
        if tokenizer is None:
            named = repr(target_model) if target_model else "..."
            raise DataSetGeneratorError(
                f"format: No tokenizer is fetched. Give one: format(tokenizer=AutoTokenizer.from_pretrained({named}))."
            )
        given = {"tokenize": False, **options}
        return Dataset(
            {"text": tokenizer.apply_chat_template(row["messages"], tools=row.get("tools") or None, **given)}
            for row in self.samples
        )

    def _model(self) -> type[BaseModel]:
        """The model of the rows; for rows of any origin one with their keys, each of the type that its values have in common."""
        from datafast.export.files import narrowed

        if self._row_model is not None:
            return self._row_model
        fields: dict[str, Any] = dict.fromkeys(self.column_names, (Any, None))
        with foreign_warnings_ignored():  # a key may be called `json` or `copy`
            model = create_model("Row", __config__=ConfigDict(protected_namespaces=()), **fields)
        return narrowed(model, [{name: row.get(name) for name in fields} for row in self.samples])


def load_dataset(
    path: str | Path, data_files: str | Path | None = None, split: str | None = None
) -> Dataset | dict[str, Dataset]:
    """The rows of a JSONL file: `load_dataset("rows.jsonl", split="train")`, or `load_dataset("json", data_files="rows.jsonl")`.

    Without `split` a mapping with the one split that there is, train.

    Raises:
        DataSetGeneratorError: there is no such file or split, or a line is not a row.
    """
    if split not in (None, "train"):
        raise DataSetGeneratorError(
            f"split: A file has only the split train, got {split!r}. Use dataset.split() for parts."
        )
    file = Path(data_files if data_files is not None else path)
    if file.suffix not in (".jsonl", ".json", ".ndjson"):
        raise DataSetGeneratorError(
            f"load_dataset: {file} is not a JSONL file. Use load_dataset of the package datasets, and Dataset.from_list."
        )
    rows = Dataset.from_jsonl(file)
    return {"train": rows} if split is None else rows
