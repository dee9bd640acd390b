"""What people decide about the rows of a file, and what comes of it: progress, agreement, win rates, and where judges depart from people.

`Reviews` writes decisions and tells how rows stand; `datafast.store.review_state` has the rules, `docs/design/reviews.md` the format.
"""

from __future__ import annotations

from datafast.reviews.book import Reviews
from datafast.reviews.rows import ReviewedRow
from datafast.reviews.summary import Departure, ModelWins, PairSummary, Progress, ReviewerCount
from datafast.store.review_records import ReviewRecord, RowKey
from datafast.store.review_state import ReviewState

__all__ = [
    "Departure",
    "ModelWins",
    "PairSummary",
    "Progress",
    "ReviewRecord",
    "ReviewState",
    "ReviewedRow",
    "ReviewerCount",
    "Reviews",
    "RowKey",
]
