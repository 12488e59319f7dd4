"""What every store owes to those whose records it keeps: what is removed is gone, what is open
stays, and what was delivered is not sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from attrs import evolve

from ...delivery.chain import faults_of
from ...domain.pacing.paused import Paused, Resumed, Scope
from ...domain.retention import DOCUMENT_ERASED, ERASED, Part
from ...domain.upload.actions import Person
from ...domain.upload.events import AttemptEnded
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.find import Find
from ...domain.upload.status import ActionRow, LookUpRow, StatusError
from ...domain.upload.upload import Failed, FailedReason, UploadKey
from ...domain.upload.verdict import Rejected
from ...ports.records import Added, Begun, Change, Conflict, Entry, Known
from ...ports.removal import Removal, Removed
from ...ports.store import UploadStore
from .assertions import a, must, same, some
from .store_gates import GateRules
from .stored import AT, begin_each, deferred, delivered, ended, entry, started

JANE = "jane.d-7"
MAIL = "Jane@example.com"
DPO = Person("data protection", "request 4711")
ALL = frozenset(Part)
PERSONAL = frozenset({Part.PERSONAL})
LONGER = ("jane.doe-1", "no user jane.doe")
NONE = dict.fromkeys(Part, 0)


def of_jane(evidence_id: str, subject: str = JANE, **more: object) -> Entry:
    """An upload of hers, with her name in whatever can hold it."""
    new = entry(evidence_id, content=b"a certificate for " + subject.encode())
    document = evolve(new.dossier.document, filename=f"{subject}.pdf")
    dossier = evolve(
        new.dossier,
        subject=subject,
        subject_email=MAIL if subject == JANE else None,
        session_id=f"course of {subject}",
        document=document,
        settings={"owner": subject},
    )
    return evolve(new, dossier=dossier)


def settled(store: UploadStore, *entries: Entry, fails: str | None = None) -> None:
    """Have them tried once: they succeed, or fail with these words."""
    for new in entries:
        a(Added, store.add([new])[0])
        start = started(new.upload)
        begin_each(store, [start])
        change = delivered(start.upload)
        if fails is not None:
            failure = Failure(FailureKind.BAD_REQUEST, fails, detail=fails)
            change = ended(start.upload, AttemptEnded(AT, 1, Rejected(failure), 0.0))
        store.save([change])


def removal(
    store: UploadStore,
    keys: Sequence[UploadKey],
    parts: frozenset[Part] = ALL,
    *,
    names: Sequence[str] = (),
) -> Removal:
    """Parts of these uploads as they stand."""
    found = store.get(keys)
    return Removal(
        action="erase" if names else "prune",
        tenant_id="acme",
        person=DPO,
        at=AT + timedelta(days=90),
        parts={key: (found[key].upload.version, parts) for key in keys},
        subject=names[0] if names else None,
        names=names,
    )


class RemovalRules(GateRules):
    """The rules for `Removals`."""

    def test_what_is_settled_is_listed_with_what_can_be_removed(self) -> None:
        with self._store() as store:
            done, failed, untried = of_jane("ev-1"), of_jane("ev-2"), of_jane("ev-3")
            settled(store, done)
            settled(store, failed, fails="no")
            store.add([untried])
            page = store.settled(0, 10)
            same(
                [(one.key, one.parts, one.at) for one in page.uploads],
                [
                    (done.upload.key, frozenset({Part.ATTEMPTS, Part.PERSONAL}), AT),
                    (failed.upload.key, ALL, AT),
                ],
            )
            same(page.next_mark, None)

    def test_what_is_settled_is_listed_in_pages(self) -> None:
        with self._store() as store:
            settled(store, *(of_jane(f"ev-{number}") for number in range(5)))
            mark, found, pages = 0, list[str](), 0
            while True:
                page = store.settled(mark, 2)
                found += [one.key.evidence_id for one in page.uploads]
                pages += 1
                if page.next_mark is None:
                    break
                mark = page.next_mark
            same((found, pages), ([f"ev-{number}" for number in range(5)], 3))

    def test_it_is_known_how_far_was_looked(self) -> None:
        with self._store() as store:
            same(store.looked_up_to(), 0)
            for mark in (7, 2**40, 0):
                store.look_from(mark)
                same(store.looked_up_to(), mark)

    def test_what_was_removed_is_not_listed_any_more(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails="no")
            removed = store.remove(removal(store, [new.upload.key]))
            same(removed.parts, dict.fromkeys(Part, 1))
            same(list(store.settled(0, 10).uploads), [])

    def test_what_another_courier_has_pruned_is_not_recorded_twice(self) -> None:
        with self._store() as store:
            settled(store, new := of_jane("ev-1"))
            late = removal(store, [new.upload.key])
            store.remove(late)
            same(store.remove(late).left, 1)
            same([one.uploads for one in store.removals()], [1])

    def test_a_document_that_is_removed_is_gone_and_the_rest_stays(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails="no")
            must(": stored" in some(store.show("acme", "ev-1", AT)).document, "it is not shown")
            store.remove(removal(store, [new.upload.key], frozenset({Part.DOCUMENT})))
            must(": removed" in some(store.show("acme", "ev-1", AT)).document, "it is shown")
            (found,) = store.get([new.upload.key], staged=True).values()
            same(found.content, None)
            same(found.dossier.subject, JANE)
            same(len(some(store.show("acme", "ev-1", AT)).history), 1)

    def test_attempts_that_are_removed_are_gone_and_the_counts_stay(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new)
            store.remove(removal(store, [new.upload.key], frozenset({Part.ATTEMPTS})))
            shown = some(store.show("acme", "ev-1", AT))
            same((shown.attempts, list(shown.history), shown.status), (1, [], "succeeded"))
            same(store.get([new.upload.key])[new.upload.key].dossier.subject, JANE)

    def test_what_names_a_person_is_gone_and_the_skeleton_stays(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails=f"{JANE} is not known")
            before = some(store.show("acme", "ev-1", AT))
            counts = store.counts()
            store.remove(removal(store, [new.upload.key], PERSONAL))
            (found,) = store.get([new.upload.key], staged=True).values()
            shown = some(store.show("acme", "ev-1", AT))
            must(JANE not in repr((found, shown)), f"{JANE} still stands in {found!r} or {shown!r}")
            must(MAIL not in repr(found), f"{MAIL} still stands in {found!r}")
            same(found.content, None)
            same(some(shown.error).message, ERASED)
            same(
                (shown.status, shown.attempts, shown.digest, shown.created_at, len(shown.history)),
                (before.status, 1, before.digest, before.created_at, 1),
            )
            same(found.dossier.submitted_digest, new.dossier.submitted_digest)
            same(store.counts(), counts)

    def test_what_is_open_or_was_written_meanwhile_stays_as_it_is(self) -> None:
        with self._store() as store:
            untried, failed = of_jane("ev-1"), of_jane("ev-2")
            store.add([untried])
            settled(store, failed, fails="no")
            keys = [untried.upload.key, failed.upload.key]
            asked = removal(store, keys)
            (found,) = store.get([failed.upload.key]).values()
            row = ActionRow(at=AT, action="retry", by="kim", reason="why")
            after = evolve(found.upload, version=found.upload.version + 1)
            store.save([Change(after, action=row)])
            same(store.remove(asked), Removed(NONE, 0, left=2))
            for new in (untried, failed):
                current = store.get([new.upload.key], staged=True)[new.upload.key]
                same((current.content, current.dossier), (new.content, new.dossier))

    def test_a_courier_that_has_read_it_before_is_too_late(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails="no")
            (found,) = store.get([new.upload.key]).values()
            store.remove(removal(store, [new.upload.key], PERSONAL))
            after = evolve(found.upload, version=found.upload.version + 1)
            (answer,) = store.save([Change(after)])
            must(not isinstance(answer, Added), "what was read before the erasure was written")
            must(type(answer).__name__ == "Conflict", f"the answer was {answer!r}")

    def test_what_was_removed_is_shown_with_who_removed_it(self) -> None:
        with self._store() as store:
            named, of_kim = of_jane("ev-1"), of_jane("ev-2", "kim")
            settled(store, named, of_kim)
            erased = removal(store, [named.upload.key], ALL, names=[JANE])
            store.remove(erased)
            shown = some(store.show("acme", "ev-1", AT))
            same((shown.erased_at, shown.pruned_at), (erased.at, erased.at))
            act = ActionRow(at=erased.at, action="erase", by=DPO.by, reason=DPO.reason)
            same(list(shown.actions), [act])
            other = some(store.show("acme", "ev-2", AT))
            same((other.erased_at, other.pruned_at, other.actions), (None, None, ()))
            found = store.find(Find(limit=9), AT).uploads
            erased_at = {one.evidence_id: one.erased_at for one in found}
            same(erased_at, {"ev-1": erased.at, "ev-2": None})

    def test_an_upload_whose_time_was_over_says_so(self) -> None:
        """The fifth attempt that its budget has was not made."""
        with self._store() as store:
            store.add([(new := of_jane("ev-1")), (other := of_jane("ev-2"))])
            for one, since in ((new, AT), (other, None)):
                begin_each(store, [start := started(one.upload)])
                tally = evolve(start.upload.tally, tried_since=since)
                failed = Failed(FailedReason.EXHAUSTED, Failure(FailureKind.TIMEOUT, "no reply"))
                after = evolve(start.upload, state=failed, tally=tally)
                store.save([Change(evolve(after, version=start.upload.version + 1))])
            found = store.find(Find(limit=9), AT).uploads
            same({one.evidence_id: one.out_of_time for one in found}, {"ev-1": True, "ev-2": False})
            must(some(store.show("acme", "ev-1", AT)).out_of_time, "it is shown without that")

    def test_what_cannot_be_sent_again_once_its_person_was_erased_says_why(self) -> None:
        with self._store() as store:
            settled(store, new := of_jane("ev-1"), fails="no")
            store.remove(removal(store, [new.upload.key], PERSONAL))
            (found,) = store.get([new.upload.key]).values()
            gone = Failure(FailureKind.DOCUMENT_GONE, f"/certificates/{JANE}.pdf is not there")
            state = Failed(FailedReason.REJECTED, gone)
            after = evolve(found.upload, state=state, version=found.upload.version + 1)
            store.save([Change(after)])
            error = some(some(store.show("acme", "ev-1", AT)).error)
            same(error.message, DOCUMENT_ERASED)

    def test_a_text_that_was_erased_is_not_written_back(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1", "kim")
            a(Added, store.add([new])[0])
            start = started(new.upload)
            begin_each(store, [start])
            says = Failure(FailureKind.RATE_LIMITED, f"{JANE} is looked at", retry_after=7.0)
            waiting = deferred(start.upload, failure=says)
            store.save([waiting])
            store.remove(removal(store, [], names=[JANE, MAIL]))
            (answer,) = begin_each(store, [started(waiting.upload)])
            current = some(a(Conflict, answer).current)
            must(JANE not in repr(current), f"{JANE} still stands in {current!r}")
            a(Begun, begin_each(store, [started(current)])[0])
            must(JANE not in repr(store.show("acme", "ev-1", AT)), f"{JANE} was written back")

    def test_what_is_written_later_has_no_text(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails="no")
            store.remove(removal(store, [new.upload.key], PERSONAL))
            (found,) = store.get([new.upload.key]).values()
            message = f"{JANE} again"
            late = ended(
                evolve(started(new.upload).upload, version=found.upload.version),
                AttemptEnded(AT, 1, Rejected(Failure(FailureKind.BAD_REQUEST, message)), 0.0),
            )
            late = evolve(
                late, look_up=LookUpRow(number=1, at=AT, finding="unreadable", message=message)
            )
            store.save([late])
            shown = some(store.show("acme", "ev-1", AT))
            same(len(shown.look_ups), 1)
            must(JANE not in repr(shown), f"{JANE} stands in {shown!r}")

    def test_an_evidence_is_known_after_its_person_was_erased(self) -> None:
        with self._store() as store:
            plain, named = of_jane("ev-1"), of_jane(f"course-{JANE.upper()}")
            settled(store, plain, named)
            keys = [plain.upload.key, named.upload.key]
            store.remove(removal(store, keys, PERSONAL, names=[JANE, MAIL]))
            for new in (plain, named, evolve(plain), named):
                answer = a(Known, store.add([new])[0])
                same(answer.submitted_digest, new.dossier.submitted_digest)
                must(JANE.upper() not in repr(answer), f"{answer!r} names her")
                ids = new.upload.key.evidence_id
                same(some(store.statuses("acme", [ids], AT).get(ids)).status, "succeeded")
                must(store.show("acme", ids, AT) is not None, f"{ids} is not known to `show`")
            same(sum(store.counts().values()), 2)
            other = evolve(named, upload=evolve(named.upload, key=_of("globex", named)))
            same(store.add([other]), [Added()])

    def test_an_evidence_of_an_erased_person_is_new_to_another_provider(self) -> None:
        with self._store() as store:
            plain, named = of_jane("ev-1"), of_jane(f"course-{JANE}")
            settled(store, plain, named)
            keys = [plain.upload.key, named.upload.key]
            store.remove(removal(store, keys, PERSONAL, names=[JANE, MAIL]))
            for new in (plain, named):
                key = new.upload.key._replace(provider="vanta")
                a(Added, store.add([evolve(new, upload=evolve(new.upload, key=key))])[0])
                a(Known, store.add([new])[0])

    def test_the_uploads_of_a_person_are_found_by_id_and_by_address(self) -> None:
        with self._store() as store:
            hers, others = of_jane("ev-1"), of_jane("ev-2", f"{JANE}7")
            store.add([hers, others, evolve(hers, upload=evolve(hers.upload, key=_of("b", hers)))])
            for name in (JANE, MAIL, MAIL.lower()):
                (found,) = store.of_person("acme", name)
                same((found.upload.key, sorted(found.names)), (hers.upload.key, [MAIL, JANE]))
            same(list(store.of_person("acme", "jane")), [])

    def test_the_uploads_of_a_person_are_found_by_any_spelling(self) -> None:
        with self._store() as store:
            stored = ("emp-7", "Jos\u00e9", "J\u00dcRGEN@x.example")
            store.add([of_jane(f"ev-{number}", name) for number, name in enumerate(stored)])
            for number, name in enumerate(("EMP-7", "jose\u0301", "j\u00fcrgen@X.example")):
                (found,) = store.of_person("acme", name)
                same(found.upload.key.evidence_id, f"ev-{number}")

    def test_a_person_goes_from_the_texts_of_a_tenants_other_uploads(self) -> None:
        with self._store() as store:
            other, longer, foreign = (
                of_jane("ev-1", "kim"),
                of_jane("ev-2", "kim"),
                of_jane("x", "k"),
            )
            foreign = evolve(foreign, upload=evolve(foreign.upload, key=_of("globex", foreign)))
            settled(store, other, foreign, fails=f"mixed up with {JANE.upper()}, it seems")
            settled(store, longer, fails=f"{JANE}7 is someone else")
            for new in (other, longer):
                (found,) = store.get([new.upload.key]).values()
                row = ActionRow(at=AT, action="attest", by=MAIL, reason=f"as {JANE} said")
                store.save([Change(evolve(found.upload, version=4), action=row)])
            removed = store.remove(removal(store, [], names=[JANE, MAIL]))
            shown = some(store.show("acme", "ev-1", AT))
            must(JANE not in repr(shown).lower(), f"{JANE} still stands in {shown!r}")
            (action,) = shown.actions
            same((action.by, action.reason), (ERASED, ERASED))
            longer_shown = some(store.show("acme", "ev-2", AT))
            must(f"{JANE}7" in repr(longer_shown), "the name of someone else is gone")
            must(JANE.upper() in repr(store.show("globex", "x", AT)), "another tenant lost a text")
            same(removed.texts, 8)

    def test_texts_that_name_a_person_are_found_before_they_are_erased(self) -> None:
        with self._store() as store:
            hers, others = of_jane("ev-1"), (of_jane("ev-2", "kim"), of_jane("ev-3", "ada"))
            settled(store, hers, *others, fails=f"mixed up with {JANE.upper()}")
            found = store.naming("acme", [JANE, MAIL], [hers.upload.key])
            same(found.count, 8)  # of each the upload's and the attempt's
            must(found.count < store.naming("acme", [JANE], []).count, "her own are not counted")
            same(
                [store.naming("acme", [], []).count, store.naming("globex", [JANE], []).count],
                [0, 0],
            )
            asked = removal(store, [hers.upload.key], names=[JANE, MAIL])
            none = store.naming("acme", [], [])
            same(store.remove(evolve(asked, texts=none)).texts, 0)
            must(JANE.upper() in repr(store.show("acme", "ev-2", AT)), "it was not asked for")
            late = removal(store, [], names=[JANE, MAIL])
            same(store.remove(evolve(late, texts=found)).texts, 8)
            must(JANE.upper() not in repr(store.show("acme", "ev-2", AT)), "it is named still")
            same(store.remove(evolve(late, texts=found)).texts, 0)

    def test_a_longer_name_of_another_person_is_not_the_persons(self) -> None:
        with self._store() as store:
            settled(store, of_jane("jane.doe-1", "jane.doe"), fails="no user jane.doe")
            settled(store, of_jane("ev-2", "kim"), fails="Jane, or jane.doe, is unknown")
            store.remove(removal(store, [], names=["jane"]))
            longer, other = (some(store.show("acme", one, AT)) for one in ("jane.doe-1", "ev-2"))
            same((longer.evidence_id, a(StatusError, longer.error).message), LONGER)
            same(a(StatusError, other.error).message, ERASED)
            same(store.naming("acme", ["jane"], ()).count, 0)

    def test_a_person_goes_from_what_people_have_paused(self) -> None:
        with self._store() as store:
            hers = Paused(Scope("acme"), AT, JANE, f"asked by {MAIL}")
            for one in (
                hers,
                evolve(hers, scope=Scope(None, "vanta")),
                evolve(hers, scope=Scope("globex")),
                Resumed(Scope("acme"), AT, "kim", f"{JANE} is back"),
                Paused(Scope("acme"), AT, "kim", "again"),
            ):
                store.save([one])
            same(store.remove(removal(store, [], names=[JANE, MAIL])).texts, 5)
            left = [
                Paused(Scope(None, "vanta"), AT, ERASED, ERASED),
                evolve(hers, scope=Scope("globex")),
                Paused(Scope("acme"), AT, "kim", "again"),
            ]
            same(list(store.paused()), left)

    def test_the_hash_chain_stays_whole(self) -> None:
        with self._store() as store:
            named, plain, other = of_jane(f"course-{JANE}"), of_jane("ev-1"), of_jane("x", "kim")
            settled(store, named, plain, other, fails=f"{JANE} is not known")
            for new in (named, other):
                (found,) = store.get([new.upload.key]).values()
                row = ActionRow(at=AT, action="attest", by=JANE, reason=f"as {JANE} said")
                store.save([Change(evolve(found.upload, version=4), action=row)])
            store.link(100, AT)
            keys = [named.upload.key, plain.upload.key]
            store.remove(removal(store, keys[1:], frozenset({Part.ATTEMPTS})))
            same([*faults_of(store, "acme")], [])
            store.remove(removal(store, keys, PERSONAL, names=[JANE, MAIL]))
            store.link(100, AT)
            same([*faults_of(store, "acme")], [])

    def test_what_was_removed_is_recorded_without_the_name(self) -> None:
        with self._store() as store:
            new = of_jane("ev-1")
            settled(store, new, fails="no")
            same(list(store.removals()), [])
            store.remove(removal(store, [new.upload.key], names=[JANE]))
            store.remove(removal(store, [], names=[JANE]))
            again, (row) = store.removals("acme")
            same((row.action, row.by, row.reason), ("erase", DPO.by, DPO.reason))
            same((row.uploads, row.attempts, row.documents), (1, 1, 1))
            must(JANE not in repr(row), f"{row!r} names her")
            same(again.subject, some(row.subject))
            same(list(store.removals("globex")), [])


def _of(tenant_id: str, new: Entry) -> UploadKey:
    key = new.upload.key
    return UploadKey(tenant_id, key.evidence_id, key.provider)
