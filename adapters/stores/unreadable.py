"""Rows of uploads that cannot be read, since other hands wrote them.

An answer about many uploads leaves them out, so that what is in one tenant's row stops no other
tenant. They are noted until they can be read. No reason quotes what is in a row: it may be a
person's name, or a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from threading import Lock
from typing import Any

from attrs import define, field

from ...domain.evidence.evidence import Outcome
from ...domain.upload.failure import FailureKind
from ...domain.upload.upload import FailedReason, Status, UploadKey
from ...ports.records import Entry, Unreadable
from .rows import OF_TARGETS, Row, key_of, moment_of, number_of, open_upload_of, settings_of
from .trouble import RefusedError

_MOMENTS = (
    *("created_at", "updated_at", "recorded_at", "due", "started_at", "resend_at", "taken_at"),
    *("parked_at", "tried_since", "reopened_at"),
)
_READ: Mapping[str, Callable[[Any], object]] = {
    **dict.fromkeys(_MOMENTS, moment_of),
    **dict.fromkeys(("version", "attempts", "spent", "attempt", "read"), number_of),
    "evidence_date": date.fromisoformat,
    "outcome": Outcome,
    "settings": settings_of,
    "error_kind": FailureKind,
    "reason": FailedReason,
}
"""How each column is read that may hold what cannot be."""

_OPEN = {status.value for status in Status if not status.at_rest}


@define
class UnreadableRows:
    """Those that one store has met."""

    _met: dict[UploadKey, Unreadable] = field(factory=dict, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    @property
    def keys(self) -> Sequence[UploadKey]:
        """Their keys."""
        return [*self._met]

    def readable(self, rows: Sequence[Row]) -> list[Entry]:
        """The uploads in these rows, with the columns of OPEN. Those that cannot be read are left
        out and noted."""
        try:
            return [*map(open_upload_of, rows)]
        except (ValueError, TypeError):
            return [one for row in rows if (one := self._entry_of(row)) is not None]

    def still(self, rows: Sequence[Row]) -> Mapping[UploadKey, Unreadable]:
        """Those that were met and still cannot be read; `rows` are what is recorded of them now."""
        found = {key_of(row): why for row in rows if (why := _unreadable(row)) is not None}
        with self._lock:
            for key in self.keys:
                if key not in found:
                    del self._met[key]
            self._met |= found
        return found

    def _entry_of(self, row: Row) -> Entry | None:
        try:
            return open_upload_of(row)
        except (ValueError, TypeError):
            with self._lock:
                self._met[key_of(row)] = _described(row)
            return None


def entry_of(row: Row) -> Entry:
    """The upload in the columns of OPEN. If it cannot be read, RefusedError says which it is."""
    try:
        return open_upload_of(row)
    except (ValueError, TypeError) as error:
        raise RefusedError(unreadable_record(key_of(row), _described(row).reason)) from error


def unreadable_record(key: UploadKey, reason: str) -> str:
    """What a caller is told who asks for one of these."""
    return f"the record of {key} cannot be read: {reason}; have it mended, and try again"


def _unreadable(row: Row) -> Unreadable | None:
    try:
        open_upload_of(row)
    except (ValueError, TypeError):
        return _described(row)
    return None


def _described(row: Row) -> Unreadable:
    wrong = [name for name, read in _READ.items() if not _can_be_read(read, row[name])]
    is_parked = row["state"] == "waiting" and row["error_kind"] in OF_TARGETS
    is_open = row["status"] in _OPEN and not is_parked
    return Unreadable(_reason(wrong or ["state, or one that its state needs"]), is_open)


def _can_be_read(read: Callable[[Any], object], cell: Any) -> bool:
    try:
        return cell is None or read(cell) is not None
    except (ValueError, TypeError):
        return False


def _reason(columns: Sequence[str]) -> str:
    return f"what stands in the table `uploads` does not fit: {', '.join(columns)}"
