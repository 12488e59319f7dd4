"""`evidence-courier status` and `show`: the uploads in a database."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches

import click
from attrs import evolve

from ...adapters.stores.databases import name_of, open_for_reading
from ...adapters.stores.sql.reader import SqlReader
from ...domain.upload.upload import Status
from ...ports.records import Find
from .exits import USAGE, end
from .output import json_row, print_details, print_json, print_uploads

_PAGE = 1000


def list_uploads(
    database: str,
    tenant: str | None,
    word: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the newest uploads that fit."""
    find = Find(
        tenant_id=tenant,
        status=Status(word) if word else None,
        since=since,
        limit=min(limit or _PAGE, _PAGE),
    )
    now = datetime.now(UTC)
    with open_for_reading(database) as reader:
        page = reader.find(find, now)
        found = list(page.uploads)
        while page.next_page is not None and (limit == 0 or len(found) < limit):
            page = reader.find(evolve(find, after=page.next_page), now)
            found += page.uploads
        unknown = stranger(reader, database, tenant) if tenant is not None and not found else None
    found = found[:limit] if limit else found
    print_uploads(found, as_json)
    if unknown is not None:
        end(unknown, USAGE)
    if not found and not as_json:
        click.echo("no uploads match", err=True)
    elif limit and page.next_page is not None and not as_json:
        click.echo(f"the newest {limit}; --limit shows more", err=True)


def stranger(reader: SqlReader, database: str, tenant: str) -> str | None:
    """What is said of a tenant without any upload: the nearest that has some; None of others."""
    now = datetime.now(UTC)
    if reader.find(Find(tenant_id=tenant, limit=1), now).uploads:
        return None
    known = {upload.tenant_id for upload in reader.find(Find(limit=_PAGE), now).uploads}
    near = get_close_matches(tenant, known, 1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    return f"tenant {tenant!r} has no upload in {name_of(database)}{suggestion}"


def show(database: str, tenant_id: str, evidence_id: str, as_json: bool) -> None:
    """Print one upload with every attempt."""
    with open_for_reading(database) as reader:
        details = reader.show(tenant_id, evidence_id, datetime.now(UTC))
        unknown = stranger(reader, database, tenant_id) if details is None else None
    if unknown is not None:
        end(unknown, USAGE)
    elif details is None:
        name = name_of(database)
        end(
            f"tenant {tenant_id!r} has no upload of evidence {evidence_id!r} in {name}; "
            f"`evidence-courier status --db {name} --tenant {tenant_id}` lists its uploads",
            USAGE,
        )
    elif as_json:
        print_json(json_row(details))
    else:
        print_details(details)
