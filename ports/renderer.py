"""Turning a training record into a document."""

from __future__ import annotations

from typing import Protocol

from ..domain.evidence.evidence import Document
from ..domain.evidence.training import TrainingRecord
from ..domain.upload.failure import Failure


class Renderer(Protocol):
    """Renders a record once; its bytes are then kept, so that a later version cannot change them.

    Called from worker threads, several at once. The same record gives the same bytes, at every
    render and on every day.
    """

    def render(self, record: TrainingRecord) -> Document | Failure:
        """The document (its `content` is set), or the failure (UNFIT_RENDER) that says why there
        can be none."""
        ...

    def close(self) -> None:
        """Give back what the renderer holds. Safe to call twice."""
        ...
