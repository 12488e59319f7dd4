"""`evidence-courier watch`: the uploads as they go on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

import click

from ...domain.upload.status import UploadStatus
from ..records import Records
from .output import (
    fit_in_a_table,
    is_terminal,
    moment,
    print_statuses,
    print_tabbed,
    what_happened,
)
from .place import Place
from .saying import say
from .see import stranger

_NEWEST = 1000
_LINES_OF_ONE = 4
"""What an upload takes at most on a narrow terminal, as a rule."""

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
    room = max(shutil.get_terminal_size().lines - 4, 1)
    found = records.find(tenant_id=tenant, limit=room).uploads
    if found and not fit_in_a_table(found):
        found = found[: max(room // _LINES_OF_ONE, 1)]
    numbers = {word: number for word, number in _counts(records, tenant).items() if number}
    click.clear()
    counted = "  ".join(f"{number} {word}" for word, number in numbers.items())
    click.echo(f"{name}  {moment(datetime.now(UTC))}  {counted or 'no uploads'}\n")
    if found:
        print_statuses(found)


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
