"""`evidence-courier prune`, `erase` and `vacuum`: removing what is kept no longer, and what names a
person."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import NoReturn

import attrs
import click

from ...adapters.stores.databases import aside_of, delete_aside, is_postgres
from ...adapters.stores.databases import vacuum as vacuum_database
from ...delivery.retention import (
    LOOKED_AT,
    Erasure,
    Rules,
    all_removals,
    batches_of,
    parts_of,
    remove_together,
)
from ...domain.retention import Part, Retention
from ...domain.upload.actions import Person
from ...ports.removal import Removal, RemovalRow, SettledPage
from ..records import Records
from ..tenants import retention_of
from .exits import UNDELIVERED, USAGE, end
from .output import (
    WIDE,
    Columns,
    first_of,
    is_terminal,
    json_row,
    moment,
    number_of,
    plain,
    print_columns,
    print_in_lines,
    print_json,
    print_statuses,
    print_table,
)
from .place import Place
from .saying import say
from .see import stranger
from .tenant_files import valid_tenants


def _number(name: str, row: RemovalRow) -> str:
    return f"{getattr(row, name):,}"


_NO_RULES = (
    "nothing says how long each part is kept: say it with --retention 'personal: 90d after "
    "success', or give --config with a folder whose tenant files have `retention`"
)


def prune(
    *,
    place: Place,
    by: str,
    reason: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what is kept no longer, and remove it after asking."""
    of_tenants = None
    if place.has_tenants:
        of_tenants = retention_of(valid_tenants(place, without_secrets=True))
    rules = Rules(place.retention, of_tenants)
    if not rules.remove and not _never_removed(rules):
        end(_NO_RULES, USAGE)
    with place.records() as records:
        _prune(place, records, rules, Person(by, reason), yes=yes, as_json=as_json)


def _prune(
    place: Place, records: Records, rules: Rules, person: Person, *, yes: bool, as_json: bool
) -> NoReturn:
    access = records._access
    now = access.clock.now()
    found: _Counts = {}
    if rules.remove:
        found = access.read(lambda reader: _counted(all_removals(reader, rules, now)))
    _say_who_is_left_out(records, rules)
    if not yes or not found:
        _print(found, as_json)
        if not rules.remove:
            parts = _never_removed(rules)
            verb = "is" if len(parts) == 1 else "are"
            _end(f"nothing is removed: {' and '.join(parts)} {verb} kept for ever")
        if not found:
            _end("nothing is kept longer than the rules say")
        if as_json or not sys.stdin.isatty():
            _end("nothing was removed: this is what would be; say --yes to remove it")
        click.confirm("remove it from these uploads? It cannot be undone", abort=True)
    removed, left = defaultdict[str, Counter[Part]](Counter), 0
    for page in _pages(records):
        for some in batches_of(page.uploads, rules, now, person):
            for removal, done in zip(
                some, access.write(partial(remove_together, some)), strict=True
            ):
                removed[removal.tenant_id].update(done.parts)
                left += done.left
    if yes:
        _print(removed, as_json)
    more = f"; {left:,} changed meanwhile and were left" if left else ""
    _end(f"removed{more}. {_advice(place)}")


def _never_removed(rules: Rules) -> list[str]:
    """Of what the rules say `never`, if they remove nothing."""
    retentions = [rules.default, *(rules.of_tenants or {}).values()]
    names = attrs.fields_dict(Retention)
    return [name for name in names if any(getattr(one, name) for one in retentions)]


def _say_who_is_left_out(records: Records, rules: Rules) -> None:
    tenants = {one.tenant_id for one in records.counted()}
    unknown = sorted(one for one in tenants if not rules.know(one))
    if unknown:
        say(
            f"not looked at: {number_of(len(unknown), 'tenant')} that the configuration does not "
            f"name, so what they say of it is not known: {first_of(unknown)}. "
            "Without --config, --retention is for all tenants"
        )


