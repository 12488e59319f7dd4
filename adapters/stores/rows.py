"""Values to rows and back: every field of the domain has its column, and each column one meaning.

Rows going in are plain tuples in the order of the column names beside them (they are made for every
change of every upload); rows coming out are dictionaries, but for those that are shown (see
`shown`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeAlias, assert_never

from ...domain.evidence.evidence import Outcome
from ...domain.pacing.backfill import is_backfill, line_of
from ...domain.telling import NOT_REFUSED, Fault, Refused
from ...domain.upload import upload as uploads
from ...domain.upload.attempt import Attempt
from ...domain.upload.failure import Concern, Failure, FailureKind
from ...domain.upload.status import ActionRow, LookUpRow
from ...domain.upload.upload import COUNTED_BELOW, State, Tally, Upload, UploadKey
from ...domain.upload.verdict import Delivered, Receipt, verdict_of, word_of
from ...ports.records import Dossier, Entry, Start, StoredDocument

Cell: TypeAlias = str | int | float | bytes | None
Row: TypeAlias = Mapping[str, Any]

KEY = ("tenant_id", "evidence_id", "provider")
_STATE = tuple("state status due attempt started_at read resend_at taken_at reason".split())
_TALLY = tuple(
    "attempts spent doubt possible_duplicate alone progress parked_at tried_since"
    " reopened_at".split()
)
_FAILURE = ("message", "http_status", "retry_after", "detail")
_DOCUMENT = ("sha256", "size", "media_type", "filename", "source", "path", "modified", "file")
DOCUMENT = tuple(f"document_{name}" for name in _DOCUMENT)
CAUSE = ("error_kind", *(f"error_{name}" for name in _FAILURE))
# A state with its failure or its receipt.
STATE = (*_STATE, *CAUSE, "receipt_reference", "receipt_message")
# What a change writes.
CHANGING = (
    "version",
    *STATE,
    *_TALLY,
    "updated_at",
)
# What is written once.
BIRTH = ("digest", "evidence_date", "created_at")
DOSSIER = (
    *"session_id subject subject_email outcome recorded_at submitted_digest".split(),
    *DOCUMENT,
    "settings",
)
ENTRY = ("id", *KEY, *CHANGING, *BIRTH, *DOSSIER, "credential")
# What a document that was made later changes.
MADE = ("digest", *DOCUMENT)
# What the beginning of an attempt writes beside the status, which it seldom changes: an index is
# written anew for each of its columns that a statement names.
BEGINNING = (
    *("version", "attempt", "started_at", *CAUSE, *_TALLY, "updated_at", "last_attempt_at"),
    *("owner", "credential", "budget"),
)
# And this, whatever there was.
SENDING: Mapping[str, str | None] = {
    "state": "sending",
    **dict.fromkeys(("due", "read", "resend_at", "taken_at", "reason")),
    **dict.fromkeys(("receipt_reference", "receipt_message")),
}
# What is empty as long as all goes well: where it was and stays so, it is not written, since an
# index is looked at for each column that a statement names.
TROUBLE = (
    *("read", "resend_at", "taken_at", "reason", *CAUSE),
    *("doubt", "possible_duplicate", "alone", "progress"),
    *("parked_at", "tried_since", "reopened_at"),
)
UPLOAD = (*KEY, *CHANGING, *BIRTH)
OPEN = ("id", *UPLOAD, *DOSSIER, "owner", "credential")
ATTEMPT = (
    *("number", "started_at", "ended_at", "verdict", "kind", *_FAILURE),
    *("receipt_reference", "receipt_message", "request_id", "not_before"),
)

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_NOTHING: tuple[Cell, ...] = (None,) * 7
_NO_FAILURE: tuple[Cell, ...] = (None,) * 5
_WORDS = {status: status.value for status in uploads.Status}
_STATUS_WORDS = frozenset(_WORDS.values())
# By their words: an Enum looks up its members in ten times as long.
_KINDS = {kind.value: kind for kind in FailureKind}
_REASONS = {reason.value: reason for reason in uploads.FailedReason}
EVER = datetime.min.replace(tzinfo=UTC)
EVER_AFTER = datetime.max.replace(tzinfo=UTC)
OF_TARGETS = frozenset(kind.value for kind in FailureKind if kind.concern is Concern.TARGET)
UNKNOWN = FailureKind.UNRECOGNISED_REPLY.value
_NO_RECEIPT: tuple[Cell, ...] = (None,) * 2
# Tables of columns, read in one go. Flags are kept as numbers.
_counted = attrgetter(*_TALLY)
_seen_cells = attrgetter(*_FAILURE)
_document_cells = attrgetter(*_DOCUMENT)
_counters = itemgetter("version", "attempts", "spent")
_in_state, _seen = itemgetter(*STATE), itemgetter("kind", *_FAILURE)
FLAGS = ("doubt", "possible_duplicate", "alone")


# --- going in ------------------------------------------------------------------------------------


def moment(at: datetime) -> str:
    """A moment as text in UTC that sorts as it is: 27 characters, for any year."""
    if at.tzinfo is not UTC:
        if at.tzinfo is None:
            raise ValueError(f"{at} does not know its time zone")
        at = at.astimezone(UTC)  # before it is looked up: an hour that comes twice equals itself
    return _in_utc(at)


@lru_cache(maxsize=1024)
def _in_utc(at: datetime) -> str:
    second = _second(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return f"{second}{at.microsecond:06}Z"


@lru_cache(maxsize=128)
def _second(*parts: int) -> str:
    return "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.".format(*parts)


def key_cells(key: UploadKey) -> tuple[str, str, str]:
    """The cells of KEY."""
    return (key.tenant_id, key.evidence_id, key.provider)


def cells_of_entries(numbered: Sequence[tuple[int, Entry]]) -> Iterator[tuple[Cell, ...]]:
    """The cells of ENTRY of each. Those of one integration share its settings."""
    known: dict[int, str] = {}
    for number, entry in numbered:
        settings = entry.dossier.settings
        if (cell := known.get(id(settings))) is None:
            cell = known[id(settings)] = settings_cell(settings)
        yield _entry_cells(number, entry, cell)


def entry_cells(number: int, entry: Entry) -> tuple[Cell, ...]:
    """The cells of ENTRY of one."""
    return _entry_cells(number, entry, settings_cell(entry.dossier.settings))


def _entry_cells(number: int, entry: Entry, settings: str) -> tuple[Cell, ...]:
    upload, dossier = entry.upload, entry.dossier
    return (
        number,
        *key_cells(upload.key),
        *changing_cells(upload),
        upload.digest,
        upload.evidence_date.isoformat(),
        moment(upload.created_at),
        dossier.session_id,
        dossier.subject,
        dossier.subject_email,
        dossier.outcome.value,
        moment(dossier.recorded_at),
        dossier.submitted_digest,
        *_document_cells(dossier.document),
        settings,
        line_of(entry.credential, dossier.backfill),
    )


def settings_cell(settings: Mapping[str, object]) -> str:
    """The settings of an integration, as they are stored."""
    return _JSON.encode(dict(settings)) if settings else "{}"


def document_cells(upload: Upload, document: StoredDocument) -> tuple[Cell, ...]:
    """The digest of an upload whose document was made later, and the cells of the document."""
    return (upload.digest, *_document_cells(document))


def changing_cells(upload: Upload) -> tuple[Cell, ...]:
    """The cells of CHANGING."""
    state, tally = _state_cells(upload.state), _tally_cells(upload.tally)
    return (upload.version, *state, *tally, moment(upload.updated_at))


def _tally_cells(tally: Tally) -> tuple[Cell, ...]:
    *counted, parked, tried, reopened = _counted(tally)
    parked = None if parked is None else moment(parked)
    tried = None if tried is None else moment(tried)
    return (*counted, parked, tried, None if reopened is None else moment(reopened))


def beginning_cells(start: Start) -> tuple[str, tuple[Cell, ...]]:
    """The status, and the cells of BEGINNING."""
    upload, state = start.upload, start.upload.state
    assert isinstance(state, uploads.Sending)
    began = moment(state.started_at)
    return _WORDS[uploads.status_of(state)], (
        *(upload.version, state.attempt, began),
        *(_NO_FAILURE if state.cause is None else _failure_cells(state.cause)),
        *_tally_cells(upload.tally),
        *(moment(upload.updated_at), began, start.courier_id, start.quota.line, start.budget),
    )


def _state_cells(state: State) -> tuple[Cell, ...]:
    """The cells of STATE."""
    word, cause = type(state).__name__.lower(), uploads.cause_of(state)
    due, attempt, started_at, read, resend_at, taken_at, reason = _NOTHING
    match state:
        case uploads.Queued(at) | uploads.Waiting(at):
            due = moment(at)
        case uploads.Sending(attempt, at):
            started_at = moment(at)
        case uploads.Held() | uploads.Succeeded() | uploads.Skipped():
            pass
        case uploads.LookingUp(read, at, resend):
            word, due, resend_at = "confirming", moment(at), moment(resend)
        case uploads.Undecided(read, at, since):
            word, due, taken_at = "confirming", moment(at), moment(since)
        case uploads.Failed(why):
            reason = why.value
        case _:
            assert_never(state)
    return (
        *(word, _WORDS[uploads.status_of(state)], due, attempt, started_at),
        *(read, resend_at, taken_at, reason),
        *(_NO_FAILURE if cause is None else _failure_cells(cause)),
        *(_receipt_cells(state.receipt) if isinstance(state, uploads.Succeeded) else _NO_RECEIPT),
    )


def attempt_cells(attempt: Attempt) -> tuple[Cell, ...]:
    """The cells of ATTEMPT."""
    match attempt.result:
        case Receipt() as receipt:
            failure, given = _NO_FAILURE, _receipt_cells(receipt)
        case Failure() as seen:
            failure, given = _failure_cells(seen), _NO_RECEIPT
    return (
        attempt.number,
        moment(attempt.started_at),
        moment(attempt.ended_at),
        word_of(attempt.verdict),
        *failure,
        *given,
        attempt.request_id,
        None if attempt.not_before is None else moment(attempt.not_before),
    )


def _failure_cells(failure: Failure) -> tuple[Cell, ...]:
    return (failure.kind.value, *_seen_cells(failure))


def _receipt_cells(receipt: Receipt) -> tuple[Cell, ...]:
    return (receipt.reference, receipt.message)


# --- coming out ----------------------------------------------------------------------------------


def upload_of(row: Row) -> Upload:
    """The upload in the columns of UPLOAD."""
    version, attempts, spent = _counters(row)
    if not (
        0 <= version < COUNTED_BELOW
        and 0 <= attempts < COUNTED_BELOW
        and 0 <= spent < COUNTED_BELOW
    ):
        raise ValueError(f"version {version}, {attempts} attempts and {spent} spent cannot be")
    return Upload(
        key=key_of(row),
        digest=row["digest"],
        evidence_date=date.fromisoformat(row["evidence_date"]),
        created_at=at_of(row["created_at"]),
        updated_at=at_of(row["updated_at"]),
        version=version,
        tally=_tally_of(row),
        state=state_of(_in_state(row)),
        id=row["id"],
    )


def key_of(row: Row) -> UploadKey:
    """The key in the columns of KEY."""
    return UploadKey(row["tenant_id"], row["evidence_id"], row["provider"])


def at_of(text: str) -> datetime:
    """A moment. ValueError if it does not know its time zone: nothing can be compared with it."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} does not know its time zone")
    return at


