"""What a config in one of DeepFabric's layouts asks for, in our terms, and the parts that the layouts share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datafast._util.config_model import ConfigModel
from datafast._util.yaml_problems import Keys
from datafast.config_files.project import Export
from datafast.engine.settings import RunConfig
from datafast.facades.deepfabric.forms import FORMS, form_of
from datafast.facades.deepfabric.rate_limit import RateLimit
from datafast.facades.deepfabric.tools import as_openai, tools_in
from datafast.llms.registry import parted

__all__ = ["Layout", "Recipe", "Remarks", "defined_tools", "other_files", "renamed", "run_fields", "spec_of"]

Remarks = list[tuple[Keys, str]]


@dataclass
class Recipe:
    """A conversation dataset and who writes it.

    Attributes:
        writer: who writes the rows, as `provider_from_spec` takes it.
        fields: of a `ConversationDatasetConfig`.
        writer_places, field_places: where these stand in the file.
        formatters: where the other files stand. exports: those that the rows are saved to.
        remarks: what has no effect, with the keys of its place.
    """

    writer: dict[str, Any]
    fields: dict[str, Any]
    writer_places: dict[str, Keys]
    field_places: dict[str, Keys]
    formatters: Keys
    exports: list[Export] = field(default_factory=list)
    remarks: Remarks = field(default_factory=list)


class Layout(ConfigModel):
    """The whole file."""

    @abstractmethod
    def recipe(self, folder: Path) -> Recipe:
        """What the config asks for; files that it names are in the folder.

        Raises:
            ValueError: sections contradict each other, or ask for what cannot be done; begins with the field.
        """


def renamed(section: Any, names: Mapping[str, str]) -> Any:
    """A section with the fields of its `args`, as in the first versions, and with fields under their later names."""
    if not isinstance(section, Mapping):
        return section
    inner = section.get("args")
    flat = (
        {**{key: value for key, value in section.items() if key != "args"}, **inner}
        if isinstance(inner, Mapping)
        else section
    )
    found = {names.get(key, key): value for key, value in flat.items()}
    provider, model = parted(found.get("provider"), found.get("model"))
    return found if provider == found.get("provider") else {**found, "provider": provider, "model": model}


def spec_of(
    *,
    provider: str,
    model: str,
    temperature: float | None,
    base_url: str | None = None,
    limits: RateLimit | None = None,
    **options: Any,
) -> dict[str, Any]:
    """A provider as `provider_from_spec` takes it. Options that are None are left out."""
    limits = limits or RateLimit()
    given = {
        "timeout": options.pop("timeout", None),
        "api_base": base_url,
        "rpm_limit": limits.max_requests_per_minute,
        "tpm_limit": limits.max_tokens_per_minute,
        **options,
    }
    return {
        "provider": provider,
        "model_id": model,
        "temperature": temperature,
        **{name: value for name, value in given.items() if value is not None},
    }


def run_fields(
    limits: RateLimit, max_retries: int, own: RunConfig | None, *, sample_retries: int | None = None
) -> dict[str, Any]:
    """The settings of the run; those in a section `run` of our own win."""
    given = {
        "max_retries": limits.max_retries if limits.max_retries is not None else max_retries,
        "retry_delay_s": limits.initial_retry_delay,
        "max_retry_delay_s": limits.max_retry_delay,
        "max_parse_retries": sample_retries,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    return {**wanted, **(own.model_dump(exclude_unset=True) if own else {})}


def defined_tools(
    given: Sequence[Mapping[str, Any]] | None, where: str, registry: Path | None, registry_field: str, folder: Path
) -> list[dict[str, Any]] | None:
    """The tools that a config defines itself, or in a file beside it or in the working directory; None if it defines none.

    Raises:
        ConfigError: begins with the field.
    """
    found = [as_openai(tool, f"{where}[{number}]") for number, tool in enumerate(given or [])]
    if registry is not None:
        beside = folder / registry
        found += tools_in(
            beside if beside.exists() else registry, registry_field
        )  # DeepFabric takes the working directory
    return found or None


def other_files(formatters: Sequence[Mapping[str, Any]], keys: Keys, remarks: Remarks, *, calls: bool) -> list[Export]:
    """The files of `formatters`. Those that cannot be written are remarked on.

    Args:
        calls: whether rows have calls of tools.
    """
    exports = []
    for number, formatter in enumerate(formatters):
        place = [*keys, number]
        template, output = str(formatter.get("template", "")), formatter.get("output")
        form = form_of(template)
        if form is None or (calls and form == "alpaca"):
            why = "has no place for calls of tools" if form else "is not written by datafast"
            known = ", ".join(FORMS)
            remarks.append((place, f"The form {template or 'without a template'} {why}. The forms are {known}."))
        elif output:
            exports.append(Export(form, Path(str(output))))
            if formatter.get("config"):
                remarks.append(([*place, "config"], f"The form {form} has no settings, so these have no effect."))
    return exports
