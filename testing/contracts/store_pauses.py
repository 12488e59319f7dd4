"""What every store owes to people who pause a tenant or a provider, and resume it."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from attrs import evolve

from ...domain.pacing.estimate import NO_COURIER
from ...domain.pacing.gate import Blocked, GateChange
from ...domain.pacing.paused import Paused, Resumed, Scope
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.status import wait_for_valid
from ...domain.upload.upload import Held
from ...ports.records import Begun, Change, InvalidTenants, Saved, Start
from ...ports.store import UploadStore
from .assertions import a, must, same, some
from .store_gates import GateRules
from .stored import AT, UNPACED, begin_each, deferred, entry, started, unblock

LATER = AT + timedelta(minutes=5)


class PauseRules(GateRules):
    """The rules for what people pause."""

    def test_nothing_begins_for_what_is_paused_and_all_else_goes_on(self) -> None:
        for scope, passes in (
            (Scope("acme"), [False, False, True, True]),
            (Scope(None, "sprinto"), [False, True, False, True]),
            (Scope("acme", "sprinto"), [False, True, True, True]),
        ):
            with self._store() as store:
                pause = Paused(scope, AT, "asha", "an audit")
                same(store.save([pause]), [Saved()])
                answers = begin_each(store, _starts(store))
                begun = [isinstance(answer, Begun) for answer in answers]
                same(begun, passes, f"what begins while {scope} is paused")
                same(answers[0], Blocked(pause.failure))
                same(store.save([Resumed(scope, LATER, "bo", "it is over")]), [Saved()])
                answers = begin_each(store, _starts(store, "ev-2"))
                begun = [isinstance(answer, Begun) for answer in answers]
                same(begun, [True] * 4, f"what begins once {scope} is resumed")

    def test_a_pause_stays_with_whom_it_was_and_ends_once(self) -> None:
        with self._store() as store:
            tenant, provider = Scope("acme"), Scope(None, "sprinto")
            first = Paused(tenant, AT, "asha", "an audit")
            other = Paused(provider, LATER, "bo", "its maintenance")
            again = Paused(tenant, LATER, "bo", "another reason")
            same(store.save([first, other, again]), [Saved()] * 3)
            same(list(store.paused()), [first, other])
            end = Resumed(tenant, LATER, "bo", "it is over")
            same(store.save([end, end]), [Saved()] * 2)
            same(list(store.paused()), [other])
            store.save([again])
            same(list(store.paused()), [other, again])

    def test_what_is_held_for_a_pause_goes_on_once_it_is_resumed(self) -> None:
        with self._store() as store:
            pause = Paused(Scope("acme"), LATER, "asha", "an audit")
            (start, *_) = _starts(store)
            store.save([pause])
            held = evolve(start.upload, state=Held(pause.failure), version=2, updated_at=LATER)
            same(store.save([Change(held)]), [Saved()])
            here = {("acme", "sprinto"): UNPACED.address}
            same(list(store.freed(here, 10)), [], "what may go on while it is paused")
            store.save([Resumed(pause.scope, LATER, "bo", "it is over")])
            same(len(store.freed(here, 10)), 1, "how much may go on once it is resumed")

    def test_what_was_held_waits_for_a_courier_once_that_is_over(self) -> None:
        tired = Failure(FailureKind.UNAUTHORIZED, "the key is wrong")
        with self._store() as store:
            pause = Paused(Scope("acme"), LATER, "asha", "an audit")
            paused, blocked = entry("a"), entry("b", tenant_id="globex")
            store.add([paused, blocked])
            tired_quota = evolve(UNPACED, address="tired")
            start = started(blocked.upload, quota=tired_quota)
            begin_each(store, [start])
            gate = GateChange(tired_quota, AT, block=tired)
            end = deferred(start.upload, failure=tired)
            of_pause = evolve(paused.upload, state=Held(pause.failure), version=2)
            of_block = evolve(end.upload, state=Held(tired))
            changes = [Change(of_pause), evolve(end, upload=of_block, gate=gate)]
            same(store.save([pause, *changes]), [Saved(), Saved(), Saved()])

            def waits() -> list[str]:
                found = [store.statuses(one, ["a", "b"], LATER) for one in ("acme", "globex")]
                return [str(status.waits_for) for one in found for status in one.values()]

            same([one.startswith("a courier, ") for one in waits()], [False, False])
            store.save([Resumed(pause.scope, LATER, "bo", "it is over")])
            free = "a courier, which takes it up: the pause is over"
            same(waits()[0], f"{free}; {NO_COURIER}", "without one")
            store.heartbeat(None, AT)
            same(waits()[0], free)
            must(waits()[1].startswith("other settings or a release"), waits()[1])
            store.save([Paused(Scope(None, "sprinto"), LATER, "asha", "maintenance")])
            unblock(store, "globex", "sprinto")
            same([one.startswith("a courier, ") for one in waits()], [False, False])
            store.save([Resumed(Scope(None, "sprinto"), LATER, "bo", "it is over")])
            same(waits()[1], "a courier, which takes it up: sprinto is blocked no more")
            store.save([InvalidTenants(["acme", "globex"], [], LATER)])
            same(waits(), [wait_for_valid("acme"), wait_for_valid("globex")])

    def test_the_time_of_a_pause_does_not_count_as_waiting(self) -> None:
        minutes = [AT + timedelta(minutes=number) for number in range(21)]
        tenant, provider = Scope("acme"), Scope(None, "sprinto")
        with self._store() as store:
            other = entry("b", at=minutes[1], tenant_id="globex")
            store.add([entry("a", at=AT), other, entry("c", at=minutes[4])])
            store.save([Paused(tenant, minutes[2], "asha", "an audit")])
            same(store.health(AT).oldest_open_at, minutes[1], "the oldest, while acme is paused")
            store.save([Resumed(tenant, minutes[12], "bo", "it is over")])
            seen = store.health(AT)
            same(some(seen.oldest_open).evidence_id, "b", "the oldest after acme was resumed")
            found = [(one.tenant_id, one.oldest_open_at) for one in seen.by_tenant]
            same(found, [("globex", minutes[1]), ("acme", minutes[10])])
            store.save([Paused(provider, minutes[10], "asha", "maintenance")])
            store.save([Resumed(provider, minutes[20], "bo", "it is over")])
            same(store.standing(AT)[0].oldest_open_at, minutes[11], "the oldest of all")
            found = [(one.tenant_id, one.oldest_open_at) for one in store.health(AT).by_tenant]
            same(found, [("globex", minutes[11]), ("acme", minutes[18])])

    def test_the_history_of_an_upload_has_the_pauses_that_held_it(self) -> None:
        with self._store() as store:
            before = Scope("acme"), AT - timedelta(days=1)
            new = entry()
            store.add([new])
            pause = Paused(Scope("acme"), LATER, "asha", "an audit")
            end = Resumed(pause.scope, LATER + timedelta(hours=1), "bo", "it is over")
            of_others = Paused(Scope("globex"), LATER, "asha", "another audit")
            store.save([Paused(*before, "cy", "long ago"), Resumed(*before, "cy", "ended")])
            store.save([pause, of_others])
            held = evolve(new.upload, state=Held(pause.failure), version=2, updated_at=LATER)
            store.save([Change(held), end])
            details = some(store.show("acme", "ev-1", LATER))
            actions = [(row.action, row.at, row.by, row.reason) for row in details.actions]
            same(actions, [("pause", LATER, "asha", "an audit")])
            store.save([Change(evolve(held, version=3, updated_at=end.at))])
            details = some(store.show("acme", "ev-1", LATER))
            same([row.action for row in details.actions], ["pause", "resume"])

    def test_a_pause_outlives_the_store_and_is_among_the_stops(self) -> None:
        pause = Paused(Scope("acme", "sprinto"), AT, "asha", "an audit")
        with self._folder() as folder:
            with closing(self.open_store(folder, False)) as store:
                store.save([pause])
                stops = store.health(LATER).stops
                same(
                    [(one.state, one.since, one.reason) for one in stops],
                    [("paused", AT, "an audit")],
                )
            if self.durable:
                with closing(self.open_store(folder, False)) as store:
                    same(list(store.paused()), [pause])
                    a(Blocked, begin_each(store, _starts(store))[0])


def _starts(store: UploadStore, evidence_id: str = "ev-1") -> list[Start]:
    """New uploads of two tenants to two providers."""
    uploads = []
    for tenant_id in ("acme", "globex"):
        for provider in ("sprinto", "vanta"):
            new = entry(evidence_id, tenant_id=tenant_id, provider=provider)
            store.add([new])
            uploads.append(started(new.upload))
    return uploads
