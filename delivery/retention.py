"""Removing what is kept no longer, a small batch at a time, and everything that names a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Protocol, TypeVar

from attrs import evolve, field, frozen

from ..domain.arguments import is_whole, of_kind
from ..domain.errors import MisuseError, StoreError
from ..domain.integration import tenant_key
from ..domain.retention import Names, Part, Retention, is_common
from ..domain.upload.actions import Person
from ..domain.upload.status import UploadStatus, status_of_upload
from ..domain.upload.upload import Status, UploadKey
from ..ports.records import UploadReader
from ..ports.removal import NamingTexts, PersonsUpload, Removal, Removed, Settled, SettledPage
from ..ports.store import UploadStore
from ..ports.writer import Transactional
from .actions import COURIER
from .duties import Duty
from .effects import Read, Turn, Write, perform

T = TypeVar("T")

LOOKED_AT = 500
"""How many records are looked at in one step."""

REMOVED_AT_ONCE = 100
"""From how many uploads something is removed in one transaction: others wait for that."""

PAGES_AT_ONCE, FOUND_AT_ONCE = 10, 2_000
"""After how many steps, or found uploads, something is removed: the more
of a tenant's uploads are removed together, the fewer rows say so."""

RETAIN_EVERY = 3600.0
"""How often all records are looked at, in seconds; a pass takes as many steps as it needs."""

_TRIES = 3


@frozen
class Rules:
    """How long is kept what of whom: `default` says it where a tenant says nothing.

    `of_tenants` has what each known tenant says, by `tenant_key`; what is not known may be "never",
    so of other tenants everything is kept. None: the default holds for all tenants.
    """

    default: Retention = Retention()
    of_tenants: Mapping[str, Retention] | None = None

    def of(self, tenant_id: str) -> Retention:
        """What holds for a tenant."""
        if self.of_tenants is None:
            return self.default
        own = self.of_tenants.get(tenant_key(tenant_id))
        return Retention() if own is None else own.over(self.default)

    def know(self, tenant_id: str) -> bool:
        """Whether anything is removed of a tenant if its time is over."""
        return self.of_tenants is None or tenant_key(tenant_id) in self.of_tenants

    @property
    def remove(self) -> bool:
        """Whether anything is ever removed."""
        of_tenants = (self.of_tenants or {}).values()
        return self.default.removes or any(one.removes for one in of_tenants)


def retention_duty(rules: Callable[[], Rules]) -> Duty:
    """The duty of a courier to remove what is kept no longer. The couriers on a store go on where
    the last one stopped."""

    def step(now: datetime) -> Turn[bool]:
        present = rules()
        if not present.remove:
            return False
        mark = yield from perform(Read(lambda store: store.looked_up_to()))
        found, after = list[Settled](), mark
        for _ in range(PAGES_AT_ONCE):
            page = yield from perform(Read(partial(_settled, after)))
            found += [one for one in page.uploads if parts_over(one, present, now)]
            after = page.next_mark or 0
            if not after or len(found) >= FOUND_AT_ONCE:
                break
        failed = None
        for some in batches_of(found, present, now):
            try:
                yield from perform(Write(partial(remove_together, some)))
            except StoreError as error:
                if error.passing:
                    raise
                failed = (yield from _each_alone(some)) or failed
        if after != mark:
            yield from perform(Write(lambda store: store.look_from(after)))
        if failed is not None:
            raise failed
        return after != 0

    return Duty("removing what is kept no longer", RETAIN_EVERY, step)


def _settled(after: int, store: UploadReader) -> SettledPage:
    return store.settled(after, LOOKED_AT)


def _each_alone(removals: Sequence[Removal]) -> Turn[StoreError | None]:
    """Make removals that cannot be made together: what is wrong with one tenant's records is no
    reason to keep those of the others. The last error."""
    failed = None
    for one in removals:
        try:
            yield from perform(Write(partial(_remove, one)))
        except StoreError as error:
            failed = error
    return failed


