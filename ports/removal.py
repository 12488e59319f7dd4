"""Removing what is kept no longer, and what names a person.

An upload itself stays, with its ids, states, times and digests: what was delivered stays known, and
is not sent again. Transactions and errors are those of `UploadRecords`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from attrs import field, frozen

from ..domain.retention import Part
from ..domain.upload.actions import Person
from ..domain.upload.upload import Status, Upload, UploadKey


@frozen
class Settled:
    """A settled upload: since when it is, and which of its parts are there."""

    key: UploadKey
    version: int
    status: Status
    at: datetime
    parts: frozenset[Part]


@frozen
class SettledPage:
    """Some settled uploads, and the mark that leads to the next ones; None at the end."""

    uploads: Sequence[Settled]
    next_mark: int | None


@frozen
class PersonsUpload:
    """An upload that is of a person, what the person is called in it, and when its latest attempt
    started."""

    upload: Upload
    names: Sequence[str] = field(repr=False)
    last_attempt_at: datetime | None = None


@frozen
class NamingTexts:
    """Texts of a tenant's records that name a person, beside those of some uploads: how many, and
    where they are, as the store knows it."""

    count: int
    names: Sequence[str] = field(repr=False)
    places: Sequence[tuple[int, int | str]] = field(default=(), repr=False)


@frozen(kw_only=True)
class Removal:
    """What is removed of a tenant's settled uploads, by whom, and why: that is recorded with the
    numbers of what went.

    `parts` names what goes of each upload; one that is open, or was written since it was read (see
    its version), is left as it is. With `names` a person is erased: then these are searched for in
    all texts of the tenant, such as people's reasons, and recorded as a keyed hash. `subject` is
    the person's id. With `texts`, only these are looked at: the search was done before.
    """

    action: Literal["prune", "erase"]
    tenant_id: str
    person: Person
    at: datetime
    parts: Mapping[UploadKey, tuple[int, frozenset[Part]]]
    subject: str | None = field(default=None, repr=False)
    names: Sequence[str] = field(default=(), repr=False)
    texts: NamingTexts | None = None


@frozen
class Removed:
    """How many uploads lost which part, how many other texts named the person, and how many uploads
    were left as they are."""

    parts: Mapping[Part, int]
    texts: int = 0
    left: int = 0


@frozen(kw_only=True)
class RemovalRow:
    """What was removed, as it is recorded. `subject` is the keyed hash of who was erased."""

    at: datetime
    tenant_id: str
    action: str
    by: str
    reason: str
    subject: str | None
    uploads: int
    attempts: int
    documents: int
    texts: int


class RemovalReader(Protocol):
    """What can be removed, and what was."""

    def settled(self, after: int, limit: int) -> SettledPage:
        """The settled uploads among the next `limit` records after the mark `after` (0 at first),
        in the order of arrival, as far as there is anything to remove of them."""
        ...

    def looked_up_to(self) -> int:
        """How far the couriers on this store have looked for what is kept no longer: a mark for
        `settled`; 0 at first, and when they begin anew."""
        ...

    def of_person(self, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
        """A tenant's uploads that are of a person: by the subject's id or e-mail address."""
        ...

    def naming(
        self, tenant_id: str, names: Sequence[str], besides: Collection[UploadKey]
    ) -> NamingTexts:
        """The texts of a tenant's records that hold one of the names, but for those of some
        uploads: of what people did to these, too."""
        ...

    def removals(self, tenant_id: str | None = None) -> Sequence[RemovalRow]:
        """What was removed, the latest first."""
        ...


class Removals(RemovalReader, Protocol):
    """What a store removes."""

    def look_from(self, mark: int) -> None:
        """The next courier goes on from this mark."""
        ...

    def remove(self, removal: Removal) -> Removed:
        """Remove it, and record that it was removed.

        What names a person: subject, addresses, session, names of documents and where they are,
        the provider's words and receipts, and the evidence's id if it holds one of the names; the
        document goes with it. An evidence whose id was replaced stays known under its own id, to
        `add`, `statuses` and `show`. What is written about such an upload later has no text.
        """
        ...
