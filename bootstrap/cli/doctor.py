"""`evidence-courier doctor`: would uploads work? A dry run at the providers."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

import click
from attrs import asdict, frozen

from ...adapters.config import Loaded, load_folder
from ...adapters.plugins import discover_providers
from ...adapters.secrets.environ import EnvironSecrets
from ...domain.upload.failure import FailureKind
from ...domain.upload.verdict import NotReady, Ready
from ..doctor import Examined, examine
from .app import UNDELIVERED, app, command
from .output import moment, say_json, say_table
from .tenant_files import block_option, end_with_problems, tenants_in

_WORTH_TELLING = 2.0  # seconds of waiting


@app.command("doctor")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--db",
    "database",
    type=click.Path(),
    help="The database of a courier that may be running: its pace is kept together with it.",
)
@block_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@command
def doctor(folder: str, database: str | None, block: str, as_json: bool) -> None:
    """Ask the provider of each tenant in DIR whether uploads would work: are the credentials good,
    is the target there? Uploads nothing.

    Prints a line for each tenant: ready, not ready, broken (its plug-in failed), cannot be checked
    (its provider has no dry run), no integration, or invalid (`check` says more). Exit code 1 where
    one is not ready or broken; 2 where a tenant file does not hold. With --db each request waits
    for its turn at that database's gate, up to three minutes for each tenant.
    """
    providers = discover_providers()
    loaded = load_folder(folder, providers=providers, secrets=EnvironSecrets(), block=block)
    found = asyncio.run(examine(loaded, providers, database, _tell_of_waiting))
    rows = [_row(tenant_id, loaded, found.get(tenant_id)) for tenant_id in tenants_in(loaded)]
    if as_json:
        say_json([asdict(row) for row in rows])
    else:
        say_table(
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


_BAD = ("not_ready", "broken")


@frozen
class _Row:
    """What `doctor` says of one tenant. `kind`, `http_status` and `detail`, a piece of the
    reply, are those of the failure."""

    tenant_id: str
    name: str | None
    provider: str | None
    target: str | None
    verdict: str
    kind: str | None = None
    message: str | None = None
    http_status: int | None = None
    detail: str | None = None


def _row(tenant_id: str, loaded: Loaded, examined: Examined | None) -> _Row:
    name = loaded.names.get(tenant_id)
    if examined is None:
        if tenant_id in loaded.without:
            return _Row(tenant_id, name, None, None, "no_integration")
        number = len(loaded.broken.get(tenant_id, ()))
        told = f"{number} {'problem' if number == 1 else 'problems'} in its file, which `check` lists as well"
        return _Row(tenant_id, name, None, None, "invalid", message=told)
    provider = loaded.integrations[tenant_id].provider
    match examined.dry_run:
        case None:
            told = f"{provider} has no dry run; evidence goes to {examined.target}"
            return _Row(
                tenant_id, name, provider, examined.target, "cannot_be_checked", message=told
            )
        case Ready(message=message):
            return _Row(tenant_id, name, provider, examined.target, "ready", message=message)
        case NotReady(failure=failure):
            verdict = "broken" if failure.kind is FailureKind.PROVIDER_BROKEN else "not_ready"
            told, kind = failure.message, failure.kind.value
            return _Row(
                tenant_id,
                name,
                provider,
                examined.target,
                verdict,
                kind,
                told,
                failure.http_status,
                failure.detail,
            )


def _tell_of_waiting(tenant_id: str, until: datetime) -> None:
    if (until - datetime.now(UTC)).total_seconds() >= _WORTH_TELLING:
        click.echo(
            f"{tenant_id}: waits for its turn at the provider, until {moment(until)}", err=True
        )
