"""Evidence and statuses as tuples of plain values, while thousands of them wait or are kept.

A full collection of garbage stops the loop while it looks at each object, and it comes when there
are a quarter more objects than at the one before. It does not look at a tuple that holds nothing
but text, bytes, numbers, moments and such tuples.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, TypeAlias

import attrs

from ...domain.evidence.evidence import Document, Evidence, Outcome
from ...domain.upload.status import StatusError, UploadStatus
from ...domain.upload.verdict import Receipt

Packed: TypeAlias = tuple[Any, ...]
"""The plain values of an object; or the object itself, alone, if it has others."""


def _names(kind: type, *but: str) -> list[str]:
    return [one.name for one in attrs.fields(kind) if one.name not in but]


_STATUS = _names(UploadStatus, "error", "receipt")
_of_status = attrgetter(*_STATUS)
_of_error, _of_receipt = attrgetter(*_names(StatusError)), attrgetter(*_names(Receipt))
_EVIDENCE, _DOCUMENT = _names(Evidence, "outcome", "document"), _names(Document)
_of_evidence = attrgetter("outcome.value", *_EVIDENCE, *(f"document.{one}" for one in _DOCUMENT))
_set_evidence = [getattr(Evidence, name).__set__ for name in _EVIDENCE]
_set_document = [getattr(Document, name).__set__ for name in _DOCUMENT]


def pack_evidence(evidence: Evidence) -> Packed:
    """The values of an evidence, and those of its document."""
    if type(evidence) is not Evidence or type(evidence.document) is not Document:
        return (evidence,)
    values: Packed = _of_evidence(evidence)
    return values


def unpack_evidence(packed: Packed) -> Evidence:
    """The evidence that was packed, or an equal one: its values were checked when it was made."""
    if len(packed) == 1:
        whole: Evidence = packed[0]
        return whole
    evidence, document = Evidence.__new__(Evidence), Document.__new__(Document)
    outcome, *values = packed
    for put, value in zip(_set_evidence, values, strict=False):
        put(evidence, value)
    for put, value in zip(_set_document, values[len(_EVIDENCE) :], strict=True):
        put(document, value)
    object.__setattr__(evidence, "outcome", Outcome(outcome))
    object.__setattr__(evidence, "document", document)
    return evidence


def pack_status(status: UploadStatus) -> Packed:
    """The values of a status, and those of its error and its receipt."""
    if type(status) is not UploadStatus:
        return (status,)
    error = None if status.error is None else _of_error(status.error)
    receipt = None if status.receipt is None else _of_receipt(status.receipt)
    return _of_status(status), error, receipt


def unpack_status(packed: Packed) -> UploadStatus:
    """The status that was packed, or an equal one."""
    if len(packed) == 1:
        whole: UploadStatus = packed[0]
        return whole
    values, error, receipt = packed
    status = UploadStatus.__new__(UploadStatus)  # its constructor takes five times as long
    fields = vars(status)
    fields.update(zip(_STATUS, values, strict=True))
    fields["error"] = None if error is None else StatusError(*error)
    fields["receipt"] = None if receipt is None else Receipt(*receipt)
    return status
