"""Why a courier, or records, cannot be used: not yet, not any more, not here, or not so."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from difflib import get_close_matches

from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Evidence


def not_started(way: str) -> MisuseError:
    """It has not been started; `way` is how that is done."""
    return MisuseError(f"the courier has not been started: use `{way}`")


def started_before() -> MisuseError:
    """It can be started once."""
    return MisuseError("this courier has been started before: build a new one")


def closed() -> MisuseError:
    """It has been closed."""
    return MisuseError("the courier is closed: build a new one")


def records_closed() -> MisuseError:
    """The records have been closed."""
    return MisuseError("these records are closed: open them anew with `open`")


def loop_has_ended() -> MisuseError:
    """The event loop ended before the courier was closed, and nothing goes on any more."""
    return MisuseError(
        "the event loop of the courier is closed: build a new one on a loop that runs, and close a "
        "courier before its loop ends"
    )


def loop_is_closed(evidence: Evidence) -> MisuseError:
    """The event loop ended before the courier was closed."""
    return MisuseError(
        f"the event loop of the courier is closed: {evidence.tenant_id}/{evidence.evidence_id} was "
        "not recorded; submit it to a courier on a loop that runs, and close a courier before its "
        "loop ends"
    )


def forked(pid: int) -> MisuseError:
    """It was started by the parent of this process; a fork copies neither threads nor what they
    hold."""
    return MisuseError(
        f"the courier was started in process {pid} and does not run in {os.getpid()}, its forked "
        "child: build a new courier in each worker process, after the fork; see "
        "docs/several-processes.md"
    )


def own_thread() -> MisuseError:
    """The call would wait for itself."""
    return MisuseError(
        "this was called in the courier's own thread (from on_settled, for instance), which would "
        "wait for itself for ever: call only submit and enabled there, and everything else from a "
        "thread of your own"
    )


def has_a_background() -> MisuseError:
    """`deliver_due` was called on a courier that delivers by itself."""
    return MisuseError(
        "this courier delivers what is due in its background: build it with background=False to "
        "have it deliver within deliver_due only"
    )


class UnknownOptionError(MisuseError, TypeError):
    """An option, or a filter, was given that does not exist."""


def refuse_unknown(given: Iterable[str], known: Collection[str], what: str, *near: str) -> None:
    """UnknownOptionError, with the nearest name, if one is not known; `near` are names that are
    arguments of their own."""
    for name in given:
        if name not in known:
            found = get_close_matches(name, [*known, *near], 1)
            help_ = f": did you mean {found[0]}?" if found else f"; it takes {', '.join(known)}"
            raise UnknownOptionError(f"{name!r} is no {what}{help_}")
