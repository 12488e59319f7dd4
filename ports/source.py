"""Reading documents that the host keeps itself."""

from __future__ import annotations

from typing import Protocol


class DocumentSource(Protocol):
    """The host's own storage of documents. Called from worker threads, several at once."""

    def read(self, tenant_id: str, key: str) -> bytes:
        """Read one document.

        Args:
            tenant_id: the tenant of the evidence.
            key: what the host named the document by when it submitted the evidence.

        Returns:
            The document's bytes.

        Raises:
            LookupError: the document is gone for good, so the upload fails. FileNotFoundError
                says the same.
            Exception: it cannot be read now, so the upload is tried again later.
        """
        ...
