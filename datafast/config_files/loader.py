"""A dataset from a YAML file: the fields of the kind's config, plus `kind` and `providers`.

Guarantee: everything that is wrong is said at once, each with FILE:LINE, the field, what was expected and the nearest
valid name; nothing is sent and no key is needed to load a config. Keys never stand in it: a literal `api_key` is
refused. Limits: checks that concern several fields together (prompts and their placeholders) come after each field is
right by itself, and name the first fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from datafast._util.notify import nearest
from datafast.config_files.project import Project
from datafast.config_files.yaml_file import YamlFile
from datafast.errors import ConfigError
from datafast.llms.local.base import InProcessProvider
from datafast.llms.registry import load_provider, provider_from_spec
from datafast.registry import kind_names, load_kind

if TYPE_CHECKING:
    from datafast.llms.provider import LLMProvider

__all__ = ["load_project", "load_secrets"]

Keys = Sequence[str | int]
C = TypeVar("C", bound=BaseModel)

_OWN_FIELDS = ("kind", "providers")
_FIELD_IN_FRONT = re.compile(r"((?:[\w-]+)(?:\.[\w-]+|\[\d+\])*): ")
_STEP = re.compile(r"\[(\d+)\]|([\w-]+)")


def load_secrets(config: Path, env_file: Path | None) -> Path:
    """Loads keys into the environment: from `env_file`, or from `secrets.env` beside the config where there is one.

    Variables that are set already win.

    Raises:
        ConfigError: `env_file` does not exist.
    """
    from dotenv import load_dotenv

    path = env_file or config.parent / "secrets.env"
    if env_file is not None and not env_file.is_file():
        raise ConfigError(f"there is no file {env_file} (--env-file)")
    if path.is_file():
        load_dotenv(path, override=False, encoding="utf-8-sig")
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
    return _Loader(file).load(secrets, output)


class _Loader:
    """Reads one file and gathers what is wrong with it."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._problems: dict[tuple[int, str], list[str]] = {}
        # A key with nothing behind it is a section whose lines are commented out.
        self._data = {name: value for name, value in file.data.items() if value is not None}

    def load(self, secrets: Path, output: Path | None) -> Project:
        if "data_engine" in self._data and "kind" not in self._data:
            return self._load_pipeline(secrets, output)
        dataset_class = self._dataset_class()
        fields = {name: value for name, value in self._data.items() if name not in _OWN_FIELDS}
        if output is not None:
            fields["output_file"] = output
        self._refuse_unknown(fields, dataset_class.config_model.model_fields)
        config = self._config(dataset_class.config_model, fields)
        takes_roles = hasattr(dataset_class, "generate_roles")
        providers = self._providers(takes_roles, config)
        if config is not None and isinstance(providers, dict):
            self._check_roles(config, providers)
        if self._problems or config is None or providers is None:
            raise self._refusal()
        found = providers if isinstance(providers, dict) else dict(enumerate(providers))
        places = [self._place(["providers", key]) for key in found]
        return Project(self._file.path, secrets, dataset_class, config, providers, places)

    def _load_pipeline(self, secrets: Path, output: Path | None) -> Project:
        """A config in DeepFabric's layout."""
        from datafast.config_files.deepfabric import (
            PipelineConfig,
            conversation_fields,
            field_places,
            provider_spec,
            spec_places,
        )

        pipeline = self._config(PipelineConfig, self._data)
        if pipeline is None:
            raise self._refusal()
        provider: LLMProvider | None = None
        creation: list[str | int] = ["dataset", "creation"]
        try:
            provider = self._provider(creation, provider_spec(pipeline), places=spec_places(pipeline))
            fields = conversation_fields(pipeline)
        except ValueError as error:
            self._add_message([], str(error))
            raise self._refusal() from None
        if output is not None:
            fields["output_file"] = output
        dataset_class = load_kind("conversation")
        config = self._config(dataset_class.config_model, fields, places=field_places(pipeline))
        if config is None or provider is None:
            raise self._refusal()
        return Project(self._file.path, secrets, dataset_class, config, [provider], [self._place(creation)])

    # -- parts

    def _dataset_class(self) -> type[Any]:
        name = self._data.get("kind")
        if name is None:
            raise self._file.refused(1, f"kind: is missing; write `kind: raw` (known: {', '.join(kind_names())})")
        try:
            return load_kind(str(name))
        except ConfigError as error:
            raise self._file.refused(self._file.line_of(["kind"]), f"kind: {error}") from None

    def _refuse_unknown(self, fields: dict[str, Any], known: Iterable[str]) -> None:
        valid = [*_OWN_FIELDS, *known]
        for name in [name for name in self._file.data if name not in valid]:
            near = nearest(name, valid)
            self._add(
                [name],
                f"unknown field, did you mean {near!r}?" if near else f"unknown field; valid: {', '.join(valid)}",
            )
            fields.pop(name, None)

    def _config(
        self, model: type[C], fields: Mapping[str, Any], *, places: Mapping[str, Keys] | None = None
    ) -> C | None:
        """A checked config; None where there are problems. `places`: where its fields stand, where not under their own names."""
        try:
            # Files that a config names lie where it says, from wherever it is run.
            return model.model_validate(fields, context={"folder": self._file.path.parent})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                loc = detail["loc"]
                if places and loc:
                    loc = (*places.get(str(loc[0]), loc[:1]), *loc[1:])
                message = _moved(str(detail["msg"]), {} if loc else places or {})
                self._add_detail(model, {**detail, "loc": loc, "msg": message})
        except ConfigError as error:
            self._add_message([], _moved(str(error), places or {}))
        return None

    def _add_detail(self, model: type[BaseModel], detail: Any) -> None:
        keys: list[str | int] = list(detail["loc"])
        if detail["type"] == "missing":
            field = model.model_fields.get(str(keys[0])) if len(keys) == 1 else None
            about = field.description if field else None
            self._add(keys, f"is missing. {about}" if about else "is missing", whole=True)
            return
        self._add_message(keys, _expected(detail))

    def _add_message(self, keys: Keys, message: str) -> None:
        """Adds a message that may begin with the name of the field it is about."""
        known = self._file.known_part(keys)
        match = _FIELD_IN_FRONT.match(message)
        if match:
            steps = [int(number) if number else name for number, name in _STEP.findall(match[1])]
            for base in (known, known[:-1], []):
                if len(self._file.known_part([*base, steps[0]])) > len(base):
                    self._add([*base, *steps], message[match.end() :], whole=True)
                    return
        self._add(known, message)

    def _providers(self, takes_roles: bool, config: Any) -> list[LLMProvider] | dict[str, LLMProvider] | None:
        given = self._data.get("providers")
        if takes_roles and not given and config is not None and not config.roles:
            return {}
        if takes_roles:
            if not isinstance(given, dict) or not given or "provider" in given:
                self._add(
                    ["providers"], "expected who answers in each role, like {question: openai/gpt-5-mini, chosen: ...}"
                )
                return None
            made = {role: self._provider(["providers", role], spec) for role, spec in given.items()}
            return {role: provider for role, provider in made.items() if provider is not None}
        if not isinstance(given, list) or not given:
            self._add(["providers"], "expected a list with at least one provider, like [openai/gpt-5-mini]")
            return None
        listed = [self._provider(["providers", number], spec) for number, spec in enumerate(given)]
        return [provider for provider in listed if provider is not None]

    def _provider(
        self, keys: list[str | int], spec: object, *, places: Mapping[str, Keys] | None = None
    ) -> LLMProvider | None:
        if isinstance(spec, dict) and "api_key" in spec:
            self._add([*keys, "api_key"], _key_belongs_elsewhere(spec))
            spec = {name: value for name, value in spec.items() if name != "api_key"}
        try:
            return provider_from_spec(spec)  # type: ignore[arg-type]  # it refuses what is neither text nor mapping
        except ConfigError as error:
            field = [error.key] if error.key is not None and isinstance(spec, dict) else []
            place = (places or {}).get(str(error.key), [*keys, *field])
            self._add(place, str(error).removeprefix(f"{error.key}: "), whole=bool(field))
        return None

    def _check_roles(self, config: Any, given: Mapping[str, LLMProvider]) -> None:
        asked = self._data.get("providers") or {}
        switches = getattr(config, "role_switches", {})
        missing = [role for role in config.roles if role not in asked]
        if missing:
            self._add(
                ["providers"],
                f"no provider is given for {', '.join(missing)}; this config needs {', '.join(config.roles)}",
            )
        for role in asked:
            if role in config.roles:
                continue
            near = nearest(str(role), config.roles)
            hint = f"set {switches[role]}: true to use it" if role in switches else f"it uses {', '.join(config.roles)}"
            self._add(
                ["providers", role],
                f"this config has no use for this role; {f'did you mean {near!r}?' if near else hint}",
            )

    # -- problems

    def _add(self, keys: Keys, message: str, *, whole: bool = False) -> None:
        """Keeps a problem. The field is shown as far as it is in the file; `whole` shows all of it."""
        shown = keys if whole else self._file.known_part(keys) or keys
        place = (self._file.line_of(keys), _dotted(shown))
        messages = self._problems.setdefault(place, [])
        if message not in messages:
            messages.append(message)

    def _place(self, keys: Keys) -> str:
        return self._file.at(self._file.line_of(keys), _dotted(keys))

    def _refusal(self) -> ConfigError:
        lines = [
            self._file.at(line, f"{field}: {', or '.join(messages)}" if field else ", or ".join(messages))
            for (line, field), messages in sorted(self._problems.items())
        ]
        return ConfigError("\n".join(lines))


