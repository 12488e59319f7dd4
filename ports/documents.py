"""Large documents, kept in files outside a store's transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from .source import DocumentSource

LARGE = 128 * 2**10
"""A document with more bytes is a file, if the store can keep files."""


class Documents(DocumentSource, Protocol):
    """Where large documents are kept. `read` takes the name of a file. Any thread may call it."""

    def keep(self, chunks: Iterable[bytes | memoryview]) -> str:
        """Write a document, and return once it would outlast a crash.

        Returns:
            The file's name, for `StoredDocument.file`. It has no meaning, and belongs to the upload
            with which it is recorded.

        Raises:
            StoreError: It could not be written; nothing of it is left.
        """
        ...


@runtime_checkable
class KeepsDocuments(Protocol):
    """A store that keeps large documents in files. It removes a file with the success of its
    upload, and that of an entry which turns out to be known."""

    @property
    def documents(self) -> Documents:
        """Its files."""
        ...


def documents_of(store: object) -> Documents | None:
    """Where a store keeps large documents; None if they go into its records."""
    return store.documents if isinstance(store, KeepsDocuments) else None
