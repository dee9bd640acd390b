"""What every measurement asks for, so that ours and the floor send the same requests. Standard library only: importing
more would change what is measured.
"""

from __future__ import annotations

__all__ = ["LANGUAGE", "LANGUAGE_NAME", "MODEL", "TEMPLATE", "prompt", "reply_text", "values"]

MODEL = "bench-model"
LANGUAGE, LANGUAGE_NAME = "en", "English"
TEMPLATE = (
    "Write {num_samples} different texts in {language_name}. Each one is an excerpt of this type of document: {document_type}. "
    "Each one is about this topic: {topic}. Write as an expert of the field would, be specific, and make the texts differ "
    "in content, structure and tone."
)
_SENTENCE = (
    "The pump runs for forty minutes before the gauge settles, and what is left in the chamber is mostly water. "
)


def values(name: str, count: int) -> list[str]:
    """`count` different values of one axis."""
    return [f"{name} {number}" for number in range(count)]


def prompt(topic: str, document_type: str) -> str:
    """The prompt of one item, as the dataset renders it."""
    return TEMPLATE.format(num_samples=1, language_name=LANGUAGE_NAME, document_type=document_type, topic=topic)


def reply_text(form: str = "texts") -> str:
    """The text of every reply: JSON of about 450 bytes, for `texts` or `conversations`."""
    if form == "conversations":
        exchange = f'{{"user": "{_SENTENCE.strip()}", "assistant": "{(_SENTENCE * 3).strip()}"}}'
        return f'{{"conversations": [{{"exchanges": [{exchange}]}}]}}'
    return '{"texts": ["' + (_SENTENCE * 4).strip() + '"]}'
