"""The commands that remove what is kept no longer, and what names a person, as `app` has them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from .declaring import (
    _APP,
    _BLOCK,
    _BY,
    _CONFIG,
    _JSON,
    _REASON,
    _RECORDS,
    _RETENTION,
    _SECRETS,
    _YES,
    _command,
    _db,
    _option,
)

ERASE = _command(
    "erase",
    "remove.erase",
    """Remove everything that names a person.

    Ids, states, times and counts stay, and what was delivered is not sent again. What goes: the
    person's id, address, session and documents, replies of providers, and the texts of all of the
    tenant's records that name the person. That it was done is recorded, without the name. As long
    as an upload of the person is open nothing is erased: wait, or say --abandon. The uploads are
    listed, and you are asked first. The exit code is 1 if nothing was erased.
    """,
    *_RECORDS,
    _option("--tenant tenant_id", "Whose records.", required=True),
    _option("--subject", "The person's id or e-mail address, as evidence gave it.", required=True),
    _BY,
    _REASON,
    _option("--abandon", "Give up the person's open uploads first.", is_flag=True),
    _option(
        "--common",
        "Search other uploads' texts for a name such as 503, too, which may mean something else.",
        is_flag=True,
    ),
    _YES,
    _option(
        "--dry-run",
        "Only list the person's uploads, and count other texts with the name.",
        is_flag=True,
    ),
    _JSON,
)

PRUNE = _command(
    "prune",
    "remove.prune",
    """Remove what is kept no longer.

    Counts first what would go, by tenant, and removes it with --yes, or after asking; without a
    terminal or with --json it only counts without --yes, and the exit code is 0. --retention
    says how long each part is kept, and for tenants with `retention` in their files these do: as
    12h, 90d, 52w, `90d after success` or never. `attempts` are attempts and look-ups, `personal` is
    what names a person with the document, `failed_documents` are documents of failed uploads. What
    is open is kept. A courier with the same rules does this by itself.
    """,
    _CONFIG,
    _db(),
    _APP,
    _BLOCK,
    _SECRETS,
    _RETENTION,
    _option("--by", "Who you are; it is recorded.", default="evidence-courier prune"),
    _option("--reason", "Why; it is recorded.", default="kept no longer"),
    _YES,
    _JSON,
)

REMOVALS = _command(
    "removals",
    "remove.removals",
    """List what was removed: when, by whom, why and how much; the latest first.

    A courier removes by itself what its rules or a tenant's say. Who was erased is not recorded.
    """,
    *_RECORDS,
    _option("--tenant tenant_id", "Only what was removed of this tenant's."),
    _JSON,
)

VACUUM = _command(
    "vacuum",
    "remove.vacuum",
    """Write the database anew, so that the disk holds nothing of what was removed.

    Run it after `erase` or `prune`, at a quiet time: couriers wait meanwhile, and it needs as much
    free space as the database has. Backups hold what was removed until they are deleted.
    """,
    *_RECORDS,
    _option(
        "--aside",
        "Delete the documents, too, that belong to no record and may name anyone.",
        is_flag=True,
    ),
)
