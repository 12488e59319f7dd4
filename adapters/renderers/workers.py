"""Presses in other processes, for when several threads want to render at once.

Threads do not make Typst faster, processes do. A worker is this Python running `press.py` by its
path, with pipes for jobs and replies: neither a fork of the host, which has threads, nor a fresh
import of the host's main module, which may do anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Timer
from typing import Protocol

from . import press

_SECONDS_TO_START = 30.0
_SECONDS_TO_STOP = 2.0


class WorkerDied(Exception):
    """A worker's process ended, or never began to answer."""


class Answering(Protocol):
    """A press, wherever it stands."""

    def answer(self, job: bytes) -> bytes:
        """The reply to a job."""
        ...


class Worker:
    """One press in a process of its own. Raises WorkerDied where the process cannot be had."""

    def __init__(
        self, fonts: Sequence[str], command: Sequence[str] = (sys.executable, "-P", press.__file__)
    ) -> None:
        try:
            self._process = subprocess.Popen(
                [*command, *fonts],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # What the host can import the worker can, however the host came by it.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except OSError as error:
            raise WorkerDied(str(error)) from None
        patience = Timer(_SECONDS_TO_START, self._process.kill)
        patience.daemon = True
        patience.start()
        try:
            if self._read() != press.READY:
                raise WorkerDied("the worker's first words are not those of a press")
        except WorkerDied:
            self.close()
            raise
        finally:
            patience.cancel()

    def answer(self, job: bytes) -> bytes:
        """The reply to a job; WorkerDied where none came."""
        assert self._process.stdin is not None
        try:
            press.write_frame(self._process.stdin, job)
        except OSError as error:
            raise WorkerDied(str(error)) from None
        return self._read()

    @property
    def exit_code(self) -> int | None:
        """What the process ended with; None while it runs."""
        return self._process.poll()

    def close(self) -> None:
        """End the process: it stops by itself once its pipe is closed, and is killed if it does
        not."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):  # what was still to be written may have no reader any more
            self._process.stdin.close()
        try:
            self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        reply = press.read_frame(self._process.stdout)
        if reply is None:
            raise WorkerDied("the worker's process ended without a reply")
        return reply
