"""The default logger: the right level, a sentence with all that one needs, and the facts beside
it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from evidence_courier.adapters.loggers.standard import StandardLogger
from evidence_courier.delivery.log_facts import account_of
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.status import StatusError, UploadStatus
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.logger import (
    AttemptEnded,
    AttemptStarted,
    ConfigurationLoaded,
    ConfigurationRefused,
    EvidenceConflict,
    HookFailed,
    LogEvent,
    RecordingFailed,
    UploadHeld,
    UploadRecorded,
    UploadSettled,
    WriteDelayed,
)

KEY = UploadKey("acme", "ev-1", "sprinto")
NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
FAILURE = Failure(FailureKind.SERVER_ERROR, "Sprinto is down", http_status=503)


def status(word: str, error: StatusError | None = None) -> UploadStatus:
    return UploadStatus(
        tenant_id="acme",
        evidence_id="ev-1",
        provider="sprinto",
        status=word,
        attempts=5,
        possible_duplicate=False,
        error=error,
        last_attempt_at=NOW,
        next_attempt_at=None,
        receipt=None,
        digest="0" * 64,
        evidence_date=date(2026, 2, 21),
        created_at=NOW,
        updated_at=NOW,
    )


def logged(event: LogEvent, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    with caplog.at_level(logging.DEBUG, logger="evidence_courier"):
        StandardLogger().log(event)
    [record] = caplog.records
    return record


@pytest.mark.parametrize(
    ("event", "level", "says"),
    [
        (ConfigurationLoaded("tenants/", ("acme",), ("initech",)), logging.INFO, "initech"),
        (ConfigurationRefused(("acme.yaml:3: provider: unknown",)), logging.ERROR, "acme.yaml:3"),
        (UploadRecorded(KEY), logging.DEBUG, "recorded"),
        (RecordingFailed(KEY, "disk full"), logging.ERROR, "disk full"),
        (EvidenceConflict(KEY, "aaa", "bbb"), logging.ERROR, "bbb"),
        (AttemptStarted(KEY, 1, 5), logging.DEBUG, "attempt 1 starts"),
        (AttemptEnded(KEY, 1, "delivered", None, None), logging.INFO, "attempt 1 delivered"),
        (
            AttemptEnded(KEY, 2, "unclear", FAILURE, NOW),
            logging.WARNING,
            "next at 2026-02-21T10:00:00Z",
        ),
        (
            AttemptEnded(KEY, 5, "unclear", FAILURE, None),
            logging.INFO,
            "server_error (HTTP 503): Sprinto is down",
        ),
        (UploadSettled(status("succeeded")), logging.INFO, "succeeded after 5 attempts"),
        (UploadHeld(KEY, FAILURE), logging.ERROR, "held"),
        (UploadSettled(status("held")), logging.INFO, "held"),
        (WriteDelayed(KEY, "locked"), logging.WARNING, "locked"),
        (HookFailed(KEY, "on_settled", "KeyError: 1"), logging.ERROR, "on_settled"),
    ],
)
def test_each_event_has_its_level_and_its_sentence(
    event: LogEvent, level: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = logged(event, caplog)
    assert record.levelno == level
    assert says in record.getMessage()
    assert vars(record)["courier_event"] == type(event).__name__


def test_what_failed_is_an_error_with_everything_one_needs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    record = logged(UploadSettled(status("failed", StatusError.of(FAILURE))), caplog)
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        "tenant acme, evidence ev-1, sprinto: failed after 5 attempts: server_error: Sprinto is "
        "down"
    )
    facts = vars(record)
    assert (facts["tenant_id"], facts["evidence_id"], facts["provider"]) == (
        "acme",
        "ev-1",
        "sprinto",
    )


def test_a_record_names_its_attempt(caplog: pytest.LogCaptureFixture) -> None:
    assert vars(logged(AttemptEnded(KEY, 2, "unclear", FAILURE, NOW), caplog))["attempt"] == 2


def test_a_logger_of_the_hosts_is_used(caplog: pytest.LogCaptureFixture) -> None:
    StandardLogger(logging.getLogger("host.compliance")).log(RecordingFailed(KEY, "why"))
    assert caplog.records[0].name == "host.compliance"


def test_every_event_is_written_down_with_its_name_and_its_facts(
    any_event: LogEvent, caplog: pytest.LogCaptureFixture
) -> None:
    account, record = account_of(any_event), logged(any_event, caplog)
    assert record.getMessage() == account.sentence
    assert vars(record).items() >= account.facts.items()
    assert vars(record)["event"] == account.event
    assert vars(record)["courier_event"] == type(any_event).__name__


def test_a_sentence_is_one_line_whatever_the_texts_hold(
    hostile_event: LogEvent, caplog: pytest.LogCaptureFixture
) -> None:
    assert logged(hostile_event, caplog).getMessage().isprintable()


def test_a_percent_sign_is_only_a_percent_sign(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(RecordingFailed(KEY, "99 %s full"), caplog).getMessage().endswith("99 %s full")


def test_nothing_is_written_down_below_the_level_that_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.Logger("host.compliance", logging.ERROR)  # noqa: LOG001 - a logger that no other test sees
    logger.addHandler(caplog.handler)
    for event in (UploadRecorded(KEY), WriteDelayed(KEY, "locked"), UploadHeld(KEY, FAILURE)):
        StandardLogger(logger).log(event)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_filter_of_the_hosts_has_its_say(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.Logger("host.compliance")  # noqa: LOG001 - a logger that no other test sees
    logger.addHandler(caplog.handler)
    logger.addFilter(lambda record: vars(record)["tenant_id"] != "acme")
    StandardLogger(logger).log(RecordingFailed(KEY, "why"))
    StandardLogger(logger).log(RecordingFailed(UploadKey("initech", "ev-1", "sprinto"), "why"))
    assert [vars(record)["tenant_id"] for record in caplog.records] == ["initech"]


def test_what_a_hosts_handler_raises_goes_on_to_the_courier() -> None:
    """The courier counts it."""

    class Away(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ConnectionError("the log server is away")

    logger = logging.Logger("host.compliance")  # noqa: LOG001 - a logger that no other test sees
    logger.addHandler(Away())
    with pytest.raises(ConnectionError):
        StandardLogger(logger).log(UploadRecorded(KEY))


@pytest.fixture
def records_have_a_tenant() -> Iterator[None]:
    """A host whose every record names the tenant of the request that is being served."""
    before = logging.getLogRecordFactory()

    def of_a_tenant(*args: object, **kwargs: object) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.tenant_id = "the one that is served"
        return record

    logging.setLogRecordFactory(of_a_tenant)
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("records_have_a_tenant")
def test_an_event_survives_a_host_that_sets_the_same_names_on_records(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert vars(logged(RecordingFailed(KEY, "why"), caplog))["tenant_id"] == "acme"
