"""Records that plainly hold, told by SQL: a settled upload with nothing unusual in its history.

At a million uploads nearly all are such, and the rules of `domain.upload.invariants` take thirty
times as long to say so. What is said to be plain must be right by those rules, and readable; of all
others only they know.
"""

from __future__ import annotations

from collections.abc import Iterable

from ....domain.upload.failure import FailureKind
from ....domain.upload.upload import FailedReason
from ..rows import UPLOAD


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _is_moment(name: str) -> str:
    """Whether a column holds a moment. `date` reads all but what GLOB asks for, and corrects a day
    that does not exist."""
    shape = f"{'?' * 10}T{'?' * 8}.{'[0-9]' * 6}Z"
    return f"({name} GLOB '{shape}' AND date({name}, '+0 days') = substr({name}, 1, 10))"


_KINDS = _words(kind.value for kind in FailureKind)
_CLEAR_KINDS = _words(kind.value for kind in FailureKind if not kind.doubtful)
_ATTEMPT = f"""
(verdict = 'delivered' AND kind IS NULL
    OR verdict IN ('rejected', 'deferred', 'unbundled') AND kind IN ({_CLEAR_KINDS}))
AND not_before IS NULL AND {_is_moment("started_at")} AND {_is_moment("ended_at")}
"""
_PLAIN = f"""
(state = 'succeeded' AND doubt = 0
    OR state = 'failed' AND error_kind IN ({_KINDS})
    AND reason IN ({_words(reason.value for reason in FailedReason)}))
AND status = state AND spent <= attempts AND spent <= budget
AND plain_ones = attempts AND all_of_them = attempts AND different = attempts
AND lowest = 1 AND highest = attempts
AND {_is_moment("created_at")} AND {_is_moment("updated_at")} AND {_is_moment("last_attempt_at")}
AND date(evidence_date, '+0 days') = evidence_date AND parked_at IS NULL
AND NOT EXISTS (SELECT 1 FROM actions WHERE upload_id = uploads.id)
AND NOT EXISTS (SELECT 1 FROM look_ups WHERE upload_id = uploads.id)
"""
NOT_PLAIN = f"""
SELECT {", ".join(dict.fromkeys(("id", *UPLOAD)))}, owner, budget, last_attempt_at, credential
FROM uploads LEFT JOIN (
    SELECT upload_id, COUNT(*) AS all_of_them, COUNT(DISTINCT number) AS different,
        MIN(number) AS lowest, MAX(number) AS highest, SUM({_ATTEMPT}) AS plain_ones
    FROM attempts WHERE upload_id BETWEEN :first AND :last GROUP BY upload_id
) ON upload_id = id
WHERE id BETWEEN :first AND :last AND ({_PLAIN}) IS NOT TRUE ORDER BY id
"""
"""The uploads between two ids that are not plainly right, with what `inspect` reads of them."""
