"""What an attempt came to: what is sent, what a dialogue's result must be, and the verdict on what
went wrong.

Whatever happens inside (a plug-in's bug, a transport's surprise, a document that is gone), the
answer is a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, get_args

from ..domain.evidence.evidence import sha256_of
from ..domain.evidence.file_name import file_name_for
from ..domain.secrets.redaction import words_of
from ..domain.upload.failure import OF_THE_COURIER, Failure, FailureKind
from ..domain.upload.upload import Upload
from ..domain.upload.verdict import (
    Deferred,
    Finding,
    Partly,
    Processing,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Verdict,
    Withdrawn,
)
from ..ports.provider import Parcel
from ..ports.records import Dossier
from .destinations import Destination
from .effects import Interrupted, ReadDocument
from .sender import OvertimeError, refuse_unstorable

VERDICTS: tuple[type, ...] = get_args(Verdict)
VERDICTS_OF_MANY = (*VERDICTS, Unbundled)
FINDINGS: tuple[type, ...] = get_args(Finding)


def parcel_of(upload: Upload, dossier: Dossier, destination: Destination, content: bytes) -> Parcel:
    """What the provider is told of an upload."""
    document = dossier.document
    extension = destination.provider.limits.media_types.get(document.media_type.lower(), "bin")
    return Parcel(
        tenant_id=upload.key.tenant_id,
        evidence_id=upload.key.evidence_id,
        session_id=dossier.session_id,
        subject=dossier.subject,
        subject_email=dossier.subject_email,
        outcome=dossier.outcome,
        recorded_at=dossier.recorded_at,
        evidence_date=upload.evidence_date,
        content=content,
        media_type=document.media_type,
        sha256=document.sha256,
        file_name=file_name_for(upload.key.evidence_id, document.sha256, extension),
        created_at=upload.created_at,
    )


class NoSourceError(Exception):
    """The courier was given no document source."""


def document_of(
    upload: Upload, dossier: Dossier, content: bytes | None, timeout: timedelta
) -> bytes | Verdict | ReadDocument:
    """The document if its bytes were kept, or how to read it, or why it cannot be had."""
    if content is not None:
        return content
    tenant_id, document = upload.key.tenant_id, dossier.document
    if document.file is not None:
        judge = partial(_judged_file, upload, dossier)
        return ReadDocument(tenant_id, document.file, timeout, judge, is_stored=True)
    if document.source is None:
        return _gone(
            f"the document of {upload.key} was not stored: submit it again under a new evidence id"
        )
    return ReadDocument(tenant_id, document.source, timeout, partial(judged, upload, dossier))


def _judged_file(upload: Upload, dossier: Dossier, read: object) -> bytes | Verdict:
    """What reading a file that the store keeps came to, as below."""
    which = f"the document of {upload.key}"
    match read:
        case bytes() if sha256_of(read) == dossier.document.sha256:
            return read
        case bytes():
            what = f"the file {dossier.document.file} of {which} has changed"
        case FileNotFoundError():
            what = f"{which} is gone: there is no file {read.filename} any more"
        case _:
            return _unavailable(f"{which} could not be read now ({type(read).__name__}: {read})")
    advice = "put it there from a backup, then retry the upload; or submit it under a new id"
    return _gone(f"{what}: {advice}")


def judged(upload: Upload, dossier: Dossier, read: object) -> bytes | Verdict:
    """What reading the document source came to: the document if it is the one that was submitted,
    or a verdict. `read` is what the source gave, or the exception that it raised."""
    key, reason = dossier.document.source, type(read).__name__
    match read:
        case bytes():
            digest = sha256_of(read)
            if digest == dossier.document.sha256:
                return read
            return _gone(
                f"the document {key!r} is not the one that was submitted: its sha256 is {digest}, "
                f"not {dossier.document.sha256}"
            )
        case NoSourceError():
            return _unavailable(
                f"the document of {upload.key} lies in the host's own storage, and no `source` was "
                "given to the courier"
            )
        case LookupError() | FileNotFoundError():
            return _gone(f"the document source has no document {key!r} any more ({reason})")
        case BaseException():
            return _unavailable(f"the document source could not read {key!r} now ({reason})")
        case _:
            return _unavailable(f"the document source gave something else than bytes for {key!r}")


def sound(result: object, kinds: tuple[type, ...]) -> Any:
    """The result of a dialogue, if it is what a provider owes (one of `kinds`); TypeError says
    what it gave instead."""
    if not isinstance(result, kinds):
        raise TypeError(f"its dialogue returned {type(result).__name__}")
    for name, owed in _PARTS:
        if not hasattr(result, name):
            continue
        part = getattr(result, name)
        if not isinstance(part, owed):
            raise TypeError(f"the {name} of its {type(result).__name__} is {type(part).__name__}")
        for inner, of in _OWED.get(owed, ()):
            value = getattr(part, inner)
            if not isinstance(value, of):
                raise TypeError(f"the {inner} of its {owed.__name__} is {type(value).__name__}")
        if isinstance(part, Failure) and not isinstance(result, Processing):
            _refuse_unsound(part)
    if isinstance(result, Partly):
        refuse_unstorable("progress of its Partly", result.progress)
    return result


def _refuse_unsound(failure: Failure) -> None:
    if not 0 <= (failure.http_status or 0) <= _HIGHEST_STATUS:
        raise TypeError("the http_status of its Failure is none")
    if (instead := OF_THE_COURIER.get(failure.kind)) is not None:
        what = f"the kind of its Failure is {failure.kind.value}, which only the courier gives"
        raise TypeError(f"{what}: use {instead}")


_PARTS = (
    ("after", timedelta),
    ("message", str),
    ("receipt", Receipt),
    ("failure", Failure),
    ("progress", str),
)
_HIGHEST_STATUS = 2**31 - 1
"""The highest number that every database takes."""
_TEXT, _NUMBER = (str, type(None)), (int, float, type(None))
_OWED: Mapping[type, tuple[tuple[str, tuple[type, ...]], ...]] = {
    Receipt: (("reference", _TEXT), ("message", _TEXT)),
    Failure: (
        ("kind", (FailureKind,)),
        ("message", (str,)),
        ("http_status", (int, type(None))),
        ("retry_after", _NUMBER),
        ("detail", _TEXT),
    ),
}


def _gone(message: str) -> Rejected:
    return Rejected(Failure(FailureKind.DOCUMENT_GONE, message))


def _unavailable(message: str) -> Deferred:
    return Deferred(Failure(FailureKind.SOURCE_UNAVAILABLE, message))


def interrupted(cut: Interrupted, in_doubt: bool) -> Deferred | Unclear | Withdrawn:
    """What an attempt came to that was cut off."""
    if in_doubt:
        what = f"{cut.what} while the request was under way"
        return Unclear(Failure(FailureKind.INTERRUPTED, what))
    unsent = Failure(FailureKind.NOT_SENT, f"{cut.what} before the request was sent")
    return Withdrawn(unsent) if cut.closing else Deferred(unsent)


def broken(destination: Destination, error: BaseException, sent: bool) -> Rejected:
    """The provider's adapter raised. What it had sent may have been taken, so that case leaves a
    doubt."""
    kind = FailureKind.UNRECOGNISED_REPLY if sent else FailureKind.PROVIDER_BROKEN
    return Rejected(
        Failure(
            kind,
            f"the adapter for {destination.integration.provider} raised {words_of(error)}; this is "
            "a bug in it: report it to its authors, then retry the upload",
        )
    )


def ended_early(error: OvertimeError, in_doubt: bool) -> Deferred | Unclear:
    """The attempt took longer than it may."""
    failure = Failure(FailureKind.TIMEOUT, f"the attempt was ended: {error}")
    return Unclear(failure) if in_doubt else Deferred(failure)
