"""The common base of the configs of all kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticSerializationError

from datafast._util.config_model import Accepts, ConfigModel, NonBlank, Seed, UserPath, default_of
from datafast._util.notify import nearest, warn_user
from datafast._util.remote import RemoteUrl, refuse_unknown_scheme, remote_url
from datafast.datasets.card.config import CardConfig
from datafast.datasets.inputs import origin_names, sources_of
from datafast.datasets.pairing import NAMES, SENTENCES, Pair, check_pair, given_names
from datafast.datasets.targets import MIN_ACCEPTANCE, AnyTarget, StopWhen, TargetRows, check_targets
from datafast.engine.alarms import AlarmsConfig
from datafast.engine.reasoning import KEY, METADATA, Place
from datafast.engine.routes import FurtherRole
from datafast.engine.settings import RunConfig
from datafast.judging.best_of_n import BestOfN
from datafast.personas.config import PersonasConfig, grown_file
from datafast.personas.field import PersonaInput
from datafast.plan.defaults import DefaultPrompts, Edition, PromptText, editions
from datafast.plan.expansion import Expansion, ExpansionSpec, Strategy, clean_placeholders, resolve_strategy
from datafast.plan.template import Template
from datafast.quality.base import WalkStage, further_roles, refuse_same_notes, refuse_taken_notes
from datafast.quality.registry import AnyStage
from datafast.sources.field import TextInput
from datafast.storage.spool import spooled_paths
from datafast.store.paths import OutputPaths, UsedFile
from datafast.store.review_state import Disagreement

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["DatasetConfig", "Metadata", "NonBlank", "PromptDatasetConfig", "PromptExpansionConfig", "TemplateNames"]


_COMPRESSED = frozenset([".bz2", ".gz", ".xz", ".zip", ".zst"])
_OTHER_FORMATS = frozenset([".csv", ".tsv", ".parquet", ".xlsx", ".arrow", ".feather"])
"""Endings of files that are not JSON Lines, which is what an output is."""


class PromptExpansionConfig(ConfigModel):
    """How the optional `<<placeholders>>` of prompt templates are filled, anew for each combination of mandatory values."""

    placeholders: dict[str, list[str]] = Field(default_factory=dict)
    """The values of each optional placeholder."""

    combinatorial: bool = True
    """True: every combination. False: `num_random_samples` seeded draws."""

    num_random_samples: int = Field(default=1, ge=1)
    """Prompts per base combination when drawing at random: distinct until all distinct prompts are used up."""

    max_samples: int = Field(default=1000, ge=1)
    """The most prompts per base combination that are accepted. More are refused, never cut."""

    seed: Seed | None = None
    """Seed of the draws; `run.seed` where none is given."""

    strategy: Strategy | None = None
    """combinatorial, random or coverage (few prompts in which every pair, or triple, of values occurs)."""

    strength: Literal[2, 3] = 2
    """For coverage: 2 covers every pair of values, 3 every triple."""

    @field_validator("placeholders", mode="before")
    @classmethod
    def _texts(cls, placeholders: Any) -> Any:
        if isinstance(placeholders, Mapping):
            return {
                name: list(values) for name, values in clean_placeholders(placeholders, field="placeholders").items()
            }
        return placeholders

    @model_validator(mode="after")
    def _consistent(self) -> PromptExpansionConfig:
        explicit = "combinatorial" in self.model_fields_set
        resolved = self.resolved_strategy
        if explicit and self.combinatorial and resolved != "combinatorial":
            raise ValueError(f"combinatorial is true, but strategy is {resolved}. Remove one of them.")
        if resolved == "random" and self.num_random_samples > self.max_samples:
            raise ValueError(
                f"num_random_samples is {self.num_random_samples}, but max_samples is {self.max_samples}. "
                f"Raise max_samples or draw fewer."
            )
        return self

    @model_serializer(mode="wrap")
    def _without_contradiction(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        if dumped.get("strategy") is not None:
            dumped.pop("combinatorial", None)  # the strategy decides, and the dumped config must load again
        return dumped

    @property
    def resolved_strategy(self) -> Strategy:
        return resolve_strategy(self.strategy, combinatorial=self.combinatorial)

    def spec(self, seed: int) -> ExpansionSpec:
        """The spec for `Expansion`; `seed` is the run's, used if the config has none."""
        return ExpansionSpec(
            placeholders={name: tuple(values) for name, values in self.placeholders.items()},
            strategy=self.resolved_strategy,
            num_random_samples=self.num_random_samples,
            max_samples=self.max_samples,
            seed=seed if self.seed is None else self.seed,
            strength=self.strength,
        )


