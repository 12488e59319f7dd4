"""Evidence Courier: puts compliance evidence into the GRC platform that each tenant has configured.

::

    async with AsyncCourier.from_config("tenants/", database="courier.db") as courier:
        courier.submit(Evidence.from_record(load_record(data)))

`Courier` is the same for hosts that do not run on asyncio.

A name is imported from its home when it is first used: a program, or pytest with the plugin of this
package, that only comes by pays nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .adapters.engines.blocking_engine import Delivery
    from .adapters.engines.tickets import SyncTicket, Ticket
    from .adapters.notices import Mail, OnNotice, Webhook
    from .adapters.records import load_record
    from .bootstrap.blocking_courier import BlockingCourier
    from .bootstrap.courier import AsyncCourier
    from .bootstrap.records import AsyncRecords, Records
    from .bootstrap.sync_courier import Courier
    from .bootstrap.wiring import BlockingOptions, CourierOptions
    from .delivery.actions import ActionResult, Filter
    from .delivery.due_delivery import DueDelivery
    from .domain.errors import ConfigError, CourierError, MisuseError, RecordError, StoreError
    from .domain.evidence.evidence import Document, Evidence
    from .domain.evidence.training import TrainingRecord
    from .domain.notices import Notice
    from .domain.upload.status import UploadStatus
    from .domain.upload.verdict import NotReady, Ready
else:
    # The same names again, for the interpreter; tests/house/test_faces.py compares.
    _HOMES = {
        "ActionResult": "delivery.actions",
        "AsyncCourier": "bootstrap.courier",
        "AsyncRecords": "bootstrap.records",
        "BlockingCourier": "bootstrap.blocking_courier",
        "BlockingOptions": "bootstrap.wiring",
        "ConfigError": "domain.errors",
        "Courier": "bootstrap.sync_courier",
        "CourierError": "domain.errors",
        "CourierOptions": "bootstrap.wiring",
        "Delivery": "adapters.engines.blocking_engine",
        "Document": "domain.evidence.evidence",
        "DueDelivery": "delivery.due_delivery",
        "Evidence": "domain.evidence.evidence",
        "Filter": "delivery.actions",
        "Mail": "adapters.notices",
        "MisuseError": "domain.errors",
        "NotReady": "domain.upload.verdict",
        "Notice": "domain.notices",
        "OnNotice": "adapters.notices",
        "Ready": "domain.upload.verdict",
        "RecordError": "domain.errors",
        "Records": "bootstrap.records",
        "StoreError": "domain.errors",
        "SyncTicket": "adapters.engines.tickets",
        "Ticket": "adapters.engines.tickets",
        "TrainingRecord": "domain.evidence.training",
        "UploadStatus": "domain.upload.status",
        "Webhook": "adapters.notices",
        "load_record": "adapters.records",
    }

    def __getattr__(name):
        if name not in _HOMES:
            from difflib import get_close_matches

            near = "".join(f": did you mean {one}?" for one in get_close_matches(name, _HOMES, 1))
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{near}")
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "ActionResult",
    "AsyncCourier",
    "AsyncRecords",
    "BlockingCourier",
    "BlockingOptions",
    "ConfigError",
    "Courier",
    "CourierError",
    "CourierOptions",
    "Delivery",
    "Document",
    "DueDelivery",
    "Evidence",
    "Filter",
    "Mail",
    "MisuseError",
    "NotReady",
    "Notice",
    "OnNotice",
    "Ready",
    "RecordError",
    "Records",
    "StoreError",
    "SyncTicket",
    "Ticket",
    "TrainingRecord",
    "UploadStatus",
    "Webhook",
    "load_record",
]
