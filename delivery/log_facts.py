"""What a log event says, to every logger alike: its severity, its name, one sentence and its facts.

The name is the event's class in lower case (`attempt_ended`); the facts are its fields. Both are
for machines and stay as they are. The sentence is for people, may be reworded, and is one line of
printable characters whatever an id or an error's text holds. Facts are flat and JSON can write
them; they are exactly what was recorded, so plain text has to escape them. An unknown fact is
absent.

Severity: what begins is DEBUG; what has ended as it should, and what people do, is INFO; what is
tried again by itself is WARNING; what waits for a person is ERROR. An upload that is held is logged
twice, as `upload_held` and as `upload_settled`: only the first is an ERROR. What is held with its
whole integration goes again by itself, so that is a WARNING: `integration_blocked`, or for an
invalid tenant file `configuration_refused`, is the one ERROR for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TypeAlias

import attrs
from attrs import frozen

from ..domain.evidence.moments import write_moment
from ..domain.upload.failure import Concern, Failure, FailureKind, sentence
from ..domain.upload.status import StatusError, UploadStatus
from ..domain.upload.upload import UploadKey
from ..ports import logger as events

Fact: TypeAlias = str | int | float | bool | list[str]


class Severity(Enum):
    """How much an event matters to the operator."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    __hash__ = object.__hash__  # that of an Enum takes ten times as long


@frozen
class Account:
    """An event in words: its name, a sentence for people, and its facts for machines."""

    event: str
    sentence: str
    facts: Mapping[str, Fact]


# The severity of each event, and its sentence, which names facts and what `_parts` makes of them.
# The sentence of an event of an upload or an integration begins with what it is about.
_TABLE = """
ConfigurationLoaded   INFO     configuration loaded from {path}: {tenants} with an integration;
                               without: {without}
ConfigurationRefused  ERROR    {refused}: {all_problems}
ConfigurationDoubtful WARNING  passed over in the configuration: {all_warnings}
TenantUnknown         ERROR    tenant {tenant_id} has no valid entry in the configuration ({path}):
                               its evidence is not recorded, and nothing is sent; what is
                               recorded of it already stays as it is
RenderingUnavailable  INFO     training records cannot be rendered, and will fail: {reason}
UploadRecorded        DEBUG    recorded
RecordingFailed       ERROR    recording failed: {reason}
EvidenceConflict      ERROR    another document was submitted under this evidence id and is ignored
                               (known sha256 {known_digest}, submitted {submitted_digest}): give it
                               an evidence id of its own
RecordUnreadable      ERROR    its record cannot be read, and nothing is sent for it: {reason}; have
                               it mended, a courier then goes on with it (`evidence-courier
                               invariants` names all such records)
AttemptStarted        DEBUG    attempt {attempt} starts
AttemptEnded          INFO     attempt {attempt} {verdict}{because}{next}
AttemptRecovered      WARNING  attempt {attempt} recovered: its courier is gone, and the provider
                               may have received it{next}
LookUpEnded           INFO     look-up {look_up} {finding}{because}{next}
UploadHeld            ERROR    held{because}; it waits {way_out}
UploadRequeued        INFO     queued{person}, with a fresh budget: {reason}
ActionTaken           INFO     {action} by {by}: {reason}
DeliveryPaused        WARNING  {scope} is paused by {by}: {reason}; nothing begins for it until a
                               person resumes it
DeliveryResumed       INFO     {scope} is resumed
IntegrationBlocked    ERROR    the integration does not work{because}; its other uploads are held:
                               they{failed} go again by themselves once its settings change or a
                               person releases one
TargetParked          WARNING  the target takes nothing now{because}{next}; its uploads wait until
                               it does
IntegrationCoolsDown  WARNING  the provider asked for a cool-down, nothing is sent before
                               {until_second}
OriginSilent          WARNING  {origin} does not answer: requests of several tenants have timed
                               out; two uploads probe it, and the others wait a little longer
OriginAnswers         INFO     {origin} answers again
UploadsWait           INFO     its uploads wait: {waits_for}
CourierLost           WARNING  courier {courier_id} on this database is gone; recovered:
                               {attempts_in_flight}
ClockSetBack          WARNING  the clock was set back by {seconds:.1f} s; the remaining waits count
                               from now
StoreTrouble          WARNING  the database could not be read or written and is tried again:
                               {reason}
NoticeNotTaken        WARNING  {sink} has not taken {number} of the notices: {reason}; they are sent
                               again later
DutyFailed            ERROR    {duty} has failed and is tried again later: {reason}
UploadSettled         INFO     {status} after {all_attempts}{settled}
UploadSettledElsewhere DEBUG   {status} after {all_attempts}{settled}; another courier or a person
                               has settled it
WriteDelayed          WARNING  the record could not be written and is tried again: {reason}
ReaderLost            WARNING  tenant {tenant_id}: {what} did not answer within {seconds:g} s;
                               threads that wait for such and have not returned: {lost}
LoopBlocked           ERROR    {what} has blocked the event loop for {seconds:.1f} s, and all
                               deliveries wait: report it to its authors
HookFailed            ERROR    the host's {hook} raised {reason}
"""


