"""What every store owes: the kit for the `UploadStore` port.

    class TestMyStore(StoreContract):
        def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
            return MyStore(f"{folder}/my.db", keep_documents=keep_documents)

Each rule gets a folder of its own, empty at first, and may open the store in it again.
`store_machine` adds a state machine that asks your store and `MemoryStore` the same questions and
compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import evolve

from ...domain.errors import MisuseError, StoreError
from ...domain.upload.attempt import Attempt, attempt_of
from ...domain.upload.events import Abandoned, AttemptEnded, LookedUp, Unblocked, Unfit
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.find import Find
from ...domain.upload.status import ActionRow, LookUpRow, StatusError, UploadDetails, wait_for_valid
from ...domain.upload.transitions import advance
from ...domain.upload.upload import UNKNOWN_PROVIDER, Status, Upload, UploadKey, with_digest
from ...domain.upload.verdict import Delivered, Processing, Receipt, Recovered, Refused, word_of
from ...ports.records import (
    Added,
    Begun,
    Change,
    Conflict,
    Entry,
    InvalidTenants,
    Known,
    MadeDocument,
    NamedProvider,
    Saved,
    StoredDocument,
)
from ...ports.store import UploadStore
from ...ports.writer import Transactional
from .assertions import a, must, raises, same, some
from .hostile_inputs import HALF_A_CHARACTER, NAMES, TEXTS
from .store_chain import ChainRules
from .store_lists import ListRules
from .store_look_ups import LookUpRules
from .store_notices import NoticeRules
from .store_pauses import PauseRules
from .store_removals import RemovalRules
from .stored import (
    AT,
    BUSY_PROVIDER,
    RULES,
    begin_each,
    deferred,
    delivered,
    entry,
    started,
    tried,
    unblock,
)

MINUTE = timedelta(minutes=1)


class StoreContract(ChainRules, ListRules, LookUpRules, NoticeRules, PauseRules, RemovalRules):
    """The rules for a store. Give it `open_store`; say `durable = False` where what is written
    ends with the store."""

    def test_an_upload_is_read_as_it_was_added(self) -> None:
        with self._store() as store:
            new = entry()
            same(store.add([new]), [Added()])
            same(store.get([new.upload.key]), {new.upload.key: Entry(new.upload, new.dossier)})

    def test_what_is_not_recorded_is_absent(self) -> None:
        with self._store() as store:
            same(store.get([UploadKey("acme", "ev-1", "sprinto")]), {})
            same(store.statuses("acme", ["ev-1"], AT), {})
            same(store.show("acme", "ev-1", AT), None)
            same(store.find(Find(), AT).uploads, ())
            same(store.due(AT, 10), {})
            same(set(store.counts().values()), {0})

    def test_nothing_may_be_asked_for_nothing(self) -> None:
        with self._store() as store:
            for answers in (store.add([]), begin_each(store, []), store.save([])):
                same(list(answers), [])
            same(store.get([]), {})
            same(store.statuses("acme", [], AT), {})

    def test_a_known_upload_is_returned_as_it_stands_and_stays_as_it_was(self) -> None:
        with self._store() as store:
            first = entry(content=b"one")
            store.add([first])
            begin = started(first.upload)
            begin_each(store, [begin])
            same(
                store.add([entry(content=b"two", submitted_digest="another")]),
                [Known(begin.upload, first.dossier.submitted_digest)],
            )
            same(
                store.get([first.upload.key])[first.upload.key],
                Entry(begin.upload, first.dossier),
            )

    def test_of_two_with_the_same_key_in_one_call_the_first_wins(self) -> None:
        with self._store() as store:
            first, second, other = (entry(content=b"one"), entry(content=b"two"), entry("ev-2"))
            same(
                store.add([first, second, other]),
                [Added(), Known(first.upload, first.dossier.submitted_digest), Added()],
            )
            same(held_document(store, first.upload), b"one")

    def test_another_tenant_or_another_provider_makes_another_upload(
        self,
    ) -> None:
        """The same evidence of another tenant, or to another provider, is another upload."""
        with self._store() as store:
            three = [entry(), entry(tenant_id="globex"), entry(provider="vanta")]
            same(store.add(three), [Added()] * 3)
            same(len(store.get([new.upload.key for new in three])), 3)

    def test_an_attempt_begins_with_the_document_that_was_staged(self) -> None:
        with self._store() as store:
            with_bytes, empty, without = (
                entry("ev-1"),
                entry("ev-2", content=b""),
                entry("ev-3", content=None),
            )
            store.add([with_bytes, empty, without])
            same(
                begin_each(store, [started(new.upload) for new in (with_bytes, empty, without)]),
                [Begun(b"a document"), Begun(b""), Begun(None)],
            )

    def test_a_document_that_is_made_later_replaces_what_it_was_made_of(self) -> None:
        with self._store() as store:
            raw = StoredDocument(
                sha256="",
                size=3,
                media_type="application/pdf",
                filename=None,
                path="/a",
                modified=7,
            )
            unread, other = entry("ev-1", content=b"a record"), entry("ev-2")
            dossier = evolve(unread.dossier, document=raw, submitted_digest="")
            unread = evolve(unread, upload=evolve(unread.upload, digest=""), dossier=dossier)
            store.add([unread, other])
            key = unread.upload.key
            same(staged(store, key), b"a record")
            same(store.get([key._replace(evidence_id="none")], staged=True), {})
            same(store.get([key])[key].content, None, "the bytes that were not asked for")
            made = StoredDocument(sha256="d" * 64, size=6, media_type="image/png", filename="a")
            after = with_digest(unread.upload, made.sha256, AT + MINUTE)
            late = Change(evolve(after, version=7), document=MadeDocument(made, b"late"))
            changes = [Change(after, document=MadeDocument(made, b"a page")), late]
            same(store.save(changes), [Saved(), Conflict(after)])
            found = store.get([key])[key]
            same(found.upload, after)
            same(found.dossier, evolve(dossier, document=made, submitted_digest="d" * 64))
            same(begin_each(store, [started(after)]), [Begun(b"a page")])
            same(staged(store, other.upload.key), b"a document")

    def test_evidence_of_an_unknown_provider_is_known_under_any_provider(self) -> None:
        with self._store() as store:
            named, other = entry("ev-1"), entry("ev-1", tenant_id="globex")
            store.add([named, other])
            unnamed = entry("ev-1", provider=UNKNOWN_PROVIDER)
            digest = named.dossier.submitted_digest
            same(store.add([unnamed]), [Known(named.upload, digest)])
            same(set(store.get([unnamed.upload.key])), set())
            first, second = entry("ev-2", provider=UNKNOWN_PROVIDER), entry("ev-2")
            same(store.add([second, first]), [Added(), Known(second.upload, digest)])

    def test_evidence_of_an_unknown_provider_is_known_once_it_is_named(self) -> None:
        """What a person decided about it counts, and its history stays."""
        with self._store() as store:
            unnamed, named = entry(provider=UNKNOWN_PROVIDER), entry()
            dossier = evolve(named.dossier, settings={"region": "eu"})
            named = evolve(named, dossier=dossier, credential="a credential")
            other = entry(tenant_id="globex", provider=UNKNOWN_PROVIDER)
            store.add([unnamed, other])
            given_up = advance(unnamed.upload, Abandoned(AT, "ann", "late"), RULES)
            row = ActionRow(at=AT, action="abandon", by="ann", reason="late")
            store.save([Change(given_up, action=row)])
            after = evolve(given_up, key=named.upload.key)
            digest = unnamed.dossier.submitted_digest
            same(store.add([named, named]), [Known(after, digest)] * 2)
            found = store.get([unnamed.upload.key, after.key, other.upload.key])
            same(set(found), {after.key, other.upload.key})
            same(found[after.key].upload, after)
            same(found[after.key].dossier.settings, {"region": "eu"})
            same(a(UploadDetails, store.show("acme", "ev-1", AT)).actions, (row,))
            first, second = entry("ev-2", provider=UNKNOWN_PROVIDER), entry("ev-2")
            after = evolve(first.upload, key=second.upload.key)
            same(store.add([first, second]), [Added(), Known(after, digest)])
            same(len(store.find(Find(tenant_id="acme"), AT).uploads), 2)

    def test_open_uploads_of_an_invalid_tenant_wait_for_its_file(self) -> None:
        """Until it is valid, and in whatever form of Unicode their tenant is written."""
        with self._store() as store:
            ids = ("acme", "globex", "r\u00e9sum\u00e9", "re\u0301sume\u0301")
            opened = [entry(tenant_id=one) for one in ids]
            ended = entry("ev-2")
            store.add([*opened, ended])
            store.save([Change(advance(ended.upload, Abandoned(AT, "ann", "late"), RULES))])
            invalid = [ids[0], ids[2]]
            same(store.save([InvalidTenants(invalid, [ids[1]], AT)]), [Saved()])
            wait = wait_for_valid("acme")
            same([_waits(store, one) for one in ids], [wait, None, *map(wait_for_valid, ids[2:])])
            same(_waits(store, "acme", "ev-2"), None)
            same(a(UploadDetails, store.show("acme", "ev-1", AT)).waits_for, wait)
            page = store.find(Find(tenant_id="acme"), AT)
            same([one.waits_for for one in page.uploads], [None, wait])
            unblock(store, "acme", "sprinto")
            same(_waits(store, "acme"), wait)
            store.save([InvalidTenants([], invalid, AT)])
            same([_waits(store, one) for one in ids], [None] * 4)

    def test_uploads_of_an_unknown_provider_get_their_provider(self) -> None:
        """Others of the tenant, and of other tenants, stay as they are."""
        with self._store() as store:
            unnamed = [entry(f"ev-{n}", provider=UNKNOWN_PROVIDER) for n in (1, 2, 3, 4)]
            other = entry("ev-1", tenant_id="globex", provider=UNKNOWN_PROVIDER)
            store.add([*unnamed[:3], other, unnamed[3]])
            named = NamedProvider("acme", "sprinto", "a credential", {"region": "eu"})
            same(store.save([named, named]), [Saved()] * 2)
            first = unnamed[0]
            key = first.upload.key._replace(provider="sprinto")
            found = store.get([key])[key]
            same(found.upload, evolve(first.upload, key=key))
            same(found.dossier, evolve(first.dossier, settings={"region": "eu"}))
            same(staged(store, key), b"a document")
            same(set(store.get([one.upload.key for one in unnamed])), set())
            same(store.get([other.upload.key])[other.upload.key].upload, other.upload)
            page = store.find(Find(tenant_id="acme"), AT)
            same([one.provider for one in page.uploads], ["sprinto"] * 4)

    def test_a_begun_attempt_is_on_record_before_anything_else_happens(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            begin = started(new.upload, AT + MINUTE)
            begin_each(store, [begin])
            status = store.statuses("acme", ["ev-1"], AT)["ev-1"]
            same(
                (status.status, status.attempts, status.last_attempt_at),
                ("pending", 1, AT + MINUTE),
            )

    def test_a_change_of_an_older_version_is_answered_with_what_is_stored(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            begin = started(new.upload)
            begin_each(store, [begin])
            same(begin_each(store, [begin]), [Conflict(begin.upload)])
            same(
                store.save([Change(advance(new.upload, Abandoned(AT, "ann", "late"), RULES))]),
                [Conflict(begin.upload)],
            )
            same(store.get([new.upload.key])[new.upload.key].upload, begin.upload)

    def test_a_change_of_what_was_never_added_finds_nothing(self) -> None:
        with self._store() as store:
            change = started(entry().upload)
            same(begin_each(store, [change]), [Conflict(None)])
            same(store.save([Change(change.upload)]), [Conflict(None)])
            same(store.get([change.upload.key]), {})

    def test_what_cannot_be_done_to_one_keeps_no_other_from_being_done(self) -> None:
        with self._store() as store:
            here, gone, too = (entry("ev-1"), entry("ev-2"), entry("ev-3"))
            store.add([here, too])
            answers = begin_each(store, [started(new.upload) for new in (here, gone, too)])
            same(answers, [Begun(b"a document"), Conflict(None), Begun(b"a document")])

    def test_changes_of_one_upload_in_one_call_build_on_one_another(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            begin = started(new.upload)
            end = deferred(begin.upload)
            same(
                store.save([Change(begin.upload), end, Change(begin.upload)]),
                [Saved(), Saved(), Conflict(end.upload)],
            )
            details = some(store.show("acme", "ev-1", AT))
            same((details.status, len(details.history)), ("retrying", 1))

    def test_the_history_holds_every_attempt_in_the_order_in_which_they_ended(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            waiting = tried(store, new.upload, 2)
            begin = started(waiting, AT + 5 * MINUTE)
            begin_each(store, [begin])
            store.save([delivered(begin.upload, AT + 6 * MINUTE)])
            details = some(store.show("acme", "ev-1", AT))
            same(
                [
                    (a.number, a.verdict, a.kind, a.message, a.http_status, a.retry_after)
                    for a in details.history
                ],
                [
                    (1, "deferred", "rate_limited", "come back later", 429, 7.0),
                    (2, "deferred", "rate_limited", "come back later", 429, 7.0),
                    (3, "delivered", None, "thank you", None, None),
                ],
            )
            same(details.history[-1].ended_at, AT + 6 * MINUTE)
            same((details.status, details.attempts, details.error), ("succeeded", 3, None))
            same(details.receipt, Receipt("r-1", "thank you"))
            same(details.last_attempt_at, AT + 5 * MINUTE)

    def test_late_news_of_an_attempt_stands_beside_what_was_thought_of_it(
        self,
    ) -> None:
        """The attempt had been given up when the news of it came."""
        with self._store() as store:
            new = entry()
            store.add([new])
            begin = started(new.upload)
            begin_each(store, [begin])
            silence = Failure(FailureKind.INTERRUPTED, "the courier was stopped in mid-send")
            recovered = advance(begin.upload, AttemptEnded(AT, 1, Recovered(silence), 0.0), RULES)
            store.save([Change(recovered, Attempt(1, AT, AT, Recovered(silence)))])
            found = advance(recovered, AttemptEnded(AT, 1, Delivered(Receipt()), 0.0), RULES)
            store.save([Change(found, Attempt(1, AT, AT, Delivered(Receipt()), "req-9"))])
            details = some(store.show("acme", "ev-1", AT))
            same(
                [(a.number, a.verdict, a.request_id) for a in details.history],
                [(1, "recovered", None), (1, "delivered", "req-9")],
            )

    def test_what_a_provider_decides_later_is_due_until_it_has_decided(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            begin = started(new.upload)
            begin_each(store, [begin])
            taken = Processing(5 * MINUTE, "in review")
            rules = evolve(RULES, can_look_up=True)
            event = AttemptEnded(AT, 1, taken, 0.0)
            undecided = advance(begin.upload, event, rules)
            attempt = attempt_of(AT, event, rules.retry)
            store.save([Change(undecided, attempt)])
            key = new.upload.key
            same(store.get([key])[key].upload, undecided, "an upload that is undecided")
            same(due(store, AT + 4 * MINUTE), [], "what is due before its look-up")
            same(due(store, AT + 5 * MINUTE), [key], "what is due at its look-up")
            seen = LookedUp(AT + 5 * MINUTE, 1, Refused(BUSY_PROVIDER))
            look = LookUpRow(
                number=1, at=seen.at, finding=word_of(seen.finding), message=BUSY_PROVIDER.message
            )
            store.save([Change(advance(undecided, seen, rules), look_up=look)])
            details = some(store.show("acme", "ev-1", AT))
            same(
                [(row.verdict, row.kind, row.message) for row in details.history],
                [("processing", None, "in review")],
                "the attempt",
            )
            same(details.status, "failed", "what was refused")

    def test_an_attempt_is_not_stored_of_a_change_that_was_refused(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            stale = delivered(started(new.upload).upload)
            same(store.save([stale]), [Conflict(new.upload)])
            details = some(store.show("acme", "ev-1", AT))
            same(details.history, ())

    def test_success_removes_the_document_unless_keep_documents_is_set(self) -> None:
        for keep_documents, left in ((False, None), (True, b"a document")):
            with self._store(keep_documents) as store:
                new = entry()
                store.add([new])
                begin = started(new.upload)
                begin_each(store, [begin])
                end = delivered(begin.upload)
                store.save([end])
                again = evolve(begin, upload=evolve(begin.upload, version=end.upload.version + 1))
                same(
                    begin_each(store, [again]),
                    [Begun(left)],
                    f"what is left where keep_documents is {keep_documents}",
                )

    def test_a_removed_document_is_nowhere_in_the_stores_folder(self) -> None:
        with self._folder() as folder:
            store = self.open_store(folder, False)
            new = entry(content=b"personal data of an employee " * 1_000)
            store.add([new])
            begin = started(new.upload)
            begin_each(store, [begin])
            store.save([delivered(begin.upload)])
            store.close()
            must(
                b"personal data" not in self._raw(folder),
                "a document is still on the disk after its success",
            )

    def test_what_was_skipped_is_sent_once_it_is_no_longer_excluded(self) -> None:
        with self._store() as store:
            new = entry()
            excluded = Unfit(AT, Failure(FailureKind.OUTCOME_EXCLUDED, "only passed is sent"))
            skipped = advance(new.upload, excluded, RULES)
            store.add([evolve(new, upload=skipped)])
            status = some(store.show("acme", "ev-1", AT))
            same((status.status, status.error), ("skipped", StatusError.of(excluded.failure)))
            same(due(store, AT), [], "what is due")
            queued = advance(skipped, Unblocked(AT), RULES)
            same(store.save([Change(queued)]), [Saved()])
            same(begin_each(store, [started(queued)]), [Begun(b"a document")])

    def test_a_document_stays_while_its_upload_may_be_sent_again(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            waiting = tried(store, new.upload, 1)
            failed = advance(waiting, Abandoned(AT, "ann", "wrong tenant"), RULES)
            store.save([Change(failed)])
            start = started(waiting)
            again = evolve(start, upload=evolve(start.upload, version=failed.version + 1))
            same(begin_each(store, [again]), [Begun(b"a document")])

    def test_what_is_due_stands_in_the_line_of_its_credential(self) -> None:
        with self._store() as store:
            late, early, other = (
                evolve(entry("late", at=AT), credential="a"),
                evolve(entry("early", at=AT - MINUTE), credential="a"),
                evolve(entry("other", at=AT - MINUTE), credential="b"),
            )
            future = evolve(entry("future", at=AT + MINUTE), credential="c")
            none = evolve(entry("none", at=AT), credential=None)
            sending = evolve(entry("sending", at=AT - MINUTE), credential="a")
            store.add([late, early, other, future, none, sending])
            begin_each(store, [started(sending.upload)])
            same(set(store.due(AT, 0)), {"a", "b", None}, "who has something due")
            same(set(store.due(AT - MINUTE, 0)), {"a", "b"}, "who has something due earlier")
            line_of_a = [early.upload.key, late.upload.key]
            all_lines = {"a": line_of_a, "b": [other.upload.key], None: [none.upload.key]}
            same(lists(store.due(AT, 10)), all_lines, "what is due")
            same(lists(store.due(AT, 1)), {**all_lines, "a": line_of_a[:1]}, "the longest due")
            asked: dict[str | None, list[str]] = {"a": [], "b": [other.upload.key.tenant_id]}
            same(lists(store.due(AT, 10, lines=asked)), {"a": line_of_a, "b": []})
            same(lists(store.due(AT - MINUTE, 10, lines={"a": []})), {"a": line_of_a[:1]})
            same(lists(store.due(AT, 10, lines={"c": []})), {"c": []})
            same(lists(store.due(AT, 10, lines={})), {}, "what is due of no line")

    def test_a_retry_is_due_when_its_wait_is_over(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            waiting = tried(store, new.upload, 1)
            over = AT + timedelta(seconds=7)
            same(due(store, over - timedelta(microseconds=1)), [])
            same(due(store, over), [waiting.key])

    def test_uploads_are_counted_by_status(self) -> None:
        with self._store() as store:
            entries = [entry(f"ev-{number}") for number in range(5)]
            store.add(entries)
            tried(store, entries[0].upload, 1)
            begin = started(entries[1].upload)
            begin_each(store, [begin])
            store.save([delivered(begin.upload)])
            store.save([Change(advance(entries[2].upload, Abandoned(AT, "ann", "no"), RULES))])
            excluded = Unfit(AT, Failure(FailureKind.OUTCOME_EXCLUDED, "only passed is sent"))
            store.save([Change(advance(entries[3].upload, excluded, RULES))])
            counted = {**dict.fromkeys(Status, 1), Status.HELD: 0}
            same(store.counts(), counted)
            same(store.counts([Status.PENDING]), {Status.PENDING: 1}, "how many are pending")

    def test_statuses_are_of_the_tenant_that_is_asked_about(self) -> None:
        with self._store() as store:
            store.add(
                [entry("ev-1"), entry("ev-2"), entry("ev-1", tenant_id="globex", at=AT + MINUTE)]
            )
            found = store.statuses("acme", ["ev-1", "ev-1", "ev-9"], AT)
            same(
                {evidence_id: status.created_at for evidence_id, status in found.items()},
                {"ev-1": AT},
            )

    def test_an_id_that_only_begins_like_a_known_one_is_not_taken_for_it(self) -> None:
        with self._store() as store:
            store.add([entry("ev-1")])
            same(store.statuses("acme", ["ev-1\x00", "ev-", "EV-1", "\ud800"], AT), {})

    def test_thousands_of_statuses_are_read_in_one_call(self) -> None:
        with self._store() as store:
            entries = [entry(f"ev-{number}", content=None) for number in range(200)]
            store.add(entries)
            found = store.statuses(
                "acme", [f"ev-{number}" for number in reversed(range(40_000))], AT
            )
            same(found.keys(), {new.upload.key.evidence_id for new in entries})

    def test_an_evidence_with_two_providers_shows_the_newest_upload(self) -> None:
        for newest in ("sprinto", "vanta"):
            with self._store() as store:
                for provider in ("sprinto", "vanta"):
                    store.add(
                        [entry(provider=provider, at=AT + MINUTE if provider == newest else AT)]
                    )
                same(
                    some(store.show("acme", "ev-1", AT)).provider,
                    newest,
                    "whose details are shown",
                )
                same(
                    store.statuses("acme", ["ev-1"], AT)["ev-1"].provider,
                    newest,
                    "whose status is shown",
                )

    def test_every_filter_that_is_given_holds_and_the_newest_comes_first(self) -> None:
        with self._store() as store:
            entries = [
                entry("a", at=AT),
                entry("b", at=AT + MINUTE),
                entry("c", at=AT + 2 * MINUTE, tenant_id="globex"),
                entry("d", at=AT + 3 * MINUTE),
            ]
            store.add(entries)
            tried(store, entries[0].upload, 1)
            tried(store, entries[3].upload, 1)

            def found(find: Find) -> str:
                page = store.find(find, AT)
                same(page.next_page, None)
                return "".join(upload.evidence_id for upload in page.uploads)

            same(found(Find()), "dcba")
            same(found(Find(tenant_id="acme")), "dba")
            same(found(Find(statuses=[Status.RETRYING])), "da")
            same(found(Find(statuses=[Status.PENDING])), "cb")
            same(found(Find(since=AT + MINUTE)), "dcb")
            same(found(Find(tenant_id="acme", statuses=[Status.RETRYING], since=AT + MINUTE)), "d")
            same(found(Find(tenant_id="acme", statuses=[Status.HELD])), "")
            same(found(Find(tenant_id="unknown")), "")

    def test_pages_show_each_upload_once_though_others_arrive(self) -> None:
        """Some uploads share a moment."""
        with self._store() as store:
            entries = [entry(f"ev-{number}", at=AT + number // 4 * MINUTE) for number in range(10)]
            store.add(entries)
            seen: list[str] = []
            find = Find(limit=3)
            while True:
                page = store.find(find, AT)
                seen += [upload.evidence_id for upload in page.uploads]
                if page.next_page is None:
                    break
                find = evolve(find, after=page.next_page)
                store.add([entry(f"new-{len(seen)}", at=AT + 60 * MINUTE)])
            same(seen, [f"ev-{number}" for number in reversed(range(10))])

    def test_a_full_last_page_leads_nowhere(self) -> None:
        with self._store() as store:
            store.add([entry(f"ev-{number}") for number in range(4)])
            first = store.find(Find(limit=2), AT)
            last = store.find(Find(limit=2, after=first.next_page), AT)
            same((len(last.uploads), last.next_page), (2, None))

    def test_a_token_that_no_page_gave_is_refused(self) -> None:
        with self._store() as store:
            for token in (
                "",
                "é",
                "not a token",
                "AAAA",
                "bnVsbA==",
                "WyIyMDI2LTAyLTIxIiwgMV0=",
                "[]",
                HALF_A_CHARACTER,
            ):
                error = raises(
                    MisuseError,
                    lambda token=token: store.find(Find(after=token), AT),  # type: ignore[misc]
                    f"a page after {token!r} is asked for",
                )
                must("next_page" in str(error), f"it does not say what is wrong: {error}")

    def test_a_page_of_nothing_is_refused(self) -> None:
        with self._store() as store:
            raises(
                MisuseError, lambda: store.find(Find(limit=0), AT), "a page of nothing is asked for"
            )

    def test_a_closed_store_says_so_and_may_be_closed_again(self) -> None:
        with self._store() as store:
            store.close()
            store.close()
            for verb in (
                lambda: store.add([entry()]),
                lambda: store.find(Find(), AT),
                lambda: store.heartbeat(None, AT),
            ):
                error = raises(StoreError, verb, "a closed store is asked")
                must("closed" in str(error), f"it does not say that it is closed: {error}")

    # --- hostile data ----------------------------------------------------------------------------

    def test_any_text_that_unicode_has_is_read_back_as_it_was_written(self) -> None:
        with self._store() as store:
            for number, text in enumerate(TEXTS):
                new = entry(f"{number} {text}"[:5_000], tenant_id=text or "-", provider=text or "-")
                new = evolve(
                    new,
                    dossier=evolve(
                        new.dossier, subject=text, session_id=text, settings={text: [text]}
                    ),
                )
                store.add([new])
                key = new.upload.key
                same(
                    store.get([key]),
                    {key: Entry(new.upload, new.dossier)},
                    "what is read back",
                )
                begin = started(new.upload)
                begin_each(store, [begin])
                failure = evolve(BUSY_PROVIDER, message=text, detail=text)
                end = deferred(begin.upload, failure=failure)
                store.save([end])
                same(store.get([key])[key].upload, end.upload, "what is read back after an attempt")
                same(
                    some(store.show(key.tenant_id, key.evidence_id, AT)).history[0].message,
                    text,
                    "a message",
                )

    def test_what_cannot_be_written_is_refused_whole(self) -> None:
        with self._store() as store:
            good, odd = entry("ev-1"), entry(f"ev-2 {HALF_A_CHARACTER}")
            keys = [good.upload.key, odd.upload.key]
            try:
                store.add([good, odd])
            except StoreError:
                same(store.get(keys[:1]), {}, "what was written of a call that raised StoreError")
                same(store.add([good]), [Added()])
            else:
                same(
                    set(store.get(keys)),
                    set(keys),
                    "what was written of a call that raised nothing",
                )

    def test_a_name_leads_to_no_other_record(self) -> None:
        with self._store() as store:
            entries = [entry(name) for name in NAMES]
            store.add(entries)
            found = store.statuses("acme", [*NAMES, "%", "_", "*", "ev 1\x00"], AT)
            same(sorted(found), sorted(NAMES), "the evidences that are known")
            same(store.statuses("%", list(NAMES), AT), {}, "what a tenant called % has")

    # --- what people do, and what was looked up --------------------------------------------------

    def test_what_people_do_stands_in_the_history_and_is_listed_from_a_mark(self) -> None:
        with self._store() as store:
            new, other = entry("ev-1"), entry("ev-2")
            store.add([new, other])
            mark = store.acted_on(None).mark
            same(list(store.acted_on(None).keys), [], "what was done before anybody did anything")
            row = ActionRow(at=AT, action="abandon", by="asha", reason="wrong tenant")
            store.save(
                [
                    Change(
                        advance(new.upload, Abandoned(AT, "asha", "wrong tenant"), RULES),
                        action=row,
                    )
                ]
            )
            acted_on = store.acted_on(mark)
            same(list(acted_on.keys), [new.upload.key], "whose uploads people did something to")
            same(list(store.acted_on(acted_on.mark).keys), [], "what was done since")
            same(some(store.show("acme", "ev-1", AT)).actions, (row,), "the actions of an upload")
            same(some(store.show("acme", "ev-2", AT)).actions, (), "the actions of another one")

    def test_look_ups_stand_in_the_history(self) -> None:
        with self._store() as store:
            new = entry()
            store.add([new])
            waiting = tried(store, new.upload, 1)
            look = LookUpRow(number=1, at=AT, finding="absent", message="not there")
            store.save([Change(evolve(waiting, version=waiting.version + 1), look_up=look)])
            (row,) = some(store.show("acme", "ev-1", AT)).look_ups
            same(row, look, "a look-up")

    def test_what_waits_beyond_a_clock_that_was_set_back_is_found(self) -> None:
        with self._store() as store:
            ahead, fine = entry("ahead", at=AT + MINUTE), entry("fine")
            store.add([ahead, fine])
            found = due(store, AT + MINUTE, written_after=AT)
            same(found, [ahead.upload.key], "what waits since a moment that is still to come")
            found = due(store, AT + MINUTE, written_after=AT + MINUTE)
            same(found, [], "what does when that moment has come")

    def test_details_are_of_the_tenant_and_the_evidence_that_are_asked_about(self) -> None:
        with self._store() as store:
            store.add([entry()])
            same(some(store.show("acme", "ev-1", AT)).evidence_id, "ev-1", "what is shown")
            same(store.show("globex", "ev-1", AT), None, "what another tenant is shown")
            same(store.show("acme", "ev-2", AT), None, "what is shown of another evidence")

    def test_a_transaction_is_written_whole_or_not_at_all(self) -> None:
        with self._store() as store:
            if not isinstance(store, Transactional):
                return
            first, second = entry("ev-1"), entry("ev-2")

            def half_way() -> None:
                assert isinstance(store, Transactional)
                with store.transaction():
                    store.add([first])
                    raise _Stop

            raises(_Stop, half_way, "a transaction is left by an error")
            same(
                store.get([first.upload.key]),
                {},
                "what was written of a transaction that was left by an error",
            )
            with store.transaction():
                store.add([first])
                store.add([second])
            same(
                len(store.get([first.upload.key, second.upload.key])),
                2,
                "how much was written of a whole one",
            )


class _Stop(Exception):
    """Leaves a transaction half way."""


def due(
    store: UploadStore, before: datetime, *, written_after: datetime | None = None
) -> list[UploadKey]:
    """What is due of all credentials."""
    found = store.due(before, 10, written_after=written_after)
    return [key for keys in found.values() for key in keys]


def lists(lines: Mapping[str | None, Sequence[UploadKey]]) -> dict[str | None, list[UploadKey]]:
    """Some lines, to be compared."""
    return {line: list(keys) for line, keys in lines.items()}


def staged(store: UploadStore, key: UploadKey) -> bytes | None:
    """The bytes that are staged with an upload."""
    return store.get([key], staged=True)[key].content


def held_document(store: UploadStore, upload: Upload) -> bytes | None:
    """What is staged, as the next attempt would see it. `upload` has to be one that can begin."""
    (answer,) = begin_each(store, [started(upload)])
    return a(Begun, answer).content


def _waits(store: UploadStore, tenant_id: str, evidence_id: str = "ev-1") -> str | None:
    return store.statuses(tenant_id, [evidence_id], AT)[evidence_id].waits_for
