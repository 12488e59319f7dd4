"""Which exceptions are the host's own, whatever code they struck."""

from __future__ import annotations

import signal
from types import CodeType


def hosts_own(error: BaseException) -> bool:
    """Whether it goes on to the host of an event loop: a keyboard or a signal handler has raised
    it. What else a listener or a plug-in raises, `SystemExit` included, is theirs."""
    return isinstance(error, KeyboardInterrupt) or _raised_by_a_signal(error)


def workers_own(error: BaseException) -> bool:
    """Whether it goes on to the worker of a task queue: every exception that is no `Exception`, as
    a time limit may be, and what a signal handler has raised."""
    return not isinstance(error, Exception) or _raised_by_a_signal(error)


def _raised_by_a_signal(error: BaseException) -> bool:
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: object) -> CodeType | None:
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None
