"""A store: the records, the gates and the couriers, in one place and in shared transactions."""

from __future__ import annotations

from typing import Protocol

from .couriers import Couriers
from .gates import Gates
from .records import UploadRecords


class UploadStore(UploadRecords, Gates, Couriers, Protocol):
    """What a store adapter implements. Callers ask for the part that they need."""
