"""What every measurement asks for, so that ours and the floor send the same requests. Standard library only: importing
more would change what is measured.
"""

from __future__ import annotations

__all__ = ["COLUMN_SCHEMA", "LANGUAGE", "LANGUAGE_NAME", "MODEL", "TEMPLATE", "prompt", "reply_text", "values"]

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

COLUMN_SCHEMA = {
    "id": {"type": "uuid"},
    "subject": {"type": "choice", "values": ["physics", "chemistry", "biology"], "mode": "balanced"},
    "topic": {
        "type": "choice",
        "by": "subject",
        "values": {
            "physics": ["optics", "heat", "sound"],
            "chemistry": {"acids": 2, "salts": 1},
            "biology": ["cells", "seeds"],
        },
    },
    "words": {"type": "range", "start": 50, "end": 200, "step": 10},
    "example": {"type": "source", "source": [{"text": f"example {number}"} for number in range(100)], "column": "text"},
    "language": {"type": "constant", "value": LANGUAGE_NAME},
    "question": {
        "type": "text",
        "provider": "writer",
        "prompt": "Ask in {language} about {topic} in {subject}, like {example}.",
    },
    "short": {
        "type": "text",
        "provider": "writer",
        "when": "words < 120",
        "prompt": "Answer in {words} words: {question}",
    },
    "long": {
        "type": "text",
        "provider": "writer",
        "when": "words >= 120",
        "prompt": "{% if subject == 'physics' %}With a formula, answer{% else %}Answer{% endif %} in {words} words: {question}",
    },
    "answer": {"type": "expression", "template": "{short}{long}"},
    "praise": {
        "type": "text",
        "provider": "critic",
        "prompt": "What is good about this answer to {question}? {answer}",
    },
    "summary": {"type": "text", "provider": "critic", "prompt": "Sum up: {question} {answer} {praise}"},
}
"""Twelve columns: a diamond (question, then one of two answers, then both critics), conditions, two providers; four calls a row."""


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
