"""What a compliance platform's adapter must offer: `Provider`, the port that plug-ins implement.

A provider knows one API. It does no I/O (see `dialogue`), keeps no state between uploads, and knows
nothing of retries, storage, configuration files or other providers. It is registered under the
entry point group ``evidence_courier.providers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from attrs import field, frozen

from ..domain.evidence.evidence import Outcome
from ..domain.integration import Pace
from ..domain.upload.verdict import DryRun, Finding, Unbundled, Verdict
from .dialogue import Dialogue

S = TypeVar("S")


@frozen
class Limits:
    """What the provider takes: at most `max_bytes` (None: not known), and these media types with
    the file name extension of each."""

    max_bytes: int | None
    media_types: Mapping[str, str]


@frozen
class Bundle:
    """How much goes into one request: at most `most` uploads, of `max_bytes` bytes in all (None:
    not known)."""

    most: int
    max_bytes: int | None = None


@frozen(kw_only=True)
class Parcel:
    """Everything that a provider may need to know of one upload. `file_name` is safe to send as
    it is."""

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
      a credential.
    - `schema`: the Cerberus fragment for those settings. Besides Cerberus' own types it may use
      ``secret`` (a ``${VAR}`` reference) and ``endpoint`` (https, or http on loopback).
    - `pace`: what the platform allows; `cost`: how many of its requests one upload takes.
    - `exclusive_credential`: whether only one courier at a time may send with a credential.

    What only some providers can do is in protocols of its own: `CanLookUp`, `Checkable`,
    `Bundling`. A provider has such a capability by having its members.
    """

    name: ClassVar[str]
    settings_class: ClassVar[type]
    schema: ClassVar[Mapping[str, object]]
    limits: ClassVar[Limits]
    pace: ClassVar[Pace | None]
    cost: ClassVar[int]
    exclusive_credential: ClassVar[bool]

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """Deliver the parcel, from `progress` on where an attempt before got half of the way.

        Recognise success, never assume it. A step that may be repeated without making a copy
        answers Deferred, never Unclear.
        """
        ...

    def target(self, settings: object) -> str:
        """Where the uploads go, in words for a person: the check, document or library. Holds no
        secret."""
        ...


@runtime_checkable
class CanLookUp(Protocol):
    """A provider that can be asked whether an upload is there. `look_up_delays`: how long after
    the one before each look-up is made."""

    look_up_delays: ClassVar[tuple[timedelta, ...]]

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """Look the upload up: Found, Partly, Absent or Unreadable."""
        ...


@runtime_checkable
class Checkable(Protocol):
    """A provider that can say whether uploads would work, without uploading anything."""

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Try the credentials and look for the target, with reading requests only: Ready or
        NotReady."""
        ...


@runtime_checkable
class Bundling(Protocol):
    """A provider that takes several uploads of one integration in one request."""

    def bundle(self, settings: object) -> Bundle | None:
        """How much may go together with these settings; None where each goes by itself."""
        ...

    def upload_together(
        self, parcels: Sequence[Parcel], settings: object
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        """Deliver the parcels in one request, at a cost of one: a verdict for each, in their order.

        Unbundled, for all of them, where they were refused for what one of them may have caused:
        each is then sent by `upload`, once, without being charged for it.
        """
        ...
