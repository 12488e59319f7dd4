"""What all turns of one courier have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

from attrs import field, frozen

from ..domain.pacing.gate import Blocked as GateBlocked
from ..domain.upload.events import Blocked
from ..domain.upload.failure import Concern, FailureKind
from ..domain.upload.upload import UploadKey, due_of
from ..ports.clock import Clock
from .active import ActiveUpload
from .applying import Step, apply
from .destinations import Destination
from .effects import Interrupted, Turn
from .redactors import Redactors
from .slots import Blocks, Slots
from .waits import WaitLog


@frozen
class TurnContext:
    """What all turns of one courier have in common.

    `courier_id` is its number in the store. `interruption_of` tells what cut the driver off from
    what a plug-in raised by itself, which is None. `waits`: for the pace, as long as that takes.
    """

    courier_id: int
    clock: Clock
    jitter: Callable[[], float]
    interruption_of: Callable[[BaseException], Interrupted | None]
    redactors: Redactors = field(factory=Redactors)
    waits: bool = True
    wait_log: WaitLog = field(factory=WaitLog)
    blocks: Blocks = field(factory=Blocks, init=False)


_NO_BLOCKS = nullcontext()


def slots_of(context: TurnContext, destination: Destination, key: UploadKey) -> Slots:
    """A turn of an upload at its gate."""
    return Slots(destination.quota, context.courier_id, context.clock, key, context.blocks)


def settled(context: TurnContext, steps: Sequence[Step]) -> Turn[None]:
    """Write what turns came to. No request leaves for an integration that they show to be broken,
    from now on."""
    blocks = [
        (step.gate.quota.address, step.gate.block)
        for step in steps
        if step.gate is not None
        and step.gate.block is not None
        and step.gate.block.kind.concern is Concern.INTEGRATION
    ]
    with context.blocks.while_written(*blocks) if blocks else _NO_BLOCKS:
        yield from apply(*steps)


def hold(context: TurnContext, uploads: Sequence[ActiveUpload], blocked: GateBlocked) -> Turn[None]:
    """Hold what waits of a blocked integration, or park it; all of it has the same address."""
    kind = blocked.failure.kind
    if kind.concern is Concern.INTEGRATION and kind is not FailureKind.PAUSED:
        context.blocks.put(uploads[0].destination.quota.address, blocked)
    event = Blocked(context.clock.now(), blocked.failure, blocked.until)
    waiting = [one for one in uploads if due_of(one.upload.state) not in (None, blocked.until)]
    yield from apply(*(Step(one, event) for one in waiting))
