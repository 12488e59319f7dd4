"""`evidence-courier schema`: JSON Schema of what is written by hand, for editors."""

from __future__ import annotations

import json

import click


def run(what: str, block: str) -> None:
    """Print the schema of a tenant's file, with the providers that are installed, or of a training
    record."""
    if what == "record":
        from ...adapters.records.schema import schema_text

        click.echo(schema_text(), nl=False)
        return
    from ...adapters.config.json_schema import tenant_schema
    from ...adapters.plugins import discover_providers

    click.echo(json.dumps(tenant_schema(discover_providers(), block), indent=2))
