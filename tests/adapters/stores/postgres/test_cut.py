"""Connections that are cut, and a server that restarts: nothing recorded is lost, nothing is
written twice, and a commit whose answer was lost is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from cutting_proxy import Cut, CuttingProxy
from postgres_server import own_server

from evidence_courier.adapters.stores.postgres import PostgresStore
from evidence_courier.domain.errors import StoreError
from evidence_courier.ports.records import Added, Begun, Saved
from evidence_courier.testing.contracts.stored import (
    AT,
    begin_each,
    deferred,
    delivered,
    entry,
    started,
)


@pytest.fixture
def proxy(dsn: str) -> Iterator[CuttingProxy]:
    with closing(CuttingProxy(dsn)) as one:
        yield one


@pytest.fixture
def cut_store(proxy: CuttingProxy) -> Iterator[PostgresStore]:
    with closing(PostgresStore(proxy.dsn)) as one:
        yield one


def test_a_commit_whose_answer_was_lost_is_known_as_written(
    proxy: CuttingProxy, cut_store: PostgresStore
) -> None:
    new = entry()
    proxy.cut_commit = "after"
    assert cut_store.add([new]) == [Added()]
    begin = started(new.upload)
    proxy.cut_commit = "after"
    (begun,) = begin_each(cut_store, [begin])
    assert isinstance(begun, Begun)
    proxy.cut_commit = "after"
    assert cut_store.save([delivered(begin.upload)]) == [Saved()]
    assert proxy.commits_cut == 3
    details = cut_store.show("acme", "ev-1", AT)
    assert details is not None
    assert len(details.history) == 1


def test_a_commit_that_did_not_arrive_is_refused_and_can_be_repeated(
    proxy: CuttingProxy, cut_store: PostgresStore
) -> None:
    new = entry()
    proxy.cut_commit = "before"
    with pytest.raises(StoreError) as refused:
        cut_store.add([new])
    assert refused.value.passing
    assert cut_store.add([new]) == [Added()]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_change_is_written_once(
    proxy: CuttingProxy, cut_store: PostgresStore, when: Cut
) -> None:
    new = entry()
    cut_store.add([new])
    begin = started(new.upload)
    begin_each(cut_store, [begin])
    proxy.cut_commit = when
    try:
        cut_store.save([deferred(begin.upload)])
    except StoreError:
        cut_store.save([deferred(begin.upload)])
    details = cut_store.show("acme", "ev-1", AT)
    assert details is not None
    assert [attempt.number for attempt in details.history] == [1]


def test_idle_connections_that_were_cut_are_made_anew(
    proxy: CuttingProxy, cut_store: PostgresStore
) -> None:
    cut_store.add([entry("ev-1")])
    proxy.cut_all()
    assert cut_store.add([entry("ev-2")]) == [Added()]
    proxy.cut_all()
    assert len(cut_store.statuses("acme", ["ev-1", "ev-2"], AT)) == 2


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_restarted_server_has_what_was_recorded(how: str) -> None:
    own = own_server()
    with closing(PostgresStore(own.new_database())) as store:
        new = entry()
        store.add([new])
        courier = store.heartbeat(None, AT)
        other = store.heartbeat(None, AT)
        own.stop(how)
        try:
            with pytest.raises(StoreError) as refused:
                store.add([entry("ev-2")])
        finally:
            own.start()
        assert refused.value.passing
        assert store.add([entry("ev-2")]) == [Added()]
        assert set(store.statuses("acme", ["ev-1", "ev-2"], AT)) == {"ev-1", "ev-2"}
        assert store.dead(courier, 10) == {}, f"{other} was not dead, the server was"
