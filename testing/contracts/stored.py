"""Uploads at every point of their life, in the shapes that a store is handed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve

from ...domain.evidence.evidence import Outcome, sha256_of
from ...domain.pacing.gate import Quota
from ...domain.upload.attempt import attempt_of
from ...domain.upload.events import AttemptEnded, Started
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.transitions import Rules, advance
from ...domain.upload.upload import Sending, Upload, UploadKey, new_upload
from ...domain.upload.verdict import Deferred, Delivered, Receipt
from ...ports.gates import Acquire, AcquireAnswer, Gates
from ...ports.records import (
    BeginAnswer,
    Change,
    Dossier,
    Entry,
    Start,
    StoredDocument,
    UploadRecords,
)
from ...ports.store import UploadStore

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
RULES = Rules()
UNPACED = Quota("a credential", "an address")
BUSY_PROVIDER = Failure(
    FailureKind.RATE_LIMITED, "come back later", http_status=429, retry_after=7.0
)


def entry(
    evidence_id: str = "ev-1",
    *,
    tenant_id: str = "acme",
    provider: str = "sprinto",
    at: datetime = AT,
    content: bytes | None = b"a document",
    submitted_digest: str | None = None,
) -> Entry:
    """A new upload."""
    digest = sha256_of(content or b"")
    document = StoredDocument(
        sha256=digest, size=len(content or b""), media_type="application/pdf", filename="ev.pdf"
    )
    dossier = Dossier(
        session_id="s-1",
        subject="emp-7",
        subject_email=None,
        outcome=Outcome.PASSED,
        recorded_at=at,
        submitted_digest=submitted_digest or digest,
        document=document,
        settings={"region": "us"},
    )
    key = UploadKey(tenant_id, evidence_id, provider)
    return Entry(new_upload(key, digest, at.date(), at), dossier, content)


def started(
    upload: Upload, at: datetime = AT, *, courier_id: int = 1, quota: Quota = UNPACED
) -> Start:
    """Its next attempt begins."""
    return Start(advance(upload, Started(at), RULES), quota, courier_id, RULES.retry.max_attempts)


def unblock(store: UploadRecords, tenant_id: str, provider: str) -> None:
    """A person says that a tenant's integration may work again."""
    new = entry("released", tenant_id=tenant_id, provider=provider)
    store.add([new])
    (found,) = store.get([new.upload.key]).values()
    after = evolve(found.upload, version=found.upload.version + 1)
    store.save([Change(after, unblocks=True)])


def begin_each(store: UploadRecords, starts: Sequence[Start]) -> list[BeginAnswer]:
    """Begin attempts, each a turn of its own, in one call."""
    return [answer for (answer,) in store.begin([[start] for start in starts])]


def begin_together(store: UploadRecords, starts: Sequence[Start]) -> list[BeginAnswer]:
    """Begin attempts that travel in one request."""
    (answers,) = store.begin([starts])
    return list(answers)


def acquire(
    store: Gates,
    quota: Quota,
    at: datetime = AT,
    courier_id: int = 1,
    *,
    turn: int | None = None,
    ended: Sequence[int] = (),
) -> AcquireAnswer:
    """Ask for a slot for one request."""
    (answer,) = store.acquire([Acquire(quota, at, courier_id, turn, tuple(ended))])
    return answer


def ended(upload: Upload, event: AttemptEnded) -> Change:
    """The attempt that is in flight comes to something."""
    assert isinstance(upload.state, Sending)
    return Change(
        advance(upload, event, RULES), attempt_of(upload.state.started_at, event, RULES.retry)
    )


def delivered(upload: Upload, at: datetime = AT) -> Change:
    """The attempt that is in flight is delivered."""
    return ended(
        upload,
        AttemptEnded(at, upload.tally.attempts, Delivered(Receipt("r-1", "thank you")), 0.0),
    )


def deferred(upload: Upload, at: datetime = AT, *, failure: Failure = BUSY_PROVIDER) -> Change:
    """The attempt that is in flight is told to come back later."""
    return ended(upload, AttemptEnded(at, upload.tally.attempts, Deferred(failure), 0.0))


def tried(store: UploadStore, upload: Upload, times: int) -> Upload:
    """Have a stored upload fail some attempts, a minute each."""
    for number in range(times):
        at = AT + timedelta(minutes=number)
        begin = started(upload, at)
        begin_each(store, [begin])
        end = deferred(begin.upload, at)
        store.save([end])
        upload = end.upload
    return upload
