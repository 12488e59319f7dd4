"""The verdict on a reply of Sprinto's GraphQL API: success is recognised, never assumed.

Delivered is a complete, parsed 2xx reply without errors whose `evidenceStatus` means success. An
unknown status blocks the integration: a person says once what it means. HTTP
itself is judged by the shared table. GraphQL errors come with HTTP 200 or a 4xx, and each is looked
at: its codes first, then its words, which are second-hand and so are looked for anywhere and in any
case. Of several errors, the gravest decides:

1. the key is refused, or the check is not known: the integration cannot send anything
2. a known, final reason: the check is in review, the type of the file is not taken
3. anything unknown: final too, for a resend may make a copy and is not known to help
4. throttling, if every error speaks of it and no result stands beside it: it was not taken

An error beside a result that says success is not success.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ....delivery.dialogues.graphql_reply import GraphQLError, GraphQLReply, read_graphql_if_any
from ....delivery.dialogues.http_errors import (
    DETAIL_BYTES,
    ErrorHints,
    classify,
    not_json,
    refusal,
    throttled,
    unrecognised,
)
from ....delivery.dialogues.json_reply import mapping, text
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import Deferred, Delivered, Receipt, Rejected, Verdict
from ....ports.dialogue import HttpResponse, Reply

ANY_STATUS: Final = "any"
NEW_KEY: Final = (
    "ask the Sprinto admin for a new key under Settings > Developer API "
    "and put it where api_key in the tenant file points"
)
DECIDE: Final = (
    "look at the check in Sprinto; if the evidence is there, add the status there, which attests "
    "this upload and lets the others go on; else ask the Sprinto admin what it means, then retry "
    "this upload"
)

HINTS: Final = ErrorHints(
    provider="Sprinto",
    unauthorized=NEW_KEY,
    forbidden="ask the Sprinto admin to let the owner of the API key upload evidence to this check",
    not_found="correct region or endpoint in the tenant file",
    look=(
        "look at the check in Sprinto, then attest that the evidence is there, retry or release it"
    ),
)

# What words mean, in order of gravity, and who must do what then.
_MEANINGS: Final = (
    (r"unauthenticated", FailureKind.UNAUTHORIZED, NEW_KEY),
    (
        r"incorrect check id|(check|monitor) not found",
        FailureKind.TARGET_NOT_FOUND,
        "correct workflow_check {check} or the region in the tenant file, or ask the Sprinto admin "
        "to activate that check",
    ),
    (
        r"check in review",
        FailureKind.CHECK_IN_REVIEW,
        "wait until its review is done or ask the Sprinto admin to end it: its uploads go again by "
        "themselves then, at once if a person releases them; retry what has failed meanwhile",
    ),
    (
        r"unsupported file format|invalid (file )?type",
        FailureKind.UNSUPPORTED_TYPE,
        HINTS.unsupported_type,
    ),
)
_REMEDIES: Final = {kind: remedy for _, kind, remedy in _MEANINGS}
_GRAVITY: Final = (
    *(kind for _, kind, _ in _MEANINGS),
    FailureKind.REFUSED,
    FailureKind.RATE_LIMITED,
)
_BY_STATUS_ALONE: Final = (401, 408, 425, 429)
_FAILURE_WORDS: Final = re.compile("FAIL|REJECT|ERROR", re.IGNORECASE)


def judge(reply: Reply, workflow_check: str, success_statuses: Sequence[str]) -> Verdict:
    """The verdict on an upload to `workflow_check`: any status with any body has one."""
    graphql = read_graphql_if_any(reply)
    if graphql is not None and words_decide(reply, gravest(graphql.errors)):
        return _by_errors(reply, graphql, workflow_check)
    verdict = classify(reply, HINTS, None if graphql is None else graphql.quote)
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    if graphql is None:
        return not_json(reply, HINTS)
    if graphql.errors:
        return _by_errors(reply, graphql, workflow_check)
    return _by_result(reply, graphql, success_statuses)


def _by_result(
    reply: HttpResponse, graphql: GraphQLReply, success_statuses: Sequence[str]
) -> Verdict:
    result = mapping(_result(graphql))
    status = text(mapping(result.get("workflowCheck")).get("evidenceStatus"))
    if status and not graphql.malformed and is_success(status, success_statuses):
        return Delivered(Receipt(reference=None, message=text(result.get("message"))))
    if status and not graphql.malformed and not _FAILURE_WORDS.search(status):
        return Rejected(
            Failure(
                FailureKind.UNKNOWN_STATUS,
                f"Sprinto answered, but its evidenceStatus is {status[:100]!r}, which the tenant "
                f"file does not name among success_statuses: {DECIDE}",
                http_status=reply.status,
                detail=status[:DETAIL_BYTES],
            )
        )
    seen = f"evidenceStatus is {status[:100]!r}" if status else "its reply has no evidenceStatus"
    seen = "its errors are of no known form" if graphql.malformed else seen
    return unrecognised(reply, HINTS, seen)


def is_success(status: str, success_statuses: Sequence[str]) -> bool:
    """Whether an `evidenceStatus` means success."""
    if ANY_STATUS in success_statuses:
        return not _FAILURE_WORDS.search(status)
    return status in success_statuses


def _by_errors(reply: Reply, graphql: GraphQLReply, workflow_check: str) -> Verdict:
    assert isinstance(reply, HttpResponse)
    kind = gravest(graphql.errors) or FailureKind.REFUSED
    if kind is FailureKind.RATE_LIMITED and _result(graphql) is not None:
        yet = f'saying "{graphql.quote}": yet a result stands beside it; {HINTS.look}'
        message = f"Sprinto refused the upload, {yet}"
        return refusal(reply, FailureKind.UNRECOGNISED_REPLY, message)
    return refused(reply, kind, graphql.quote, remedy_of(kind, workflow_check))


def words_decide(reply: Reply, kind: FailureKind | None) -> bool:
    """Whether a 4xx says more in its words, which mean `kind`, than by its status."""
    if not isinstance(reply, HttpResponse) or reply.status // 100 != 4:
        return False
    return reply.status not in _BY_STATUS_ALONE and kind not in (None, FailureKind.REFUSED)


def refused(
    reply: HttpResponse, kind: FailureKind, quote: str, do: str, refuses: str = "the upload"
) -> Rejected | Deferred:
    """The verdict on a refusal in words; `do`: who must do what, unless they mean throttling."""
    if kind is FailureKind.RATE_LIMITED:
        return throttled(reply, HINTS, quote)
    return refusal(reply, kind, f'Sprinto refused {refuses}, saying "{quote}": {do}')


def remedy_of(kind: FailureKind, workflow_check: str) -> str:
    """Who must do what about a refusal."""
    unknown = "ask the Sprinto admin what it means, mend it, then retry this upload"
    return _REMEDIES.get(kind, unknown).format(check=workflow_check)


def _result(graphql: GraphQLReply) -> object:
    return mapping(graphql.data).get("uploadWorkflowCheckEvidence")


def gravest(errors: Sequence[GraphQLError]) -> FailureKind | None:
    """What the errors mean together; None for no errors."""
    return min(map(meaning_of, errors), key=_GRAVITY.index, default=None)


def meaning_of(error: GraphQLError) -> FailureKind:
    """What one error means; REFUSED if that is not known."""
    if error.has_code("UNAUTHENTICATED"):
        return FailureKind.UNAUTHORIZED
    known = (kind for words, kind, _ in _MEANINGS if re.search(words, error.words))
    return next(known, FailureKind.RATE_LIMITED if error.throttling else FailureKind.REFUSED)
