"""`evidence-courier import`: hand old records in, oldest first, behind what is fresh."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
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
from ...domain.upload.failure import Concern, FailureKind
from ...domain.upload.status import UploadStatus
from ...domain.upload.upload import StatusWord
from ..courier import AsyncCourier
from ..wiring import CourierOptions
from .exits import STORE, UNDELIVERED, USAGE, end
from .old_records import OldRecord, read_all
from .output import number_of, print_json
from .place import Place
from .saying import say
from .signals import SIGNALLED
from .submit import Conflicts, Interruption, destination_of

KNOWN_AT_ONCE = 500
"""How many records are looked for in the database at once, before they are handed in."""

OPEN_AT_ONCE = 32
"""The most records of a tenant that are handed in and not at rest."""

LOOK_AGAIN = 1.0
_GOES_ON: Sequence[StatusWord] = ("pending", "retrying")
_UNTRIED: Sequence[StatusWord] = ("pending", "skipped")
_SAY_AGAIN = 60


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
    records, problems, of_refused = read_all(Path(source), tenant_id)
    options: CourierOptions = {
        "fonts": fonts,
        "logger": Conflicts(),
        "on_unknown_tenant": "raise",
        "on_invalid": "skip",
    }
    courier = place.courier(**options)
    courier._tenants.backfill = True
    lanes, refused = _lanes(courier, records, of_refused)
    problems += refused
    for problem in problems:
        say(str(problem))
    if problems and not skip_invalid:
        number = number_of(len(problems), "problem")
        end(f"{number}: nothing was handed in; mend them, or give --skip-invalid", USAGE)
    if not lanes:
        end("there is nothing to hand in", USAGE)
    work, interruption = Import(courier, lanes), Interruption()
    many, tenants = number_of(work.total, "record"), number_of(len(lanes), "tenant")
    _say(f"{many} of {tenants}{_about(work.time_left())}")
    asyncio.run(_all_handed_in(courier, work, interruption))
    if work.under_way:
        with place.records() as stored:
            work.note_rest(stored.statuses)
    _print(work, len(problems), as_json)
    if interruption.number is not None and (work.left or work.under_way):
        sys.exit(SIGNALLED + interruption.number)
    if work.errors:
        sys.exit(STORE if any(isinstance(one, StoreError) for one in work.errors) else USAGE)
    if work.stopped or any(work.by_status[word] for word in ("failed", "held")):
        sys.exit(UNDELIVERED)


def _lanes(
    courier: AsyncCourier, records: Iterable[OldRecord], of_refused: Mapping[str, Problem]
) -> tuple[dict[str, tuple[Destination, list[OldRecord]]], list[Problem]]:
    """The records of each tenant that has an integration, with where they go; of others, why
    not."""
    of_tenant: defaultdict[str, list[OldRecord]] = defaultdict(list)
    for one in records:
        of_tenant[one.tenant_id].append(one)
    lanes, problems = {}, []
    for tenant_id in {**of_tenant, **of_refused}:
        some = of_tenant.get(tenant_id, [])
        first = (
            some[0].problem("") if some else evolve(of_refused[tenant_id], path="", suggestion=None)
        )
        number = f" ({len(some):,} records)" if len(some) > 1 else ""
        try:
            destination = destination_of(courier._tenants, tenant_id)
        except ConfigError as error:
            problems += [*error.problems, evolve(first, message=f"its tenant is invalid{number}")]
        except MisuseError as error:
            problems.append(evolve(first, message=f"{error}{number}"))
        else:
            if destination is None:
                what = f"tenant {tenant_id!r} has no integration: nothing is sent{number}"
                problems.append(evolve(first, message=what))
            elif some:
                lanes[tenant_id] = destination, some
    return lanes, problems


_Going: TypeAlias = "dict[str, asyncio.Task[UploadStatus | None]]"
"""What is handed in and waited for, by its evidence's id."""


