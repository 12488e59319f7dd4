"""The default logger, over the standard library's `logging`, and a formatter that writes JSON.

Each record carries a sentence, the facts of its event as attributes (`tenant_id`, `attempt`, ...),
the event's name as `event` and its class as `courier_event`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from ...delivery.log_facts import Severity, account_of, severity_of
from ...ports.logger import LogEvent

NAME = "evidence_courier"
_LEVELS = {severity: int(getattr(logging, severity.name)) for severity in Severity}


class StandardLogger:
    """`Logger` over `logging.getLogger("evidence_courier")`, or another logger of the host's.

    What a handler or filter of the host's raises, `log` raises too: the courier counts it in its
    health and delivers on.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger if logger is not None else logging.getLogger(NAME)

    @property
    def is_plain(self) -> bool:
        """Whether the level is asked of the standard library's own code."""
        return type(self._logger).isEnabledFor is logging.Logger.isEnabledFor

    def wants(self, event: LogEvent) -> bool:
        """Whether the level of the event is enabled."""
        return self._logger.isEnabledFor(_LEVELS[severity_of(event)])

    def log(self, event: LogEvent) -> None:
        """Write one event down."""
        logger, level = self._logger, _LEVELS[severity_of(event)]
        if not logger.isEnabledFor(level):
            return
        account = account_of(event)
        record = logger.makeRecord(
            logger.name, level, __file__, 0, "%s", (account.sentence,), None, "log"
        )
        # Not by extra=, which raises if a record factory of the host's has set the same name.
        vars(record).update(account.facts, event=account.event, courier_event=type(event).__name__)
        logger.handle(record)


_Json: TypeAlias = "bool | int | float | str | list[_Json] | dict[str, _Json] | None"

_NOT_FACTS = {
    *vars(logging.LogRecord("", 0, "", 0, "", (), None)),
    *("message", "asctime", "event", "courier_event"),
}
_MAX_DEPTH = 8
_MAX_BITS = 1024  # Python refuses to write out an integer that is far larger


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, for any record of any library.

    ``time`` (UTC), ``level``, ``logger`` and ``message``; if there are any, ``event`` (the name of
    the courier's event), ``facts`` (what was given as `extra`), ``exception`` and ``stack``. It
    never raises: what JSON cannot write becomes text. The arguments that `logging.config` hands to
    a formatter change nothing.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        given = vars(record)
        line: dict[str, object] = {"time": _time(record.created), "level": record.levelname}
        line["logger"] = record.name
        if "event" in given:
            line["event"] = given["event"]
        line["message"] = _message(record)
        own = (name for name in given if name not in _NOT_FACTS and not name.startswith("_"))
        if facts := {name: given[name] for name in own}:
            line["facts"] = facts
        if exception := self._exception(record):
            line["exception"] = exception
        if record.stack_info:
            line["stack"] = record.stack_info
        # In ASCII no character ends a line for some reader, and half a character can be written.
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
    except Exception:  # the arguments do not fit the format
        return f"{_plain(record.msg)} {_plain(record.args)}"


def _plain(value: object, depth: int = 0) -> _Json:
    """The value as JSON can write it. Never raises, whatever the value's own methods do."""
    try:
        match value:
            case None | bool() | str():
                return value
            case int():
                return value if value.bit_length() <= _MAX_BITS else hex(value)
            case float():
                return value if math.isfinite(value) else str(value)
            case date() | time():
                return value.isoformat()
            case Mapping() | list() | tuple() | set() | frozenset() if depth == _MAX_DEPTH:
                return "..."
            case Mapping():
                return {_text(key): _plain(member, depth + 1) for key, member in value.items()}
            case list() | tuple() | set() | frozenset():
                return [_plain(member, depth + 1) for member in value]
            case _:
                return _text(value)
    except Exception:
        return _unshown(value)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return _unshown(value)


def _unshown(value: object) -> str:
    return f"<a {type(value).__name__} that cannot be shown>"
