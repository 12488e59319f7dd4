"""Events for structlog: the event's name, its facts as keywords, and the sentence beside them.

The sentence is called `sentence` and not `message`: structlog's `render_to_log_kwargs` raises at a
`message`, and `EventRenamer("message")` writes over it.
"""

from __future__ import annotations

from typing import Any, Protocol

from ...delivery.log_facts import account_of, severity_of
from ...domain.errors import MisuseError
from ...ports.logger import LogEvent
from .standard import NAME


class BoundLogger(Protocol):
    """What is needed of a structlog logger; any that `structlog.get_logger` returns has it."""

    def debug(self, event: str, **facts: Any) -> Any:
        """For what begins."""
        ...

    def info(self, event: str, **facts: Any) -> Any:
        """For what has ended as it should."""
        ...

    def warning(self, event: str, **facts: Any) -> Any:
        """For what is tried again."""
        ...

    def error(self, event: str, **facts: Any) -> Any:
        """For what waits for a person."""
        ...


class StructlogLogger:
    """`Logger` over `structlog.get_logger("evidence_courier")`, or another structlog logger.

    Raises:
        MisuseError: structlog is not installed.
    """

    def __init__(self, logger: BoundLogger | None = None) -> None:
        self._logger = logger if logger is not None else _default()

    def log(self, event: LogEvent) -> None:
        """Hand one event to structlog."""
        account = account_of(event)
        say = getattr(self._logger, severity_of(event).value)
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
