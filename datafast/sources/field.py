"""Fields of configs that take texts: a list, or a source of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema

from datafast._util.config_model import NonBlank, described, in_our_words
from datafast.errors import ConfigError
from datafast.sources.looking import is_only_looked_at
from datafast.sources.opening import is_source
from datafast.sources.source import RowSource, Source, SourceTexts, written_source

__all__ = [
    "RowInput",
    "TextInput",
    "TextRowInput",
    "is_source_spec",
    "read_texts",
    "said_in_one",
    "spool_beside",
    "spool_of",
]


class TextInput:
    """The annotation of such a field. It reads as a list of texts, or as `SourceTexts`.

    Args:
        dimension: what a plan calls the texts.
        lines: whether each line of a text file is one of them, where the config does not say.
    """

    def __init__(self, dimension: str, *, lines: bool = False) -> None:
        self.dimension = dimension
        self.lines = lines

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        texts = core_schema.list_schema(handler.generate_schema(NonBlank), min_length=1)
        return core_schema.with_info_wrap_validator_function(
            self._read, texts, serialization=core_schema.plain_serializer_function_ser_schema(self._written)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "string", "description": "a file or a dataset with the texts"},
                described(Source, handler),
            ]
        }

    def _read(self, value: Any, texts: Callable[[Any], Any], info: ValidationInfo) -> Any:
        if isinstance(value, SourceTexts):
            return value
        if isinstance(value, tuple) or type(value).__name__ == "Series":  # of pandas or polars
            value = list(value)
        if isinstance(value, list) or not isinstance(value, Iterable | Path):
            return texts(value)
        if isinstance(value, str) and not is_source(value, (info.context or {}).get("folder")):
            raise ValueError(
                f"expected a list of texts, or a source of them, got {value!r:.60}, which is neither a file nor a dataset. "
                f"Write [{value:.60}] for one text."
            )
        return read_texts(value, self.dimension, info, lines=self.lines)

    @staticmethod
    def _written(value: Any) -> Any:
        return value.written if isinstance(value, SourceTexts) else value


def read_texts(value: Any, dimension: str, info: ValidationInfo, *, lines: bool) -> SourceTexts:
    """The texts of a source. Raises ValueError."""
    with said_in_one():
        source = Source.model_validate(value if is_source_spec(value) else {"source": value})
        if source.lines is None:
            source = source.model_copy(update={"lines": lines})
        return source.texts(dimension, folder=(info.context or {}).get("folder"), spool=spool_of(info))


def spool_of(info: ValidationInfo) -> Path | None:
    """The folder beside the ledger of the config that is being checked, for what has to be copied to be read."""
    output = info.data.get("output_file")
    return None if output is None else spool_beside(output, info.data.get("run"))


def spool_beside(output_file: Path, run: object) -> Path | None:
    """The same for this output and the settings of its run."""
    if is_only_looked_at():
        return None
    ledger: Path = getattr(run, "ledger_path", None) or output_file.with_name(f"{output_file.name}.ledger")
    return ledger.with_name(f"{ledger.name}-sources")


@contextmanager
def said_in_one() -> Iterator[None]:
    """Makes of what is wrong with a source, and of its config, one ValueError for the field that it stands in."""
    try:
        yield
    except ValidationError as error:
        told = ((".".join(map(str, found["loc"])), _sentence(found["msg"])) for found in error.errors())
        raise ValueError(" ".join(f"{place}: {message}" for place, message in told)) from None
    except ConfigError as error:
        raise ValueError(str(error).removeprefix("source: ")) from error


def _sentence(message: str) -> str:
    said = in_our_words(message.removeprefix("Value error, "))
    return said if said.endswith((".", "?")) else f"{said}."


def is_source_spec(value: object) -> bool:
    """Whether this says how a source is to be read, and is not one itself, with a column called `source`."""
    if isinstance(value, RowSource):
        return True
    if not isinstance(value, Mapping) or "source" not in value:
        return False
    given = value["source"]
    return not isinstance(given, list | tuple) or any(isinstance(row, Mapping) for row in given)


def _spec(value: Any) -> Any:
    return RowSource.model_validate(value) if is_source_spec(value) else value


def _text_spec(value: Any) -> Any:
    return Source.model_validate(value) if is_source_spec(value) and not isinstance(value, RowSource) else value


def _shown(source: Any) -> Any:
    if source is None or isinstance(source, RowSource):
        return source and source.model_dump(mode="json", exclude_defaults=True)
    return written_source(source)


RowInput = Annotated[Any, BeforeValidator(_spec), PlainSerializer(_shown)]
"""The annotation of a field that takes rows: whatever `open_source` does, or a `RowSource`."""

TextRowInput = Annotated[Any, BeforeValidator(_text_spec), PlainSerializer(_shown)]
"""The same where one column of the rows is asked about, which a `Source` may name."""
