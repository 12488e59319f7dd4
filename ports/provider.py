"""What a compliance platform's adapter must offer: `Provider`, the port that plug-ins implement.

A provider knows one API. It does no I/O (see `dialogue`), keeps no state between uploads, and knows
nothing of retries, storage, configuration files or other providers. It is registered under the
entry point group ``evidence_courier.providers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from attrs import field, frozen

from ..domain.evidence.evidence import Outcome
from ..domain.integration import Pace
from ..domain.upload.verdict import DryRun, Finding, Unbundled, Verdict
from .dialogue import Dialogue

S = TypeVar("S")


@frozen
class Limits:
    """Which documents a provider takes. Others fail before any request.

    Args:
        max_bytes: the size of the largest one; None: not known.
        media_types: the media types, each with its file name extension, without a dot.
    """

    max_bytes: int | None
    media_types: Mapping[str, str]


@frozen
class Bundle:
    """How much goes into one request.

    Args:
        most: how many uploads at most.
        max_bytes: how many bytes their documents have together at most; None: not known.
    """

    most: int
    max_bytes: int | None = None


@frozen(kw_only=True)
class Parcel:
    """Everything that a provider may need to know of one upload.

    Args:
        tenant_id: the host's id of the tenant.
        evidence_id: the host's id of the evidence.
        session_id: the host's id of the session that it comes from.
        subject: the host's id of the person.
        subject_email: the person's e-mail address, or None.
        outcome: what the session ended with.
        recorded_at: when it ended; it has a time zone.
        evidence_date: the day of `recorded_at` in UTC.
        content: the document; empty in a look-up.
        media_type: its media type, one of the provider's `Limits`.
        sha256: its digest, 64 hexadecimal digits.
        file_name: safe to send as it is, and the same at every attempt. It holds the evidence id
            and the first digits of the digest.
        created_at: when the upload was recorded; it has a time zone.
    """

    tenant_id: str
    evidence_id: str
    session_id: str
    subject: str
    subject_email: str | None
    outcome: Outcome
    recorded_at: datetime
    evidence_date: date
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")
    media_type: str
    sha256: str
    file_name: str
    created_at: datetime


@runtime_checkable
class Provider(Protocol):
    """One platform's API.

    - `name`: the word in tenant files and in the records.
    - `settings_class`: an attrs class for the provider's own settings; a field of type `Secret` is
      a credential. If it has `base`, `url` or `endpoint`, the origin (scheme, host, port) of that
      address has its share of connections and uploads under way; else the provider has it.
    - `schema`: the Cerberus rules of those settings. Beside Cerberus' own types it may use
      ``secret`` (a ``${VAR}`` reference) and ``endpoint`` (https, or http on loopback).
    - `limits`: which documents it takes.
    - `pace`: what the platform allows; None: not known.
    - `cost`: how many of its requests one upload takes.
    - `exclusive_credential`: whether only one courier at a time may send with a credential.

    What only some providers can do is in protocols of its own: `CanLookUp`, `Checkable`,
    `Bundling`, `Advising`, `Selecting`. A provider has such a capability by having its members.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type]
    schema: ClassVar[Mapping[str, object]]
    limits: ClassVar[Limits]
    pace: ClassVar[Pace | None]
    cost: ClassVar[int]
    exclusive_credential: ClassVar[bool]

    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        """Deliver a parcel. The same parcel gives the same bytes at every attempt.

        Args:
            parcel: what to deliver.
            settings: an instance of `settings_class`, which a provider may name as the type.
            progress: the last bookmark of the attempts before; None: they left none.

        Returns:
            The verdict. Success is recognised, never assumed. A step that can be repeated without
            making a copy answers Deferred, never Unclear. A platform that has taken the document
            and decides later is Processing; then the provider must be able to look it up.
        """
        ...

    def target(self, settings: Any) -> str:
        """Where uploads go, in words for a person: the check, document or library. No secret."""
        ...


@runtime_checkable
class CanLookUp(Protocol):
    """A provider whose platform can be asked whether an upload is there.

    `look_up_delays`: how long after the attempt, and then after the look-up before, each look-up is
    made. What was taken should show before the last one: then the upload is sent again.
    """

    look_up_delays: ClassVar[tuple[timedelta, ...]]

    def look_up(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Finding]:
        """Look an upload up. The arguments are those of `Provider.upload`; the content is empty.

        Returns:
            Found, Partly, Absent, or Unreadable. An error is never Absent.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A provider that can say whether uploads would work, without uploading anything."""

    def check(self, settings: Any) -> Dialogue[DryRun]:
        """Try the credentials and look for the target, with reading requests only.

        Returns:
            Ready or NotReady.
        """
        ...


@runtime_checkable
class Bundling(Protocol):
    """A provider that takes several uploads of one integration in one request."""

    def bundle(self, settings: Any) -> Bundle | None:
        """How much may go together under these settings; None: each upload goes by itself."""
        ...

    def upload_together(
        self, parcels: Sequence[Parcel], settings: Any
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        """Deliver the parcels in one request, at a cost of one.

        Returns:
            A verdict for each parcel, in their order. Unbundled for all of them, if they were
            refused for what one of them may have caused: each is then sent by `upload`, once, and
            not charged for it.
        """
        ...


@runtime_checkable
class Selecting(Protocol):
    """A provider that by default is sent evidence of some outcomes only, as where what is uploaded
    attests that a person has passed."""

    def default_outcomes(self, settings: Any) -> tuple[Outcome, ...]:
        """The outcomes that are sent unless the tenant file says `outcomes`; the rest is
        skipped."""
        ...


@runtime_checkable
class Recognising(Protocol):
    """A provider whose replies hold a status word, and whose settings say which mean success.

    Under an unknown word the verdict is Rejected with the kind UNKNOWN_STATUS, and the word is the
    failure's `detail`. The integration is blocked, and the upload may have been taken.
    """

    def is_success(self, word: str, settings: Any) -> bool:
        """Whether a status word means success under these settings."""
        ...


@runtime_checkable
class Advising(Protocol):
    """A provider that can tell settings that look wrong, and are accepted all the same."""

    def advice(self, settings: Any) -> tuple[str, ...]:
        """What looks wrong, one sentence for an administrator each. No secret."""
        ...
