"""A dry run: would a tenant's uploads work? The provider is asked with reading requests only, and
no upload is touched.

Its requests are let through by the gate like all others, so that the pace holds beside a courier at
work. If the provider asks for patience, all uploads are patient. A block is no reason not to ask,
since whether it is over is the question; and a dry run neither sets nor lifts one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from attrs import evolve

from ..domain.errors import CourierError
from ..domain.pacing.gate import NotBefore, change_of
from ..domain.secrets.redaction import MESSAGE_LIMIT, without_passwords
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.verdict import DryRun, NotReady, Ready
from ..ports.provider import Checkable
from .destinations import Destination
from .effects import Interrupted, Turn, Write, perform
from .outcome import sound
from .sender import Sender, run_dialogue, wait_out
from .slots import Slots
from .turn_context import TurnContext

MAX_PACE_WAIT: Final = timedelta(minutes=3)
"""So long a dry run waits, in all, for the pace to let its requests through."""

OnWait: TypeAlias = Callable[[datetime], None]
"""Hears until when a request waits for its turn."""


class _NoTurnError(Exception):
    """The pace lets no request through for too long: not before `at`."""

    def __init__(self, at: datetime) -> None:
        self.at = at


def dry_run(
    context: TurnContext, destination: Destination, on_wait: OnWait = lambda until: None
) -> Turn[DryRun | None]:
    """What the provider says of the integration, redacted; None if it cannot be asked.

    Raises StoreError if the gate cannot be asked. Whatever a plug-in does wrong is NotReady.
    """
    provider, integration = destination.provider, destination.integration
    if not isinstance(provider, Checkable):
        return None
    sender = _sender(context, destination, on_wait)
    raised: BaseException | None = None
    try:
        result = _sound((yield from run_dialogue(provider.check(integration.settings), sender)))
    except GeneratorExit:
        raise
    except BaseException as error:
        raised = context.interruption_of(error) or error
        result = _not_ready(integration.provider, raised)
    yield from _settle(context, sender, result)
    if isinstance(raised, Interrupted | CourierError):
        raise raised
    redactor = context.redactors.of(destination, sender.secrets)
    if isinstance(result, NotReady):
        return NotReady(redactor.failure(result.failure))
    return Ready(redactor.text(result.message, MESSAGE_LIMIT))


def _sender(context: TurnContext, destination: Destination, on_wait: OnWait) -> Sender:
    latest = context.clock.now() + MAX_PACE_WAIT

    def wait(sender: Sender, refused: NotBefore) -> Turn[bool]:
        if refused.at > latest:
            raise _NoTurnError(refused.at)
        on_wait(refused.at)
        return (yield from wait_out(sender, refused))

    quota = evolve(destination.quota, address="")  # no block speaks of that
    return Sender(
        destination, Slots(quota, context.courier_id, context.clock), wait=wait, brief=True
    )


def _settle(context: TurnContext, sender: Sender, result: DryRun) -> Turn[None]:
    """Tell the gate that the requests have ended."""
    end = sender.slots.end()
    if end.slots or end.turn is not None:
        failure = result.failure if isinstance(result, NotReady) else None
        change = change_of(end, failure, sender.destination.rules)
        yield from perform(Write(lambda store: store.save([change])))


def _sound(result: object) -> DryRun:
    checked: DryRun = sound(result, (Ready, NotReady))
    if isinstance(checked, Ready) and not isinstance(checked.message, str):
        raise TypeError(f"the message of its Ready is {type(checked.message).__name__}")
    return checked


def _not_ready(provider: str, error: BaseException) -> NotReady:
    if isinstance(error, _NoTurnError):
        at = error.at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        message = (
            f"not asked: what {provider} allows of requests leaves no room before {at}; ask again "
            "then"
        )
        return NotReady(Failure(FailureKind.RATE_LIMITED, message))
    message = (
        f"the adapter for {provider} raised {type(error).__name__} in its dry run: "
        f"{without_passwords(str(error))}; this is a bug in it: report it to its authors"
    )
    return NotReady(Failure(FailureKind.PROVIDER_BROKEN, message))
