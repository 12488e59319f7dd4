"""How the command line shows things: a table on a terminal, tab-separated text in a pipe, JSON for
a program."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from operator import attrgetter
from typing import Any, TypeAlias

import attrs
import click

from ...domain.upload.failure import sentence
from ...domain.upload.status import AttemptRow, UploadDetails, UploadStatus
from .saying import printable, width_of, wrapped

WIDE = 130
"""Columns of a terminal that shows every column of a list of uploads."""

_SENTENCE = 30
"""Columns that a sentence needs, so that it can be read."""

_SHORT = 40
"""Characters that a terminal may have several times."""

SHOWN = 300
"""How many characters of a reply are shown in a table; ``--json`` has all that was recorded."""

STYLES = {
    "pending": "cyan",
    "retrying": "yellow",
    "held": "magenta",
    "succeeded": "green",
    "failed": "red",
    "skipped": "blue",
    "delivered": "green",
    "deferred": "yellow",
    "unclear": "yellow",
    "processing": "yellow",
    "recovered": "yellow",
    "unbundled": "yellow",
    "rejected": "red",
    "ready": "green",
    "not ready": "red",
    "broken": "red",
    "blocked": "red",
    "parked": "yellow",
    "paused": "cyan",
    "invalid": "red",
}


def json_row(value: UploadStatus) -> dict[str, object]:
    """An upload's status as JSON values: moments in ISO 8601 with Z, nested values as objects."""
    return attrs.asdict(value, value_serializer=lambda _value, _field, field: plain(field))


def json_value(value: Any) -> object:
    """Values of the domain, and lists and mappings of them, as JSON values."""
    match value:
        case Mapping():
            return {str(name): json_value(one) for name, one in value.items()}
        case list() | tuple():
            return [json_value(one) for one in value]
        case _ if attrs.has(type(value)):
            return json_value(attrs.asdict(value, recurse=False))
        case _:
            return plain(value)


def plain(value: object) -> object:
    """A value as JSON has it: moments in ISO 8601 with Z."""
    if isinstance(value, datetime):
        return moment(value, "microseconds" if value.microsecond else "seconds")
    return value.isoformat() if isinstance(value, date) else value


def moment(value: datetime | None, precision: str = "seconds") -> str:
    """A moment in ISO 8601, in UTC; empty for None."""
    if value is None:
        return ""
    return value.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def number_of(number: int, noun: str) -> str:
    """A number with its noun: ``1 upload``, ``1,000 uploads``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """The first of the names, and how many more there are: ``a, b, c and 1,000 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_json(value: object) -> None:
    """Write JSON for a program; in ASCII if standard output has another encoding than UTF-8."""
    encoding = getattr(sys.stdout, "encoding", None) or ""
    in_utf_8 = encoding.lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not in_utf_8, indent=2)
    text = "\n".join(map(_escaped, text.split("\n")))
    click.echo(text.encode("utf-8", "backslashreplace") if in_utf_8 else text)


def _escaped(line: str) -> str:
    """A line of JSON in which what would steer a terminal is an escape, which JSON reads back."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def without_repeats(named: Iterable[tuple[str, str]]) -> list[str]:
    """What is said of each name. A terminal has the end of a text, such as what to do, once, and
    then the name with which it stands."""
    texts, first = [], dict[str, str]()
    for name, text in named:
        starts = (0, *(found.end() for found in re.finditer("[;:] ", text)))
        ends = [start for start in starts if len(text) - start > _SHORT] if is_terminal() else []
        known = next((start for start in ends if text[start:] in first), None)
        texts.append(text if known is None else f"{text[:known]}as for {first[text[known:]]}")
        for start in ends:
            first.setdefault(text[start:], name)
    return texts


# --- tables --------------------------------------------------------------------------------------


Columns: TypeAlias = Mapping[str, Callable[[Any], str | None]]
"""The columns of a table: what a row has in each; nothing for None."""


def print_columns(columns: Columns, rows: Iterable[object]) -> None:
    """Print a table with a row for each thing."""
    print_table(tuple(columns), [[cell(row) or "" for cell in columns.values()] for row in rows])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on a terminal, and in a pipe the same columns separated by tabs.

    Without names of `columns` the first cell of each row is its name. On a terminal that is too
    narrow there are some lines for each row instead.
    """
    if not is_terminal():
        for row in (columns, *rows) if columns else rows:
            print_tabbed(row)
        return
    rows = [[*map(printable, row)] for row in rows]
    if columns and not _fit(columns, rows):
        for first, *others in rows:
            named = [
                f"{name} {cell}" for name, cell in zip(columns[1:], others, strict=True) if cell
            ]
            separator = "; " if any("," in one for one in named) else ", "
            print_in_lines((f"{columns[0]} {first}",), (separator.join(named),))
        return
    try:
        _print_with_rich(columns, rows)
    except ModuleNotFoundError:
        _print_aligned(columns, rows)


