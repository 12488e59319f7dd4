"""`evidence-courier pause` and `resume`: stop a tenant or a provider, and let it go on.

Works on the database, whether a courier runs on it or not; a running one notices within seconds.
"""

from __future__ import annotations

import sys
from functools import partial

import click

from ...domain.pacing.paused import Paused, Target
from .exits import UNDELIVERED
from .output import moment, print_json
from .place import Place


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
    target = Target(tenant, provider)
    with place.records() as records:
        act = partial(getattr(records, word), tenant, provider)
        pause: Paused | None = act(by=by, reason=reason)
    if as_json:
        print_json([] if pause is None else [_row(pause)])
    elif pause is None:
        click.echo(f"{target} is not paused", err=True)
    elif word == "pause":
        click.echo(f"{target}: {pause.failure.message}")
    else:
        click.echo(f"{target} is resumed; it was {pause.failure.message}")
    sys.exit(UNDELIVERED if pause is None else 0)


def _row(pause: Paused) -> dict[str, object]:
    target = {"tenant_id": pause.target.tenant_id, "provider": pause.target.provider}
    return {**target, "at": moment(pause.at), "by": pause.by, "reason": pause.reason}
