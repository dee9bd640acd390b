"""Where the results of calls come from: a model that plays the tools, Python functions, or tables.

model                                                a model writes them, in agreement with the earlier results of the conversation
function                                             the Python function that was given as the tool
{function: find, timeout_s: 5}                       another Python function; only in Python, never in YAML
{table: [{station: Husum, result: "0.7 m"}]}         rows with arguments and the result that they have
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping, Sequence
from random import Random
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_serializer,
    field_validator,
)
from pydantic_core import to_jsonable_python

from datafast._util.config_model import ConfigModel
from datafast._util.function_code import code_of
from datafast._util.notify import did_you_mean
from datafast.datasets.config import NonBlank
from datafast.datasets.conversation.example_data import ExampleData
from datafast.datasets.conversation.tools import Tools
from datafast.errors import ConfigError, ToolError
from datafast.plan.items import digest

__all__ = ["FunctionResults", "ResultSources", "Table", "TableResults", "ToolResultsField", "shown_result"]

_SHOWN = 5
_NOT_FOUND = {"error": "not found"}


class TableResults(ConfigModel):
    """Results of a tool from a table."""

    table: ExampleData
    """Rows with arguments and their `result`: a list, a file, or a source. The arguments stand in columns of their own, or as a mapping in
    the column `arguments`. A call gets the result of the row whose arguments it has; a row that names fewer stands for all others."""

    default: Any = Field(default=_NOT_FOUND)
    """The result of calls that no row is for."""


class FunctionResults(ConfigModel):
    """Results of a tool from a Python function."""

    function: Annotated[Any, WithJsonSchema({"type": "string", "description": "a Python function"})]
    """The function, sync or async; the arguments of a call are given by name. Only in Python."""

    timeout_s: float = Field(default=60, gt=0, le=86_400)
    """Seconds that a call may take."""

    version: NonBlank | None = None
    """Stands for what the function does: change it when the function changes. By default its code and the values that it reaches."""

    @field_validator("function")
    @classmethod
    def _callable(cls, given: Any) -> Any:
        if not callable(given):
            raise ValueError(  # noqa: TRY004 - pydantic's
                f"expected a function, got {given!r:.60}. Functions are given in Python; a file of YAML cannot name one."
            )
        return given

    @field_serializer("function")
    def _described(self, function: Any) -> str:
        return _name_of(function)


def _as_spec(given: Any) -> Any:
    return {"function": given} if callable(given) and not isinstance(given, TableResults | FunctionResults) else given


def _sort(given: Any) -> str:
    if isinstance(given, TableResults) or (isinstance(given, Mapping) and "table" in given):
        return "table"
    return "function" if isinstance(given, FunctionResults | Mapping) else "word"


def _written(given: Any) -> Any:
    # By hand, because pydantic does not find the right one of a union whose fields have serializers of their own.
    return given if isinstance(given, str) else {name: _written_one(source) for name, source in given.items()}


def _written_one(source: Any) -> Any:
    return source.model_dump(mode="json") if isinstance(source, ConfigModel) else source


_Word = Literal["model", "function"]
_OneTool = Annotated[
    Annotated[_Word, Tag("word")] | Annotated[TableResults, Tag("table")] | Annotated[FunctionResults, Tag("function")],
    Discriminator(_sort),
    BeforeValidator(_as_spec),
]
_WORDS = {"type": "string", "enum": ["model", "function"]}
_FOR_EACH = {"type": "object", "additionalProperties": {"anyOf": [_WORDS, {"type": "object"}]}}
ToolResultsField = Annotated[
    _Word | dict[str, _OneTool], PlainSerializer(_written), WithJsonSchema({"anyOf": [_WORDS, _FOR_EACH]})
]


class Table:
    """The results of one tool by arguments."""

    def __init__(self, given: TableResults, tools: Tools, name: str) -> None:
        self.default = given.default
        self._defaults = {
            key: part["default"]
            for key, part in tools.parameters(name).get("properties", {}).items()
            if isinstance(part, Mapping) and "default" in part
        }
        self.rows: list[tuple[dict[str, Any], Any]] = []
        self._found: dict[tuple[str, ...], dict[bytes, Any]] = {}
        for number, row in enumerate(given.table or ()):
            self._add(dict(row), tools, name, f"tool_results.{name}.table[{number}]")
        if not self.rows:
            raise ConfigError(f"tool_results.{name}.table: There are no rows. Give arguments and a result in each.")
        # In an order of their own, so that nothing depends on that of the source.
        self.rows.sort(key=lambda row: _key(row[0], sorted(row[0])))
        self._names = sorted(self._found, key=lambda names: (-len(names), names))

    def _add(self, row: dict[str, Any], tools: Tools, name: str, where: str) -> None:
        if "result" not in row:
            raise ConfigError(f"{where}: There is no result. Give it in the column `result`.")
        result = row.pop("result")
        arguments = row.pop("arguments", None)
        if isinstance(arguments, str):
            try:
                arguments = orjson.loads(arguments)
            except orjson.JSONDecodeError:
                arguments = ()
        if arguments is None:
            arguments, row = row, {}
        if not isinstance(arguments, Mapping) or row:
            raise ConfigError(
                f"{where}: expected a mapping in `arguments` and nothing but the result beside it, or each argument in its own column."
            )
        if problem := tools.arguments_problem(name, arguments):
            raise ConfigError(f"{where}: {problem}.")
        if problem := tools.result_problem(name, result):
            raise ConfigError(f"{where}: {problem}.")
        names = tuple(sorted(arguments))
        by_values, key = self._found.setdefault(names, {}), _key(arguments, names)
        if key in by_values and by_values[key] != result:
            raise ConfigError(f"{where}: An earlier row has another result for the same arguments. Remove one of them.")
        by_values[key] = result
        self.rows.append((dict(arguments), result))

    def result(self, arguments: Mapping[str, Any]) -> Any:
        """The result of a call with these arguments."""
        given = {**self._defaults, **arguments}
        for names in self._names:
            if given.keys() >= set(names) and (key := _key(given, names)) in self._found[names]:
                return self._found[names][key]
        return self.default

    def some(self, rng: Random) -> list[dict[str, Any]]:
        """Arguments of a few of its rows."""
        return [self.rows[place][0] for place in sorted(rng.sample(range(len(self.rows)), min(_SHOWN, len(self.rows))))]


class Function:
    """The results of one tool by a Python function."""

    def __init__(self, given: FunctionResults, tools: Tools, name: str) -> None:
        self._function = given.function
        tool = tools.functions.get(name)
        self._tool = tool if tool is not None and tool.function == given.function else None
        self._tools = tools
        self._name = name
        self.timeout_s = given.timeout_s
        self.name = _name_of(given.function)
        self._check_parameters(tools.parameters(name))
        # What is not the same in every process counts by its name alone, or nothing could ever be resumed.
        code, is_lasting = (given.version, True) if given.version is not None else code_of(given.function)
        self.identity = f"{self.name} {code}" if is_lasting else self.name

    def _check_parameters(self, schema: Mapping[str, Any]) -> None:
        """Raises ConfigError where calls with the tool's arguments, all of them or the required ones, cannot be made."""
        try:
            signature = inspect.signature(self._function)
        except (TypeError, ValueError):
            return  # a function that says nothing of its parameters
        for names in (list(schema.get("properties", {})), schema.get("required", [])):
            try:
                signature.bind(**dict.fromkeys(names))
            except TypeError as error:
                raise ConfigError(
                    f"tool_results.{self._name}: {self.name} cannot be called with {', '.join(names) or 'no arguments'}: {error}. "
                    f"Give it the tool's parameters."
                ) from None

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Calls it with these arguments, which fit its parameters. What it gives, or an awaitable of it if it is async.

        Raises:
            ValueError: what it gives is not what its output schema says.
            Exception: whatever it raises, but for `ToolError`, which is its result.
        """
        try:
            given = self._tool.bound(arguments) if self._tool is not None else dict(arguments)
        except ValidationError as error:  # what a schema cannot say about a date, for instance
            return {"error": "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())}
        try:
            found = self._function(**given)
        except ToolError as error:
            return {"error": str(error)}
        return self._awaited(found) if inspect.isawaitable(found) else self._checked(found)

    async def _awaited(self, found: Awaitable[Any]) -> Any:
        try:
            value = await found
        except ToolError as error:
            return {"error": str(error)}
        return self._checked(value)

    def _checked(self, found: Any) -> Any:
        result = to_jsonable_python(found)
        if problem := self._tools.result_problem(self._name, result):
            raise ValueError(problem)
        return result


class ResultSources:
    """Where the results of each tool come from.

    Attributes:
        tables: the tables, by tool; functions: the functions, by tool. A model plays the others.

    Raises:
        ConfigError: there is no such tool, or what is given does not fit it.
    """

    def __init__(self, given: Any, tools: Tools) -> None:
        self.tables: dict[str, Table] = {}
        self.functions: dict[str, Function] = {}
        for name in given if isinstance(given, Mapping) else ():
            if name not in tools.names:
                raise ConfigError(f"tool_results: There is no tool {name!r}. {did_you_mean(name, tools.names)}")
        for name in tools.names:
            source = given.get(name, "model") if isinstance(given, Mapping) else given
            if isinstance(source, TableResults):
                self.tables[name] = Table(source, tools, name)
            elif isinstance(source, FunctionResults):
                self.functions[name] = Function(source, tools, name)
            elif source == "function":
                if name not in tools.functions:
                    raise ConfigError(
                        f"tool_results: The tool {name} was not given as a Python function. Give it as one, or name a function for it "
                        f"here: {{{name!r}: ...}}."
                    )
                self.functions[name] = Function(FunctionResults(function=tools.functions[name].function), tools, name)

    @property
    def keyed(self) -> bytes:
        """What stands for the results in the keys of items."""
        tables = {name: [table.rows, table.default] for name, table in self.tables.items()}
        functions = {name: function.identity for name, function in self.functions.items()}
        return digest(orjson.dumps([tables, functions], option=orjson.OPT_SORT_KEYS))

    def known(self, rng: Random) -> list[str]:
        """Calls that tables have a result for, a few of each, for the prompts that ask for what the user says."""
        return [
            f"{name} {orjson.dumps(arguments).decode()}"
            for name, table in self.tables.items()
            for arguments in table.some(rng)
        ]


def shown_result(result: Any) -> str:
    """A result as the content of a message."""
    return result if isinstance(result, str) else orjson.dumps(result).decode()


def _key(arguments: Mapping[str, Any], names: Sequence[str]) -> bytes:
    return orjson.dumps([_comparable(arguments[name]) for name in names], option=orjson.OPT_SORT_KEYS)


def _comparable(value: Any) -> Any:
    """Numbers that are equal as one number: a model writes 5.0 where a table has 5."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _comparable(inner) for key, inner in value.items()}
    return [_comparable(inner) for inner in value] if isinstance(value, list) else value


def _name_of(function: Any) -> str:
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(owner, '__module__', '')}.{owner.__qualname__}"
