"""The dry run at Sprinto: is the workflow check among those that the API key can see?

The query `workflowChecksPaginated(first, after)` with `totalCount` and `edges { cursor node { pk
title } }` is documented by Sprinto (developer.sprinto.com). It lists activated checks only, and
each page is one of the 10 requests a minute. So it asks for large pages, stops at the page with the
check, and reads a few pages only. How large a page may be is not documented: any size is read, and
the last cursor leads on.
"""

from __future__ import annotations

import json
from typing import Final

from ....delivery.dialogues.graphql_multipart import GRAPHQL_ACCEPT
from ....delivery.dialogues.graphql_reply import read_graphql_if_any
from ....delivery.dialogues.http_errors import broken_reading, failure_to_read
from ....delivery.dialogues.json_reply import NotJson, identity, mapping, parse_json, text
from ....delivery.dialogues.lists import Page, search
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import DryRun, NotReady, Ready
from ....ports.dialogue import Dialogue, Headers, HttpRequest, HttpResponse, Reply, fetch
from .reply import HINTS, NEW_KEY, gravest, refused, words_decide

QUERY: Final = """\
query WorkflowChecks($first: Int, $after: String) {
  workflowChecksPaginated(first: $first, after: $after) {
    totalCount
    edges { cursor node { pk title } }
  }
}"""
PAGE_SIZE: Final = 100
MOST_PAGES: Final = 5
"""Half a minute's worth of Sprinto's pace."""

_ACTIVATE: Final = (
    "ask the Sprinto admin to activate that check, or correct workflow_check or the region"
)
_UNSEEN: Final = "; if it is in review, which an upload shows, its uploads are parked meanwhile"


def look_for_check(url: str, credentials: Headers, workflow_check: str) -> Dialogue[DryRun]:
    """Ready if the check is listed, otherwise NotReady with the reason."""
    listed = 0

    def read(after: str | None) -> Dialogue[Page[tuple[str, str]] | Failure]:
        nonlocal listed
        page = _read((yield from fetch(_request(url, credentials, after))), after, listed)
        listed += 0 if isinstance(page, Failure) else len(page.items)
        return page

    def is_it(check: tuple[str, str]) -> Ready | None:
        pk, title = check
        found = pk.casefold() == workflow_check.casefold()
        return Ready(f"the check {title!r} is activated{_UNSEEN}") if found else None

    def absent(where: str) -> Failure:
        return Failure(
            FailureKind.TARGET_NOT_FOUND,
            f"Sprinto: the workflow check {workflow_check} is not among {where}: "
            f"{_ACTIVATE} in the tenant file",
        )

    found = yield from search(
        read,
        is_it,
        most_pages=MOST_PAGES,
        endless=lambda _: absent(f"the first {listed:,} checks that Sprinto lists"),
    )
    if isinstance(found, Ready):
        return found
    all_listed = f"the activated checks of this API key ({listed:,} listed)"
    return NotReady(absent(all_listed) if found is None else found)


def _request(url: str, credentials: Headers, after: str | None) -> HttpRequest:
    question = {"query": QUERY, "variables": {"first": PAGE_SIZE, "after": after}}
    headers = (*credentials, GRAPHQL_ACCEPT, ("Content-Type", "application/json"))
    return HttpRequest("POST", url, headers, (json.dumps(question).encode(),))


def _read(reply: Reply, after: str | None, listed: int) -> Page[tuple[str, str]] | Failure:
    """A page; the pk and the title of each check. `listed`: how many came before it."""
    failure = _refusal(reply)
    if failure is not None:
        return failure
    assert isinstance(reply, HttpResponse)
    try:
        value = mapping(parse_json(reply.body))
    except NotJson:
        return broken_reading(reply, HINTS, "is not JSON")
    found = mapping(mapping(value.get("data")).get("workflowChecksPaginated"))
    edges, total = found.get("edges"), found.get("totalCount")
    if not isinstance(edges, list):
        return broken_reading(reply, HINTS, "does not list the workflow checks")
    nodes = [mapping(mapping(edge).get("node")) for edge in edges]
    last = text(mapping(edges[-1]).get("cursor")) if edges else None
    complete = isinstance(total, int) and listed + len(edges) >= total
    return Page(
        [(identity(node.get("pk")) or "", text(node.get("title")) or "") for node in nodes],
        None if complete or last == after else last,
    )


def _refusal(reply: Reply) -> Failure | None:
    """The failure that HTTP or the GraphQL errors of a reply mean; None for neither."""
    graphql = read_graphql_if_any(reply)
    if graphql is None:
        return failure_to_read(reply, HINTS)
    assert isinstance(reply, HttpResponse)
    kind = gravest(graphql.errors)
    if kind is not None and (reply.status // 100 == 2 or words_decide(reply, kind)):
        do = NEW_KEY if kind is FailureKind.UNAUTHORIZED else "ask the Sprinto admin what it means"
        return refused(reply, kind, graphql.quote, do, "to list the workflow checks").failure
    return failure_to_read(reply, HINTS, graphql.quote)
