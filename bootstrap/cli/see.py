"""`evidence-courier status` and `show`: the uploads in a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from shlex import quote
from typing import Unpack

from ...adapters.config.schema import closest
from ...domain.health import Count
from ...domain.upload.find import all_of
from ..face import Where
from ..records import Records
from .exits import USAGE, end
from .output import json_row, print_details, print_json, print_table, print_uploads
from .place import Place
from .saying import say

_PAGE = 1000


def list_uploads(
    place: Place, group_by: str | None, limit: int, as_json: bool, **where: Unpack[Where]
) -> None:
    """Print the newest uploads that fit, or how many fit."""
    tenant, provider = where.get("tenant_id"), where.get("provider")
    with place.records() as records:
        if group_by is not None:
            counts = records.counted(**where)
            unknown = None if counts else unknown_in(records, place.name, tenant, provider)
            if unknown is None:
                _print_groups(counts, group_by, limit, as_json)
                return
            end(unknown, USAGE)
        most = limit + 1 if limit else None  # one more shows whether there are more
        find = partial(records.find, limit=min(most or _PAGE, _PAGE), **where)
        found = list(islice(all_of(lambda after: find(after=after)), most))
        unknown = None if found else unknown_in(records, place.name, tenant, provider)
    shown = found[:limit] if limit else found
    print_uploads(shown, as_json)
    if unknown is not None:
        end(unknown, USAGE)
    if not found and not as_json:
        say("no uploads match")
    elif len(found) > len(shown):
        say(f"the newest {limit}; --limit shows more")


def _print_groups(counts: Sequence[Count], group_by: str, limit: int, as_json: bool) -> None:
    """How many uploads there are of each tenant or reason, by status; the most first."""
    numbers: Counter[tuple[str, str]] = Counter()
    for one in counts:
        group = one.tenant_id if group_by == "tenant" else one.reason or ""
        numbers[group, one.status.value] += one.number
    rows = sorted(numbers.items(), key=lambda one: (-one[1], one[0]))
    shown = rows[:limit] if limit else rows
    if as_json:
        names = (group_by, "status")
        print_json(
            [
                {**dict(zip(names, (group or None, status), strict=True)), "uploads": n}
                for (group, status), n in shown
            ]
        )
    elif shown:
        print_table(
            (group_by, "status", "uploads"), [[of[0] or "-", of[1], str(n)] for of, n in shown]
        )
    else:
        say("no uploads match")
    if len(rows) > len(shown):
        say(f"the largest {limit} of {len(rows)}; --limit shows more")


def stranger(records: Records, where: str, tenant: str) -> str | None:
    """What is said of a tenant without any upload: the nearest that has some; None of others."""
    if records.find(tenant_id=tenant, limit=1).uploads:
        return None
    known = {one.tenant_id for one in records.counted()}
    return f"tenant {tenant!r} has no upload in {where}{meant(tenant, known)}"


def unknown_in(
    records: Records, where: str, tenant: str | None, provider: str | None
) -> str | None:
    """What is said of a tenant or a provider without any upload; None of others."""
    if tenant is not None and (unknown := stranger(records, where, tenant)):
        return unknown
    if provider is None or records.find(provider=provider, limit=1).uploads:
        return None
    known = {one.provider for one in records.counted()}
    return f"no upload to {provider!r} is in {where}{meant(provider, known)}"


def meant(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest, in any case, as a question; empty: none is near."""
    near = closest(name.strip(), known)
    return f"; did you mean {near!r}?" if near else ""


def absent(records: Records, place: Place, tenant_id: str, evidence_id: str) -> str:
    """What is said of an upload that does not exist."""
    named = f"{place.option} --tenant {quote(tenant_id)}"
    return stranger(records, place.name, tenant_id) or (
        f"tenant {tenant_id!r} has no upload of evidence {evidence_id!r} in {place.name}; "
        f"`evidence-courier status {named}` lists its uploads"
        + (f"\n{place.note}" if place.note else "")
    )


def show(place: Place, tenant_id: str, evidence_id: str, as_json: bool) -> None:
    """Print one upload with every attempt."""
    with place.records() as records:
        details = records.show(tenant_id, evidence_id)
        if details is None:
            end(absent(records, place, tenant_id, evidence_id), USAGE)
    if as_json:
        print_json(json_row(details))
    else:
        print_details(details)