def moment_of(text: str | None) -> datetime | None:
    """A moment that may be missing."""
    return None if text is None else at_of(text)


def moment_or(instead: datetime | None, text: str | None) -> datetime | None:
    """Likewise; another one in the place of what cannot be read, since other hands wrote it."""
    try:
        return moment_of(text)
    except (ValueError, TypeError):
        return instead


def since_of(text: str | None) -> datetime:
    """Since when something is so that is in force: ever, if that cannot be read."""
    return moment_or(EVER, text) or EVER


def status_in(word: str) -> uploads.Status:
    """The status of that word; one that other hands wrote stands as held (see `readable`)."""
    return uploads.Status(word) if word in _STATUS_WORDS else uploads.Status.HELD


def kind_in(word: str | None) -> str | None:
    """The kind of failure of that word, likewise; None and the empty word stand for none."""
    return word if not word or word in _KINDS else UNKNOWN


def document_of(row: Row) -> StoredDocument:
    """The document in the columns of DOCUMENT."""
    return StoredDocument(**{name: row[f"document_{name}"] for name in _DOCUMENT})


def settings_of(text: str) -> Mapping[str, object]:
    """The settings of an integration."""
    try:
        settings = json.loads(text)
    except ValueError:
        settings = None
    if type(settings) is not dict:
        raise ValueError("its settings are no JSON object")
    return settings


