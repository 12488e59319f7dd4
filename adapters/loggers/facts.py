"""What a log event comes to, whichever logger it goes to: its severity, its name, one sentence, and
its facts.

The name (`attempt_ended`) and the names of the facts are for machines, and stay as they are. The
sentence is for people, may be reworded, and is always one line of printable characters, whatever an
id or an error's text holds. Facts are flat and JSON can write them; they are exactly what was
recorded, so one who puts them into plain text has to escape them. A fact that is not known is
absent.

Severity: what runs as it should, and what people do, is INFO; what is tried again or looked after
by itself is WARNING; what waits for somebody is ERROR. An upload that is held says so twice, as
`upload_held` and as `upload_settled`: only the first is an ERROR.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TypeAlias, assert_never

from attrs import frozen

from ...domain.upload.failure import Concern, Failure
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import UploadKey
from ...ports.logger import (
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
    IntegrationPaused,
    LogEvent,
    LookUpEnded,
    RecordingFailed,
    StoreTrouble,
    UploadHeld,
    UploadRecorded,
    UploadRequeued,
    UploadSettled,
    WriteDelayed,
)
from ..records.moments import write_moment

Fact: TypeAlias = str | int | float | bool | list[str]


class Severity(Enum):
    """How much an event matters to whoever runs the courier."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@frozen
class Account:
    """An event told: its name, a sentence for people, and its facts for machines."""

    event: str
    sentence: str
    facts: Mapping[str, Fact]


def severity_of(event: LogEvent) -> Severity:
    """How much an event matters. Cheap, so that a logger can ask it before it makes sentences
    that nobody reads."""
    match event:
        case UploadRecorded() | AttemptStarted():
            return Severity.INFO
        case (
            AttemptEnded(failure=failure, next_at=next_at)
            | LookUpEnded(failure=failure, next_at=next_at)
        ):
            # Where nothing comes next, the upload has settled, and says itself how bad that is.
            return Severity.INFO if failure is None or next_at is None else Severity.WARNING
        case UploadSettled(status=status):
            return Severity.ERROR if status.status == "failed" else Severity.INFO
        case ConfigurationLoaded() | UploadRequeued() | ActionTaken():
            return Severity.INFO
        case AttemptRecovered() | IntegrationPaused() | WriteDelayed():
            return Severity.WARNING
        case StoreTrouble() | ClockSetBack() | CourierLost():
            return Severity.WARNING
        case UploadHeld() | IntegrationBlocked() | RecordingFailed():
            return Severity.ERROR
        case ConfigurationRefused() | EvidenceConflict() | HookFailed():
            return Severity.ERROR
        case _:
            assert_never(event)


def account_of(event: LogEvent) -> Account:
    """An event told in full."""
    match event:
        case AttemptStarted(key=key, attempt=attempt, max_attempts=most):
            return _of_upload(
                "attempt_started",
                key,
                f"attempt {attempt} starts",
                attempt=attempt,
                max_attempts=most,
            )
        case AttemptEnded(
            key=key, attempt=attempt, verdict=verdict, failure=failure, next_at=next_at
        ):
            return _of_upload(
                "attempt_ended",
                key,
                f"attempt {attempt} {verdict}{_because(failure)}{_next(next_at)}",
                attempt=attempt,
                verdict=verdict,
                **_facts_of(failure),
                next_at=_exact(next_at),
            )
        case AttemptRecovered(key=key, attempt=attempt, next_at=next_at):
            return _of_upload(
                "attempt_recovered",
                key,
                f"attempt {attempt} recovered: whoever ran it is gone without a word, and the provider may have taken it"
                f"{_next(next_at)}",
                attempt=attempt,
                next_at=_exact(next_at),
            )
        case LookUpEnded(
            key=key, look_up=number, finding=finding, failure=failure, next_at=next_at
        ):
            return _of_upload(
                "look_up_ended",
                key,
                f"look-up {number} {finding}{_because(failure)}{_next(next_at)}",
                look_up=number,
                finding=finding,
                **_facts_of(failure),
                next_at=_exact(next_at),
            )
        case UploadRecorded(key=key):
            return _of_upload("upload_recorded", key, "recorded")
        case UploadSettled(status=status):
            return _settled(status)
        case UploadHeld(key=key, failure=failure):
            return _of_upload(
                "upload_held",
                key,
                f"held{_because(failure)}; {_way_out(failure)}",
                **_facts_of(failure),
            )
        case UploadRequeued(key=key, by=by, reason=reason):
            person = "" if by is None else f" by {by}"
            return _of_upload(
                "upload_requeued",
                key,
                f"tried again{person}, with a fresh budget: {reason}",
                by=by,
                reason=reason,
            )
        case ActionTaken(key=key, action=action, by=by, reason=reason):
            return _of_upload(
                "action_taken",
                key,
                f"{action} by {by}: {reason}",
                action=action,
                by=by,
                reason=reason,
            )
        case RecordingFailed(key=key, reason=reason):
            return _of_upload(
                "recording_failed",
                key,
                f"not recorded, and nothing will be sent: {reason}",
                reason=reason,
            )
        case WriteDelayed(key=key, reason=reason):
            return _of_upload(
                "write_delayed",
                key,
                f"the record could not be written and is tried again: {reason}",
                reason=reason,
            )
        case HookFailed(key=key, hook=hook, reason=reason):
            return _of_upload(
                "hook_failed", key, f"the host's {hook} raised {reason}", hook=hook, reason=reason
            )
        case EvidenceConflict(key=key, known_digest=known, submitted_digest=submitted):
            return _of_upload(
                "evidence_conflict",
                key,
                f"another document was submitted under this evidence id and is ignored (known sha256 {known}, "
                f"submitted {submitted}): give it an evidence id of its own",
                known_digest=known,
                submitted_digest=submitted,
            )
        case IntegrationBlocked(tenant_id=tenant_id, provider=provider, failure=failure):
            return _account(
                "integration_blocked",
                f"tenant {tenant_id}, {provider}: the integration does not work{_because(failure)}; its other uploads are "
                "held at their turn, until its settings change or a person releases one",
                tenant_id=tenant_id,
                provider=provider,
                **_facts_of(failure),
            )
        case IntegrationPaused(tenant_id=tenant_id, provider=provider, until=until):
            return _account(
                "integration_paused",
                f"tenant {tenant_id}, {provider}: the provider asked for patience, nothing is sent before {_moment(until)}",
                tenant_id=tenant_id,
                provider=provider,
                until=_exact(until),
            )
        case ConfigurationLoaded(
            path=path, with_integration=with_integration, without_integration=without_integration
        ):
            return _account(
                "configuration_loaded",
                f"configuration loaded from {path}: {_counted(len(with_integration), 'tenant')} with an integration; "
                f"without: {', '.join(without_integration) or 'none'}",
                path=path,
                with_integration=list(with_integration),
                without_integration=list(without_integration),
            )
        case ConfigurationRefused(problems=problems):
            return _account(
                "configuration_refused",
                f"configuration not taken, the old one stays in force: {'; '.join(problems)}",
                problems=list(problems),
            )
        case CourierLost(owner=owner, in_flight=in_flight):
            return _account(
                "courier_lost",
                f"courier {owner} on this database is gone without a word; recovered: "
                f"{_counted(in_flight, 'attempt')}",
                owner=owner,
                in_flight=in_flight,
            )
        case ClockSetBack(seconds=seconds):
            return _account(
                "clock_set_back",
                f"the clock was set back by {seconds:.1f} s; what waits keeps the rest of its wait",
                seconds=seconds,
            )
        case StoreTrouble(reason=reason):
            return _account(
                "store_trouble",
                f"the database could not be asked or written to and is tried again: {reason}",
                reason=reason,
            )
        case _:
            assert_never(event)


