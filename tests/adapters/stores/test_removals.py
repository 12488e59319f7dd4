"""What the contract kit cannot bring about: what a host records in a transaction of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest
from attrs import evolve
from postgres_server import server

from evidence_courier.adapters.stores.databases import open_store
from evidence_courier.adapters.stores.hosts import Insertion, write
from evidence_courier.adapters.stores.postgres import insertion as postgres
from evidence_courier.adapters.stores.sqlite import insertion as sqlite
from evidence_courier.delivery.chain import faults_of
from evidence_courier.domain.pacing.gate import GateChange
from evidence_courier.domain.retention import Part
from evidence_courier.domain.upload.events import AttemptEnded
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.find import Find
from evidence_courier.domain.upload.upload import Held
from evidence_courier.domain.upload.verdict import Rejected
from evidence_courier.ports.records import Change, Known
from evidence_courier.testing import FakeClock
from evidence_courier.testing.contracts.store_removals import (
    JANE,
    MAIL,
    PERSONAL,
    of_jane,
    removal,
    settled,
)
from evidence_courier.testing.contracts.stored import AT, begin_each, delivered, ended, started

NEW = of_jane(f"course-{JANE}")
KEY = NEW.upload.key


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def name(kind: str, tmp_path: Any) -> str:
    return server().new_database() if kind == "postgres" else str(tmp_path / "courier.db")


def recorded(name: str, insertion: Insertion) -> None:
    connect: Any = sqlite3.connect if insertion.kind == "sqlite" else psycopg.connect
    with closing(connect(name)) as connection:
        connection.execute("BEGIN")
        write(connection, insertion)
        connection.commit()


def erase(store: Any) -> None:
    removed = store.remove(removal(store, [KEY], PERSONAL, names=[JANE, MAIL]))
    assert removed.parts[Part.PERSONAL] == 1
    assert store.get([KEY]) == {}


def test_whatever_names_the_person_in_others_uploads_is_erased(kind: str, name: str) -> None:
    """Settings, what is left of several steps, and the evidence's id, which is known all the
    same."""
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        other = of_jane(f"team-of-{JANE}", "kim")
        dossier = evolve(other.dossier, settings={"owner": JANE}, session_id="course")
        tally = evolve(other.upload.tally, progress=f"sent for {JANE}")
        other = evolve(other, dossier=dossier, upload=evolve(other.upload, tally=tally))
        settled(store, other)
        store.link(100, AT)
        found = store.naming("acme", [JANE], ())
        erased = evolve(removal(store, [], PERSONAL, names=[JANE]), texts=found)
        assert store.remove(erased).texts == 3
        assert [*faults_of(store, "acme")] == []
        assert isinstance(store.add([other])[0], Known)
        assert set(store.statuses("acme", [f"team-of-{JANE}"], AT)) == {f"team-of-{JANE}"}
        (mark,) = store.find(Find(limit=9), AT).uploads
        assert JANE not in repr(mark)
        (kept,) = store.get([NEW.upload.key._replace(evidence_id=mark.evidence_id)]).values()
        assert JANE not in repr(kept)


@pytest.mark.parametrize("spelled", ["MÜLLER.K", "mu\u0308ller.k", "Müller.k", "ＭÜLLER.K"])
def test_a_person_is_found_in_any_spelling(kind: str, name: str, spelled: str) -> None:
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        settled(store, of_jane("ev-1", "müller.k"), of_jane("ev-2", "muller.k"), of_jane("ev-3"))
        found = [one.upload.key.evidence_id for one in store.of_person("acme", spelled)]
        assert found == ["ev-1"]
        assert [one.upload.key.evidence_id for one in store.of_person("acme", "ＪANE.D-7")] == [
            "ev-3"
        ]
        mails = store.of_person("acme", MAIL.upper())
        assert [one.upload.key.evidence_id for one in mails] == ["ev-3"]


def test_the_words_of_a_block_are_not_written_back_from_memory(kind: str, name: str) -> None:
    """Another courier learned of the block before a person was erased from its words."""
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        waits, other = of_jane("ev-2", "kim"), of_jane("ev-3", "kim")
        store.add([waits, other])
        says = Failure(FailureKind.UNAUTHORIZED, f"the key of {JANE} is not accepted")
        start = started(other.upload)
        begin_each(store, [start])
        refused = ended(start.upload, AttemptEnded(AT, 1, Rejected(says), 0.0))
        store.save([evolve(refused, gate=GateChange(start.quota, AT, block=says))])
        names = [JANE, MAIL]
        found = store.naming("acme", names, ())
        erased = evolve(removal(store, [], PERSONAL, names=names), texts=found)
        assert store.remove(erased).texts == 3
        held = evolve(waits.upload, state=Held(says), version=waits.upload.version + 1)
        store.save([Change(held)])
        assert JANE not in repr([store.show("acme", one, AT) for one in ("ev-2", "ev-3")])


def test_what_is_recorded_again_under_its_old_id_is_erased_again(kind: str, name: str) -> None:
    """By a courier that does not know the hash, which is taken then."""
    insertion_of = postgres.insertion_of if kind == "postgres" else sqlite.insertion_of
    with closing(open_store(name, clock=FakeClock(AT))) as store:
        settled(store, NEW)
        for _ in range(3):
            erase(store)
            recorded(name, insertion_of(NEW, "unknown"))
            start = started(NEW.upload)
            begin_each(store, [start])
            store.save([delivered(start.upload)])


def test_a_host_records_erased_evidence_for_another_provider_only(name: str) -> None:
    other = evolve(NEW, upload=evolve(NEW.upload, key=KEY._replace(provider="vanta")))
    store: Any = open_store(name, clock=FakeClock(AT))
    with closing(store):
        settled(store, NEW)
        erase(store)
        for new in (NEW, other):
            recorded(name, store.insertion_of(new))
        assert [*store.get([KEY, other.upload.key])] == [other.upload.key]
