"""One nursery for all: see `crash_watch`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_watch import Hosts


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    with Hosts() as running:
        yield running
