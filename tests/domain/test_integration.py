"""One tenant's configuration: what holds where nothing is said, and how a pace reads."""

from datetime import timedelta

import pytest

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.integration import (
    Integration,
    OnUnclear,
    Pace,
    RetryPolicy,
    Route,
    Timeouts,
    spellings,
    tenant_key,
)


@pytest.mark.parametrize(
    ("limit", "period", "text"),
    [
        (10, timedelta(minutes=1), "10/min"),
        (2, timedelta(seconds=1), "2/s"),
        (500, timedelta(hours=1), "500/h"),
        (3, timedelta(seconds=90), "3/90s"),
        (1, timedelta(milliseconds=500), "1/0.5s"),
    ],
)
def test_a_pace_reads_as_it_is_written_in_a_tenant_file(
    limit: int, period: timedelta, text: str
) -> None:
    assert str(Pace(limit, period)) == text


def test_an_integration_that_says_nothing_is_patient_and_tries_five_times() -> None:
    integration = Integration("acme", "sprinto", settings=None)
    assert integration.retry == RetryPolicy(
        max_attempts=5,
        initial_delay=timedelta(seconds=5),
        max_delay=timedelta(minutes=5),
        retry_after_limit=timedelta(hours=1),
    )
    assert integration.on_unclear is OnUnclear.RETRY
    assert integration.route == Route(
        timeouts=Timeouts(
            connect=timedelta(seconds=10), idle=timedelta(seconds=30), total=timedelta(minutes=2)
        ),
        proxy=None,
        ca_bundle=None,
    )
    assert (integration.name, integration.pace, integration.max_bytes) == (None, None, None)
    assert (integration.secrets, dict(integration.stored)) == ((), {})


def test_no_two_integrations_share_what_is_stored() -> None:
    assert Integration("a", "sprinto", None).stored is not Integration("b", "sprinto", None).stored


def test_the_words_for_a_doubt_are_retry_and_hold() -> None:
    assert [word.value for word in OnUnclear] == ["retry", "hold"]


@pytest.mark.parametrize("written", ["zo\u00eb", "zoe\u0308"])
def test_two_spellings_that_look_alike_are_one_tenant(written: str) -> None:
    assert tenant_key(written) == "zo\u00eb"
    assert spellings(written) == {"zo\u00eb", "zoe\u0308"}
    mixed = f"{written}zoe\u0308"
    assert spellings(mixed) == {mixed, "zo\u00ebzo\u00eb", "zoe\u0308zoe\u0308"}
    assert tenant_key("acme") == "acme"
    assert spellings("acme") == {"acme"}


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(MisuseError, match="^tenant_id must be text, not int$"):
        tenant_key(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("connect", "idle", "total", "brief"),
    [(10, 30, 120, (10, 10, 30)), (10, 5, 120, (10, 5, 5)), (10, 30, 20, (10, 10, 20))],
)
def test_a_brief_request_occupies_its_connection_for_a_silence_at_most(
    connect: int, idle: int, total: int, brief: tuple[int, ...]
) -> None:
    times = (timedelta(seconds=one) for one in (connect, idle, total))
    route = Route(Timeouts(*times), "http://proxy", "ca.pem")
    expected = Timeouts(*(timedelta(seconds=one) for one in brief))
    assert route.brief == Route(expected, "http://proxy", "ca.pem")
