"""`evidence-courier check`: do the tenant files hold?"""

from __future__ import annotations

import click
from attrs import asdict, frozen

from ...adapters.config import Loaded, load_folder
from ...adapters.plugins import discover_providers
from ...adapters.secrets.environ import EnvironSecrets
from ..advice import advice_of, target_of
from ..tenants import Providers
from .app import app, command
from .output import say_json, say_table
from .tenant_files import block_option, end_with_problems, tenants_in


@app.command("check")
@click.argument("folder", metavar="DIR", type=click.Path())
@block_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@command
def check(folder: str, block: str, as_json: bool) -> None:
    """Read the tenant files in DIR and say what they come to; sends nothing.

    Prints a line for each tenant: its id, its name, its provider or `none`, and where its evidence
    goes. Every problem is a line FILE:LINE: PATH: message on standard error, and the exit code is
    then 2.
    """
    providers = discover_providers()
    loaded = load_folder(folder, providers=providers, secrets=EnvironSecrets(), block=block)
    rows = [_row(tenant_id, loaded, providers) for tenant_id in tenants_in(loaded)]
    if as_json:
        say_json([asdict(row) for row in rows])
    else:
        say_table(
            ("tenant", "name", "provider", "target"),
            [
                (
                    row.tenant_id,
                    row.name or "",
                    "invalid" if row.problems else row.provider or "none",
                    row.target or "",
                )
                for row in rows
            ],
            last_wraps=True,
        )
        for row in rows:
            for sentence in row.advice:
                click.echo(f"note: tenant {row.tenant_id}: {sentence}", err=True)
    end_with_problems(loaded)


@frozen
class _Row:
    """What `check` says of one tenant."""

    tenant_id: str
    name: str | None
    provider: str | None
    target: str | None
    advice: tuple[str, ...]
    problems: tuple[str, ...]


def _row(tenant_id: str, loaded: Loaded, providers: Providers) -> _Row:
    integration = loaded.integrations.get(tenant_id)
    return _Row(
        tenant_id=tenant_id,
        name=loaded.names.get(tenant_id),
        provider=integration.provider if integration else None,
        target=target_of(integration, providers) if integration else None,
        advice=advice_of(integration, providers) if integration else (),
        problems=tuple(map(str, loaded.broken.get(tenant_id, ()))),
    )
