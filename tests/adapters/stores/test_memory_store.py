"""What the store in memory has and no other does: faults that are asked for."""

from __future__ import annotations

import pytest

from evidence_courier.domain.errors import StoreError
from evidence_courier.domain.upload.find import Find
from evidence_courier.ports.records import Added, Begun
from evidence_courier.testing.contracts.stored import AT, entry, started
from evidence_courier.testing.memory_store import MemoryStore


def test_a_fault_comes_as_often_as_it_was_asked_for_and_writes_nothing() -> None:
    store = MemoryStore()
    store.fail_next("add", times=2)
    for _ in range(2):
        with pytest.raises(StoreError, match="add was not done: a fault was asked for"):
            store.add([entry()])
    assert store.find(Find(), AT).uploads == ()
    assert store.add([entry()]) == [Added()]


def test_a_fault_of_one_verb_leaves_the_others_alone() -> None:
    store = MemoryStore()
    new = entry()
    store.fail_next("save")
    store.add([new])
    assert store.begin([[started(new.upload)]]) == [[Begun(new.content)]]
    with pytest.raises(StoreError):
        store.save([])
    assert list(store.save([])) == []