def print_tabbed(cells: Iterable[str]) -> None:
    """Print a row for a program: its cells separated by tabs."""
    click.echo("\t".join(map(printable, cells)))


def _fit(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether each column has the room that it needs on the terminal, and the last, which wraps,
    as much as a sentence and its longest word need."""
    needed = [max(map(width_of, cells)) + 2 for cells in zip(columns, *rows, strict=True)]
    words = (width_of(word) + 2 for row in rows for word in row[-1].split())
    needed[-1] = min(needed[-1], max((_SENTENCE, *words)))  # a word stays whole, to be copied
    return sum(needed) - 2 <= shutil.get_terminal_size().columns


def _print_with_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None,
        header_style="bold",
        show_header=bool(columns),
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    width = len(columns or rows[0])
    for number in range(width):
        wraps = number == width - 1
        table.add_column(
            columns[number] if columns else "",
            style="" if columns or number else "bold",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    Console(highlight=False, soft_wrap=False).print(table)


def _print_aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table without rich: columns in line, and the terminal wraps what is too long."""
    lines = [columns, *rows] if columns else rows
    widths = [max(map(width_of, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell + " " * (most - width_of(cell)) for cell, most in zip(line, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


# --- uploads -------------------------------------------------------------------------------------


def what_happened(status: UploadStatus) -> str:
    """The last thing that is worth knowing of an upload, in a sentence."""
    notes: list[str | None] = []
    if status.error is not None:
        notes.append(sentence(*attrs.astuple(status.error)))
    elif status.receipt is not None:
        notes.append(_joined(" ", status.receipt.reference, status.receipt.message))
    if status.erased_at is not None:
        notes.append(f"what named a person was removed on {moment(status.erased_at)}")
    if status.pruned_at is not None:
        notes.append(f"its attempts were removed on {moment(status.pruned_at)}")
    if status.out_of_time and "give_up_after" not in (notes[0] or ""):  # its words were erased
        notes.append("given up: `give_up_after` was over")
    if status.possible_duplicate:
        notes.append("possible duplicate")
    if _is_under_way(status):
        notes.append(f"attempt {status.attempts} is under way")
    if status.waits_for is not None:
        cause = f": {status.error.message}" if status.error is not None else ""
        notes.append(f"waits for: {status.waits_for.removesuffix(cause)}")
    return _joined("; ", *notes)


def _is_under_way(status: UploadStatus) -> bool:
    """Whether an attempt has begun and not ended: all else that is open has a moment or a cause."""
    is_open = status.status in ("pending", "retrying") and status.attempts > 0
    return is_open and status.next_attempt_at is None and status.waits_for is None


def _joined(separator: str, *parts: str | None) -> str:
    return separator.join(filter(None, parts))


_COLUMNS: Columns = {
    "tenant": attrgetter("tenant_id"),
    "evidence": attrgetter("evidence_id"),
    "provider": attrgetter("provider"),
    "status": attrgetter("status"),
    "attempts": lambda status: str(status.attempts),
    "last attempt": lambda status: moment(status.last_attempt_at),
    "next attempt": lambda status: moment(status.next_attempt_at),
    "what happened": what_happened,
}


def print_uploads(statuses: Sequence[UploadStatus], as_json: bool) -> None:
    """Print a list of uploads for a program, or for a person if there are any."""
    if as_json:
        print_json([json_row(status) for status in statuses])
    elif statuses:
        print_statuses(statuses)


def print_statuses(statuses: Sequence[UploadStatus]) -> None:
    """Print a list of uploads: on a narrow terminal some lines for each, else a table. A terminal
    has what happened to several in a row once."""
    events = [what_happened(status) for status in statuses]
    if is_terminal():
        pairs = pairwise(["", *events])
        events = ["as above" if now and now == before else now for before, now in pairs]
    if is_terminal() and not fit_in_a_table(statuses):
        for status, words in zip(statuses, events, strict=True):
            _print_in_lines(status, words)
        return
    rows = [[*row[:-1], words] for row, words in zip(_rows(statuses), events, strict=True)]
    print_table(tuple(_COLUMNS), rows)


def _rows(statuses: Iterable[UploadStatus]) -> list[list[str]]:
    return [[cell(status) or "" for cell in _COLUMNS.values()] for status in statuses]


def fit_in_a_table(statuses: Sequence[UploadStatus]) -> bool:
    """Whether a list of uploads is shown as a table on this terminal, with a line for most."""
    return shutil.get_terminal_size().columns >= WIDE and _fit(tuple(_COLUMNS), _rows(statuses))


def _print_in_lines(status: UploadStatus, happened: str) -> None:
    number = number_of(status.attempts, "attempt")
    last, next_ = moment(status.last_attempt_at), moment(status.next_attempt_at)
    facts = [number, last and f"last {last}", next_ and f"next {next_}"]
    head = (status.tenant_id, status.evidence_id, status.provider, status.status)
    print_in_lines(head, (", ".join(filter(None, facts)), happened))


def print_in_lines(head: Sequence[str], words: Iterable[str]) -> None:
    """Print what something is, its state last, and under that in words what there is to say."""
    *about, word = map(printable, head)
    click.echo("  ".join((*about, click.style(word, fg=STYLES.get(word)))))
    width = max(shutil.get_terminal_size().columns - 4, 20)
    for one in filter(None, words):
        click.echo("\n".join(f"    {line}" for line in wrapped(printable(one), width)))


def print_details(details: UploadDetails) -> None:
    """Print one upload with its attempts, look-ups and actions."""
    facts = [(name, cell(details) or "") for name, cell in _FACTS.items()]
    print_table((), [fact for fact in facts if fact[1] or not is_terminal()])
    running = [details.running] if details.running is not None else []
    for columns, rows in (
        (_RUNNING, running),
        (_ATTEMPTS, details.history),
        (_LOOK_UPS, details.look_ups),
        (_ACTIONS, details.actions),
    ):
        if rows:
            click.echo()
            print_columns(columns, rows)


def _end_of(row: AttemptRow) -> str:
    wait = f"asked to wait {row.retry_after:g} s" if row.retry_after is not None else None
    request = f"request {row.request_id}" if row.request_id else None
    reply = f"its reply: {row.detail[:SHOWN]}" if row.detail else None
    return _joined("; ", sentence(row.kind, row.message, row.http_status), wait, request, reply)


_FIRST = ("tenant", "evidence", "provider", "status", "what happened")
_FACTS: Columns = {
    **{name: _COLUMNS[name] for name in _FIRST},
    **_COLUMNS,
    "evidence date": lambda details: details.evidence_date.isoformat(),
    "document": lambda details: details.document,
    "digest": lambda details: details.digest,
    "created": lambda details: moment(details.created_at),
    "updated": lambda details: moment(details.updated_at),
}
_ATTEMPTS: Columns = {
    "attempt": lambda row: str(row.number),
    "started": lambda row: moment(row.started_at),
    "took": lambda row: f"{(row.ended_at - row.started_at).total_seconds():.2f} s",
    "verdict": lambda row: row.verdict,
    "what happened": _end_of,
}
_RUNNING: Columns = {
    "running": lambda row: str(row.number),
    "since": lambda row: moment(row.started_at),
    "courier": lambda row: f"{row.courier_id} ({row.courier or 'gone: it will be recovered'})",
    "waits for": lambda row: row.waits_for or "a connection, or the provider's reply",
}
_LOOK_UPS: Columns = {
    "looked up": lambda row: moment(row.at),
    "finding": lambda row: row.finding,
    "why": lambda row: row.message,
}
_ACTIONS: Columns = {
    "at": lambda row: moment(row.at),
    **{name: attrgetter(name) for name in ("action", "by", "reason")},
}
