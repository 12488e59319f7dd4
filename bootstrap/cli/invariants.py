"""`evidence-courier invariants`: whether what must always hold of the records does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from ...adapters.config import load_folder
from ...adapters.plugins import discover_providers
from ...adapters.secrets.environ import EnvironSecrets
from ...adapters.stores.sqlite.inspection import inspect
from ...domain.secrets.redaction import Redactor
from .app import UNDELIVERED, app, command
from .output import say_json
from .see import database_option
from .tenant_files import block_option


def _oracle(folder: str, block: str) -> Callable[[str], bool]:
    """Whether a text shows a secret of one of the tenants in a folder."""
    loaded = load_folder(
        folder, providers=discover_providers(), secrets=EnvironSecrets(), block=block
    )
    redactor = Redactor(
        tuple({secret for one in loaded.integrations.values() for secret in one.secrets})
    )
    return lambda text: redactor.text(text) != text


@app.command("invariants")
@database_option
@click.option(
    "--config",
    "folder",
    type=click.Path(),
    help="The folder of tenant files: then no text in the database may show one of their secrets.",
)
@block_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@command
def invariants(database: str, folder: str | None, block: str, as_json: bool) -> None:
    """Check every record in the database; changes nothing, and may be run beside a courier.

    Every upload is at rest, in flight with a courier that lives, or due at some time; no budget is
    overspent; no attempt came before a Retry-After was over; every attempt that was begun has an
    end on record; what was sent again out of a doubt says so; no action left its tenant; no pace
    was exceeded. Exit code 1 where something does not hold.
    """
    found = inspect(database, shows_secret=None if folder is None else _oracle(folder, block))
    if as_json:
        say_json(
            {
                "uploads": found.uploads,
                "attempts": found.attempts,
                "breaches": [
                    {
                        "tenant_id": None if breach.key is None else breach.key.tenant_id,
                        "evidence_id": None if breach.key is None else breach.key.evidence_id,
                        "what": breach.what,
                    }
                    for breach in found.breaches
                ],
            }
        )
    else:
        for breach in found.breaches:
            click.echo(str(breach))
        looked_at = f"{found.uploads:,} uploads with {found.attempts:,} attempts"
        number = len(found.breaches)
        verdict = (
            "everything holds"
            if not number
            else f"{number} {'thing does' if number == 1 else 'things do'} not hold"
        )
        click.echo(f"{looked_at}: {verdict}", err=True)
    if found.breaches:
        sys.exit(UNDELIVERED)
