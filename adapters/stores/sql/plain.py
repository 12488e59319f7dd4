"""Records that plainly hold, told by SQL: a settled upload with nothing unusual in its history.

At a million uploads nearly all are such, and the rules of `domain.upload.invariants` take thirty
times as long to say so. What is said to be plain must be right by those rules, and readable; of all
others only they know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ....domain.evidence.evidence import Outcome
from ....domain.upload.failure import FailureKind
from ....domain.upload.upload import COUNTED_BELOW, FailedReason
from ..rows import OPEN


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


# A sum of n powers of two that has n bits set has each of them once.
_MOST = 40
_BIT = "CAST(1 AS bigint)"
_KINDS = _words(kind.value for kind in FailureKind)
_CLEAR_KINDS = _words(kind.value for kind in FailureKind if not kind.doubtful)


def not_plain(is_moment: Callable[[str], str], is_date: Callable[[str], str]) -> str:
    """The question for the uploads between two ids that are not plainly right, with what
    `look_through` reads of them. `is_moment` and `is_date` say whether a column holds one."""
    attempt = f"""
(verdict = 'delivered' AND kind IS NULL
    OR verdict IN ('rejected', 'deferred', 'unbundled') AND kind IN ({_CLEAR_KINDS}))
AND not_before IS NULL AND {is_moment("started_at")} AND {is_moment("ended_at")}
"""
    plain = f"""
(state = 'succeeded' AND NOT doubt AND delivered = 1
    AND COALESCE(reference, '') = COALESCE(receipt_reference, '')
    AND COALESCE(receipt_text, '') = COALESCE(receipt_message, '')
    OR state = 'failed' AND error_kind IN ({_KINDS})
    AND reason IN ({_words(one.value for one in FailedReason if one is not FailedReason.ABANDONED)})
    AND delivered = 0 AND EXISTS (SELECT 1 FROM attempts AS last WHERE last.upload_id = uploads.id
        AND last.number = uploads.attempts AND last.kind = error_kind
        AND (last.verdict = 'rejected') = (reason = 'rejected')))
AND status = state AND spent <= attempts AND spent <= budget AND spent >= 0
AND version >= 0 AND version < {COUNTED_BELOW}
AND plain_ones = attempts AND all_of_them = attempts
AND attempts <= {_MOST} AND numbers = ({_BIT} << CAST(attempts + 1 AS integer)) - 2
AND {is_moment("created_at")} AND {is_moment("updated_at")} AND {is_moment("last_attempt_at")}
AND {is_date("evidence_date")} AND parked_at IS NULL
AND reopened_at IS NULL AND {is_moment("recorded_at")}
AND outcome IN ({_words(one.value for one in Outcome)}) AND substr(settings, 1, 1) = '{{'
AND (tried_since IS NULL OR {is_moment("tried_since")})
AND NOT EXISTS (SELECT 1 FROM actions WHERE upload_id = uploads.id)
AND NOT EXISTS (SELECT 1 FROM look_ups WHERE upload_id = uploads.id)
"""
    return f"""
SELECT {", ".join(OPEN)}, budget, last_attempt_at, pruned_at, erased_at
FROM uploads LEFT JOIN (
    SELECT upload_id, COUNT(*) AS all_of_them,
        SUM({_BIT} << CAST(number AS integer)) FILTER (WHERE number BETWEEN 1 AND {_MOST})
            AS numbers,
        COUNT(*) FILTER (WHERE {attempt}) AS plain_ones,
        COUNT(*) FILTER (WHERE verdict = 'delivered') AS delivered,
        MAX(receipt_reference) FILTER (WHERE verdict = 'delivered') AS reference,
        MAX(receipt_message) FILTER (WHERE verdict = 'delivered') AS receipt_text
    FROM attempts WHERE upload_id BETWEEN :first AND :last GROUP BY upload_id
) AS history ON upload_id = id
WHERE id BETWEEN :first AND :last AND ({plain}) IS NOT TRUE ORDER BY id
"""
