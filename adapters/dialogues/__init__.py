"""Running a provider's dialogue: `run` for asyncio, with the `TokenKeeper` that mints tokens once for all
who ask."""

from .async_runner import run
from .tokens import TokenKeeper

__all__ = ["TokenKeeper", "run"]