def open_upload_of(row: Row) -> Entry:
    """The upload with its dossier in the columns of OPEN."""
    document = document_of(row)
    dossier = Dossier(
        session_id=row["session_id"],
        subject=row["subject"],
        subject_email=row["subject_email"],
        outcome=Outcome(row["outcome"]),
        recorded_at=at_of(row["recorded_at"]),
        submitted_digest=row["submitted_digest"],
        document=document,
        settings=settings_of(row["settings"]),
        backfill=is_backfill(row["credential"]),
    )
    return Entry(upload_of(row), dossier, courier_id=row["owner"])


def attempt_of(row: Row) -> Attempt:
    """The attempt in the columns of ATTEMPT."""
    word = row["verdict"]
    result: Receipt | Failure
    if word == Delivered.__name__.lower():
        result = Receipt(row["receipt_reference"], row["receipt_message"])
    else:
        result = _failure_of(*_seen(row))
    return Attempt(
        number=row["number"],
        started_at=at_of(row["started_at"]),
        ended_at=at_of(row["ended_at"]),
        verdict=verdict_of(word, result),
        request_id=row["request_id"],
        not_before=moment_of(row["not_before"]),
    )


def look_up_of(row: Row) -> LookUpRow:
    """The look-up in the columns of the look_ups table."""
    at = at_of(row["at"])
    return LookUpRow(number=row["read"], at=at, finding=row["finding"], message=row["message"])


