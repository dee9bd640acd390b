"""Texts that rows must not share words with: written down, or those of files and other sources.

against: benchmark.jsonl                                       all texts of its only column, or of `text`
against: {source: "tests/*.parquet", column: prompt}
against: [benchmark.jsonl, {source: more.csv, column: question}, How deep is the sea there?]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from datafast._util.config_model import NonBlank, described
from datafast.quality.against import are_rows
from datafast.sources.field import read_texts
from datafast.sources.opening import is_source
from datafast.sources.source import Source, SourceTexts

__all__ = ["KnownInput", "KnownTexts"]

_WRITTEN_DOWN = "the test"


class KnownTexts:
    """The texts, in the parts that they were given in.

    Attributes:
        parts: those of each source, and those that were written down.
    """

    def __init__(self, parts: Sequence[SourceTexts | list[str]]) -> None:
        self.parts = parts

    @property
    def named(self) -> Iterator[tuple[str, Sequence[str]]]:
        """The parts, each with what it is called in messages."""
        for part in self.parts:
            yield part.name if isinstance(part, SourceTexts) else _WRITTEN_DOWN, part

    @property
    def files(self) -> Iterator[Path]:
        """That they are in, if they are in some."""
        for part in self.parts:
            yield from part.files if isinstance(part, SourceTexts) else ()

    @property
    def digest(self) -> str:
        """Another one when the texts are others."""
        return ",".join(part.digest.hex() if isinstance(part, SourceTexts) else _digest(part) for part in self.parts)

    @property
    def written(self) -> list[Any]:
        """What stands for them where a config is written."""
        return [one for part in self.parts for one in ([part.written] if isinstance(part, SourceTexts) else part)]

    def __eq__(self, other: object) -> bool:
        return self.parts == other.parts if isinstance(other, KnownTexts) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return f"<texts of {', '.join(name for name, _ in self.named)}>"


def _digest(texts: Sequence[str]) -> str:
    found = blake2b(digest_size=16)
    for text in texts:
        found.update(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())
    return found.hexdigest()


class KnownInput:
    """The annotation of a field that takes texts, sources of texts, or a list of both. It reads as `KnownTexts`."""

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        texts = core_schema.list_schema(handler.generate_schema(NonBlank))
        return core_schema.with_info_wrap_validator_function(
            self._read, texts, serialization=core_schema.plain_serializer_function_ser_schema(lambda read: read.written)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        one = [
            {"type": "string", "description": "a file or a dataset with texts"},
            described(Source, handler),
        ]
        text = {"type": "string", "description": "a text, or a file or a dataset with texts"}
        return {"anyOf": [{"type": "array", "items": {"anyOf": [text, one[1]]}, "minItems": 1}, *one]}

    def _read(self, value: Any, texts: Callable[[Any], list[str]], info: ValidationInfo) -> KnownTexts:
        if isinstance(value, KnownTexts):
            return value
        if isinstance(value, tuple) or type(value).__name__ == "Series":  # of pandas or polars
            value = list(value)
        folder = (info.context or {}).get("folder")
        if isinstance(value, str) and not is_source(value, folder):
            raise ValueError(
                f"expected texts or a source of them, got {value!r:.60}, which is neither a file nor a dataset. Write [{value:.60}] for "
                f"one text."
            )
        given = value if isinstance(value, list) and not are_rows(value) else [value]
        if not given:
            raise ValueError("The list is empty. Give at least one text, or a source of texts.")
        names = [not isinstance(one, str) or is_source(one, folder) for one in given]
        written = texts([one for one, is_name in zip(given, names, strict=True) if not is_name])
        sources = [_texts_of(one, info) for one, is_name in zip(given, names, strict=True) if is_name]
        return KnownTexts([*sources, *([written] if written else [])])


def _texts_of(source: Any, info: ValidationInfo) -> SourceTexts:
    return source if isinstance(source, SourceTexts) else read_texts(source, "test", info, lines=False)
