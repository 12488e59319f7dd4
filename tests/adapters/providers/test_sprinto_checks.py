"""Sprinto's dry run: the check is looked for page by page, and whatever comes back is survived."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import pytest
from attrs import evolve
from dialogue_runner import run

from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.settings import SprintoSettings
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import DryRun, NotReady, Ready
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from evidence_courier.testing.scripted_transport import ScriptedTransport, reply

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
SETTINGS = SprintoSettings(api_key=Secret("the-key-of-acme"), workflow_check=CHECK)


def page(
    pks: Sequence[str | int],
    *,
    total: int | None = 999,
    errors: object = None,
    cursor: str = "c-{}",
) -> HttpResponse:
    edges = [
        {"cursor": cursor.format(pk), "node": {"pk": pk, "title": f"Check {pk}"}} for pk in pks
    ]
    said: dict[str, object] = {
        "data": {"workflowChecksPaginated": {"totalCount": total, "edges": edges}}
    }
    return reply(200, json.dumps(said | ({"errors": errors} if errors else {})).encode())


def ask(
    *answers: HttpResponse | TransportFailure, settings: SprintoSettings = SETTINGS
) -> tuple[DryRun, list[HttpRequest]]:
    transport = ScriptedTransport(answers)

    async def send(request: HttpRequest) -> HttpResponse | TransportFailure:
        return await transport.send(request, Route())

    dialogue = SprintoProvider().check(settings)
    came = asyncio.run(run(dialogue, send=send))
    return came, transport.requests


def failure_of(*answers: HttpResponse | TransportFailure) -> tuple[FailureKind, str]:
    came, _ = ask(*answers)
    assert isinstance(came, NotReady)
    return came.failure.kind, came.failure.message


def variables(request: HttpRequest) -> Mapping[str, object]:
    sent = json.loads(b"".join(request.body))
    assert "mutation" not in sent["query"]
    assert isinstance(sent["variables"], dict)
    return sent["variables"]


def test_it_stops_at_the_page_that_has_the_check() -> None:
    came, requests = ask(page(["a", "b"]), page(["c", CHECK.upper()]))
    assert isinstance(came, Ready)
    seen = f"the check 'Check {CHECK.upper()}' is activated"
    assert came.message.startswith(f"{seen}; if it is in review, which an upload shows")
    assert [variables(request)["after"] for request in requests] == [None, "c-b"]
    assert {(request.method, request.url) for request in requests} == {
        ("POST", "https://app.sprinto.com/dev-api/graphql")
    }
    assert all(dict(request.headers)["api-key"] == "the-key-of-acme" for request in requests)


def test_a_check_may_be_listed_by_a_number() -> None:
    came, _ = ask(page([41, 42]), settings=evolve(SETTINGS, workflow_check="42"))
    assert isinstance(came, Ready)


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ([page([], total=0)], "is not among the activated checks of this API key (0 listed)"),
        (
            [page(["a", "b"], total=2)],
            "is not among the activated checks of this API key (2 listed)",
        ),
        (
            [page(["a"], total=None), page([], total=None)],
            "is not among the activated checks of this API key (1 listed)",
        ),
        (
            [page(["a"], cursor="same"), page(["b"], cursor="same")],
            "is not among the activated checks of this API key (2 listed)",
        ),
    ],
)
def test_a_check_that_is_not_listed_is_not_ready(answers: list[HttpResponse], seen: str) -> None:
    kind, message = failure_of(*answers)
    assert kind is FailureKind.TARGET_NOT_FOUND
    assert seen in message and f"the workflow check {CHECK} is not" in message
    assert "ask the Sprinto admin to activate that check" in message


def test_it_turns_over_five_pages_and_no_more() -> None:
    pages = [page([f"{number}"]) for number in range(9)]
    came, requests = ask(*pages)
    assert isinstance(came, NotReady)
    assert "is not among the first 5 checks that Sprinto lists" in came.failure.message
    assert len(requests) == 5


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(401), "unauthorized", "ask the Sprinto admin for a new key"),
        (
            reply(401, b'{"errors": [{"message": "Unauthorised"}]}'),
            "unauthorized",
            'saying "Unauthorised"',
        ),
        (
            reply(
                200, b'{"errors": [{"message": "x", "extensions": {"code": "UNAUTHENTICATED"}}]}'
            ),
            "unauthorized",
            "ask the Sprinto admin for a new key",
        ),
        (
            reply(200, b'{"errors": [{"message": "Cannot query field"}]}'),
            "refused",
            'refused to list the workflow checks, saying "Cannot query field"',
        ),
        (
            reply(400, b'{"errors": [{"message": "Cannot query field"}]}'),
            "bad_request",
            'refused the request (HTTP 400), saying "Cannot query field"',
        ),
        (
            reply(200, b'{"errors": [{"message": "Rate limit exceeded"}]}'),
            "rate_limited",
            "takes no more requests for now",
        ),
        (reply(429), "rate_limited", "takes no more requests for now"),
        (page([CHECK], errors=[{"message": "odd"}]), "refused", "odd"),
        (reply(503), "server_error", "Sprinto had an error of its own (HTTP 503)"),
        (reply(302, b"", ("Location", "https://login.example/")), "redirected", "login.example"),
        (TransportFailure(FailureKind.TIMEOUT, "no reply"), "timeout", "Sprinto: no reply"),
        (reply(200, b"<html>"), "broken_reply", "is not JSON"),
        (reply(200, b"{}"), "broken_reply", "does not list the workflow checks"),
        (
            reply(200, b'{"data": {"workflowChecksPaginated": {"edges": {}}}}'),
            "broken_reply",
            "does not list the workflow checks",
        ),
        (
            reply(200, b'{"data": {"workflowChecksPaginated": {"edges": [7, {"node": 8}]}}}'),
            "target_not_found",
            "is not among the activated checks of this API key (2 listed)",
        ),
    ],
)
def test_whatever_comes_back_has_a_meaning_and_no_word_of_uploads(
    answer: HttpResponse | TransportFailure, kind: str, words: str
) -> None:
    found, message = failure_of(answer)
    assert (found.value, words in message) == (kind, True), message
    assert "took the upload" not in message and "retry this upload" not in message


def test_a_list_without_an_end_is_left() -> None:
    endless = list(repeat(page(["a", "b"], total=10**9), 2))
    kind, message = failure_of(*endless)
    assert (kind, "first" in message) == (FailureKind.TARGET_NOT_FOUND, False)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, "https://app.sprinto.com/dev-api/graphql"),
        ({"api": "rest"}, "https://app.sprinto.com/dev-api/graphql"),
        ({"api": "rest", "region": "eu"}, "https://eu.sprinto.com/dev-api/graphql"),
        ({"endpoint": "http://127.0.0.1:8080/graphql"}, "http://127.0.0.1:8080/graphql"),
        (
            {"api": "rest", "endpoint": "http://127.0.0.1:8080/api/v1/uploadEvidence"},
            "http://127.0.0.1:8080/dev-api/graphql",
        ),
    ],
)
def test_it_asks_graphql_whatever_the_uploads_go_over(settings: dict[str, Any], asked: str) -> None:
    [request] = ask(page([CHECK]), settings=evolve(SETTINGS, **settings))[1]
    assert request.url == asked