def remove_together(removals: Sequence[Removal], store: UploadStore) -> Sequence[Removed]:
    """Make these removals, in one transaction if the store can."""
    with store.transaction() if isinstance(store, Transactional) else nullcontext():
        return [store.remove(one) for one in removals]


def _remove(removal: Removal, store: UploadStore) -> Removed:
    return store.remove(removal)


def parts_over(one: Settled, rules: Rules, now: datetime) -> frozenset[Part]:
    """What of an upload is to be removed."""
    succeeded, own = one.status is Status.SUCCEEDED, rules.of(one.key.tenant_id)
    over = own.over_by(one.at, now, succeeded=succeeded)
    if Part.PERSONAL in over:  # the document names the person, too
        over |= {Part.DOCUMENT}
    return over & one.parts


def batches_of(
    uploads: Iterable[Settled], rules: Rules, now: datetime, person: Person | None = None
) -> Iterator[Sequence[Removal]]:
    """What is to be removed of some settled uploads: in each batch of REMOVED_AT_ONCE uploads at
    most."""
    batch, size = list[Removal](), 0
    for removal in removals_of(uploads, rules, now, person):
        if size + len(removal.parts) > REMOVED_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append(removal)
        size += len(removal.parts)
    if batch:
        yield batch


def removals_of(
    uploads: Iterable[Settled], rules: Rules, now: datetime, person: Person | None = None
) -> Iterator[Removal]:
    """What is to be removed of some settled uploads, for each tenant; by a person, or because the
    rules say so."""
    of_tenants: defaultdict[str, dict[UploadKey, tuple[int, frozenset[Part]]]] = defaultdict(dict)
    for one in uploads:
        if over := parts_over(one, rules, now):
            of_tenants[one.key.tenant_id][one.key] = (one.version, over)
    for tenant_id, parts in of_tenants.items():
        why = person or Person(COURIER, f"kept no longer: {rules.of(tenant_id)}")
        left = iter(parts.items())
        while some := dict(islice(left, REMOVED_AT_ONCE)):
            yield Removal(action="prune", tenant_id=tenant_id, person=why, at=now, parts=some)


def all_removals(
    store: UploadReader, rules: Rules, now: datetime, person: Person | None = None
) -> Iterator[Removal]:
    """The same of all that is recorded."""
    mark: int | None = 0
    while mark is not None:
        page = store.settled(mark, LOOKED_AT)
        yield from removals_of(page.uploads, rules, now, person)
        mark = page.next_mark


def parts_of(removal: Removal) -> Counter[Part]:
    """How many uploads would lose which part."""
    return Counter(part for _, parts in removal.parts.values() for part in parts)


# --- a person ------------------------------------------------------------------------------------


@frozen(kw_only=True)
class Erasure:
    """What came of erasing a person.

    - `uploads`: the person's uploads, as they were before.
    - `open`: those that are not settled. Nothing is removed as long as there is one.
    - `texts`: how many other texts of the tenant's records name the person, if it is a preview.
    - `others`: the uploads that are not the person's by the name that was given, but have another
      name of theirs, such as the address with another id; if it is a preview. They stay.
    - `common`: names of the person that are not searched for in these, since they may mean
      something else.
    - `removed`: what went; None: nothing was removed.
    """

    uploads: tuple[UploadStatus, ...] = ()
    open: tuple[UploadStatus, ...] = ()
    texts: int = 0
    others: tuple[UploadStatus, ...] = ()
    common: tuple[str, ...] = field(default=(), repr=False)
    removed: Removed | None = None


class Access(Protocol):
    """Calls a verb of a store, and waits for what it gives."""

    def __call__(self, verb: Callable[[Any], T], /) -> Awaitable[T]: ...


