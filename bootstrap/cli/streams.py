"""The process around a command: what is exceptional about its output and its end."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

OUTPUT = 4
_UNWRITABLE = {"EPIPE", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EBADF"}


def run(command: Callable[[], object]) -> None:
    """Run a click command as the whole process.

    A letter that the terminal's encoding lacks is shown as an escape. If the output cannot be
    written, because the disk is full or the reader of a pipe has gone, the exit code is 4, whatever
    the command has done.
    """
    for stream in (sys.stdout, sys.stderr):  # None if it was closed
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    standard_output = sys.stdout
    try:
        try:
            command()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or errno.errorcode.get(error.errno or 0) not in _UNWRITABLE:
            raise
        _end_unwritten(error)
    except SystemExit:
        if sys.stdout is not standard_output:  # as click does when the reader of a pipe has gone
            _end_unwritten(BrokenPipeError(errno.EPIPE, ""))
        raise


def _end_unwritten(error: OSError) -> None:
    """Exit with the code for that. Python writes once more at its end, and must not fail again."""
    words = (
        f"evidence-courier: the output cannot be written: {os.strerror(error.errno or 0)}; "
        "what the command has changed, if anything, is not undone\n"
    )
    with suppress(OSError):  # it may be standard error that cannot be written
        os.write(2, b"" if error.errno == errno.EPIPE else words.encode())
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    sys.exit(OUTPUT)
