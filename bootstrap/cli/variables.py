"""The variables of the environment that this program knows. One that is set and unknown is a
mistake in its name, as a rule, and what it says would be missed by no one until it counts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

PREFIX = "EVIDENCE_COURIER_"
KNOWN = frozenset(
    PREFIX + name
    for name in (
        *("APP", "CONFIG", "DB", "LISTEN", "RETENTION", "TRACEBACK"),
        *("LATE_AFTER", "MAIL", "NOTICE_SUBJECTS", "WEBHOOK", "WEBHOOK_SECRET"),
    )
)
_OTHERS = re.compile(rf"{PREFIX}(TEST_\w+|SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_\w+)?)")
"""Those of our own tests, and those that Kubernetes sets in each pod if there is a Service named
evidence-courier."""


def unknown_among(names: Iterable[str]) -> Iterator[str]:
    """What is said of each variable that is named as this program's, and that it does not know. A
    value may be a secret and is not looked at."""
    known = {name.removeprefix(PREFIX): name for name in KNOWN}
    for name in sorted(names):
        upper = name.upper()
        if upper.startswith(PREFIX) and name not in KNOWN and not _OTHERS.fullmatch(name):
            from difflib import get_close_matches  # seldom needed

            near = get_close_matches(upper.removeprefix(PREFIX), known, n=1)
            meant = f": did you mean {known[near[0]]}?" if near else ""
            yield f"{name} is set, and is none of this program's variables{meant}"
