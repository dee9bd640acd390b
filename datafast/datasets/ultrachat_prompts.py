"""The default texts of chats."""

from __future__ import annotations

from datafast.datasets.pairing import ASKING
from datafast.plan.defaults import DefaultPrompts

__all__ = ["DEFAULTS", "WITHOUT_PERSONAS"]

DEFAULT_QUESTION_PROMPTS = [
    "People talk to an AI assistant about {subtopic}. That belongs to {topic}, and the domain is {domain}.\n\n"
    "Write questions in {language_name} with which they begin: exactly {num_samples}. Let them differ in what they ask, in how far "
    "they go and in what they are for, and ask nothing twice. Each can be understood on its own."
]
DEFAULT_REFORMULATION_PROMPT = (
    "A question to an AI assistant, about {subtopic}:\n\n{question}\n\nThis person asks it:\n\n{persona}\n\n"
    "Write in {language_name} how they put it, with what they know, need and care about, and in their tone. What they want to find "
    "out stays the same. They do not introduce themselves unless it helps the answer."
)
DEFAULT_ASSISTANT_PROMPT = (
    "Somebody asks you about {subtopic} ({topic}; {domain}). Answer them in {language_name}: correctly, to the point, and so that they can "
    "work with it. Go on like that if they ask further.\n\n{question}"
)
_SAID = "An AI assistant is asked about {subtopic}, in the domain {domain}. The conversation so far:\n\n{dialog_summary}\n\n"
_NEXT = (
    "Write in {language_name} what the user says next to the assistant. It follows from its last answer: they want to know more, doubt "
    "something, or apply it to a case of their own. They ask nothing that they have asked before, and leave the answering to it."
)
DEFAULT_FOLLOWUP_PROMPT = f"{_SAID}The user is this person:\n\n{{persona}}\n\n{_NEXT}"
WITHOUT_PERSONAS = " without personas"

DEFAULTS = DefaultPrompts(
    "ultrachat",
    version=1,
    texts={
        "question_generation_prompts": DEFAULT_QUESTION_PROMPTS,
        "persona_question_reformulation_prompt": [DEFAULT_REFORMULATION_PROMPT],
        "simulated_assistant_prompt": [DEFAULT_ASSISTANT_PROMPT],
        "user_followup_prompt": [DEFAULT_FOLLOWUP_PROMPT],
        f"user_followup_prompt{WITHOUT_PERSONAS}": [f"{_SAID}{_NEXT}"],
        **ASKING,
    },
)
