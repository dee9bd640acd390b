"""What one speaker says: names and quotes around it go, and what is said in the place of others is none of it."""

from __future__ import annotations

import pytest

from datafast.datasets.replies import unnumbered
from datafast.datasets.said import Speaker, said, why_not_said

QUESTION, ANSWER = "How deep is it?", "It is deep."


@pytest.mark.parametrize(
    "written",
    [
        QUESTION,
        f"User: {QUESTION}",
        f"**User:** {QUESTION}",
        f"### User\n{QUESTION}",
        f"user (a child): {QUESTION}",
        f"Question: {QUESTION}",
        f"Human: “{QUESTION}”",
        f'"{QUESTION}"',
        f"«{QUESTION}»",
    ],
)
def test_a_user_says_the_question_without_what_stands_around_it(written: str) -> None:
    assert (said("user", written), why_not_said("user", written)) == (QUESTION, None)


@pytest.mark.parametrize("written", [ANSWER, f"Assistant: {ANSWER}", f"**AI**: {ANSWER}", f"### Assistant:\n{ANSWER}"])
def test_an_assistant_says_the_answer_without_its_name(written: str) -> None:
    assert (said("assistant", written), why_not_said("assistant", written)) == (ANSWER, None)


@pytest.mark.parametrize(
    ("speaker", "written"),
    [
        ("user", '"Tide" and "ebb"'),
        ("user", "I asked the assistant: nobody came. Why?"),
        ("user", "This is my file:\n```yaml\nassistant: openai/gpt\n```\nIs it right?"),
        ("user", "I'm sorry, I can't share the plans. Can you help all the same?"),
        ("user", "I can't sleep when the crane works. What shall I do?"),
        ("user", '{"level": 3}'),
        ("user", "מה גובה המים?"),
        ("assistant", "Write it like this:\n```\nUser: Is it deep?\nAssistant: Yes.\n```"),
        ("assistant", "Log in:\nUser: pilot\nPassword: tide"),
        ("assistant", '{"answer": "It is deep."}'),
        ("assistant", "I'm sorry, but I can't help with that."),
    ],
)
def test_what_only_looks_like_another_speaker_is_said(speaker: Speaker, written: str) -> None:
    assert (said(speaker, written), why_not_said(speaker, written)) == (written, None)


@pytest.mark.parametrize(
    ("speaker", "written"),
    [
        ("user", "  "),
        ("user", "User: "),
        ("user", f"{QUESTION}\nAssistant: {ANSWER}"),
        ("user", f"{QUESTION} Assistant: {ANSWER} User: And cold?"),
        ("user", f"{QUESTION}\nAI: {ANSWER}"),
        ("user", f"{QUESTION}\n\n### Assistant\n{ANSWER}"),
        ("user", f"{QUESTION}<|im_end|>\n<|im_start|>assistant\n{ANSWER}"),
        ("user", "I'm sorry, but I can't continue this conversation."),
        ("user", "I’m sorry, but I can’t help with that."),
        ("user", f'{{"question": "{QUESTION}"}}'),
        ("assistant", "**Assistant:**"),
        ("assistant", f"{ANSWER}\nUser: And cold?\nAssistant: Yes."),
        ("assistant", f"{ANSWER}\n\nHuman: And cold?"),
        ("assistant", f"{ANSWER}\n\n**User:** Thanks.\n**Assistant:** Gladly."),
        ("assistant", '{"next": {"calls": [{"name": "wind", "arguments": {}}]}}'),
    ],
)
def test_what_is_said_for_another_one_or_by_nobody_is_not(speaker: Speaker, written: str) -> None:
    assert why_not_said(speaker, written) is not None


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        (["1. Sail.", "2. Row."], ["Sail.", "Row."]),
        (["1) Sail.", "3) Row."], ["Sail.", "Row."]),  # the second one was left out
        (["1. Sail."], ["1. Sail."]),
        (["1. Sail.", "Row."], ["1. Sail.", "Row."]),
        (["1914. A war.", "1914. A year."], ["1914. A war.", "1914. A year."]),
        (["1.5 m is deep.", "2.5 m too."], ["1.5 m is deep.", "2.5 m too."]),
    ],
)
def test_numbers_of_a_list_are_no_part_of_its_texts(written: list[str], texts: list[str]) -> None:
    assert unnumbered(written) == texts
