"""`evidence-courier status` and `show`: the uploads in a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import TypedDict, Unpack

import click

from ...domain.health import Count
from ...domain.upload.upload import StatusWord
from ..face import Where
from ..records import Records
from .exits import USAGE, end
from .output import json_row, print_details, print_json, print_table, print_uploads
from .place import Place

_PAGE = 1000


class _Given(TypedDict):
    """What is given on the command line, see `Where`; `status` may be empty."""

    tenant_id: str | None
    status: tuple[StatusWord, ...]
    open: bool
    kind: str | None
    provider: str | None
    since: datetime | None
    until: datetime | None
    id_prefix: str | None


def list_uploads(
    place: Place, group_by: str | None, limit: int, as_json: bool, **given: Unpack[_Given]
) -> None:
    """Print the newest uploads that fit, or how many fit."""
    where: Where = {**given, "status": given["status"] or None}
    tenant = where["tenant_id"]
    with place.records() as records:
        if group_by is not None:
            _print_groups(records.counted(**where), group_by, limit, as_json)
            return
        find = partial(records.find, limit=min(limit or _PAGE, _PAGE), **where)
        page = find()
        found = list(page.uploads)
        while page.next_page is not None and (limit == 0 or len(found) < limit):
            page = find(after=page.next_page)
            found += page.uploads
        unknown = (
            stranger(records, place.name, tenant) if tenant is not None and not found else None
        )
    found = found[:limit] if limit else found
    print_uploads(found, as_json)
    if unknown is not None:
        end(unknown, USAGE)
    if not found and not as_json:
        click.echo("no uploads match", err=True)
    elif limit and page.next_page is not None and not as_json:
        click.echo(f"the newest {limit}; --limit shows more", err=True)


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
        click.echo("no uploads match", err=True)
    if len(rows) > len(shown):
        click.echo(f"the largest {limit} of {len(rows)}; --limit shows more", err=True)


def stranger(records: Records, where: str, tenant: str) -> str | None:
    """What is said of a tenant without any upload: the nearest that has some; None of others."""
    if records.find(tenant_id=tenant, limit=1).uploads:
        return None
    known = {upload.tenant_id for upload in records.find(limit=_PAGE).uploads}
    near = get_close_matches(tenant, known, 1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"tenant {tenant!r} has no upload in {where}{suggestion}"


def absent(records: Records, place: Place, tenant_id: str, evidence_id: str) -> str:
    """What is said of an upload that does not exist."""
    return stranger(records, place.name, tenant_id) or (
        f"tenant {tenant_id!r} has no upload of evidence {evidence_id!r} in {place.name}; "
        f"`evidence-courier status {place.option} --tenant {tenant_id}` lists its uploads"
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