def _pages(records: Records) -> Iterator[SettledPage]:
    mark: int | None = 0
    while mark is not None:
        after = mark
        page = records._access.read(lambda reader: reader.settled(after, LOOKED_AT))  # noqa: B023
        yield page
        mark = page.next_mark


_COUNTED = ("uploads", "attempts", "documents", "texts")
_REMOVAL: Columns = {
    "at": lambda row: moment(row.at),
    "tenant": lambda row: row.tenant_id,
    "action": lambda row: row.action,
    "by": lambda row: row.by,
    "reason": lambda row: row.reason,
    **{name: partial(_number, name) for name in _COUNTED},
}

_Counts = Mapping[str, Mapping[Part, int]]


def _counted(found: Iterable[Removal]) -> _Counts:
    counts: defaultdict[str, Counter[Part]] = defaultdict(Counter)
    for removal in found:
        counts[removal.tenant_id] += parts_of(removal)
    return counts


def _print(counts: _Counts, as_json: bool) -> None:
    rows = sorted(counts.items())
    if as_json:
        names = {Part.ATTEMPTS: "attempts", Part.PERSONAL: "personal", Part.DOCUMENT: "documents"}
        print_json(
            [
                {"tenant_id": tenant_id, **{name: of[part] for part, name in names.items()}}
                for tenant_id, of in rows
            ]
        )
    elif rows:
        columns = ("tenant", "without attempts", "without personal data", "without document")
        cells = [[tenant_id, *(f"{of[part]:,}" for part in Part)] for tenant_id, of in rows]
        print_table(columns, cells)


def _end(message: str) -> NoReturn:
    say(message)
    sys.exit(0)


