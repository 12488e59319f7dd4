"""Evidence Courier: puts compliance evidence into the GRC platform that each tenant has configured.

::

    async with AsyncCourier.from_config("tenants/", database="courier.db") as courier:
        courier.submit(Evidence.from_record(load_record(data)))
"""

from .adapters.engines.acting import Acted, Where
from .adapters.engines.tickets import Ticket
from .adapters.records import load_record
from .bootstrap.courier import AsyncCourier
from .domain.errors import ConfigError, CourierError, MisuseError, RecordError, StoreError
from .domain.evidence import Document, Evidence
from .domain.status import UploadStatus
from .domain.training import TrainingRecord
from .domain.verdict import NotReady, Ready

__all__ = [
    "Acted",
    "AsyncCourier",
    "ConfigError",
    "CourierError",
    "Document",
    "Evidence",
    "MisuseError",
    "NotReady",
    "Ready",
    "RecordError",
    "StoreError",
    "Ticket",
    "TrainingRecord",
    "UploadStatus",
    "Where",
    "load_record",
]
