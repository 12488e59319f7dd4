"""What the faces of the records and of the couriers have in common."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypedDict, TypeVar, Unpack

from attrs import asdict, evolve, frozen

from ..delivery.actions import ActionResult, Which, chosen, preview_of
from ..delivery.destinations import Destination
from ..delivery.retention import Erasure, Whom, erase, require_subject, require_unnamed
from ..domain.arguments import several, word_of
from ..domain.errors import MisuseError, Problem
from ..domain.evidence.evidence import Evidence
from ..domain.health import OPEN, Count, RecordsHealth
from ..domain.integration import tenant_key
from ..domain.pacing.estimate import A_PLACE
from ..domain.pacing.paused import Paused, Resumed, Scope
from ..domain.upload.actions import Action, Person
from ..domain.upload.find import Find, Page
from ..domain.upload.status import UploadDetails, UploadStatus, wait_for_integration
from ..domain.upload.upload import Status, StatusWord, UploadKey
from ..domain.upload.verdict import DryRun
from ..ports.clock import Clock
from ..ports.records import UploadReader
from ..ports.removal import RemovalRow
from ..ports.store import UploadStore
from .refusals import refuse_unknown
from .tenants import Tenants

P = ParamSpec("P")
S = TypeVar("S", bound=UploadStatus)
T = TypeVar("T")


class Where(TypedDict, total=False):
    """Which uploads are meant: every filter that is given must hold.

    - `tenant_id`: only this tenant's.
    - `status`: only those in this status, a word of `UploadStatus`, or in one of several.
    - `open`: only those that are pending, retrying or held.
    - `kind`: only those with this kind of error, such as ``unauthorized``.
    - `provider`: only those to this provider.
    - `since`, `until`: only those recorded since, and before.
    - `id_prefix`: only those whose evidence id begins so.
    """

    tenant_id: str | None
    status: StatusWord | Sequence[StatusWord] | None
    open: bool
    kind: str | None
    provider: str | None
    since: datetime | None
    until: datetime | None
    id_prefix: str | None


@frozen(kw_only=True)
class Health(RecordsHealth):
    """The state of a courier: what the records tell, and numbers of this courier's own.
    `listener_failures`: how often the logger or `on_settled` raised, or one of them was left out;
    `duty_failures`: how often what is done now and then beside the uploads has failed. The uploads
    are not affected by either. `lost_readers`: the threads that wait for the host's document
    source, a file or a renderer and have not returned in time. `skipped_tenants` are those of the
    courier's configuration that are invalid and not in force."""

    running: bool
    tenants: int
    submitted: int
    planned: int
    under_way: int
    listener_failures: int = 0
    lost_readers: int = 0
    duty_failures: int = 0
    skipped_tenants: tuple[str, ...] = ()


class RecordsBasis(ABC):
    """What the methods that need no tenants are made of; each face has its own way to each."""

    _clock: Clock

    @abstractmethod
    async def _read(self, read: Callable[[UploadReader], T]) -> T: ...

    @abstractmethod
    async def _act_on(
        self, found: Sequence[UploadStatus], action: Action, person: Person
    ) -> ActionResult: ...

    @abstractmethod
    async def _write(self, write: Callable[[UploadStore], T]) -> T: ...

    def _waits(self, keys: Iterable[UploadKey]) -> Mapping[UploadKey, str]:
        """What uploads wait for whose time has come, as far as this courier knows."""
        return {}

    def _closer(self, found: Iterable[S]) -> Sequence[S]:
        """The statuses, with what this courier knows of those whose time has come."""
        keyed = [(UploadKey(one.tenant_id, one.evidence_id, one.provider), one) for one in found]
        waits = self._waits(key for key, one in keyed if one.waits_for == A_PLACE)
        return [
            one if (wait := waits.get(key)) is None else _waiting(one, wait) for key, one in keyed
        ]

    async def _act(
        self,
        action: Action,
        tenant_id: str,
        which: Which,
        by: str,
        reason: str,
        preview: bool,
    ) -> ActionResult:
        person, now = Person(by, reason), self._clock.now()
        found = await self._read(lambda store: chosen(store, tenant_id, which, action, now))
        if preview:
            return await self._read(lambda store: preview_of(store, action, found))
        return await self._act_on(found, action, person)


