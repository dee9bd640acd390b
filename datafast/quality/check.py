"""Drops rows that fail a check: of their structure, of an answer that is known, of code that has to parse or to run, or by a function.

quality:
  - {stage: check, field: code, parses_as: python}
  - {stage: check, field: record, json_schema: {type: object, required: [name]}}
  - {stage: check, field: response, answer: 'the answer is (\\S+?)\\.?$', equals: solution}
  - {stage: check, field: code, command: [python3, "{file}.py"], timeout_s: 5}

In Python also `{"stage": "check", "function": is_short}`. Commands run what a model wrote, so they need `--allow-commands`
(allow_commands=True); `commands` says what keeps them within limits, and what does not.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, Field, PrivateAttr, field_serializer, model_validator

from datafast._util.digest import digest
from datafast._util.foreign_warnings import foreign_warnings_ignored
from datafast._util.function_code import code_of
from datafast._util.linear_schema import check_patterns, check_references, check_schema, linear_validator
from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError
from datafast.quality.base import KEEP, NOT_ALLOWED, NonBlank, TextStage, Verdict, drop
from datafast.quality.commands import FILE, Limits, Ran, is_apart, program_of, run, run_in_turn

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.plan.items import WorkItem

__all__ = ["CheckStage"]

_CHECKS = ("parses_as", "json_schema", "answer", "command", "function")

_FENCE = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_MOST_LETTERS = 1_000_000
_MOST_OUTPUT = 10_000  # letters of what a command writes that are recorded
_LONGEST_TURN_S = 86_400.0  # that a command may wait until others have ended; its own time has its limit
_LIMITS = Limits(timeout_s=10.0, memory_mb=1024, file_mb=16)


class CheckStage(TextStage):
    """Drops rows that fail a check."""

    stage: Literal["check"] = "check"
    """Drops rows that fail a check: `parses_as`, `json_schema`, `answer` with `equals`, `command`, or `function`."""

    parses_as: Literal["python", "json", "sql"] | None = None
    """The language in which the texts have to parse; fenced blocks alone where there are any. sql needs the extra `check`."""
    json_schema: dict[str, Any] | None = None
    """A JSON Schema that the value of `field` fits; of a text, the JSON in it."""
    answer: NonBlank | None = None
    """A pattern with one group that finds the answer in a text; the last match counts, and ^ and $ match at lines. Needs the extra
    `check`."""
    equals: NonBlank | None = None
    """The field with what the answer, or what the command writes to stdout, must be. Case, spaces around it and the way in which a
    number is written do not count."""
    function: Any = None
    """Only in Python: given the row as a mapping, it returns true, or false, or the reason why the row is dropped."""
    version: NonBlank | None = None
    """Stands for what the function or the command does: change it when that changes. By default the code of the function and the
    values that it reaches, or the words of the command."""
    command: list[str] | None = Field(default=None, min_length=1)
    """A program with its arguments that runs the code in `field`, of fenced blocks alone where there are any; exit status 0 keeps the row.
    `{file}` in an argument, as in `{file}.py`, is the path of a file with the code; without it the code comes on stdin. Needs
    --allow-commands (allow_commands=True)."""
    timeout_s: float = Field(default=_LIMITS.timeout_s, gt=0, le=3600)
    """Seconds that a command may take."""
    memory_mb: int = Field(default=_LIMITS.memory_mb, ge=16)
    """Megabytes of memory that a command may reserve, where the system can limit it (Linux)."""
    file_mb: int = Field(default=_LIMITS.file_mb, ge=1)
    """Megabytes that each file that a command writes may have, stdout too."""

    _allowed: bool = PrivateAttr(default=False)
    _validator: Any = PrivateAttr(default=None)
    _pattern: Any = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _one_check(self) -> CheckStage:
        *others, last = _CHECKS
        given = [name for name in _CHECKS if getattr(self, name) is not None]
        if len(given) != 1:
            told = f"got {' and '.join(given)}" if given else "got none"
            raise ValueError(f"parses_as: expected one of {', '.join(others)} and {last}, {told}.")
        if (self.answer is None) != (self.equals is None) and self.command is None:
            raise ValueError("equals: answer and equals go together. Give both.")
        self._check_command()
        if self.json_schema is not None and self.field is None:
            raise ValueError("field: Say which field has to fit the schema.")
        if self.function is not None and not callable(self.function):
            raise ValueError(
                f"function: expected a function, got {self.function!r}. Functions can be given in Python alone; in YAML there are "
                f"expressions: {{stage: keep_if, expression: ...}}."
            )
        if self.answer is not None and (groups := _groups_of(self.answer)) != 1:
            raise ValueError(f"answer: expected one group, as in 'is (\\d+)', got {groups}.")
        return self

    def _check_command(self) -> None:
        limits = [name for name in Limits._fields if getattr(self, name) != getattr(_LIMITS, name)]
        if self.command is None and limits:
            raise ValueError(f"{limits[0]}: It is for command alone. Leave it out.")
        if self.command is not None and self.field is None:
            raise ValueError("field: Say which field has the code that the command runs.")
        places = {one for one in self.command or () if FILE in one}
        if FILE in (self.command or [""])[0] or any(
            not one.startswith(FILE) or FILE in one[len(FILE) :] or "/" in one for one in places
        ):
            raise ValueError(f"command: {FILE} stands at the beginning of an argument, like {FILE} or {FILE}.py.")

    @field_serializer("function")
    def _described(self, function: Any) -> str | None:
        return None if function is None else getattr(function, "__qualname__", type(function).__name__)

    def check(self, row_model: type[BaseModel]) -> None:
        super().check(row_model)
        if self.equals is not None and self.equals not in row_model.model_fields:
            raise ConfigError(
                f"equals: Rows have no field {self.equals!r}. {did_you_mean(self.equals, row_model.model_fields)}"
            )
        if self.json_schema is not None:
            self._check_schema(self.json_schema)
        if self.parses_as == "sql":
            _sqlglot()
        if self.answer is not None:
            self._pattern = _compiled(self.answer)
        if self.command is not None:
            program_of(self.command)

    @foreign_warnings_ignored()
    def _check_schema(self, schema: dict[str, Any]) -> None:
        check_schema(schema, "json_schema")
        check_references(schema, "json_schema")
        try:
            check_patterns(schema)
        except ValueError as error:
            raise ConfigError(f"json_schema: {error}") from None

    @property
    def runs_commands(self) -> bool:
        return self.command is not None

    def allow_commands(self) -> None:
        self._allowed = True
        if not is_apart():
            warn_user(
                "command: On this machine nothing keeps the code of rows from the network and from other processes of yours. See "
                "docs/guides/checks.md, and run it in a container if you do not know what models write."
            )

    def settings(self) -> dict[str, Any]:
        if self.function is None:
            return super().settings()
        code = self.version or code_of(self.function)[0]
        return {**super().settings(), "code": code}

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        if self.function is not None:
            return _said(self.function(row.model_dump(mode="json")))
        if self.json_schema is not None:
            return self._fits(row)
        if self.answer is not None and self.equals is not None:
            return self._answered(row)
        if self.command is not None:
            self._require_permission()
            return self._said_by(run(self.command, self._code_of(row), self._limits), row)
        parse = _PARSERS[str(self.parses_as)]
        for text in self.texts(row):
            for code in _FENCE.findall(text) or [text]:
                if not parse(code):
                    return drop(f"does not parse as {self.parses_as}")
        return KEEP

    def _fits(self, row: BaseModel) -> Verdict:
        validator = self._validator
        if validator is None:
            validator = self._validator = linear_validator(self.json_schema or {})
        value = getattr(row, str(self.field))
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        if isinstance(value, str):
            found = _FENCE.findall(value)
            try:
                value = _json(found[0] if found else value)
            except (ValueError, RecursionError):
                return drop("is not JSON")
        return KEEP if validator.is_valid(value) else drop("does not fit the schema")

    def _answered(self, row: BaseModel) -> Verdict:
        wanted = _comparable(getattr(row, str(self.equals)))
        if self._pattern is None:
            self._pattern = _compiled(str(self.answer))
        found = [match for text in self.texts(row) for match in self._pattern.findall(text)]
        if not found:
            return drop("no answer is found")
        return KEEP if _comparable(found[-1]) == wanted else drop("another answer")

    @property
    def asks(self) -> bool:
        return self.command is not None

    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
        """What the command says, which is recorded like an answer: it runs once over a text."""
        command, code, limits = self.command or [], self._code_of(row), self._limits
        how = orjson.dumps([command, [*limits], self.version, self.equals is not None])

        async def ran() -> Ran:
            self._require_permission()
            status, output = await run_in_turn(command, code, limits)
            return Ran(status, output[:_MOST_OUTPUT] if self.equals is not None else "")

        raw = await generate.own("check", digest(how, code), ran, timeout_s=_LONGEST_TURN_S)
        found = orjson.loads(raw)
        # An estimate runs nothing.
        return self._said_by(Ran(*found), row) if isinstance(found, list) else KEEP

    def _code_of(self, row: BaseModel) -> str:
        text = "\n".join(self.texts(row))
        return "\n".join(_FENCE.findall(text)) or text

    @property
    def _limits(self) -> Limits:
        return Limits(self.timeout_s, self.memory_mb, self.file_mb)

    def _require_permission(self) -> None:
        if not self._allowed:
            raise ConfigError(NOT_ALLOWED)

    def _said_by(self, ended: Ran, row: BaseModel) -> Verdict:
        if ended.status is None:
            return drop(f"the command takes more than {self.timeout_s:g} s")
        if ended.status:
            return drop("the command fails", ended.status)
        if self.equals is not None and _comparable(ended.output) != _comparable(getattr(row, self.equals)):
            return drop("the command writes something else")
        return KEEP


def _groups_of(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"answer: This is not a pattern: {error}.") from None


def _compiled(pattern: str) -> Any:
    """The pattern in an engine whose time is linear in the text, since the texts are a model's."""
    try:
        import re2
    except ImportError:
        raise ConfigError(
            "answer: The package google-re2, which finds answers in texts of any sort in time, is not installed. Run: "
            "pip install 'datafast[check]'"
        ) from None
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(f"(?m){pattern}", options)
    except re2.error as error:
        why = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise ConfigError(
            f"answer: The pattern {pattern!r} cannot be used: {why}. Write it without look-around and back-references."
        ) from None


