"""A preview of an action says what the action then does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from attrs import evolve

from evidence_courier.delivery.actions import Filter, act_on, chosen, preview_of
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.upload.actions import Action, Person
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    State,
    Status,
    Succeeded,
    Undecided,
    UploadKey,
    Waiting,
)
from evidence_courier.domain.upload.verdict import Receipt
from evidence_courier.testing.contracts.stored import entry
from evidence_courier.testing.memory_store import MemoryStore

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
CAUSE = Failure(FailureKind.TIMEOUT, "no reply")
STATES: tuple[State, ...] = (
    Queued(AT),
    Sending(1, AT),
    Waiting(AT, CAUSE),
    LookingUp(1, AT, AT, CAUSE),
    Undecided(1, AT, AT, CAUSE),
    Held(CAUSE),
    Succeeded(Receipt()),
    Failed(FailedReason.REJECTED, CAUSE),
)


@pytest.mark.parametrize("action", Action)
def test_a_preview_says_what_the_action_then_does(action: Action) -> None:
    store = MemoryStore()
    for number, state in enumerate(STATES):
        one = entry(f"ev-{number}")
        store.add([evolve(one, upload=evolve(one.upload, state=state))])
    every = [*store.statuses("acme", [f"ev-{n}" for n in range(len(STATES))], AT).values()]
    preview = preview_of(store, action, every)
    result = act_on(store, every, action, Person("asha", "seen"), lambda _: Rules(), lambda: AT)
    assert len(every) == len(STATES)
    assert [one.evidence_id for one in preview.done] == [one.evidence_id for one in result.done]
    assert [(one.status.evidence_id, one.reason) for one in preview.skipped] == [
        (one.status.evidence_id, one.reason) for one in result.skipped
    ]
    assert result.done


def test_what_an_action_is_not_for_is_skipped_without_its_provider() -> None:
    """The provider of a doubt may not be installed here."""
    store, person = MemoryStore(), Person("asha", "seen")
    doubtful = evolve(entry().upload, state=LookingUp(1, AT, AT, CAUSE))
    doubtful = evolve(doubtful, tally=evolve(doubtful.tally, doubt=True))
    store.add([evolve(entry(), upload=doubtful)])

    def rules_of(key: UploadKey) -> Rules:
        raise MisuseError(f"the provider of {key} is not installed here")

    found = chosen(store, "acme", "ev-1", Action.RETRY, AT)
    (left,) = act_on(store, found, Action.RETRY, person, rules_of, lambda: AT).skipped
    assert left.reason == "it is retrying, and retry is for what is failed or skipped"


def test_a_filter_finds_what_is_in_flight_and_its_preview_leaves_it_out() -> None:
    store = MemoryStore()
    one = entry("ev-1")
    store.add([evolve(one, upload=evolve(one.upload, state=Sending(1, AT)))])
    found = chosen(store, "acme", Filter(), Action.ABANDON, AT)
    assert [status.status for status in found] == [Status.PENDING.value]
    (left,) = preview_of(store, Action.ABANDON, found).skipped
    assert left.reason.startswith("an attempt is in flight")
