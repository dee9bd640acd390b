"""The README.md of a published dataset: what it is, how it was made, and the front matter that lets it be loaded.

Guarantee: the keys of the front matter that are ours (`OWNED_KEYS`) are rewritten, so nothing is left over from an earlier push; what is
the user's is kept (see `card_kept`). The same inputs give the same bytes. Text from configs, models and rows is escaped: it cannot end the
front matter, start HTML or break a table; templates stand in code fences longer than any run of backticks in them.

Never in it: settings that are named like keys, headers, addresses or local files, and every value of an environment
variable that is named like a secret. Of values other than templates, 80 characters at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from datafast.export.card_info import CardInfo, Contents
from datafast.export.card_kept import Kept, closing_mark, kept_of, opening_mark, text_digest
from datafast.export.card_markdown import one_line, redactor
from datafast.export.card_terms import license_front
from datafast.export.card_text import card_text

__all__ = ["OWNED_KEYS", "CardInfo", "Contents", "front_matter", "readme"]

OWNED_KEYS = ("language", "tags", "pretty_name", "size_categories", "dataset_info", "configs")

_TAGS = ("synthetic", "datafast")
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el "
    "en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it "
    "iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt "
    "my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl "
    "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo "
    "za zh zu"
)


def front_matter(info: CardInfo, contents: Contents) -> dict[str, Any]:
    """Our keys of the front matter but `dataset_info`, as YAML values."""
    codes = {
        code.lower().replace("_", "-").split("-")[0] for code in [*info.languages, *contents.counts.get("language", ())]
    }
    sources = list(dict.fromkeys(source.hub_id for source in info.sources if source.hub_id))
    files = [{"split": split, "path": f"{contents.folder}/{split}-*"} for split in contents.splits]
    return {
        "language": sorted(codes.intersection(_ISO_639_1.split())) or None,
        "tags": list(dict.fromkeys([*(_TAGS if info.kind else _TAGS[1:]), *info.tags])),
        "pretty_name": one_line(info.title),
        "size_categories": [_size_category(info.num_rows)],
        "configs": [{"config_name": contents.config_name, "data_files": files}],
        **(license_front(info.license, info.license_link) if info.license else {}),
        **({"task_categories": [info.task]} if info.task else {}),
        **({"source_datasets": sources} if sources else {}),
    }


def readme(
    info: CardInfo | None, contents: Contents, front: Mapping[str, Any], *, previous: str, secrets: Iterable[str]
) -> tuple[str, list[str]]:
    """The whole README.md, and what in it was changed by others and is rewritten, a sentence each.

    Args:
        info, contents: what the text says. Without `info` there is no text of ours: only the front matter is written.
        front: our keys of the front matter.
        previous: the README that is in the repository, '' where there is none.
        secrets: values that must not appear, besides those of the environment.

    Raises:
        PublishError: the front matter of `previous` is not valid YAML.
    """
    from huggingface_hub import DatasetCardData

    name = contents.config_name
    kept = kept_of(previous, name)
    data = DatasetCardData()
    for key, value in kept.front.items():
        if key not in OWNED_KEYS:
            data[str(key)] = value
    redact = redactor(secrets)
    codes = front.get("language") or ()
    data["language"] = sorted({*codes, *map(str, kept.languages)}) or None
    data["tags"] = kept.tags(front["tags"])
    data["pretty_name"] = kept.front.get("pretty_name") or redact(front["pretty_name"])
    data["size_categories"] = [_size_category(sum(contents.splits.values()) + kept.rows_of_others)]
    for key in ("dataset_info", "configs"):
        data[key] = kept.with_others(key, front.get(key))
    _add_rights(data, front, kept)
    head = f"---\n{data.to_yaml()}\n---\n"
    notes = kept.notes(rewrites_text=info is not None)
    between, digest = kept.between, kept.digest
    if info is not None:
        between = redact(card_text(info, contents))
        digest = text_digest(between)
    if digest is None:  # there is no part of ours, or one of an earlier version, which stays as it is
        return f"{head}{kept.body}", notes
    return f"{head}{_placed(f'{opening_mark(name)}{between}{closing_mark(digest, head, codes, name)}', kept)}", notes


def _add_rights(data: Any, front: Mapping[str, Any], kept: Kept) -> None:
    """Licence, tasks and sources. A licence of the config counts; a task stays that was set on the Hub."""
    if "license" in front:
        for key in ("license", "license_name", "license_link"):
            data[key] = front.get(key)
    if "task_categories" in front and "task_categories" not in kept.front:
        data["task_categories"] = front["task_categories"]
    if "source_datasets" in front:
        known = kept.front.get("source_datasets") or []
        data["source_datasets"] = list(
            dict.fromkeys([*(known if isinstance(known, list) else [known]), *front["source_datasets"]])
        )


def _size_category(num_rows: int) -> str:
    return next((name for limit, name in _SIZES if num_rows < limit), "n>10M")


def _placed(section: str, kept: Kept) -> str:
    if kept.between is not None:
        return f"{kept.above}{section}{kept.below}"
    if kept.has_other_parts:
        return f"{kept.below.rstrip()}\n\n{section}\n"
    return f"{section}\n\n{kept.below.lstrip()}" if kept.below.strip() else f"{section}\n"
