"""`evidence-courier pause` and `resume`: stop a tenant or a provider, and let it go on.

Works on the database, whether a courier runs on it or not; a running one notices within seconds.
"""

from __future__ import annotations

import sys
from functools import partial

import click

from ...domain.pacing.paused import Paused, Scope
from .exits import UNDELIVERED
from .output import moment, print_json
from .place import Place
from .saying import say
from .see import unknown_in


def run(
    word: str,
    *,
    place: Place,
    tenant: str | None,
    provider: str | None,
    by: str,
    reason: str,
    as_json: bool,
) -> None:
    """Do it, and print what is paused then, or was until now."""
    scope = Scope(tenant, provider)
    with place.records() as records:
        again = word == "pause" and any(one.scope == scope for one in records.paused())
        act = partial(getattr(records, word), tenant, provider)
        pause: Paused | None = act(by=by, reason=reason)
        if (
            word == "pause"
            and not records.find(tenant_id=tenant, provider=provider, limit=1).uploads
        ):
            unknown = unknown_in(records, place.name, tenant, provider)
            missing = unknown or f"no upload of {_named(scope)} is in {place.name}"
            say(f"warning: {missing}; the pause is for what is recorded later")
    if as_json:
        print_json([] if pause is None else [_row(pause)])
    elif pause is None:
        say(f"{_named(scope)} is not paused")
    elif word == "pause":
        already = "already " if again else ""
        click.echo(f"{_named(scope)}: {already}{pause.failure.message}")
    else:
        click.echo(f"{_named(scope)} is resumed; it was {pause.failure.message}")
    sys.exit(UNDELIVERED if pause is None else 0)


def _named(scope: Scope) -> str:
    return str(scope) if scope.tenant_id else f"provider {scope}"


def _row(pause: Paused) -> dict[str, object]:
    scope = {"tenant_id": pause.scope.tenant_id, "provider": pause.scope.provider}
    return {**scope, "at": moment(pause.at), "by": pause.by, "reason": pause.reason}
