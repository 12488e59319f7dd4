"""The command that delivers, as it is typed."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import click

from .declaring import _APP, _BLOCK, _CONFIG, _RETENTION, _SECRETS, _command, _db, _option

RUN = _command(
    "run",
    "run.run",
    """Deliver what is recorded, and go on until it is stopped.

    Any number of them, and of other couriers, may run on one database: they share the work. A
    tenant whose file is invalid waits, and the others are served. SIGTERM and Ctrl-C let what is
    under way finish and hand the rest back, and the exit code is 0; a second signal ends at once,
    with 143 or 130. With --drain the exit code is 0 also if uploads have failed or are held:
    `status` and `health` tell of these. SIGHUP reads the tenants anew; what is invalid keeps what
    it had. The log goes to standard error. What a person must know is sent to whom the environment
    names:

    \b
    EVIDENCE_COURIER_WEBHOOK          https://hooks.example.com/evidence
    EVIDENCE_COURIER_WEBHOOK_SECRET   what its requests are signed with
    EVIDENCE_COURIER_MAIL             smtp://user:password@host:587/?from=A&to=B
    EVIDENCE_COURIER_LATE_AFTER       1h: also if an open upload is older
    EVIDENCE_COURIER_NOTICE_SUBJECTS  yes: name the subjects, too
    """,
    _CONFIG,
    _db("; a file is made if it does not exist"),
    _APP,
    _BLOCK,
    _SECRETS,
    _RETENTION,
    _option("--drain", "End once everything is settled or held.", is_flag=True),
    _option(
        "--watch",
        "Read the tenants anew when a file changes: of a tenant, a secret, certificates.",
        is_flag=True,
    ),
    _option(
        "--listen",
        "Serve /healthz, /readyz and /metrics there; without a host on loopback.",
        metavar="[HOST:]PORT",
        envvar="EVIDENCE_COURIER_LISTEN",
    ),
    _option(
        "--grace",
        "How many seconds what is under way may take when it is stopped.",
        default=10.0,
        type=click.FloatRange(min=0),
        metavar="SECONDS",
    ),
    _option("--json as_json", "Log JSON, one object a line.", is_flag=True),
)
