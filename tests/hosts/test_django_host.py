"""What is Django's own: one query for a page of evidence, commands that need no courier and one
that does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, cast

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from host_home import Home

from evidence_courier import Courier, UploadStatus

if TYPE_CHECKING:
    from trainings.apps import TrainingsConfig


class CountingCourier:
    """A courier that counts what it is asked."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self.asked: list[int] = []

    def statuses(self, tenant_id: str, evidence_ids: Sequence[str]) -> Mapping[str, UploadStatus]:
        self.asked.append(len(evidence_ids))
        return self._courier.statuses(tenant_id, evidence_ids)


def complete(count: int) -> None:
    client = Client(headers={"X-Tenant": "acme"})
    for number in range(count):
        reply = client.post(
            f"/trainings/s-{number}/complete",
            {"employee": "emp-7", "outcome": "passed"},
            content_type="application/json",
        )
        assert reply.status_code == 201


def test_a_page_of_fifty_is_one_query_and_one_question(django_host: TrainingsConfig) -> None:
    complete(60)
    courier = django_host.courier
    courier.drain()
    counting = CountingCourier(courier)
    django_host.built = cast(Courier, counting)
    with CaptureQueriesContext(connection) as queries:
        page = Client(headers={"X-Tenant": "acme"}).get("/evidence").json()
    django_host.built = courier
    assert len(queries) == 1
    assert counting.asked == [50]
    assert [row["upload"]["status"] for row in page] == ["succeeded"] * 50


def test_commands_that_do_not_need_a_courier_build_none(
    django_host: TrainingsConfig, at_home: Home
) -> None:
    call_command("check", stdout=StringIO())
    call_command("makemigrations", "--check", stdout=StringIO())
    assert django_host.built is None
    assert not at_home.database.exists()


def test_what_the_courier_does_not_know_is_handed_over_once(
    django_host: TrainingsConfig, at_home: Home
) -> None:
    from trainings.models import Evidence

    complete(2)
    # what is not on disk yet would be handed over again, which changes nothing
    django_host.courier.drain()
    Evidence.objects.create(tenant_id="acme", session_id="lost", employee="emp-8", outcome="passed")
    said = StringIO()
    call_command("resend_evidence", "acme", stdout=said)
    call_command("resend_evidence", "acme", stdout=said)
    assert said.getvalue().splitlines() == ["1 handed over", "0 handed over"]
    django_host.courier.drain()
    assert at_home.copies("acme") == {
        f"training-{session}": 1 for session in ("s-0", "s-1", "lost")
    }
