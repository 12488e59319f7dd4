"""How the command line shows things: a table to a person, tab-separated text to a pipe, JSON to
a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...domain.upload.status import UploadDetails, UploadStatus

STYLES = {
    "pending": "cyan",
    "retrying": "yellow",
    "held": "magenta",
    "succeeded": "green",
    "failed": "red",
    "delivered": "green",
    "deferred": "yellow",
    "unclear": "yellow",
    "recovered": "yellow",
    "unbundled": "yellow",
    "rejected": "red",
    "ready": "green",
    "not ready": "red",
    "broken": "red",
    "invalid": "red",
}


def json_row(value: UploadStatus) -> dict[str, object]:
    """An upload's status as JSON values: moments in ISO 8601 with Z, nested values as objects."""
    return attrs.asdict(value, value_serializer=lambda _value, _field, field: _plain(field))


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return moment(value, "microseconds" if value.microsecond else "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return value


def moment(value: datetime | None, precision: str = "seconds") -> str:
    """A moment in ISO 8601, in UTC; empty where there is none."""
    if value is None:
        return ""
    return value.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def say_json(value: object) -> None:
    """Write JSON for a program."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def console() -> Console:
    """The terminal, as wide as it is."""
    return Console(highlight=False, soft_wrap=False)


def a_person_looks() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def say_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    last_wraps: bool = False,
) -> None:
    """A table for a person; in a pipe the same columns, separated by tabs, with their names
    first."""
    if not a_person_looks():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(columns):
        wraps = last_wraps and number == len(columns) - 1
        table.add_column(
            name,
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
            ratio=1 if wraps else None,
        )
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console().print(table)


def say_statuses(statuses: Sequence[UploadStatus]) -> None:
    """The list of uploads. On a narrow terminal the moments and the provider give way to the
    reason; `show` has them all."""
    narrow = a_person_looks() and console().width < 130
    columns = {
        name: cell for name, cell in _COLUMNS.items() if not narrow or name not in _WIDE_ONLY
    }
    rows = [[cell(status) for cell in columns.values()] for status in statuses]
    say_table(tuple(columns), rows, last_wraps=True)


def what_happened(status: UploadStatus) -> str:
    """The last thing that is worth knowing of an upload, in a sentence."""
    notes = []
    if status.error is not None:
        http = f" (HTTP {status.error.http_status})" if status.error.http_status is not None else ""
        notes.append(f"{status.error.kind}{http}: {status.error.message}")
    elif status.receipt is not None:
        notes.append(" ".join(filter(None, (status.receipt.reference, status.receipt.message))))
    if status.possible_duplicate:
        notes.append("possible duplicate")
    return "; ".join(filter(None, notes))


_COLUMNS: Mapping[str, Callable[[UploadStatus], str]] = {
    "tenant": lambda status: status.tenant_id,
    "evidence": lambda status: status.evidence_id,
    "provider": lambda status: status.provider,
    "status": lambda status: status.status,
    "attempts": lambda status: str(status.attempts),
    "last attempt": lambda status: moment(status.last_attempt_at),
    "next attempt": lambda status: moment(status.next_attempt_at),
    "what happened": what_happened,
}
_WIDE_ONLY = ("provider", "last attempt", "next attempt")


def say_details(details: UploadDetails) -> None:
    """One upload with its history."""
    facts: Mapping[str, str] = {
        "tenant": details.tenant_id,
        "evidence": details.evidence_id,
        "provider": details.provider,
        "status": details.status,
        "what happened": what_happened(details),
        "attempts": str(details.attempts),
        "last attempt": moment(details.last_attempt_at),
        "next attempt": moment(details.next_attempt_at),
        "evidence date": details.evidence_date.isoformat(),
        "digest": details.digest,
        "created": moment(details.created_at),
        "updated": moment(details.updated_at),
    }
    if a_person_looks():
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, fact in facts.items():
            if fact:
                grid.add_row(name, Text(fact, style=STYLES.get(fact, "")))
        console().print(grid)
    else:
        for name, fact in facts.items():
            click.echo(f"{name}\t{fact}")
    if details.history:
        click.echo()
        say_history(details)
    if details.look_ups:
        click.echo()
        say_table(
            ("looked up", "finding", "why"),
            [(moment(row.at), row.finding, row.message or "") for row in details.look_ups],
            last_wraps=True,
        )
    if details.actions:
        click.echo()
        say_table(
            ("at", "action", "by", "reason"),
            [(moment(row.at), row.action, row.by, row.reason) for row in details.actions],
            last_wraps=True,
        )


SHOWN = 300
"""So many characters of a reply are shown in the table; ``--json`` has what was kept of it."""


def say_history(details: UploadDetails) -> None:
    """The attempts of one upload, in the order in which they ended."""
    say_table(
        ("attempt", "started", "took", "verdict", "what happened"),
        [
            (
                str(row.number),
                moment(row.started_at),
                f"{(row.ended_at - row.started_at).total_seconds():.2f} s",
                row.verdict,
                "; ".join(
                    filter(
                        None,
                        (
                            ": ".join(filter(None, (row.kind, row.message))),
                            f"HTTP {row.http_status}"
                            if row.http_status is not None and row.http_status != 200
                            else None,
                            f"asked to wait {row.retry_after:g} s"
                            if row.retry_after is not None
                            else None,
                            f"request {row.request_id}" if row.request_id else None,
                            f"its reply: {row.detail[:SHOWN]}" if row.detail else None,
                        ),
                    )
                ),
            )
            for row in details.history
        ],
        last_wraps=True,
    )
