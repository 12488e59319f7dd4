"""What `submit` gives back: a handle on one upload that one may await, or forget; and the same
for code that blocks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from opcode import opmap
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar
from weakref import ref

from ...delivery.active import ActiveUploads
from ...delivery.postponed import Waiter
from ...domain.arguments import number_of_seconds
from ...domain.errors import MisuseError
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import Status, UploadKey, due_of
from .packing import Packed, pack_status, unpack_status

T = TypeVar("T")


class _Promise(Generic[T]):
    """A value to come. Unlike a future it makes nothing until a caller waits, and does not
    warn if no one does."""

    __slots__ = ("_answer", "_waiting")

    def __init__(self) -> None:
        self._answer: tuple[T] | Exception | None = None
        self._waiting: list[asyncio.Future[None]] | None = None

    @property
    def has_value(self) -> bool:
        return isinstance(self._answer, tuple)

    @property
    def is_none(self) -> bool:
        return self._answer == (None,)

    def keep(self, answer: tuple[T] | Exception) -> None:
        """The first value stays; until then the latest error does."""
        if isinstance(self._answer, tuple):
            return
        self._answer = answer
        waiters, self._waiting = self._waiting or (), None
        for waiting in waiters:
            if not waiting.done():
                waiting.set_result(None)

    def forget_error(self) -> None:
        """There is a value to come after all."""
        if not isinstance(self._answer, tuple):
            self._answer = None

    async def wait(self) -> T:
        while (answer := self.answer()) is None:
            waiting = asyncio.get_running_loop().create_future()
            if self._waiting is None:
                self._waiting = []
            self._waiting.append(waiting)
            try:
                await waiting
            finally:
                if self._waiting and waiting in self._waiting:  # given up: leave nothing behind
                    self._waiting.remove(waiting)
        return answer[0]

    def answer(self) -> tuple[T] | None:
        """The value, in any thread; None before it has one. Raises the error."""
        answer = self._answer
        if isinstance(answer, Exception):
            raise answer
        return answer


_RECORDED: _Promise[Any] = _Promise()
"""What tickets share: None has come."""
_RECORDED.keep((None,))
_OPEN: _Promise[Any] = _Promise()
"""What tickets share as long as none of them is waited for: it is never kept."""


class _Asked(_Promise[T]):
    """A value that is asked for when it is waited for, once there is the one `after` which it
    comes."""

    __slots__ = ("_after", "_ask")

    def __init__(self, ask: Callable[[], Awaitable[T]], after: _Promise[Any] | None = None) -> None:
        super().__init__()
        self._ask = ask
        self._after = after

    async def wait(self) -> T:
        if self.answer() is None:
            if self._after is not None:
                await self._after.wait()
            self.keep((await self._ask(),))
        return await super().wait()


class _Recalled(_Asked[UploadStatus | None]):
    """The end of an upload that may not exist."""

    __slots__ = ()

    @property
    def is_none(self) -> bool:
        return self._answer in (None, (None,))


class Ticket:
    """A handle on the upload of one evidence.

    Awaiting it is optional. Its methods are awaited on the loop on which the courier runs.
    """

    __slots__ = (
        "__weakref__",
        "_end",
        "_provider",
        "_recorded",
        "_settled",
        "_uploads",
        "evidence_id",
        "loop",
        "tenant_id",
    )

    def __init__(
        self,
        tenant_id: str,
        evidence_id: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.tenant_id = tenant_id
        self.evidence_id = evidence_id
        self.loop = loop
        self._uploads: ActiveUploads | None = None
        self._provider = ""
        self._recorded: _Promise[Any] = _OPEN
        self._settled: _Promise[UploadStatus | None] = _OPEN
        self._end: Packed | None = None

    def __repr__(self) -> str:
        if self._end is not None:
            state = "settled"
        elif self._settled.is_none:
            state = "no integration"
        else:
            state = "recorded" if self._recorded.has_value else "submitted"
            state = "settled" if self._settled.has_value else state
        return f"<Ticket {self.tenant_id}/{self.evidence_id} {state}>"

    def __await__(self) -> NoReturn:
        raise MisuseError(
            "a ticket is not awaited itself: `await ticket.recorded()`, or `await ticket.settled()`"
        )

    async def recorded(self) -> None:
        """Return once the evidence is on disk and survives a crash; at once for a tenant without an
        integration.

        Raises StoreError if it could not be written; the message says whether it is kept and still
        tried. MisuseError if the courier is closed: nothing is uploaded then. The evidence can be
        submitted again in any case.
        """
        self._check_loop()
        self.promise()
        await self._recorded.wait()

    async def settled(self, timeout: float | None = None) -> UploadStatus | None:
        """The upload's status once it has succeeded, failed, is held, is parked (which is
        `retrying`) or was skipped; None if the tenant has no integration.

        `timeout` is in seconds; after it TimeoutError is raised, and the upload goes on. Raises
        like `recorded`.
        """
        self._check_loop()
        if timeout is not None:
            number_of_seconds("timeout", timeout)
        if self._end is not None:
            return unpack_status(self._end)
        self.promise()
        if timeout is None:
            return await self._settled_at_last()
        try:
            async with asyncio.timeout(timeout):
                return await self._settled.wait()
        except TimeoutError:
            raise self.not_settled(timeout) from None

    async def _settled_at_last(self) -> UploadStatus | None:
        # A task that nothing else refers to would be lost with the ticket that it waits for.
        awaited: dict[object, Waiter] = {} if self._uploads is None else self._uploads.awaited
        waiting = object()
        awaited[waiting] = self
        try:
            return await self._settled.wait()
        finally:
            del awaited[waiting]

    def for_threads(self, way: WayIn) -> SyncTicket:
        """The same for code that blocks."""
        self.promise()
        return SyncTicket(self, self._recorded, self._settled, way)

    def not_settled(self, timeout: float | None) -> TimeoutError:
        """What a caller hears who has waited in vain: the state, and when it goes on."""
        state, due = "recorded" if self._recorded.has_value else "not recorded yet", None
        if self._uploads is not None:
            key = UploadKey(self.tenant_id, self.evidence_id, self._provider)
            if (active := self._uploads.get(key)) is not None:
                state, due = active.upload.status.value, due_of(active.upload.state)
            elif (due := self._uploads.postponed.due_of(key)) is not None:
                state = Status.RETRYING.value
        state += f", and due at {due:%Y-%m-%d %H:%M:%S} UTC" if due is not None else ""
        return TimeoutError(
            f"{self.tenant_id}/{self.evidence_id} is not settled after {timeout or 0:g} s: "
            f"it is {state}; the upload goes on"
        )

    # --- for the engine, on its loop ---

    def is_among(self, uploads: ActiveUploads, provider: str) -> None:
        """Where its upload is found while it is active."""
        self._uploads, self._provider = uploads, provider

    def is_elsewhere(
        self,
        settled: Callable[[], Awaitable[UploadStatus | None]],
        recorded: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Any courier may deliver it, so that its end is asked for; and its record, if it is its
        host that writes it."""
        if recorded is None:
            self.promise()
            self._settled = _Asked(settled, self._recorded)
        else:
            self._settled, self._recorded = _Asked(settled), _Asked(recorded)

    def loosely(self, dropped: Callable[[], object]) -> Callable[[], Ticket | None]:
        """As in `Waiter`."""
        return ref(self, lambda _: dropped())

    def is_left_alone(self, known: Callable[[], Awaitable[UploadStatus | None]]) -> None:
        """Nothing is recorded for it; whether something was before is asked for."""
        self._recorded, self._settled = _RECORDED, _Recalled(known)

    def promise(self) -> None:
        """From here on it has its own: it is waited for, or there is an answer. Before another
        thread than its loop's waits, and its loop learns of it: each would make one."""
        if self._recorded is _OPEN:
            self._recorded = _Promise()
        if self._settled is _OPEN:
            self._settled = _Promise()
            if self._end is not None:
                self._settled.keep((unpack_status(self._end),))

    def mark_recorded(self) -> None:
        if self._recorded is not _OPEN:
            self._recorded.keep((None,))
        self._recorded = _RECORDED
        self._settled.forget_error()

    def mark_delayed(self, error: Exception) -> None:
        """It is not recorded yet, and still tried."""
        self.promise()
        self._recorded.keep(error)
        self._settled.keep(error)

    def mark_settled(self, status: UploadStatus | None) -> None:
        self.mark_recorded()
        self.promise()
        self._settled.keep((status,))
        if status is not None:  # what waits has the promise
            self._end, self._settled = self._end or pack_status(status), _OPEN

    def mark_lost(self, error: Exception) -> None:
        """There will be no answer, or not yet: what comes later stands."""
        self.promise()
        self._recorded.keep(error)
        self._settled.keep(error)

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self.loop:
            raise MisuseError(
                f"the ticket of {self.tenant_id}/{self.evidence_id} was awaited on another event "
                "loop than its courier's: await it where the courier runs, or use a Courier, whose "
                "tickets wait in any thread"
            )


