"""`evidence-courier export`: the uploads of a period, for an auditor or another program; and the
hash chains."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import cast
from unicodedata import normalize

import attrs
import click

from ...domain.errors import MisuseError
from ...domain.upload.find import all_of
from ...domain.upload.status import UploadStatus
from ..face import Where
from ..records import Records
from . import chain
from .exits import USAGE, end
from .output import json_row
from .place import Place
from .saying import say
from .see import stranger

_PAGE = 1000
_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet would calculate begins so, maybe behind white space, or full-width."""


def run(
    place: Place,
    *,
    tenant: str | None,
    since: datetime | None,
    until: datetime | None,
    kind: str,
    head: bool,
    links: bool,
) -> None:
    """Print a line for each upload, the newest first; or what is asked for of the chains."""
    if head or links:
        if since or until:
            raise MisuseError("--since and --until are for uploads: a chain is printed whole")
        chain.export(place, tenant, head, links)
        return
    where: Where = {"tenant_id": tenant, "since": since, "until": until}
    with place.records() as records:
        number = 0
        for number, row in enumerate(_rows(records, where), 1):
            line = json.dumps(row, ensure_ascii=False) + "\n" if kind == "jsonl" else _csv(row)
            if kind == "csv" and number == 1:
                click.echo(_HEADER.encode(), nl=False)
            click.echo(line.encode("utf-8", "backslashreplace"), nl=False)
        if number:
            return
        if tenant is not None and (unknown := stranger(records, place.name, tenant)):
            end(unknown, USAGE)
        if kind == "csv":
            click.echo(_HEADER.encode(), nl=False)
        say("no uploads match")


def _rows(records: Records, where: Where) -> Iterator[Mapping[str, object]]:
    found = all_of(lambda after: records.find(after=after, limit=_PAGE, **where))
    return (_flat(json_row(upload)) for upload in found)


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """With a value for each column: those of the error and the receipt have both names."""
    nested = {
        "error": ("kind", "message", "http_status"),
        "receipt": ("reference", "message"),
    }
    flat: dict[str, object] = {}
    for name, value in row.items():
        if name in nested:
            inner = cast("Mapping[str, object]", value or {})
            flat |= {f"{name}_{one}": inner.get(one) for one in nested[name]}
        else:
            flat[name] = value
    return flat


def _csv(row: Mapping[str, object]) -> str:
    line = io.StringIO()
    # Quoted, so that no line break and no `;` in a text begins a cell of its own.
    writer = csv.writer(line, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(map(_cell, row.values()))
    return line.getvalue()


def _cell(value: object) -> object:
    """A cell that a spreadsheet shows as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and _is_formula(value) else value


def _is_formula(text: str) -> bool:
    first = normalize("NFKC", text.lstrip()[:1])
    return first.startswith(_FORMULA) or text.startswith(("\t", "\r", "\n"))


_HEADER = _csv({name: name for name in _flat(dict.fromkeys(attrs.fields_dict(UploadStatus)))})
