"""From what a host hands over to what is recorded: read, render, hash, and see whether the provider
can take it.

What was handed over is recorded, whatever goes wrong: then the upload has failed, says why, and
keeps what a retry needs. Blocking; called from worker threads.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from io import FileIO
from urllib.parse import quote, unquote_to_bytes

from attrs import evolve, frozen

from ...delivery.destinations import MAX_STORED, Destination, excluded, unfit
from ...delivery.effects import MakeDocument
from ...delivery.outcome import broken
from ...delivery.recording import entry_of, gone, record_as_stored, stored_as
from ...domain.errors import CourierError, StoreError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.evidence.record_json import record_json
from ...domain.evidence.training import TrainingRecord
from ...domain.secrets.redaction import words_of
from ...domain.upload.failure import Failure, FailureKind
from ...ports.documents import LARGE, Documents
from ...ports.records import Entry, MadeDocument, StoredDocument
from ...ports.renderer import Renderer
from ..records import load_record

_CHUNK = 2**18


@frozen
class _Prepared:
    """What is recorded of a document, and the bytes that are staged; or why it cannot be sent."""

    stored: StoredDocument
    content: bytes | None = None
    failure: Failure | None = None


@frozen
class Preparer:
    """Prepares what hosts hand over. `interrupts` tells an exception that cut the thread off from
    one that a renderer or a file raised, which is recorded. `documents` takes what is large; what
    it cannot take now stays in memory, for the store. `late`: neither a renderer nor a file is
    asked, since it has not answered."""

    renderer: Renderer
    interrupts: Callable[[BaseException], bool]
    documents: Documents | None = None
    late: TimeoutError | None = None

    def prepare(self, evidence: Evidence, destination: Destination, now: datetime) -> Entry:
        """The entry to record. A document that cannot be sent is recorded as failed at once, for
        whatever reason; evidence that the settings exclude as skipped."""
        try:
            document = evidence.document
            if isinstance(document, TrainingRecord):
                prepared = self._rendered(document, destination)
                submitted = sha256_of(record_json(document))
            else:
                prepared = self._handed_over(document, destination)
                submitted = prepared.stored.sha256
            failure = excluded(evidence.outcome, destination.integration) or prepared.failure
            return self.filed(
                entry_of(
                    evidence,
                    destination,
                    now,
                    (prepared.stored, prepared.content),
                    submitted,
                    failure,
                )
            )
        except BaseException as error:
            if self.interrupts(error):
                raise
            prepared = _unprepared(evidence, error)
            submitted, failure = prepared.stored.sha256, prepared.failure
            return entry_of(
                evidence, destination, now, (prepared.stored, prepared.content), submitted, failure
            )

    def filed(self, entry: Entry) -> Entry:
        """The entry with its document in a file if it is large and one can be written now."""
        document = entry.dossier.document
        stored, content = self._filed(document, entry.content)
        if stored is document:
            return entry
        return evolve(entry, dossier=evolve(entry.dossier, document=stored), content=content)

    def _filed(
        self, stored: StoredDocument, content: bytes | None
    ) -> tuple[StoredDocument, bytes | None]:
        if self.documents is not None and content is not None and len(content) > LARGE:
            with suppress(StoreError):
                return evolve(stored, file=self.documents.keep([content])), None
        return stored, content

    def make(self, wanted: MakeDocument) -> MadeDocument | Failure:
        """The document of what was kept of it, or why it cannot be made."""
        if wanted.document.path is not None:
            made = self._read(wanted.document, wanted.destination)
        elif wanted.staged is None:
            why = f"what the document of {wanted.key} is made of was not stored"
            return gone(f"{why}: submit it under a new evidence id")
        else:
            try:
                record = load_record(wanted.staged)
            except CourierError as error:  # a later release reads records in another way
                return Failure(FailureKind.UNFIT_RENDER, str(error))
            made = self._rendered(record, wanted.destination)
        if made.failure is not None:
            return made.failure
        return MadeDocument(*self._filed(made.stored, made.content))

    def _rendered(self, record: TrainingRecord, destination: Destination) -> _Prepared:
        def render() -> _Prepared | Failure:
            rendered: object = self.renderer.render(record)
            if isinstance(rendered, Failure):
                return rendered
            if isinstance(rendered, Document):
                return self._handed_over(rendered, destination)
            raise TypeError(f"the renderer gave {type(rendered).__name__}")

        which = f"the record of {record.tenant_id}/{record.evidence_id} could not be rendered"
        result = self._plugged_in(render, FailureKind.UNFIT_RENDER, which)
        return (
            result
            if isinstance(result, _Prepared)
            else _Prepared(*record_as_stored(record), result)
        )

    def _handed_over(self, document: Document, destination: Destination) -> _Prepared:
        try:
            stored = _as_given(document)
        except OSError:  # the working directory is gone
            advice = "submit it by its full path, under a new evidence id"
            missing = gone(f"{document.path} is in a folder that is gone: {advice}")
            return _Prepared(stored_as(document, "", 0), None, missing)
        if stored.path is not None:
            return self._read(stored, destination)
        failure = _unfit(stored, destination)
        fits = failure is None or stored.size <= MAX_STORED
        return _Prepared(stored, document.content if fits else None, failure)

    def _read(self, document: StoredDocument, destination: Destination) -> _Prepared:
        """What is in a file, if it is the one that was submitted and the provider can take it."""
        assert document.path is not None
        path = unquote_to_bytes(document.path)
        shown = os.fsdecode(path).encode(errors="replace").decode()

        def read() -> _Prepared:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise OSError(errno.EINVAL, "is not a regular file")
            with open(path, "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                seen = evolve(document, size=found.st_size, modified=found.st_mtime_ns)
                if document.modified is not None and seen != document:
                    advice = "submit what it holds now under a new evidence id"
                    message = f"{shown} has changed since it was submitted: {advice}"
                    return _Prepared(document, None, gone(message))
                failure = _unfit(seen, destination)
                if failure is not None:
                    return _Prepared(seen, None, failure)
                made, content = self._copied(file, seen)
            return _Prepared(made, content, _unfit(made, destination))

        which = f"the document {shown} cannot be read"
        result = self._plugged_in(read, FailureKind.DOCUMENT_GONE, which)
        return result if isinstance(result, _Prepared) else _Prepared(document, None, result)

    def _copied(self, file: FileIO, seen: StoredDocument) -> tuple[StoredDocument, bytes | None]:
        """What is in a file. If it is large it goes to another without ever being in memory."""
        made = partial(evolve, seen, path=None, modified=None)
        if self.documents is not None and seen.size > LARGE:
            digest, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(_CHUNK))

            def chunks() -> Iterator[memoryview]:
                nonlocal size
                while length := file.readinto(buffer):
                    digest.update(buffer[:length])
                    size += length
                    yield buffer[:length]

            with suppress(StoreError):
                name = self.documents.keep(chunks())
                return made(sha256=digest.hexdigest(), size=size, file=name), None
            file.seek(0)
        content = file.read()
        return made(sha256=sha256_of(content), size=len(content)), content

    def _plugged_in(
        self, verb: Callable[[], _Prepared | Failure], kind: FailureKind, which: str
    ) -> _Prepared | Failure:
        """What the host's own (a renderer, a file system) comes to, whatever it raises."""
        try:
            if self.late is not None:
                raise self.late
            return verb()
        except BaseException as error:
            if self.interrupts(error):
                raise
            own = isinstance(error, CourierError)
            why = str(error) if own else words_of(error)
            if isinstance(error, OSError) and error.strerror:
                why = error.strerror  # the path is named already
            return Failure(kind, f"{which}: {why}; mend that, then retry the upload")


