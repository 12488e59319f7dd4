"""Evidence Courier: puts compliance evidence into the GRC platform that each tenant has configured.

::

    async with AsyncCourier.from_config("tenants/", database="courier.db") as courier:
        courier.submit(Evidence.from_record(load_record(data)))

`Courier` is the same for hosts that do not run on asyncio.
"""

from .adapters.engines.acting import Acted, Where
from .adapters.engines.blocking import Delivery
from .adapters.engines.tickets import SyncTicket, Ticket
from .adapters.records import load_record
from .bootstrap.blocking_courier import BlockingCourier
from .bootstrap.courier import AsyncCourier
from .bootstrap.sync_courier import Courier
from .domain.errors import ConfigError, CourierError, MisuseError, RecordError, StoreError
from .domain.evidence import Document, Evidence
from .domain.status import UploadStatus
from .domain.training import TrainingRecord
from .domain.verdict import NotReady, Ready

__all__ = [
    "Acted",
    "AsyncCourier",
    "BlockingCourier",
    "ConfigError",
    "Courier",
    "CourierError",
    "Delivery",
    "Document",
    "Evidence",
    "MisuseError",
    "NotReady",
    "Ready",
    "RecordError",
    "StoreError",
    "SyncTicket",
    "Ticket",
    "TrainingRecord",
    "UploadStatus",
    "Where",
    "load_record",
]
