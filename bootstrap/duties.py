"""What a courier does now and then beside its uploads."""

from __future__ import annotations

from collections.abc import Sequence

from ..delivery.chain import LINK_EVERY, link_settled
from ..delivery.duties import Duty
from ..delivery.notices import Watch, duties_for
from ..delivery.retention import Rules, retention_duty
from .tenants import Tenants
from .wiring import Wiring


def duties_of(wiring: Wiring, tenants: Tenants) -> Sequence[Duty]:
    """The duties of one courier."""
    return (
        Duty("the linking of what is settled", LINK_EVERY, link_settled),
        retention_duty(lambda: Rules(wiring.retention, tenants.retention)),
        *_notices(wiring, tenants),
    )


def _notices(wiring: Wiring, tenants: Tenants) -> Sequence[Duty]:
    if not wiring.sinks:
        return ()
    # A courier that tells nothing need not load what tells.
    from ..adapters.notices import SinkTeller

    watch = Watch(wiring.late_after, tenants.unknown)
    return duties_for([SinkTeller(sink) for sink in wiring.sinks], watch)
