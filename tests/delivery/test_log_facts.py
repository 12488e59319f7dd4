"""What an event comes to: its severity, its name, a sentence with all that one needs, and flat
facts."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta, timezone

import attrs
import pytest

from evidence_courier.delivery.log_facts import Severity, account_of, severity_of
from evidence_courier.domain.pacing.paused import Paused, Scope
from evidence_courier.domain.upload.failure import Concern, Failure, FailureKind
from evidence_courier.domain.upload.status import StatusError, UploadStatus
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.domain.upload.verdict import Receipt
from evidence_courier.ports import logger
from evidence_courier.ports.logger import (
    ActionTaken,
    AttemptEnded,
    AttemptRecovered,
    AttemptStarted,
    ClockSetBack,
    ConfigurationLoaded,
    ConfigurationRefused,
    CourierLost,
    EvidenceConflict,
    HookFailed,
    IntegrationBlocked,
    IntegrationCoolsDown,
    IntegrationEvent,
    LogEvent,
    LookUpEnded,
    LoopBlocked,
    RecordingFailed,
    StoreTrouble,
    UploadEvent,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
    UploadSettledElsewhere,
    WriteDelayed,
)
from evidence_courier.testing.contracts.events import one_of_each

KEY = UploadKey("acme", "ev-1", "sprinto")
NOW = datetime(2026, 2, 21, 10, 0, 0, 250_000, tzinfo=UTC)
DOWN = Failure(FailureKind.SERVER_ERROR, "Sprinto is down", http_status=503, retry_after=7.0)
PAUSED = Paused(Scope("acme"), NOW, "asha", "an audit").failure
BAD_KEY = Failure(FailureKind.UNAUTHORIZED, "the API key is refused", http_status=401)
OF_KEY = {"tenant_id": "acme", "evidence_id": "ev-1", "provider": "sprinto"}
OF_DOWN = {
    "error_kind": "server_error",
    "error_message": "Sprinto is down",
    "http_status": 503,
    "retry_after": 7.0,
}
# What a logging.LogRecord or structlog uses for itself: a fact of that name would be lost, or be
# taken for something else.
TAKEN = {
    *vars(logging.LogRecord("", 0, "", 0, "", (), None)),
    *("asctime", "message", "taskName"),
    *("event", "courier_event", "level", "logger", "logger_name", "log_level", "timestamp", "time"),
    *("sentence", "facts", "exception", "stack", "self"),
}


def settled(
    word: str,
    error: Failure | None = None,
    *,
    attempts: int = 5,
    possible_duplicate: bool = False,
    receipt: Receipt | None = None,
) -> UploadSettled:
    return UploadSettled(
        UploadStatus(
            tenant_id="acme",
            evidence_id="ev-1",
            provider="sprinto",
            status=word,
            attempts=attempts,
            possible_duplicate=possible_duplicate,
            error=None if error is None else StatusError.of(error),
            last_attempt_at=NOW,
            next_attempt_at=None,
            receipt=receipt,
            digest="0" * 64,
            evidence_date=date(2026, 2, 20),
            created_at=NOW,
            updated_at=NOW,
        )
    )


@pytest.fixture
def every_event() -> list[LogEvent]:
    """One event of every type, in the order of the port."""
    return one_of_each()


def test_the_examples_hold_every_event_of_the_port(every_event: list[LogEvent]) -> None:
    bases = {LogEvent, UploadEvent, IntegrationEvent}
    known = (each for each in vars(logger).values() if isinstance(each, type))
    events = [each for each in known if issubclass(each, LogEvent) and each not in bases]
    assert [type(event) for event in every_event] == events


def test_the_names_of_events_are_part_of_the_contract(every_event: list[LogEvent]) -> None:
    assert [account_of(event).event for event in every_event] == [
        "configuration_loaded",
        "configuration_refused",
        "configuration_doubtful",
        "tenant_unknown",
        "rendering_unavailable",
        "upload_recorded",
        "recording_failed",
        "evidence_conflict",
        "record_unreadable",
        "attempt_started",
        "attempt_ended",
        "attempt_recovered",
        "look_up_ended",
        "upload_held",
        "upload_requeued",
        "action_taken",
        "delivery_paused",
        "delivery_resumed",
        "integration_blocked",
        "target_parked",
        "integration_cools_down",
        "origin_silent",
        "origin_answers",
        "uploads_wait",
        "courier_lost",
        "clock_set_back",
        "store_trouble",
        "notice_not_taken",
        "duty_failed",
        "upload_settled",
        "upload_settled_elsewhere",
        "write_delayed",
        "reader_lost",
        "loop_blocked",
        "hook_failed",
    ]


def test_every_field_of_an_event_is_among_its_facts(any_event: LogEvent) -> None:
    facts = account_of(any_event).facts
    inside = {
        "key": {"tenant_id", "evidence_id", "provider"},
        "failure": set(OF_DOWN),
        "status": {"status"},
    }
    for field in attrs.fields_dict(type(any_event)):
        assert inside.get(field, {field}) <= set(facts)


def test_facts_are_flat_and_json_can_write_them(any_event: LogEvent) -> None:
    facts = account_of(any_event).facts
    assert json.loads(json.dumps(facts)) == facts
    for fact in facts.values():
        assert isinstance(fact, str | int | float) or all(isinstance(text, str) for text in fact)


def test_no_fact_has_a_name_that_a_logger_uses_for_itself(any_event: LogEvent) -> None:
    assert TAKEN & set(account_of(any_event).facts) == set()


def test_facts_are_as_recorded_and_the_sentence_is_one_printable_line(
    hostile_event: LogEvent,
) -> None:
    account = account_of(hostile_event)
    assert account.sentence.isprintable()
    if "tenant_id" in account.facts:
        assert "\n" in str(account.facts["tenant_id"]) and "\\n" in account.sentence


def test_invisible_characters_are_written_out_and_letters_stay_letters() -> None:
    event = RecordingFailed(UploadKey("zürich", "प्रमाण-1\n", "sprinto"), "\x1b[31m\ud800\u202e")
    assert account_of(event).sentence == (
        r"tenant zürich, evidence प्रमाण-1\n, sprinto: recording failed: "
        r"\x1b[31m\ud800\u202e"
    )


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        (ConfigurationLoaded("tenants/", (), ()), Severity.INFO),
        (ConfigurationRefused(()), Severity.ERROR),
        (UploadRecorded(KEY), Severity.DEBUG),
        (RecordingFailed(KEY, ""), Severity.ERROR),
        (EvidenceConflict(KEY, "", ""), Severity.ERROR),
        (AttemptStarted(KEY, 2, 5), Severity.DEBUG),
        (AttemptEnded(KEY, 1, "delivered", None, None), Severity.INFO),
        (AttemptEnded(KEY, 1, "deferred", DOWN, NOW), Severity.WARNING),
        (AttemptEnded(KEY, 1, "unclear", DOWN, NOW), Severity.WARNING),
        (AttemptEnded(KEY, 1, "rejected", DOWN, None), Severity.INFO),
        (AttemptRecovered(KEY, 1, NOW), Severity.WARNING),
        (AttemptRecovered(KEY, 1, None), Severity.WARNING),
        (LookUpEnded(KEY, 1, "found", None, None), Severity.INFO),
        (LookUpEnded(KEY, 1, "absent", None, NOW), Severity.INFO),
        (LookUpEnded(KEY, 1, "unreadable", DOWN, NOW), Severity.WARNING),
        (LookUpEnded(KEY, 3, "unreadable", DOWN, None), Severity.INFO),
        (UploadHeld(KEY, DOWN), Severity.ERROR),
        *(
            (UploadHeld(KEY, Failure(kind, "")), Severity.WARNING)
            for kind in FailureKind
            if kind.concern is Concern.INTEGRATION and kind is not FailureKind.INTEGRATION_GONE
        ),
        (UploadHeld(KEY, Failure(FailureKind.INTEGRATION_GONE, "")), Severity.ERROR),
        (UploadRequeued(KEY, None, ""), Severity.INFO),
        (ActionTaken(KEY, "abandon", "", ""), Severity.INFO),
        (IntegrationBlocked("acme", "sprinto", BAD_KEY), Severity.ERROR),
        (IntegrationCoolsDown("acme", "sprinto", NOW), Severity.WARNING),
        (CourierLost(1, 0), Severity.WARNING),
        (ClockSetBack(1.0), Severity.WARNING),
        (StoreTrouble(""), Severity.WARNING),
        (settled("succeeded"), Severity.INFO),
        (settled("failed", DOWN), Severity.ERROR),
        (WriteDelayed(KEY, ""), Severity.WARNING),
        (LoopBlocked("acme", "vanta", "a seal", 1.0), Severity.ERROR),
        (HookFailed(KEY, "on_settled", ""), Severity.ERROR),
    ],
)
def test_attempts_are_info_retries_warnings_and_waits_for_people_errors(
    event: LogEvent, severity: Severity
) -> None:
    assert severity_of(event) is severity


def test_an_upload_that_is_held_is_one_error_and_not_two() -> None:
    told: list[LogEvent] = [UploadHeld(KEY, DOWN), settled("held", DOWN)]
    assert [severity_of(event) for event in told] == [Severity.ERROR, Severity.INFO]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (
            AttemptEnded(KEY, 2, "unclear", DOWN, NOW),
            "attempt 2 unclear: server_error (HTTP 503): Sprinto is down; next at "
            "2026-02-21T10:00:00Z",
        ),
        (AttemptEnded(KEY, 1, "delivered", None, None), "attempt 1 delivered"),
        (
            AttemptRecovered(KEY, 2, NOW),
            "attempt 2 recovered: its courier is gone, and the provider may have received it; "
            "next at 2026-02-21T10:00:00Z",
        ),
        (
            LookUpEnded(KEY, 1, "absent", None, NOW),
            "look-up 1 absent; next at 2026-02-21T10:00:00Z",
        ),
        (
            LookUpEnded(KEY, 3, "unreadable", DOWN, None),
            "look-up 3 unreadable: server_error (HTTP 503): Sprinto is down",
        ),
        (
            UploadHeld(KEY, DOWN),
            "held: server_error (HTTP 503): Sprinto is down; it waits for a person to release, "
            "abandon or attest it",
        ),
        (
            UploadHeld(KEY, BAD_KEY),
            "held: unauthorized (HTTP 401): the API key is refused; it waits until the "
            "integration's settings change, or a "
            "person releases, abandons or attests it",
        ),
        (
            UploadHeld(KEY, PAUSED),
            "held: paused by asha since 2026-02-21 10:00 UTC: an audit; it waits until a person "
            "resumes it",
        ),
        (
            settled("held", PAUSED, attempts=1),
            "held after 1 attempt: paused by asha since 2026-02-21 10:00 UTC: an audit",
        ),
        (
            UploadSettledElsewhere(settled("succeeded", attempts=1).status),
            "succeeded after 1 attempt; another courier or a person has settled it",
        ),
        (
            UploadRequeued(KEY, "asha", "the key is new"),
            "queued by asha, with a fresh budget: the key is new",
        ),
        (
            UploadRequeued(KEY, None, "its integration may work again"),
            "queued, with a fresh budget: its integration may work again",
        ),
        (
            ActionTaken(KEY, "attest", "asha", "I have seen it there"),
            "attest by asha: I have seen it there",
        ),
        (settled("succeeded", attempts=1), "succeeded after 1 attempt"),
        (
            settled("succeeded", DOWN, attempts=2, possible_duplicate=True),
            "succeeded after 2 attempts; it was sent again while unclear, so the provider may "
            "have more than one copy",
        ),
        (settled("held", BAD_KEY), "held after 5 attempts: unauthorized: the API key is refused"),
        (settled("failed"), "failed after 5 attempts: no reason recorded"),
    ],
)
def test_a_sentence_says_tenant_evidence_attempt_why_and_when_next(
    event: LogEvent, says: str
) -> None:
    assert account_of(event).sentence == f"tenant acme, evidence ev-1, sprinto: {says}"


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (
            IntegrationBlocked("acme", "sprinto", BAD_KEY),
            "tenant acme, sprinto: the integration does not work: unauthorized (HTTP 401): the "
            "API key is refused; its other uploads are held: they, and what failed because of it, "
            "go again by themselves once its settings change or a person releases one",
        ),
        (
            IntegrationCoolsDown("acme", "sprinto", NOW),
            "tenant acme, sprinto: the provider asked for a cool-down, nothing is sent before "
            "2026-02-21T10:00:00Z",
        ),
        (
            CourierLost(3, 1),
            "courier 3 on this database is gone; recovered: 1 attempt",
        ),
        (
            ClockSetBack(3600.25),
            "the clock was set back by 3600.2 s; the remaining waits count from now",
        ),
        (
            StoreTrouble("disk full"),
            "the database could not be read or written and is tried again: disk full",
        ),
        (
            LoopBlocked("acme", "paper", "the host's on_settled", 1.5),
            "tenant acme, paper: the host's on_settled has blocked the event loop for 1.5 s, and "
            "all deliveries wait: report it to its authors",
        ),
        (
            ConfigurationLoaded("tenants/", ("acme",), ("initech", "hooli")),
            "configuration loaded from tenants/: 1 tenant with an integration; without: initech, "
            "hooli",
        ),
        (
            ConfigurationLoaded("tenants/", ("acme", "initech"), ()),
            "configuration loaded from tenants/: 2 tenants with an integration; without: none",
        ),
    ],
)
def test_an_event_of_no_single_upload_has_a_sentence_too(event: LogEvent, says: str) -> None:
    assert account_of(event).sentence == says


def test_an_attempt_that_ended_badly_has_all_its_facts() -> None:
    assert account_of(AttemptEnded(KEY, 2, "deferred", DOWN, NOW)).facts == {
        **OF_KEY,
        **OF_DOWN,
        "attempt": 2,
        "verdict": "deferred",
        "next_at": "2026-02-21T10:00:00.250000Z",
    }


def test_a_fact_that_is_not_known_is_absent() -> None:
    delivered = account_of(AttemptEnded(KEY, 1, "delivered", None, None))
    assert delivered.facts == {**OF_KEY, "attempt": 1, "verdict": "delivered"}
    assert "who" not in account_of(UploadRequeued(KEY, None, "why")).facts


def test_a_false_or_empty_fact_is_known() -> None:
    facts = account_of(settled("succeeded", attempts=0)).facts
    assert (facts["possible_duplicate"], facts["attempts"]) == (False, 0)


def test_an_upload_that_has_settled_has_what_the_lists_show() -> None:
    receipt = Receipt(reference="r-1", message="taken")
    assert account_of(settled("succeeded", DOWN, receipt=receipt)).facts == {
        **OF_KEY,
        "status": "succeeded",
        "attempts": 5,
        "possible_duplicate": False,
        "out_of_time": False,
        "error_kind": "server_error",
        "error_message": "Sprinto is down",
        "http_status": 503,
        "receipt_reference": "r-1",
        "receipt_message": "taken",
        "last_attempt_at": "2026-02-21T10:00:00.250000Z",
        "evidence_date": "2026-02-20",
        "digest": "0" * 64,
    }


def test_a_moment_of_any_zone_is_shown_in_utc() -> None:
    in_pune = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    account = account_of(IntegrationCoolsDown("acme", "sprinto", in_pune))
    assert account.facts["until"] == "2026-02-21T10:00:00.250000Z"
    assert account.sentence.endswith("2026-02-21T10:00:00Z")
