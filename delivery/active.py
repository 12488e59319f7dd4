"""What a courier holds in memory of an upload that is not at rest: no document, and no task."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from attrs import define, field

from ..domain.upload.status import UploadStatus, status_of_upload
from ..domain.upload.upload import Upload
from ..ports.records import Dossier
from .destinations import Destination


class Waiter(Protocol):
    """One who waits for an upload, as a ticket does."""

    def mark_recorded(self) -> None:
        """It is on disk."""
        ...

    def mark_settled(self, status: UploadStatus | None) -> None:
        """It has succeeded, failed or is held."""
        ...

    def mark_lost(self, error: Exception) -> None:
        """There is nothing to wait for any more."""
        ...


@define(eq=False)
class ActiveUpload:
    """An upload with where it goes and who waits for it.

    `gone`: its record was deleted from the database while it was active.
    """

    upload: Upload
    dossier: Dossier
    destination: Destination
    last_attempt_at: datetime | None = None
    waiters: list[Waiter] = field(factory=list)
    gone: bool = False

    @property
    def size(self) -> int:
        """The bytes that its document takes while it is under way."""
        return self.dossier.document.size

    def status(self) -> UploadStatus:
        """How it stands, as everybody is told."""
        return status_of_upload(self.upload, self.last_attempt_at)

    def adopt(self, current: Upload | None) -> None:
        """Another courier was faster: what it wrote is what is true. None: the record is gone."""
        if current is None:
            self.gone = True
        else:
            self.upload = current
