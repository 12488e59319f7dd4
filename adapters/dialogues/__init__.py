"""Running a provider's dialogue: `run` for asyncio and `run_blocking` for a thread, each with a
keeper that mints tokens once for all who ask."""

from .async_runner import run
from .blocking_runner import run_blocking
from .tokens import BlockingTokenKeeper, NotedBlockingTokens, NotedTokens, TokenKeeper

__all__ = [
    "BlockingTokenKeeper",
    "NotedBlockingTokens",
    "NotedTokens",
    "TokenKeeper",
    "run",
    "run_blocking",
]
