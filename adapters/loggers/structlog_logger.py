"""Events for structlog: the event's name, its facts as keywords, and the sentence beside them.

The sentence is called `sentence` and not `message`: structlog's `render_to_log_kwargs` raises at a
`message`, and `EventRenamer("message")` writes over it.
"""

from __future__ import annotations

from typing import Any, Protocol

from ...domain.errors import MisuseError
from ...ports.logger import LogEvent
from .facts import Severity, account_of, severity_of
from .standard import NAME


class BoundLogger(Protocol):
    """What is needed of a structlog logger; any that `structlog.get_logger` returns has it."""

    def info(self, event: str, **facts: Any) -> Any:
        """Something that runs as it should."""
        ...

    def warning(self, event: str, **facts: Any) -> Any:
        """Something that is tried again."""
        ...

    def error(self, event: str, **facts: Any) -> Any:
        """Something that waits for somebody."""
        ...


class StructlogLogger:
    """`Logger` over `structlog.get_logger("evidence_courier")`, or another structlog logger of the
    host's, with values bound to it.

    Raises MisuseError where structlog is not installed.
    """

    def __init__(self, logger: BoundLogger | None = None) -> None:
        self._logger = logger if logger is not None else _default()

    def log(self, event: LogEvent) -> None:
        """Hand one event to structlog."""
        account = account_of(event)
        match severity_of(event):
            case Severity.INFO:
                say = self._logger.info
            case Severity.WARNING:
                say = self._logger.warning
            case Severity.ERROR:
                say = self._logger.error
        say(account.event, **account.facts, sentence=account.sentence)


def _default() -> BoundLogger:
    try:
        import structlog
    except ModuleNotFoundError as error:
        if error.name != "structlog":
            raise  # it is there, but broken
        raise MisuseError(
            'logging to structlog needs structlog: pip install "evidence-courier[structlog]"'
        ) from None
    logger: BoundLogger = structlog.get_logger(NAME)
    return logger
