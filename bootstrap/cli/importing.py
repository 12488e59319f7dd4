"""`evidence-courier import`: hand old records in, oldest first, behind what is fresh."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeAlias

import click
from attrs import define, evolve, field

from ...adapters.engines.tickets import Ticket
from ...delivery.backfill import time_for
from ...delivery.destinations import Destination
from ...domain.errors import (
    ConfigError,
    CourierError,
    MisuseError,
    Problem,
    RecordError,
    StoreError,
)
from ...domain.evidence.evidence import Evidence
from ...domain.upload.failure import Concern, FailureKind, sentence
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import StatusWord
from ..courier import AsyncCourier
from ..wiring import CourierOptions
from .exits import STORE, UNDELIVERED, USAGE, end
from .old_records import OldRecord
from .output import number_of, print_json
from .place import Place
from .saying import say
from .signals import SIGNALLED
from .sorted_records import OldRecords, read_all
from .submit import Conflicts, Interruption, destination_of

KNOWN_AT_ONCE = 500
"""How many records are looked for in the database at once, before they are handed in."""

OPEN_AT_ONCE = 32
"""The most records of a tenant that are handed in and not at rest."""

LOOK_AGAIN = 1.0
_GOES_ON: Sequence[StatusWord] = ("pending", "retrying")
_UNTRIED: Sequence[StatusWord] = ("pending", "skipped")
_SAY_AGAIN = 60


COUNTED, MOST_FRESH = 100, 1_000
"""Of how many credentials what is fresh is counted, and up to which number."""


def _lists() -> defaultdict[str, list[UploadStatus]]:
    return defaultdict(list)


class Deliverer(Protocol):
    """What an import needs of a courier."""

    def submit(self, evidence: Evidence) -> Ticket: ...

    async def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str]
    ) -> Mapping[str, UploadStatus]: ...


def run(
    *,
    place: Place,
    source: str,
    tenant_id: str | None,
    skip_invalid: bool,
    fonts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Read all, hand all in, and print what became of them."""
    problems = Problems()
    records, of_refused = read_all(Path(source), tenant_id, problems, problems.read)
    problems.end_line()
    options: CourierOptions = {
        "fonts": fonts,
        "logger": Conflicts(),
        "on_unknown_tenant": "raise",
        "on_invalid": "skip",
    }
    courier = place.courier(**options)
    courier._tenants.backfill = True
    lanes = _lanes(courier, records, of_refused, problems)
    if problems.number and not skip_invalid:
        number = number_of(problems.number, "problem")
        end(f"{number}: nothing was handed in; mend them, or give --skip-invalid", USAGE)
    if not lanes:
        end("there is nothing to hand in", USAGE)
    work, interruption = Import(courier, lanes), Interruption()
    asyncio.run(_all_handed_in(courier, work, interruption))
    if work.under_way:
        with place.records() as stored:
            work.note_rest(stored.statuses)
    _print(work, problems.number, as_json)
    if interruption.number is not None and (work.left or work.under_way):
        sys.exit(SIGNALLED + interruption.number)
    if work.errors:
        sys.exit(STORE if any(isinstance(one, StoreError) for one in work.errors) else USAGE)
    if work.stopped or any(work.by_status[word] for word in ("failed", "held")):
        sys.exit(UNDELIVERED)


