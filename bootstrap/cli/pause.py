"""`evidence-courier pause` and `resume`: stop a tenant or a provider, and let it go on.

Works on the database, whether a courier runs on it or not; a running one notices within seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import partial

import click

from ...domain.pacing.paused import Paused, Scope
from ...domain.upload.actions import Person
from ..records import Records
from .exits import UNDELIVERED, USAGE, end
from .going_on import what_delivers
from .output import moment, print_json
from .place import Place
from .saying import printable, say
from .see import meant, unknown_in


def run(
    word: str,
    *,
    place: Place,
    tenant: str | None,
    provider: str | None,
    by: str,
    reason: str,
    as_json: bool,
    yes: bool = True,
) -> None:
    """Do it, and print what is paused then, or was until now. What has no upload is paused only
    with `yes`."""
    scope, person = Scope(tenant, provider), Person(by, reason)
    with place.records() as records:
        before = {str(one.scope): one for one in records.paused()}
        again = str(scope) in before
        if not (again or yes) and (unknown := _unknown(records, place, scope)):
            end(
                f"{unknown}{'' if unknown.endswith('?') else '.'} Nothing was paused: name it as "
                "it is recorded, or say --yes to pause what is recorded later",
                USAGE,
            )
        act = partial(getattr(records, word), tenant, provider)
        pause: Paused | None = act(by=person.by, reason=person.reason)
        near = "" if pause is not None else _near(records, place, scope, before)
        hint = _hint(records, place, scope) if pause is not None and word == "resume" else None
    if as_json:
        print_json([] if pause is None else [_row(pause)])
    elif pause is None:
        say(f"{_named(scope)} is not paused{near}")
    elif word == "pause":
        already = "already " if again else ""
        click.echo(printable(f"{_named(scope)}: {already}{pause.failure.message}"))
    else:
        click.echo(printable(f"{_named(scope)} is resumed; it was {pause.failure.message}"))
    for line in filter(None, (hint, hint and place.note)):
        say(line)
    sys.exit(UNDELIVERED if pause is None else 0)


def _hint(records: Records, place: Place, scope: Scope) -> str | None:
    """Which command is to follow, if something is open and no courier goes on with it."""
    if not records.find(
        tenant_id=scope.tenant_id, provider=scope.provider, open=True, limit=1
    ).uploads:
        return None
    return what_delivers(place, records.health().couriers)


def _near(records: Records, place: Place, scope: Scope, paused: Collection[str]) -> str:
    """What may be meant in place of a scope that is not paused."""
    if near := meant(str(scope), paused):
        return near
    others = (f"paused: {', '.join(paused)}" if paused else None, _unknown(records, place, scope))
    return "".join(f"; {one}" for one in others if one)


def _unknown(records: Records, place: Place, scope: Scope) -> str | None:
    """What is said of a scope in which there is no upload."""
    tenant, provider = scope.tenant_id, scope.provider
    if records.find(tenant_id=tenant, provider=provider, limit=1).uploads:
        return None
    unknown = unknown_in(records, place.name, tenant, provider)
    return unknown or f"no upload of {_named(scope)} is in {place.name}"


def _named(scope: Scope) -> str:
    return str(scope) if scope.tenant_id else f"provider {scope}"


def _row(pause: Paused) -> dict[str, object]:
    scope = {"tenant_id": pause.scope.tenant_id, "provider": pause.scope.provider}
    return {**scope, "at": moment(pause.at), "by": pause.by, "reason": pause.reason}