def _unprepared(evidence: Evidence, error: BaseException) -> _Prepared:
    """What is recorded where no one foresaw what went wrong, with what a retry needs."""
    document, why = evidence.document, words_of(error)
    which = f"the document of {evidence.tenant_id}/{evidence.evidence_id} could not be prepared"
    message = f"{which}: {why}; mend that, then retry the upload"
    if isinstance(document, TrainingRecord):
        failure = Failure(FailureKind.UNFIT_RENDER, message)
        return _Prepared(*record_as_stored(document), failure)
    stored, content = _as_given(document), document.content
    content = content if stored.size <= MAX_STORED else None
    return _Prepared(stored, content, gone(message))


def _unfit(stored: StoredDocument, destination: Destination) -> Failure | None:
    try:
        return unfit(stored, destination)
    except Exception as error:  # a plug-in's limits
        return broken(destination, error, sent=False).failure


def _as_given(document: Document) -> StoredDocument:
    """A document that was handed over, before its file is opened."""
    if document.path is not None:
        path = quote(os.fsencode(os.path.abspath(document.path)))
        return stored_as(document, "", 0, path=path)
    if document.content is not None:
        return stored_as(document, sha256_of(document.content), len(document.content))
    assert document.sha256 is not None and document.size is not None
    return stored_as(document, document.sha256, document.size, source=document.source)
