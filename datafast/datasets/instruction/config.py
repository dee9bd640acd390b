"""What an instruction dataset is made of: its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from datafast._util.config_model import Accepts, UserPath, default_of
from datafast._util.notify import did_you_mean
from datafast.datasets.config import NonBlank, TemplateNames
from datafast.datasets.documents import same
from datafast.datasets.guided import GuidedConfig
from datafast.datasets.instruction.evolution import ROLE as EVOLUTION
from datafast.datasets.instruction.evolution import InstructionEvolution, WithInput
from datafast.datasets.instruction.prompts import DEFAULTS
from datafast.datasets.instruction.seeds import GivenTasks
from datafast.datasets.topical import TopicalConfig
from datafast.engine.routes import FurtherRole
from datafast.judging import JudgeFields
from datafast.judging.best_of_n import judges_of
from datafast.llms.spec import ProviderSpec, named_provider
from datafast.plan.defaults import Edition, PromptText
from datafast.plan.template import Template
from datafast.sources.field import RowInput, spool_beside
from datafast.store.paths import UsedFile
from datafast.topics.field import TopicSource

__all__ = ["RESPONSE", "WRITER", "InstructionDatasetConfig", "InstructionJudge"]

WRITER, RESPONSE, JUDGE = "instruction", "response", "judge"


class InstructionJudge(JudgeFields):
    """How responses are judged."""

    providers: list[ProviderSpec] | dict[NonBlank, ProviderSpec] | None = Field(default=None, min_length=1)
    """Who judges: one or several providers, as under `providers`, or a mapping of names to them. Without it there is one judge, in the role
    `judge`."""

    prompt: NonBlank | None = None
    """Template of what judges see, with {instruction} and {response}; {input} may occur. Without it, {instruction} has the input below."""

    min_score: int | float | None = Field(default=None, allow_inf_nan=False)
    """Rows with a lower score, the mean of all judges, are filtered out."""

    @model_validator(mode="after")
    def _fits_scale(self) -> InstructionJudge:
        if self.min_score is not None and not self.min <= self.min_score <= self.max:
            raise ValueError(f"min_score: {self.min_score} is not between min, {self.min}, and max, {self.max}.")
        for name in self.by_name:
            if name in (WRITER, EVOLUTION, RESPONSE):
                raise ValueError(f"providers.{name}: This is another role. Choose another name.")
        return self

    @property
    def by_name(self) -> Mapping[str, Any]:
        """The provider of each judge by its name, which is its role; None for that of the role."""
        return {JUDGE: None} if self.providers is None else judges_of(self.providers)

    @property
    def told(self) -> list[str]:
        """Who judges, as it is in the keys of items."""
        return [
            name if spec is None else f"{name}={named_provider(spec).identity}" for name, spec in self.by_name.items()
        ]


class InstructionDatasetConfig(TopicalConfig, GuidedConfig):
    """What an instruction dataset is made of: rows = topics, seed tasks or instructions x languages x expanded prompts x samples x
    providers."""

    given_instead = "instructions"
    default_prompts = DEFAULTS
    writer_role: ClassVar[str] = RESPONSE
    own_metadata: ClassVar[tuple[str, ...]] = ("prompt_index", "topic", "topic_path", "seed_task", "truncated")
    input_fields = ("seed_tasks", "instructions")
    guidance_told = "What the tasks and the responses to them should be like, of which you write the tasks alone:"

    topics: TopicSource | None = None
    """What instructions are about: a list, nested topics, a file, a source, or topic_prompt, degree and depth to grow them from."""

    seed_tasks: RowInput = None
    """Tasks that show what new ones should be like: texts, or rows with an `instruction` and perhaps an `input`; a list, a file, or a
    source. Each leads prompts of its own; with `topics` they are only shown."""

    instructions: RowInput = None
    """In the place of both: instructions that are evolved and answered as they are, in the same forms."""

    num_seed_tasks: int = Field(default=3, ge=1, le=100)
    """Seed tasks in one prompt, drawn anew for each by the seed."""

    with_input: WithInput = "sometimes"
    """Whether new tasks have an input, such as a text to work on, beside the instruction: never, sometimes (as the model sees fit), or
    always."""

    num_samples_per_prompt: int = Field(default=3, ge=1, le=1000)
    """Instructions that one call asks for."""
    output_file: Accepts[UserPath, str | Path] = default_of(Path("instructions.jsonl"))
    """The JSONL that rows are appended to, relative to the working directory."""

    evolution: Accepts[InstructionEvolution | None, InstructionEvolution | Any] = default_of(None)
    """How instructions evolve before they are answered; without it they do not."""

    judge: Accepts[InstructionJudge | None, InstructionJudge | Any] = default_of(None)
    """How responses are judged; without it they are not."""

    prompts: list[NonBlank] | None = Field(default=None, min_length=1)
    """Templates of new instructions, with {num_samples}, {language_name} and, as they are given, {topic} and {seed_tasks}. What is said
    about inputs comes by itself."""

    response_prompt: NonBlank | None = None
    """Template of what is answered, with {instruction}; {input} and {language_name} may occur. Without {input}, {instruction} has it below.
    By default the task itself."""

    system_prompt: NonBlank | dict[str, NonBlank] | None = None
    """A system message for every call, or one for each role: instruction, evolution, response, judge."""

    _given: GivenTasks | None = PrivateAttr(default=None)
    _opened: Any = PrivateAttr(default=None)
    _folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> InstructionDatasetConfig:
        self._folder = (info.context or {}).get("folder", self._folder)
        self._check_inputs()
        field = "seed_tasks" if self.instructions is None else "instructions"
        if (given := getattr(self, field)) is None:
            self._given = self._opened = None
        elif self._given is None or not same(self._opened, given):
            spool = spool_beside(self.paths.rows, self.run)
            self._given, self._opened = GivenTasks(given, field, folder=self._folder, spool=spool), given
        if self.evolution is not None:
            self.evolution.operations(self.with_input)
        for role in self.system_prompt if isinstance(self.system_prompt, dict) else ():
            if role not in (roles := [*self.roles, *self.judges]):
                raise ValueError(f"system_prompt: There is no role {role!r}. {did_you_mean(role, roles)}")
        self.role_templates(self.editions()[0])
        return self

    def _check_inputs(self) -> None:
        about = [name for name in ("topics", "seed_tasks") if getattr(self, name) is not None]
        if isinstance(self.topics, list) and not self.topics:
            raise ValueError("topics: The list is empty. Give at least one topic.")
        if self.instructions is None:
            if not about:
                raise ValueError(
                    "topics: Give topics, seed_tasks, or both; or instructions, which are answered as they are."
                )
            if self._differs("num_seed_tasks") and self.seed_tasks is None:
                raise ValueError("num_seed_tasks: There are no seed_tasks to show. Give some, or leave it out.")
            return
        unused = [*about, *filter(self._differs, ("num_samples_per_prompt", "num_seed_tasks", "prompts"))]
        if unused:
            raise ValueError(f"{unused[0]}: The instructions are given, so none are written. Leave it out.")

    def _differs(self, name: str) -> bool:
        """Whether a field is not as it is by default. A config that was dumped has all fields."""
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    # -- who is asked

    @property
    def roles(self) -> list[str]:
        """The roles that are asked with this config: one provider may answer in all of them, or one in each."""
        writer = [WRITER] if self.instructions is None else []
        evolution = [EVOLUTION] if self.evolution is not None else []
        judge = [JUDGE] if self.judge is not None and self.judge.providers is None else []
        return [*writer, *evolution, RESPONSE, *judge]

    @property
    def judges(self) -> list[str]:
        """The roles that judge."""
        return list(self.judge.by_name) if self.judge is not None else []

    def further_roles(self) -> Sequence[FurtherRole]:
        given = self.judge.providers if self.judge is not None else None
        found = list(super().further_roles())
        for number, (name, spec) in enumerate(judges_of(given).items() if given is not None else ()):
            place = ("judge", "providers", number if isinstance(given, list) else name)
            found.append(FurtherRole(name, spec, like=RESPONSE, place=place))
        return found

    def system_prompt_of(self, role: str) -> str | None:
        return self.system_prompt.get(role) if isinstance(self.system_prompt, dict) else self.system_prompt

    # -- what is asked

    @property
    def given_tasks(self) -> GivenTasks | None:
        """The seed tasks, or the instructions that are given."""
        return self._given

    @property
    def rows_per_task(self) -> int:
        """The rows of one task: more than one where each round of its evolution has its own."""
        return 1 + self.evolution.rounds if self.evolution is not None and self.evolution.keep == "all" else 1

    @property
    def rows_per_item(self) -> int:
        return (self.num_samples_per_prompt if self.instructions is None else 1) * self.rows_per_task

    @property
    def names_in_prompts(self) -> TemplateNames:
        shown = ["seed_tasks"] if self.seed_tasks is not None else []
        about = ["topic"] if self.topics is not None or not shown else []
        given = self.instructions is not None
        return TemplateNames("num_samples", "language_name", *(() if given else (*about, *shown)))

    def template_texts(self, edition: Edition) -> list[PromptText]:
        if self.instructions is not None:
            # Nobody is asked for instructions: this one carries the placeholders of the other prompts.
            return [PromptText("{num_samples} {language_name}", "\0instruction.instructions")]
        if self.prompts is not None or self.seed_tasks is None:
            return super().template_texts(edition)
        return self.guided(edition.texts("prompts like seeds" if self.topics is None else "prompts with both"))

    def form(self, edition: Edition) -> PromptText:
        """The part of every prompt that says whether new tasks have inputs."""
        return edition.texts(f"form {self.with_input}")[0]

    def role_templates(self, edition: Edition, *, remark: bool = True) -> dict[str, Template]:
        """The templates of all sorts of calls but the first: response, gain, judge, and operations of evolution by their names; and
        guidance, which responses are asked for with."""
        return {
            sort: names.parse(
                PromptText(own) if own else edition.texts(field)[0],
                names.others(self.placeholders),
                field=field,
                remark=remark and sort != "guidance",  # the prompts say it
            )
            for sort, (field, own, of_sort) in self._sorts().items()
            for names in [self.filled(of_sort)]
        }

    def _sorts(self) -> dict[str, tuple[str, str | None, TemplateNames]]:
        """The field of each of these templates, its own text, and what it is filled with."""
        about_task = TemplateNames("instruction", optional=["input", "language_name"])
        sorts: dict[str, tuple[str, str | None, TemplateNames]] = {
            "response": ("response_prompt", self.response_prompt, about_task)
        }
        if (evolution := self.evolution) is not None:
            own = evolution.prompts or {}
            for name in evolution.operations(self.with_input):
                sorts[name] = (f"evolution.prompts.{name}", own.get(name), about_task)
            if evolution.information_gain == "model":
                sorts["gain"] = ("evolution.gain_prompt", evolution.gain_prompt, TemplateNames("first", "second"))
        if self.judge is not None:
            names = TemplateNames("instruction", "response", optional=["input"])
            sorts["judge"] = ("judge.prompt", self.judge.prompt, names)
        if self.guidance:
            asks = "\n\nThis person asks:\n\n{persona}" if self.persona_asks else ""
            names = TemplateNames(optional=self.names_in_prompts.mandatory)
            sorts["guidance"] = ("template", f"{self.guidance}{asks}", names)
        return sorts

    def other_templates(self, edition: Edition) -> Sequence[Template]:
        return list(self.role_templates(edition, remark=False).values())

    @property
    def tells_given(self) -> bool:
        return self.instructions is None and super().tells_given

    def template_field(self, number: int) -> str:
        return super().template_field(number) if self.instructions is None else "response_prompt"

    def shape(self, edition: Edition) -> list[str | bytes]:
        """The other settings that prompts and rows depend on."""
        templates = self.role_templates(edition, remark=False)
        told: list[str | bytes] = [f"{sort}={template.keyed}" for sort, template in templates.items()]
        told += [f"{role}:{self.system_prompt_of(role) or ''}" for role in dict.fromkeys([*self.roles, *self.judges])]
        told += self.evolution.told if self.evolution is not None else []
        told += self.template.keyed if self.template is not None else []
        if self.judge is not None:
            told += [self.judge.judged("", self.rubric(edition).keyed), *self.judge.told]
        if self.instructions is None:
            told.append(self.form(edition).keyed)
        if (
            self.seed_tasks is not None
            and self._given is not None
            and (self.topics is not None or self.num_seed_tasks > 1)
        ):
            told += [str(self.num_seed_tasks), self._given.rows.digest]
        return told

    def rubric(self, edition: Edition) -> PromptText:
        """What scores mean to judges."""
        own = self.judge.rubric_text if self.judge is not None else None
        return PromptText(own) if own else edition.texts("judge.rubric")[0]

    def used_files(self) -> Iterator[UsedFile]:
        for file in self._given.rows.files if self._given is not None else ():
            yield UsedFile("seed_tasks" if self.instructions is None else "instructions", file, written=False)
        yield from super().used_files()
