"""Reading documents that the host keeps itself."""

from __future__ import annotations

from typing import Protocol


class DocumentSource(Protocol):
    """The host's own storage of documents. Called from worker threads, several at once."""

    def read(self, tenant_id: str, key: str) -> bytes:
        """The document's bytes.

        Raise `LookupError` (KeyError, FileNotFoundError is accepted too) where it is gone for good:
        the upload fails. Raise anything else where it cannot be read now: the upload is tried again
        later.
        """
        ...
