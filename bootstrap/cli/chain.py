"""`evidence-courier verify`, and `export` of the hash chains."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from attrs import evolve, frozen

from ...adapters.stores.databases import open_for_reading, unproven
from ...adapters.stores.sql.inspection import Breach
from ...adapters.stores.sql.reader import SqlReader
from ...delivery.chain import faults_of, texts_of
from ...domain.chain import Fault, Head, canonical
from ...domain.errors import MisuseError
from ...ports.chain import Unlinked
from .exits import UNDELIVERED, USAGE, end
from .inputs import regular
from .output import number_of, print_json
from .place import Place
from .saying import printable, say
from .see import meant

_NOTHING = Unlinked(0, ())


def verify(place: Place, tenant: str | None, head_files: tuple[str, ...], as_json: bool) -> None:
    """Check the chains and print what does not hold."""
    known: defaultdict[str, list[Head]] = defaultdict(list)
    for file in head_files:
        for head in _heads_in(Path(file)):
            known[head.tenant_id].append(head)
    with open_for_reading(place.database) as reader:
        waiting = reader.chains()
        tenants = sorted({*waiting, *known}) if tenant is None else [tenant]
        if tenant is not None and tenant not in {*waiting, *known}:
            end(_no_chain(tenant, place, waiting), USAGE)
        found = [_checked(reader, one, known[one], waiting.get(one, _NOTHING)) for one in tenants]
    checked = _with_uploads(found, unproven(place.database, tenant))
    _print(checked, as_json)
    if any(one.faults for one in checked):
        sys.exit(UNDELIVERED)


@frozen
class _Checked:
    """What a check of a tenant's chain found."""

    head: Head
    unlinked: int
    faults: Sequence[Fault]


def _checked(
    reader: SqlReader, tenant_id: str, known: Sequence[Head], unlinked: Unlinked
) -> _Checked:
    passed_over = (
        Fault(tenant_id, None, f"{about} is in no link, and much that is newer is")
        for about in unlinked.passed_over
    )
    faults = (*faults_of(reader, tenant_id, known), *passed_over)
    head = next(iter(reader.heads(tenant_id)), Head(tenant_id))
    return _Checked(head, unlinked.number, faults)


def _with_uploads(found: Sequence[_Checked], breaches: Sequence[Breach]) -> Sequence[_Checked]:
    """Beside the faults of each chain, what of the tenant's uploads cannot be so by it."""
    by_tenant: defaultdict[str, list[Fault]] = defaultdict(list)
    for one in breaches:
        tenant_id = "" if one.key is None else one.key.tenant_id
        of = "" if one.key is None else f"evidence {one.key.evidence_id!r} at {one.key.provider}: "
        by_tenant[tenant_id].append(Fault(tenant_id, None, f"{of}{one.what}"))
    checked = [
        evolve(one, faults=(*one.faults, *by_tenant.pop(one.head.tenant_id, ()))) for one in found
    ]
    return [*checked, *(_Checked(Head(one), 0, faults) for one, faults in by_tenant.items())]


def _print(found: Sequence[_Checked], as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    **_json_of(one.head),
                    "unlinked": one.unlinked,
                    "faults": [{"link": each.position, "what": each.what} for each in one.faults],
                }
                for one in found
            ]
        )
        return
    for one in found:
        for fault in one.faults:
            click.echo(printable(str(fault)))
    links, faults = sum(one.head.length for one in found), sum(len(one.faults) for one in found)
    wrong = f"{faults} {'thing does' if faults == 1 else 'things do'} not hold"
    tenants = number_of(len(found), "tenant")
    say(f"{links:,} links of {tenants}: {wrong if faults else 'everything holds'}")
    if unlinked := sum(one.unlinked for one in found):
        records = "1 record is" if unlinked == 1 else f"{unlinked:,} records are"
        say(f"{records} not linked yet: a running courier does that")


def export(place: Place, tenant: str | None, head: bool, links: bool) -> None:
    """Print the heads of the chains, or the texts of one chain's links."""
    if head == links:
        raise MisuseError("give --head or --links")
    if links and tenant is None:
        raise MisuseError("--links are those of one tenant: give --tenant")
    with open_for_reading(place.database) as reader:
        heads = reader.heads(tenant)
        if tenant is not None and not heads:
            end(_no_chain(tenant, place, reader.chains()), USAGE)
        if links and tenant is not None:
            for text in texts_of(reader, tenant):
                click.echo(text.encode())  # whatever the terminal's encoding is
        else:
            for one in heads:
                click.echo(canonical(_json_of(one)).encode())


def _no_chain(tenant: str, place: Place, known: Iterable[str]) -> str:
    return f"tenant {tenant!r} has no chain in {place.name}{meant(tenant, known)}"


def _json_of(head: Head) -> Mapping[str, str | int | None]:
    return {
        "tenant": head.tenant_id,
        "length": head.length,
        "hash": head.hash,
        "time": head.time,
    }


def _heads_in(file: Path) -> Sequence[Head]:
    """The heads in a file that `export --head` has written."""
    try:
        rows = [
            json.loads(line)
            for line in regular(file).read_text("utf-8").splitlines()
            if line.strip()
        ]
        if not rows:
            raise ValueError("it is empty")
        return [
            Head(str(row["tenant"]), int(row["length"]), str(row["hash"]), row.get("time"))
            for row in rows
        ]
    except OSError as error:
        raise MisuseError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise MisuseError(
            f"{file} holds no heads, one a line, as `evidence-courier export --head` prints them"
        ) from error
