"""What can be typed: every command with its arguments, options and help.

This module imports no library but click, so that `--help` and shell completion are quick. What a
command does is a function of a module beside this one, imported when the command is called.

Exit codes. 0: done. 1: an upload that `submit` waited for failed or is held, an action applied to
nothing, or `doctor`, `health`, `invariants` or `verify` found something. 2: usage or
configuration. 3: the database. 4: the output could not be written. 130 and 143: ended by Ctrl-C
and by SIGTERM; 0 for `run`, `watch` and `sandbox`, which go on until then.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import click

from .declaring import (
    _APP,
    _BLOCK,
    _BY,
    _CONFIG,
    _FONTS,
    _JSON,
    _PATH,
    _PLACE,
    _REASON,
    _RECORDS,
    _SECRETS,
    _SINCE,
    _YES,
    Age,
    Grouped,
    Moment,
    _argument,
    _command,
    _db,
    _option,
)
from .examples import ENDS, epilog
from .pause_commands import PAUSES
from .removal_commands import ERASE, PRUNE, REMOVALS, VACUUM
from .run_commands import RUN
from .tenant_commands import CHECK, DOCTOR, SCHEMA

STATUSES = ("pending", "retrying", "held", "succeeded", "failed", "skipped")

# --- uploads -------------------------------------------------------------------------------------

_SUBMIT = _command(
    "submit",
    "submit.run",
    """Deliver files and wait until they are settled.

    Each FILE has succeeded, failed, is held or was skipped in the end, or its target is parked: it
    is retrying then, and any courier goes on with it. One ending in .json is a training record,
    which brings its own ids and is rendered to PDF. Any other is a document, and needs --tenant,
    --session, --subject, --outcome and --recorded-at. What was delivered before is not sent again.
    The exit code is 1 if one has failed, is held or is parked.
    """,
    _CONFIG,
    _db("; a file is made if it does not exist"),
    _APP,
    _option(
        "--tenant tenant_id",
        "Whose evidence it is. A training record says so itself, and several may be of several.",
    ),
    _option("--session", "For a document: the training session's id."),
    _option("--subject", "For a document: the id of the person."),
    _option("--subject-email", "For a document: the person's e-mail address."),
    _option(
        "--outcome",
        "For a document: how the session ended.",
        type=click.Choice(["passed", "exhausted"]),
    ),
    _option(
        "--recorded-at",
        "For a document: when, with its time zone, as in 2026-02-21T10:00:00Z.",
        type=Moment(zone=True),
    ),
    _option("--evidence-id", "For a document: its id; by default its file's name without ending."),
    _FONTS,
    _BLOCK,
    _SECRETS,
    _JSON,
    _argument("files", metavar="FILE...", nargs=-1, required=True, type=_PATH),
)

_IMPORT = _command(
    "import",
    "importing.run",
    """Hand old records in, the oldest first, behind what is fresh.

    SOURCE is a folder, or a file of records: .json is one training record, .jsonl has one in each
    line, and .csv names documents: its columns are tenant_id, session_id, subject, outcome,
    recorded_at and document (a file, seen from the CSV), and if wanted evidence_id, subject_email
    and media_type. A line of .jsonl may have these keys, too. A document may be any file that this
    command may read, also outside SOURCE: import only what comes from people whom you trust.

    All is read first, and each problem is a line FILE:LINE: message; then nothing is handed in
    (exit code 2) without --skip-invalid. What is fresh does not wait for old records: they begin
    after it, and leave slots free in the provider's pace, enough for one upload. Ends when each
    record was tried once: what has to be tried again goes on with any courier on the database.
    After Ctrl-C or a kill give the same command again: no record is handed in twice.
    """,
    _CONFIG,
    _db("; a file is made if it does not exist"),
    _APP,
    _option("--tenant tenant_id", "Whose those records are that do not say it."),
    _option("--skip-invalid", "Hand in the others if some are invalid.", is_flag=True),
    _FONTS,
    _BLOCK,
    _SECRETS,
    _JSON,
    _argument("source", metavar="SOURCE", type=_PATH),
)

_STATUS = _command(
    "status",
    "see.list_uploads",
    """List uploads, newest first.

    All filters that are given must hold. With --group-by they are counted instead.
    """,
    *_RECORDS,
    _option("--tenant tenant_id", "Only this tenant's."),
    _option(
        "--status",
        "Only those in this status; may be repeated.",
        type=click.Choice(STATUSES),
        multiple=True,
    ),
    _option("--open", "Only those that are pending, retrying or held.", is_flag=True),
    _option("--kind", "Only those with this kind of error, as unauthorized."),
    _option("--provider", "Only those to this provider."),
    _option("--since", "Only those recorded since, as 2026-02-21 (UTC).", type=_SINCE),
    _option("--until", "Only those recorded before.", type=_SINCE),
    _option("--id id_prefix", "Only those whose evidence id begins so.", metavar="PREFIX"),
    _option(
        "--group-by",
        "Count them by status and by this.",
        type=click.Choice(["reason", "tenant"]),
    ),
    _option(
        "--limit",
        "The most that are listed, newest first; 0 for all.",
        default=100,
        type=click.IntRange(min=0),
    ),
    _JSON,
)

_WATCH = _command(
    "watch",
    "watch.run",
    """Show the newest uploads as they go on, until Ctrl-C.

    On a terminal the screen is written anew each time. In a pipe there is a line for each of the
    newest 1,000 that is new or has changed since the last look: when, tenant, evidence, provider,
    status, attempts, and what happened.
    """,
    *_RECORDS,
    _option("--tenant", "Only this tenant's."),
    _option("--every", "Seconds between two looks.", default=2.0, type=click.FloatRange(0.1, 3600)),
)

_HEALTH = _command(
    "health",
    "health.health",
    """Tell whether evidence arrives: for cron and for probes.

    Prints how many uploads there are by status, error and tenant, the oldest one that is open
    (pending, retrying or held), and when one last succeeded. With --max-age the exit code is 1 if
    the oldest open upload is older, and standard error says what to look at. What is parked or
    paused does not count: `blocks` lists it. Nor does what has failed, as it is not open: the first
    line says how many have.
    """,
    *_RECORDS,
    _option("--max-age", "How old an open upload may be, as 30m, 1h or 2d.", type=Age()),
    _JSON,
)

_BLOCKS = _command(
    "blocks",
    "health.blocks",
    """List what is blocked, parked or paused, and what to do.

    Nothing is sent for these; each shows since when and why. An integration is blocked that
    does not work, a target parked that takes nothing now, a tenant or provider paused by a person,
    and a tenant skipped whose configuration is invalid or gone. A block of settings that were
    changed since stays listed until the first upload has succeeded with the new ones: `doctor` with
    --db says what is blocked now.
    """,
    *_RECORDS,
    _JSON,
)

_SHOW = _command(
    "show",
    "see.show",
    """Show one upload with every attempt.

    And what it waits for, an attempt that is running, look-ups, what people did, and where its
    document is.
    """,
    *_RECORDS,
    _argument("tenant_id", metavar="TENANT"),
    _argument("evidence_id", metavar="EVIDENCE_ID"),
    _JSON,
)

# --- people's actions ----------------------------------------------------------------------------


def _action(name: str, summary: str, more: str, concerned: str) -> click.Command:
    return _command(
        name,
        "act.run",
        f"""{summary}

        {more} Name one upload by TENANT and EVIDENCE_ID, or give --tenant for all of a tenant's
        that are {concerned}, which the other filters narrow down: those are listed, and you are
        asked before anything is done. The exit code is 1 if it was done to none.
        """,
        *_RECORDS,
        _argument("tenant_id", metavar="[TENANT", required=False),
        _argument("evidence_id", metavar="EVIDENCE_ID]", required=False),
        _option("--tenant", "All of this tenant's that the action is for."),
        _option("--kind", "With --tenant: only those with this kind of error, as unauthorized."),
        _option("--since", "With --tenant: recorded since, as 2026-02-21 (UTC).", type=_SINCE),
        _option("--until", "With --tenant: only those recorded before.", type=_SINCE),
        _BY,
        _REASON,
        _YES,
        _option("--dry-run", "Only list the uploads it would be done to.", is_flag=True),
        _JSON,
        word=name,
    )


_ACTIONS = (
    _action(
        "retry",
        "Try failed or skipped uploads again, with a fresh budget.",
        "If the failure was one of the whole integration, that counts as mended. What the settings "
        "still exclude is skipped again.",
        "failed or skipped",
    ),
    _action(
        "release",
        "Try again what is held or parked, or has failed because the integration did not work.",
        "The integration, or its target, counts as mended then.",
        "held, parked, or failed because the integration did not work",
    ),
    _action(
        "abandon",
        "Give up uploads: nothing more is sent, and they have failed.",
        "The reason is `abandoned` then. What is being sent at this moment is not interrupted, and "
        "its end still counts. `retry` takes it back.",
        "pending, retrying or held",
    ),
    _action(
        "attest",
        "Record that uploads have arrived: you have seen them at the provider.",
        "They have succeeded then, and nothing more is sent. That is for what is held, failed or "
        "skipped; an upload that goes on by itself is given up first, by `abandon`.",
        "held, failed or skipped",
    ),
)

# --- the records, sandboxes, the demo ------------------------------------------------------------

_INVARIANTS = _command(
    "invariants",
    "invariants.run",
    """Check every record in the database.

    Changes nothing, and may be run beside a courier. Every upload is settled, in flight with a
    courier that lives, or due at some time; no budget is overspent; no attempt began before a
    Retry-After was over; every attempt that was begun has an end on record; a record that may have
    been delivered twice says so; no action left its tenant; no pace was exceeded. With --config or
    --app, no text in the database shows a secret of their tenants, either. The exit code is 1 if
    something does not hold.
    """,
    *_RECORDS,
    _CONFIG,
    _BLOCK,
    _SECRETS,
    _JSON,
)

_VERIFY = _command(
    "verify",
    "chain.verify",
    """Check that what is settled was not changed since it was linked.

    Settled attempts and people's actions are links of a hash chain, one for each tenant. Changes
    nothing, and may be run beside a courier. Prints a line for all that does not hold: which
    tenant, which link, what differs; and for each upload that its attempts and actions contradict.
    The exit code is then 1. Who can write to the database can make a whole chain anew: only a head
    that was stored elsewhere shows that (`export --head`).
    """,
    *_RECORDS,
    _option("--tenant", "Only this tenant's chain."),
    _option(
        "--head head_files",
        "A file of heads that were stored elsewhere; may be repeated.",
        type=_PATH,
        metavar="FILE",
        multiple=True,
    ),
    _JSON,
)

_EXPORT = _command(
    "export",
    "export.run",
    """Print the uploads of a period, for an auditor or another program; or the hash chains.

    Without --head and --links: a line for each upload, the newest first, as CSV with the names of
    the columns, or as JSON. In CSV a text that a spreadsheet would calculate begins with '.

    A head is a line of JSON: tenant, length, hash, time. Keep it where who can write to the
    database cannot, and give it to `verify --head`. With --links, each line is the text whose
    SHA-256 is the hash of a link and stands in the next line.
    """,
    *_RECORDS,
    _option("--head", "Print the head of each tenant's chain.", is_flag=True),
    _option("--links", "Print the texts of the links of --tenant.", is_flag=True),
    _option("--tenant", "Only this tenant's."),
    _option("--since", "Only uploads recorded since, as 2026-02-21 (UTC).", type=_SINCE),
    _option("--until", "Only uploads recorded before.", type=_SINCE),
    _option(
        "--format kind",
        "How uploads are printed.",
        type=click.Choice(["csv", "jsonl"]),
        default="csv",
    ),
)

_RENDER = _command(
    "render",
    "render.run",
    """Write the document of a training record, and send nothing.

    FILE is the record in JSON. The document is the one that `submit` would send, byte for byte.
    """,
    _argument("file", metavar="FILE", type=_PATH),
    _option(
        "--output -o output",
        "Where it is written, over what is there; by default beside FILE, ending in .pdf.",
        type=_PATH,
    ),
    _FONTS,
)

_VERSION = _command(
    "version",
    "version.run",
    "Print the versions of this, of Python, of SQLite and of the libraries, and the providers.",
    _JSON,
)

_COPY = _command(
    "copy",
    "copy.run",
    """Take a database in a file over into a PostgreSQL, history included.

    FROM is the file, which stays as it is; TO is the URL of a PostgreSQL that has no records yet.
    Stop the couriers first. All is copied, or nothing. What was being sent when they were stopped
    is recovered by the first courier on the new database. Start none on the old one any more.
    """,
    _argument("source", metavar="FROM", type=_PLACE),
    _argument("target", metavar="TO"),
)

_DEMO = _command(
    "demo",
    "demo.run",
    "Deliver the example records to sandboxes that misbehave.",
    _option("--examples", "The folder with tenants/ and records/.", default="examples", type=_PATH),
    _option("--out", "Where the database and the PDFs go.", default="var/demo", type=_PATH),
)


def _sandbox(provider: str, api: str, beside: str, *own: click.Parameter) -> click.Command:
    return _command(
        provider,
        "sandbox.run",
        f"""{api}, on loopback only.

        The first line is the URL to put into `endpoint`{beside}; Ctrl-C ends it.
        """,
        *own,
        _option("--port", "The port; by default any.", default=0, type=click.IntRange(0, 65535)),
        _option("--key", "The credential it accepts.", default="sandbox-key"),
        _option(
            "--fault faults",
            "A way to misbehave and how often, as reset-after=0.1.",
            multiple=True,
            metavar="KIND=RATE",
        ),
        _option("--pace", "How many requests it allows, as 10/min."),
        _option("--seed", "Makes the faults come in the same order again.", default=0),
        provider=provider,
    )


def _known(option: str, what: str) -> click.Option:
    return _option(f"{option} known", f"{what}; may be repeated.", multiple=True)


_CHECKS = (
    _known("--check", "The pk of a workflow check that exists"),
    _option(
        "--in-review",
        "The pk of a workflow check that is in review and takes nothing; may be repeated.",
        multiple=True,
    ),
)

_SANDBOXES = click.Group(
    "sandbox",
    help="Run a stand-in for a provider's API on this machine.",
    epilog=epilog("sandbox"),
    commands=[
        _sandbox("sprinto", "Sprinto's GraphQL API", "", *_CHECKS),
        _sandbox("sprinto-rest", "Sprinto's REST API", ", beside `api: rest`", *_CHECKS),
        _sandbox(
            "vanta",
            "Vanta's API",
            "",
            _known("--document", "The id of a document that exists"),
            _option("--client-id", "Whose client secret `--key` is.", default="sandbox-client"),
        ),
        _sandbox("drata", "Drata's API", "", _known("--user", "The e-mail address of a user")),
        _sandbox(
            "secureframe",
            "Secureframe's API",
            "",
            _known("--test", "The UUID of a test that exists"),
            _option(
                "--secret", "The other half of the credential `--key`.", default="sandbox-secret"
            ),
        ),
    ],
)


@click.group(
    cls=Grouped,
    epilog=ENDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    commands=[
        *(*_ACTIONS, _BLOCKS, CHECK, _COPY, _DEMO, DOCTOR, ERASE, _EXPORT, _HEALTH),
        *PAUSES,
        *(_IMPORT, _INVARIANTS, PRUNE, REMOVALS, _RENDER, RUN, _SANDBOXES, SCHEMA, _SHOW),
        *(_STATUS, _SUBMIT, VACUUM, _VERIFY, _VERSION, _WATCH),
    ],
)
@click.version_option(package_name="evidence-courier", prog_name="evidence-courier")
def app() -> None:
    """Delivers compliance evidence to the GRC platform that each tenant has configured."""
