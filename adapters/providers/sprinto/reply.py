"""What a reply of Sprinto's GraphQL API comes to: success is recognised, never assumed.

Delivered is a whole, parsed 2xx reply without errors whose `evidenceStatus` is one of the words
that mean success. What HTTP says is judged by the shared table. GraphQL errors come with HTTP 200
or with a 4xx; all of them are looked at, message and code. Where there are several, the gravest
decides:

1. the key is refused, or the check is not known: nothing else that this integration sends can
   succeed
2. a reason that is known and final: the check is in review, the type of the file is not taken
3. anything unknown: final too, for a resend is not known to help and may make a copy
4. throttling, only where every error speaks of it and no result stands beside it: then it was
   surely not taken

An error beside a result that says success is not success. The words are second-hand, so they are
looked for anywhere, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ....domain.upload.failure import FailureKind
from ....domain.upload.verdict import Delivered, Receipt, Verdict
from ....ports.dialogue import HttpResponse, TransportFailure
from ..kit.graphql_reply import GraphQLError, GraphQLReply, read_graphql, read_graphql_if_any
from ..kit.http_errors import ErrorHints, classify, not_json, refusal, throttled
from ..kit.json_reply import NotJson, mapping, text

NEW_KEY: Final = (
    "ask the Sprinto admin for a new key under Settings > Developer API "
    "and put it where api_key in the tenant file points"
)
LOOK: Final = (
    "look at the check in Sprinto, then attest that the evidence is there or retry this upload"
)
_TAKEN_TYPES: Final = "send a PDF"

ADVICE: Final = ErrorHints(
    provider="Sprinto",
    unauthorized=NEW_KEY,
    forbidden="ask the Sprinto admin to let the owner of the API key upload evidence to this check",
    not_found="correct region or endpoint in the tenant file",
    too_large="make the document smaller, then submit it under a new evidence id",
    unsupported_type=_TAKEN_TYPES,
)

# In order of gravity; what an error says is searched from the top.
_MEANINGS: Final = (
    (re.compile(r"unauthenticated"), FailureKind.UNAUTHORIZED),
    (re.compile(r"incorrect check id|(check|monitor) not found"), FailureKind.TARGET_NOT_FOUND),
    (re.compile(r"check in review"), FailureKind.CHECK_IN_REVIEW),
    (re.compile(r"unsupported file format|invalid (file )?type"), FailureKind.UNSUPPORTED_TYPE),
    (re.compile(r"\brate\b|rate.?limit|throttl|too many requests"), FailureKind.RATE_LIMITED),
)
_GRAVITY: Final = (
    FailureKind.UNAUTHORIZED,
    FailureKind.TARGET_NOT_FOUND,
    FailureKind.CHECK_IN_REVIEW,
    FailureKind.UNSUPPORTED_TYPE,
    FailureKind.REFUSED,
    FailureKind.RATE_LIMITED,
)
# What HTTP itself says first, before the words in the body.
BY_STATUS_ALONE: Final = (401, 408, 425, 429)


def judge(
    reply: HttpResponse | TransportFailure, workflow_check: str, success_statuses: Sequence[str]
) -> Verdict:
    """The verdict for an upload to `workflow_check`. Total: any status with any body has one."""
    if isinstance(reply, HttpResponse) and 400 <= reply.status < 500:
        graphql = read_graphql_if_any(reply.body)
        kind = gravest(graphql.errors)
        if reply.status not in BY_STATUS_ALONE and kind not in (None, FailureKind.REFUSED):
            return _by_errors(reply, graphql, workflow_check)
        verdict = classify(reply, ADVICE, graphql.said)
    else:
        verdict = classify(reply, ADVICE)
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        graphql = read_graphql(reply.body)
    except NotJson:
        return not_json(reply, ADVICE)
    if graphql.errors:
        return _by_errors(reply, graphql, workflow_check)
    return _by_result(reply, graphql, success_statuses)


def _by_result(
    reply: HttpResponse, graphql: GraphQLReply, success_statuses: Sequence[str]
) -> Verdict:
    result = mapping(_result(graphql))
    status = text(mapping(result.get("workflowCheck")).get("evidenceStatus"))
    if status in success_statuses and not graphql.malformed:
        return Delivered(Receipt(reference=None, message=text(result.get("message"))))
    seen = (
        f"evidenceStatus is {status[:100]!r}"
        if status is not None
        else "its reply has no evidenceStatus"
    )
    seen = "its errors are of no known form" if graphql.malformed else seen
    return refusal(
        reply,
        FailureKind.UNRECOGNISED_REPLY,
        f"Sprinto answered, but not with what is known as success: {seen}; {LOOK} "
        "(if this status does mean success, add it to success_statuses)",
    )


def _by_errors(reply: HttpResponse, graphql: GraphQLReply, workflow_check: str) -> Verdict:
    said = graphql.said
    match gravest(graphql.errors):
        case FailureKind.RATE_LIMITED if _result(graphql) is None:
            return throttled(reply, ADVICE, said)
        case FailureKind.RATE_LIMITED:
            kind = FailureKind.UNRECOGNISED_REPLY
            do = f"yet a result stands beside it; {LOOK}"
        case known:
            kind = known or FailureKind.REFUSED
            do = remedy_of(kind, workflow_check)
    return refusal(reply, kind, f'Sprinto refused the upload, saying "{said}": {do}')


def remedy_of(kind: FailureKind, workflow_check: str) -> str:
    """Who must do what about a refusal."""
    match kind:
        case FailureKind.UNAUTHORIZED:
            return NEW_KEY
        case FailureKind.TARGET_NOT_FOUND:
            return (
                f"correct workflow_check {workflow_check} or the region in the tenant file, "
                "or ask the Sprinto admin to activate that check"
            )
        case FailureKind.CHECK_IN_REVIEW:
            return "wait until its review is done or ask the Sprinto admin to end it, then retry this upload"
        case FailureKind.UNSUPPORTED_TYPE:
            return _TAKEN_TYPES
        case _:
            return "ask the Sprinto admin what it means, mend it, then retry this upload"


def _result(graphql: GraphQLReply) -> object:
    return mapping(graphql.data).get("uploadWorkflowCheckEvidence")


def gravest(errors: Sequence[GraphQLError]) -> FailureKind | None:
    """What the errors come to; None where there are none."""
    return min(map(_meaning, errors), key=_GRAVITY.index, default=None)


def meaning_of(said: str) -> FailureKind:
    """What a refusal in words means; REFUSED for words that are not known."""
    return _meaning(GraphQLError(said, None))


def _meaning(error: GraphQLError) -> FailureKind:
    return next(
        (kind for words, kind in _MEANINGS if words.search(error.words)), FailureKind.REFUSED
    )
