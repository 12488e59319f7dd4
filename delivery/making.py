"""Makes the document that could not be made when its evidence was submitted.

A record in a script that no font had, a file that could not be read or was too large: what the
document is made of was kept, and after a person's retry it is made before the attempt begins.
"""

from __future__ import annotations

from attrs import evolve

from ..domain.upload.events import Unfit
from ..domain.upload.failure import Failure
from ..domain.upload.transitions import advance
from ..domain.upload.upload import Queued, Waiting, with_digest
from ..ports.clock import Clock
from ..ports.records import Change, MadeDocument, Saved
from .active import ActiveUpload
from .destinations import excluded, unfit
from .effects import MakeDocument, Save, Turn, Write, perform


def made(active: ActiveUpload, clock: Clock) -> Turn[bool]:
    """Whether an attempt may begin: the document is made, or something else forbids it already.

    If it cannot be made the upload fails, without an attempt.
    """
    document = active.dossier.document
    if document.is_made or not isinstance(active.upload.state, Queued | Waiting):
        return True
    is_excluded = excluded(active.dossier.outcome, active.destination.integration) is not None
    if is_excluded or (document.modified is not None and unfit(document, active.destination)):
        return True  # it does not begin anyhow
    key = active.upload.key
    # For the sake of the upload: what the store refuses is tried again.
    found = yield from perform(Write(lambda store: store.get([key], staged=True).get(key), key))
    if found is None or found.upload != active.upload or found.dossier.document != document:
        # Another courier has written it meanwhile.
        active.adopt(None if found is None else found.upload)
        active.dossier = active.dossier if found is None else found.dossier
        return False
    result = yield from perform(MakeDocument(key, document, found.content, active.destination))
    yield from _write(active, result, clock)
    return active.dossier.document.is_made


def _write(active: ActiveUpload, result: MadeDocument | Failure, clock: Clock) -> Turn[None]:
    now = clock.now()
    if isinstance(result, Failure):
        change = Change(advance(active.upload, Unfit(now, result), active.destination.rules))
    else:
        after = with_digest(active.upload, result.stored.sha256, now)
        change = Change(after, document=result)
    (answer,) = yield from perform(Save([change]))
    if not isinstance(answer, Saved) and answer.current != change.upload:
        active.adopt(answer.current)
        return
    active.upload = change.upload
    if change.document is not None:
        active.dossier = evolve(active.dossier, document=change.document.stored)
