"""From what a host hands over to what is recorded: read, render, hash, and see whether the provider
can take it.

Blocking; called from worker threads.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from attrs import frozen

from ...domain.errors import MisuseError
from ...domain.evidence.evidence import Document, Evidence, sha256_of
from ...domain.evidence.training import TrainingRecord
from ...domain.integration import Integration, Pace
from ...domain.pacing.gate import Quota
from ...domain.upload.events import Unfit
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.transitions import LOOK_UP_DELAYS, Rules, advance
from ...domain.upload.upload import UploadKey, new_upload
from ...ports.provider import Bundle, Bundling, CanLookUp, Provider
from ...ports.records import Dossier, Entry, StoredDocument
from ...ports.renderer import Renderer
from ..records import record_json

RENDERED_TYPE = "application/pdf"
UNPACED = Pace(1_000, timedelta(seconds=1))
"""The pace of a credential that only one courier may use, where its provider names none."""


@frozen
class Destination:
    """Where a tenant's evidence goes: its integration and the provider that the integration names.

    `bundle` is how much goes into one request, where several uploads may travel together.
    """

    integration: Integration
    provider: Provider
    rules: Rules
    quota: Quota
    bundle: Bundle | None = None

    @property
    def lane(self) -> tuple[str, str]:
        """Who takes turns: a tenant with a set of credentials."""
        return (self.integration.tenant_id, self.quota.credential)


Destinations: TypeAlias = Mapping[str, Destination]


def home_of(destinations: Destinations, key: UploadKey) -> Destination | None:
    """Where an upload goes: its tenant's destination, if that is still with the upload's
    provider."""
    destination = destinations.get(key.tenant_id)
    fits = destination is not None and destination.integration.provider == key.provider
    return destination if fits else None


def destination_of(integration: Integration, provider: Provider, key: bytes) -> Destination:
    """The integration with its provider, and what follows from both: the rules, and what it shows
    at its gate.

    `key` is the store's: fingerprints under it are the same for all couriers on the store, and mean
    nothing elsewhere.
    """
    pace = integration.pace or provider.pace
    if pace is None and provider.exclusive_credential:
        # its requests must be counted all the same: whether one is under way decides who may send
        pace = UNPACED
    bundle = _bundle_of(integration, provider)
    rules = Rules(
        retry=integration.retry,
        on_unclear=integration.on_unclear,
        can_look_up=isinstance(provider, CanLookUp),
        look_up_delays=provider.look_up_delays
        if isinstance(provider, CanLookUp)
        else LOOK_UP_DELAYS,
        throttle_floor=pace.period if pace is not None else timedelta(0),
    )
    credential = _fingerprint(
        key,
        [
            integration.provider,
            integration.stored.get("endpoint"),
            [secret.reveal() for secret in integration.secrets],
        ],
    )
    quota = Quota(
        credential=credential,
        address=_fingerprint(key, [integration.tenant_id, credential, dict(integration.stored)]),
        pace=pace,
        cost=provider.cost,
        # Twice as long where others wait for its end: a request also waits for a place before it
        # leaves.
        patience=integration.route.timeouts.total
        * provider.cost
        * (2 if provider.exclusive_credential else 1),
        together=bundle.most if bundle is not None else 1,
        exclusive=provider.exclusive_credential,
    )
    return Destination(integration, provider, rules, quota, bundle)


def _bundle_of(integration: Integration, provider: Provider) -> Bundle | None:
    if not isinstance(provider, Bundling):
        return None
    try:
        bundle: object = provider.bundle(integration.settings)
    except Exception:  # a plug-in's bug, here while every tenant's settings are taken up: its uploads go one by one
        return None
    # So they do where it names no numbers: every tenant's uploads pass by where these are counted
    # with.
    if not isinstance(bundle, Bundle) or not isinstance(bundle.most, int) or bundle.most <= 1:
        return None
    return bundle if isinstance(bundle.max_bytes, int | None) else None


def _fingerprint(key: bytes, said: object) -> str:
    text = json.dumps(said, sort_keys=True, default=repr)
    return hmac.new(key, text.encode("ascii"), hashlib.sha256).hexdigest()[:32]


def unfit(size: int, media_type: str, destination: Destination) -> Failure | None:
    """Why the provider cannot take such a document; None where it can."""
    integration, limits = destination.integration, destination.provider.limits
    most = integration.max_bytes if integration.max_bytes is not None else limits.max_bytes
    if most is not None and size > most:
        return Failure(
            FailureKind.UNFIT_SIZE,
            f"the document has {size:,} bytes, and {integration.provider} takes at most {most:,} for tenant "
            f"{integration.tenant_id!r}: submit a smaller one under a new evidence id",
        )
    if limits.media_types and media_type.lower() not in limits.media_types:
        return Failure(
            FailureKind.UNFIT_TYPE,
            f"{integration.provider} does not take {media_type}: submit a document of one of its types, such as "
            f"{next(iter(limits.media_types))}, under a new evidence id",
        )
    return None


def prepare(
    evidence: Evidence, destination: Destination, renderer: Renderer, now: datetime
) -> Entry:
    """The entry to record. A document that cannot be sent is recorded as failed at once.

    Raises MisuseError where there is nothing that could be recorded: a file that cannot be read.
    """
    document = evidence.document
    if isinstance(document, TrainingRecord):
        submitted = sha256_of(record_json(document))
        rendered = renderer.render(document)
        if isinstance(rendered, Failure):
            nothing = StoredDocument(
                sha256=submitted, size=0, media_type=RENDERED_TYPE, filename=None
            )
            return _entry(evidence, destination, nothing, submitted, None, rendered, now)
        stored, content = _read(evidence, rendered, destination)
    else:
        stored, content = _read(evidence, document, destination)
        submitted = stored.sha256
    failure = unfit(stored.size, stored.media_type, destination)
    return _entry(evidence, destination, stored, submitted, content, failure, now)


def _read(
    evidence: Evidence, document: Document, destination: Destination
) -> tuple[StoredDocument, bytes | None]:
    if document.source is not None:
        assert document.sha256 is not None and document.size is not None
        return _stored(document, document.sha256, document.size), None
    content = document.content
    if document.path is not None:
        try:
            found = os.stat(document.path)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", document.path)
            size = found.st_size
            if unfit(size, document.media_type, destination) is not None:
                # Recorded as unfit; not worth the memory of reading it whole.
                with open(document.path, "rb") as file:
                    return _stored(
                        document, hashlib.file_digest(file, "sha256").hexdigest(), size
                    ), None
            with open(document.path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise MisuseError(
                f"the document of {evidence.tenant_id}/{evidence.evidence_id} cannot be read: {error}; nothing was "
                "recorded: submit it again when the file is there"
            ) from error
    assert content is not None
    return _stored(document, sha256_of(content), len(content)), content


def _stored(document: Document, sha256: str, size: int) -> StoredDocument:
    return StoredDocument(
        sha256=sha256,
        size=size,
        media_type=document.media_type,
        # Only recorded, so any name will do; half a character cannot be written down as it is.
        filename=document.filename and document.filename.encode(errors="replace").decode(),
        source=document.source,
    )


def _entry(
    evidence: Evidence,
    destination: Destination,
    stored: StoredDocument,
    submitted: str,
    content: bytes | None,
    failure: Failure | None,
    now: datetime,
) -> Entry:
    key = UploadKey(evidence.tenant_id, evidence.evidence_id, destination.integration.provider)
    upload = new_upload(key, stored.sha256, evidence.evidence_date, now)
    if failure is not None:
        upload = advance(upload, Unfit(now, failure), destination.rules)
    dossier = Dossier(
        session_id=evidence.session_id,
        subject=evidence.subject,
        subject_email=evidence.subject_email,
        outcome=evidence.outcome,
        recorded_at=evidence.recorded_at,
        submitted_digest=submitted,
        document=stored,
        settings=destination.integration.stored,
    )
    return Entry(upload, dossier, content, destination.quota.credential)