def _settled(status: UploadStatus) -> Account:
    sentence = f"{status.status} after {_counted(status.attempts, 'attempt')}"
    if status.status != "succeeded":
        error = status.error
        sentence += (
            f": {error.kind}: {error.message}" if error is not None else ": no reason recorded"
        )
    if status.possible_duplicate:
        sentence += (
            "; it was sent again out of a doubt, so the provider may have more than one copy"
        )
    return _of_upload(
        "upload_settled",
        UploadKey(status.tenant_id, status.evidence_id, status.provider),
        sentence,
        status=status.status,
        attempts=status.attempts,
        possible_duplicate=status.possible_duplicate,
        error_kind=None if status.error is None else status.error.kind,
        error_message=None if status.error is None else status.error.message,
        http_status=None if status.error is None else status.error.http_status,
        receipt_reference=None if status.receipt is None else status.receipt.reference,
        receipt_message=None if status.receipt is None else status.receipt.message,
        last_attempt_at=_exact(status.last_attempt_at),
        evidence_date=status.evidence_date.isoformat(),
        digest=status.digest,
    )


def _of_upload(event: str, key: UploadKey, sentence: str, **facts: Fact | None) -> Account:
    return _account(
        event,
        f"tenant {key.tenant_id}, evidence {key.evidence_id}, {key.provider}: {sentence}",
        tenant_id=key.tenant_id,
        evidence_id=key.evidence_id,
        provider=key.provider,
        **facts,
    )


def _account(event: str, sentence: str, **facts: Fact | None) -> Account:
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return Account(event, _one_line(sentence), known)


def _one_line(sentence: str) -> str:
    """The sentence with line breaks, escapes of a terminal, marks of direction and the like
    written out, as `\\n` or `\\u202e`."""
    if sentence.isprintable():
        return sentence
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in sentence
    )


def _facts_of(failure: Failure | None) -> dict[str, Fact | None]:
    if failure is None:
        return {}
    return {
        "error_kind": failure.kind.value,
        "error_message": failure.message,
        "http_status": failure.http_status,
        "retry_after": failure.retry_after,
    }


def _because(failure: Failure | None) -> str:
    if failure is None:
        return ""
    status = f" (HTTP {failure.http_status})" if failure.http_status is not None else ""
    return f": {failure.kind.value}{status}: {failure.message}"


def _way_out(failure: Failure) -> str:
    if failure.kind.concern is Concern.INTEGRATION:
        return "it waits until the integration's settings change, or a person releases, abandons or attests it"
    return "it waits for a person to release, abandon or attest it"


def _next(moment: datetime | None) -> str:
    return "" if moment is None else f"; next at {_moment(moment)}"


def _moment(moment: datetime) -> str:
    return write_moment(moment.replace(microsecond=0))


def _exact(moment: datetime | None) -> str | None:
    return None if moment is None else write_moment(moment)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
