"""What every stage is: a config model that decides about rows, and may change them.

A stage that looks at one row at a time is one small class:

    class NoQuestions(Stage):
        stage: Literal["no_questions"] = "no_questions"

        def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
            return drop("it asks something") if any("?" in text for text in texts_of(row)) else KEEP

It is found by its name through an entry point of the group `datafast.stages`, or through `register`.

A stage that asks models derives from `ModelStage`:

    class Polite(ModelStage):
        stage: Literal["polite"] = "polite"

        async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
            answers = await generate.gather(*(generate(role, f"Is this polite? {row.text}", YesOrNo) for role in self.roles))
            return KEEP if all(answer.yes for answer in answers) else drop("impolite")

A verdict is `KEEP`, `drop(reason)`, `change(field=value)`, or `annotate(name=value)`, which adds to the row's `metadata`. Later stages see
the row as it is then.

Guarantee: a dropped row is recorded with the reason, counts as `filtered`, and is not paid for again. A changed row is recorded as it was
made. Settings of stages are in no key; where they change, all recorded rows are decided about anew, as they were made, at no cost. Limits:
a verdict may depend only on the row and its item, so that the same stages always keep the same rows.

A `WalkStage` compares a row with those that were kept before it: duplicates, for instance. Such stages do not decide while rows come, but
at the end of each run, about all recorded rows that the other stages keep, one after the other in an order that is always the same:
by draw, key and row number of their items. So the rows that they keep do not depend on the order of the replies.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import orjson
from pydantic import BaseModel, Field

from datafast._util.config_model import ConfigModel, NonBlank
from datafast._util.notify import did_you_mean
from datafast.engine.routes import FurtherRole
from datafast.engine.stages import KEEP, METADATA, Verdict, Walk, annotate, change, drop
from datafast.errors import ConfigError
from datafast.llms.spec import ProviderSpec, named_provider

if TYPE_CHECKING:
    from datafast.engine.generate import Generate
    from datafast.llms.provider import LLMProvider
    from datafast.plan.items import WorkItem

__all__ = [
    "KEEP",
    "NOT_ALLOWED",
    "WHO_MADE_IT",
    "BaseStage",
    "ModelStage",
    "NonBlank",
    "Stage",
    "TextStage",
    "TextWalkStage",
    "Verdict",
    "Walk",
    "WalkStage",
    "allow_commands",
    "annotate",
    "change",
    "drop",
    "further_roles",
    "refuse_same_notes",
    "refuse_taken_notes",
    "require_metadata",
    "texts_in",
    "texts_of",
    "with_texts",
]

NOT_ALLOWED = "command: It runs what a model wrote. If that is what you want, allow it with --allow-commands (allow_commands=True)."
# Who made a row (`text_source: synthetic` and its like in other kinds) is known by name, because in a file it is a string like others.
WHO_MADE_IT = frozenset(f"{what}_source" for what in ("text", "label", "preference", "mcq", "pipeline", "instruction"))
_ABOUT_THE_ROW = frozenset({"uuid", "language", "label", "metadata", "role", "tool_call_id", "tools", *WHO_MADE_IT})
_MODEL_ID = "model_id"


F = TypeVar("F")


class BaseStage(ConfigModel):
    """What all stages have in common. Derive from `Stage` or `WalkStage`."""

    stage: str
    """The name of the stage."""

    @property
    def name(self) -> str:
        return self.stage

    @property
    def noted_as(self) -> Collection[str]:
        """The names under which it adds to `metadata`. No two stages of a config have the same."""
        return ()

    @property
    def runs_commands(self) -> bool:
        """Whether it runs programs over what models wrote. Then it decides only after `allow_commands`."""
        return False

    def allow_commands(self) -> None:
        """The user allows it to run programs."""

    def check(self, row_model: type[BaseModel]) -> None:
        """Checks that the stage can decide about rows of this model. Raises ConfigError; its message may begin with the wrong field."""

    def files(self) -> Iterator[Path]:
        """The files that it reads, none of which a run may write."""
        yield from ()

    def settings(self) -> dict[str, Any]:
        """The settings that its verdicts depend on, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True) | {"stage": self.stage}


class Stage(BaseStage):
    """Base of stages that look at one row. Subclasses say which rows are dropped, and what is changed in others."""

    @abstractmethod
    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        """Says whether a row is written: `KEEP`, or `drop(reason)`; with `change(...)` or `annotate(...)` it is written otherwise."""


