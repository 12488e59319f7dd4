"""What a signal does to a command until it takes signals itself.

Without this a SIGHUP ends `run` while it imports its app, and in a container, where the command is
the first process, a SIGTERM before it listens is lost.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from types import FrameType

SIGNALLED = 128
"""Plus the signal's number, as shells say it."""

_GO_ON = ("run", "watch", "sandbox")
"""The commands that go on until they are ended, so a SIGTERM is their good end, as Ctrl-C is."""

reloads: list[int] = []
"""A SIGHUP for each reload that `run` was asked for before its event loop ran."""


class Signalled(SystemExit):
    """A signal has ended the command, and not the host's code."""


def take_from_the_start(command: str | None) -> None:
    """End in order at SIGTERM and SIGHUP, with exit code 0 what goes on until a SIGTERM, and have
    `run` remember a SIGHUP. What is ignored, as by nohup, stays so."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has one of them
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            is_reload = name == "SIGHUP" and command == "run"
            signal.signal(number, remember if is_reload else partial(_end, command))


def remember(number: int, _: FrameType | None) -> None:
    """Remember a SIGHUP for later."""
    reloads.append(number)


def _end(command: str | None, number: int, _: FrameType | None) -> None:
    for name in ("SIGTERM", "SIGHUP"):  # a second one would end it out of order, and otherwise
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if command == "run":
        os.write(2, b"evidence-courier: stopped before it had started\n")  # may interrupt a print
    if command in _GO_ON and number == signal.SIGTERM:
        raise Signalled(0)
    raise Signalled(SIGNALLED + number)