_ROWS = re.sub(r"\n +", " ", _TABLE)  # a line without a name goes on with the sentence before it
_EVENTS = {
    event: (Severity[severity], sentence)
    for event, severity, sentence in re.findall(r"(\w+) +(\w+) +(.+)", _ROWS)
}

# Of those that have one severity.
_SEVERITIES = {
    getattr(events, name): severity
    for name, (severity, _) in _EVENTS.items()
    if name not in ("AttemptEnded", "LookUpEnded", "UploadHeld", "UploadSettled")
}


def severity_of(event: events.LogEvent) -> Severity:
    """How much an event matters; cheap, for a logger to ask before it makes a sentence."""
    severity = _SEVERITIES.get(type(event))
    if severity is not None:
        return severity
    match event:
        case events.AttemptEnded() | events.LookUpEnded() if event.failure and event.next_at:
            return Severity.WARNING  # if nothing comes next, `upload_settled` says how bad that is
        case events.UploadHeld(failure=Failure(kind=kind)) if (
            kind.concern is Concern.INTEGRATION and kind is not FailureKind.INTEGRATION_GONE
        ):
            return Severity.WARNING  # the block, or the refused configuration, is the ERROR
        case events.UploadSettled(status=UploadStatus(status="failed")):
            return Severity.ERROR
    return _EVENTS[type(event).__name__][0]


def account_of(event: events.LogEvent) -> Account:
    """The event's name, sentence and facts."""
    facts = _facts(_members(event))
    about = "tenant {tenant_id}, evidence {evidence_id}, {provider}: "
    if "evidence_id" not in facts:
        about = "tenant {tenant_id}, {provider}: " if "provider" in facts else ""
    template = about + _EVENTS[type(event).__name__][1]
    sentence = template.format_map({**facts, **_parts(event)})
    return Account(name_of(event), _one_line(sentence), facts)


def name_of(event: events.LogEvent) -> str:
    """The event's name, for machines."""
    return _name(type(event).__name__)


@cache
def _name(event_class: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", event_class).lower()


def _members(value: attrs.AttrsInstance) -> dict[str, object]:
    # attrs.asdict takes three times as long.
    return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}


