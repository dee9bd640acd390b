"""The default texts of preference pairs."""

from __future__ import annotations

from datafast.datasets.pairing import ASKING
from datafast.plan.defaults import DefaultPrompts

__all__ = ["DEFAULTS", "DEFAULT_FLAWS", "LATER_DEFAULTS", "WITHOUT_DOCUMENT"]

DEFAULT_QUESTION_PROMPTS = [
    "Read this document:\n\n{document}\n\nWrite questions in {language_name}: exactly {num_samples}. Ask what a curious reader of the "
    "document would ask and what it helps to answer, nothing twice. Each question must be understandable on its own, without the "
    "document at hand."
]
_FIRST_QUESTION_PROMPTS = [
    "Read this document:\n\n{document}\n\nWrite {num_samples} different questions in {language_name} that a curious reader of it "
    "would ask and that it helps to answer. Each question must be understandable on its own, without the document at hand."
]
DEFAULT_CHOSEN_PROMPT = (
    "Here is a document:\n\n{document}\n\nAnswer this question in {language_name}, correctly, completely and to the point, "
    "using what the document says:\n\n{question}"
)
DEFAULT_REJECTED_PROMPT = (
    "Here is a document:\n\n{document}\n\nGive a short, superficial answer in {language_name} to this question, one that misses "
    "important points:\n\n{question}"
)
DEFAULT_EVOLUTION_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nAn answer:\n\n{answer}\n\nRewrite the answer in its "
    "language so that it is deeper, more precise and better reasoned, without anything that the document contradicts. "
    "Reply with the new answer alone."
)
DEFAULT_JUDGE_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nA response:\n\n{response}\n\nJudge how correct, complete "
    "and helpful the response is. Give a short assessment, then a score from 1 (useless) to 10 (cannot be improved)."
)
DEFAULT_COMPARISON_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nThe first response:\n\n{first}\n\n"
    "The second response:\n\n{second}\n\nJudge how correct, complete and helpful each of them is, whatever their order. For the "
    "first, then for the second, give a short assessment and then a score from 1 (useless) to 10 (cannot be improved)."
)
DEFAULT_DEGRADE_PROMPT = (
    "Here is a document:\n\n{document}\n\nA question about it:\n\n{question}\n\nA good answer:\n\n{answer}\n\nRewrite the answer in "
    "its language so that it is worse in one way: {flaw}. Leave the rest as it is, keep the length, and do not hint at the flaw. "
    "Reply with the new answer alone."
)
DEFAULT_FLAWS = [
    "it says something that is not true",
    "it leaves out what matters most",
    "it is vague where the good answer is exact",
    "it draws a conclusion that does not follow",
    "it answers a question that is slightly different",
]

_OTHER_PROMPTS = {
    "chosen_response_generation_prompt": [DEFAULT_CHOSEN_PROMPT],
    "rejected_response_generation_prompt": [DEFAULT_REJECTED_PROMPT],
    "evolution_prompt": [DEFAULT_EVOLUTION_PROMPT],
    "judge_prompt": [DEFAULT_JUDGE_PROMPT],
    **ASKING,
}
DEFAULTS = DefaultPrompts(
    "preference",
    version=2,
    texts={"question_generation_prompts": DEFAULT_QUESTION_PROMPTS, **_OTHER_PROMPTS},
    former=DefaultPrompts(
        "preference", version=1, texts={"question_generation_prompts": _FIRST_QUESTION_PROMPTS, **_OTHER_PROMPTS}
    ),
)
WITHOUT_DOCUMENT = " without document"
_ANSWER_ALONE = "Answer in {language_name}, correctly, completely and to the point:\n\n{question}"
_WORSE_ALONE = (
    "Give a short, superficial answer in {language_name} to this, one that misses important points:\n\n{question}"
)
_EVOLUTION_ALONE = (
    "A question or task:\n\n{question}\n\nAn answer:\n\n{answer}\n\nRewrite the answer in its language so that it is deeper, more "
    "precise and better reasoned. Reply with the new answer alone."
)
_JUDGE_ALONE = (
    "A question or task:\n\n{question}\n\nA response:\n\n{response}\n\nJudge how correct, complete and helpful the response is. Give a "
    "short assessment, then a score from 1 (useless) to 10 (cannot be improved)."
)
_COMPARISON_ALONE = (
    "A question or task:\n\n{question}\n\nThe first response:\n\n{first}\n\nThe second response:\n\n{second}\n\nJudge how correct, "
    "complete and helpful each of them is, whatever their order. For the first, then for the second, give a short assessment and then a "
    "score from 1 (useless) to 10 (cannot be improved)."
)
_DEGRADE_ALONE = (
    "A question or task:\n\n{question}\n\nA good answer:\n\n{answer}\n\nRewrite the answer in its language so that it is worse in one "
    "way: {flaw}. Leave the rest as it is, keep the length, and do not hint at the flaw. Reply with the new answer alone."
)
_ANSWERING = {
    "persona": [
        "This is the person who asks. Answer so that it helps them, without naming or describing them:\n\n{persona}"
    ],
    "seed_text": ["Let this text inspire you in how to answer, and do not repeat what it says:\n\n{seed_text}"],
}
# Of ways to make pairs that came later: the words of the first version above never change.
LATER_DEFAULTS = DefaultPrompts(
    "preference pairs",
    version=1,
    texts={
        "comparison_prompt": [DEFAULT_COMPARISON_PROMPT],
        "degrade_prompt": [DEFAULT_DEGRADE_PROMPT],
        f"chosen_response_generation_prompt{WITHOUT_DOCUMENT}": [_ANSWER_ALONE],
        f"rejected_response_generation_prompt{WITHOUT_DOCUMENT}": [_WORSE_ALONE],
        f"evolution_prompt{WITHOUT_DOCUMENT}": [_EVOLUTION_ALONE],
        f"judge_prompt{WITHOUT_DOCUMENT}": [_JUDGE_ALONE],
        f"comparison_prompt{WITHOUT_DOCUMENT}": [_COMPARISON_ALONE],
        f"degrade_prompt{WITHOUT_DOCUMENT}": [_DEGRADE_ALONE],
        **_ANSWERING,
    },
)
