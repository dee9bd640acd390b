"""The reply modes (ways of asking for structure) that work at one endpoint, learned from its answers.

A mode that fails more often than it works is replaced by the next one. If the server refused it by name (400), that is final. If it
only seemed to fail (an invalid reply, a 500), it is tried again now and then, more and more rarely. So a good server does not lose its
best mode through bad luck at the start, and a server that ignores the format costs one request for every doubling. A later run begins
with what was learned, and tries better modes again, refused ones too: servers change between runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from datafast.llms.base import ReplyMode

__all__ = ["ReplyModes"]

_ORDER = tuple(ReplyMode)
_FIRST_TRIAL_AFTER = 20


class ReplyModes:
    """What was learned about the reply modes at one endpoint.

    Args:
        usual: the mode to begin with, where an earlier run has learned that.
        proven: whether it has worked.

    Attributes:
        usual: the best mode that does not mostly fail; if all do, the one that works most often.
        changed: whether something new was learned that is not noted for later runs.
    """

    def __init__(self, usual: ReplyMode = _ORDER[0], *, proven: bool = False) -> None:
        self._worked: Counter[ReplyMode] = Counter({usual: 1} if proven else {})
        self._failed: Counter[ReplyMode] = Counter(_ORDER[: _ORDER.index(usual)])
        self._refused: set[ReplyMode] = set()
        self._calls_below = 0
        self._trial_after = _FIRST_TRIAL_AFTER
        self.usual = self._best()
        self.changed = False

    @property
    def proven(self) -> bool:
        """Whether the usual mode has worked."""
        return self._worked[self.usual] > 0

    def choose(self) -> ReplyMode:
        """The mode for a new call: the usual one, or now and then a better one that was not refused."""
        usual = self.usual
        if usual is _ORDER[0]:
            return usual
        best = next((mode for mode in _ORDER if mode not in self._refused), _ORDER[0])
        if _ORDER.index(best) >= _ORDER.index(usual):
            return usual
        self._calls_below += 1
        if self._calls_below < self._trial_after:
            return usual
        self._calls_below = 0
        self._trial_after *= 2
        return best

    def worked(self, mode: ReplyMode) -> None:
        """Records a valid reply."""
        self.changed |= not self._worked[mode]
        self._worked[mode] += 1
        self._refused.discard(mode)
        if mode is not self.usual:  # that stays what it is
            self.usual = self._best()

    def failed(self, mode: ReplyMode) -> None:
        """Records an unusable reply. One success makes up for any number of them."""
        self.changed = True
        self._failed[mode] = min(self._failed[mode] + 1, self._worked[mode] + 1)
        self.usual = self._best()

    def met_error(self, mode: ReplyMode, *, refused: bool) -> None:
        """Records an error. A mode that has worked before is not to blame for it."""
        if not self._worked[mode]:
            self.failed(mode)
            if refused:
                self._refused.add(mode)

    def next_after(self, mode: ReplyMode, tried: Collection[ReplyMode], *, refused: bool = False) -> ReplyMode | None:
        """Another mode for a call for which `mode` failed; None if `mode` works for other calls, or no mode is left.

        Args:
            tried: modes that failed for this call. A mode that works for other calls may be used again, unless this was
                `refused`: such a request is sent again at once, and that must end.
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

    def _best(self) -> ReplyMode:
        sound = [mode for mode in _ORDER if not self._fails(mode)]
        return sound[0] if sound else max(_ORDER, key=lambda mode: self._worked[mode] - self._failed[mode])

    def _fails(self, mode: ReplyMode) -> bool:
        return self._failed[mode] > self._worked[mode]
