"""Prompt expansion: all or some ways of filling the optional placeholders of a list of templates.

    combinatorial   all combinations, per template over the names it uses
    random          exactly `num_random_samples` draws, templates in rotation; distinct until there are no more
    coverage        few prompts per template in which every pair (or triple) of values of its names occurs

Guarantee: an `Expansion` is an index, not a list: building it, `len()` and `pick(i)` cost the same for ten prompts
and for 10**12 (coverage holds its rows, cached per shape). Its prompts depend only on the templates, the spec and the
`base`, and are the same on every platform. No two picks of one base share (template text, values, repeat), so keys made
of them are distinct. Limits: `max_samples` per base combination; more are refused by arithmetic before anything is
built, and never cut.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from math import prod
from typing import get_args

from datafast._util.notify import did_you_mean, warn_user
from datafast.errors import ConfigError
from datafast.plan.strategies import CHOOSERS, Chooser, ExpansionSpec, Space, Strategy, Variant, lay_out
from datafast.plan.template import Template

__all__ = [
    "Expansion",
    "ExpansionSpec",
    "Strategy",
    "Variant",
    "clean_placeholders",
    "expand_prompts",
    "resolve_strategy",
]


class Expansion:
    """The expansions of `templates` for one base combination, as a sequence that is computed on demand.

    Args:
        templates: parsed with the names of `spec.placeholders` as placeholders.
        spec: how to expand them.
        field: the config field that errors name.
        remark: whether to warn of values that no template uses, and of prompts that are sent several times.
        drawn: whether a given number is drawn from it, so that its size needs no limit.

    Raises:
        ConfigError: no template, an empty list of values, a count that is not positive, an unknown strategy, or more
            prompts than `max_samples`.
    """

    __slots__ = ("_chooser", "size", "spec", "templates")

    def __init__(
        self,
        templates: Sequence[Template],
        spec: ExpansionSpec,
        *,
        field: str = "expansion",
        remark: bool = True,
        drawn: bool = False,
    ) -> None:
        if not templates:
            raise ConfigError(f"{field}: The list is empty. Give at least one prompt.")
        placeholders = clean_placeholders(spec.placeholders, field=f"{field}.placeholders")
        _check_counts(spec, field)
        if remark:
            _warn_unused(templates, placeholders, field)
        spaces = lay_out(templates, placeholders, field)
        self._chooser: Chooser = CHOOSERS[spec.strategy](spaces, spec, field)
        if not drawn:
            self._chooser.check_size(spec, field)
        self.size = self._chooser.size
        if remark and spec.strategy == "random":
            _warn_repeats(spaces, self.size, field)
        self.templates = tuple(templates)
        self.spec = spec

    def __len__(self) -> int:
        return self.size

    @property
    def spaces(self) -> Sequence[Space]:
        """The templates with the lists of their names."""
        return self._chooser.spaces

    def pick(self, i: int, base: bytes = b"") -> Variant:
        """The i-th expansion.

        Args:
            i: 0 to len(self) - 1.
            base: a digest of the mandatory values of this expansion. Random draws and the pairings of coverage
                differ per base, and those of one base do not change when other bases come or go.

        Raises:
            IndexError: i is out of range.
        """
        if not 0 <= i < self.size:
            raise IndexError(f"Expansion {i} is not among the {self.size}.")
        return self._chooser.pick(i, base)

    def repeat_of(self, i: int) -> int:
        """The repeat number of the i-th expansion, which every base has in common; cheaper than to pick it for each."""
        return self._chooser.pick(i, b"").repeat

    def with_values(self, chosen: Mapping[str, str]) -> Expansion:
        """The expansions with these values of some placeholders, from the templates that use all of them."""
        if not chosen:
            return self
        made = copy.copy(self)
        spaces = [space.with_values(chosen) for space in self.spaces if chosen.keys() <= set(space.names)]
        made._chooser = CHOOSERS[self.spec.strategy](spaces, self.spec, "expansion")
        made.size = made._chooser.size
        return made

    def endless(self, i: int, base: bytes) -> Variant:
        """`pick` without an end: after the last expansion all come again, under the next repeat numbers.

        With the strategy random, `num_random_samples` is not the end: there are further draws, distinct as long as there are any.
        """
        return self._chooser.pick(i, base)


def clean_placeholders(placeholders: Mapping[str, Sequence[object]], *, field: str) -> dict[str, tuple[str, ...]]:
    """The declared values as texts: str, int and float are accepted.

    Raises:
        ConfigError: `placeholders` is not a mapping of names to lists, a list is empty, or a value has another type.
    """
    if not isinstance(placeholders, Mapping):
        raise ConfigError(f"{field}: expected names with lists of values, got {type(placeholders).__name__}.")
    cleaned = {}
    for name, values in placeholders.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
            raise ConfigError(f"{field}.{name}: expected a list of values, got {type(values).__name__}. Write [...].")
        if not values:
            raise ConfigError(f"{field}.{name}: The list is empty. Give at least one value, or remove the placeholder.")
        cleaned[name] = tuple(_text(value, f"{field}.{name}[{place}]") for place, value in enumerate(values))
    return cleaned


def _text(value: object, field: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(
            f"{field}: expected a text or a number, got {value!r}. Put it in quotes if it is meant as text."
        )
    return str(value)


def _check_counts(spec: ExpansionSpec, field: str) -> None:
    _check_strategy(spec.strategy, field)
    for name in ("num_random_samples", "max_samples", "strength", "seed"):
        value = getattr(spec, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{field}.{name}: expected a whole number, got {value!r}.")
        if name in ("num_random_samples", "max_samples") and not 1 <= value <= sys.maxsize:
            raise ConfigError(f"{field}.{name}: expected 1 to {sys.maxsize:,}, got {value:,}.")
    if spec.strength not in (2, 3):
        raise ConfigError(f"{field}.strength: expected 2 (every pair) or 3 (every triple), got {spec.strength}.")


def _check_strategy(strategy: object, field: str) -> None:
    if strategy not in get_args(Strategy):
        hint = did_you_mean(str(strategy), get_args(Strategy))
        raise ConfigError(f"{field}.strategy: There is no strategy {strategy!r}. {hint}")


def _warn_unused(templates: Sequence[Template], placeholders: Mapping[str, object], field: str) -> None:
    used = {name for template in templates for name in template.placeholder_names}
    unused = [name for name in placeholders if name not in used]
    if unused:
        tokens = ", ".join(f"<<{name}>>" for name in unused)
        warn_user(
            f"{field}.placeholders: No prompt uses {', '.join(unused)}. Write {tokens} in one, or remove the values.",
        )


def _warn_repeats(spaces: Sequence[Space], size: int, field: str) -> None:
    distinct = sum(prod(space.sizes(distinct=True)) for space in spaces if space.ordinal == 0)
    if size > distinct:
        prompts = "is one prompt, which is" if distinct == 1 else f"are {distinct:,} different prompts, which are"
        warn_user(
            f"{field}.num_random_samples is {size:,}, and there {prompts} sent again and again. Write <<placeholders>> into the "
            f"prompts and declare their values, or draw {distinct:,}.",
        )


def resolve_strategy(strategy: Strategy | None, *, combinatorial: bool, field: str = "expansion") -> Strategy:
    """The strategy that both settings together ask for; `strategy` wins over `combinatorial=True`, the default.

    Raises:
        ConfigError: `strategy` is unknown, or it is not random although combinatorial is False.
    """
    if strategy is None:
        return "combinatorial" if combinatorial else "random"
    _check_strategy(strategy, field)
    if strategy != "random" and not combinatorial:
        raise ConfigError(
            f"{field}: combinatorial is false, which means random, but strategy is {strategy}. Remove one of them."
        )
    return strategy


def expand_prompts(
    prompt_templates: Sequence[str],
    placeholders: Mapping[str, Sequence[str | int | float]],
    combinatorial: bool = True,
    num_random_samples: int = 1,
    max_samples: int = 1000,
    seed: int = 0,
    strategy: Strategy | None = None,
    strength: int = 2,
) -> list[tuple[str, dict[str, str]]]:
    """The expanded prompts, each with its values.

    `<<name>>`, `{{name}}` and `{name}` are replaced where `name` is declared in `placeholders`; everything else stays
    as it is.

    Raises:
        ConfigError: a template holds an undeclared `<<name>>`, a list is empty, a setting is out of range or
            contradicts another, or there would be more than `max_samples` prompts.
    """
    if isinstance(prompt_templates, str):
        raise ConfigError("prompt_templates: expected a list of prompts, got a text. Write [prompt].")
    values = clean_placeholders(placeholders, field="placeholders")
    spec = ExpansionSpec(
        placeholders=values,
        strategy=resolve_strategy(strategy, combinatorial=combinatorial, field="expand_prompts"),
        num_random_samples=num_random_samples,
        max_samples=max_samples,
        seed=seed,
        strength=strength,
    )
    templates = [
        Template.parse(text, mandatory=(), placeholders=values, field=f"prompt_templates[{number}]")
        for number, text in enumerate(prompt_templates)
    ]
    expansion = Expansion(templates, spec, field="expand_prompts")
    picks = [expansion.pick(i) for i in range(len(expansion))]
    return [(templates[index].render(chosen), dict(chosen)) for index, chosen, _ in picks]
