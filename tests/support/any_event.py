"""One event of every type there is. A type that is added to `LogEvent` and not to the kit's list
fails the tests of the list."""

from __future__ import annotations

import pytest

from evidence_courier.testing.contracts.events import HOSTILE, one_of_each


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`any_event`: the test is run once for each type; `hostile_event`: the same with hostile
    texts."""
    for name, odd in (("any_event", ""), ("hostile_event", HOSTILE)):
        if name in metafunc.fixturenames:
            events = one_of_each(odd)
            metafunc.parametrize(name, events, ids=[type(event).__name__ for event in events])