class Basis(RecordsBasis):
    """What the methods of couriers are made of."""

    _tenants: Tenants

    @abstractmethod
    async def _dry_run(self, destination: Destination) -> DryRun | None: ...

    @abstractmethod
    async def _workload(self) -> Mapping[str, int]: ...

    @property
    def problems(self) -> Sequence[Problem]:
        """What is not in force of the configuration: invalid tenants, and what was passed over."""
        return self._tenants.problems


class RecordsFace(RecordsBasis):
    """What people do to uploads and what they see, the same on `AsyncRecords`, `Records` and every
    courier.

    The actions `retry`, `release`, `abandon` and `attest` take the same arguments, return the same
    and raise the same. Each changes nothing when it is done twice.

    Args:
        tenant_id: The tenant whose uploads are meant.
        which: An evidence id, a list of them, or a `Filter` for some of the tenant's uploads:
            ``Filter()`` is all of them that the action is for.
        by: Who does it; recorded with the upload.
        reason: Why; recorded with the upload.
        preview: Do nothing; `done` is then what it would be done to.

    Returns:
        The uploads it was done to, as they are now, and those that were skipped with the reason.

    Raises:
        MisuseError: An upload that is named does not exist; `by` or `reason` is empty; or what may
            be done depends on a provider that is not installed here.
        StoreError: The database could not be read or written.
    """

    async def retry(
        self, tenant_id: str, which: Which, *, by: str, reason: str, preview: bool = False
    ) -> ActionResult:
        """Try failed uploads again, with a fresh budget and their history kept.

        If the failure was one of the whole integration, the integration counts as mended. See
        `RecordsFace` for the arguments.
        """
        return await self._act(Action.RETRY, tenant_id, which, by, reason, preview)

    async def release(
        self, tenant_id: str, which: Which, *, by: str, reason: str, preview: bool = False
    ) -> ActionResult:
        """Try again what is held or parked, or has failed because the integration did not work.

        If the integration or its target has stopped them, that counts as mended. See
        `RecordsFace` for the arguments.
        """
        return await self._act(Action.RELEASE, tenant_id, which, by, reason, preview)

    async def abandon(
        self, tenant_id: str, which: Which, *, by: str, reason: str, preview: bool = False
    ) -> ActionResult:
        """Give up uploads that are not settled: nothing more is sent.

        An attempt in flight is not interrupted. See `RecordsFace` for the arguments.
        """
        return await self._act(Action.ABANDON, tenant_id, which, by, reason, preview)

    async def attest(
        self, tenant_id: str, which: Which, *, by: str, reason: str, preview: bool = False
    ) -> ActionResult:
        """Record that held or failed uploads have arrived: a person has seen them at the provider.

        See `RecordsFace` for the arguments.
        """
        return await self._act(Action.ATTEST, tenant_id, which, by, reason, preview)

    async def erase(
        self,
        tenant_id: str,
        subject: str,
        *,
        by: str,
        reason: str,
        abandon: bool = False,
        common: bool = False,
        preview: bool = False,
    ) -> Erasure:
        """Remove everything that names a person from a tenant's records; that it was done stays on
        record, without the name.

        Ids, states, times and counts stay, and what was delivered is not sent again. As long as an
        upload of the person is open, nothing is removed. Doing it again removes what has come
        since.

        Args:
            tenant_id: Whose records.
            subject: The person's id, as evidence gave it, or their e-mail address.
            by: Who erases; recorded.
            reason: Why; recorded.
            abandon: Give up the person's open uploads first. One that is being sent stays open.
            common: Search the texts of other uploads, too, for a name that is no address and has
                less than 4 characters or no letter. It may mean something else there, such as 503.
            preview: Do nothing; the uploads are returned, and how many other texts name the person.

        Returns:
            The person's uploads, which of them are open, and what was removed.

        Raises:
            MisuseError: `by` or `reason` is empty or names the person.
            StoreError: The database could not be read or written.
        """
        person = Person(by, reason)
        require_subject(subject)
        whom = Whom(tenant_id, subject, common)
        theirs = await whom.uploads(self._read)
        require_unnamed(person, subject, theirs)
        if preview:
            return await whom.preview(self._read, theirs)
        found = whom.erasure_of(theirs)
        if found.open and abandon:
            await self._act_on(found.open, Action.ABANDON, person)
        return await erase(self._read, self._write, whom, person, self._clock.now())

    async def removals(self, tenant_id: str | None = None) -> Sequence[RemovalRow]:
        """What was removed, of a tenant or of all: when, by whom, why and how much; the latest
        first."""
        return await self._read(lambda store: store.removals(tenant_id))

    async def pause(
        self,
        tenant_id: str | None = None,
        provider: str | None = None,
        *,
        by: str,
        reason: str,
    ) -> Paused:
        """Begin nothing more for a tenant, a provider, or a tenant with a provider.

        What is under way ends. Evidence is still recorded; it is held, and goes on by itself once a
        person resumes the same. Couriers in other processes notice with their next beginning.

        Returns:
            The pause. What is paused already stays paused by whom it was.

        Raises:
            MisuseError: Neither is named, or one is empty; or `by` or `reason` is.
            StoreError: The database could not be read or written.
        """
        who = Person(by, reason)
        pause = Paused(Scope(tenant_id, provider), self._clock.now(), who.by, who.reason)
        await self._write(lambda store: store.save([pause]))
        paused = await self._read(_paused)
        return next((one for one in paused if one.scope == pause.scope), pause)

    async def resume(
        self,
        tenant_id: str | None = None,
        provider: str | None = None,
        *,
        by: str,
        reason: str,
    ) -> Paused | None:
        """End the pause of a tenant, a provider, or a tenant with a provider, as it was paused.

        Returns:
            What was paused; None if it was not. Uploads that another pause covers stay held.

        Raises:
            MisuseError: Neither is named, or one is empty; or `by` or `reason` is.
            StoreError: The database could not be read or written.
        """
        who, scope = Person(by, reason), Scope(tenant_id, provider)
        end = Resumed(scope, self._clock.now(), who.by, who.reason)
        paused = await self._read(_paused)
        await self._write(lambda store: store.save([end]))
        return next((one for one in paused if one.scope == scope), None)

    async def paused(self) -> Sequence[Paused]:
        """What people have paused and not resumed, the oldest first."""
        return await self._read(_paused)

    async def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str]
    ) -> Mapping[str, UploadStatus]:
        """The statuses of a tenant's evidences by evidence id, in one query; unknown ones are
        absent."""
        wanted, now = several("evidence_ids", evidence_ids, str, "text"), self._clock.now()
        found = await self._read(lambda store: store.statuses(tenant_id, wanted, now))
        return dict(zip(found, self._closer(found.values()), strict=True))

    async def find(
        self, *, after: str | None = None, limit: int = 100, **where: Unpack[Where]
    ) -> Page:
        """A page of uploads, newest first, for which every filter that is given holds.

        Args:
            after: The `next_page` of the page before.
            limit: The most that a page has.
            where: The filters, see `Where`.

        Raises:
            MisuseError: An argument cannot be right: `status` is no such word, for instance; or
                more than 10,000 evidence ids begin with `id_prefix`.
        """
        find, now = evolve(_find_of(where), after=after, limit=limit), self._clock.now()
        page = await self._read(lambda store: store.find(find, now))
        return evolve(page, uploads=tuple(self._closer(page.uploads)))

    async def counted(self, **where: Unpack[Where]) -> Sequence[Count]:
        """How many uploads there are for which every filter holds, by tenant, provider, status and
        error. For the filters see `Where`.

        Raises:
            MisuseError: As in `find`.
        """
        find = _find_of(where)
        return await self._read(lambda store: store.counted(find))

    async def show(self, tenant_id: str, evidence_id: str) -> UploadDetails | None:
        """One upload with every attempt; None if it does not exist."""
        now = self._clock.now()
        found = await self._read(lambda store: store.show(tenant_id, evidence_id, now))
        return None if found is None else self._closer([found])[0]

    async def counts(self) -> Mapping[str, int]:
        """How many uploads are in the database, by status word."""
        return await self._read(_counts)

    async def health(self) -> RecordsHealth:
        """What the records tell, for a host's health page. It reads figures that are kept with each
        write: a page for each of a thousand tenants is made in some milliseconds."""
        now = self._clock.now()
        return await self._read(lambda store: store.health(now))


