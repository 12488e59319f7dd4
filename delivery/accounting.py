"""What the beginning and the end of an attempt or of a look-up mean: for the upload, for its
record and for its gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from attrs import evolve, frozen

from ..domain.evidence.evidence import sha256_of
from ..domain.pacing.gate import GateChange, change_of
from ..domain.upload.attempt import attempt_of
from ..domain.upload.events import AttemptEnded, LookedUp, Started, Unfit
from ..domain.upload.failure import Concern, Failure, FailureKind
from ..domain.upload.status import LookUpRow
from ..domain.upload.transitions import advance
from ..domain.upload.upload import Sending, Upload, UploadKey
from ..domain.upload.verdict import (
    AttemptVerdict,
    Finding,
    Found,
    Processing,
    Recovered,
    Refused,
    Rejected,
    Unbundled,
    Unreadable,
    word_of,
)
from ..ports.logger import IntegrationBlocked, IntegrationCoolsDown, LogEvent, TargetParked
from .active import ActiveUpload
from .applying import Step
from .destinations import Destination, unsendable


def beginning_of(active: ActiveUpload, at: datetime) -> Upload | Unfit | Started:
    """The upload as it is while its next attempt is made; or the event that ends it, if no attempt
    may be made any more."""
    dossier, destination = active.dossier, active.destination
    failure = unsendable(dossier, destination)
    if failure is not None:
        return Unfit(at, failure)
    beginning = Started(at)
    started = advance(active.upload, beginning, destination.rules)
    # Not Sending: the policy has been made shorter, and is used up.
    return started if isinstance(started.state, Sending) else beginning


def end_of(
    active: ActiveUpload,
    verdict: AttemptVerdict,
    end: GateChange,
    jitter: float,
    request_id: str | None,
) -> Step:
    """What a verdict means for an attempt: for the upload, as its record, for the gate; `end` is
    the end of its requests."""
    sending, rules = active.sending, active.destination.rules
    event = AttemptEnded(end.at, sending.attempt, verdict, jitter)
    attempt = attempt_of(sending.started_at, event, rules.retry, request_id)
    return Step(active, event, attempt, gate=change_of(end, attempt.failure, rules))


@frozen
class LookUpResult:
    """What a look-up came to: for the upload, as its record, for the gate."""

    event: LookedUp
    look_up: LookUpRow
    gate: GateChange
    failure: Failure | None


def look_up_result_of(
    finding: Finding, number: int, destination: Destination, end: GateChange
) -> LookUpResult:
    """What a finding means for a look-up; `end` is the end of its requests, which `opens` the
    target if the upload was sent to a parked one."""
    failure = finding.failure if isinstance(finding, Unreadable | Refused) else None
    source = finding if isinstance(finding, Processing) else failure
    message = None if source is None else source.message
    look_up = LookUpRow(number=number, at=end.at, finding=word_of(finding), message=message)
    opens = end.opens and isinstance(finding, Found)
    gate = change_of(evolve(end, opens=opens), failure, destination.rules)
    return LookUpResult(LookedUp(end.at, number, finding), look_up, gate, failure)


def recovery_of(sending: Sending, at: datetime, jitter: float) -> AttemptEnded:
    """An attempt whose courier is dead."""
    failure = Failure(
        FailureKind.INTERRUPTED,
        "the courier that was sending it is gone without a word: the provider may have taken it, "
        "or not",
    )
    return AttemptEnded(at, sending.attempt, Recovered(failure), jitter)


def one_speaks_for_all(verdicts: Sequence[AttemptVerdict]) -> list[AttemptVerdict]:
    """Where all were refused for what is wrong with the whole integration, one upload says so;
    the others are held."""
    results: list[AttemptVerdict] = []
    has_spoken = False
    for verdict in verdicts:
        speaks = (
            isinstance(verdict, Rejected) and verdict.failure.kind.concern is Concern.INTEGRATION
        )
        results.append(
            Unbundled(verdict.failure)
            if speaks and has_spoken and isinstance(verdict, Rejected)
            else verdict
        )
        has_spoken = has_spoken or speaks
    return results


def shared_id(uploads: Sequence[Upload]) -> str:
    """An id for a request that several attempts share, where the provider gave none."""
    names = "\n".join(f"{upload.key} {upload.version}" for upload in uploads)
    return f"together-{sha256_of(names.encode('utf-8', 'surrogatepass'))[:16]}"


def news_of_gate(key: UploadKey, gate: GateChange, due: datetime | None) -> Iterator[LogEvent]:
    """What the host is told of a gate after an attempt or a look-up of that upload, which is due
    again at `due`: a block, or else a cool-down, or nothing."""
    if gate.block is not None and gate.block.kind.concern is Concern.TARGET:
        yield TargetParked(key.tenant_id, key.provider, gate.block, due)
    elif gate.block is not None:
        yield IntegrationBlocked(key.tenant_id, key.provider, gate.block)
    elif gate.cooldown_until is not None:
        yield IntegrationCoolsDown(key.tenant_id, key.provider, gate.cooldown_until)
