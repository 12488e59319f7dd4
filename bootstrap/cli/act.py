"""`evidence-courier retry`, `release`, `abandon` and `attest`: what a person does about uploads,
with who and why kept beside them.

Works on the database, whether a courier runs on it or not; one that runs notices within seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime

import click

from ...adapters.engines.acting import (
    ActionResult,
    Filter,
    Skipped,
    candidates,
    no_upload,
    preview_of,
    take_action,
)
from ...adapters.plugins import discover_providers
from ...adapters.stores.sqlite import SqliteStore, open_for_reading
from ...domain.errors import MisuseError
from ...domain.upload.actions import Action, Person
from ...domain.upload.status import UploadStatus, status_of_upload
from ...domain.upload.transitions import Rules
from ...domain.upload.upload import UploadKey
from ..wiring import rules_of_provider
from .app import UNDELIVERED, USAGE, app, command
from .output import a_person_looks, json_row, say_json, say_statuses
from .see import database_option, moment_option

_WORDS = {
    Action.RETRY: ("Have what has failed tried again.", "retried"),
    Action.RELEASE: ("Have what is held tried again.", "released"),
    Action.ABANDON: ("Give up what is not settled: nothing more is sent.", "abandoned"),
    Action.ATTEST: (
        "Say of what is held or failed that it is there: you have seen it at the provider.",
        "attested",
    ),
}


def _add(action: Action) -> None:
    """Make the command for an action."""
    summary, done = _WORDS[action]
    concerned = " or ".join(status.value for status in action.concerned)

    @app.command(
        action.value,
        help=f"{summary}\n\nName one upload by TENANT and EVIDENCE_ID, or give --tenant for all of a tenant's that are {concerned}, which the "
        "other filters narrow down: those are listed, and you are asked before anything is done.",
    )
    @database_option
    @click.argument("tenant_id", metavar="[TENANT", required=False)
    @click.argument("evidence_id", metavar="EVIDENCE_ID]", required=False)
    @click.option("--tenant", help="All of this tenant's that the action is for.")
    @click.option(
        "--kind", help="With --tenant: only those with this kind of error, such as unauthorized."
    )
    @click.option(
        "--since",
        help="With --tenant: only those recorded since, as 2026-02-21 or 2026-02-21T10:00:00Z.",
    )
    @click.option("--until", help="With --tenant: only those recorded before.")
    @click.option("--by", required=True, help="Who you are; kept with the record.")
    @click.option("--reason", required=True, help="Why; kept with the record.")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.option("--dry-run", is_flag=True, help="Only list what it would be done to.")
    @click.option(
        "--json", "as_json", is_flag=True, help="Print a JSON array of what it was done to."
    )
    @command
    def run(
        database: str,
        tenant_id: str | None,
        evidence_id: str | None,
        tenant: str | None,
        kind: str | None,
        since: str | None,
        until: str | None,
        by: str,
        reason: str,
        yes: bool,
        dry_run: bool,
        as_json: bool,
    ) -> None:
        person = Person(by, reason)
        where = Filter(kind=kind, since=moment_option(since), until=moment_option(until))
        found = _found(database, action, tenant_id, evidence_id, tenant, where)
        if not found:
            click.echo(f"nothing of tenant {tenant!r} is {concerned} and fits", err=True)
            if as_json:
                say_json([])
            return
        if dry_run:
            _say(preview_of(action, found), f"would be {done}", as_json)
            return
        if tenant is not None and not yes:
            _ask(action, found, as_json)
        acted = _do(database, action, found, person)
        _say(acted, done, as_json)
        if acted.skipped and not acted.done:
            sys.exit(UNDELIVERED)


def _found(
    database: str,
    action: Action,
    tenant_id: str | None,
    evidence_id: str | None,
    tenant: str | None,
    where: Filter,
) -> Sequence[UploadStatus]:
    now = datetime.now(UTC)
    with open_for_reading(database) as store:
        if tenant is not None:
            if tenant_id is not None:
                raise MisuseError(
                    "give TENANT and EVIDENCE_ID for one upload, or --tenant for many: not both"
                )
            return list(candidates(store, tenant, action, where, now))
        if tenant_id is None or evidence_id is None:
            raise MisuseError(
                "name an upload by TENANT and EVIDENCE_ID, or give --tenant for all of a tenant's"
            )
        if where != Filter():
            raise MisuseError(
                "--kind, --since and --until go with --tenant: one upload needs no filter"
            )
        one = store.show(tenant_id, evidence_id, now)
    if one is None:
        raise no_upload(tenant_id, evidence_id, f" in {database}")
    return [one]


def _ask(action: Action, found: Sequence[UploadStatus], as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        click.echo(
            f"evidence-courier: {action.value} is for {len(found)} uploads; look at them with --dry-run, then say --yes",
            err=True,
        )
        sys.exit(USAGE)
    say_statuses(found)
    many = "this upload" if len(found) == 1 else f"these {len(found)} uploads"
    click.confirm(f"{action.value} {many}?", abort=True)


def _do(
    database: str, action: Action, found: Sequence[UploadStatus], person: Person
) -> ActionResult:
    done: list[UploadStatus] = []
    left: list[Skipped] = []
    rules_of = _rules()
    with closing(SqliteStore(database)) as store:
        for status in found:
            now = datetime.now(UTC)
            came = take_action(
                store, status.tenant_id, status.evidence_id, action, person, rules_of, now
            )
            if isinstance(came, Skipped):
                left.append(came)
            else:
                done.append(status_of_upload(came.after, status.last_attempt_at))
    return ActionResult(tuple(done), tuple(left))


def _rules() -> Callable[[UploadKey], Rules]:
    providers = discover_providers()
    return lambda key: rules_of_provider(providers.get(key.provider), key)


def _say(acted: ActionResult, done: str, as_json: bool) -> None:
    for left in acted.skipped:
        click.echo(f"{left.status.tenant_id}/{left.status.evidence_id}: {left.reason}", err=True)
    if as_json:
        say_json([json_row(status) for status in acted.done])
        return
    if acted.done:
        say_statuses(acted.done)
        if a_person_looks():
            number = len(acted.done)
            click.echo(f"{number} {'upload' if number == 1 else 'uploads'} {done}", err=True)


for _action in Action:
    _add(_action)
