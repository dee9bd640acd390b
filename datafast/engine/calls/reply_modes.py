"""Which way of asking for structure works at one endpoint, learned from its answers.

A way that fails more often than it works gives place to the next one. Where the server refused it by name (400) that is final;
where it only seemed to fail (an invalid reply, a 500) it is tried again now and then, ever more rarely, so that bad luck at the
start costs no good server its best way for good, and a server that ignores the format costs a request for every doubling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from datafast.llms.base import ReplyMode

__all__ = ["ReplyModes"]

_ORDER = tuple(ReplyMode)
_FIRST_TRIAL_AFTER = 20


class ReplyModes:
    """What is known about the ways of asking at one endpoint."""

    def __init__(self) -> None:
        self._worked: Counter[ReplyMode] = Counter()
        self._failed: Counter[ReplyMode] = Counter()
        self._refused: set[ReplyMode] = set()
        self._calls_below = 0
        self._trial_after = _FIRST_TRIAL_AFTER

    @property
    def usual(self) -> ReplyMode:
        """The best way that does not mostly fail; where all do, the one that works most often."""
        sound = [mode for mode in _ORDER if not self._fails(mode)]
        return sound[0] if sound else max(_ORDER, key=lambda mode: self._worked[mode] - self._failed[mode])

    def choose(self) -> ReplyMode:
        """The way for a new call: the usual one, or now and then a better one that is not known to be refused."""
        usual, best = self.usual, next((mode for mode in _ORDER if mode not in self._refused), _ORDER[0])
        if _ORDER.index(best) >= _ORDER.index(usual):
            return usual
        self._calls_below += 1
        if self._calls_below < self._trial_after:
            return usual
        self._calls_below = 0
        self._trial_after *= 2
        return best

    def worked(self, mode: ReplyMode) -> None:
        """A valid reply came back."""
        self._worked[mode] += 1
        self._refused.discard(mode)

    def failed(self, mode: ReplyMode) -> None:
        """An unusable reply came back. However many were on their way, one success makes up for them."""
        self._failed[mode] = min(self._failed[mode] + 1, self._worked[mode] + 1)

    def met_error(self, mode: ReplyMode, *, refused: bool) -> None:
        """An error came back. What has worked before is not to blame for it."""
        if not self._worked[mode]:
            self.failed(mode)
            if refused:
                self._refused.add(mode)

    def next_after(self, mode: ReplyMode, tried: Collection[ReplyMode], *, refused: bool = False) -> ReplyMode | None:
        """Another way for a call that `mode` failed; None where `mode` works for others, or there is none left.

        Args:
            tried: ways that failed this call. What works for others may be taken again, unless this was `refused`: such a
                request is sent again at once, and must come to an end.
        """
        if not self._fails(mode):
            return None
        proven = [other for other in _ORDER if self._worked[other] and not self._fails(other)]
        later = _ORDER[_ORDER.index(mode) + 1 :]
        possible = [
            *(other for other in proven if not refused or other not in tried),
            *(other for other in later if other not in tried),
        ]
        return possible[0] if possible else None

    def _fails(self, mode: ReplyMode) -> bool:
        return self._failed[mode] > self._worked[mode]