@frozen
class Whom:
    """Who is erased from which tenant's records. With `common_too`, names that may mean something
    else are searched for in all texts, too."""

    tenant_id: str
    subject: str = field(repr=False)
    common_too: bool = False

    async def uploads(self, read: Access) -> Sequence[PersonsUpload]:
        """The person's uploads."""
        found: Sequence[PersonsUpload] = await read(
            lambda store: store.of_person(self.tenant_id, self.subject)
        )
        return found

    async def texts(
        self, read: Access, names: Sequence[str], besides: Sequence[PersonsUpload] = ()
    ) -> NamingTexts:
        """The texts that name the person, but for those of these uploads."""
        wanted = [one for one in names if self.common_too or not is_common(one)]
        keys = [one.upload.key for one in besides]
        texts: NamingTexts = await read(lambda store: store.naming(self.tenant_id, wanted, keys))
        return texts

    async def preview(self, read: Access, found: Sequence[PersonsUpload]) -> Erasure:
        """What would be erased, beside the person's uploads as well."""
        names = _names_of(self.subject, found)
        texts = await self.texts(read, names, found)
        others = {
            one.upload.key: status_of_upload(one.upload, one.last_attempt_at)
            for name in names
            if name != self.subject  # these are found
            for one in await evolve(self, subject=name).uploads(read)
        }
        for one in found:
            others.pop(one.upload.key, None)
        return evolve(self.erasure_of(found), texts=texts.count, others=tuple(others.values()))

    def erasure_of(self, found: Sequence[PersonsUpload]) -> Erasure:
        """A person's uploads, and which of them are open."""
        statuses = [
            (one.upload, status_of_upload(one.upload, one.last_attempt_at)) for one in found
        ]
        names = () if self.common_too else _names_of(self.subject, found)
        return Erasure(
            uploads=tuple(status for _, status in statuses),
            open=tuple(status for upload, status in statuses if not upload.status.settled),
            common=tuple(filter(is_common, names)),
        )


def _names_of(subject: str, found: Sequence[PersonsUpload]) -> Sequence[str]:
    return sorted({subject, *(name for one in found for name in one.names)})


def require_subject(subject: str) -> None:
    """MisuseError if this names no person."""
    of_kind("subject", subject, str, "text")
    if not subject.strip() or not is_whole(subject):
        raise MisuseError("subject must name the person who is erased")


def require_unnamed(person: Person, subject: str, found: Sequence[PersonsUpload]) -> None:
    """MisuseError if who erases, or why, names the person, also as the person's uploads do: that is
    kept."""
    names = Names(_names_of(subject, found))
    for name, text in (("by", person.by), ("reason", person.reason)):
        if names.stand_in(text):
            raise MisuseError(
                f"{name} names the person who is erased, and is recorded: write it without the name"
            )


async def erase(read: Access, write: Access, whom: Whom, person: Person, now: datetime) -> Erasure:
    """Remove what names a person, unless an upload of theirs is open. The texts of all of the
    tenant are searched before anything is written: no writer waits for that."""
    for _ in range(_TRIES):
        found = await whom.uploads(read)
        erasure = whom.erasure_of(found)
        if erasure.open:
            return erasure
        require_unnamed(person, whom.subject, found)
        names = _names_of(whom.subject, found)
        texts = await whom.texts(read, names)
        if not found and not texts.count:  # nothing to remove is nothing to record
            return evolve(erasure, removed=Removed(dict.fromkeys(Part, 0)))
        removal = Removal(
            action="erase",
            tenant_id=whom.tenant_id,
            person=person,
            at=now,
            parts={
                one.upload.key: (one.upload.version, frozenset({Part.PERSONAL})) for one in found
            },
            subject=whom.subject,
            names=names,
            texts=texts,
        )
        removed: Removed = await write(partial(_remove, removal))
        if not removed.left:
            late = await _erase_late(read, write, whom, removal)
            return evolve(erasure, removed=evolve(removed, texts=removed.texts + late))
    raise StoreError(f"uploads of tenant {whom.tenant_id!r} change all the time: try again")


async def _erase_late(read: Access, write: Access, whom: Whom, removal: Removal) -> int:
    """Erase the person from texts that were written during the search; how many they were."""
    many = 0
    for _ in range(_TRIES):
        texts = await whom.texts(read, removal.names)
        if not texts.count:
            break
        again = evolve(removal, parts={}, texts=texts)
        removed: Removed = await write(partial(_remove, again))
        many += removed.texts
    return many