class WalkStage(BaseStage, Generic[F]):
    """Base of stages that compare a row with those that were kept before it. `F` is what they look at of a row: its features.

    Subclasses say what the features are, and what a walk does with them.
    """

    compares_live: ClassVar[bool] = True
    """Whether rows may also be compared as they come, for an estimate; not where features cost much."""

    @abstractmethod
    def features(self, rows: Sequence[BaseModel]) -> Sequence[F]:
        """The features of each row. They may depend on that row alone; rows come in batches, for libraries that work on many at once."""

    @abstractmethod
    def walk(self) -> Walk[F]:
        """A walk from the beginning, with nothing kept yet but what the stage knows by itself."""


class _Texts(BaseStage):
    """Stages that look at the texts of a row."""

    field: NonBlank | None = None
    """The field that is looked at; all fields that hold text where none is given."""

    def check(self, row_model: type[BaseModel]) -> None:
        if self.field is not None and self.field not in row_model.model_fields:
            hint = did_you_mean(self.field, row_model.model_fields)
            raise ConfigError(f"field: Rows have no field {self.field!r}. {hint}")

    def texts(self, row: BaseModel) -> list[str]:
        """The texts of a row that are looked at."""
        return texts_of(row, self.field)


class TextStage(_Texts, Stage):
    """Base of stages that look at the texts of one row."""


class TextWalkStage(_Texts, WalkStage[F], Generic[F]):
    """Base of stages that compare the texts of a row with those of rows that were kept before it."""


class ModelStage(Stage):
    """Base of stages that ask models. Their calls are recorded with the item of the row, and paid for once."""

    providers: list[ProviderSpec] = Field(min_length=1)
    """Who is asked: one or several providers, as under `providers` of a config."""

    def check_writers(self, writers: Sequence[Sequence[str]]) -> None:
        """Checks that the stage can ask somebody about rows of these writers. Raises ConfigError, as `check`.

        Args:
            writers: of each route, who may write a row there, as `provider/model_id`.
        """

    @property
    def asks(self) -> bool:
        return True

    @property
    def roles(self) -> list[str]:
        """The role in which each provider is asked."""
        return [_role(self.stage, named_provider(provider)) for provider in self.providers]

    @abstractmethod
    async def ask(self, row: BaseModel, item: WorkItem, generate: Generate) -> Verdict:
        """Says whether a row is written, as `decide` does, by what `generate` answers in the stage's `roles`. The same question about a
        row is asked once, whatever other stages there are.

        Raises:
            CallFailed: no usable answer came. The row has failed then, and is not written.
        """

    def decide(self, row: BaseModel, item: WorkItem) -> Verdict:
        """It does not decide without asking."""
        raise TypeError(f"The stage {self.stage!r} asks models. Use ask().")


def allow_commands(stages: Sequence[BaseStage], *, allowed: bool) -> None:
    """Lets the stages run programs, or refuses those that would.

    Raises:
        ConfigError: a stage runs programs, and that is not allowed.
    """
    for number, stage in enumerate(stages):
        if stage.runs_commands:
            if not allowed:
                raise ConfigError(f"quality[{number}]: {NOT_ALLOWED}", key="quality")
            stage.allow_commands()


def refuse_same_notes(stages: Sequence[BaseStage]) -> None:
    """Raises ValueError where a stage adds to `metadata` what one before it has added there."""
    taken: dict[str, int] = {}
    for number, stage in enumerate(stages):
        for name in stage.noted_as:
            if name in taken:
                raise ValueError(
                    f"quality[{number}]: metadata.{name} is what quality[{taken[name]}] adds already. Give it another name, or leave one "
                    "out."
                )
            taken[name] = number


def refuse_taken_notes(stages: Sequence[BaseStage], names: Collection[str]) -> None:
    """Raises ValueError where a stage adds to `metadata` under one of these names, which rows have there already."""
    for number, stage in enumerate(stages):
        for name in stage.noted_as:
            if name in names:
                raise ValueError(
                    f"quality[{number}]: The metadata of rows already has a {name}, which would be lost. Choose another name."
                )


