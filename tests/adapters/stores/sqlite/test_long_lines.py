"""No further than a bound is counted for a place in a line; those behind it are estimated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve

from evidence_courier.adapters.stores.sql import reads
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.pacing.gate import Quota
from evidence_courier.domain.upload.find import Find
from evidence_courier.testing import MemoryStore
from evidence_courier.testing.contracts.stored import AT, entry, started

SECOND = timedelta(seconds=1)
QUOTA = Quota("a credential", "an address", Pace(1, SECOND))
BOUND = 10


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    """A store that counts no further than BOUND."""
    monkeypatch.setattr(reads, "MOST_COUNTED", BOUND)
    with closing(SqliteStore(str(tmp_path / "courier.db"))) as store:
        yield store


def next_attempts(
    store: SqliteStore | MemoryStore, moments: list[datetime]
) -> list[datetime | None]:
    """When those are expected to begin that are due at these moments and have one credential, which
    begins one a second. Another has begun before them."""
    first = evolve(entry("first"), credential=QUOTA.credential)
    store.add([first])
    store.begin([[started(first.upload, quota=QUOTA)]])
    rest = [
        evolve(entry(f"ev-{number}", at=moment), credential=QUOTA.credential)
        for number, moment in enumerate(moments)
    ]
    store.add(rest)
    names = [each.upload.key.evidence_id for each in rest]
    now = max(moments)
    found = store.statuses("acme", names, now)
    listed = {one.evidence_id: one for one in store.find(Find(), now).uploads}
    assert all(listed[name] == found[name] for name in names)
    return [found[name].next_attempt_at for name in names]


def test_a_line_that_is_evenly_due_is_estimated_as_it_is(store: SqliteStore) -> None:
    moments = [AT + number * SECOND / 10 for number in range(50)]
    assert next_attempts(store, moments) == next_attempts(MemoryStore(), moments)


def test_what_is_due_at_one_moment_stands_in_the_order_of_arrival(store: SqliteStore) -> None:
    assert next_attempts(store, [AT] * 50) == next_attempts(MemoryStore(), [AT] * 50)


def test_none_stands_behind_more_than_all_that_are_open(store: SqliteStore) -> None:
    moments = [*[AT] * 20, AT + SECOND]
    last, exact = (next_attempts(one, moments)[-1] for one in (store, MemoryStore()))
    assert last is not None
    assert exact is not None
    assert last == exact + SECOND  # the one under way is open, too


def test_none_stands_before_those_that_were_counted(store: SqliteStore) -> None:
    sparse = [AT - timedelta(days=BOUND - number) for number in range(BOUND)]
    exact = next_attempts(MemoryStore(), [*sparse, *[AT] * 20])
    found = next_attempts(store, [*sparse, *[AT] * 20])
    assert found[: BOUND + 1] == exact[: BOUND + 1]
    counted = exact[BOUND]
    assert counted is not None
    assert all(moment is not None and moment >= counted for moment in found[BOUND:])
