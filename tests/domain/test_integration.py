"""One tenant's configuration: what holds where nothing is said, and how a pace reads."""

from datetime import timedelta

import pytest

from evidence_courier.domain.integration import (
    Integration,
    OnUnclear,
    Pace,
    RetryPolicy,
    Route,
    Timeouts,
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