def _moved(message: str, places: Mapping[str, Keys]) -> str:
    """A message that begins with a field, with the field's own place in front instead."""
    message = message.removeprefix("Value error, ")
    first = re.match(r"[\w-]+", message)
    if first is None or first[0] not in places or not _FIELD_IN_FRONT.match(message):
        return message
    return _dotted(places[first[0]]) + message[first.end() :]


def _dotted(keys: Keys) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _expected(detail: Any) -> str:
    """pydantic's message in the words of a config file."""
    if detail["type"] == "too_short" and detail["ctx"]["min_length"] == 1:
        return f"the {'mapping' if isinstance(detail['input'], dict) else 'list'} is empty; give at least one entry"
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not message.startswith("Input should be "):
        return message
    what = message.removeprefix("Input should be ").removeprefix("a valid ")
    names = {
        "string": "a text",
        "list": "a list",
        "dictionary": "a mapping",
        "integer": "a whole number",
        "boolean": "true or false",
    }
    first, comma, rest = what.partition(",")
    if first.startswith("dictionary or instance of"):
        first = "dictionary"
    if "unable to" in rest:
        comma = rest = ""
    given = detail["input"]
    hint = "; put it in quotes" if first == "string" and not isinstance(given, list | dict) else ""
    if first == "string" and isinstance(given, dict):
        hint = "; put the whole text in quotes, or write it below a |"
    return f"expected {names.get(first, first)}{comma}{rest}, got {_shown(given)}{hint}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _key_belongs_elsewhere(spec: Mapping[str, Any]) -> str:
    try:
        provider = load_provider(str(spec.get("provider")))
    except ConfigError:  # which is told by itself
        provider = None
    if provider is not None and issubclass(provider, InProcessProvider):
        return "this model runs on this machine and needs no key; leave it out"
    variable = spec.get("api_key_env") or (provider.env_key_name if provider else None)
    if variable:
        return f"keys do not belong into a config; put {variable}=... into secrets.env beside it (or set it in the environment)"
    return (
        "keys do not belong into a config; put MY_KEY=... into secrets.env beside it (or set it in the environment) "
        "and write api_key_env: MY_KEY"
    )
