"""`datafast check`: whether keys, addresses and models work, and what each model can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from datafast.cli import options

if TYPE_CHECKING:
    from datafast.llms.check import ProviderCheck
    from datafast.llms.provider import LLMProvider

__all__ = ["command"]

_LABEL = 9
_REPLIES = {
    "schema": "structured replies by schema",
    "json": "structured replies as JSON",
    "words": "structured replies in words",
}
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@click.command("check", short_help="Check keys, addresses and models, and show what each can do.")
@click.argument("config", metavar="[CONFIG.yaml]", type=options.UserFile(path_type=Path), required=False)
@click.option("--no-call", is_flag=True, help="Send nothing: look only at what is configured and known.")
@options.env_file
@options.as_json
@click.pass_context
def command(ctx: click.Context, config: Path | None, no_call: bool, env_file: Path | None, as_json: bool) -> None:
    """Check the providers of a config: their keys, addresses and models, and what each model can do.

    Without CONFIG.yaml: every provider whose key is in the environment or in secrets.env. Servers are asked for their list of
    models, which is free; where there is none, for one short reply. The exit code is 2 if a run could not begin.
    """
    from datafast._util import background
    from datafast.logger_config import configure_logger

    configure_logger("WARNING", format_string="{level}: {message}", colorize=False)
    given = _of_config(config, env_file) if config is not None else _of_environment(env_file)
    checks = background.run(_check_all(given, call=not no_call))
    if as_json:
        options.print_json({"providers": [check.to_dict() for check in checks]})
    else:
        _show(checks)
    ctx.exit(2 if any(check.status == "error" for check in checks) else 0)


def _of_config(config: Path, env_file: Path | None) -> Iterable[tuple[str, LLMProvider]]:
    from datafast.config_files.loader import load_project

    return load_project(config, env_file=env_file).all_providers()


def _of_environment(env_file: Path | None) -> Iterable[tuple[str, LLMProvider]]:
    """The default model of every provider whose key is there.

    Raises:
        ConfigError: there is no key, or only of providers without a default model.
    """
    import os

    from datafast.config_files.loader import load_secrets
    from datafast.errors import ConfigError
    from datafast.llms.registry import loaded_providers

    secrets = load_secrets(Path("secrets.env"), env_file)
    found = [
        (kind.env_key_name, kind)
        for kind in loaded_providers().values()
        if kind.env_key_name and os.environ.get(kind.env_key_name, "").strip()
    ]
    usable = [(variable, kind()) for variable, kind in found if kind.default_model_id is not None]
    if usable:
        return usable
    if found:
        raise ConfigError(
            f"{found[0][0]} is set, and no model to check. Name it in a config: datafast check CONFIG.yaml."
        )
    raise ConfigError(
        f"No key of a provider is in the environment or in {secrets}. Put one there, like OPENAI_API_KEY=..., or check a config: "
        "datafast check CONFIG.yaml."
    )


async def _check_all(given: Iterable[tuple[str, LLMProvider]], *, call: bool) -> Sequence[ProviderCheck]:
    """One check of each provider, at once; those that are called in the same way are checked once."""
    from datafast.llms.check import check_provider

    places: dict[tuple[str, str, str | None], list[str]] = {}
    providers: dict[tuple[str, str, str | None], LLMProvider] = {}
    for place, provider in given:
        same = (provider.identity, provider.api_base, provider.key_variable)
        places.setdefault(same, []).append(place)
        providers.setdefault(same, provider)
    import asyncio  # only here, because the help of all commands must not load it

    checks = await asyncio.gather(*(check_provider(provider, call=call) for provider in providers.values()))
    for check, found in zip(checks, places.values(), strict=True):
        check.places = found
    return checks


def _show(checks: Sequence[ProviderCheck]) -> None:
    from rich.console import Console
    from rich.text import Text

    from datafast._util.notify import plain_text
    from datafast.amounts import counted
    from datafast.cli.display.lines import print_lines

    console = Console(highlight=False)
    for check in checks:
        status = (f"{check.status.value:<{_LABEL}}", f"bold {_COLOURS[check.status.value]}")
        said = check.message or f"{check.provider}: {'; '.join(_facts(check))}."
        print_lines(console, Text.assemble(status, plain_text(said)), indent=_LABEL)
    bad = sum(check.status == "error" for check in checks)
    told = f"{bad} of them cannot be used." if bad else "A run can begin."
    console.print(f"{counted(len(checks), 'provider')} checked. {told}", soft_wrap=True)


def _facts(check: ProviderCheck) -> Iterable[str]:
    """What is known of a provider that works."""
    works = "" if check.model == "unknown" else " works"
    yield f"the key in {check.key}{works}" if check.key else "no key given"
    if check.model != "unknown":
        yield f"the model {'is listed' if check.model == 'listed' else 'answers'}"
    if check.structured_replies is not None:
        yield _REPLIES[check.structured_replies]
    if check.system_prompts is not None:
        yield "system prompts" if check.system_prompts else "no system prompts"
    if check.context_tokens is not None:
        yield f"{check.context_tokens:,} tokens of context"
    if check.reply_tokens is not None:
        yield f"at most {check.reply_tokens:,} a reply"
    for limit, unit in ((check.rpm_limit, "requests a minute"), (check.tpm_limit, "tokens a minute")):
        if limit is not None:
            yield f"{limit:g} {unit}"
    yield _price(check)


def _price(check: ProviderCheck) -> str:
    """What a model costs, by single requests and in batches."""
    if check.price is None:
        shown = "price unknown (set price for a budget)"
    elif any(check.price.values()):
        shown = f"${check.price['input']:g} in and ${check.price['output']:g} out per million tokens"
    else:
        shown = "free"
    return f"{shown}; batches save {check.batch_discount:.0%} of it" if check.batch_discount else shown