def erase(
    *,
    place: Place,
    tenant_id: str,
    subject: str,
    by: str,
    reason: str,
    abandon: bool,
    common: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show whose uploads are meant, and remove what names the person after asking."""
    with place.records() as records:
        found = records.erase(tenant_id, subject, by=by, reason=reason, common=common, preview=True)
        if found.open and not abandon and not dry_run:
            _refuse_open(found, as_json)
        unknown = None if found.uploads else stranger(records, place.name, tenant_id)
        if unknown and not found.texts:
            end(unknown, USAGE)
        if dry_run:
            _end_erasure(found, f"{_whose(found)}; nothing was erased", as_json, 0)
        if not yes and (found.uploads or found.texts):
            _ask(found, as_json)
        erasure = records.erase(
            tenant_id, subject, by=by, reason=reason, abandon=abandon, common=common
        )
    erasure = attrs.evolve(erasure, others=found.others)
    removed = erasure.removed
    if removed is None:
        _refuse_open(erasure, as_json)
    searched = _unsearched(erasure) + _others(erasure)
    gone = f"erased from {number_of(len(erasure.uploads), 'upload')}"
    texts = (
        f" and {removed.texts:,} other text{'s' if removed.texts > 1 else ''}"
        if removed.texts
        else ""
    )
    nothing = not erasure.uploads and not removed.texts
    if nothing:
        nothing_found = f"nothing of tenant {tenant_id!r} names this person{searched}"
        _end_erasure(erasure, nothing_found, as_json, UNDELIVERED)
    _end_erasure(erasure, f"{gone}{texts}{searched}. {_advice(place)}", as_json, 0)


def _whose(found: Erasure) -> str:
    still_open = f", {len(found.open)} of them open" if found.open else ""
    uploads = f"{number_of(len(found.uploads), 'upload')} of this person{still_open}"
    texts = f"named in {found.texts:,} other text{'' if found.texts == 1 else 's'}"
    return f"{uploads}, {texts}{_unsearched(found)}{_others(found)}"


def _others(found: Erasure) -> str:
    if not found.others:
        return ""
    one = len(found.others) == 1
    return (
        f"; {number_of(len(found.others), 'other upload')} {'has' if one else 'have'} the person's "
        f"address with another id, or the id with another address, and {'stays' if one else 'stay'}"
        f", such as evidence {found.others[0].evidence_id!r}: if it is the same person, erase by "
        "that name, too"
    )


def _unsearched(found: Erasure) -> str:
    if not found.common:
        return ""
    names = " and ".join(map(repr, found.common))
    return (
        f"; these were not searched for {names}, which may mean something else in them: say "
        "--common to search for that, too"
    )


def _refuse_open(found: Erasure, as_json: bool) -> NoReturn:
    many = "upload of this person is" if len(found.open) == 1 else "uploads of this person are"
    message = (
        f"nothing was erased: {len(found.open)} {many} open. Wait until none is (say "
        "`resume` if a pause holds them, `release` if they are held or parked), or say "
        "--abandon to give them up first (one that is being sent just now: in a minute)"
    )
    _end_erasure(attrs.evolve(found, uploads=found.open), message, as_json, UNDELIVERED)


def _ask(found: Erasure, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        end(f"{_whose(found)}: look at them with --dry-run, then say --yes", USAGE)
    print_statuses(found.uploads)
    say(_whose(found))
    many = "" if not found.open else f"abandon {number_of(len(found.open), 'open upload')} and "
    click.confirm(f"It cannot be undone: {many}erase the person?", abort=True)


def _end_erasure(erasure: Erasure, message: str, as_json: bool, code: int) -> NoReturn:
    if as_json:
        removed = None if erasure.removed is None else attrs.asdict(erasure.removed)
        if removed is not None:
            removed["parts"] = {part.value: number for part, number in removed["parts"].items()}
        open_ones = [json_row(one) for one in erasure.open]
        uploads = [json_row(one) for one in erasure.uploads]
        others = [json_row(one) for one in erasure.others]
        more = {"texts": erasure.texts, "common": erasure.common, "removed": removed}
        print_json({"uploads": uploads, "open": open_ones, "others": others, **more})
    else:
        if erasure.removed is None:
            print_statuses(erasure.uploads)
        say(message)
    sys.exit(code)


def _advice(place: Place) -> str:
    what = "dead rows" if is_postgres(place.database) else "free parts of the file"
    aside = aside_of(place.database)
    of_no_record = ""
    if aside:
        folder, many = os.path.dirname(aside[0]), number_of(len(aside), "document")
        of_no_record = (
            f"; {many} in {folder} may name anyone, since no record says of whom they are: look at "
            "them, and say `evidence-courier vacuum --aside`, which deletes them"
        )
    return (
        f"The disk may hold it in {what} until `evidence-courier vacuum` was run; backups hold it "
        f"until they are deleted{of_no_record}"
    )


def removals(*, place: Place, tenant_id: str | None, as_json: bool) -> None:
    """List what was removed."""
    with place.records() as records:
        rows = records.removals(tenant_id)
        unknown = None if rows or tenant_id is None else stranger(records, place.name, tenant_id)
    if unknown is not None:
        end(unknown, USAGE)
    if as_json:
        print_json(
            [attrs.asdict(one, value_serializer=lambda *given: plain(given[2])) for one in rows]
        )
    elif not rows:
        say("nothing was removed")
    elif is_terminal() and shutil.get_terminal_size().columns < WIDE:
        for row in rows:
            _print_in_lines(row)
    else:
        print_columns(_REMOVAL, rows)


def _print_in_lines(row: RemovalRow) -> None:
    counts = (f"{name}: {_number(name, row)}" for name in _COUNTED)
    print_in_lines(
        (moment(row.at), row.tenant_id, row.action),
        (f"by {row.by}: {row.reason}", ", ".join(counts)),
    )


def vacuum(*, place: Place, aside: bool) -> None:
    """Write the database anew, without what was removed."""
    vacuum_database(place.database)
    deleted = ""
    if aside:
        deleted = f"; {number_of(delete_aside(place.database), 'document')} of no record deleted"
    say(f"the database holds nothing of what was removed{deleted}; backups may")
