"""The default logger: sentences for the standard library's `logging`, with the facts beside them;
and a formatter that writes JSON.

Attempts are INFO, retries WARNING, what failed or is held ERROR. Each record carries the facts of
its event as attributes (`tenant_id`, `evidence_id`, `provider`, `attempt` and so on, see `facts`),
the event's name as `event` and its class as `courier_event`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from ...ports.logger import LogEvent
from .facts import Severity, account_of, severity_of

NAME = "evidence_courier"

_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}


class StandardLogger:
    """`Logger` over `logging.getLogger("evidence_courier")`, or another logger of the host's."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger if logger is not None else logging.getLogger(NAME)

    def log(self, event: LogEvent) -> None:
        """Write one event down."""
        logger, level = self._logger, _LEVELS[severity_of(event)]
        if not logger.isEnabledFor(level):
            return
        account = account_of(event)
        record = logger.makeRecord(
            logger.name, level, __file__, 0, "%s", (account.sentence,), None, "log"
        )
        # Not by extra=: it raises where a record factory of the host's has set the same name,
        # tenant_id say, and the event would be lost.
        vars(record).update(account.facts, event=account.event, courier_event=type(event).__name__)
        logger.handle(record)


_Json: TypeAlias = "bool | int | float | str | list[_Json] | dict[str, _Json] | None"

_OF_EVERY_RECORD = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}
_NAMES = {"event", "courier_event"}
_DEPTH = 8
_MOST_BITS = 1024  # Python refuses to write out an integer that is far larger


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, for any record of any library.

    ``time`` (UTC), ``level``, ``logger``, ``message``; and where there are any, ``event`` (the name
    of the courier's event), ``facts`` (whatever was given as `extra`), ``exception`` and ``stack``.
    It never raises: what JSON cannot write stands there as text. The formats that
    `logging.Formatter` takes may be given, as `logging.config` does, and change nothing.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        given = vars(record)
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
        }
        if "event" in given:
            line["event"] = given["event"]
        line["message"] = _message(record)
        facts = {
            name: fact
            for name, fact in given.items()
            if name not in _OF_EVERY_RECORD and name not in _NAMES and not name.startswith("_")
        }
        if facts:
            line["facts"] = facts
        if exception := self._exception(record):
            line["exception"] = exception
        if record.stack_info:
            line["stack"] = record.stack_info
        # ASCII only: no reader of lines takes a character for the end of one, and half a character
        # can be written too.
        return json.dumps(_plain(line), ensure_ascii=True)

    def _exception(self, record: logging.LogRecord) -> str | None:
        if record.exc_info and record.exc_info[0] is not None:
            try:
                return self.formatException(record.exc_info)
            except Exception:
                return _unshown(record.exc_info[1])
        return record.exc_text


def _time(created: float) -> object:
    try:
        moment = datetime.fromtimestamp(created, UTC)
    except (OverflowError, ValueError, OSError, TypeError):
        return created
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> object:
    try:
        return record.getMessage()
    except Exception:  # its arguments do not fit its format
        return f"{_plain(record.msg)} {_plain(record.args)}"


def _plain(value: object, depth: int = 0) -> _Json:
    """The value as JSON can write it. Never raises, whatever the value's own methods do."""
    try:
        match value:
            case None | bool() | str():
                return value
            case int():
                return value if value.bit_length() <= _MOST_BITS else hex(value)
            case float():
                return value if math.isfinite(value) else str(value)
            case date() | time():
                return value.isoformat()
            case bytes() | bytearray():
                return repr(value)
            case Mapping() | list() | tuple() | set() | frozenset() if depth == _DEPTH:
                return "..."
            case Mapping():
                return {_key(key): _plain(member, depth + 1) for key, member in value.items()}
            case list() | tuple() | set() | frozenset():
                return [_plain(member, depth + 1) for member in value]
            case _:
                return str(value)
    except Exception:
        return _unshown(value)


def _key(key: object) -> str:
    try:
        return str(key)
    except Exception:
        return _unshown(key)


def _unshown(value: object) -> str:
    return f"<a {type(value).__name__} that cannot be shown>"
