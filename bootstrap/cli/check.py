"""`evidence-courier check`: do the tenant files hold?"""

from __future__ import annotations

import sys

import click

from ...adapters.config import load_folder
from ...adapters.plugins import discover_providers
from ...adapters.secrets.environ import EnvironSecrets
from ..advice import advice_of, target_of
from .app import USAGE, app, command
from .output import a_person_looks, say_json, say_table


@app.command("check")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--block",
    default="integrations.compliance",
    show_default=True,
    help="Where the block stands in a tenant file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@command
def check(folder: str, block: str, as_json: bool) -> None:
    """Read the tenant files in DIR and say what they come to; sends nothing.

    Prints a line for each tenant: its id, its name, its provider or `none`, and where its evidence goes. Every problem is a line
    FILE:LINE: PATH: message on standard error, and the exit code is then 2.
    """
    providers = discover_providers()
    loaded = load_folder(folder, providers=providers, secrets=EnvironSecrets(), block=block)
    rows = []
    for tenant_id in sorted({*loaded.integrations, *loaded.without, *loaded.broken}):
        integration = loaded.integrations.get(tenant_id)
        rows.append(
            {
                "tenant_id": tenant_id,
                "name": loaded.names.get(tenant_id),
                "provider": integration.provider if integration else None,
                "target": target_of(integration, providers) if integration else None,
                "advice": list(advice_of(integration, providers)) if integration else [],
                "problems": [str(problem) for problem in loaded.broken.get(tenant_id, ())],
            }
        )
    if as_json:
        say_json(rows)
    else:
        say_table(
            ("tenant", "name", "provider", "target"),
            [
                (
                    str(row["tenant_id"]),
                    str(row["name"] or ""),
                    "invalid" if row["problems"] else str(row["provider"] or "none"),
                    str(row["target"] or ""),
                )
                for row in rows
            ],
            last_wraps=True,
        )
        for row in rows:
            for line in row["advice"]:  # type: ignore[attr-defined]
                click.echo(f"note: tenant {row['tenant_id']}: {line}", err=True)
    if loaded.problems:
        if a_person_looks():
            click.echo(err=True)
        for problem in loaded.problems:
            click.echo(str(problem), err=True)
        sys.exit(USAGE)
