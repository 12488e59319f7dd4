"""One upload's turn: an attempt or a look-up, from the gate to the record of what came of it.

Whatever it comes to is written down, however often that takes, and told afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Protocol, TypeVar

from attrs import frozen

from ...domain.errors import StoreError
from ...domain.pacing.gate import Blocked as GateBlocked
from ...domain.pacing.gate import GateChange, NotBefore
from ...domain.upload.attempt import Attempt, attempt_of
from ...domain.upload.events import AttemptEnded as AttemptEndedEvent
from ...domain.upload.events import Blocked, Event, LookedUp, Progressed, Unfit
from ...domain.upload.transitions import advance
from ...domain.upload.upload import LookingUp, Sending, Upload, due_of
from ...domain.upload.verdict import Rejected, Unbundled, Unreadable, Verdict, word_of
from ...ports.clock import Clock
from ...ports.gates import ChargeAnswer, Charged
from ...ports.logger import (
    AttemptEnded,
    AttemptStarted,
    LogEvent,
    LookUpEnded,
    WriteDelayed,
)
from ...ports.records import BeginAnswer, Begun, Change, Conflict, LookUp, SaveAnswer, Saved, Start
from ...ports.store import UploadStore
from ...ports.writer import Writer
from .attempt import Attempter, Packed, broken, interrupted
from .live import Live
from .reckoning import (
    AttemptResult,
    attempt_result_of,
    beginning_of,
    look_up_result_of,
    one_speaks_for_all,
    shared_id,
)
from .telling import news_of_gate

STORE_RETRY = (timedelta(seconds=1), timedelta(seconds=30))
"""The first and the longest pause before a refused write is tried again."""

T = TypeVar("T")


@frozen
class _Came:
    """An attempt that has ended, with what it came to."""

    live: Live
    start: Start
    verdict: Verdict | Unbundled


class Around(Protocol):
    """What a turn needs from the engine around it."""

    closing: bool

    def log(self, event: LogEvent) -> None:
        """Tell the host."""
        ...

    async def read(self, verb: Callable[[], T]) -> T:
        """Run a reading verb of the store off the loop."""
        ...

    def lost(self, live: Live) -> None:
        """The record of an upload has been deleted under our hands."""
        ...


class Turns:
    """Takes turns for one courier. `owner` is its number in the store."""

    def __init__(
        self,
        *,
        around: Around,
        store: UploadStore,
        writer: Writer,
        attempter: Attempter,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self.owner = 0
        self._around = around
        self._store = store
        self._writer = writer
        self._attempter = attempter
        self._clock = clock
        self._jitter = jitter

    async def attempt(self, lives: Sequence[Live]) -> NotBefore | None:
        """One attempt, to its end, of one upload or of each of several that go in one request;
        or why none of them may begin yet."""
        starts = [
            (live, start) for live in lives if (start := await self._start_of(live)) is not None
        ]
        if not starts:
            return None
        first = starts[0][0]
        of_all = [start for _, start in starts]
        answers, cut_off = await self._begin(first, lambda: self._writer.begin(of_all))
        for answer in answers:
            if isinstance(answer, NotBefore):
                return answer
        begun = [
            (live, start, answer)
            for (live, start), answer in zip(starts, answers, strict=True)
            if await self._has_begun(live, start, answer)
        ]
        # Not Begun: our own write, which was made after all.
        packed = [
            Packed(start.upload, live.dossier, answer.content, partial(self._bookmark, live))
            for live, start, answer in begun
            if isinstance(answer, Begun)
        ]
        slots = [
            slot for _, _, answer in begun if isinstance(answer, Begun) for slot in answer.slots
        ]
        verdicts: Sequence[Verdict | Unbundled] = []
        request_id: str | None = None
        if packed and not cut_off:
            verdicts, request_id = await self._attempter.upload(
                packed, first.destination, charge=lambda: self._charge(first, slots)
            )
        of_key = dict(
            zip((one.upload.key for one in packed), one_speaks_for_all(verdicts), strict=False)
        )
        came = [
            _Came(live, start, of_key.get(live.upload.key, interrupted(sent=False)))
            for live, start, _ in begun
        ]
        if len(of_all) > 1:
            request_id = request_id or shared_id(of_all)
        if came:
            await self._end(came, slots, request_id)
        return None

    async def _start_of(self, live: Live) -> Start | None:
        """The attempt that an upload is about to make; None where there is none to make any
        more."""
        begins = beginning_of(live, self._clock.now())
        if not isinstance(begins, Upload):
            await self.apply(live, begins)
            return None
        budget = live.destination.rules.retry.max_attempts
        return Start(begins, live.destination.quota, self.owner, budget)

    async def _begin(self, live: Live, write: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """What the store answers to a beginning, and whether this turn was cut off meanwhile."""
        begin = asyncio.ensure_future(self._patiently(live, write))
        try:
            return await asyncio.shield(begin), False
        except asyncio.CancelledError:
            # What was asked for is written all the same: hear of it, and say that nothing was sent.
            return await begin, True

    async def _has_begun(self, live: Live, start: Start, answer: BeginAnswer) -> bool:
        """Whether the attempt is on disk and is ours; where not, what is true instead is taken
        up."""
        if isinstance(answer, GateBlocked):
            await self.apply(live, Blocked(self._clock.now(), answer.failure))
            return False
        if isinstance(answer, Conflict) and not (
            answer.current == start.upload and await self._is_ours(live)
        ):
            self._adopt_current(live, answer)
            return False
        sending = start.upload.state
        assert isinstance(sending, Sending)
        live.upload = start.upload
        live.last_attempt_at = sending.started_at
        self._around.log(AttemptStarted(start.upload.key, sending.attempt, start.budget))
        return True

    async def _end(
        self, came: Sequence[_Came], slots: Sequence[int], request_id: str | None
    ) -> None:
        """Write down what attempts came to that were made with these slots, in one transaction;
        then tell."""
        now = self._clock.now()
        ended: list[tuple[Live, AttemptResult, Change]] = []
        for one in came:
            live, sending = one.live, one.start.upload.state
            assert isinstance(sending, Sending)
            used = slots if not ended else ()
            end = attempt_result_of(
                one.verdict, sending, live.destination, used, now, self._jitter(), request_id
            )
            after = advance(live.upload, end.event, live.destination.rules)
            ended.append((live, end, Change(after, attempt=end.attempt, gate=end.gate)))
        # A single one shares a commit with whatever else there is.
        answers: Sequence[SaveAnswer | None] = [None]
        if len(ended) > 1:
            together = [change for _, _, change in ended]
            answers = await self._patiently(
                came[0].live, lambda: self._writer.run(lambda: self._store.save(together))
            )
        for (live, end, change), answer in zip(ended, answers, strict=True):
            if isinstance(answer, Saved):
                live.upload = change.upload
            elif isinstance(answer, Conflict) and not self._adopt_current(live, answer):
                await self._settle(live, end.gate)
                continue
            else:
                await self.apply(live, end.event, attempt=end.attempt, gate=end.gate)
            number, word = end.attempt.number, word_of(end.attempt.verdict)
            due = due_of(live.upload.state)
            self._around.log(AttemptEnded(live.upload.key, number, word, end.failure, due))
            self._tell_of_gate(live, end.gate)

    async def look_up(self, live: Live) -> NotBefore | None:
        """One look-up, to its end; or why it may not begin yet."""
        state = live.upload.state
        assert isinstance(state, LookingUp)
        quota, slots = live.destination.quota, list[int]()
        if quota.pace is not None:
            answer = await self._ask_for_one(live)
            if isinstance(answer, NotBefore):
                return answer
            if isinstance(answer, GateBlocked):
                await self.apply(live, Blocked(self._clock.now(), answer.failure))
                return None
            if answer.slot is not None:
                slots.append(answer.slot)
        finding = await self._attempter.look_up(
            live.upload, live.dossier, live.destination, charge=lambda: self._charge(live, slots)
        )
        now = self._clock.now()
        seen = look_up_result_of(finding, state.look_up, live.destination, slots, now)
        await self.apply(live, seen.event, look_up=seen.look_up, gate=seen.gate)
        word, due = seen.look_up.finding, due_of(live.upload.state)
        self._around.log(LookUpEnded(live.upload.key, state.look_up, word, seen.failure, due))
        self._tell_of_gate(live, seen.gate)
        return None

    async def fail_by_bug(self, live: Live, error: Exception) -> None:
        """Something that must not raise has raised: end this upload's turn in words, so that it
        never stands still."""
        sent = isinstance(live.upload.state, Sending)
        failure = broken(live.destination, error, sent).failure
        now = self._clock.now()
        match live.upload.state:
            case Sending(attempt=number, started_at=started_at):
                event = AttemptEndedEvent(now, number, Rejected(failure), 0.0)
                attempt = attempt_of(started_at, event, live.destination.rules.retry)
                await self.apply(live, event, attempt=attempt)
            case LookingUp(look_up=number):
                await self.apply(live, LookedUp(now, number, Unreadable(failure)))
            case _:
                await self.apply(live, Unfit(now, failure))

    async def apply(
        self,
        live: Live,
        event: Event,
        *,
        attempt: Attempt | None = None,
        look_up: LookUp | None = None,
        gate: GateChange | None = None,
    ) -> bool:
        """Write down what an event makes of an upload; whether it made anything of it.

        A refused write is read again, advanced again, written again.
        """
        while (after := advance(live.upload, event, live.destination.rules)) is not live.upload:
            change = Change(after, attempt=attempt, look_up=look_up, gate=gate)
            answer = await self._patiently(live, lambda change=change: self._writer.save(change))  # type: ignore[misc]
            if isinstance(answer, Saved):
                live.upload = after
                return True
            if not self._adopt_current(live, answer):
                break
        if gate is not None:  # somebody else was faster, and our requests were made all the same
            await self._settle(live, gate)
        return False

    async def _settle(self, live: Live, gate: GateChange) -> None:
        await self._patiently(live, lambda: self._writer.run(lambda: self._store.settle(gate)))

    async def _is_ours(self, live: Live) -> bool:
        """Whether what is in flight there is in flight here. Another courier may have begun in
        the very same moment."""
        key = live.upload.key
        ours = await self._patiently(
            live, lambda: self._around.read(lambda: self._store.in_flight(self.owner))
        )
        return any(found.upload.key == key for found in ours)

    async def _ask_for_one(self, live: Live) -> ChargeAnswer:
        """Ask the gate for one request."""
        quota, now = live.destination.quota, self._clock.now()
        return await self._patiently(
            live, lambda: self._writer.run(lambda: self._store.charge(quota, now, self.owner))
        )

    async def _charge(self, live: Live, slots: list[int]) -> None:
        """One request more than an upload costs waits for a slot of its own."""
        while True:
            match await self._ask_for_one(live):
                case NotBefore(at=at):
                    await self._clock.sleep_until(at)
                case Charged(slot=int() as slot):
                    slots.append(slot)
                    return
                case _:
                    return

    async def _bookmark(self, live: Live, progress: str) -> None:
        if not isinstance(progress, str):
            raise TypeError(f"its bookmark is {type(progress).__name__}, not text")
        state = live.upload.state
        assert isinstance(state, Sending)
        await self.apply(live, Progressed(self._clock.now(), state.attempt, progress))

    def _adopt_current(self, live: Live, conflict: Conflict) -> bool:
        """Another courier was faster: what it wrote is what is true."""
        if conflict.current is None:
            self._around.lost(live)
            return False
        live.upload = conflict.current
        return True

    async def _patiently(self, live: Live, write: Callable[[], Awaitable[T]]) -> T:
        """Write, however often it takes: what has happened at the provider cannot be taken back,
        so it must not be forgotten."""
        pause, longest = STORE_RETRY
        while True:
            try:
                return await write()
            except StoreError as error:
                if self._around.closing:
                    raise
                self._around.log(WriteDelayed(live.upload.key, str(error)))
            await self._clock.sleep_until(self._clock.now() + pause)
            pause = min(pause * 2, longest)

    def _tell_of_gate(self, live: Live, gate: GateChange) -> None:
        for news in news_of_gate(live.upload.key, gate):
            self._around.log(news)
