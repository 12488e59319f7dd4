"""`evidence-courier health` and `blocks`: whether evidence arrives, and what stops it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from shlex import quote

import attrs
import click

from ...domain.health import OPEN, RecordsHealth, SinkNotices, Stop, TenantHealth, paused
from ...domain.pacing.estimate import NO_COURIER
from ...domain.upload.failure import FailureKind
from ...domain.upload.status import UploadStatus
from .exits import UNDELIVERED, end
from .going_on import what_delivers
from .output import (
    Columns,
    is_terminal,
    json_value,
    moment,
    number_of,
    print_columns,
    print_in_lines,
    print_json,
    print_table,
)
from .place import Place
from .saying import say

_TENANTS = 20
"""The most tenants that are listed for a person; `--json` has up to a thousand."""


def health(place: Place, max_age: timedelta | None, as_json: bool) -> None:
    """Print how the uploads stand; exit code 1 if the oldest open one is older than `max_age`.
    Without it nothing is said to be healthy or not."""
    now = datetime.now(UTC)
    with place.records() as records:
        found = records.health()
    age = None if found.oldest_open_at is None else now - found.oldest_open_at
    late = age is not None and max_age is not None and age > max_age
    if as_json:
        whole = attrs.asdict(found, recurse=False) | {"oldest_open_at": found.oldest_open_at}
        verdict = {"healthy": None if max_age is None else not late}
        print_json(json_value(verdict | {"summary": _summary(found, late, max_age)} | whole))
    else:
        _print(found, now, _summary(found, late, max_age), place)
    if late and max_age is not None and age is not None:
        _end_late(found, place, age, max_age)
    if place.note and not as_json and (found.counts["failed"] or not found.couriers):
        say(place.note)


def _running(found: RecordsHealth, place: Place) -> str:
    number = f"{number_of(found.couriers, 'courier')} {'is' if found.couriers == 1 else 'are'}"
    return what_delivers(place, found.couriers) or f"{number} running"


def _summary(found: RecordsHealth, late: bool, max_age: timedelta | None) -> str:
    """What it comes to. What has failed is not open and makes nothing late, so it is said here."""
    failed = found.counts["failed"]
    number = sum(found.counts[status.value] for status in OPEN)
    if late and max_age is not None:
        begin = f"late: an open upload is older than {_age(max_age)}"
    elif max_age is not None:
        begin = f"no open upload is older than {_age(max_age)}"
    else:
        begin = f"{number_of(number, 'upload')} open" if number else "no upload is open"
    return f"{begin}; {failed:,} {'has' if failed == 1 else 'have'} failed" if failed else begin


def _end_late(found: RecordsHealth, place: Place, age: timedelta, most: timedelta) -> None:
    oldest, option = found.oldest_open, place.option
    assert oldest is not None
    key = f"{quote(oldest.tenant_id)} {quote(oldest.evidence_id)}"
    waits = _waits(oldest, "; it waits for ")
    end(
        f"not healthy: the oldest open upload is {_age(age)} old{_left_out(found)}, more than"
        f" {_age(most)}: {key} to"
        f" {oldest.provider}, {oldest.status}{waits}. Look at `evidence-courier show {option}"
        f" {key}`, and at `evidence-courier blocks {option}` for what stops"
        f" others; {_running(found, place)}" + (f"\n{place.note}" if place.note else ""),
        UNDELIVERED,
    )


def _print(found: RecordsHealth, now: datetime, summary: str, place: Place) -> None:
    counts = ", ".join(f"{number} {word}" for word, number in found.counts.items() if number)
    parked = f" ({found.parked} of the retrying are parked)" if found.parked else ""
    failed = f": `evidence-courier status {place.option} --status failed` lists them"
    facts = [("in short", summary + (failed if found.counts["failed"] else ""))]
    facts += [("uploads", f"{counts or 'none'}{parked}"), ("oldest open", _oldest(found, now))]
    if found.couriers or any(found.counts[status.value] for status in OPEN):
        facts.append(("couriers", _running(found, place)))
    facts += [
        (f"{word}, by error", ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()) if n))
        for word, kinds in found.reasons.items()
    ]
    if found.stops:
        text = f"{len(found.stops)}: `evidence-courier blocks` lists what and why"
        facts.append(("stopped", text))
    facts += [("notices", _untold(one)) for one in found.notices]
    print_table((), facts)
    tenants = found.by_tenant
    if tenants:
        click.echo()
        print_columns(_OF_TENANTS, tenants[:_TENANTS])
    left_out = max(len(tenants) - _TENANTS, 0) + found.tenants_left_out
    if left_out:
        say(f"{left_out} more tenants; `status --group-by tenant` counts all")


def _untold(notices: SinkNotices) -> str:
    what = f"{number_of(notices.number, 'notice')} for {notices.sink}"
    refused = "which has refused some" if notices.tries else "which has not been sent any yet"
    return f"{what}, {refused}; the oldest of {moment(notices.since)}"


def _oldest(found: RecordsHealth, now: datetime) -> str:
    oldest, since = found.oldest_open, found.oldest_open_at
    if oldest is None or since is None:
        return "none: each upload has succeeded, failed or was skipped, or is parked or paused"
    waits = _waits(oldest, "; waits for: ")
    key = f"{oldest.tenant_id} {oldest.evidence_id} to {oldest.provider}"
    return f"{_age(now - since)}{_left_out(found)}: {key}, {oldest.status}{waits}"


def _waits(oldest: UploadStatus, words: str) -> str:
    """What it waits for; that no courier is running is a line of its own."""
    waits = (oldest.waits_for or "").removesuffix(f"; {NO_COURIER}")
    return f"{words}{waits}" if waits else ""


def _left_out(found: RecordsHealth) -> str:
    """What is said behind the age of the oldest open upload, if it was paused or had ended."""
    oldest, since = found.oldest_open, found.oldest_open_at
    is_later = oldest and since and since > oldest.created_at
    return " without its pauses and what was before it last went on" if is_later else ""


def _age(age: timedelta) -> str:
    """An age as a person says it, in its two largest units."""
    seconds = max(int(age.total_seconds()), 0)
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, length)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _open(tenant: TenantHealth) -> str:
    return str(sum(tenant.counts.get(status.value, 0) for status in OPEN))


_OF_TENANTS: Columns = {
    "tenant": lambda one: one.tenant_id,
    "open": _open,
    "failed": lambda one: str(one.counts.get("failed", 0)),
    "oldest open": lambda one: moment(one.oldest_open_at),
    "last success": lambda one: moment(one.last_success_at) or "never",
}

# --- what is stopped -----------------------------------------------------------------------------


def blocks(place: Place, as_json: bool) -> None:
    """Print what is blocked, parked, paused or skipped: since when, why, and what to do."""
    with place.records() as records:
        found = records.health()
    to_do = partial(_to_do, f" {place.option}", found.stops)
    if as_json:
        rows = [attrs.asdict(stop) | {"to_do": to_do(stop)} for stop in found.stops]
        print_json(json_value(rows))
    elif not found.stops:
        say("nothing is blocked, parked, paused or skipped")
    elif is_terminal():
        for stop in found.stops:
            head = f"since {moment(stop.since)}, {_stopped(stop)}"
            reason = "" if stop.state == "paused" else f"{stop.reason}: "  # it is in the message
            words = (f"{reason}{stop.message}".rstrip(": "), f"to do: {to_do(stop)}")
            print_in_lines((*_about(stop), stop.state), (head, *words))
    else:
        print_columns({**_OF_STOPS, "to do": to_do}, found.stops)
    if not as_json and any(stop.state == "blocked" for stop in found.stops):
        say(
            "a block of settings that have been changed since stays listed until an upload has "
            f"succeeded with the new ones; `{place.doctor_command}` says what is blocked now"
        )
    if found.stops and place.note:
        say(place.note)
    if found.stops_left_out:
        say(f"the longest {len(found.stops)}; {found.stops_left_out} more")


def _about(stop: Stop) -> Iterator[str]:
    yield stop.tenant_id or "every tenant"
    if stop.provider:
        yield stop.provider


def _stopped(stop: Stop) -> str:
    return f"{number_of(stop.uploads, 'upload')} stopped"  # held, parked, or failed for it


def _to_do(place: str, stops: Sequence[Stop], stop: Stop) -> str:
    named = f"{place}{_named(stop)}"
    if stop.state == "parked":
        until = f" about {moment(stop.until)}" if stop.until else ""
        if paused(stops, stop.tenant_id, stop.provider):
            return "nothing: a person has paused it, and it is asked again once that is resumed"
        again = f"or open the target and `evidence-courier release{named}{_WHO}`"
        return f"nothing, it is asked again{until}; {again}"
    if stop.state == "paused":
        provider = f" --provider {quote(stop.provider)}" if stop.provider else ""
        return f"`evidence-courier resume{named}{provider}{_WHO}` once it may go on"
    advice = _ADVICE.get(stop.reason, _MEND)
    return advice.format(named=named, reason=stop.reason, who=_WHO)


def _named(stop: Stop) -> str:
    return f" --tenant {quote(stop.tenant_id)}" if stop.tenant_id else ""


_WHO = " --by NAME --reason TEXT"
_MEND = (
    "mend what the message says and reload the tenants; or `evidence-courier release{named}"
    " --kind {reason}{who}` if it works again as it is"
)


_ADVICE: Mapping[str, str] = {
    FailureKind.INTEGRATION_INVALID.value: (
        "mend the tenant's file (`evidence-courier check` says what is wrong) and reload"
    ),
    FailureKind.INTEGRATION_GONE.value: (
        "give the tenant its integration back, or `evidence-courier abandon{named}{who}`"
    ),
}
_OF_STOPS: Columns = {
    "state": lambda stop: stop.state,
    "tenant": lambda stop: stop.tenant_id,
    "provider": lambda stop: stop.provider,
    "since": lambda stop: moment(stop.since),
    "uploads": lambda stop: str(stop.uploads),
    "reason": lambda stop: stop.reason,
    "message": lambda stop: stop.message,
}
