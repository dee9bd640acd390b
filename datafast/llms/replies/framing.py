"""Takes off what frames an answer: reasoning, channels, and the control tokens of a model's chat template that a server let through.

Guarantee: what stands within an answer stays, also where it speaks of such marks: they are taken off at the beginning and the end alone,
and between them only where two blocks of reasoning follow each other. A mark in code (between backticks) is text. Where a reply has no
end of its reasoning, or no answer after it, there is no answer.
Cost: linear, at most 0.2 us a character. A text without `<`, `[/` and the like is only searched for those.
Limits: a text that ends in a control token right after its last sentence loses it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import islice

from datafast.llms.replies.find import begins_with_json, has_stray_closer, json_spans

__all__ = ["answer_in", "reasoning_in"]

# What a mark of any sort needs, or a text that has one begins with. Most answers have none of it.
_MARKS = ("<", "\u25c1")
_IN_BRACKETS = ("[THINK]", "[/", "[|", "[EOS]")
_BEGINNINGS = ("analysis", "Here is my thought process:")

_TAG = r"(?:[a-z]{2,12}[:_])?(?:think|thinking|thoughts?|reasoning)"
# How a block of reasoning opens, and how that block closes. {} stands for what the opening has captured.
_BLOCKS = [
    (re.compile(rf"<({_TAG})(?:\s[^<>\n]{{0,80}})?>", re.IGNORECASE), "</{}>", "<{}>"),
    (re.compile(r"\[(THINK)\]"), "[/{}]", "[{}]"),
    (re.compile(r"<\|(START_THINKING)\|>"), "<|END_THINKING|>", "<|{}|>"),
    (re.compile(r"<\|begin_of_(thought)\|>"), "<|end_of_{}|>", "<|begin_of_{}|>"),
    (re.compile(r"\u25c1(think)\u25b7"), "\u25c1/{}\u25b7", "\u25c1{}\u25b7"),
    (re.compile(r"<unused94>(thought)\n"), "<unused95>", "<unused94>{}\n"),
    (re.compile(r"<\|channel>(thought)\n"), "<channel|>", "<|channel>{}\n"),
    (re.compile(r"Here is my (thought) process:"), "Here is my response:", "Here is my {} process:"),
]
_CLOSING = re.compile(
    rf"</{_TAG}>|\[/THINK\]|<\|END_THINKING\|>|<\|end_of_thought\|>|\u25c1/think\u25b7|<unused95>|<channel\|>",
    re.IGNORECASE,
)
# Around the answer itself, where a model marks that too; the last two only after reasoning, for a prompt may ask for them.
_WRAPPINGS = [
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|START_TEXT|>", "<|END_TEXT|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
]
_WRAPPINGS_AFTER_REASONING = [("<answer>", "</answer>"), ("<response>", "</response>")]

# The beginning of a turn: "begin of text" tokens, then whose turn it is.
_FIRST = re.compile(
    r"(?:\s*+(?:<s>(?![^<]*+</s>\s*+\S)|<bos>|<\|begin_of_text\|>|<\|startoftext\|>|<\uff5cbegin\u2581of\u2581sentence\uff5c>|<BOS_TOKEN>))*+"
    r"(?:\s*+(?:<\|im_start\|>(?:\s*assistant\b|(?!\s*(?:user|system|tool)\b))"
    r"|(?:<\|start\|>\s*assistant\s*)?<\|message\|>|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>|<start_of_turn>\s*model\b"
    r"|<\|turn>\s*model\b|<\|assistant\|>|<\uff5cAssistant\uff5c>|\[\|assistant\|\]"
    r"|<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>|<\|start_of_role\|>assistant<\|end_of_role\|>))?+\s*+"
)
_END_MARK = (
    r"(?:<\|im_end\|>|<\|endoftext\|>|<\|end_of_text\|>|<\|eot_id\|>|<\|eom_id\|>|<\|eot\|>|<\|end\|>|<\|return\|>|<\|call\|>|</s>|<eos>"
    r"|<end_of_turn>|<\|end_of_turn\|>|<turn\|>|<\|END_OF_TURN_TOKEN\|>|<\|END_RESPONSE\|>|<EOS_TOKEN>|\[\|endofturn\|\]|<\|im_sep\|>"
    r"|<\|user\|>|<\|observation\|>|<\|fim_pad\|>|<\uff5cend\u2581of\u2581sentence\uff5c>|\[EOS\])"
)
_LAST = re.compile(rf"(?:\s*+{_END_MARK})++\s*+\Z")
_LONGEST_END = 400  # characters, looked at from the end of a text
# More marks than a reply has that is worth reading; they bound what is tried.
_MAX_BLOCKS = 32
_MAX_TAGS = 64
_LINE_WITH_MARK = re.compile(r"^[ \t]*+(?=[<\[\u25c1])", re.MULTILINE)
# A turn that ends where another begins: the model went on and wrote the other side's part too.
_NEXT_TURN = re.compile(
    rf"{_END_MARK}\s*+(?=<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|<\|start\|>|<\|user\|>"
    r"|<\|START_OF_TURN_TOKEN\|>|<\|start_of_role\|>|\[\|user\|\])"
)
_TURN = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|<\|start\|>|<\|START_OF_TURN_TOKEN\|>|<\|start_of_role\|>|\[\|user\|\]"
)
_SENTENCE_ENDS = frozenset(".!?\u2026\"'\u201d\u2019)]}*_`>\u3002\uff01\uff1f")

# Harmony: messages of an assistant in channels.
_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant(?:\s+to=\S{1,80})?\s*+)?<\|channel\|>(?P<name>\w+)(?P<more>[^<>]{0,200})(?:<\|constrain\|>\w+)?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>")
_FINAL = re.compile(
    r"<\|end\|>\s*<\|start\|>assistant\s*<\|channel\|>final(?:[^<>]{0,200}<\|constrain\|>\w+)?<\|message\|>"
)
_UNMARKED_FINAL = re.compile(r"\Aanalysis(?=\S).*assistantfinal(?:json)?", re.DOTALL)


def answer_in(text: str, *, is_json: bool) -> str | None:
    """The answer in a reply, without what frames it.

    Args:
        is_json: an object is asked for: what stands outside of one may be anything.

    Returns:
        The answer, perhaps empty, or None where there is nothing but reasoning.
    """
    return _parted(text, is_json=is_json)[0]


def reasoning_in(text: str, *, is_json: bool) -> str:
    """The reasoning that frames the answer in a reply, without its marks; '' where there is none. What of it stands apart is set apart
    by an empty line."""
    _, thoughts = _parted(text, is_json=is_json)
    return "\n\n".join(filter(None, map(str.strip, thoughts)))


def _parted(text: str, *, is_json: bool) -> tuple[str | None, list[str]]:
    """The answer as `answer_in` gives it, and the reasoning in front of it and within."""
    if not _may_be_framed(text):
        return text, []
    if (channels := _from_channels(text)) is not None:
        return channels[0] or None, channels[1]
    first = _FIRST.match(text)
    text, ran_on = _one_turn(text[first.end() if first else 0 :])
    thoughts: list[str] = []
    while (end := _block_at(text, len(text) - len(text.lstrip()))) is not None:
        if end < 0 or len(thoughts) == _MAX_BLOCKS:
            return None, thoughts
        thoughts.append(_inside(text[:end].lstrip()))
        text = text[end:]
    blocks = len(thoughts)
    rest = _after_last_tag(text) if is_json else _after_unopened(text, reasoned=blocks > 0)
    if rest is None:
        return None, thoughts
    if rest is not text:
        thoughts.append(_before_last_tag(text[: len(text) - len(rest)]))
    if is_json:
        return rest, thoughts
    is_bare = rest is text
    if blocks:
        rest = _without_later_blocks(rest, thoughts)
    return _unwrapped(_without_end_tokens(rest, certain=ran_on), reasoned=blocks > 0 or not is_bare), thoughts


def _may_be_framed(text: str) -> bool:
    if _MARKS[0] in text or _MARKS[1] in text or text.lstrip().startswith(_BEGINNINGS):
        return True
    return "[" in text and any(mark in text for mark in _IN_BRACKETS)


def _from_channels(text: str) -> tuple[str, list[str]] | None:
    """What was said in the final channel, '' where nothing was, and in those before it; None where the text has no channels."""
    start = len(text) - len(text.lstrip())
    if _CHANNEL.match(text, start) is None:
        if (unmarked := _UNMARKED_FINAL.match(text)) is not None:
            thought = unmarked[0].removeprefix("analysis").rpartition("assistantfinal")[0]
            return _up_to_channel_end(text, unmarked.end()), [thought]
        finals = islice(_FINAL.finditer(text), _MAX_TAGS)
        final = next((found for found in finals if not _in_code(text, found.start())), None)
        return None if final is None else (_up_to_channel_end(text, final.end()), [text[: final.start()]])
    channels = list(_CHANNEL.finditer(text))
    thoughts = [_up_to_channel_end(text, channel.end()) for channel in channels if channel["name"] == "analysis"]
    said = [channel.end() for channel in channels if channel["name"] == "final"]
    return _up_to_channel_end(text, said[-1]) if said else "", thoughts


def _up_to_channel_end(text: str, start: int) -> str:
    end = _CHANNEL_END.search(text, start)
    return text[start : end.start() if end else len(text)].strip()


def _one_turn(text: str) -> tuple[str, bool]:
    """The text up to where the model began another turn, and whether it did. A text that shows turns is not one."""
    following = _NEXT_TURN.search(text)
    if following is None or _in_code(text, following.start()):
        return text, False
    shown = _TURN.search(text)
    if shown is not None and shown.start() < following.start():
        return text, False
    return text[: following.start()], True


def _block_at(text: str, start: int) -> int | None:
    """Where a block of reasoning ends that begins at `start`; -1 where it has no end, None where there is none."""
    for opening, closing, again in _BLOCKS:
        opened = opening.match(text, start)
        if opened is not None:
            ends = closing.format(opened[1])
            end = _end_of_block(text, opened.end(), ends, again.format(opened[1]))
            return -1 if end is None else end + len(ends)
    return None


def _inside(block: str) -> str:
    """A whole block of reasoning without the marks around it."""
    for opening, closing, _ in _BLOCKS:
        if (opened := opening.match(block)) is not None:
            return block[opened.end() : len(block) - len(closing.format(opened[1]))]
    return block


def _before_last_tag(text: str) -> str:
    """The text up to the closing tag that it ends with."""
    *_, last = _CLOSING.finditer(text)
    return text[: last.start()]


def _end_of_block(text: str, start: int, ends: str, again: str) -> int | None:
    """Where the block that opened before `start` closes: blocks of the same sort in it are part of it, if they close."""
    folded, ends, again = text.casefold(), ends.casefold(), again.casefold()
    if len(folded) != len(text):  # a few letters change their length; tags are then compared as they stand
        folded = text
    first = folded.find(ends, start)
    if first < 0:
        return None
    at, depth = first, 1 + folded.count(again, start, first)
    while True:
        depth -= 1
        if depth == 0:
            return at
        following = folded.find(ends, at + len(ends))
        if following < 0:
            return first  # it spoke of the tag that opens
        depth += folded.count(again, at, following)
        at = following


def _after_last_tag(text: str) -> str:
    """What follows the last closing tag of reasoning that stands outside of every value of JSON: templates put the tag that opens it
    into the prompt."""
    closings = list(islice(_CLOSING.finditer(text), _MAX_TAGS))
    if not closings:
        return text
    spans = [span for span, whole in json_spans(text) if whole]
    starts = [start for start, _ in spans]
    for closing in reversed(closings):
        before = bisect_right(starts, closing.start()) - 1
        if before < 0 or closing.start() >= spans[before][1]:
            rest = text[closing.end() :]
            # It stands in a text of an object that is broken, where one begins before it or where brackets close behind it alone.
            broken = begins_with_json(text) or has_stray_closer(rest)
            return rest if not broken and (begins_with_json(rest) or _stands_alone(text, closing)) else text
    return text


def _after_unopened(text: str, *, reasoned: bool) -> str | None:
    """The same for free text, where the tag begins or ends a line outside of code, since a text may well speak about such tags.

    Returns:
        None where a block has ended before, so that which of the two tags ends the reasoning cannot be known.
    """
    closings = islice(_CLOSING.finditer(text), _MAX_TAGS)
    alone = [tag for tag in closings if _stands_alone(text, tag)]
    if not alone:
        return text
    if reasoned:
        return text if all(_opened_before(text, tag) for tag in alone) else None
    return text[alone[-1].end() :]


def _opened_before(text: str, tag: re.Match[str]) -> bool:
    """Whether a line before the tag, or its own, begins with what opens it."""
    name = tag[0].replace("/", "", 1).replace("END_", "START_").replace("end_", "begin_")
    return re.search(rf"^[ \t]*+{re.escape(name)}", text[: tag.start()], re.MULTILINE | re.IGNORECASE) is not None


def _without_later_blocks(text: str, thoughts: list[str]) -> str:
    """The text without blocks of reasoning that fill lines of their own: a model that reasons may do so again further on.

    Args:
        thoughts: what stands in these blocks is added.
    """
    kept, at = [], 0
    for line in islice(_LINE_WITH_MARK.finditer(text), _MAX_TAGS):
        if line.start() < at or _in_code(text, line.start()):
            continue
        end = _block_at(text, line.end())
        if end is not None and end >= 0 and not text[end : _line_end(text, end)].strip():
            kept.append(text[at : line.start()])
            thoughts.append(_inside(text[line.end() : end]))
            at = min(len(text), _line_end(text, end) + 1)
    return "".join([*kept, text[at:]])


def _stands_alone(text: str, tag: re.Match[str]) -> bool:
    begins = not text[text.rfind("\n", 0, tag.start()) + 1 : tag.start()].strip()
    ends = not text[tag.end() : _line_end(text, tag.end())].strip()
    return (begins or ends) and not _in_code(text, tag.start())


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)


def _without_end_tokens(text: str, *, certain: bool) -> str:
    end = len(text)
    while (found := _LAST.search(text, max(0, end - _LONGEST_END), end)) is not None:
        tokens = found[0].lstrip()
        space = found[0][: len(found[0]) - len(tokens)]
        before = text[: found.start()].rstrip()[-1:]
        # "... and each turn ends with <|im_end|>" speaks of it: a server's own stands right after the text, or after a sentence.
        framing = certain or not space or "\n" in space or before in _SENTENCE_ENDS
        if not framing or (tokens.startswith("</s>") and "<s>" in text):  # HTML strikes a text out so
            break
        end = found.start()
    return text[:end]


def _unwrapped(text: str, *, reasoned: bool) -> str:
    stripped = text.strip()
    for opening, closing in [*_WRAPPINGS, *(_WRAPPINGS_AFTER_REASONING if reasoned else [])]:
        if stripped.startswith(opening) and closing not in stripped[: -len(closing)]:
            return stripped.removeprefix(opening).removesuffix(closing)
    return text


def _in_code(text: str, at: int) -> bool:
    return text.count("`", 0, at) % 2 == 1
