"""Which uploads a list shows, and how one page leads to the next."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from attrs import evolve

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.upload.find import (
    Find,
    Page,
    Place,
    all_of,
    place_after,
    token_of,
    too_many_begin_with,
)
from evidence_courier.domain.upload.status import UploadStatus
from evidence_courier.domain.upload.upload import Status, UploadKey

AT = datetime(2026, 2, 21, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KEY = UploadKey("acme", "ev-1", "sprinto")
STATUS = UploadStatus(
    tenant_id="acme",
    evidence_id="ev-1",
    provider="sprinto",
    status="held",
    attempts=1,
    possible_duplicate=False,
    error=None,
    last_attempt_at=None,
    next_attempt_at=None,
    receipt=None,
    digest="a" * 64,
    evidence_date=date(2026, 2, 20),
    created_at=AT,
    updated_at=AT,
)


@pytest.mark.parametrize(
    "find",
    [
        Find(),
        Find(tenant_id="acme"),
        Find(statuses=[Status.FAILED, Status.HELD]),
        Find(kind="timeout"),
        Find(provider="sprinto"),
        Find(since=AT),
        Find(until=AT + SECOND),
        Find(id_prefix="ev-"),
    ],
)
def test_an_upload_is_listed_for_which_the_filter_holds(find: Find) -> None:
    assert find.holds(KEY, Status.HELD, "timeout", AT)


ALL = Find(
    tenant_id="acme",
    statuses=[Status.HELD],
    kind="timeout",
    provider="sprinto",
    since=AT,
    until=AT + SECOND,
    id_prefix="ev-1",
)


@pytest.mark.parametrize(
    ("filter_", "value"),
    [
        ("tenant_id", "globex"),
        ("statuses", [Status.FAILED]),
        ("kind", "unauthorized"),
        ("provider", "vanta"),
        ("since", AT + SECOND),
        ("until", AT),
        ("id_prefix", "v-1"),
    ],
)
def test_an_upload_is_not_listed_if_one_filter_does_not_hold(filter_: str, value: Any) -> None:
    """Whatever the others say."""
    assert ALL.holds(KEY, Status.HELD, "timeout", AT)
    for others in (Find(), ALL):
        find = evolve(others, **{filter_: value})
        assert not find.holds(KEY, Status.HELD, "timeout", AT)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"tenant_id": 7}, "tenant_id must be text, not int"),
        ({"provider": b"x"}, "provider must be text, not bytes"),
        ({"id_prefix": 7}, "id_prefix must be text, not int"),
        ({"after": 7}, "after must be text, not int"),
        ({"limit": "7"}, "limit must be a whole number, not str"),
        ({"kind": "time_out"}, "'time_out' is no kind of error: did you mean 'timeout'?"),
        ({"since": "now"}, "since must be a datetime with a time zone (aware), not 'now'"),
        ({"since": AT + SECOND, "until": AT}, "until must not be before since"),
        ({"until": "now"}, "until must be a datetime with a time zone (aware), not 'now'"),
    ],
)
def test_a_filter_of_another_kind_is_refused(given: dict[str, object], refusal: str) -> None:
    with pytest.raises(MisuseError) as refused:
        Find(**given)  # type: ignore[arg-type]
    assert str(refused.value) == refusal


def test_a_prefix_that_is_too_short_is_refused_with_what_helps() -> None:
    assert str(too_many_begin_with("ev")) == (
        "more than 10,000 evidence ids begin with 'ev': give more of the id, or the tenant"
    )


def test_the_pages_of_a_list_are_read_one_after_another() -> None:
    one, two, three = (evolve(STATUS, evidence_id=f"ev-{number}") for number in (1, 2, 3))
    pages = {None: Page((one,), "b"), "b": Page((two,), "c"), "c": Page((three,), None)}
    assert [*all_of(pages.__getitem__)] == [one, two, three]


@pytest.mark.parametrize("arrival", [1, 7, 2**63 - 1])
def test_a_token_leads_to_its_place_in_utc(arrival: int) -> None:
    in_india = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    place = place_after(Find(after=token_of(Place(in_india, arrival))))
    assert place == Place(AT, arrival)
    assert place is not None
    assert place.created_at.tzinfo is UTC
    assert place_after(Find(limit=1)) is None


def token(data: object) -> str:
    return urlsafe_b64encode(json.dumps(data).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("x", "\u00eb", "eA==", token([]), token({}), token("now"), token([7, 7])),
        token([AT.isoformat(), "7"]),
        token([AT.isoformat(), 0]),
        token([AT.isoformat(), 2**63]),
        token([AT.isoformat(), 7, 7]),
        token(["2026-02-21T10:00:00", 7]),
        token(["2026-02-31T10:00:00+00:00", 7]),
        token(["0001-01-01T00:00:00+10:00", 7]),
        token(["a day that is no day"] * 9),
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(MisuseError) as refused:
        place_after(Find(after=text))
    assert str(refused.value) == (
        f"{text[:40]!r} is not the next_page of a page before; leave `after` out for the first page"
    )


def test_a_page_of_nothing_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"^a page holds at least 1 upload, not 0$"):
        place_after(Find(limit=0))