def _facts(fields: Mapping[str, object]) -> dict[str, Fact]:
    """The fields as flat values; of a key, a failure and a status, what they hold."""
    facts: dict[str, Fact] = {}
    for name, value in fields.items():
        match value:
            case UploadKey():
                facts["tenant_id"], facts["evidence_id"] = value.tenant_id, value.evidence_id
                facts["provider"] = value.provider
            case Failure() | StatusError():
                kind = value.kind.value if isinstance(value, Failure) else value.kind
                facts |= {"error_kind": kind, "error_message": value.message}
                more = {name: getattr(value, name, None) for name in ("http_status", "retry_after")}
                facts |= _facts(more)
            case UploadStatus():
                facts |= _facts_of_status(value)
            case datetime():
                facts[name] = write_moment(value)
            case tuple():
                facts[name] = [str(member) for member in value]
            case str() | int() | float():
                facts[name] = value
    return facts


def _facts_of_status(status: UploadStatus) -> dict[str, Fact]:
    shown = _members(status)
    for name in ("next_attempt_at", "created_at", "updated_at", "receipt"):
        del shown[name]
    if status.receipt is not None:
        shown["receipt_reference"] = status.receipt.reference
        shown["receipt_message"] = status.receipt.message
    return _facts({**shown, "evidence_date": status.evidence_date.isoformat()})


def _parts(event: events.LogEvent) -> dict[str, str]:
    """What a sentence says in other words than the facts do."""
    parts = {"because": "", "next": ""}
    if isinstance(failure := getattr(event, "failure", None), Failure):
        cause = sentence(failure.kind.value, failure.message, failure.http_status)
        parts["because"] = f": {cause}"
    if isinstance(next_at := getattr(event, "next_at", None), datetime):
        parts["next"] = f"; next at {_second(next_at)}"
    match event:
        case events.ConfigurationLoaded():
            parts["tenants"] = _counted(len(event.with_integration), "tenant")
            parts["without"] = ", ".join(event.without_integration) or "none"
        case events.ConfigurationRefused():
            parts["all_problems"] = "; ".join(event.problems)
            others = "; of these tenants what they had before stays in force, the others are taken"
            parts["refused"] = "configuration not taken, the old one stays in force"
            if event.partly:
                parts["refused"] = f"not in force, as it is invalid{'' if event.first else others}"
        case events.ConfigurationDoubtful():
            parts["all_warnings"] = "; ".join(event.warnings)
        case events.IntegrationBlocked():
            resumes = event.failure.kind.resumes
            parts["failed"] = ", and what failed because of it," if resumes else ""
        case events.UploadHeld():
            parts["way_out"] = _way_out(event.failure.kind)
        case events.TargetParked(until=datetime() as until):
            parts["next"] = f"; one upload asks again at {_second(until)}"
        case events.UploadRequeued():
            parts["person"] = "" if event.by is None else f" by {event.by}"
        case events.IntegrationCoolsDown():
            parts["until_second"] = _second(event.until)
        case events.CourierLost():
            parts["attempts_in_flight"] = _counted(event.in_flight, "attempt")
        case events.UploadSettled() | events.UploadSettledElsewhere():
            parts["all_attempts"] = _counted(event.status.attempts, "attempt")
            parts["settled"] = _settled(event.status)
    return parts


def _way_out(kind: FailureKind) -> str:
    """What an upload waits for that is held."""
    if kind is FailureKind.PAUSED:
        return "until a person resumes it"
    if kind.concern is Concern.INTEGRATION:
        until = "until the integration's settings change, or a person releases, abandons or"
        return f"{until} attests it"
    return "for a person to release, abandon or attest it"


def _settled(status: UploadStatus) -> str:
    error, why = status.error, ""
    if status.status != "succeeded":
        reason = None if error is None else sentence(error.kind, error.message, None)
        why = f": {reason or 'no reason recorded'}"
    unclear = "it was sent again while unclear, so the provider may have more than one copy"
    return f"{why}; {unclear}" if status.possible_duplicate else why


def _one_line(sentence: str) -> str:
    """The sentence with line breaks, a terminal's escapes and marks of direction written out, as
    `\\n` or `\\u202e`."""
    if sentence.isprintable():
        return sentence
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in sentence
    )


def _second(moment: datetime) -> str:
    return write_moment(moment.replace(microsecond=0))


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
