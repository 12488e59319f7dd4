"""One nursery for all: see `crash_watch`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crash_watch import Hosts


@pytest.fixture(scope="session")
def nursery() -> Iterator[Hosts]:
    with Hosts() as running:
        yield running


@pytest.fixture
def hosts(nursery: Hosts) -> Iterator[Hosts]:
    """For one test: no host of it lives on and takes the time of the tests after it."""
    yield nursery
    nursery.kill_all()
