"""What every store owes its hash chains."""

from __future__ import annotations

from attrs import evolve

from ...delivery.chain import faults_of
from ...domain.chain import ACTION, ATTEMPT, PAUSE, RESUME
from ...domain.pacing.paused import Paused, Resumed, Scope
from ...domain.upload.actions import Action
from ...domain.upload.status import ActionRow
from ...domain.upload.upload import Upload
from ...ports.chain import Unlinked
from ...ports.records import Change
from ...ports.store import UploadStore
from .assertions import same
from .store_gates import GateRules
from .stored import AT, begin_each, deferred, delivered, entry, started


def settled(store: UploadStore, evidence_id: str, tenant_id: str = "acme") -> Upload:
    """An upload that was delivered at its second attempt."""
    new = entry(evidence_id, tenant_id=tenant_id)
    store.add([new])
    upload = new.upload
    for end in (deferred, delivered):
        begin = started(upload)
        begin_each(store, [begin])
        change = end(begin.upload)
        store.save([change])
        upload = change.upload
    return upload


def acted_on(store: UploadStore, upload: Upload) -> None:
    """A person does something to it."""
    after = evolve(upload, version=upload.version + 1)
    row = ActionRow(at=AT, action=Action.ATTEST.value, by="dana", reason="seen there")
    store.save([Change(after, action=row)])


class ChainRules(GateRules):
    """The rules for hash chains."""

    def test_settled_attempts_and_what_people_did_are_linked(self) -> None:
        with self._store() as store:
            acted_on(store, settled(store, "ev-1"))
            same(store.link(100, AT), 3)
            links = [link for link, _ in store.links("acme", 0, 100).links]
            same([link.position for link in links], [1, 2, 3])
            same(sorted(link.kind for link in links), [ACTION, ATTEMPT, ATTEMPT])
            same([*faults_of(store, "acme")], [])

    def test_pauses_and_their_ends_are_linked(self) -> None:
        """One of all tenants is in a chain of its own."""
        with self._store() as store:
            for scope in (Scope("acme"), Scope(None, "sprinto"), Scope("acme", "sprinto")):
                store.save([Paused(scope, AT, "dana", "moves")])
            same(store.link(100, AT), 3)
            store.save([Resumed(Scope("acme", "sprinto"), AT, "eve", "has moved")])
            store.save([Resumed(Scope("acme"), AT, "eve", "has moved")])
            same([store.link(100, AT), store.link(100, AT)], [2, 0])
            links = [link.kind for link, _ in store.links("acme", 0, 100).links]
            same(links, [PAUSE, PAUSE, RESUME, RESUME])
            same({one.tenant_id: one.length for one in store.heads()}, {"acme": 4, "": 1})
            same([*faults_of(store, "acme"), *faults_of(store, "")], [])

    def test_an_attempt_under_way_is_in_no_link(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            begin_each(store, [started(new.upload)])
            same(dict(store.chains()), {})
            same(store.link(100, AT), 0)
            same(list(store.heads()), [])

    def test_each_tenant_has_a_chain_of_its_own(self) -> None:
        with self._store() as store:
            for tenant_id, evidence_id in (("globex", "a"), ("acme", "a"), ("globex", "b")):
                settled(store, evidence_id, tenant_id)
            store.link(100, AT)
            same(
                [(one.tenant_id, one.length) for one in store.heads()], [("acme", 2), ("globex", 4)]
            )
            same([one.length for one in store.heads("globex")], [4])
            same(list(store.heads("initech")), [])
            same([*faults_of(store, "globex"), *faults_of(store, "acme")], [])

    def test_a_chain_grows_behind_its_head(self) -> None:
        with self._store() as store:
            settled(store, "ev-1")
            settled(store, "ev-2")
            same([store.link(3, AT), store.link(3, AT), store.link(3, AT)], [3, 1, 0])
            (head,) = store.heads("acme")
            same([*faults_of(store, "acme")], [])
            settled(store, "ev-3")
            store.link(100, AT)
            same([*faults_of(store, "acme", [head])], [])
            same([one.length for one in store.heads()], [6])

    def test_links_are_read_by_the_page(self) -> None:
        with self._store() as store:
            settled(store, "ev-1")
            settled(store, "ev-2")
            store.link(100, AT)
            page = store.links("acme", 1, 2)
            same([link.position for link, _ in page.links], [2, 3])
            same([page.head], list(store.heads("acme")))
            same(list(store.links("acme", 4, 2).links), [])

    def test_what_is_not_linked_yet_is_counted(self) -> None:
        with self._store() as store:
            settled(store, "ev-1")
            settled(store, "ev-1", "globex")
            store.link(3, AT)
            expected = {"acme": Unlinked(0, ()), "globex": Unlinked(1, ())}
            same(dict(store.chains()), expected)
