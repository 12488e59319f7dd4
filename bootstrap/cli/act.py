"""`evidence-courier retry`, `release`, `abandon` and `attest`: what a person does about uploads.

Works on the database, whether a courier runs on it or not; a running one notices within seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NoReturn

import click

from ...delivery.actions import ActionResult, Filter
from ...domain.errors import MisuseError
from ...domain.upload.actions import Action
from ...domain.upload.status import UploadStatus
from .exits import UNDELIVERED, USAGE, end
from .going_on import what_delivers
from .output import is_terminal, number_of, print_statuses, print_uploads
from .place import Place
from .saying import say
from .see import absent, stranger

_DONE = {
    Action.RETRY: "retried",
    Action.RELEASE: "released",
    Action.ABANDON: "abandoned",
    Action.ATTEST: "attested",
}


def run(
    word: str,
    *,
    place: Place,
    tenant_id: str | None,
    evidence_id: str | None,
    tenant: str | None,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    by: str,
    reason: str,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Do it to one upload or to many, after asking about many."""
    action = Action(word)
    whose, which = _which(
        tenant_id, evidence_id, tenant, Filter(kind=kind, since=since, until=until)
    )
    with place.records() as records:
        if isinstance(which, str) and not records.statuses(whose, [which]):
            end(absent(records, place, whose, which), USAGE)
        act = partial(getattr(records, word), whose, by=by, reason=reason)
        preview: ActionResult = act(which, preview=True)
        found = [*preview.done, *(one.status for one in preview.skipped)]
        if not found:
            to_retry: Sequence[UploadStatus] = ()
            if action is Action.RELEASE:
                to_retry = records.retry(whose, which, by=by, reason=reason, preview=True).done
            other = (
                f"; `retry` is for {number_of(len(to_retry), 'other upload')}" if to_retry else ""
            )
            print_uploads([], as_json)
            none = f"tenant {tenant!r} has no upload that fits and is {action.is_for}{other}"
            unknown = stranger(records, place.name, whose)
            end(unknown or none, USAGE if unknown else UNDELIVERED)
        if dry_run or not preview.done:
            _end(preview, f"would be {_DONE[action]}", as_json)
        if tenant is not None and not yes:
            _ask(action, preview.done, as_json)
        result = act([one.evidence_id for one in found])
        goes_on = result.done and action in (Action.RETRY, Action.RELEASE)
        hint = what_delivers(place, records.health().couriers) if goes_on else None
    _end(result, _DONE[action], as_json, hint, place.note)


def _which(
    tenant_id: str | None, evidence_id: str | None, tenant: str | None, where: Filter
) -> tuple[str, str | Filter]:
    """The tenant and which of its uploads are meant."""
    if tenant is not None and tenant_id is not None:
        raise MisuseError(
            "give TENANT and EVIDENCE_ID for one upload, or --tenant for many: not both"
        )
    if tenant is not None:
        return tenant, where
    if tenant_id is None or evidence_id is None:
        raise MisuseError(
            "name an upload by TENANT and EVIDENCE_ID, or give --tenant for all of a tenant's"
        )
    if where != Filter():
        raise MisuseError(
            "--kind, --since and --until go with --tenant: one upload needs no filter"
        )
    return tenant_id, evidence_id


def _ask(action: Action, found: Sequence[UploadStatus], as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        end(
            f"{action.value} is for {number_of(len(found), 'upload')}; "
            "look at them with --dry-run, then say --yes",
            USAGE,
        )
    print_statuses(found)
    many = "this upload" if len(found) == 1 else f"these {len(found)} uploads"
    click.confirm(f"{action.value} {many}?", abort=True)


def _end(
    result: ActionResult,
    done: str,
    as_json: bool,
    hint: str | None = None,
    note: str | None = None,
) -> NoReturn:
    """Print what came of it and exit: with code 1 if that is nothing. The `hint` says which command
    is to follow, and the `note` what that needs."""
    for skipped in result.skipped:
        status = skipped.status
        say(f"{status.tenant_id}/{status.evidence_id}: {skipped.reason}")
    print_uploads(result.done, as_json)
    if result.done and is_terminal() and not as_json:
        say(f"{number_of(len(result.done), 'upload')} {done}")
    for line in filter(None, (hint, hint and note)):
        say(line)
    sys.exit(0 if result.done else UNDELIVERED)