@define
class Import:
    """Hands in the records of each tenant, its oldest first, and a few at a time: what is recorded
    goes behind what is fresh, and what is tried again keeps others from being tried in vain."""

    courier: Deliverer
    lanes: Mapping[str, tuple[Destination, Sequence[OldRecord]]]
    known: int = field(default=0, init=False)
    by_status: Counter[str] = field(factory=Counter, init=False)
    stopped: dict[str, str] = field(factory=dict, init=False)
    errors: list[Exception] = field(factory=list, init=False)
    under_way: dict[str, Sequence[str]] = field(factory=dict, init=False)
    _left: Counter[str] = field(factory=Counter, init=False)
    _going: dict[str, _Going] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
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
        """How long the rest takes at the providers' paces, with what is handed in and waits."""
        return time_for(
            (self.lanes[one][0].quota, number + len(self._going.get(one, ())))
            for one, number in self._left.items()
        )

    async def hand_in(self, tenant_id: str) -> None:
        """All of one tenant's records."""
        _, records = self.lanes[tenant_id]
        going: _Going = {}
        self._going[tenant_id] = going
        try:
            for start in range(0, len(records), KNOWN_AT_ONCE):
                if self._ends(tenant_id):
                    break
                await self._hand_in(tenant_id, records[start : start + KNOWN_AT_ONCE], going)
            while going:
                await self._wait(tenant_id, going, until_tried=True)
        finally:
            for task in going.values():
                task.cancel()
            if going:
                self.under_way[tenant_id] = [*going]

    def _ends(self, tenant_id: str) -> bool:
        """Whether no more of a tenant is handed in. What is wrong with one record ends no other."""
        refused = any(isinstance(error, StoreError) for error in self.errors)
        return refused or tenant_id in self.stopped

    async def _hand_in(
        self,
        tenant_id: str,
        some: Sequence[OldRecord],
        going: _Going,
    ) -> None:
        found = await self.courier.statuses(tenant_id, [one.evidence_id for one in some])
        # What an earlier run has recorded and not tried is waited for, as if it were new. What the
        # settings excluded is handed in again: perhaps they include it now.
        known = {one for one, status in found.items() if status.status not in _UNTRIED}
        self.known += len(known)
        self._left[tenant_id] -= len(known)
        for one in some:
            if one.evidence_id in known:
                continue
            while len(going) >= OPEN_AT_ONCE and not self._ends(tenant_id):
                await self._wait(tenant_id, going)
            if self._ends(tenant_id):
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
                tried = until_tried and status.status not in _UNTRIED
                if tried or (status.at_rest and status.status not in _UNTRIED):
                    going.pop(evidence_id).cancel()
                    self._note(tenant_id, status)

    def _note(self, tenant_id: str, status: UploadStatus | None) -> None:
        if status is None:
            return
        self.by_status[status.status] += 1
        error = status.error
        if error is not None and status.stopped:
            concern = FailureKind(error.kind).concern
            if concern in (Concern.INTEGRATION, Concern.TARGET):
                self.stopped[tenant_id] = f"{error.kind}: {error.message}"


async def _all_handed_in(courier: AsyncCourier, work: Import, interruption: Interruption) -> None:
    interruption.watch(courier)
    async with courier:
        ends = [asyncio.create_task(work.hand_in(tenant_id)) for tenant_id in work.lanes]
        saying = asyncio.create_task(_progress(work))

        def so_far() -> str:
            return f"{work.total - work.left:,} of {work.total:,} records are handed in"

        await interruption.until_all(ends, so_far)
        saying.cancel()
        with suppress(asyncio.CancelledError):
            await saying
    for one in ends:
        if one.done() and not one.cancelled() and (error := one.exception()) is not None:
            raise error


async def _progress(work: Import) -> None:
    """Say how far it is: in one line on a terminal, else once a minute."""
    on_terminal, has_printed = sys.stderr.isatty(), False
    try:
        while True:
            await asyncio.sleep(1 if on_terminal else _SAY_AGAIN)
            done = f"{work.total - work.left:,} of {work.total:,} handed in"
            _say(f"{done}{_about(work.time_left())}", again=on_terminal)
            has_printed = True
    finally:
        if on_terminal and has_printed:
            click.echo(err=True)


def _say(text: str, *, again: bool = False) -> None:
    click.echo(f"\r\x1b[K{text}" if again else text, err=True, nl=not again)


def _about(left: timedelta | None) -> str:
    if left is None:
        return ""
    minutes = left.total_seconds() / 60
    if minutes < 1:
        time = "less than a minute"
    elif minutes < 90:
        time = f"about {minutes:.0f} min"
    else:
        time = f"about {minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
    return f"; {time} at the providers' pace"


def _print(work: Import, invalid: int, as_json: bool) -> None:
    for tenant_id, why in work.stopped.items():
        say(
            f"evidence-courier: no more of tenant {tenant_id!r} was handed in: {why}; mend that, "
            "then give the same command again"
        )
    for error in work.errors:
        say(f"evidence-courier: {error}")
    counts = {word: work.by_status[word] for word in sorted(work.by_status)}
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
