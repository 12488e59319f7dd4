"""`evidence-courier watch`: the uploads as they go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from itertools import accumulate

import click

from ...domain.upload.status import UploadStatus
from ..records import Records
from .output import is_terminal, moment, print_statuses, print_tabbed, what_happened
from .place import Place
from .saying import say, width_of
from .see import stranger

_NEWEST = 1000

wait = time.sleep


def run(place: Place, tenant: str | None, every: float) -> None:
    """Show them again and again, on a terminal in place; in a pipe print what has changed. Ctrl-C
    ends it."""
    with place.records() as records:
        if tenant is not None and (unknown := stranger(records, place.name, tenant)):
            say(f"warning: {unknown}; what is recorded later is shown")
        look = partial(_show, place.name) if is_terminal() else _Changes().tell
        try:
            while True:
                look(records, tenant)
                wait(every)
        except KeyboardInterrupt:
            return


def _show(name: str, records: Records, tenant: str | None) -> None:
    columns, lines = shutil.get_terminal_size()
    found = records.find(tenant_id=tenant, limit=max(lines, 1)).uploads
    numbers = {word: number for word, number in _counts(records, tenant).items() if number}
    counted = "  ".join(f"{number} {word}" for word, number in numbers.items())
    head = f"{name}  {moment(datetime.now(UTC))}  {counted or 'no uploads'}"
    # Behind the head there is an empty line, and the cursor stands below the last one.
    room = lines - _rows_of(head, columns) - 2
    click.clear()
    click.echo(f"{head}\n")
    with redirect_stdout(_Screen()) as screen:
        if found:
            print_statuses(found)
    for line in _fitting(screen.getvalue().splitlines(), room, columns):
        click.echo(line)


class _Screen(StringIO):
    """Standard output until it is shown on a terminal."""

    def isatty(self) -> bool:
        """As that terminal."""
        return True


def _fitting(lines: Sequence[str], room: int, columns: int) -> Sequence[str]:
    """The first uploads of a list that fit in `room` rows of the terminal: whole, but for the
    newest if it needs more. A line that goes on with an upload begins with a space."""
    rows = accumulate(_rows_of(line, columns) for line in lines)
    fit = whole = sum(used <= room for used in rows)
    while 0 < whole < len(lines) and lines[whole].startswith(" "):
        whole -= 1
    return lines[: whole or fit]


def _rows_of(line: str, columns: int) -> int:
    return max(-(-width_of(click.unstyle(line)) // columns), 1)


def _counts(records: Records, tenant: str | None) -> Mapping[str, int]:
    if tenant is None:
        return records.counts()
    numbers: dict[str, int] = {}
    for one in records.counted(tenant_id=tenant):
        numbers[one.status.value] = numbers.get(one.status.value, 0) + one.number
    return numbers


class _Changes:
    """What the newest uploads were when they were looked at last."""

    def __init__(self) -> None:
        self._seen: Mapping[tuple[str, str], UploadStatus] | None = None

    def tell(self, records: Records, tenant: str | None) -> None:
        """Print a line for each that is new or has changed since."""
        newest = records.find(tenant_id=tenant, limit=_NEWEST).uploads
        found = {(one.tenant_id, one.evidence_id): one for one in reversed(newest)}
        before, self._seen = self._seen, found
        for key, one in found.items() if before is not None else ():
            last = before.get(key) if before is not None else None
            if last is None or (last.status, last.attempts) != (one.status, one.attempts):
                at, attempts = moment(one.updated_at), str(one.attempts)
                print_tabbed((at, *key, one.provider, one.status, attempts, what_happened(one)))