def _said(found: object) -> Verdict:
    if isinstance(found, str):
        return drop(found or "the function says no")
    if type(found).__module__ == "numpy" and type(found).__name__ in ("bool", "bool_"):
        found = bool(found)  # of a comparison in a library
    if not isinstance(found, bool):
        raise TypeError(f"The function of the check gave {found!r}. Return true, false, or a reason to drop the row.")
    return KEEP if found else drop("the function says no")


def _comparable(value: object) -> object:
    """An answer for comparison: a number as such, other texts without case and spaces around."""
    text = str(value).strip().strip("$").rstrip(".").replace(",", "")
    try:
        return float(text)
    except ValueError:
        return " ".join(str(value).split()).casefold().rstrip(".")


def _is_python(code: str) -> bool:
    if len(code) > _MOST_LETTERS:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in the code
            ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _json(text: str) -> Any:
    """Raises ValueError, also for NaN and Infinity, which are not JSON, and RecursionError."""

    def refused(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refused)


def _is_json(code: str) -> bool:
    try:
        _json(code)
    except (ValueError, RecursionError):
        return False
    return True


def _is_sql(code: str) -> bool:
    sqlglot = _sqlglot()
    try:
        statements = sqlglot.parse(code)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return False
    return any(statement is not None for statement in statements)


def _sqlglot() -> Any:
    try:
        import sqlglot
    except ImportError:
        raise ConfigError(
            "parses_as: The package sqlglot, which parses SQL, is not installed. Run: pip install 'datafast[check]'"
        ) from None
    return sqlglot


_PARSERS: Mapping[str, Callable[[str], bool]] = {"python": _is_python, "json": _is_json, "sql": _is_sql}
