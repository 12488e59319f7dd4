"""The commands about tenant files, as they are typed."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import click

from .declaring import _APP, _BLOCK, _DIR, _JSON, _SECRETS, _argument, _command, _db, _option

CHECK = _command(
    "check",
    "check.run",
    """Read tenant files and print what they configure.

    Sends nothing. Prints a line for each tenant in DIR: its id, its name, its provider or `none`,
    and where its evidence goes. Every problem is a line FILE:LINE: PATH: message on standard error,
    and the exit code is then 2. With --effective every key of each block is printed as well: its
    value with secrets masked, and whether that is from the file, a default, or the provider's.
    With --without-secrets no reference is looked up, so that files can be checked where the secrets
    are not. DIR may also be set as EVIDENCE_COURIER_CONFIG.
    """,
    _DIR,
    _APP,
    _BLOCK,
    _SECRETS,
    _option("--without-secrets", "Check all but what references stand for.", is_flag=True),
    _option("--effective", "Print each tenant's whole configuration.", is_flag=True),
    _option(
        "--format form",
        "As --json, or the problems as annotations of a GitHub workflow.",
        type=click.Choice(["json", "github"]),
    ),
    _JSON,
)

SCHEMA = _command(
    "schema",
    "schema.run",
    """Print the JSON Schema of a tenant's file or of a training record.

    An editor that knows it completes keys and underlines what is wrong. That of a tenant's file has
    the settings of all providers that are installed here, plug-ins included.
    """,
    _argument("what", metavar="tenant|record", type=click.Choice(["tenant", "record"])),
    _BLOCK,
)

DOCTOR = _command(
    "doctor",
    "doctor.run",
    """Ask the providers whether uploads would work.

    Uploads nothing: is the credential of each tenant in DIR good, does its target exist? Prints a
    line for each tenant: ready, not ready, broken (its plug-in failed), cannot be checked (its
    provider has no dry run, or takes no more requests for now), no integration, or invalid (`check`
    says more). With --db each request
    waits for its turn in that database's pace, up to three minutes for each tenant, and what is
    ready may be parked (its target takes nothing now; uploads go on by themselves) or blocked (they
    are held until you say `release`). The exit code is 1 if one is not ready, broken or blocked,
    and 2 if a tenant file is invalid. The sinks of notices, of the app or of the environment as
    for `run`, are named; --test-notice tries them, and the exit code is 1 if one takes no notice
    and 2 without any sink.
    Beside a running courier, give its --db: then both take turns at the provider. Without it, the
    token that Vanta gives here ends the courier's; the courier gets a new one and goes on. Two
    doctors at once end each other's, and one may say so: ask again.
    DIR may also be set as EVIDENCE_COURIER_CONFIG.
    """,
    _DIR,
    _db("; its pace is shared with the courier that may be running"),
    _APP,
    _BLOCK,
    _SECRETS,
    _option("--test-notice", "Send each sink of notices a notice, which people see.", is_flag=True),
    _JSON,
)
