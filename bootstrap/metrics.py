"""The numbers that `evidence-courier run` serves under `/metrics`."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from ..adapters.engines.notify import LoggerAside
from ..adapters.loggers.prometheus import PrometheusLogger
from ..domain.errors import MisuseError
from ..ports.logger import Logger
from .courier import AsyncCourier
from .fan_out import FanOut


def observed(logger: Logger) -> Logger:
    """A logger that also counts what it hears, for `exposition`, if prometheus-client is there."""
    counting = _new()
    return logger if counting is None else FanOut(logger, counting)


async def exposition(courier: AsyncCourier) -> tuple[str, bytes] | None:
    """The content type and the text of the numbers; None if what makes them is not installed.

    A courier of the host's that counts nothing has the gauges only.
    """
    logger = courier._wiring.logger
    logger = logger.logger if isinstance(logger, LoggerAside) else logger
    loggers = logger.loggers if isinstance(logger, FanOut) else (logger,)
    counting = next((one for one in loggers if isinstance(one, PrometheusLogger)), None) or _new()
    if counting is None:
        return None
    counting.tell(await courier.health())
    return counting.exposition()


def _new() -> PrometheusLogger | None:
    try:
        return PrometheusLogger()
    except MisuseError:
        return None
