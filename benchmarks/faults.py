"""Texts with faults that are known, and texts without, to measure the stages by.

The texts stand in `benchmarks/planted`, one a line, with `\\n` for a line break, under a heading for their language or sort. They were
written after what docs/guides promises, not after the rules. Faults that need another text around them or values in them
are planted here, from a seed. Nobody's data is in them: names and hosts are invented, numbers and keys are drawn.

Half of the lines are for development, the other half is held out: what is changed in a stage is changed after the first half, and
the second is only measured. All texts made of one line are in the same half. What was written later, to see how far the
rules go (files named `..._later`), was looked at and is for development.

`blind.ndjson` was written by another hand, who did not know the rules. Its figures stand by themselves; what does not say that it is
held out is for development. In its keys stands a `¦`, which is taken out here: so no search for leaked keys finds them. `training.txt`
holds what heads are fitted to besides (`benchmarks.heads`); nothing is measured by it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FAULTS", "Text", "blind_texts", "clean_texts", "planted_lines", "test_texts"]

_FOLDER = Path(__file__).resolve().parent / "planted"
_SEED = 20_240_517
_UNSPACED = ("zh", "ja")


@dataclass(frozen=True)
class Text:
    """A text of a row.

    Attributes:
        text: what is looked at.
        sort: what is wrong with it, or 'clean'.
        held_out: of the half that is only measured.
        language: the language that the row says it is in.
        prompt: what was asked.
    """

    text: str
    sort: str
    held_out: bool
    language: str = "en"
    prompt: str = ""


def planted_lines(name: str) -> list[tuple[str, str, bool]]:
    """(heading, text, held out) of each line."""
    found = []
    heading = ""
    for line in (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        else:
            found.append((heading, line.replace("\\n", "\n")))
    halves = [number % 2 == 1 and not name.endswith("_later") for number in range(len(found))]
    random.Random(f"{_SEED} {name}").shuffle(halves)
    return [(heading, text, half) for (heading, text), half in zip(found, halves, strict=True)]


def _with_later(name: str) -> list[tuple[str, str, bool]]:
    """The lines of a stage that are faulty, and those that came later."""
    return [line for line in (*planted_lines(name), *planted_lines(f"{name}_later")) if line[0] != "clean"]


def clean_texts(*, labelled: bool = False) -> list[Text]:
    """Texts without a fault: of all sorts, and those that look like the faults of a stage.

    Args:
        labelled: only those with a language of their own.
    """
    rng = random.Random(f"{_SEED} prompts")
    prompts = [text for heading, text, _ in planted_lines("echo") if heading == "prompt"]
    found = [(language, text, half) for language, text, half in planted_lines("clean")]
    if not labelled:
        for name in ("pii", "contamination", "repetition", "refusals_later", "echo_later", "pii_later"):
            found += [("en", text, half) for heading, text, half in planted_lines(name) if heading == "clean"]
    return [Text(text, "clean", half, language, rng.choice(prompts)) for language, text, half in found]


def blind_texts(sort: str) -> list[Text]:
    """What another hand wrote: faulty texts of a stage, or those of the sort 'clean'."""
    lines = (_FOLDER / "blind.ndjson").read_text(encoding="utf-8").splitlines()
    return [
        Text(line["text"].replace("¦", ""), sort, line.get("held_out", False), line["language"], line.get("prompt", ""))
        for line in map(json.loads, lines)
        if line["sort"] == sort
    ]


def test_texts() -> list[str]:
    """The texts of the made-up test that no row may share words with."""
    return [text for heading, text, _ in planted_lines("contamination") if heading == "test"]


def _refusals() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} refusals")
    prose = _prose()
    for language, text, half in _with_later("refusals"):
        after = "\n\n" + rng.choice(prose[language, half]) if rng.random() < 0.4 else ""
        yield Text(text + after, language, half, language)


def _echoes() -> Iterator[Text]:
    prose = _prose()
    for number, (sort, text, half) in enumerate(_with_later("echo")):
        if sort != "prompt":
            yield Text(text, sort, half, prompt="Write a short text about the sea and the people who live beside it.")
            continue
        body = prose["en", half][number % 5]
        words = text.split()
        yield Text(f"{text}\n\n{body}", sort, half, prompt=text)
        yield Text(text, sort, half, prompt=text)
        yield Text(f"{body} {' '.join(words[: len(words) * 7 // 10])}. {body}", sort, half, prompt=text)


def _wrong_languages() -> Iterator[Text]:
    """Texts whose rows say another language."""
    rng = random.Random(f"{_SEED} languages")
    lines = [line for line in planted_lines("clean") if not re.search(r"[{}<>|=_]", line[1])]
    languages = sorted({language for language, _, _ in lines})
    for language, text, half in lines:
        said = rng.choice([other for other in languages if other != language])
        yield Text(text, f"{language} for {said}", half, said)


def _personal() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} personal")
    for sort, text, half in _with_later("pii"):
        filled = re.sub("#", lambda _: rng.choice("0123456789"), text)
        for _ in range(2 if "{" + sort + "}" in text else 1):
            yield Text(filled.replace("{" + sort + "}", _VALUES[sort](rng)), sort, half)


def _contaminated() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} contaminated")
    prose = _prose()
    for sort, text, half in planted_lines("contamination"):
        if sort != "test":
            continue
        body = rng.choice(prose["en", half])
        words = text.split()
        yield Text(text, "verbatim", half)
        yield Text(re.sub(r"[^\w\s]", "", text).upper(), "case", half)
        yield Text(f"{body}\n\n{text}\n\n{rng.choice(prose['en', half])}", "inside", half)
        yield Text(f"Question: {' '.join(words[: len(words) * 7 // 10])}...\nAnswer: see below.", "part", half)
        yield Text("\n".join(" ".join(words[at : at + 4]) + " -" for at in range(0, len(words), 4)), "lines", half)


def _loops() -> Iterator[Text]:
    rng = random.Random(f"{_SEED} loops")
    for (language, half), texts in sorted(_prose().items()):
        for text in texts[:3]:
            for sort in rng.sample(sorted(_LOOPS), 3):
                yield Text(_LOOPS[sort](text, language), sort, half, language)


def _prose() -> dict[tuple[str, bool], list[str]]:
    """Clean texts of one paragraph, by language and half."""
    found: dict[tuple[str, bool], list[str]] = {}
    for language, text, half in planted_lines("clean"):
        if "\n" not in text and not re.search(r"[{}<>|=_]", text):
            found.setdefault((language, half), []).append(text)
    return found


def _sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s+|(?<=[。！？])", text.strip())[0]


def _tail(text: str, language: str) -> tuple[str, str]:
    """A text without its last words, and these."""
    if language in _UNSPACED:
        bare = text.rstrip("。！？」”")
        return bare[:-6], bare[-6:]
    words = text.rstrip(".!?»”\"'").split()
    return " ".join(words[:-4]) + " ", " ".join(words[-4:])


def _phrase(text: str, language: str) -> str:
    before, tail = _tail(text, language)
    return before + ("" if language in _UNSPACED else " ").join([tail] * 12)


def _word(text: str, language: str) -> str:
    before, tail = _tail(text, language)
    word = tail[-2:] if language in _UNSPACED else tail.split()[-1]
    return before + ("" if language in _UNSPACED else " ").join([word] * 30)


_LOOPS: Mapping[str, Callable[[str, str], str]] = {
    "sentence": lambda text, language: text + " " + " ".join([_sentence(text)] * 8),
    "phrase": _phrase,
    "word": _word,
    "whole": lambda text, language: "\n\n".join([text] * 4),
    "list": lambda text, language: "\n".join(f"{number}. {_sentence(text)}" for number in range(1, 11)),
    "characters": lambda text, language: text + " " + text[-2] * 150,
}


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _email(rng: random.Random) -> str:
    name, family = (
        rng.choice(("ilse", "tomas", "amira", "jonas", "petra")),
        rng.choice(("varga", "o.lindqvest", "kestrin")),
    )
    host = rng.choice(("velmora-post.org", "tidepool-garden.de", "mail.alderhaus.co.uk", "quernstone.io", "vauxmar.fr"))
    form = rng.choice(("{0}.{1}", "{0}_{1}", "{0}{2}", "{1}+{0}"))
    return f"{form.format(name, family, _digits(rng, 2))}@{host}"


def _phone(rng: random.Random) -> str:
    form = rng.choice(
        (
            "+49 30 9#####7",
            "0171 / 4######",
            "+33 6 ## ## ## ##",
            "06 ## ## ## ##",
            "(312) 4##-####",
            "312-4##-####",
            "+1 646 7## ####",
            "+44 20 7### ####",
            "+34 6## ### ###",
            "+48 6## ### ###",
            "+7 (495) 7##-##-##",
            "+31 6 #### ####",
            "+39 333 #######",
            "+55 11 9####-####",
        )
    )
    return re.sub("#", lambda _: rng.choice("0123456789"), form)


def _card(rng: random.Random) -> str:
    digits = rng.choice(("4", "51", "55", "4")) + _digits(rng, 14)
    digits = digits[:15]
    total = sum(sum(divmod(int(d) * (2 - at % 2), 10)) for at, d in enumerate(digits))
    number = digits + str(-total % 10)
    joint = rng.choice(("", " ", "-"))
    return joint.join(number[at : at + 4] for at in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    country, bban = rng.choice(
        (
            ("DE", _digits(rng, 18)),
            ("ES", _digits(rng, 20)),
            ("NL", f"{rng.choice(('VLMO', 'TIDE'))}{_digits(rng, 10)}"),
            ("FR", _digits(rng, 23)),
            ("GB", f"VLMO{_digits(rng, 14)}"),
            ("AT", _digits(rng, 16)),
        )
    )
    number = int("".join(str(int(sign, 36)) for sign in f"{bban}{country}00"))
    whole = f"{country}{98 - number % 97:02d}{bban}"
    return whole if rng.random() < 0.5 else " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def _key(rng: random.Random) -> str:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def drawn(count: int, signs: str = letters) -> str:
        return "".join(rng.choice(signs) for _ in range(count))

    return rng.choice(
        (
            f"sk-{drawn(48)}",
            f"sk-proj-{drawn(48)}",
            f"sk-ant-api03-{drawn(60)}",
            f"ghp_{drawn(36)}",
            f"AKIA{drawn(16, letters[:26] + '234567')}",
            f"AIza{drawn(35)}",
            f"xoxb-{_digits(rng, 12)}-{_digits(rng, 12)}-{drawn(24)}",
            f"hf_{drawn(34)}",
            f"sk_live_{drawn(24)}",
            f"glpat-{drawn(20)}",
            f"eyJ{drawn(20)}.eyJ{drawn(60)}.{drawn(43)}",
        )
    )


_VALUES: Mapping[str, Callable[[random.Random], str]] = {
    "email": _email,
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "key": _key,
}

FAULTS: Mapping[str, Callable[[], Iterator[Text]]] = {
    "refusals": _refusals,
    "echo": _echoes,
    "language": _wrong_languages,
    "repetition": _loops,
    "pii": _personal,
    "contamination": _contaminated,
}
"""Texts that each stage should drop."""