class TemplateNames:
    """The placeholders that a kind fills in one sort of template. The `mandatory` ones must occur, the `optional` ones may."""

    def __init__(self, *mandatory: str, optional: Sequence[str] = ()) -> None:
        self.mandatory = mandatory
        self.optional = tuple(optional)

    def also(self, *names: str) -> TemplateNames:
        """The same, with further names that may occur."""
        return TemplateNames(*self.mandatory, optional=[*self.optional, *names]) if names else self

    def others(self, placeholders: Collection[str]) -> list[str]:
        """Those of the placeholders that the kind does not fill in this sort of template."""
        return [name for name in placeholders if name not in {*self.mandatory, *self.optional}]

    def parse(self, prompt: PromptText, placeholders: Collection[str], *, field: str, remark: bool = True) -> Template:
        return Template.parse(
            prompt.text,
            mandatory=self.mandatory,
            optional=self.optional,
            placeholders=placeholders,
            field=field,
            key=prompt.key,
            remark=remark,
        )


def _default_run() -> Any:
    return RunConfig()


def _no_stages() -> Any:
    return []


class DatasetConfig(ConfigModel):
    """Fields that every kind has."""

    input_fields: ClassVar[tuple[str, ...]] = ()
    """The fields with data of the user's, of which a dataset card tells only how much there is."""

    output_file: Accepts[UserPath, str | Path]
    """The JSONL that rows are appended to, relative to the working directory; or the URL of a remote output: `s3://bucket/rows.jsonl`,
    `gs://...`, `az://...`, `hf://datasets/owner/name/rows.jsonl`, or `file:///mnt/share/rows.jsonl` for a network file system. With
    `--shard`, the folder that all shards are in."""

    run: Accepts[RunConfig, RunConfig | Any] = Field(default_factory=_default_run)
    """How the run is carried out."""

    reasoning: Place = "drop"
    """What models thought on the way to a row. drop: it stands in no row. metadata: under `reasoning` in the row's `metadata`. field: in
    a field `reasoning` of the row. It may be changed at any time; the next run makes the rows again from recorded replies."""

    quality: Accepts[list[AnyStage], Sequence[Any]] = Field(default_factory=_no_stages)
    """Stages that decide, in this order, which rows are written: `[{stage: length, min_words: 40}]`."""

    regenerate: int = Field(default=0, ge=0, le=100)
    """How often a row that stages drop is made again, at the cost of its calls. The first that they keep is written."""

    disagreement: Disagreement = "reject"
    """Whether a row is taken about which reviewers disagree. reject: one rejection is enough. majority: what more of them say; where as
    many say each, the stages decide. newest: what was said last."""

    alarms: Accepts[AlarmsConfig | None, AlarmsConfig | Mapping[str, Any] | None] = default_of(None)
    """When a run warns, pauses or stops by itself: `{refusal_rate: 0.2, near_duplicates: 0.3, after: 200, action: stop}`."""

    card: Accepts[CardConfig | None, CardConfig | Mapping[str, Any] | None] = default_of(None)
    """What the dataset card says on the Hub: `{license: cc-by-4.0, inputs: none}`. It changes no row."""

    @classmethod
    def hint_for(cls, name: str) -> str:
        from datafast.llms.options import OPTION_SCHEMAS

        if name == "dataset_type":
            return "The class of the config says it. Leave it out."
        meant = nearest(name, [*cls.model_fields, *RunConfig.model_fields, *OPTION_SCHEMAS])
        if meant in cls.model_fields or meant is None:
            return super().hint_for(name)
        if meant in RunConfig.model_fields:
            return f"It belongs under run: run: {{{meant}: ...}}."
        return f"It is a parameter of providers. Give it to the provider{'' if meant == name else f', as {meant}'}."

    @field_validator("output_file")
    @classmethod
    def checked_output(cls, path: Path) -> Path:
        """The path, if an output can lie there.

        Raises:
            ValueError: it has no name, or that of a file in another format.
        """
        refuse_unknown_scheme(path)
        remote_url(path)
        if not path.name:
            raise ValueError("expected the name of a file, for example rows.jsonl.")
        if path.suffix.lower() in _COMPRESSED:
            raise ValueError(f"{path.name} would hold JSON Lines that are not compressed. Name it {path.stem}.")
        if path.suffix.lower() in _OTHER_FORMATS:
            raise ValueError(
                f"Rows are written as JSON Lines, also into {path.name}. Name it {path.stem}.jsonl; "
                f"dataset.save({path.name!r}) writes the rows in that format."
            )
        return path

    @model_validator(mode="after")
    def _stages_agree(self) -> DatasetConfig:
        further_roles(self.quality)
        refuse_same_notes(self.quality)
        return self

    @model_validator(mode="after")
    def _has_one_ledger(self) -> DatasetConfig:
        if self.run.ledger_path is not None and self.url is not None:
            raise ValueError(
                "run.ledger: The ledger of a remote output is in its spool. Leave it out, or set run.spool to a folder of this machine."
            )
        return self

    @model_validator(mode="after")
    def _can_be_raised(self) -> DatasetConfig:
        compares = any(isinstance(stage, WalkStage) and stage.compares_live for stage in self.quality)
        if self.alarms is not None and self.alarms.near_duplicates is not None and not compares:
            raise ValueError(
                "alarms.near_duplicates: No stage compares rows. Add one under quality: {stage: near_duplicates} or "
                "{stage: exact_duplicates}."
            )
        return self

    @model_validator(mode="after")
    def _can_be_written(self) -> DatasetConfig:
        try:
            self.model_dump_json()
        except PydanticSerializationError:
            for name in type(self).model_fields:
                if not _can_be_encoded(getattr(self, name)):
                    raise ValueError(
                        f"{name}: A text has half a surrogate pair, which no file can hold. Remove it."
                    ) from None
        return self

    @classmethod
    def editions(cls) -> list[Edition]:
        """The editions that items may have in their keys, newest first."""
        return [Edition()]

    def further_roles(self) -> Sequence[FurtherRole]:
        """The roles that this config asks beside those that `generate` is given providers for: those of its stages. A kind with others adds
        them."""
        return further_roles(self.quality)

    def estimate_notes(self) -> Sequence[str]:
        """What an estimate cannot know with this config."""
        return ()

    def remark_on(self, providers: Sequence[LLMProvider]) -> None:
        """Warns of providers that make little sense with this config. None of them is of a further role."""

    @property
    def rows_per_item(self) -> int:
        """The most rows that one item of the plan asks for."""
        return 1

    @field_serializer("output_file", when_used="json")
    def _written_out(self, path: Path) -> str:
        return str(remote_url(path) or path)

    @property
    def paths(self) -> OutputPaths:
        """The files of the output on this machine: those in its spool, if it is remote."""
        url = self.url
        return (
            OutputPaths.of(self.output_file, self.run.ledger_path)
            if url is None
            else spooled_paths(url, self.run.spool)
        )

    @property
    def url(self) -> RemoteUrl | None:
        """Where the output is, if that is not on this machine."""
        return remote_url(self.output_file)

    def used_files(self) -> Iterator[UsedFile]:
        """The files of a run: first those that it only reads."""
        for name, texts in sources_of(self).items():
            for path in texts.files:
                yield UsedFile(name, path, written=False)
        for number, stage in enumerate(self.quality):
            for path in stage.files():
                yield UsedFile(f"quality[{number}]", path, written=False)
        yield from self.paths.used("output_file", "run.ledger" if self.run.ledger_path else "output_file")


