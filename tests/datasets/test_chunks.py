"""Documents in pieces: nothing is lost, nothing is too long, headings keep what stands below them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafast.datasets.chunks import Span, chunked, token_counter
from datafast.errors import ConfigError

WORDS = token_counter(None)


def by_words(text: str) -> int:
    return len(text.split())


def pieces(text: str, size: int, overlap: int = 0) -> list[tuple[str, str]]:
    """The heading and the text of each chunk; a word is a token."""
    return [
        (span.heading, text[span.start : span.end].strip())
        for span in chunked(text, size=size, overlap=overlap, count=by_words)
    ]


def test_a_short_document_is_one_chunk() -> None:
    assert pieces("One two.\n\nThree four.\n", 10) == [("", "One two.\n\nThree four.")]


def test_chunks_begin_at_headings_and_know_the_titles_above_them() -> None:
    text = "# A\n\none two three four\n\n## B\n\nfive six seven eight\n\n# C\n\nnine ten eleven twelve\n"
    assert pieces(text, 7) == [
        ("A", "# A\n\none two three four"),
        ("A > B", "## B\n\nfive six seven eight"),
        ("C", "# C\n\nnine ten eleven twelve"),
    ]


def test_small_sections_share_a_chunk() -> None:
    assert pieces("# A\n\none\n\n# B\n\ntwo\n", 20) == [("A", "# A\n\none\n\n# B\n\ntwo")]


def test_a_heading_is_not_parted_from_what_stands_below_it() -> None:
    text = "one two three\n\n# A\n\nfour five six seven\n"
    assert pieces(text, 6) == [("", "one two three"), ("A", "# A\n\nfour five six seven")]


def test_many_headings_in_a_row_share_chunks_and_the_last_stays_with_its_text() -> None:
    contents = "".join(f"# {number}\n" for number in range(40))
    found = pieces(f"{contents}\none two three four five six\n", 10)
    assert len(found) == 14
    assert [chunk.count("#") for _, chunk in found] == [3] * 13 + [1]
    assert found[0] == ("0", "# 0\n# 1\n# 2")
    assert found[-1] == ("39", "# 39\n\none two three four five six")


def test_what_looks_like_a_heading_in_code_is_none() -> None:
    text = "# A\n\n```sh\n# not a title\n\nls\n```\n\none two three\n"
    assert {heading for heading, _ in pieces(text, 6)} == {"A"}


def test_a_long_paragraph_is_divided_at_sentences_and_a_long_sentence_between_words() -> None:
    text = "One two three. Four five six. " + " ".join(f"w{number}" for number in range(9)) + "."
    found = pieces(text, 4)
    assert [chunk for _, chunk in found][:2] == ["One two three.", "Four five six."]
    assert all(by_words(chunk) <= 4 for _, chunk in found)
    assert " ".join(chunk for _, chunk in found) == text


def test_a_chunk_repeats_the_end_of_the_one_before_but_not_across_a_heading() -> None:
    text = "one two. three four. five six. seven eight.\n\n# T\n\nnine ten."
    chunks = [chunk for _, chunk in pieces(text, 4, overlap=2)]
    assert chunks == ["one two. three four.", "three four. five six.", "five six. seven eight.", "# T\n\nnine ten."]


TEXTS = st.lists(
    st.sampled_from(
        ["# A\n", "## B\n", "```\n", "\n", "word ", "Sentence one. Two! ", "x" * 40, "é。ü。", "  ", "a\r\n"]
    ),
    max_size=60,
).map("".join)


@given(TEXTS, st.integers(2, 30), st.integers(0, 10))
@settings(max_examples=200, deadline=None)
def test_chunks_leave_nothing_out_and_none_is_too_long(text: str, size: int, overlap: int) -> None:
    spans: list[Span] = chunked(text, size=size, overlap=min(overlap, size // 2), count=WORDS)
    done = 0
    for span in spans:
        assert span.start <= done < span.end
        assert WORDS(text[span.start : span.end]) <= size + len(spans)  # parts are rounded up one by one
        done = span.end
    assert done == len(text)


def test_tokens_are_those_of_a_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert token_counter(tmp_path / "tokenizer.json")("one two, three") == 4
    assert token_counter(tmp_path)("one two, three") == 4
    assert token_counter(None)("12345") == 2
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tokenizer: .*broken\.json is not a tokenizer\.json"):
        token_counter(tmp_path / "broken.json")