def further_roles(stages: Sequence[BaseStage]) -> list[FurtherRole]:
    """The roles that the stages of a config ask.

    Raises:
        ValueError: two of them ask what counts as the same model, with other options.
    """
    found: dict[str, FurtherRole] = {}
    for number, stage in enumerate(stages):
        if not isinstance(stage, ModelStage):
            continue
        roles = stage.roles
        for place, (role, provider) in enumerate(zip(roles, stage.providers, strict=True)):
            if role in roles[:place]:
                raise ValueError(
                    f"quality[{number}].providers[{place}]: {named_provider(provider).label} is there twice. Leave it out, or give it a "
                    f"name of its own (name: ...)."
                )
            known = found.setdefault(role, FurtherRole(role, provider, role, ("quality", number, "providers", place)))
            if not named_provider(provider).agrees_with(named_provider(known.provider)):
                raise ValueError(
                    f"quality[{number}].providers[{place}]: {named_provider(provider).label} is named before, with other options. Give "
                    f"both the same ones, or this one a name of its own (name: ...)."
                )
    return list(found.values())


def _role(stage: str, provider: LLMProvider) -> str:
    """The role in which a stage asks a provider: the same wherever both stand, so that calls are found again."""
    plain = {"provider": provider.provider_name, "model_id": provider.model_id, "name": provider.name}
    told = {name: value for name, value in orjson.loads(provider.identity).items() if plain.get(name) != value}
    mark = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    apart = f" {blake2b(mark, digest_size=3).hexdigest()}" if told else ""
    return f"{stage} {provider.name or provider.label}{apart}"


def require_metadata(row_model: type[BaseModel], field: str) -> None:
    """Raises ConfigError if rows have no `metadata` for what a stage with this field adds to it."""
    if METADATA not in row_model.model_fields:
        raise ConfigError(f"{field}: Rows have no field 'metadata' that it could be added to. Leave {field} out.")


def texts_of(row: BaseModel, field: str | None = None) -> list[str]:
    """The texts of a row, in all fields or in one; without information about the row (ids, language, label, metadata, and the fields
    that the row model itself lists in `about_the_row`)."""
    found: list[str] = []
    for name in _text_fields(type(row)) if field is None else (field,):
        value = getattr(row, name)
        if type(value) is str:
            found.append(value)
        elif type(value) not in _WITHOUT_TEXT:
            _add_texts(value, found)
    return found


def texts_in(row: Mapping[str, Any], about: Collection[str] = ()) -> Iterator[str]:
    """The texts of a row as it stands in a file. `about`: more fields that are about the row."""
    for name, value in row.items():
        if name not in about and _says_something(name):
            found: list[str] = []
            _add_texts(value, found)
            yield from found


def with_texts(row: BaseModel, make: Callable[[str], str], field: str | None = None) -> dict[str, Any]:
    """The fields of a row that have another value where `make` has made others of the texts that `texts_of` gives, with that value."""
    names = _text_fields(type(row)) if field is None else (field,)
    made = {name: _with_texts(getattr(row, name), make) for name in names}
    return {name: value for name, value in made.items() if value != getattr(row, name)}


@lru_cache(maxsize=256)
def _text_fields(row_model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of such rows that say something. All stages ask for them, of every row."""
    about: Collection[str] = getattr(row_model, "about_the_row", ())
    return tuple(name for name in row_model.model_fields if name not in about and _says_something(name))


def _says_something(name: str) -> bool:
    return name not in _ABOUT_THE_ROW and not name.endswith(_MODEL_ID)


_WITHOUT_TEXT = (type(None), int, float, bool)


def _add_texts(value: object, found: list[str]) -> None:
    """Adds the texts in a value to those found."""
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, BaseModel):
        found += texts_of(value)
    elif isinstance(value, dict | Mapping):  # the first is told from others far faster
        for name, part in value.items():
            if type(part) not in _WITHOUT_TEXT and _says_something(str(name)):
                _add_texts(part, found)
    elif isinstance(value, list | tuple):
        for part in value:
            _add_texts(part, found)


def _with_texts(value: Any, make: Callable[[str], str]) -> Any:
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        return make(value)
    if isinstance(value, BaseModel):
        return value.model_copy(update=with_texts(value, make))
    if isinstance(value, Mapping):
        return {name: _with_texts(part, make) if _says_something(str(name)) else part for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_with_texts(part, make) for part in value]
    return value
