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

__all__ = ["BEGIN", "DEFAULT", "Kept", "closing_mark", "kept_of", "opening_mark", "text_digest"]

DEFAULT = "default"
BEGIN = "<!-- datafast:begin (rewritten by every push; write your own text above or below) -->"

_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\r?\n(.*?\r?\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_END = r"(?: text=(?P<text>[0-9a-f]+) front=(?P<front>[0-9a-f]+) language=(?P<language>[a-z,]*))? -->[ \t]*\r?$"
_OTHER_END = re.compile(r"^<!-- datafast:end(?P<name> [\w.-]+)?" + _END, re.MULTILINE)
_ANY_BEGIN = re.compile(r"^<!-- datafast:begin ", re.MULTILINE)
_MARKS_READ = 20
_REWRITTEN = ("dataset_info", "configs")
_ONCE_REWRITTEN = ("size_categories", *_REWRITTEN)  # in the marks of earlier versions, when there was one config only


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
    config_name: str
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
        found, name = _listed(self.front.get(key)), self.config_name
        if all(_name_of(entry) == name for entry in found):
            return ours
        entry = ours[0] if isinstance(ours, list) else {"config_name": name, **ours}
        names = [_name_of(one) for one in found]
        if name in names:
            return [entry if _name_of(one) == name else one for one in found]
        return [entry, *found] if name == DEFAULT else [*found, entry]

    @property
    def rows_of_others(self) -> int:
        """How many rows the other configs have, as far as it is told."""
        infos = [entry for entry in _listed(self.front.get("dataset_info")) if isinstance(entry, Mapping)]
        splits = [one for info in infos if _name_of(info) != self.config_name for one in _listed(info.get("splits"))]
        counts = [one.get("num_examples") for one in splits if isinstance(one, Mapping)]
        return sum(count for count in counts if isinstance(count, int))

    @property
    def patterns_of_others(self) -> list[str]:
        """The places of files, as patterns, that other configs name."""
        configs = [entry for entry in _listed(self.front.get("configs")) if isinstance(entry, Mapping)]
        named = [config.get("data_files") for config in configs if _name_of(config) != self.config_name]
        return [pattern for value in named for pattern in _texts(value, but=("split",))]

    @property
    def has_other_parts(self) -> bool:
        """Whether there is text of ours about other configs."""
        return _ANY_BEGIN.search(f"{self.above}{self.below}") is not None


def kept_of(content: str, config_name: str = DEFAULT) -> Kept:
    """What is kept of a README, '' for none, by a push of this config.

    Raises:
        PublishError: its front matter is not valid YAML.
    """
    front, body = _parted(content)
    told, name = _listed(front.get("language")), config_name
    found = _our_part(body, name)
    if found is None:
        is_alone = all(_name_of(entry) == name for entry in _listed(front.get("configs")))
        is_ours = is_alone and "datafast" in _listed(front.get("tags"))
        return Kept(front=front, body=body, config_name=name, below=body, languages=[] if is_ours else told)
    start, begin, end = found
    between = body[begin.end() : end.start()]
    is_told = end["text"] is not None
    around = f"{body[:start]}\n{body[end.end() :]}"
    of_others = {code for mark in _OTHER_END.finditer(around) for code in (mark["language"] or "").split(",")}
    written = (set(end["language"].split(",")) if is_told else set(told)) - of_others
    digests = {_front_digest(front, name), _front_digest(front, name, _ONCE_REWRITTEN)}
    return Kept(
        front=front,
        body=body,
        config_name=name,
        above=body[:start],
        between=between,
        below=body[end.end() :],
        languages=[code for code in told if code not in written],
        digest=end["text"],
        has_other_text=is_told and text_digest(between) != end["text"],
        has_other_front=is_told and end["front"] not in digests,
    )


def opening_mark(config_name: str) -> str:
    """The mark at the beginning of our part about a config."""
    return BEGIN if config_name == DEFAULT else BEGIN.replace("begin", f"begin {config_name}", 1)


def closing_mark(digest: str, front: str, languages: Sequence[str], config_name: str) -> str:
    """The mark at the end of our part: it tells the next push what this one wrote.

    Args:
        digest: of the text between the marks.
        front: the front matter as it is written.
    """
    written, _ = _parted(front)
    told = f"text={digest} front={_front_digest(written, config_name)} language={','.join(languages)}"
    return f"<!-- datafast:end{_named(config_name)} {told} -->"


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


def _named(config_name: str) -> str:
    return "" if config_name == DEFAULT else f" {config_name}"


def _our_part(body: str, config_name: str) -> tuple[int, re.Match[str], re.Match[str]] | None:
    """Where our part begins, and its marks. Texts of others may hold such marks too: the ones that fit each other are ours."""
    opening = rf"^{re.escape(opening_mark(config_name))}[ \t]*\r?$"
    closing = rf"^<!-- datafast:end{re.escape(_named(config_name))}{_END}"
    begins, ends = (list(re.finditer(mark, body, re.MULTILINE))[:_MARKS_READ] for mark in (opening, closing))
    for begin in begins:
        for end in ends:
            if end.start() > begin.end() and end["text"] == text_digest(body[begin.end() : end.start()]):
                return begin.start(), begin, end
    if begins and ends and ends[-1].start() > begins[0].end():
        return begins[0].start(), begins[0], ends[-1]
    return None


def _front_digest(front: Mapping[str, Any], config_name: str, keys: Sequence[str] = _REWRITTEN) -> str:
    # A size is of no config, and so of `default` here: marks of earlier versions hold it.
    ours = {key: [entry for entry in _listed(front.get(key)) if _name_of(entry) == config_name] for key in keys}
    for entry in ours["dataset_info"]:
        if isinstance(entry, dict):
            ours["dataset_info"] = [{key: value for key, value in entry.items() if key != "config_name"}]
    return _digest(orjson.dumps(ours, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode())


def _name_of(entry: Any) -> Any:
    return entry.get("config_name", DEFAULT) if isinstance(entry, Mapping) else DEFAULT


def _texts(value: Any, *, but: Sequence[str]) -> list[str]:
    """All texts within a value, without those under these keys."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, item in value.items() if key not in but for text in _texts(item, but=but)]
    return [text for item in value for text in _texts(item, but=but)] if isinstance(value, list) else []


def _listed(value: Any) -> list[Any]:
    return [entry for entry in (value if isinstance(value, list) else [value]) if entry is not None]


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
