"""`evidence-courier status` and `show`: what became of what was handed over."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click
from attrs import evolve

from ...adapters.stores.sqlite import open_for_reading
from ...domain.errors import MisuseError
from ...ports.store import Find
from ..courier import status_word
from .app import USAGE, app, command
from .output import json_row, say_details, say_json, say_statuses

database_option = click.option(
    "--db", "database", required=True, type=click.Path(), help="The courier's database."
)


@app.command("status")
@database_option
@click.option("--tenant", help="Only this tenant's.")
@click.option(
    "--status", "word", help="Only those that are pending, retrying, held, succeeded or failed."
)
@click.option("--since", help="Only those recorded since: 2026-02-21 or 2026-02-21T10:00:00Z.")
@click.option(
    "--limit", default=100, show_default=True, help="At most so many, newest first; 0 for all."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@command
def status(
    database: str,
    tenant: str | None,
    word: str | None,
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List uploads, newest first."""
    find = Find(
        tenant_id=tenant,
        status=status_word(word),
        since=moment_option(since),
        limit=min(limit or 1000, 1000),
    )
    now = datetime.now(UTC)
    with open_for_reading(database) as store:
        page = store.find(find, now)
        found = list(page.uploads)
        while page.next_page is not None and (limit == 0 or len(found) < limit):
            page = store.find(evolve(find, after=page.next_page), now)
            found += page.uploads
    found = found[:limit] if limit else found
    if as_json:
        say_json([json_row(upload) for upload in found])
    elif found:
        say_statuses(found)
        if limit and page.next_page is not None:
            click.echo(f"the newest {limit}; --limit shows more", err=True)
    else:
        click.echo("no uploads match", err=True)


@app.command("show")
@database_option
@click.argument("tenant_id", metavar="TENANT")
@click.argument("evidence_id", metavar="EVIDENCE_ID")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@command
def show(database: str, tenant_id: str, evidence_id: str, as_json: bool) -> None:
    """Show one upload with every attempt."""
    with open_for_reading(database) as store:
        details = store.show(tenant_id, evidence_id, datetime.now(UTC))
    if details is None:
        click.echo(
            f"evidence-courier: tenant {tenant_id!r} has no upload of evidence {evidence_id!r} in {database}; "
            f"`evidence-courier status --db {database} --tenant {tenant_id}` lists what it has",
            err=True,
        )
        sys.exit(USAGE)
    if as_json:
        say_json(json_row(details))
    else:
        say_details(details)


def moment_option(text: str | None) -> datetime | None:
    """The moment that an option says, in UTC where it names no zone; MisuseError where it is
    none."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MisuseError(
            f"{text!r} is no moment: write 2026-02-21 or 2026-02-21T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
