"""Turning a training record into a document."""

from __future__ import annotations

from typing import Protocol

from ..domain.evidence.evidence import Document
from ..domain.evidence.training import TrainingRecord
from ..domain.upload.failure import Failure


class Renderer(Protocol):
    """Renders a record once; the bytes are then kept, so a later version cannot change them.

    Called from worker threads, several at once. The same record gives the same bytes on every day.
    """

    def render(self, record: TrainingRecord) -> Document | Failure:
        """Render one record.

        Returns:
            The document, with its `content`, or a failure (UNFIT_RENDER) that says why it
            was not made.
        """
        ...

    def close(self) -> None:
        """Release what the renderer holds. Safe to call twice."""
        ...
