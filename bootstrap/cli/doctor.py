"""`evidence-courier doctor`: would uploads work? A dry run at the providers."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import click
from attrs import asdict, frozen

from ...adapters.config import Loaded
from ...domain.upload.failure import FailureKind
from ...domain.upload.verdict import NotReady, Ready
from ..doctor import Examined, examine
from .exits import UNDELIVERED
from .output import count_of, moment, print_json, print_table
from .tenant_files import end_with_problems, load, tenants_in

_WORTH_TELLING = 2.0  # seconds of waiting
_BAD = ("not_ready", "broken")


def run(folder: str, database: str | None, block: str, as_json: bool) -> None:
    """Ask every tenant's provider and print a line for each tenant."""
    loaded, providers = load(folder, block)
    found = asyncio.run(examine(loaded, providers, database, _tell_of_waiting))
    rows = [_row(tenant_id, loaded, found.get(tenant_id)) for tenant_id in tenants_in(loaded)]
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(
            ("tenant", "provider", "verdict", "what was seen"),
            [
                (
                    row.tenant_id,
                    row.provider or "",
                    row.verdict.replace("_", " "),
                    row.message or "",
                )
                for row in rows
            ],
            last_wraps=True,
        )
    end_with_problems(loaded)
    if any(row.verdict in _BAD for row in rows):
        sys.exit(UNDELIVERED)


@frozen
class _Row:
    """What `doctor` says of one tenant. `kind`, `http_status` and `detail`, a piece of the
    reply, are those of the failure."""

    tenant_id: str
    name: str | None
    provider: str | None
    target: str | None
    verdict: str
    message: str | None = None
    kind: str | None = None
    http_status: int | None = None
    detail: str | None = None


def _row(tenant_id: str, loaded: Loaded, examined: Examined | None) -> _Row:
    name = loaded.names.get(tenant_id)
    if examined is None:
        if tenant_id in loaded.without:
            return _Row(tenant_id, name, None, None, "no_integration")
        problems = count_of(loaded.broken.get(tenant_id, ()), "problem")
        message = f"{problems} in its file, which `check` lists as well"
        return _Row(tenant_id, name, None, None, "invalid", message)
    provider, target = loaded.integrations[tenant_id].provider, examined.target
    match examined.dry_run:
        case None:
            message = f"{provider} has no dry run; evidence goes to {target}"
            return _Row(tenant_id, name, provider, target, "cannot_be_checked", message)
        case Ready(message=message):
            return _Row(tenant_id, name, provider, target, "ready", message)
        case NotReady(failure=failure):
            broken = failure.kind is FailureKind.PROVIDER_BROKEN
            return _Row(
                tenant_id,
                name,
                provider,
                target,
                "broken" if broken else "not_ready",
                failure.message,
                failure.kind.value,
                failure.http_status,
                failure.detail,
            )


def _tell_of_waiting(tenant_id: str, until: datetime) -> None:
    if (until - datetime.now(UTC)).total_seconds() >= _WORTH_TELLING:
        click.echo(
            f"{tenant_id}: waits for its turn at the provider, until {moment(until)}", err=True
        )
