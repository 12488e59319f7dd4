"""`evidence-courier check`: are the tenant files valid, and what do they configure?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import click

from ...adapters.config import Loaded
from ...domain.errors import Problem
from ..advice import advice_of, schedule_in_words, target_of
from ..effective import Setting, settings_of
from ..tenants import Providers
from .annotations import print_annotations
from .output import Columns, first_of, is_terminal, print_columns, print_json, print_table
from .place import Place
from .saying import printable, say
from .tenant_files import end_with_problems, tenants_in, tenants_of

_COLUMNS: Columns = {
    "tenant": lambda row: row["tenant_id"],
    "name": lambda row: row["name"],
    "provider": lambda row: "invalid" if row["problems"] else row["provider"] or "none",
    "outcomes": lambda row: ", ".join(row["outcomes"]),
    "target": lambda row: row["target"],
}


def run(
    place: Place, without_secrets: bool, effective: bool, form: str | None, as_json: bool
) -> None:
    """Read the files and print a line for each tenant."""
    loaded, providers = tenants_of(place, without_secrets=without_secrets)
    if form == "github":
        print_annotations(loaded, _notes(loaded, providers))
        end_with_problems(loaded, quiet=True)
        return
    rows = [_row(tenant_id, loaded, providers) for tenant_id in tenants_in(loaded)]
    if as_json or form == "json":
        rows += _of_no_tenant(loaded, providers)
        for row in rows if effective else ():
            settings = settings_of(row["tenant_id"], loaded, providers) if row["tenant_id"] else ()
            row["settings"] = [attrs.asdict(one) for one in settings]
        print_json(rows)
    else:
        print_columns(_COLUMNS, rows)
        for tenant_id, sentence in _notes(loaded, providers):
            say(f"note: tenant {tenant_id}: {sentence}")
        _print_schedules(loaded)
        for tenant_id in loaded.integrations if effective else ():
            _print_settings(tenant_id, settings_of(tenant_id, loaded, providers))
    end_with_problems(loaded)


def _notes(loaded: Loaded, providers: Providers) -> Iterator[tuple[str, str]]:
    """What is odd about a tenant's settings, behind its id."""
    for tenant_id, integration in loaded.integrations.items():
        for sentence in advice_of(integration, providers, loaded.integrations.values()):
            yield tenant_id, sentence


def _print_schedules(loaded: Loaded) -> None:
    """A line for each schedule, with the first tenants that have it."""
    tenants: dict[str, list[str]] = {}
    for tenant_id, integration in loaded.integrations.items():
        tenants.setdefault(schedule_in_words(integration.retry), []).append(tenant_id)
    for sentence, ids in tenants.items():
        say(f"retry: {first_of(ids)}: {sentence}")


def _print_settings(tenant_id: str, settings: Sequence[Setting]) -> None:
    """A table of its own on a terminal; in a pipe each row begins with the tenant."""
    cells = [
        (one.key, f"line {one.line}" if one.line else one.source, one.value or "none")
        for one in settings
    ]
    click.echo()
    if is_terminal():
        click.echo(printable(tenant_id))
        print_table(("key", "from", "value"), cells)
    else:
        print_table(("tenant", "key", "from", "value"), [(tenant_id, *row) for row in cells])


def _row(tenant_id: str, loaded: Loaded, providers: Providers) -> dict[str, Any]:
    integration, others = loaded.integrations.get(tenant_id), loaded.integrations.values()
    problems, report = loaded.broken.get(tenant_id, ()), loaded.reports.get(tenant_id)
    return {
        "tenant_id": tenant_id,
        "name": loaded.names.get(tenant_id),
        "provider": None if problems else report and report.provider,
        "outcomes": [one.value for one in integration.outcomes] if integration else [],
        "target": target_of(integration, providers) if integration else None,
        "advice": advice_of(integration, providers, others) if integration else (),
        "schedule": schedule_in_words(integration.retry) if integration else None,
        "problems": _objects(problems),
        "warnings": _objects(report.warnings if report else ()),
    }


def _of_no_tenant(loaded: Loaded, providers: Providers) -> Iterator[dict[str, Any]]:
    """A row of what belongs to none of the tenants, such as a file that was not read."""
    known = {one for found in loaded.broken.values() for one in found}
    known.update(one for tenant in loaded.reports.values() for one in tenant.warnings)
    problems = _objects(one for one in loaded.problems if one not in known)
    warnings = _objects(one for one in loaded.warnings if one not in known)
    if problems or warnings:
        row = _row("", loaded, providers)
        yield {**row, "tenant_id": None, "problems": problems, "warnings": warnings}


def _objects(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [attrs.asdict(one) for one in problems]
