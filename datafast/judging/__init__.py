"""Judges: models that score what others wrote, in one way for columns, kinds and stages.

scale       what scores mean: a rubric and its bounds, as config fields
replies     what a judge replies: a reason and a score, about one text or about two
shown       what they are shown of a row where no prompt says it
families    which models are of one family
jury        one or several judges; two texts compared in both orders
best_of_n   how one of several candidates is chosen, as config fields
candidates  makes the rows of an item several times, and chooses
agreement   how far several judges agree
output      the same from the rows of an output
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datafast._util.lazy import lazy_names

if TYPE_CHECKING:
    from datafast.judging.agreement import Agreement, agreement_of
    from datafast.judging.jury import Compared, Jury, Opinion, best_first, mean_score
    from datafast.judging.replies import comparison_model, judgement_model
    from datafast.judging.scale import JudgeFields, Scale
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "datafast.judging.agreement": ["Agreement", "agreement_of"],
            "datafast.judging.jury": ["Compared", "Jury", "Opinion", "best_first", "mean_score"],
            "datafast.judging.replies": ["comparison_model", "judgement_model"],
            "datafast.judging.scale": ["JudgeFields", "Scale"],
        },
    )

__all__ = [
    "Agreement",
    "Compared",
    "JudgeFields",
    "Jury",
    "Opinion",
    "Scale",
    "agreement_of",
    "best_first",
    "comparison_model",
    "judgement_model",
    "mean_score",
]
