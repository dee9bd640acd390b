"""What is seen in the sampled texts: of any selection of them it is then quick to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datafast.quality.refusals import RefusalsStage, is_refusal
from datafast.statistics.copies import copied
from datafast.statistics.diversity import Texts
from datafast.statistics.entries import SampledRow
from datafast.statistics.models import Copies, rate_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

__all__ = ["LookedAt"]

_LONGEST_REFUSAL: int = RefusalsStage.model_fields["max_characters"].default


class LookedAt:
    """Sampled rows.

    Args:
        rows: the rows.
        prompts: the prompts of some of them, by their numbers among `rows`.
    """

    def __init__(self, rows: Sequence[SampledRow], prompts: Mapping[int, str]) -> None:
        import numpy as np

        texts = ["\n".join(row.texts) for row in rows]
        self._texts = Texts(texts)
        self._refuses = np.array([any(map(_refuses, row.texts)) for row in rows], bool)
        self._shares, self._runs = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        for number, prompt in prompts.items():
            if (found := copied(prompt, texts[number])) is not None:
                self._shares[number], self._runs[number] = found

    def told(self, made: Numbers, written: Numbers) -> dict[str, Any]:
        """The fields of a group, from the numbers of its rows among the sampled ones: all of them, and those in the file."""
        return {
            "refusals": rate_of(int(self._refuses[made].sum()), len(made)),
            "diversity": self._texts.diversity(written.tolist()),
            "copies": self._copies(written),
        }

    def _copies(self, written: Numbers) -> Copies | None:
        import numpy as np

        known = written[~np.isnan(self._shares[written])]
        if not len(known):
            return None
        runs = self._runs[known]
        return Copies(
            rows=len(known),
            share=float(self._shares[known].mean()),
            longest_run=float(runs.mean()),
            longest_run_max=int(runs.max()),
        )


def _refuses(text: str) -> bool:
    return len(text) <= _LONGEST_REFUSAL and is_refusal(text)
