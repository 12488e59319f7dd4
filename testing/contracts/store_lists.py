"""What every store owes who asks how the uploads stand: lists by any filter, and figures."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve

from ...domain.pacing.gate import GateChange
from ...domain.upload.events import AttemptEnded, Requeued, Unblocked
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.find import Find, all_of
from ...domain.upload.transitions import Rules, advance
from ...domain.upload.upload import Status
from ...domain.upload.verdict import Rejected
from ...ports.records import Change, InvalidTenants
from .assertions import must, same, some
from .hostile_inputs import HALF_A_CHARACTER, NAMES
from .store_gates import GateRules
from .stored import AT, UNPACED, begin_each, deferred, delivered, ended, entry, started, tried

MINUTE = timedelta(minutes=1)


class ListRules(GateRules):
    """The rules for lists and figures."""

    def test_filters_by_error_provider_time_and_id_hold_together(self) -> None:
        with self._store() as store:
            entries = [
                entry("ev-a", at=AT),
                entry("ev-b", at=AT + MINUTE, provider="vanta"),
                entry("ev-c", at=AT + 2 * MINUTE, tenant_id="globex"),
                entry("x-d", at=AT + 3 * MINUTE),
            ]
            store.add(entries)
            for one in entries[:3]:
                tried(store, one.upload, 1)

            def found(find: Find) -> str:
                pages = all_of(lambda after: store.find(evolve(find, limit=1, after=after), AT))
                uploads = list(pages)
                number = sum(count.number for count in store.counted(find))
                same(number, len(uploads), "how many are counted")
                return "".join(upload.evidence_id[-1] for upload in uploads)

            both = [Status.PENDING, Status.RETRYING]
            same(found(Find(statuses=both)), "dcba")
            same(found(Find(kind="rate_limited")), "cba")
            same(found(Find(kind="rate_limited", tenant_id="acme", statuses=both)), "ba")
            same(found(Find(kind="unauthorized")), "")
            same(found(Find(provider="vanta")), "b")
            same(found(Find(provider="sprinto", tenant_id="acme")), "da")
            same(found(Find(provider="sprinto", kind="rate_limited", since=AT + MINUTE)), "c")
            same(found(Find(until=AT + 2 * MINUTE)), "ba")
            same(found(Find(since=AT + MINUTE, until=AT + 3 * MINUTE, statuses=both)), "cb")
            same(found(Find(id_prefix="ev-")), "cba")
            same(found(Find(id_prefix="ev-", tenant_id="acme", provider="sprinto")), "a")
            same(found(Find(id_prefix="EV")), "")
            same(found(Find(id_prefix="x", kind="rate_limited")), "")

    def test_a_filter_takes_any_text_as_it_is(self) -> None:
        with self._store() as store:
            last = "\U0010ffff and more"
            store.add([entry(name) for name in (*NAMES, last)])
            for name in (*NAMES, last):
                found = store.find(Find(id_prefix=name[:3]), AT).uploads
                must(name in [one.evidence_id for one in found], f"{name!r} is not found")
            same(len(store.find(Find(id_prefix="", limit=99), AT).uploads), len(NAMES) + 1)
            for odd in ("%", "_", "*", HALF_A_CHARACTER, "ev 1\x00"):
                for find in (Find(id_prefix=odd), Find(tenant_id=odd), Find(provider=odd)):
                    found = store.find(find, AT).uploads
                    must(
                        all(one.evidence_id.startswith(find.id_prefix or "?") for one in found),
                        f"{find} finds another",
                    )
                    same(sum(one.number for one in store.counted(find)), len(found))
            same(store.find(Find(provider=""), AT).uploads, ())

    def test_an_attempt_that_is_running_is_shown_with_its_courier(self) -> None:
        with self._store() as store:
            courier, new = store.heartbeat(None, AT), entry()
            store.add([new])
            same(some(store.show("acme", "ev-1", AT)).running, None)
            start = started(new.upload, AT + MINUTE, courier_id=courier)
            begin_each(store, [start])
            running = some(some(store.show("acme", "ev-1", AT)).running)
            same((running.number, running.started_at), (1, AT + MINUTE))
            same(running.courier_id, courier, "which courier makes it")
            store.save([delivered(start.upload, AT + 2 * MINUTE)])
            same(some(store.show("acme", "ev-1", AT)).running, None)

    def test_health_counts_the_couriers_that_are_registered(self) -> None:
        with self._store() as store:
            same(store.health(AT).couriers, 0)
            couriers = [store.heartbeat(None, AT) for _ in range(2)]
            same(store.health(AT).couriers, 2)
            store.unregister(couriers[0])
            same(store.health(AT).couriers, 1)

    def test_uploads_are_counted_by_tenant_provider_status_and_error(self) -> None:
        with self._store() as store:
            entries = [entry("a"), entry("b"), entry("c", tenant_id="globex")]
            store.add(entries)
            tried(store, entries[0].upload, 1)
            start = started(entries[1].upload, AT + MINUTE)
            begin_each(store, [start])
            store.save([delivered(start.upload, AT + 2 * MINUTE)])
            same(
                {
                    (one.tenant_id, one.provider, one.status, one.reason): one.number
                    for one in store.counted(Find())
                },
                {
                    ("acme", "sprinto", Status.RETRYING, "rate_limited"): 1,
                    ("acme", "sprinto", Status.SUCCEEDED, None): 1,
                    ("globex", "sprinto", Status.PENDING, None): 1,
                },
            )
            for find in (Find(), Find(tenant_id="acme", since=AT), Find(id_prefix="a")):
                same({type(one.number) for one in store.counted(find)}, {int}, f"numbers of {find}")
            (succeeded,) = store.counted(Find(statuses=[Status.SUCCEEDED]))
            same(succeeded.last_at, AT + 2 * MINUTE, "when the last one succeeded")

    def test_the_overview_shows_the_oldest_open_upload_and_the_last_success(self) -> None:
        with self._store() as store:
            entries = [
                entry("a", at=AT),
                entry("b", at=AT + MINUTE),
                entry("c", at=AT + 2 * MINUTE, tenant_id="globex"),
            ]
            store.add(entries)
            start = started(entries[0].upload, AT + MINUTE)
            begin_each(store, [start])
            store.save([delivered(start.upload, AT + 2 * MINUTE)])
            seen = store.health(AT)
            same({type(number) for number in seen.counts.values()}, {int}, "what is counted")
            same(some(seen.oldest_open).evidence_id, "b")
            same(seen.oldest_open_at, AT + MINUTE)
            same(seen.counts["succeeded"], 1)
            same(
                [
                    (one.tenant_id, one.oldest_open_at, one.last_success_at)
                    for one in seen.by_tenant
                ],
                [("acme", AT + MINUTE, AT + 2 * MINUTE), ("globex", AT + 2 * MINUTE, None)],
            )

    def test_an_upload_that_goes_on_after_its_end_waits_since_then(self) -> None:
        minutes = [AT + number * MINUTE for number in range(10)]
        with self._store() as store:
            old, other = entry("old", at=AT), entry("other", at=minutes[4], tenant_id="globex")
            store.add([old, other, entry("new", at=minutes[8])])
            start = started(old.upload)
            begin_each(store, [start])
            refused = Rejected(Failure(FailureKind.REFUSED, "no"))
            end = ended(start.upload, AttemptEnded(AT, 1, refused, 0.0))
            store.save([end])
            same(store.health(AT).oldest_open_at, minutes[4], "the oldest, while one has failed")
            again = advance(end.upload, Requeued(minutes[6], "asha", "mended"), Rules())
            store.save([Change(again)])
            since = [("globex", minutes[4]), ("acme", minutes[6])]
            for upload in (again, tried(store, again, 1)):
                seen = store.health(AT)
                same([(one.tenant_id, one.oldest_open_at) for one in seen.by_tenant], since)
                same(some(seen.oldest_open).evidence_id, "other")
                found = store.get([upload.key])[upload.key].upload
                same(found.tally.reopened_at, minutes[6])

    def test_what_is_parked_stands_beside_the_oldest_open_upload(self) -> None:
        with self._store() as store:
            entries = [entry("old", at=AT), entry("new", at=AT + MINUTE, tenant_id="globex")]
            store.add(entries)
            closed = Failure(FailureKind.CHECK_IN_REVIEW, "the check is in review")
            start = started(entries[0].upload)
            begin_each(store, [start])
            gate = GateChange(UNPACED, AT, block=closed)
            parked = deferred(start.upload, failure=closed)
            store.save([evolve(parked, gate=gate)])
            seen = store.health(AT)
            same(some(seen.oldest_open).evidence_id, "new")
            same(seen.parked, 1)
            same(seen.reasons, {"retrying": {"check_in_review": 1}})
            (stop,) = seen.stops
            same(
                (stop.state, stop.tenant_id, stop.since, stop.reason, stop.uploads),
                ("parked", "acme", AT, "check_in_review", 1),
            )
            later = AT + 5 * MINUTE
            store.save([Change(advance(parked.upload, Unblocked(later), Rules()))])
            same(
                [(one.tenant_id, one.oldest_open_at) for one in store.health(later).by_tenant],
                [("globex", AT + MINUTE), ("acme", later)],
                "since when each waits, once the target takes uploads again",
            )

    def test_what_is_blocked_is_listed_until_an_upload_succeeds(self) -> None:
        with self._store() as store:
            entries = [entry("a"), entry("b", at=AT + MINUTE)]
            store.add(entries)
            tired = Failure(FailureKind.UNAUTHORIZED, "the key is wrong", http_status=401)
            start = started(entries[0].upload)
            begin_each(store, [start])
            gate = GateChange(UNPACED, AT, block=tired)
            store.save([evolve(deferred(start.upload), gate=gate)])
            store.save([InvalidTenants(["globex"], [], AT)])
            store.save([InvalidTenants(["globex"], [], AT + MINUTE)])
            same(
                [
                    (one.state, one.tenant_id, one.since, one.reason, one.message, one.uploads)
                    for one in store.health(AT).stops
                ],
                [
                    ("blocked", "acme", AT, "unauthorized", "the key is wrong", 2),
                    ("skipped", "globex", AT, "integration_invalid", "", 0),
                ],
            )
            other = evolve(UNPACED, address="another address")
            start = started(entries[1].upload, AT + MINUTE, quota=other)
            begin_each(store, [start])
            store.save([delivered(start.upload, AT + 2 * MINUTE)])
            same([one.state for one in store.health(AT).stops], ["skipped"])
