"""What GraphQL errors come to, wherever a provider meets them: codes first, phrases second.

Sprinto is the provider that speaks GraphQL; it meets errors at an upload and at a dry run.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from dialogue_runner import run

from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.settings import SprintoSettings
from evidence_courier.delivery.dialogues.graphql_reply import FINAL_CODES, THROTTLING_CODES
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.verdict import Deferred, NotReady, Rejected
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse
from evidence_courier.testing.contracts.provider.harness import sample_parcel
from evidence_courier.testing.scripted_transport import reply

SETTINGS = SprintoSettings(api_key=Secret("the-key-of-acme"), workflow_check="wc")
PLACES = ("upload", "check")
K = FailureKind


def met_at(place: str, *entries: object) -> FailureKind:
    """The kind of failure that a provider makes of `errors` at one of its places."""

    async def send(request: HttpRequest) -> HttpResponse:
        return reply(200, json.dumps({"errors": entries, "data": None}).encode())

    provider = SprintoProvider()
    dialogue = provider.upload(sample_parcel(provider), SETTINGS, None)
    if place == "check":
        ready = asyncio.run(run(provider.check(SETTINGS), send=send))
        assert isinstance(ready, NotReady)
        return ready.failure.kind
    verdict = asyncio.run(run(dialogue, send=send))
    assert isinstance(verdict, Rejected | Deferred)
    return verdict.failure.kind


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", ["code", "type", "classification"])
@pytest.mark.parametrize("inside", [True, False], ids=["in extensions", "beside the message"])
@pytest.mark.parametrize(
    ("message", "code", "kind"),
    [
        ("no", "RATE_LIMITED", K.RATE_LIMITED),
        ("no", "TooManyRequests", K.RATE_LIMITED),
        ("rate limit must be a number", "BAD_USER_INPUT", K.REFUSED),
        ("too many requests of this type are forbidden", "FORBIDDEN", K.REFUSED),
        ("rate limit exceeded", "UNAUTHENTICATED", K.UNAUTHORIZED),
    ],
)
def test_codes_decide_before_phrases(
    place: str, key: str, inside: bool, message: str, code: str, kind: FailureKind
) -> None:
    said = {key: code}
    entry = {"message": message} | ({"extensions": said} if inside else said)
    assert met_at(place, entry) is kind


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Rate limit exceeded", K.RATE_LIMITED),
        ("Too many requests", K.RATE_LIMITED),
        ("You are throttled", K.RATE_LIMITED),
        ("Quota exceeded", K.RATE_LIMITED),
        ("The sampling rate is out of range", K.REFUSED),
        ("A separate limit of this type", K.REFUSED),
    ],
)
@pytest.mark.parametrize("code", [None, "INTERNAL_SERVER_ERROR", 429])
def test_phrases_decide_where_no_code_does(
    place: str, message: str, kind: FailureKind, code: object
) -> None:
    assert met_at(place, {"message": message, "extensions": {"code": code}}) is kind


@pytest.mark.parametrize("place", PLACES)
def test_strings_as_entries_of_errors_are_survived(place: str) -> None:
    assert met_at(place, "Something new") is K.REFUSED
    assert met_at(place, "Too many requests") is K.RATE_LIMITED
    assert met_at(place, 7, None, [], "Unauthenticated") is K.UNAUTHORIZED


def test_the_list_of_codes_stands_in_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    listed = {meaning: frozenset(re.findall(r"`([A-Z_]+)`", codes)) for codes, meaning in rows}
    assert listed == {
        "the key is refused; the integration is blocked": {"UNAUTHENTICATED"},
        "too many requests: deferred": THROTTLING_CODES,
        "not throttling, whatever the words say": FINAL_CODES,
    }