def action_of(row: Row) -> ActionRow:
    """What a person did, in the columns of the actions table."""
    at = at_of(row["at"])
    return ActionRow(at=at, action=row["action"], by=row["by"], reason=row["reason"])


# One number of a notice says both, as couriers of every version read it: 0, not refused; above, how
# many times; OF_SINK, by the sink's fault; below, by its own, one less for each time.
_OF_SINK = -1


def tries_of(refused: Refused) -> int:
    """The number for how a notice was refused."""
    match refused.fault:
        case Fault.SINK:
            return _OF_SINK
        case Fault.NOTICE:
            return _OF_SINK - refused.times
        case Fault.NONE | Fault.UNKNOWN:
            return refused.times


def refused_in(tries: int) -> Refused:
    """How a notice was refused that has this number."""
    if tries < _OF_SINK:
        return Refused(Fault.NOTICE, _OF_SINK - tries)
    if tries == _OF_SINK:
        return Refused(Fault.SINK)
    return Refused(Fault.UNKNOWN, tries) if tries else NOT_REFUSED


def _tally_of(row: Row) -> Tally:
    return Tally(
        attempts=row["attempts"],
        spent=row["spent"],
        doubt=bool(row["doubt"]),
        possible_duplicate=bool(row["possible_duplicate"]),
        alone=bool(row["alone"]),
        progress=row["progress"],
        parked_at=moment_of(row["parked_at"]),
        tried_since=moment_of(row["tried_since"]),
        reopened_at=moment_of(row["reopened_at"]),
    )


def state_of(cells: Sequence[Any]) -> State:
    """The state in the cells of STATE."""
    word, _, due, attempt, started_at, read, resend_at, taken_at, reason, *others = cells
    *seen, reference, text = others
    match word:
        case "succeeded":
            return uploads.Succeeded(Receipt(reference, text))
        case "queued":
            return uploads.Queued(at_of(due))
        case "sending":
            cause = None if seen[0] is None else _failure_of(*seen)
            return uploads.Sending(number_of(attempt), at_of(started_at), cause)
        case "waiting":
            return uploads.Waiting(at_of(due), _failure_of(*seen))
        case "confirming":
            at, since = at_of(due), moment_of(taken_at)
            if since is not None:
                return uploads.Undecided(number_of(read), at, since, _failure_of(*seen))
            return uploads.LookingUp(number_of(read), at, at_of(resend_at), _failure_of(*seen))
        case "held":
            return uploads.Held(_failure_of(*seen))
        case "failed":
            why = _REASONS.get(reason) or uploads.FailedReason(reason)
            return uploads.Failed(why, _failure_of(*seen))
        case "skipped":
            return uploads.Skipped(_failure_of(*seen))
        case _:
            raise ValueError(f"there is no state {word!r}")


def number_of(cell: int | None) -> int:
    """A number that an upload counts up. ValueError if none is counted so far."""
    if cell is None or not 0 <= cell < COUNTED_BELOW:
        raise ValueError(f"no upload counts {'nothing' if cell is None else cell}")
    return cell


def _failure_of(
    kind: str, message: str, http_status: int | None, retry_after: float | None, detail: str | None
) -> Failure:
    return Failure(
        _KINDS.get(kind) or FailureKind(kind),
        message,
        http_status=http_status,
        retry_after=retry_after,
        detail=detail,
    )
