"""Which way of asking for structure works at one endpoint, learned from its answers.

A way that fails more often than it works gives place to the next one. Where the server refused it by name (400) that is final;
where it only seemed to fail (an invalid reply, a 500) it is tried again now and then, ever more rarely, so that bad luck at the
start costs no good server its best way for good, and a server that ignores the format costs a request for every doubling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from datafast.llms.base import StructuredStep

__all__ = ["Steps"]

_ORDER = tuple(StructuredStep)
_FIRST_TRIAL_AFTER = 20


class Steps:
    """What is known about the ways of asking at one endpoint."""

    def __init__(self) -> None:
        self._worked: Counter[StructuredStep] = Counter()
        self._failed: Counter[StructuredStep] = Counter()
        self._refused: set[StructuredStep] = set()
        self._calls_below = 0
        self._trial_after = _FIRST_TRIAL_AFTER

    @property
    def usual(self) -> StructuredStep:
        """The best way that does not mostly fail; where all do, the one that works most often."""
        sound = [step for step in _ORDER if not self._fails(step)]
        return sound[0] if sound else max(_ORDER, key=lambda step: self._worked[step] - self._failed[step])

    def choose(self) -> StructuredStep:
        """The way for a new call: the usual one, or now and then a better one that is not known to be refused."""
        usual, best = self.usual, next((step for step in _ORDER if step not in self._refused), _ORDER[0])
        if _ORDER.index(best) >= _ORDER.index(usual):
            return usual
        self._calls_below += 1
        if self._calls_below < self._trial_after:
            return usual
        self._calls_below = 0
        self._trial_after *= 2
        return best

    def worked(self, step: StructuredStep) -> None:
        """A valid reply came back."""
        self._worked[step] += 1
        self._refused.discard(step)

    def failed(self, step: StructuredStep) -> None:
        """An unusable reply came back. However many were on their way, one success makes up for them."""
        self._failed[step] = min(self._failed[step] + 1, self._worked[step] + 1)

    def met_error(self, step: StructuredStep, *, refused: bool) -> None:
        """An error came back. What has worked before is not to blame for it."""
        if not self._worked[step]:
            self.failed(step)
            if refused:
                self._refused.add(step)

    def next_after(
        self, step: StructuredStep, tried: Collection[StructuredStep], *, refused: bool = False
    ) -> StructuredStep | None:
        """Another way for a call that `step` failed; None where `step` works for others, or there is none left.

        Args:
            tried: ways that failed this call. What works for others may be taken again, unless this was `refused`: such a
                request is sent again at once, and must come to an end.
        """
        if not self._fails(step):
            return None
        proven = [other for other in _ORDER if self._worked[other] and not self._fails(other)]
        later = _ORDER[_ORDER.index(step) + 1 :]
        possible = [
            *(other for other in proven if not refused or other not in tried),
            *(other for other in later if other not in tried),
        ]
        return possible[0] if possible else None

    def _fails(self, step: StructuredStep) -> bool:
        return self._failed[step] > self._worked[step]