class PromptDatasetConfig(DatasetConfig):
    """The fields of kinds that ask in several languages with expanded prompt templates."""

    # A provider that a config names may hold a key in the wrong place, which no error may show.
    model_config = ConfigDict(hide_input_in_errors=True)

    prompt_names: ClassVar[TemplateNames]
    """The placeholders that the kind fills in the expanded templates."""
    prompts_field: ClassVar[str] = "prompts"
    """The field with these templates."""
    default_prompts: ClassVar[DefaultPrompts]
    """The kind's default texts."""
    own_metadata: ClassVar[tuple[str, ...]] = ("prompt_index",)
    """The names that a row's metadata has already, which no placeholder may have."""
    rows_called: ClassVar[str] = ""
    """What metadata call a row of the `source`, in kinds with one."""
    rows_field: ClassVar[str] = "num_samples_per_prompt"
    """The field that says how many rows one call asks for."""
    has_free_text: ClassVar[bool] = False
    """Whether rows hold texts that may be cut, and say so in their metadata with `run.on_truncation: keep`."""
    given_instead: ClassVar[str] = ""
    """The field with texts that stand in the place of what the prompts ask for, in kinds with one: then they are not asked."""
    writer_role: ClassVar[str] = "generator"
    """Who writes the rows, where there are several roles: also judges them, if `best_of_n` names no other judge."""

    languages: dict[str, NonBlank] = Field(default={"en": "English"}, min_length=1)
    """Language codes and names: the code goes into the row, the name into the prompt."""

    expansion: Accepts[PromptExpansionConfig | None, PromptExpansionConfig | Any] = default_of(None)
    """How optional `<<placeholders>>` of the prompts are filled."""

    num_rows: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """Exactly this many rows in all, drawn from all combinations and spread evenly over every dimension and the providers. More
    rows later leave those that are there as they are. Without it there are rows for every combination."""

    target_rows: Accepts[AnyTarget | None, int | TargetRows | Mapping[str, Any] | None] = default_of(None)
    """So many rows are to be accepted: written, and not dropped by a stage. A number in all, or by stratum: `{by: label, each: 800}`,
    `{by: [language, label], each: 100}`, `{by: language, rows: {en: 1000, fr: 500}}`. Further rows are drawn until they are there."""

    min_acceptance: float = Field(default=MIN_ACCEPTANCE, gt=0, lt=1)
    """The share of accepted rows below which no more are drawn for a target: it is given up once that is 95 % certain."""

    stop_when: Accepts[StopWhen | None, StopWhen | Mapping[str, Any] | None] = default_of(None)
    """When else no more rows are drawn for a target: `{near_duplicates_above: 0.5}`."""

    personas: Accepts[
        Annotated[Sequence[str] | PersonasConfig, PersonaInput()] | None, Iterable[Any] | Path | PersonasConfig | None
    ] = default_of(None)
    """People from whose point of view rows are written: a line about each, without a name. A list, a file, a source with its column, or
    describe and count to grow them. Prompts have one as {persona}; the default ones tell it."""

    seed_texts: Accepts[Annotated[Sequence[str], TextInput("seed_text")] | None, Iterable[Any] | Path | None] = (
        default_of(None)
    )
    """Texts that give rows a direction. A list, a file, or a source with its column. Prompts have one as {seed_text}; the default ones
    tell it."""

    pair: Pair | dict[Literal["personas", "seed_texts"], Pair] | None = None
    """How personas and seed texts meet prompts, or one for each of them. all: every prompt with each one, which is so where it is not
    said. random: every prompt with one that is drawn. cycle: every prompt with one, in turn."""

    keep_repeats: bool = False
    """Take a text (or question, or conversation) as often as the replies to a prompt hold it. Without it the further ones count as
    missing."""

    best_of_n: Accepts[BestOfN | None, BestOfN | Mapping[str, Any] | None] = default_of(None)
    """Make each row several times, and take the best: `{n: 4, judge: {rubric: ...}}`, or the first that passes: `{n: 4, check: ...}`."""

    tell_why_dropped: bool = False
    """With `regenerate`: tell the model why stages have dropped the rows that it is to write again."""

    _built: Expansion | None = PrivateAttr(default=None)

    @property
    def is_drawn(self) -> bool:
        """Whether rows are drawn from all combinations, as many as it takes."""
        return self.num_rows is not None or self.target_rows is not None

    @property
    def metadata_names(self) -> set[str]:
        """What stands in the metadata of rows, beside the values of placeholders."""
        found = {*self.own_metadata, *origin_names(self), *given_names(self)}
        if self.best_of_n:
            found.add("best_of_n")
        if self.has_free_text and self.run.on_truncation == "keep":
            found.add("truncated")
        if self.reasoning == METADATA:
            found.add(KEY)
        return found

    def _check_telling(self) -> None:
        given = self.given_instead
        if self.tell_why_dropped and not self.regenerate:
            raise ValueError("tell_why_dropped: No dropped row is made again. Set regenerate, or leave it out.")
        if self.tell_why_dropped and given and getattr(self, given) is not None:
            raise ValueError(f"tell_why_dropped: With {given}, nobody is asked for them. Leave one of them out.")

    @model_validator(mode="after")
    def _prompts_fit(self) -> PromptDatasetConfig:
        check_pair(self)
        check_targets(self)
        self._check_telling()
        own = self.metadata_names
        for name in self.placeholders:
            if name in own:
                raise ValueError(
                    f"{self.placeholder_field(name)}: The metadata of rows already has a {name}. Choose another name."
                )
        refuse_taken_notes(self.quality, {*own, *self.placeholders})
        self._built = self._build_expansion(self.editions()[0])
        self._check_given(self._built.templates)
        self._remark_on_system_messages()
        self._remark_on_coverage(self._built)
        return self

    def used_files(self) -> Iterator[UsedFile]:
        yield from super().used_files()
        if isinstance(self.personas, PersonasConfig):
            file = OutputPaths.of(grown_file(self.personas, self.paths.rows))
            yield from file.used("personas.file", "personas.file")

    def _check_given(self, templates: Sequence[Template]) -> None:
        """Raises ValueError where a prompt would be sent again and again, because it does not tell what it is paired with."""
        elsewhere = {name for template in self.other_templates(self.editions()[0]) for name in template.kind_names}
        for name in given_names(self):
            for number, template in enumerate(templates):
                if name not in template.kind_names and name not in elsewhere:
                    raise ValueError(
                        f"{self.template_field(number)}: {{{name}}} is missing, and {name}s are given. Add it, or leave {name}s out."
                    )

    def _remark_on_coverage(self, expansion: Expansion) -> None:
        if self.num_rows is None or expansion.spec.strategy != "coverage":
            return
        calls = -(-self.num_rows // self.rows_per_item)
        if calls < expansion.size:
            warn_user(
                f"num_rows: {self.num_rows:,} rows come from {calls:,} prompts, and covering the values of the placeholders takes "
                f"{expansion.size:,}. Raise num_rows, ask for fewer rows with one prompt ({self.rows_field}), or leave coverage out."
            )

    def _remark_on_system_messages(self) -> None:
        for field in type(self).model_fields:
            value = getattr(self, field) if field.endswith("system_prompt") else None
            text = "\n".join(value.values()) if isinstance(value, Mapping) else value or ""
            if found := [f"<<{name}>>" for name in self.placeholders if f"<<{name}>>" in text]:
                warn_user(
                    f"{field}: Nothing is filled into system messages, so {', '.join(found)} is sent as it stands. Put it into a prompt.",
                )

    def further_roles(self) -> Sequence[FurtherRole]:
        judges = [] if self.best_of_n is None else self.best_of_n.further_roles(self.writer_role)
        return [*super().further_roles(), *judges]

    def estimate_notes(self) -> Sequence[str]:
        choice = self.best_of_n
        if choice is None or choice.check is None:
            return ()
        if choice.judge is not None:
            return ["How many candidates pass the check of best_of_n, and are judged, is that of simulated texts."]
        return [
            f"The check of best_of_n takes 1 to {choice.n} candidates; here it has as many as simulated texts take."
        ]

    def remark_on(self, providers: Sequence[LLMProvider]) -> None:
        for provider in providers if self.best_of_n is not None else ():
            if provider.temperature == 0 and not provider.simulated:
                warn_user(
                    f"best_of_n: The temperature of {provider.label} is 0, so all candidates may be the same. Raise it, or leave it out."
                )

    @property
    def rows_per_item(self) -> int:
        return int(getattr(self, self.rows_field))

    @property
    def names_in_prompts(self) -> TemplateNames:
        """The placeholders that the kind fills in the expanded templates: `prompt_names`, unless they depend on the config."""
        return self.prompt_names

    def template_texts(self, edition: Edition) -> list[PromptText]:
        """The templates that are expanded: the user's, else the kind's default ones."""
        own = getattr(self, self.prompts_field)
        return [PromptText(text) for text in own] if own else edition.texts(self.prompts_field)

    def template_field(self, number: int) -> str:
        """The field of a template, for messages."""
        return f"{self.prompts_field}[{number}]"

    @classmethod
    def editions(cls) -> list[Edition]:
        return editions(cls.default_prompts)

    def prompt_expansion(self) -> Expansion:
        """The prompt variants of one base combination."""
        if self._built is None or self._built.spec != self._expansion_spec():
            self._built = self._build_expansion(self.editions()[0])  # run.seed has changed since the config was made
        return self._built

    def former_expansion(self, edition: Edition) -> Expansion:
        """The same in an earlier edition."""
        current = self.prompt_expansion()
        same = [template.keyed for template in current.templates] == [text.keyed for text in self._texts(edition)]
        return current if same else self._build_expansion(edition, remark=False)

    @property
    def paired_fields(self) -> Sequence[str]:
        """The fields whose values prompts are paired with: `personas`, `seed_texts`, where they are given."""
        return [field for field in NAMES if getattr(self, field) is not None]

    @property
    def varied(self) -> PromptExpansionConfig:
        """How the prompts are expanded."""
        return self.expansion or PromptExpansionConfig()

    @property
    def placeholders(self) -> Collection[str]:
        """The names of the optional placeholders."""
        return self.expansion.placeholders if self.expansion else ()

    def placeholder_field(self, name: str) -> str:
        """The field with the values of an optional placeholder, for messages."""
        return f"expansion.placeholders.{name}"

    def other_templates(self, edition: Edition) -> Sequence[Template]:
        """The templates that belong to every expanded one and are varied with it."""
        return ()

    def other_placeholders(self, edition: Edition) -> Sequence[str]:
        """The optional placeholders of these."""
        return [name for template in self.other_templates(edition) for name in template.placeholder_names]

    def filled(self, names: TemplateNames) -> TemplateNames:
        """What the kind fills in a sort of template, with the personas and seed texts of this config."""
        return names.also(*given_names(self))

    def with_given(self, text: PromptText, edition: Edition) -> PromptText:
        """A default text, with a sentence for the persona and one for the seed text where they are given."""
        known = edition.prompts.texts if edition.prompts is not None else {}
        told = [
            edition.texts(name)[0] if name in known else PromptText(SENTENCES[name][0]) for name in given_names(self)
        ]
        return PromptText.joined([text, *told], "\n\n") if told else text

    @property
    def tells_given(self) -> bool:
        """Whether the kind's own texts are expanded, and tell the persona and the seed text."""
        return getattr(self, self.prompts_field) is None

    def _texts(self, edition: Edition) -> list[PromptText]:
        texts = self.template_texts(edition)
        return [self.with_given(text, edition) for text in texts] if self.tells_given else texts

    def _build_expansion(self, edition: Edition, *, remark: bool = True) -> Expansion:
        others = self.other_placeholders(edition)
        names = self.filled(self.names_in_prompts)
        templates = [
            names.parse(text, self.placeholders, field=self.template_field(number), remark=remark).varied_by(others)
            for number, text in enumerate(self._texts(edition))
        ]
        return Expansion(templates, self._expansion_spec(), remark=remark, drawn=self.is_drawn)

    def _expansion_spec(self) -> ExpansionSpec:
        return self.varied.spec(self.run.seed)


def _can_be_encoded(value: object) -> bool:
    """Whether UTF-8 can hold every text in a value."""
    if isinstance(value, BaseModel):
        return all(_can_be_encoded(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return all(_can_be_encoded(key) and _can_be_encoded(part) for key, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_can_be_encoded, value))
    if isinstance(value, str | Path):
        try:
            str(value).encode()
        except UnicodeEncodeError:
            return False
    return True


Metadata = dict[str, str | bool | int | float | dict[str, Any] | None]
