"""The default logger: sentences for the standard library's `logging`, with the facts beside them.

Attempts are INFO, retries WARNING, what failed or is held ERROR. Each record carries `courier_event` (the event's name) and the tenant, evidence,
provider and attempt as attributes, for formatters that want them apart.
"""

from __future__ import annotations

import logging
from datetime import datetime

from ...domain.failure import Failure
from ...domain.upload import UploadKey
from ...ports.logger import (
    AttemptEnded,
    AttemptStarted,
    ConfigurationLoaded,
    ConfigurationRefused,
    EvidenceConflict,
    HookFailed,
    LogEvent,
    RecordingFailed,
    UploadRecorded,
    UploadSettled,
    WriteDelayed,
)

NAME = "evidence_courier"

# Most of what is told, and by default nobody listens: not worth making a sentence of.
_ONLY_INFO = (UploadRecorded, AttemptStarted)


class StandardLogger:
    """`Logger` over `logging.getLogger("evidence_courier")`, or another logger of the host's."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger if logger is not None else logging.getLogger(NAME)

    def log(self, event: LogEvent) -> None:
        """Write one event down."""
        if not self._logger.isEnabledFor(logging.INFO) and isinstance(event, _ONLY_INFO):
            return
        level, sentence = _say(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", sentence, extra=_facts(event))


def _say(event: LogEvent) -> tuple[int, str]:
    match event:
        case ConfigurationLoaded():
            without = ", ".join(event.without_integration) or "none"
            return (
                logging.INFO,
                f"configuration loaded from {event.path}: {len(event.with_integration)} tenants with an integration; "
                f"without: {without}",
            )
        case ConfigurationRefused(problems=problems):
            return logging.ERROR, "configuration not taken, the old one stays in force: " + "; ".join(
                problems
            )
        case UploadRecorded(key=key):
            return logging.INFO, f"{_of(key)}: recorded"
        case RecordingFailed(key=key, reason=reason):
            return logging.ERROR, f"{_of(key)}: not recorded, and nothing will be sent: {reason}"
        case EvidenceConflict(key=key):
            return (
                logging.ERROR,
                f"{_of(key)}: another document was submitted under this evidence id and is ignored (known sha256 "
                f"{event.known_digest}, submitted {event.submitted_digest}): give it an evidence id of its own",
            )
        case AttemptStarted(key=key):
            return logging.INFO, f"{_of(key)}: attempt {event.attempt} starts"
        case AttemptEnded():
            return _say_ended(event)
        case UploadSettled(status=status):
            key = UploadKey(status.tenant_id, status.evidence_id, status.provider)
            if status.status == "succeeded":
                return logging.INFO, f"{_of(key)}: succeeded after {_attempts(status.attempts)}"
            error = status.error
            why = f"{error.kind}: {error.message}" if error else "no reason recorded"
            return logging.ERROR, f"{_of(key)}: {status.status} after {_attempts(status.attempts)}: {why}"
        case WriteDelayed(key=key, reason=reason):
            return (
                logging.WARNING,
                f"{_of(key)}: the record could not be written and is tried again: {reason}",
            )
        case HookFailed(key=key):
            return logging.ERROR, f"{_of(key)}: the host's {event.hook} raised {event.reason}"


def _say_ended(event: AttemptEnded) -> tuple[int, str]:
    head = f"{_of(event.key)}: attempt {event.attempt} {event.verdict}"
    if event.failure is None:
        return logging.INFO, head
    sentence = f"{head}: {_failure(event.failure)}"
    if event.next_at is None:
        return logging.INFO, sentence
    return logging.WARNING, f"{sentence}; next at {_moment(event.next_at)}"


def _failure(failure: Failure) -> str:
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    return f"{failure.kind.value}{status}: {failure.message}"


def _of(key: UploadKey) -> str:
    return f"tenant {key.tenant_id}, evidence {key.evidence_id}, {key.provider}"


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _facts(event: LogEvent) -> dict[str, object]:
    facts: dict[str, object] = {"courier_event": type(event).__name__}
    key = getattr(event, "key", None)
    status = event.status if isinstance(event, UploadSettled) else None
    for name in ("tenant_id", "evidence_id", "provider"):
        value = getattr(key if key is not None else status, name, None)
        if value is not None:
            facts[name] = value
    if isinstance(event, AttemptStarted | AttemptEnded):
        facts["attempt"] = event.attempt
    return facts
