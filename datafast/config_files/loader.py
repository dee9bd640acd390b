"""A dataset from a YAML file: the fields of the kind's config, plus `kind` and `providers`.

Guarantee: everything that is wrong is said at once, each with FILE:LINE, the field, what was expected and the nearest
valid name; nothing is sent and no key is needed to load a config. Keys never stand in it: a literal `api_key` is
refused. Limits: checks that concern several fields together (prompts and their placeholders) come after each field is
right by itself, and name the first fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from datafast._util.config_model import ConfigModel
from datafast._util.notify import did_you_mean, nearest, warn_user
from datafast._util.user_path import is_file
from datafast._util.yaml_file import Place, YamlFile
from datafast._util.yaml_problems import Keys, Problems
from datafast.config_files.deepfabric import layout_of
from datafast.config_files.key_file import load_keys
from datafast.config_files.project import Project
from datafast.datasets.entry import with_stand_ins
from datafast.engine.routes import Route, providers_of, with_further
from datafast.errors import ConfigError
from datafast.llms.local.base import InProcessProvider
from datafast.llms.registry import load_provider, provider_from_spec
from datafast.registry import kind_names, load_kind
from datafast.store.paths import refuse_shared

if TYPE_CHECKING:
    from datafast.config_files.deepfabric.recipe import Layout
    from datafast.datasets.base import Dataset
    from datafast.datasets.config import DatasetConfig
    from datafast.llms.provider import LLMProvider

__all__ = ["load_project", "load_secrets", "project_of_text"]

C = TypeVar("C", bound=BaseModel)

_OWN_FIELDS = ("kind", "providers")
_SECRETS = "secrets.env"


def load_secrets(config: Path, env_file: Path | None) -> Path:
    """Loads keys into the environment: from `env_file`, or from `secrets.env` beside the config where there is one.

    Variables that are set already win.

    Raises:
        ConfigError: `env_file` does not exist, or the file cannot be read.
    """
    path = env_file or config.parent / _SECRETS
    if env_file is not None and not is_file(env_file):
        raise ConfigError(f"There is no file {env_file} (--env-file). Check its name and its folder.")
    if is_file(path):
        load_keys(path)
    return path


def load_project(path: Path, *, env_file: Path | None = None, output: Path | None = None) -> Project:
    """Reads and checks a config.

    Args:
        path: the YAML file.
        env_file: keys; `secrets.env` beside the config by default.
        output: takes the place of the config's `output_file`.

    Raises:
        ConfigError: all that is wrong, one problem a line.
    """
    file = YamlFile(path)
    secrets = load_secrets(path, env_file)
    if output is not None:
        _check_output(output)
    return _Loader(file).load(secrets, output)


def project_of_text(text: str, path: Path) -> Project:
    """Reads and checks a config that is not in its file yet, as `load_project` does. No keys are loaded.

    Args:
        path: where it is to be, for messages and for files that it names.

    Raises:
        FileRefused: all that is wrong, each problem with its place.
    """
    return _Loader(YamlFile(path, text=text)).load(path.parent / _SECRETS, None)


def _check_output(path: Path) -> None:
    from datafast.datasets.config import DatasetConfig

    try:
        DatasetConfig.checked_output(path)
    except ValueError as error:
        raise ConfigError(f"--output: {error}", key="output") from None


class _Loader:
    """Reads one file and gathers what is wrong with it."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._problems = Problems(file)
        # A key with nothing behind it is a section whose lines are commented out.
        self._data = {name: value for name, value in file.data.items() if value is not None}

    def load(self, secrets: Path, output: Path | None) -> Project:
        layout = layout_of(self._data)
        if layout is not None:
            return self._load_recipe(layout, secrets, output)
        dataset_class = self._dataset_class()
        fields = {name: value for name, value in self._data.items() if name not in _OWN_FIELDS}
        if output is not None:
            fields["output_file"] = output
        self._refuse_unknown(fields, dataset_class.config_model)
        config = self._config(dataset_class.config_model, fields)
        providers = self._providers(dataset_class, config)
        if config is not None and isinstance(providers, dict):
            self._check_roles(config, providers)
        own = [] if config is None or providers is None else _routes_of(config, providers)
        if config is not None:
            self._check_rows(dataset_class, config, own)
        if self._problems or config is None or providers is None:
            raise self._problems.refusal()
        keys: Iterable[str | int] = list(providers) if isinstance(providers, dict) else range(len(providers))
        if isinstance(providers, dict) and isinstance(self._data.get("providers"), list):
            keys = [0] if providers else []  # one for all roles
        places = [self._problems.place(["providers", key]) for key in keys]
        routes = with_further(own, config.further_roles())
        named = {id(routes[0].of(further.role)): further.place for further in reversed(config.further_roles())}
        more = providers_of(routes)[len(providers_of(own)) :]
        places += [self._problems.place(list(named[id(provider)])) for provider in more]
        project = Project(self._file.path, secrets, dataset_class, config, routes, places)
        return self._refuse_shared(project, output)

    def _load_recipe(self, layout: type[Layout], secrets: Path, output: Path | None) -> Project:
        """A config in one of DeepFabric's layouts."""
        asked = self._config(layout, self._data)
        if asked is None:
            raise self._problems.refusal()
        try:
            recipe = asked.recipe(self._file.path.parent)
        except (ValueError, ConfigError) as error:
            self._problems.add_text(str(error))
            raise self._problems.refusal() from None
        provider = self._provider(
            list(recipe.writer_places["model_id"][:-1]), recipe.writer, places=recipe.writer_places
        )
        if output is not None:
            recipe.fields["output_file"] = output
        dataset_class = load_kind("conversation")
        config = self._config(dataset_class.config_model, recipe.fields, places=recipe.field_places)
        if config is None or provider is None:
            raise self._problems.refusal()
        places = [self._problems.place(recipe.writer_places["model_id"][:-1])]
        routes = [Route.single(provider)]
        project = Project(self._file.path, secrets, dataset_class, config, routes, places, recipe.exports)
        self._refuse_shared(project, output, {**recipe.field_places, "formatters": recipe.formatters})
        for keys, message in recipe.remarks:
            warn_user(f"{self._problems.place(keys)}: {message}")
        return project

    def _refuse_shared(
        self, project: Project, output: Path | None, places: Mapping[str, Keys] | None = None
    ) -> Project:
        """Refuses a project with a file that is two things at once."""
        try:
            refuse_shared(project.used_files())
        except ConfigError as error:
            what, _, message = str(error).partition(": ")
            if output is not None and what == "output_file":
                raise ConfigError(f"--output: {message}") from None
            first, *rest = what.split(".")
            self._problems.add([*(places or {}).get(first, [first]), *rest], message)
            raise self._problems.refusal() from None
        return project

    def _dataset_class(self) -> type[Any]:
        name = self._data.get("kind")
        if name is None:
            if meant := next((other for other in self._data if nearest(str(other), ["kind"])), None):
                raise self._file.refused(
                    self._file.place_of([meant]), "There is no such field. Did you mean 'kind'?", field=str(meant)
                )
            told = f"The field is missing. Write `kind: raw`, or another of {', '.join(kind_names())}."
            raise self._file.refused(Place(1), told, field="kind")
        try:
            return load_kind(str(name))
        except ConfigError as error:
            raise self._file.refused(self._file.place_of(["kind"]), str(error), field="kind") from None

    def _refuse_unknown(self, fields: dict[str, Any], model: type[ConfigModel]) -> None:
        valid = [*_OWN_FIELDS, *model.model_fields]
        for name in [name for name in self._file.data if name not in valid]:
            known = _OWN_FIELDS if nearest(name, valid) in _OWN_FIELDS else model.model_fields
            hint = did_you_mean(name, known) if known is _OWN_FIELDS else model.hint_for(name)
            self._problems.add([name], f"There is no such field. {hint}")
            if (meant := nearest(name, known)) is not None and hint == did_you_mean(name, known):
                self._problems.take_as_meant(meant)
            fields.pop(name, None)

    def _config(
        self, model: type[C], fields: Mapping[str, Any], *, places: Mapping[str, Keys] | None = None
    ) -> C | None:
        """A checked config; None where there are problems. `places`: where its fields stand, where not under their own names."""
        try:
            # Files that a config names lie where it says, from wherever it is run.
            return model.model_validate(fields, context={"folder": self._file.path.parent})
        except ValidationError as error:
            self._problems.add_errors(error, model, places)
        except ConfigError as error:
            self._problems.add_text(str(error), places=places)
        return None

    def _providers(self, dataset_class: type[Any], config: Any) -> list[LLMProvider] | dict[str, LLMProvider] | None:
        given = self._data.get("providers")
        takes_roles, may_be_by_role = (
            hasattr(dataset_class, "generate_roles"),
            hasattr(dataset_class.config_model, "roles"),
        )
        if may_be_by_role and not takes_roles and isinstance(given, dict) and given and "provider" not in given:
            return self._by_role(given)
        if takes_roles and not given and (config is None or not config.roles):
            return {}
        # Where a config names its roles itself, they are names of providers; others are parts to play.
        named_freely = takes_roles and not dataset_class.provider_keywords
        if named_freely and isinstance(given, list) and len(given) == 1:
            only = self._provider(
                ["providers", 0], given[0]
            )  # which roles there are is not known of a config with problems
            return None if only is None or config is None else dict.fromkeys(config.roles, only)
        if takes_roles:
            if not isinstance(given, dict) or not given or "provider" in given:
                like = "{question: openai/gpt-6-luna, chosen: ...}"
                expected = f"expected who answers in each role, like {like}."
                if named_freely:
                    expected = "expected one provider for all columns, [openai/gpt-6-luna], or one for each name that they give."
                self._problems.add(["providers"], expected)
                return None
            return self._by_role(given)
        if not isinstance(given, list) or not given:
            also = " Or one for each role: {ROLE: openai/gpt-6-luna, ...}." if may_be_by_role else ""
            expected = f"expected a list with at least one provider, like [openai/gpt-6-luna].{also}"
            self._problems.add(["providers"], expected)
            return None
        listed = [self._provider(["providers", number], spec) for number, spec in enumerate(given)]
        return [provider for provider in listed if provider is not None]

    def _by_role(self, given: Mapping[Any, object]) -> dict[str, LLMProvider]:
        made = {role: self._provider(["providers", role], spec) for role, spec in given.items()}
        return {role: provider for role, provider in made.items() if provider is not None}

    def _provider(
        self, keys: list[str | int], spec: object, *, places: Mapping[str, Keys] | None = None
    ) -> LLMProvider | None:
        if isinstance(spec, dict) and "api_key" in spec:
            self._problems.add([*keys, "api_key"], _key_belongs_elsewhere(spec))
            spec = {name: value for name, value in spec.items() if name != "api_key"}
        try:
            return provider_from_spec(spec)  # type: ignore[arg-type]  # it refuses what is neither text nor mapping
        except ConfigError as error:
            field = [error.key] if error.key is not None and isinstance(spec, dict) else []
            place = (places or {}).get(str(error.key), [*keys, *field])
            self._problems.add(place, str(error).removeprefix(f"{error.key}: "), whole=bool(field))
        return None

    def _check_rows(
        self, dataset_class: type[Dataset[Any, Any]], config: DatasetConfig, routes: Sequence[Route[LLMProvider]]
    ) -> None:
        """Finds what does not fit to the rows that the config makes."""
        targets = getattr(config, "target_rows", None)
        if not (config.quality or targets or getattr(config, "best_of_n", None)):
            return
        dataset = dataset_class(config)
        try:
            _ = dataset.producer
            if targets:
                dataset.plan(["any"])
        except ConfigError as why:
            self._problems.add_text(str(why))
        for number, error in dataset.stage_problems(routes):
            self._problems.add_text(str(error), ["quality", number])

    def _check_roles(self, config: Any, given: Mapping[str, LLMProvider]) -> None:
        asked = self._data.get("providers") or {}
        if isinstance(asked, list):
            return
        switches = getattr(config, "role_switches", {})
        missing = [role for role in config.roles if role not in with_stand_ins(config, asked)]
        if missing:
            self._problems.add(
                ["providers"],
                f"No provider is given for {', '.join(missing)}. This config needs {', '.join(config.roles)}.",
            )
        for role in asked:
            if role in config.roles:
                continue
            hint = (
                "It asks no model: leave providers out." if not config.roles else did_you_mean(str(role), config.roles)
            )
            if role in switches:
                hint = f"Set {switches[role]}: true to use it."
            self._problems.add(["providers", role], f"This config has no use for this role. {hint}")
        if config.run.fan_out != "all":
            told = f"It is {config.run.fan_out}, but there is one provider for each role."
            self._problems.add(["run", "fan_out"], f"{told} Leave it out, or give a list of providers.")


def _routes_of(config: Any, providers: Any) -> list[Route[LLMProvider]]:
    """The routes of providers that a file lists, or gives by role."""
    if isinstance(providers, dict):
        return [Route.by_role(with_stand_ins(config, providers))]
    return list(map(Route.single, providers))


def _key_belongs_elsewhere(spec: Mapping[str, Any]) -> str:
    try:
        provider = load_provider(str(spec.get("provider")))
    except ConfigError:  # which is told by itself
        provider = None
    if provider is not None and issubclass(provider, InProcessProvider):
        return "This model runs on this machine and needs no key. Leave it out."
    variable = spec.get("api_key_env") or (provider.env_key_name if provider else None)
    if variable:
        return f"Keys do not belong in a config. Put {variable}=... into secrets.env beside it, or set it in the environment."
    return (
        "Keys do not belong in a config. Put MY_KEY=... into secrets.env beside it, or set it in the environment, "
        "and write api_key_env: MY_KEY."
    )
