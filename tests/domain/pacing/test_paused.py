"""What a pause covers, how it shows, and since when an upload waits if its time does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.pacing.paused import (
    Paused,
    Resumed,
    Scope,
    actions_of,
    pause_of,
    waits_since,
)
from evidence_courier.domain.upload.status import ActionRow

AT = datetime(2026, 2, 21, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ITS = [Scope("acme"), Scope(None, "sprinto"), Scope("acme", "sprinto")]
OTHERS = [Scope("globex"), Scope(None, "vanta"), Scope("acme", "vanta")]
LENGTH = 20


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (Scope("acme"), "tenant acme"),
        (Scope(None, "sprinto"), "sprinto"),
        (Scope("acme", "sprinto"), "tenant acme with sprinto"),
    ],
)
def test_a_scope_says_what_is_paused(scope: Scope, words: str) -> None:
    assert str(scope) == words


def test_two_spellings_of_a_tenant_are_one_scope() -> None:
    assert Scope("zoe\u0308") == Scope("zo\u00eb")
    assert Scope("zo\u00eb").covers("zoe\u0308", "sprinto")


@pytest.mark.parametrize(
    ("tenant_id", "provider"),
    [(None, None), ("", None), (None, ""), ("", ""), ("acme", ""), ("", "sprinto")],
)
def test_a_pause_of_everything_is_refused(tenant_id: str | None, provider: str | None) -> None:
    """Also if a name is empty: it would pause the provider for all tenants, or all of a tenant."""
    with pytest.raises(MisuseError) as refused:
        Scope(tenant_id, provider)
    assert str(refused.value) == (
        "name a tenant, a provider or both: what is to be paused or resumed"
    )


def test_a_scope_of_what_is_no_text_is_refused() -> None:
    with pytest.raises(MisuseError) as refused:
        Scope("acme", b"sprinto")  # type: ignore[arg-type]
    assert str(refused.value) == "provider must be text, not bytes"


@pytest.mark.parametrize(
    ("tenant_id", "provider", "place"),
    [
        ("acme", "sprinto", 1),
        ("acme", "vanta", 0),
        ("globex", "sprinto", 2),
        ("globex", "vanta", None),
    ],
)
def test_the_oldest_pause_that_covers_an_upload_holds_it(
    tenant_id: str, provider: str, place: int | None
) -> None:
    scopes = [Scope("acme", "vanta"), Scope("acme"), Scope(None, "sprinto")]
    paused = [
        Paused(scope, AT + number * MINUTE, "asha", "an audit")
        for number, scope in enumerate(scopes)
    ]
    expected = None if place is None else paused[place]
    assert pause_of(paused, tenant_id, provider) == expected


def test_a_history_shows_the_pauses_that_concerned_the_upload_in_its_time() -> None:
    ended = AT + LENGTH * MINUTE
    changes: list[Paused | Resumed] = [
        Paused(Scope("acme"), AT - MINUTE, "asha", "before it was recorded"),
        Resumed(Scope("acme"), AT, "bo", "as it is recorded"),
        Paused(Scope("globex"), AT + MINUTE, "asha", "another tenant"),
        Paused(Scope("acme", "vanta"), AT + MINUTE, "asha", "another provider"),
        Paused(Scope("acme", "sprinto"), ended, "asha", "as it ends"),
        Resumed(Scope("acme", "sprinto"), ended + MINUTE, "bo", "after its end"),
    ]
    assert [*actions_of(changes, "acme", "sprinto", AT, ended)] == [
        ActionRow(at=AT, action="resume", by="bo", reason="as it is recorded"),
        ActionRow(at=ended, action="pause", by="asha", reason="as it ends"),
    ]


switches = st.lists(st.tuples(st.integers(0, LENGTH), st.sampled_from([*ITS, *OTHERS])), max_size=9)


@given(switches, st.integers(0, LENGTH))
def test_the_minutes_count_in_which_no_pause_concerned_it(
    given_: list[tuple[int, Scope]], recorded: int
) -> None:
    changes, paused = list[Paused | Resumed](), set[Scope]()
    waited = 0
    for minute in range(LENGTH + 1):
        for _, scope in filter(lambda one: one[0] == minute, given_):
            kind = Resumed if scope in paused else Paused
            changes.append(kind(scope, AT + minute * MINUTE, "asha", "an audit"))
            paused ^= {scope}
        waited += minute >= recorded and minute < LENGTH and paused.isdisjoint(ITS)
    changes += [Resumed(one, AT + LENGTH * MINUTE, "bo", "it is over") for one in paused]
    since = waits_since(AT + recorded * MINUTE, "acme", "sprinto", changes)
    assert AT + LENGTH * MINUTE - since == waited * MINUTE