class Problems:
    """Says what is wrong, and counts it; and how much was read, if that takes long."""

    number = 0

    def __init__(self) -> None:
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._every = 1 if self._on_terminal else _SAY_AGAIN
        self._next = time.monotonic() + self._every
        self._in_a_line = False

    def __call__(self, problem: Problem) -> None:
        """Say it."""
        self.end_line()
        self.number += 1
        say(str(problem))

    def read(self, number: int) -> None:
        """This number of records was read."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            _say(f"{number:,} records read", again=self._on_terminal)
            self._in_a_line = self._on_terminal

    def end_line(self) -> None:
        """What is said next begins a line."""
        if self._in_a_line:
            click.echo(err=True)
        self._in_a_line = False


def _lanes(
    courier: AsyncCourier,
    records: OldRecords,
    of_refused: Mapping[str, Problem],
    problems: Problems,
) -> dict[str, tuple[Destination, Sequence[OldRecord]]]:
    """The records of each tenant that has an integration, with where they go. Of others it is said
    why not."""
    lanes = {}
    for tenant_id in dict.fromkeys([*records.tenants, *of_refused]):
        some = records.of(tenant_id)
        first = (
            some[0].problem("") if some else evolve(of_refused[tenant_id], path="", suggestion=None)
        )
        number = f" ({len(some):,} records)" if len(some) > 1 else ""
        try:
            destination = destination_of(courier._tenants, tenant_id)
        except ConfigError as error:
            for problem in error.problems:
                problems(problem)
            problems(evolve(first, message=f"its tenant is invalid{number}"))
        except MisuseError as error:
            problems(evolve(first, message=f"{error}{number}"))
        else:
            if destination is None:
                what = f"tenant {tenant_id!r} has no integration: nothing is sent{number}"
                problems(evolve(first, message=what))
            elif some:
                lanes[tenant_id] = destination, some
    return lanes


_Going: TypeAlias = "dict[str, asyncio.Future[UploadStatus | None]]"
"""What is handed in and waited for, by its evidence's id."""

_TO_DO: Mapping[Concern, str] = {
    Concern.INTEGRATION: "mend that",
    Concern.TARGET: "open it at the provider",
}


