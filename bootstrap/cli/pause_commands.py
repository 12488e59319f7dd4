"""The commands that pause a tenant or a provider and let it go on, as `app` has them."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import click

from .declaring import _BY, _JSON, _REASON, _RECORDS, _command, _option


def _pausing(name: str, help: str, *more: click.Option) -> click.Command:
    return _command(
        name,
        "pause.run",
        help,
        *_RECORDS,
        _option("--tenant", "This tenant."),
        _option("--provider", "This provider; with --tenant: only the tenant's uploads to it."),
        *(_BY, _REASON, *more, _JSON),
        word=name,
    )


PAUSES = (
    _pausing(
        "pause",
        """Begin nothing more for a tenant, a provider, or a tenant with a provider.

        What is being sent ends. Evidence is still recorded, and is held until you `resume` the
        same. What is paused already stays as it is. A tenant or a provider without any upload is
        refused with exit code 2, unless you say --yes.
        """,
        _option("--yes", "Pause also what has no upload yet.", is_flag=True),
    ),
    _pausing(
        "resume",
        """Let a tenant or a provider go on that was paused.

        Name the same as in `pause`. What is held for it goes on by itself. The exit code is 1 if
        it was not paused.
        """,
    ),
)
