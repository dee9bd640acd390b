"""Prompt templates: parsed once, checked before anything is sent, rendered by joining strings.

    {name}               filled by the dataset kind; some are mandatory
    <<name>>             optional: one of the values declared under `expansion.placeholders`
    {{name}} or {name}   other spellings of a declared optional name

Guarantee: only known names are replaced, in one pass over the template; inserted values are not searched again;
every other character, braces included, is kept. There is no escape character, because nothing else has a meaning.
A pair of tags like `<<SYS>>` ... `<</SYS>>` is text, unless its name is declared.
Cost: parsing is one regular-expression pass; rendering one join.

An unknown `{x}` or `{{x}}` is text. It gets one warning per template if it looks like a name of at least two
characters that stands by itself: there is no warning of code, shell and LaTeX (`f{x}`, `${HOME}`, `\\frac{a}{bc}`,
`x_{max}`, `p={value}`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NoReturn

from datafast._util.notify import nearest, warn_user
from datafast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["Template"]

_IDENTIFIER = r"[^\W\d][\w.-]*"
# Before a brace these mean code, shell or LaTeX; a placeholder in prose follows a space, a quote or an opening
# bracket.
_CODE_BEFORE = re.compile(r"[\w\\}\]^$=@#%]\Z")
_SPACED = re.compile(r"<<[ \t]+([^<>{}\n]{1,80}?)[ \t]+>>|\{\{?[ \t]+([^<>{}\n]{1,80}?)[ \t]+\}\}?")


@dataclass(frozen=True, slots=True)
class Template:
    """One prompt with named gaps. Made by `Template.parse`.

    Attributes:
        text: the template as the user wrote it.
        digest: 16-byte blake2b of `text` in UTF-8, or of its `key`; part of every key made from this template.
        keyed: the text or key that `digest` is made of.
        placeholder_names: the optional names that occur, in order of first occurrence, and those of `varied_by`.
        kind_names: the names that occur and that the dataset kind fills.
    """

    text: str
    keyed: str
    digest: bytes
    placeholder_names: tuple[str, ...]
    kind_names: frozenset[str]
    _pieces: tuple[str, ...]
    _gaps: tuple[tuple[int, str], ...]

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        mandatory: Collection[str],
        optional: Collection[str] = (),
        placeholders: Mapping[str, Sequence[str]] | Collection[str] = (),
        field: str = "prompt",
        closed: bool = False,
        key: str | None = None,
        remark: bool = True,
    ) -> Template:
        """Parses and checks one template.

        Args:
            text: the template.
            mandatory: names the kind fills, each of which must occur as `{name}`.
            optional: names the kind fills where `{name}` occurs.
            placeholders: names declared by the user (the values are not used).
            field: the config field that errors and warnings name.
            closed: refuse unknown names, instead of a warning, because no further ones can be declared.
            key: replaces the text in keys.
            remark: whether to warn of possible typing errors.

        Raises:
            ConfigError: a mandatory name is missing, `<<x>>` is not declared, a name that the kind fills is spelled
                `<<name>>` or `{{name}}` or declared as a placeholder, or a name cannot be used.
        """
        if not isinstance(text, str):
            raise ConfigError(f"{field}: expected a text, got {type(text).__name__}. Write the prompt as a string.")
        names = _Names(frozenset(mandatory) | frozenset(optional), frozenset(placeholders), field)
        names.check()
        pieces, gaps, unknown = _split(text, names)
        used = dict.fromkeys(name for _, name in gaps)
        missing = [name for name in mandatory if name not in used]
        if missing:
            _refuse_missing(missing, field)
        remarks = _remarks(unknown, names)
        if closed and remarks:
            _refuse_unknown(remarks, names)
        if remark:
            _warn_unknown(text, remarks, names)
        keyed = text if key is None else key
        return cls(
            text=text,
            keyed=keyed,
            digest=blake2b(keyed.encode("utf-8", "surrogatepass"), digest_size=16).digest(),
            placeholder_names=tuple(name for name in used if name in names.placeholders),
            kind_names=frozenset(used) & names.kind,
            _pieces=tuple(pieces),
            _gaps=tuple(gaps),
        )

    def varied_by(self, names: Sequence[str]) -> Template:
        """The template with further optional names, which do not occur in it: those of other prompts that go with this one."""
        return replace(self, placeholder_names=tuple(dict.fromkeys([*self.placeholder_names, *names])))

    def render(self, values: Mapping[str, str]) -> str:
        """The prompt with every gap filled from `values`, which has all used names (others are ignored)."""
        pieces = list(self._pieces)
        for place, name in self._gaps:
            pieces[place] = values[name]
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class _Names:
    kind: frozenset[str]
    placeholders: frozenset[str]
    field: str

    @property
    def all(self) -> frozenset[str]:
        return self.kind | self.placeholders

    def check(self) -> None:
        for name in sorted(self.all, key=str):
            if not isinstance(name, str) or not name or name != name.strip() or re.search(r"[{}<>\n]", name):
                raise ConfigError(
                    f"{self.field}: {name!r} cannot be a placeholder name. Use a text without braces, angle brackets, "
                    "line breaks or surrounding spaces."
                )
        both = sorted(self.kind & self.placeholders)
        if both:
            raise ConfigError(
                f"{self.field}: {_listed(both)} {_is_are(both)} filled by the dataset itself and cannot be declared "
                "under expansion.placeholders. Rename the placeholder there and in the prompts."
            )


@lru_cache(maxsize=256)
def _token_pattern(known: frozenset[str]) -> re.Pattern[str]:
    exact = sorted(known, key=lambda name: (-len(name), name))
    name = "|".join([*map(re.escape, exact), _IDENTIFIER])
    return re.compile(rf"<<(?P<angle>{name})>>|\{{\{{(?P<double>{name})\}}\}}|\{{(?P<single>{name})\}}")


def _split(text: str, names: _Names) -> tuple[list[str], list[tuple[int, str]], list[re.Match[str]]]:
    """Splits `text` into literals and gaps (place in pieces, name); unknown names in braces stay in the literals."""
    pieces: list[str] = []
    gaps: list[tuple[int, str]] = []
    unknown: list[re.Match[str]] = []
    done = 0
    for match in _token_pattern(names.all).finditer(text):
        spelling = match.lastgroup
        name = match.group(str(spelling))
        if name in names.kind and spelling != "single":
            _refuse_spelling(match.group(), name, names)
        if name not in names.all:
            if spelling != "angle":
                unknown.append(match)
            elif f"<</{name}>>" not in text:
                _refuse_undeclared(name, names)
            continue
        pieces += [text[done : match.start()], ""]
        gaps.append((len(pieces) - 1, name))
        done = match.end()
    pieces.append(text[done:])
    return pieces, gaps, unknown


def _refuse_spelling(token: str, name: str, names: _Names) -> NoReturn:
    raise ConfigError(
        f"{names.field}: {token} is filled by the dataset itself. Write {{{name}}} "
        f"(with spaces, `{{ {{{name}}} }}`, if the outer braces belong to the text)."
    )


def _refuse_undeclared(name: str, names: _Names) -> NoReturn:
    close = nearest(name, names.all)
    if close is not None:
        spelled = f"{{{close}}}" if close in names.kind else f"<<{close}>>"
        hint = f"Did you mean {spelled}? Otherwise declare"
    else:
        hint = "Declare"
    raise ConfigError(
        f"{names.field}: <<{name}>> is not declared. {hint} its values under expansion.placeholders: "
        f"{{{name!r}: [...]}}, or write << {name} >> with spaces if it is plain text."
    )


def _refuse_missing(missing: Sequence[str], field: str) -> NoReturn:
    tokens = _listed([f"{{{name}}}" for name in missing])
    raise ConfigError(
        f"{field}: {tokens} {_is_are(missing)} missing. The dataset fills {_it_them(missing)}, so add {tokens}."
    )


def _remarks(unknown: Sequence[re.Match[str]], names: _Names) -> dict[str, str | None]:
    """Unknown names that look like placeholders, as they are written, with the nearest known name."""
    remarks: dict[str, str | None] = {}
    for match in unknown:
        name = match.group(str(match.lastgroup))
        if len(name) > 1 and not _CODE_BEFORE.search(match.string, max(0, match.start() - 1), match.start()):
            remarks[match.group()] = nearest(name, names.all)
    return remarks


def _refuse_unknown(remarks: Mapping[str, str | None], names: _Names) -> NoReturn:
    token, close = next(iter(remarks.items()))
    known = _listed([f"{{{name}}}" for name in sorted(names.all)])
    hint = f"Did you mean {{{close}}}?" if close else f"There are {known}."
    raise ConfigError(f"{names.field}: {token} is not known. {hint} If it is plain text, put spaces inside the braces.")


def _warn_unknown(text: str, unknown: Mapping[str, str | None], names: _Names) -> None:
    said = [f"{token} (did you mean {close}?)" if close else token for token, close in unknown.items()]
    spaced = {
        match.group(): name
        for match in _SPACED.finditer(text)
        if (name := match.group(1) or match.group(2)) in names.all
    }
    said += [f"{token} (write it without the spaces to have {name} filled in)" for token, name in spaced.items()]
    if said:
        advice = " If it should vary, declare its values under expansion.placeholders." if unknown else ""
        reason = "because no such name is known" if unknown else "because of its spaces"
        warn_user(f"{names.field}: Kept as plain text, {reason}: {', '.join(said)}.{advice}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _is_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _it_them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