class NothingToDo(Ticket):
    """The ticket of a tenant without an integration: nothing is recorded, or comes. One is made for
    each evidence of such a tenant: without arguments, which would take twice as long."""

    __slots__ = ()
    _end = None
    _uploads = None
    _recorded = _RECORDED
    _settled = _RECORDED

    if not TYPE_CHECKING:
        __init__ = object.__init__
    else:

        def __init__(self) -> None: ...


class WayIn(Protocol):
    """How code that blocks gets to the courier's loop."""

    def check(self) -> None:
        """MisuseError where one must not wait."""
        ...

    def call(self, verb: Callable[[], Coroutine[Any, Any, T]], timeout: float | None = None) -> T:
        """What awaiting `verb()` on the loop gives, or raises; TimeoutError after `timeout`
        seconds."""
        ...


class SyncTicket:
    """A handle on the upload of one evidence, for code that blocks.

    Waiting is optional, and may be done in any thread but the courier's own.
    """

    __slots__ = ("_recorded", "_settled", "_ticket", "_way")

    def __init__(
        self,
        ticket: Ticket,
        recorded: _Promise[Any],
        settled: _Promise[UploadStatus | None],
        way: WayIn,
    ) -> None:
        self._ticket = ticket
        self._recorded = recorded
        self._settled = settled
        self._way = way

    def __repr__(self) -> str:
        return f"<Sync{repr(self._ticket)[1:]}"

    def __await__(self) -> NoReturn:
        raise _not_for_await()

    @property
    def tenant_id(self) -> str:
        """Whose evidence it is."""
        return self._ticket.tenant_id

    @property
    def evidence_id(self) -> str:
        """Which evidence of the tenant's it is."""
        return self._ticket.evidence_id

    def recorded(self) -> None:
        """Return once the evidence is on disk and survives a crash; at once for a tenant without an
        integration.

        Raises StoreError if it could not be written; the message says whether it is kept and still
        tried. MisuseError if the courier is closed: nothing is uploaded then. The evidence can be
        submitted again in any case. MisuseError too in the courier's own thread and in a forked
        child.
        """
        self._wait(self._recorded, None)

    def settled(self, timeout: float | None = None) -> UploadStatus | None:
        """The upload's status once it has succeeded, failed, is held, is parked (which is
        `retrying`) or was skipped; None if the tenant has no integration.

        `timeout` is in seconds; after it TimeoutError is raised, and the upload goes on. Raises
        like `recorded`.
        """
        if timeout is not None:
            number_of_seconds("timeout", timeout)
        try:
            return self._wait(self._settled, timeout)
        except TimeoutError:
            raise self._ticket.not_settled(timeout) from None

    def _wait(self, promise: _Promise[T], timeout: float | None) -> T:
        if _is_awaited(sys._getframe(2)):  # pyright: ignore[reportPrivateUsage]
            raise _not_for_await()
        self._way.check()
        # Also when the courier has been closed since, and its loop is gone.
        answer = promise.answer()
        return self._way.call(promise.wait, timeout) if answer is None else answer[0]


_AWAIT = opmap.get("GET_AWAITABLE")


def _is_awaited(caller: FrameType) -> bool:
    """Whether `await` stands before the call that this frame is in.

    It is read from the code, as `await` would say no more than that None, or a status, cannot be
    awaited, after the upload has settled. To wait in a coroutine without `await` is allowed.
    """
    code, after = caller.f_code.co_code, caller.f_lasti + 2
    while after < len(code) and code[after] == 0:  # the call's cache
        after += 2
    return after < len(code) and code[after] == _AWAIT


def _not_for_await() -> MisuseError:
    return MisuseError(
        "the ticket of a Courier is not awaited: call ticket.recorded() or ticket.settled() "
        "in a thread without `await`, or use an AsyncCourier, whose tickets are awaited"
    )
