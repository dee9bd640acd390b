"""What stands in a README.md on the Hub already, and what of it a push keeps.

Guarantee: whatever somebody else wrote there stays, or is named by `Kept.notes`. Other keys of the front matter, other tags, another
`pretty_name`, further languages and further configs (with their `dataset_info`) stay, and so does the text outside our two marks. What
was changed between the marks, or in our own keys, is rewritten and named.

How: the closing mark holds what the push wrote, as digests: `<!-- datafast:end text=... front=... language=de,en -->`. Cards of earlier
versions, whose marks hold nothing, are rewritten without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from datafast.errors import PublishError

__all__ = ["BEGIN", "Kept", "closing_mark", "kept_of", "text_digest"]

BEGIN = "<!-- datafast:begin (rewritten by every push; write your own text above or below) -->"

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?\r?\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_BEGIN = re.compile(rf"^{re.escape(BEGIN)}[ \t]*\r?$", re.MULTILINE)
_END = re.compile(
    r"^<!-- datafast:end(?: text=(?P<text>[0-9a-f]+) front=(?P<front>[0-9a-f]+) language=(?P<language>[a-z,]*))? -->[ \t]*\r?$",
    re.MULTILINE,
)
_MARKS_READ = 20
_DEFAULT = "default"
_REWRITTEN = ("size_categories", "dataset_info", "configs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of a README.

    Attributes:
        front: its front matter.
        body: its text. above, between, below: the text around our part, and that part; None where there is none, and all is `below`.
        languages: codes of languages that no push has written.
        digest: of what the push wrote between the marks; None where that is not known.
        has_other_text, has_other_front: whether our part, or our keys of the front matter, were changed since.
    """

    front: dict[str, Any]
    body: str
    above: str = ""
    between: str | None = None
    below: str
    languages: Sequence[str] = ()
    digest: str | None = None
    has_other_text: bool = False
    has_other_front: bool = False

    def notes(self, *, rewrites_text: bool) -> list[str]:
        """What was changed that a push rewrites, a sentence each."""
        text = "The text of README.md between datafast's marks was changed on the Hub, and is rewritten. Write above or below them."
        front = f"In the front matter of README.md {' or '.join(_REWRITTEN)} was changed on the Hub, and is rewritten."
        return [text] * (rewrites_text and self.has_other_text) + [front] * self.has_other_front

    def tags(self, ours: Sequence[str]) -> list[Any]:
        """Our tags and the others."""
        return [*ours, *(tag for tag in _listed(self.front.get("tags")) if tag not in ours)]

    def with_others(self, key: str, ours: Any) -> Any:
        """Our `configs` or `dataset_info` with those of other names."""
        others = [entry for entry in _listed(self.front.get(key)) if _name_of(entry) != _DEFAULT]
        if not others:
            return ours
        return [*(ours if isinstance(ours, list) else [{"config_name": _DEFAULT, **ours}]), *others]


def kept_of(content: str) -> Kept:
    """What is kept of a README, '' for none.

    Raises:
        PublishError: its front matter is not valid YAML.
    """
    front, body = _parted(content)
    found = _our_part(body)
    if found is None:
        is_ours = "datafast" in _listed(front.get("tags"))
        return Kept(front=front, body=body, below=body, languages=[] if is_ours else _listed(front.get("language")))
    start, begin, end = found
    between = body[begin.end() : end.start()]
    is_told = end["text"] is not None
    written = end["language"].split(",") if is_told else _listed(front.get("language"))
    return Kept(
        front=front,
        body=body,
        above=body[:start],
        between=between,
        below=body[end.end() :],
        languages=[code for code in _listed(front.get("language")) if code not in written],
        digest=end["text"],
        has_other_text=is_told and text_digest(between) != end["text"],
        has_other_front=is_told and _front_digest(front) != end["front"],
    )


def closing_mark(digest: str, front: str, languages: Sequence[str]) -> str:
    """The mark at the end of our part: it tells the next push what this one wrote.

    Args:
        digest: of the text between the marks.
        front: the front matter as it is written.
    """
    written, _ = _parted(front)
    return f"<!-- datafast:end text={digest} front={_front_digest(written)} language={','.join(languages)} -->"


def text_digest(text: str) -> str:
    """What stands for the text between the marks, without what editors change by themselves."""
    return _digest("\n".join(line.rstrip() for line in text.splitlines()).strip())


def _parted(content: str) -> tuple[dict[str, Any], str]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    match = _FRONT_MATTER.match(content)
    if match is None:
        return {}, content
    try:
        data = YAML(typ="safe", pure=True).load(match[1] or "")
    except YAMLError as error:
        raise PublishError(
            "the README.md in the repository has front matter that is not valid YAML, so what you wrote there cannot "
            "be kept. Correct or delete it on the Hub, then push again."
        ) from error
    if data is None:
        return {}, content[match.end() :]
    # Text between two rules looks like front matter and is not: it belongs to what is kept.
    return (data, content[match.end() :]) if isinstance(data, dict) else ({}, content)


def _our_part(body: str) -> tuple[int, re.Match[str], re.Match[str]] | None:
    """Where our part begins, and its marks. Texts of others may hold such marks too: the ones that fit each other are ours."""
    begins, ends = (list(mark.finditer(body))[:_MARKS_READ] for mark in (_BEGIN, _END))
    for begin in begins:
        for end in ends:
            if end.start() > begin.end() and end["text"] == text_digest(body[begin.end() : end.start()]):
                return begin.start(), begin, end
    if begins and ends and ends[-1].start() > begins[0].end():
        return begins[0].start(), begins[0], ends[-1]
    return None


def _front_digest(front: Mapping[str, Any]) -> str:
    ours = {key: [entry for entry in _listed(front.get(key)) if _name_of(entry) == _DEFAULT] for key in _REWRITTEN}
    for entry in ours["dataset_info"]:
        if isinstance(entry, dict):
            ours["dataset_info"] = [{key: value for key, value in entry.items() if key != "config_name"}]
    return _digest(orjson.dumps(ours, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode())


def _name_of(entry: Any) -> Any:
    return entry.get("config_name", _DEFAULT) if isinstance(entry, Mapping) else _DEFAULT


def _listed(value: Any) -> list[Any]:
    return [entry for entry in (value if isinstance(value, list) else [value]) if entry is not None]


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
