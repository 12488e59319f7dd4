"""`evidence-courier import`: hand old records in, oldest first, behind what is fresh."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click
from attrs import asdict, evolve

from ...delivery.destinations import Destination
from ...domain.errors import (
    ConfigError,
    MisuseError,
    Problem,
    StoreError,
)
from ..courier import AsyncCourier
from ..wiring import CourierOptions
from .exits import STORE, UNDELIVERED, USAGE, end
from .handing_in import GOES_ON, Import
from .old_records import OldRecord
from .output import number_of, print_json
from .place import Place
from .saying import say
from .signals import SIGNALLED
from .sorted_records import OldRecords, read_all
from .submit import Conflicts, Interruption, destination_of
from .undelivered import Undelivered

_SAY_AGAIN = 60
_MOST_SHOWN = 20
"""For how many tenants and errors a person is told what to do; `--json` has all."""
_PLACES_SHOWN = 5
"""Of how many records a person is told where they stand; `--json` has more."""
_MOST_PROBLEMS = 1_000
"""How many problems `--json` has; standard error has all."""

MOST_FRESH = 1_000
"""Up to which number what is fresh of a credential is counted."""


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

    def seconds() -> float:
        return courier._clock.monotonic()  # it is guarded once the courier has started

    work = Import(courier, lanes, seconds, _say_between)
    if why := _why_nothing(work, problems, skip_invalid):
        if as_json:
            print_json(_as_json(work, place, problems))
        end(why, USAGE)
    interruption = Interruption()
    asyncio.run(_all_handed_in(courier, work, interruption))
    if work.under_way or work.known_going:
        with place.records() as stored:
            work.note_rest(stored.statuses)
            work.count_known_going(stored.statuses)
    _print(work, place, problems, as_json)
    _say_what_to_do(work, place)
    if interruption.number is not None and (work.left or work.under_way):
        sys.exit(SIGNALLED + interruption.number)
    if work.errors:
        sys.exit(STORE if any(isinstance(one, StoreError) for one in work.errors) else USAGE)
    if records.unread:
        number = number_of(records.unread, "file")
        end(f"not read to the end: {number}; mend what is named above and import again", USAGE)
    if work.stopped or +work.undelivered:
        sys.exit(UNDELIVERED)


def _why_nothing(work: Import, problems: Problems, skip_invalid: bool) -> str | None:
    """Why nothing is handed in; None if something is."""
    if problems.number and not skip_invalid:
        number = number_of(problems.number, "problem")
        instead = ", or give --skip-invalid" if work.lanes else ""
        return f"{number}: nothing was handed in; mend them{instead}"
    return None if work.lanes else "there is nothing to hand in"


class Problems:
    """Says what is wrong, and counts it; and how much was read, if that takes long. The `first` are
    for a program."""

    number = 0

    def __init__(self) -> None:
        self.first: list[Problem] = []
        self._on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._every = 1 if self._on_terminal else _SAY_AGAIN
        self._next = time.monotonic() + self._every
        self._in_a_line = False

    def __call__(self, problem: Problem) -> None:
        """Say it."""
        self.end_line()
        self.number += 1
        if self.number <= _MOST_PROBLEMS:
            self.first.append(problem)
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


def _say_between(text: str) -> None:
    """Say it in a line of its own, also while the progress stands in one."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    say(f"evidence-courier: {text}")


async def _about(courier: AsyncCourier, work: Import) -> str:
    """How long the rest takes, as far as it is known."""
    now = courier._clock.now()
    lines: dict[str | None, Sequence[str]] = dict.fromkeys(work.longest, ())
    due = await courier._read(lambda store: store.due(now, MOST_FRESH, lines=lines))
    work.fresh = {line: len(keys) for line, keys in due.items() if line is not None}
    left, fresh = work.time_left(), sum(work.fresh.values())
    paused = f"; {number_of(len(work.outages), 'tenant')} paused" if work.outages else ""
    if left is None:
        return paused
    minutes = left.time.total_seconds() / 60
    if minutes < 1:
        time = "less than a minute"
    elif minutes < 90:
        time = f"about {minutes:.0f} min"
    else:
        time = f"about {minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
    behind = f", behind {number_of(fresh, 'fresh upload')}" if fresh else ""
    how = "at the rate of the latest" if left.observed else "at the providers' pace"
    return f"; {time} {how}{behind}{paused}"


def _print(work: Import, place: Place, problems: Problems, as_json: bool) -> None:
    for tenant_id, why in work.stopped.items():
        say(
            f"evidence-courier: no more of tenant {tenant_id!r} was handed in: {why}; "
            f"{work.to_do[tenant_id]}, then give the same command again"
        )
    for error in work.errors:
        say(f"evidence-courier: {error}")
    if as_json:
        print_json(_as_json(work, place, problems))
        return
    counts, invalid = _handed_in(work), problems.number
    handed_in = ", ".join(f"{number:,} {word}" for word, number in counts.items()) or "none"
    click.echo(f"handed in: {handed_in}")
    for number, what in (
        (work.known, f"recorded before{_open_of(work)}"),
        (work.left, "not handed in"),
        (invalid, f"problem{'' if invalid == 1 else 's'} in what was skipped"),
    ):
        if number:
            click.echo(f"{number:,} {what}")
    going = work.by_status + work.known_open
    if open_ones := " or ".join(word for word in GOES_ON if going[word]):
        say(
            f"what is {open_ones} goes on with any courier on the database, as "
            f"`{place.run_command}` is one"
        )


def _handed_in(work: Import) -> Mapping[str, int]:
    return {word: work.by_status[word] for word in sorted(+work.by_status)}


def _as_json(work: Import, place: Place, problems: Problems) -> Mapping[str, object]:
    return {
        "records": work.total,
        "known": work.known,
        "known_open": work.known_open.total(),
        "left": work.left,
        "invalid": problems.number,
        "problems": [asdict(problem) for problem in problems.first],
        "handed_in": _handed_in(work),
        "undelivered": [
            asdict(one)
            | {"records": number, "to_do": one.to_do(place.option)}
            | {"places": [asdict(where) for where in work.places.of(one)]}
            for one, number in sorted((+work.undelivered).items())
        ],
    }


def _open_of(work: Import) -> str:
    open_ones = work.known_open.total()
    return f", {open_ones:,} of them not delivered yet" if open_ones else ""


def _where(work: Import, one: Undelivered, number: int) -> str:
    found = [str(place) for place in work.places.of(one)[:_PLACES_SHOWN]]
    more = f" and {number - len(found):,} more" if number > len(found) else ""
    return f"{'They are at' if number > 1 else 'It is at'} {', '.join(found)}{more}"


def _say_what_to_do(work: Import, place: Place) -> None:
    found = sorted((+work.undelivered).items())
    for one, number in found[:_MOST_SHOWN]:
        say(
            f"evidence-courier: {number_of(number, 'record')} of tenant {one.tenant_id!r} "
            f"{'are' if number > 1 else 'is'} {one.status} with {one.reason}, and nothing more is "
            f"done without a person: {one.to_do(place.option)}. {_where(work, one, number)}"
        )
    if (more := len(found) - _MOST_SHOWN) > 0:
        say(f"and so for {more:,} more tenants and errors; `--json` has all of them")
    if found and place.note:
        say(place.note)
