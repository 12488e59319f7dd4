"""The dry run at Sprinto: is the workflow check among those that the API key can see?

The query `workflowChecksPaginated(first, after)` with `totalCount` and `edges { cursor node { pk
title } }` is documented by Sprinto (developer.sprinto.com). Only activated checks are listed, and
each page is one request of the 10 a minute; so it asks for large pages, stops at the page with the
check, and turns over a few only. How large a page may be is not documented: whatever comes is read,
and gone on from by its last cursor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import DryRun, NotReady, Ready
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, TransportFailure, fetch
from ..kit.graphql_reply import GraphQLReply, read_graphql, read_graphql_if_any
from ..kit.http_errors import broken_reading, failure_to_read, refusal, throttled
from ..kit.json_reply import NotJson, mapping, text
from .reply import ADVICE, BY_STATUS_ALONE, NEW_KEY, gravest

QUERY: Final = """\
query WorkflowChecks($first: Int, $after: String) {
  workflowChecksPaginated(first: $first, after: $after) {
    totalCount
    edges { cursor node { pk title } }
  }
}"""
A_PAGE: Final = 100
PAGES: Final = 5
"""So many pages are turned over, half a minute's worth of Sprinto's pace."""

_ACTIVATE: Final = (
    "ask the Sprinto admin to activate that check, or correct workflow_check or the region"
)


@frozen
class _Page:
    checks: Sequence[tuple[str, str]]  # pk and title
    last: str | None
    total: int | None


def look_for_check(url: str, credentials: Headers, workflow_check: str) -> Dialogue[DryRun]:
    """Ready, if the check is listed; else NotReady with the reason."""
    seen = 0
    after: str | None = None
    for _ in range(PAGES):
        reply = yield from fetch(_request(url, credentials, after))
        page = _read(reply)
        if isinstance(page, Failure):
            return NotReady(page)
        for pk, title in page.checks:
            if pk.casefold() == workflow_check.casefold():
                return Ready(f"the check {title!r} is activated")
        seen += len(page.checks)
        complete = not page.checks or (page.total is not None and seen >= page.total)
        if complete or page.last is None or page.last == after:
            return _not_found(
                f"is not among the activated checks of this API key ({seen:,} listed)",
                workflow_check,
            )
        after = page.last
    return _not_found(f"is not among the first {seen:,} checks that Sprinto lists", workflow_check)


def _request(url: str, credentials: Headers, after: str | None) -> HttpRequest:
    question = {"query": QUERY, "variables": {"first": A_PAGE, "after": after}}
    headers = (
        *credentials,
        ("Accept", "application/json, application/graphql-response+json;q=0.9"),
        ("Content-Type", "application/json"),
    )
    return HttpRequest("POST", url, headers, (json.dumps(question).encode(),))


def _read(reply: HttpResponse | TransportFailure) -> _Page | Failure:
    graphql = read_graphql_if_any(reply.body) if isinstance(reply, HttpResponse) else None
    # What HTTP says comes first, but for a refusal that speaks GraphQL.
    if isinstance(reply, HttpResponse) and graphql is not None and reply.status // 100 in (2, 4):
        failure = _told(reply, graphql)
        if failure is not None:
            return failure
    failure = failure_to_read(reply, ADVICE, graphql.said if graphql is not None else None)
    if failure is not None:
        return failure
    assert isinstance(reply, HttpResponse)
    try:
        listed = mapping(mapping(read_graphql(reply.body).data).get("workflowChecksPaginated"))
    except NotJson:
        return broken_reading(reply, ADVICE, "is not JSON")
    edges, total = listed.get("edges"), listed.get("totalCount")
    if not isinstance(edges, list):
        return broken_reading(reply, ADVICE, "does not list the workflow checks")
    nodes = [mapping(mapping(edge).get("node")) for edge in edges]
    return _Page(
        checks=[(text(node.get("pk")) or "", text(node.get("title")) or "") for node in nodes],
        last=text(mapping(edges[-1]).get("cursor")) if edges else None,
        total=total if isinstance(total, int) else None,
    )


def _told(reply: HttpResponse, graphql: GraphQLReply) -> Failure | None:
    """What the errors in a reply come to; None where there are none, or HTTP itself says more."""
    kind = gravest(graphql.errors)
    if kind is None or (
        reply.status >= 400 and (reply.status in BY_STATUS_ALONE or kind is FailureKind.REFUSED)
    ):
        return None
    if kind is FailureKind.RATE_LIMITED:
        return throttled(reply, ADVICE, graphql.said).failure
    do = NEW_KEY if kind is FailureKind.UNAUTHORIZED else "ask the Sprinto admin what it means"
    message = f'Sprinto refused to list the workflow checks, saying "{graphql.said}": {do}'
    return refusal(reply, kind, message).failure


def _not_found(where: str, workflow_check: str) -> NotReady:
    message = (
        f"Sprinto: the workflow check {workflow_check} {where}: {_ACTIVATE} in the tenant file"
    )
    return NotReady(Failure(FailureKind.TARGET_NOT_FOUND, message))
