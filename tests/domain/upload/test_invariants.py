"""What must hold of a record: each breach is found, and a sound record has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from evidence_courier.domain.upload.attempt import Attempt
from evidence_courier.domain.upload.events import Started
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.invariants import Record, breaches
from evidence_courier.domain.upload.status import ActionRow
from evidence_courier.domain.upload.transitions import Rules, advance
from evidence_courier.domain.upload.upload import (
    Failed,
    FailedReason,
    Held,
    Queued,
    Sending,
    Succeeded,
    Tally,
    Upload,
    UploadKey,
    Waiting,
    new_upload,
)
from evidence_courier.domain.upload.verdict import (
    AttemptVerdict,
    Deferred,
    Delivered,
    Processing,
    Receipt,
    Recovered,
    Rejected,
    Unclear,
    verdict_of,
)

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
NEW = new_upload(UploadKey("acme", "ev-1", "sprinto"), "0" * 64, AT.date(), AT)
TIMEOUT = Failure(FailureKind.TIMEOUT, "no reply")


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def attempt(number: int, kind: type[AttemptVerdict] = Deferred, **more: Any) -> Attempt:
    """Attempt n begins at 100·n seconds and ends ten seconds later."""
    result: Any = Receipt() if kind is Delivered else more.pop("failure", TIMEOUT)
    at = 100.0 * number
    return Attempt(
        number,
        later(more.pop("at", at)),
        later(at + 10),
        verdict_of(kind.__name__.lower(), result),
        None,
        more.pop("not_before", None),
    )


FAILED = Failed(FailedReason.EXHAUSTED, TIMEOUT)


def upload(state: Any = FAILED, **tally: Any) -> Upload:
    return evolve(NEW, state=state, tally=Tally(**tally))


def record(of: Upload, *attempts: Attempt, **more: Any) -> Record:
    return Record(
        upload=of,
        attempts=attempts,
        credentials=more.pop("credentials", ("one",) * len(attempts)),
        look_ups=more.pop("look_ups", ()),
        action_tenants=more.pop("action_tenants", ("acme",)),
        owner_lives=more.pop("owner_lives", False),
        budget=more.pop("budget", 5),
        **more,
    )


REFUSED = Failure(FailureKind.REFUSED, "no")
REVIEW = Failure(FailureKind.CHECK_IN_REVIEW, "in review")
LOCKED = Failure(FailureKind.ACCOUNT_LOCKED, "locked")
GONE = Failure(FailureKind.DOCUMENT_GONE, "gone")


def act(word: str, seconds: float) -> ActionRow:
    return ActionRow(at=later(seconds), action=word, by="kim", reason="why")


TWO = {"attempts": 2, "spent": 2}
STRANGE = Failure(FailureKind.UNRECOGNISED_REPLY, "what?")
SENDING_2 = Sending(2, later(200))

SOUND = {
    "a new upload": record(upload(Queued(AT)), budget=None),
    "two attempts and the end": record(upload(**TWO), attempt(1), attempt(2)),
    "one in flight with a courier that lives": record(
        upload(SENDING_2, **TWO), attempt(1), owner_lives=True
    ),
    "a budget that is used up": record(upload(**TWO), attempt(1), attempt(2), budget=2),
    "news of an attempt that came twice": record(
        upload(**TWO), attempt(1, not_before=later(150)), attempt(1, at=120.0), attempt(2)
    ),
    "a look-up in the moment of the end": record(
        upload(**TWO), attempt(1, Unclear), attempt(2), look_ups=[(later(110), "partly")]
    ),
    "a Retry-After that was waited for": record(
        upload(**TWO), attempt(1, not_before=later(200)), attempt(2)
    ),
    "a Retry-After of another credential": record(
        upload(**TWO), attempt(1, not_before=later(250)), attempt(2), credentials=("one", "two")
    ),
    "a clock that was set back": record(
        upload(**TWO), attempt(1, not_before=later(200)), attempt(2, at=50.0)
    ),
    "a doubt that is marked": record(
        upload(possible_duplicate=True, **TWO), attempt(1, Unclear), attempt(2)
    ),
    "a doubt that a look-up resolved": record(
        upload(**TWO), attempt(1, Unclear), attempt(2), look_ups=[(later(120), "partly")]
    ),
    "what the provider took and refused later": record(
        upload(**TWO), attempt(1, Processing), attempt(2), look_ups=[(later(120), "refused")]
    ),
    "a doubt at the end": record(upload(**TWO), attempt(1), attempt(2, Unclear)),
    "a delivery": record(upload(Succeeded(Receipt()), **TWO), attempt(1), attempt(2, Delivered)),
    "what a person attested": record(
        upload(Succeeded(Receipt(message="attested by kim: seen")), **TWO),
        *(attempt(1), attempt(2)),
        actions=[ActionRow(at=AT, action="attest", by="kim", reason="seen")],
    ),
    "what a person abandoned": record(
        upload(Failed(FailedReason.ABANDONED, TIMEOUT), **TWO),
        *(attempt(1), attempt(2)),
        actions=[ActionRow(at=AT, action="abandon", by="kim", reason="old")],
    ),
    "what a look-up found": record(
        upload(Succeeded(Receipt("7", "there")), **TWO),
        *(attempt(1), attempt(2, Unclear)),
        look_ups=[(later(300), "found")],
    ),
    "a delivery without its texts": record(
        upload(Succeeded(Receipt("(erased)")), **TWO), attempt(1), attempt(2, Delivered)
    ),
    "a delivery of a person who was erased": record(
        upload(Succeeded(Receipt("7")), **TWO), attempt(1), attempt(2, Delivered), erased=True
    ),
    "a delivery whose attempts were pruned": record(
        upload(Succeeded(Receipt("7")), **TWO), pruned=True
    ),
    "what was parked, and waits": record(
        upload(Waiting(later(999), REVIEW), attempts=1), attempt(1, Rejected, failure=REVIEW)
    ),
    "what was rejected, and retried": record(
        upload(Queued(later(400)), attempts=1),
        attempt(1, Rejected, failure=REFUSED),
        actions=[act("retry", 300)],
    ),
    "the same after the clock was set back": record(
        evolve(upload(Queued(later(10)), attempts=1), updated_at=later(10)),
        attempt(1, Rejected, failure=REFUSED),
        actions=[act("retry", 10)],
    ),
    "the same, and then held by a block": record(
        evolve(upload(Held(LOCKED), attempts=1), updated_at=later(170)),
        attempt(1, Rejected, failure=REFUSED),
        actions=[act("retry", 108)],
    ),
    "a doubt that a look-up resolved after the clock was set back": record(
        upload(**TWO), attempt(1, Unclear), attempt(2, at=105.0), look_ups=[(later(103), "partly")]
    ),
    "a doubt that was resolved before the clock was set forward again": record(
        upload(attempts=3, spent=3),
        *(attempt(1, Unclear), attempt(2, Unclear), attempt(3)),
        look_ups=[(later(120), "partly"), (later(90), "refused")],
    ),
    "the same, and the next attempt is in flight": record(
        upload(Sending(2, later(105)), **TWO),
        attempt(1, Unclear),
        look_ups=[(later(103), "partly")],
        owner_lives=True,
        last_attempt_at=later(105),
    ),
    "what waits after a failure, held by a block": record(
        upload(Held(LOCKED), attempts=1, spent=1), attempt(1)
    ),
    "an unclear one that is held": record(
        upload(Held(TIMEOUT), attempts=1, spent=1), attempt(1, Unclear)
    ),
    "what no longer fits": record(
        upload(Failed(FailedReason.REJECTED, GONE), attempts=1, spent=1), attempt(1)
    ),
    "late news while another was under way": record(
        upload(Succeeded(Receipt()), **TWO),
        attempt(1, Recovered),
        attempt(1, Delivered),
        look_ups=[(later(120), "partly")],
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_record_has_no_breach(name: str) -> None:
    assert list(breaches(SOUND[name])) == []


UNSOUND = {
    "its courier is gone": record(upload(SENDING_2, **TWO), attempt(1)),
    "attempt 2 delivered it, and it has not succeeded": record(
        upload(Queued(AT), attempts=2), attempt(1), attempt(2, Delivered)
    ),
    "a look-up found it, and it has not succeeded": record(
        upload(**TWO), attempt(1), attempt(2), look_ups=[(later(300), "found")]
    ),
    "a person attested it, and it has not succeeded": record(
        upload(**TWO),
        *(attempt(1), attempt(2)),
        actions=[ActionRow(at=AT, action="attest", by="kim", reason="seen")],
    ),
    "it has succeeded, and no attempt, look-up or person says so": record(
        upload(Succeeded(Receipt()), **TWO), attempt(1), attempt(2)
    ),
    "its receipt is that of no attempt and of no person": record(
        upload(Succeeded(Receipt("7")), **TWO), attempt(1), attempt(2, Delivered)
    ),
    "it stands as abandoned, and nothing is recorded of who abandoned it": record(
        upload(Failed(FailedReason.ABANDONED, TIMEOUT), **TWO), attempt(1), attempt(2)
    ),
    "(refused), and it is pending": record(
        upload(Queued(AT), attempts=1), attempt(1, Rejected, failure=REFUSED)
    ),
    "its last attempt, 1, ended rejected (refused), and it is retrying for refused": record(
        upload(Waiting(AT, REFUSED), attempts=1, spent=1), attempt(1, Rejected, failure=REFUSED)
    ),
    "(refused), and it is failed for timeout": record(
        upload(Failed(FailedReason.REJECTED, TIMEOUT), attempts=1, spent=1),
        attempt(1, Rejected, failure=REFUSED),
    ),
    "(refused), and it is held for refused": record(
        evolve(upload(Held(REFUSED), attempts=1, spent=1), updated_at=later(110)),
        attempt(1, Rejected, failure=REFUSED),
        actions=[act("retry", 50)],
    ),
    "ended deferred (timeout), and it has failed as if it was rejected": record(
        upload(Failed(FailedReason.REJECTED, TIMEOUT), attempts=1, spent=1), attempt(1)
    ),
    "ended deferred (timeout), and it is held for a person": record(
        upload(Held(TIMEOUT), attempts=1, spent=1), attempt(1)
    ),
    "ended deferred (timeout), and it is failed for refused": record(
        upload(Failed(FailedReason.EXHAUSTED, REFUSED), attempts=1, spent=1), attempt(1)
    ),
    "it is queued, and 1 attempts of its budget are spent": record(
        upload(Queued(AT), attempts=1, spent=1), attempt(1)
    ),
    "the last action is abandon, and it is pending": record(
        upload(Queued(AT), attempts=1), attempt(1), actions=[act("abandon", 300)]
    ),
    "it stands as abandoned, and the last action is retry": record(
        upload(Failed(FailedReason.ABANDONED, TIMEOUT), attempts=1, spent=1),
        attempt(1),
        actions=[act("abandon", 300), act("retry", 400)],
    ),
    "it is held after timeout, and was never tried": record(upload(Held(TIMEOUT))),
    "its attempts were used up, and was never tried": record(upload()),
    "attempt 3 was begun, and nothing is recorded of its end": record(
        upload(Succeeded(Receipt()), attempts=3, spent=3),
        *(attempt(1), attempt(2, Delivered)),
        last_attempt_at=later(200),
    ),
    "attempt 1 was begun, and nothing is recorded of its end": record(
        upload(Succeeded(Receipt()), **TWO), attempt(2, Delivered)
    ),
    "2 attempts are spent of a budget of 1": record(
        upload(**TWO), attempt(1), attempt(2), budget=1
    ),
    "3 attempts are spent, and only 2 were made": record(
        upload(attempts=2, spent=3), attempt(1), attempt(2)
    ),
    "it has succeeded, and is marked as in doubt": record(
        upload(Succeeded(Receipt()), attempts=1, spent=1, doubt=True),
        attempt(1, Delivered),
    ),
    "attempt 2 was begun, and nothing is recorded of its end": record(upload(**TWO), attempt(1)),
    "attempt 3 has ended, and only 2 were begun": record(
        upload(**TWO), attempt(1), attempt(2), attempt(3)
    ),
    "the provider asked not to be asked before 2026-02-21T10:03:21+00:00": record(
        upload(**TWO), attempt(1, not_before=later(201)), attempt(2)
    ),
    "attempt 2 was begun at 2026-02-21T10:01:50+00:00": record(
        upload(**TWO), attempt(1, not_before=later(111)), attempt(2, at=110.0)
    ),
    "attempt 3 was begun": record(
        upload(attempts=3, spent=3), attempt(1), attempt(2, not_before=later(301)), attempt(3)
    ),
    "attempt 2 may have been taken, it was sent again": record(
        upload(attempts=3, spent=3), attempt(1), attempt(2, Unclear), attempt(3)
    ),
    "attempt 1 may have been taken, it was sent again": record(
        upload(**TWO), attempt(1, Unclear), attempt(2)
    ),
    "it is not marked as a possible duplicate": record(
        upload(**TWO), attempt(1, Recovered), attempt(2)
    ),
    "attempt 1 may have been taken, it was sent again, and it is not": record(
        upload(**TWO),
        attempt(1, Processing),
        attempt(2),
        look_ups=[(later(120), "processing")],
    ),
    "attempt 1 may have been taken": record(
        upload(**TWO), attempt(1, Rejected, failure=STRANGE), attempt(2)
    ),
    "2 may have been taken, it was sent again, and": record(
        upload(attempts=3, spent=3),
        *(attempt(1, Unclear), attempt(2, Unclear), attempt(3)),
        look_ups=[(later(120), "partly"), (later(230), "absent")],
    ),
    "an action for tenant 'globex' was done to it": record(
        upload(**TWO), attempt(1), attempt(2), action_tenants=("acme", "globex")
    ),
}


@pytest.mark.parametrize("words", UNSOUND)
def test_each_breach_is_found(words: str) -> None:
    (found,) = breaches(UNSOUND[words])
    assert words in found


def test_the_words_of_a_breach() -> None:
    (found,) = breaches(UNSOUND["it has succeeded, and is marked as in doubt"])
    assert found == "it has succeeded, and is marked as in doubt"


def test_an_attempt_without_its_credential_is_a_mistake_of_the_asker() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(breaches(record(upload(**TWO), attempt(1), attempt(2), credentials=("one",))))


def test_a_retry_after_holds_where_the_credential_is_not_known() -> None:
    two = record(
        upload(**TWO), attempt(1, not_before=later(250)), attempt(2), credentials=(None, "two")
    )
    assert len(list(breaches(two))) == 1


@pytest.mark.parametrize("lines", [("one", "one backfill"), ("one backfill", "one")])
def test_a_retry_after_holds_in_both_lines_of_a_credential(lines: tuple[str, str]) -> None:
    two = record(upload(**TWO), attempt(1, not_before=later(250)), attempt(2), credentials=lines)
    (found,) = breaches(two)
    assert "the provider asked not to be asked before" in found


def test_an_attempt_that_has_begun_is_in_flight_only_with_its_own_courier() -> None:
    begun = advance(NEW, Started(AT), Rules())
    assert list(breaches(record(begun, owner_lives=True))) == []
    assert len(list(breaches(record(begun)))) == 1
