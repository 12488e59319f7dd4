"""A dry run: would a tenant's uploads work? The provider is asked with reading requests only, and
no upload is touched.

Its requests are charged at the gate like all others, so that the pace holds beside a courier at
work; and where the provider asks for patience, all are patient. A block is no reason not to ask,
for whether it is over is what somebody wants to know; and none is set or lifted by what is heard.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from attrs import evolve, frozen

from ...domain.errors import CourierError
from ...domain.pacing.gate import NotBefore, Quota, change_of
from ...domain.secrets.redaction import MESSAGE_LIMIT, Redactor
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.verdict import DryRun, NotReady, Ready
from ...ports.clock import Clock
from ...ports.gates import ChargeAnswer, Charged
from ...ports.provider import Checkable
from ...ports.store import UploadStore
from ...ports.transport import AsyncTransport
from ...ports.writer import Writer
from ..dialogues import NotedTokens, TokenKeeper, run
from .attempt import Line, no_bookmark, sound
from .prepare import Destination
from .slots import Slots

PATIENCE: Final = timedelta(minutes=3)
"""So long a dry run waits, in all, for the pace to let its requests through."""

OnWait: TypeAlias = Callable[[datetime], None]
"""Hears until when a request waits for its turn."""


class _NoTurnError(Exception):
    def __init__(self, at: datetime) -> None:
        self.at = at


@frozen
class DryRunner:
    """Makes dry runs for the courier `owner` of a store. What it is built from may be shared
    with an engine at work."""

    transport: AsyncTransport
    slots: Slots
    keeper: TokenKeeper
    clock: Clock
    store: UploadStore
    writer: Writer
    owner: int

    async def check(
        self, destination: Destination, on_wait: OnWait = lambda until: None
    ) -> DryRun | None:
        """What the provider says of the integration, redacted; None where it cannot be asked.

        StoreError where the gate cannot be asked. Whatever a plug-in does wrong is NotReady.
        """
        provider, integration = destination.provider, destination.integration
        if not isinstance(provider, Checkable):
            return None
        latest = self.clock.now() + PATIENCE
        quota = evolve(destination.quota, address="")  # no block speaks of that
        taken: list[int] = []

        async def charge() -> None:
            while isinstance(answer := await self._charge(quota), NotBefore):
                if answer.at > latest:
                    raise _NoTurnError(answer.at)
                on_wait(answer.at)
                await self.clock.sleep_until(answer.at)
            if isinstance(answer, Charged) and answer.slot is not None:
                taken.append(answer.slot)

        line = Line(self.transport, self.slots, destination.lane, destination, charge, paid=0)
        tokens = NotedTokens(self.keeper)
        came: DryRun | None = None
        try:
            dialogue = provider.check(integration.settings)
            came = _sound(await run(dialogue, send=line.send, bookmark=no_bookmark, keeper=tokens))
        except CourierError:
            raise
        except _NoTurnError as error:
            came = NotReady(_no_turn(integration.provider, error.at))
        except Exception as error:
            came = NotReady(_broken(integration.provider, error))
        finally:
            if taken:
                failure = came.failure if isinstance(came, NotReady) else None
                change = change_of(quota, self.clock.now(), taken, failure, destination.rules)
                await self.writer.run(lambda: self.store.settle(change))
        redactor = Redactor((*integration.secrets, *tokens.given))
        if isinstance(came, NotReady):
            return NotReady(redactor.failure(came.failure))
        assert isinstance(came, Ready)
        return Ready(redactor.text(came.message, MESSAGE_LIMIT))

    async def _charge(self, quota: Quota) -> ChargeAnswer:
        return await self.writer.run(lambda: self.store.charge(quota, self.clock.now(), self.owner))


def _sound(result: object) -> DryRun:
    came: DryRun = sound(result, (Ready, NotReady))
    if isinstance(came, Ready) and not isinstance(came.message, str):
        raise TypeError(f"the message of its Ready is {type(came.message).__name__}")
    return came


def _no_turn(provider: str, at: datetime) -> Failure:
    told = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Failure(
        FailureKind.RATE_LIMITED,
        f"not asked: what {provider} allows of requests leaves no room before {told}; ask again then",
    )


def _broken(provider: str, error: Exception) -> Failure:
    return Failure(
        FailureKind.PROVIDER_BROKEN,
        f"the adapter for {provider} raised {type(error).__name__} in its dry run: {error}; this is a bug in it: report it to its authors",
    )
