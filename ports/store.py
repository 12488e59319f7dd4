"""A store: records, gates, couriers and hash chains, in one place and in shared transactions."""

from __future__ import annotations

from typing import Protocol

from .chain import Chain
from .couriers import Couriers
from .gates import Gates
from .notices import Notices
from .records import UploadRecords
from .removal import Removals


class UploadStore(UploadRecords, Removals, Gates, Couriers, Chain, Notices, Protocol):
    """What a store adapter implements. Callers ask for the part that they need."""
