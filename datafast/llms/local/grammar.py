"""Makes a reply follow a JSON Schema while it is written, with the package llguidance.

Guarantee: a token is allowed only if the reply can still match the schema; after the object only the end is allowed.
Cost: about 50 us a token; a schema is compiled once, in a few milliseconds.
Limits: fast tokenizers only. Parts of a schema that llguidance does not support are refused, not ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import llguidance
import llguidance.hf
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Grammars", "Matcher", "Unsupported"]

# Small models can get lost in free white space, so at most one new line and some indentation are allowed.
_WHITE_SPACE = r"\n?[ ]{0,8}"
_MOST_KEPT = 256


class Unsupported(Exception):
    """The schema or the tokenizer cannot be used; the message says why."""


class Matcher:
    """Follows one reply."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    @property
    def is_over(self) -> bool:
        """Whether only the end can follow."""
        return bool(self._matcher.is_stopped())

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)

    def allowed(self) -> bytes:
        """The tokens that may follow, one bit for each, beginning with the lowest bit of the first byte."""
        mask: bytes = self._matcher.compute_bitmask()
        return mask


class Grammars:
    """The compiled schemas for one model.

    Args:
        tokenizer: the model's tokenizer.
        num_tokens: the size of its vocabulary.
        ends: tokens that end a reply.
    """

    def __init__(self, tokenizer: Any, *, num_tokens: int, ends: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._num_tokens = num_tokens
        self._ends = sorted(ends)
        self._known: dict[bytes, Any] = {}
        self._vocabulary: Any = None

    def matcher(self, schema: bytes) -> Matcher:
        """A new matcher for a JSON Schema.

        Raises:
            Unsupported: the schema cannot be followed.
        """
        if schema not in self._known:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[schema] = self._compiled(schema)
        return Matcher(self._known[schema].deep_copy())

    def _compiled(self, schema: bytes) -> Any:
        if self._vocabulary is None:
            try:
                self._vocabulary = llguidance.hf.from_tokenizer(
                    self._tokenizer, n_vocab=self._num_tokens, eos_token=self._ends or None
                )
            except ValueError as error:
                raise Unsupported(f"replies with this model's tokenizer cannot follow a schema: {error}") from error
        asked = orjson.loads(schema)
        asked["x-guidance"] = {"whitespace_pattern": _WHITE_SPACE}
        try:
            grammar = llguidance.LLMatcher.grammar_from_json_schema(orjson.dumps(asked).decode())
        except ValueError as error:
            raise Unsupported(str(error)) from error
        matcher = llguidance.LLMatcher(self._vocabulary, grammar)
        if matcher.is_error():
            raise Unsupported(matcher.get_error())
        return matcher