@define
class Import:
    """Hands in the records of each tenant, its oldest first, and a few at a time: what is recorded
    goes behind what is fresh, and what is tried again keeps others from being tried in vain."""

    courier: Deliverer
    lanes: Mapping[str, tuple[Destination, Sequence[OldRecord]]]
    known: int = field(default=0, init=False)
    by_status: Counter[str] = field(factory=Counter, init=False)
    stopped: dict[str, str] = field(factory=dict, init=False)
    to_do: dict[str, str] = field(factory=dict, init=False)
    fresh: Mapping[str, int] = field(factory=dict, init=False)
    errors: list[Exception] = field(factory=list, init=False)
    under_way: dict[str, Sequence[str]] = field(factory=dict, init=False)
    _left: Counter[str] = field(factory=Counter, init=False)
    _going: dict[str, _Going] = field(factory=dict, init=False)
    _held: defaultdict[str, list[UploadStatus]] = field(factory=_lists, init=False)
    _busy: set[str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._busy = {*self.lanes}
        self._left.update({one: len(records) for one, (_, records) in self.lanes.items()})

    @property
    def total(self) -> int:
        """How many records there are."""
        return sum(len(records) for _, records in self.lanes.values())

    @property
    def left(self) -> int:
        """How many are not handed in yet."""
        return self._left.total()

    def time_left(self) -> timedelta | None:
        """How long the rest takes at the providers' paces, with what is handed in and waits, and
        behind what is fresh."""
        waiting = {
            one: number + len(self._going.get(one, ())) for one, number in self._left.items()
        }
        uploads = ((self.lanes[one][0].quota, number) for one, number in waiting.items())
        return time_for(uploads, self.fresh)

    @property
    def longest(self) -> Sequence[str]:
        """The credentials with the most that is left."""
        lanes = (self.lanes[one][0].quota.credential for one, _ in self._left.most_common())
        return [*islice(dict.fromkeys(lanes), COUNTED)]

    async def hand_in(self, tenant_id: str) -> None:
        """All of one tenant's records."""
        _, records = self.lanes[tenant_id]
        going: _Going = {}
        self._going[tenant_id] = going
        try:
            for start in range(0, len(records), KNOWN_AT_ONCE):
                if await self._ends(tenant_id):
                    break
                await self._hand_in(tenant_id, records[start : start + KNOWN_AT_ONCE], going)
            while going or (tenant_id in self.stopped and not await self._ends(tenant_id)):
                await self._wait(tenant_id, going, until_tried=True)
        finally:
            self._busy.discard(tenant_id)
            for task in going.values():
                task.cancel()
            if going:
                self.under_way[tenant_id] = [*going]

    @property
    def _is_refused(self) -> bool:
        """Whether the database refuses. What is wrong with one record ends no other."""
        return any(isinstance(error, StoreError) for error in self.errors)

    async def _ends(self, tenant_id: str) -> bool:
        """Whether no more of a tenant is handed in. What has stopped it is looked at again as long
        as other tenants go on: a person may have resumed or mended it."""
        while tenant_id in self.stopped and self._busy - self.stopped.keys():
            await asyncio.sleep(LOOK_AGAIN)
            held = [one.evidence_id for one in self._held[tenant_id]]
            found = await self.courier.statuses(tenant_id, held)
            if not any(one.stopped for one in found.values()):
                self._go_on(tenant_id)
        return self._is_refused or tenant_id in self.stopped

    def _go_on(self, tenant_id: str) -> None:
        """It is stopped no more: what is held for it goes on by itself, and is waited for."""
        del self.stopped[tenant_id]
        for status in self._held.pop(tenant_id):
            self.by_status[status.status] -= 1
            again = asyncio.get_running_loop().create_future()
            self._going[tenant_id][status.evidence_id] = again

    async def _hand_in(
        self,
        tenant_id: str,
        some: Sequence[OldRecord],
        going: _Going,
    ) -> None:
        found = await self.courier.statuses(tenant_id, [one.evidence_id for one in some])
        # What an earlier run has recorded and not tried is waited for, as if it were new: also what
        # was held, as by a pause that is over. What the settings excluded is handed in again:
        # perhaps they include it now.
        known = {one for one, status in found.items() if _was_tried(status)}
        self.known += len(known)
        self._left[tenant_id] -= len(known)
        for one in some:
            if one.evidence_id in known:
                continue
            while len(going) >= OPEN_AT_ONCE and not await self._ends(tenant_id):
                await self._wait(tenant_id, going)
            if await self._ends(tenant_id):
                return
            self._submit(tenant_id, one, going)

    def note_rest(
        self, statuses: Callable[[str, Sequence[str]], Mapping[str, UploadStatus]]
    ) -> None:
        """Note what became of those that were under way when a signal ended it."""
        for tenant_id, ids in self.under_way.items():
            found = statuses(tenant_id, ids)
            self._left[tenant_id] += len(ids) - len(found)
            for status in found.values():
                self._note(tenant_id, status)

    def _submit(
        self,
        tenant_id: str,
        record: OldRecord,
        going: _Going,
    ) -> None:
        self._left[tenant_id] -= 1
        try:
            evidence = record.read()
        except (RecordError, OSError) as error:
            self.errors.append(error)
            return
        settled = self.courier.submit(evidence).settled()
        going[record.evidence_id] = asyncio.ensure_future(settled)

    async def _wait(
        self,
        tenant_id: str,
        going: _Going,
        *,
        until_tried: bool = False,
    ) -> None:
        """Wait until one is settled, or for a moment; forget what is at rest, or `until_tried`
        also what is tried again later."""
        await asyncio.wait(going.values(), timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
        done = {one: task for one, task in going.items() if task.done()}
        for evidence_id, task in done.items():
            del going[evidence_id]
            try:
                status = task.result()
            except CourierError as error:
                self.errors.append(error)
            else:
                self._note(tenant_id, status)
        if going and not done:
            found = await self.courier.statuses(tenant_id, [*going])
            for evidence_id, status in found.items():
                # What was held before it was handed in again may be so still: its ticket tells.
                has_ticket = isinstance(going[evidence_id], asyncio.Task)
                tried = _was_tried(status) or (status.status == "held" and not has_ticket)
                if tried and (until_tried or status.at_rest):
                    going.pop(evidence_id).cancel()
                    self._note(tenant_id, status)

    def _note(self, tenant_id: str, status: UploadStatus | None) -> None:
        if status is None:
            return
        self.by_status[status.status] += 1
        error = status.error
        if error is not None and status.stopped:
            kind = FailureKind(error.kind)
            if (to_do := _TO_DO.get(kind.concern)) is not None:
                self.to_do[tenant_id] = "resume it" if kind is FailureKind.PAUSED else to_do
                self.stopped[tenant_id] = sentence(error.kind, error.message, None)
                self._held[tenant_id].append(status)


def _was_tried(status: UploadStatus) -> bool:
    is_held = status.status == "held" and not status.attempts
    return status.status not in _UNTRIED and not is_held


async def _all_handed_in(courier: AsyncCourier, work: Import, interruption: Interruption) -> None:
    interruption.watch(courier)
    async with courier:
        many, tenants = number_of(work.total, "record"), number_of(len(work.lanes), "tenant")
        _say(f"{many} of {tenants}{await _about(courier, work)}")
        ends = [asyncio.create_task(work.hand_in(tenant_id)) for tenant_id in work.lanes]
        saying = asyncio.create_task(_progress(courier, work))

        def so_far() -> str:
            return f"{work.total - work.left:,} of {work.total:,} records are handed in"

        await interruption.until_all(ends, so_far)
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying
    for one in ends:
        if one.done() and not one.cancelled() and (error := one.exception()) is not None:
            raise error


async def _progress(courier: AsyncCourier, work: Import) -> None:
    """Say how far it is: in one line on a terminal, else once a minute."""
    on_terminal, has_printed = sys.stderr.isatty(), False
    try:
        while True:
            await asyncio.sleep(1 if on_terminal else _SAY_AGAIN)
            done = f"{work.total - work.left:,} of {work.total:,} handed in"
            _say(f"{done}{await _about(courier, work)}", again=on_terminal)
            has_printed = True
    finally:
        if on_terminal and has_printed:
            click.echo(err=True)


def _say(text: str, *, again: bool = False) -> None:
    click.echo(f"\r\x1b[K{text}" if again else text, err=True, nl=not again)


async def _about(courier: AsyncCourier, work: Import) -> str:
    """How long the rest takes, as far as it is known."""
    now = courier._clock.now()
    lines: dict[str | None, Sequence[str]] = dict.fromkeys(work.longest, ())
    due = await courier._read(lambda store: store.due(now, MOST_FRESH, lines=lines))
    work.fresh = {line: len(keys) for line, keys in due.items() if line is not None}
    left, fresh = work.time_left(), sum(work.fresh.values())
    if left is None:
        return ""
    minutes = left.total_seconds() / 60
    if minutes < 1:
        time = "less than a minute"
    elif minutes < 90:
        time = f"about {minutes:.0f} min"
    else:
        time = f"about {minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
    behind = f", behind {number_of(fresh, 'fresh upload')}" if fresh else ""
    return f"; {time} at the providers' pace{behind}"


def _print(work: Import, invalid: int, as_json: bool) -> None:
    for tenant_id, why in work.stopped.items():
        say(
            f"evidence-courier: no more of tenant {tenant_id!r} was handed in: {why}; "
            f"{work.to_do[tenant_id]}, then give the same command again"
        )
    for error in work.errors:
        say(f"evidence-courier: {error}")
    counts = {word: work.by_status[word] for word in sorted(+work.by_status)}
    if as_json:
        print_json(
            {
                "records": work.total,
                "known": work.known,
                "left": work.left,
                "invalid": invalid,
                "handed_in": counts,
            }
        )
        return
    handed_in = ", ".join(f"{number:,} {word}" for word, number in counts.items()) or "none"
    click.echo(f"handed in: {handed_in}")
    for number, what in (
        (work.known, "recorded before"),
        (work.left, "not handed in"),
        (invalid, f"problem{'' if invalid == 1 else 's'} in what was skipped"),
    ):
        if number:
            click.echo(f"{number:,} {what}")
    if open_ones := " or ".join(word for word in _GOES_ON if work.by_status[word]):
        say(f"what is {open_ones} goes on with any courier on the database")
