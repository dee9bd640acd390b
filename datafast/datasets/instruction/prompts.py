"""The default prompts of instruction datasets."""

from __future__ import annotations

from datafast.datasets.pairing import ASKING
from datafast.plan.defaults import DefaultPrompts

__all__ = ["DEFAULTS"]

_DIFFER = (
    "Let them differ in what is to be done (explaining, comparing, planning, rewriting, sorting, calculating, inventing, finding mistakes "
    "and whatever else there is), in how hard they are, and in form: questions and requests, short ones and long ones. Each can be done "
    "in words alone, without pictures, sound or the internet, and is clear to somebody who sees nothing else."
)
_SHOWN = "Here are tasks that people gave to an AI assistant:\n\n{seed_tasks}"
_PROMPTS = [
    "Write tasks that people could give to an AI assistant, in {language_name}: exactly {num_samples}. All of them are about this topic: "
    f"{{topic}}. {_DIFFER}"
]
_PROMPTS_LIKE_SEEDS = [
    f"{_SHOWN}\n\nWrite further ones in {{language_name}}: exactly {{num_samples}}. They are as good as these and of the same sort, but "
    f"none asks for the same as one of these. {_DIFFER}"
]
_PROMPTS_WITH_BOTH = [
    f"{_SHOWN}\n\nWrite further ones in {{language_name}}: exactly {{num_samples}}. They are as good as these and of the same sort, but "
    f"all of them are about this topic: {{topic}}. {_DIFFER}"
]
_FORMS = {
    "never": "The instruction of a task has all that is needed to do it.",
    "sometimes": "Where a task is to be done with something, such as a text, a table, a list or code, write that out as its input, and not "
    "into the instruction. Leave the input empty where a task needs none.",
    "always": "Each task is to be done with something, such as a text, a table, a list or code. Write that out as its input, and not into "
    "the instruction.",
}

_HERE = "Here is a task for an AI assistant:\n\n<task>\n{instruction}\n</task>\n\n"
_REWRITTEN = "Write only what the assistant is told, without a word about this text or that anything was changed."
_KEEP = (
    " Leave the rest of it as it is; an input, if it has one, is kept and not repeated. It stays in {language_name}, makes sense, can be "
    f"done in words alone, and gets no longer than it has to, by some 20 words. {_REWRITTEN}"
)
_OPERATIONS = {
    "constraints": f"Make it somewhat harder by one more condition that a good answer has to meet.{_KEEP}",
    "deepening": f"Make it somewhat harder: let it go further into what it asks about, and look at more sides of it.{_KEEP}",
    "concretizing": "Make it more specific: put a particular case, people, places, numbers or circumstances where it speaks in "
    f"general.{_KEEP}",
    "reasoning": "Make it somewhat harder: where one thought was enough to do it, let it take several that follow from one "
    f"another.{_KEEP}",
    "complicate_input": "Make what it is to be done with somewhat harder to handle, and write that out as its input: more of it, or in "
    "another form, such as a table, a log, code, JSON, a formula or a letter with mistakes. Fit the instruction to it. Both stay in "
    f"{{language_name}}, and the task makes sense and can be done in words alone. {_REWRITTEN}",
    "breadth": "Let it give you the idea for another task, in {language_name}: from the same field, but about something rarer there; "
    "about as long and as hard; one that makes sense and can be done in words alone. Write only what the assistant is told, without a "
    "word about this text.",
}

_TELLING = {
    **ASKING,
    "persona": [
        "The tasks are what this person would ask for, in words of theirs, without naming or describing them:\n\n{persona}"
    ],
}
DEFAULTS = DefaultPrompts(
    "instruction",
    version=1,
    texts={
        "prompts": _PROMPTS,
        "prompts like seeds": _PROMPTS_LIKE_SEEDS,
        "prompts with both": _PROMPTS_WITH_BOTH,
        **{f"form {name}": [text] for name, text in _FORMS.items()},
        **{f"evolution.prompts.{name}": [_HERE + text] for name, text in _OPERATIONS.items()},
        "evolution.gain_prompt": [
            "Here are two tasks for an AI assistant:\n\n<first>\n{first}\n</first>\n\n<second>\n{second}\n</second>\n\nDo both ask for the "
            "same, under the same conditions and in the same depth, so that a good answer to one is a good answer to the other?"
        ],
        "response_prompt": ["{instruction}"],
        **_TELLING,
        "judge.prompt": [
            "Here is a task for an AI assistant:\n\n<task>\n{instruction}\n</task>\n\nHere is a response to it:\n\n<response>\n{response}\n"
            "</response>"
        ],
        "judge.rubric": [
            "How well the response does all that the task asks for: whether it is right, complete, clear and no longer than it has to be."
        ],
    },
)
