"""`evidence-courier invariants`: does everything that must hold of the records hold?"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from ...adapters.stores.databases import inspect
from ...domain.errors import ConfigError, Problem
from ...domain.secrets.secret import Secret
from .exits import UNDELIVERED, USAGE, end
from .output import number_of, print_json
from .place import Place
from .saying import printable, say


def run(place: Place, as_json: bool) -> None:
    """Inspect the database and print what does not hold."""
    secrets, problems = _secrets(place)
    found = inspect(place.database, secrets, _Progress())
    if as_json:
        breaches = [
            {
                "tenant_id": breach.key and breach.key.tenant_id,
                "evidence_id": breach.key and breach.key.evidence_id,
                "what": breach.what,
            }
            for breach in found.breaches
        ]
        counted = {"uploads": found.uploads, "attempts": found.attempts, "waiting": found.waiting}
        print_json({**counted, "breaches": breaches})
    else:
        for breach in found.breaches:
            click.echo(printable(str(breach)))
        number = len(found.breaches)
        verdict = f"{number} {'thing does' if number == 1 else 'things do'} not hold"
        say(
            f"{number_of(found.uploads, 'upload')} with {number_of(found.attempts, 'attempt')}: "
            f"{verdict if number else 'everything holds'}"
        )
        for wait, count in found.waiting.items():
            say(f"{count:,} waiting for: {wait}")
    for problem in problems:
        say(str(problem))
    if found.breaches:
        sys.exit(UNDELIVERED)
    if problems:
        end(
            "the secrets of these tenants were not searched for, all else was checked: have "
            "them known here, or give no --config",
            USAGE,
        )


class _Progress:
    """Says on a terminal how far the inspection is, once a second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + 1

    def __call__(self, done: int, of: int) -> None:
        """As `inspect` calls it."""
        if sys.stderr.isatty() and time.monotonic() >= self._next:
            self._next = time.monotonic() + 1
            say(f"looked at {done:,} of {of:,} uploads")


def _secrets(place: Place) -> tuple[frozenset[Secret], Sequence[Problem]]:
    """The secrets of the tenants, if the command was told of any, and why some are not known."""
    if not place.has_tenants:
        return frozenset(), ()
    try:
        loaded, _ = place.tenants()
    except ConfigError as error:
        return frozenset(), error.problems
    integrations = loaded.integrations.values()
    return frozenset(one for some in integrations for one in some.secrets), loaded.problems