class Face(RecordsFace, Basis):
    """What is the same on every courier: also what needs the tenants."""

    async def doctor(self, tenant_id: str) -> DryRun | None:
        """Ask the provider whether the tenant's uploads would work. Uploads nothing.

        Waits up to three minutes for its turn: the pace is shared with the uploads.

        Returns:
            Ready or NotReady; None if the tenant has no integration, or its provider has no dry
            run.
        """
        destination = self._tenants.destinations.get(tenant_key(tenant_id))
        return None if destination is None else await self._dry_run(destination)

    async def health(self) -> Health:
        """The state of the courier, for a host's health page. A `BlockingCourier` plans nothing,
        and its `under_way` are the calls of this process."""
        own: dict[str, Any] = dict(await self._workload())
        stored = await RecordsFace.health(self)
        in_force = self._tenants.destinations
        return Health(
            running=True,
            tenants=len(in_force),
            skipped_tenants=tuple(sorted(self._tenants.broken.keys() - in_force.keys())),
            **asdict(stored, recurse=False),
            **own,
        )


def without_await(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingRecordsFace, P], T]:
    """The same method for a caller that blocks."""

    @wraps(method)
    def call(self: BlockingRecordsFace, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(lambda face: method(face, *args, **kwargs))

    return call


class BlockingRecordsFace(ABC):
    """The methods of `RecordsFace` for a caller that blocks."""

    @abstractmethod
    def _call(self, method: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """Call a method of a `RecordsFace`, and wait for its result."""

    retry = without_await(RecordsFace.retry)
    release = without_await(RecordsFace.release)
    abandon = without_await(RecordsFace.abandon)
    attest = without_await(RecordsFace.attest)
    erase = without_await(RecordsFace.erase)
    removals = without_await(RecordsFace.removals)
    pause = without_await(RecordsFace.pause)
    resume = without_await(RecordsFace.resume)
    paused = without_await(RecordsFace.paused)
    statuses = without_await(RecordsFace.statuses)
    find = without_await(RecordsFace.find)
    show = without_await(RecordsFace.show)
    counts = without_await(RecordsFace.counts)
    counted = without_await(RecordsFace.counted)


class BlockingFace(BlockingRecordsFace):
    """The methods of `Face` for a caller that blocks."""

    doctor = without_await(Face.doctor)
    health = without_await(Face.health)


def at_once(verb: Coroutine[Any, Any, T]) -> T:
    """The result of a method that awaits nothing that is waited for: it ends at its first step."""
    try:
        verb.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    raise AssertionError("a method that blocks has waited")


def _paused(reader: UploadReader) -> Sequence[Paused]:
    return reader.paused()


def _counts(reader: UploadReader) -> Mapping[str, int]:
    return {status.value: number for status, number in reader.counts().items()}


def _find_of(where: Where) -> Find:
    refuse_unknown(where, Where.__annotations__, "filter of uploads", "after", "limit")
    statuses, word = [], where.get("status")
    if word is not None:
        words = (word,) if isinstance(word, str) else several("status", word, str, "a word")
        statuses = [word_of(Status, "status", one) for one in words]
    if where.get("open", False):
        statuses = [one for one in OPEN if not statuses or one in statuses]
        if not statuses:
            raise MisuseError("no upload is open in that status: leave out `open` or `status`")
    return Find(
        tenant_id=where.get("tenant_id"),
        statuses=statuses,
        kind=where.get("kind"),
        provider=where.get("provider"),
        since=where.get("since"),
        until=where.get("until"),
        id_prefix=where.get("id_prefix"),
    )


def _waiting(status: S, wait: str) -> S:
    if wait == wait_for_integration(status.tenant_id, status.provider):
        return evolve(status, waits_for=wait, next_attempt_at=None)
    return evolve(status, waits_for=wait)


def require_evidence(evidence: object, verb: str) -> None:
    """MisuseError if this is no `Evidence`."""
    if not isinstance(evidence, Evidence):
        raise MisuseError(f"{verb} takes an Evidence, not {type(evidence).__name__}")
