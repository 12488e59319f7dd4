"""What the port promises, on every store: the fake behaves like the real one because both pass this."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from attrs import evolve
from stored import AT, RULES, deferred, delivered, entry, started, tried

from evidence_courier.domain.attempt import Attempt, VerdictWord
from evidence_courier.domain.errors import MisuseError, StoreError
from evidence_courier.domain.events import Abandoned, AttemptRecovered, DeliveryConfirmed
from evidence_courier.domain.failure import Failure, FailureKind
from evidence_courier.domain.transitions import advance
from evidence_courier.domain.upload import Status, Upload, UploadKey
from evidence_courier.domain.verdict import Receipt
from evidence_courier.ports.store import (
    Added,
    Begun,
    Change,
    Conflict,
    Find,
    Known,
    OpenUpload,
    Saved,
    UploadStore,
)

MINUTE = timedelta(minutes=1)


def held_document(store: UploadStore, upload: Upload) -> bytes | None:
    """What is staged, as the next attempt would see it. `upload` has to be one that can begin."""
    (answer,) = store.begin([started(upload)])
    assert isinstance(answer, Begun)
    return answer.content


def test_an_upload_is_read_as_it_was_added(store: UploadStore) -> None:
    new = entry()
    assert store.add([new]) == [Added()]
    assert store.get([new.upload.key]) == {new.upload.key: OpenUpload(new.upload, new.dossier)}


def test_what_is_not_recorded_is_absent(store: UploadStore) -> None:
    assert store.get([UploadKey("acme", "ev-1", "sprinto")]) == {}
    assert store.statuses("acme", ["ev-1"], AT) == {}
    assert store.show("acme", "ev-1", AT) is None
    assert store.find(Find(), AT).uploads == ()
    assert store.due(AT, 10) == []
    assert store.count_open() == 0
    assert set(store.counts().values()) == {0}


def test_nothing_may_be_asked_for_nothing(store: UploadStore) -> None:
    for answers in (store.add([]), store.begin([]), store.save([])):
        assert list(answers) == []
    assert store.get([]) == {}
    assert store.statuses("acme", [], AT) == {}


def test_a_known_upload_is_told_as_it_stands_and_stays_as_it_was(store: UploadStore) -> None:
    first = entry(content=b"one")
    store.add([first])
    begin = started(first.upload)
    store.begin([begin])
    assert store.add([entry(content=b"two", submitted_digest="another")]) == [
        Known(begin.upload, first.dossier.submitted_digest)
    ]
    assert store.get([first.upload.key])[first.upload.key] == OpenUpload(begin.upload, first.dossier)


def test_of_two_with_the_same_key_in_one_call_the_first_wins(store: UploadStore) -> None:
    first, second, other = entry(content=b"one"), entry(content=b"two"), entry("ev-2")
    assert store.add([first, second, other]) == [
        Added(),
        Known(first.upload, first.dossier.submitted_digest),
        Added(),
    ]
    assert held_document(store, first.upload) == b"one"


def test_the_same_evidence_of_another_tenant_or_to_another_provider_is_another_upload(
    store: UploadStore,
) -> None:
    three = [entry(), entry(tenant_id="globex"), entry(provider="vanta")]
    assert store.add(three) == [Added()] * 3
    assert len(store.get([new.upload.key for new in three])) == 3


def test_an_attempt_begins_with_the_document_that_was_staged(store: UploadStore) -> None:
    with_bytes, empty, without = entry("ev-1"), entry("ev-2", content=b""), entry("ev-3", content=None)
    store.add([with_bytes, empty, without])
    assert store.begin([started(new.upload) for new in (with_bytes, empty, without)]) == [
        Begun(b"a document"),
        Begun(b""),
        Begun(None),
    ]


def test_a_begun_attempt_is_on_record_before_anything_else_happens(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    begin = started(new.upload, AT + MINUTE)
    store.begin([begin])
    status = store.statuses("acme", ["ev-1"], AT)["ev-1"]
    assert (status.status, status.attempts, status.last_attempt_at) == ("pending", 1, AT + MINUTE)


def test_a_change_of_an_older_version_is_told_what_is_there_now(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    begin = started(new.upload)
    store.begin([begin])
    assert store.begin([begin]) == [Conflict(begin.upload)]
    assert store.save([Change(advance(new.upload, Abandoned(AT, "ann", "late"), RULES))]) == [
        Conflict(begin.upload)
    ]
    assert store.get([new.upload.key])[new.upload.key].upload == begin.upload


def test_a_change_of_what_was_never_added_finds_nothing(store: UploadStore) -> None:
    change = started(entry().upload)
    assert store.begin([change]) == [Conflict(None)]
    assert store.save([Change(change.upload)]) == [Conflict(None)]
    assert store.get([change.upload.key]) == {}


def test_what_cannot_be_done_to_one_keeps_no_other_from_being_done(store: UploadStore) -> None:
    here, gone, too = entry("ev-1"), entry("ev-2"), entry("ev-3")
    store.add([here, too])
    answers = store.begin([started(new.upload) for new in (here, gone, too)])
    assert answers == [Begun(b"a document"), Conflict(None), Begun(b"a document")]


def test_changes_of_one_upload_in_one_call_build_on_one_another(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    begin = started(new.upload)
    end = deferred(begin.upload)
    assert store.save([Change(begin.upload), end, Change(begin.upload)]) == [
        Saved(),
        Saved(),
        Conflict(end.upload),
    ]
    details = store.show("acme", "ev-1", AT)
    assert details is not None
    assert (details.status, len(details.history)) == ("retrying", 1)


def test_the_history_holds_every_attempt_in_the_order_in_which_they_ended(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    waiting = tried(store, new.upload, 2)
    begin = started(waiting, AT + 5 * MINUTE)
    store.begin([begin])
    store.save([delivered(begin.upload, AT + 6 * MINUTE)])
    details = store.show("acme", "ev-1", AT)
    assert details is not None
    assert [
        (a.number, a.verdict, a.kind, a.message, a.http_status, a.retry_after) for a in details.history
    ] == [
        (1, "deferred", "rate_limited", "come back later", 429, 7.0),
        (2, "deferred", "rate_limited", "come back later", 429, 7.0),
        (3, "delivered", None, "thank you", None, None),
    ]
    assert details.history[-1].ended_at == AT + 6 * MINUTE
    assert (details.status, details.attempts, details.error) == ("succeeded", 3, None)
    assert details.receipt == Receipt("r-1", "thank you")
    assert details.last_attempt_at == AT + 5 * MINUTE


def test_news_of_an_attempt_that_was_given_up_stands_beside_what_was_thought_of_it(
    store: UploadStore,
) -> None:
    new = entry()
    store.add([new])
    begin = started(new.upload)
    store.begin([begin])
    silence = Failure(FailureKind.INTERRUPTED, "the courier was stopped in mid-send")
    recovered = advance(begin.upload, AttemptRecovered(AT, 1, silence, 0.0), RULES)
    store.save([Change(recovered, Attempt(1, AT, AT, VerdictWord.RECOVERED, silence))])
    found = advance(recovered, DeliveryConfirmed(AT, 1, Receipt()), RULES)
    store.save([Change(found, Attempt(1, AT, AT, VerdictWord.DELIVERED, Receipt(), "req-9"))])
    details = store.show("acme", "ev-1", AT)
    assert details is not None
    assert [(a.number, a.verdict, a.request_id) for a in details.history] == [
        (1, "recovered", None),
        (1, "delivered", "req-9"),
    ]


def test_an_attempt_is_not_kept_of_a_change_that_was_refused(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    stale = delivered(started(new.upload).upload)
    assert store.save([stale]) == [Conflict(new.upload)]
    details = store.show("acme", "ev-1", AT)
    assert details is not None
    assert details.history == ()


@pytest.mark.parametrize(("keep_documents", "left"), [(False, None), (True, b"a document")])
def test_success_removes_the_document_unless_documents_are_kept(
    open_store: Callable[[bool], UploadStore], keep_documents: bool, left: bytes | None
) -> None:
    store = open_store(keep_documents)
    new = entry()
    store.add([new])
    begin = started(new.upload)
    store.begin([begin])
    end = delivered(begin.upload)
    store.save([end])
    again = evolve(begin, upload=evolve(begin.upload, version=end.upload.version + 1))
    assert store.begin([again]) == [Begun(left)]


def test_a_document_stays_while_its_upload_may_be_sent_again(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    waiting = tried(store, new.upload, 1)
    failed = advance(waiting, Abandoned(AT, "ann", "wrong tenant"), RULES)
    store.save([Change(failed)])
    start = started(waiting)
    again = evolve(start, upload=evolve(start.upload, version=failed.version + 1))
    assert store.begin([again]) == [Begun(b"a document")]


def test_what_is_due_comes_in_the_order_of_arrival_page_by_page(store: UploadStore) -> None:
    late, early, future = (
        entry("late", at=AT),
        entry("early", at=AT - MINUTE),
        entry("future", at=AT + MINUTE),
    )
    sending = entry("sending", at=AT - MINUTE)
    store.add([late, early, future, sending])
    store.begin([started(sending.upload)])
    assert list(store.due(AT, 10)) == [late.upload.key, early.upload.key]
    assert list(store.due(AT, 1)) == [late.upload.key]
    assert list(store.due(AT, 10, after=late.upload.key)) == [early.upload.key]


def test_a_retry_is_due_when_its_wait_is_over(store: UploadStore) -> None:
    new = entry()
    store.add([new])
    waiting = tried(store, new.upload, 1)
    due = AT + timedelta(seconds=7)
    assert store.due(due - timedelta(microseconds=1), 10) == []
    assert list(store.due(due, 10)) == [waiting.key]


def test_uploads_are_counted_by_status(store: UploadStore) -> None:
    entries = [entry(f"ev-{number}") for number in range(4)]
    store.add(entries)
    tried(store, entries[0].upload, 1)
    begin = started(entries[1].upload)
    store.begin([begin])
    store.save([delivered(begin.upload)])
    store.save([Change(advance(entries[2].upload, Abandoned(AT, "ann", "no"), RULES))])
    assert store.counts() == {
        Status.PENDING: 1,
        Status.RETRYING: 1,
        Status.HELD: 0,
        Status.SUCCEEDED: 1,
        Status.FAILED: 1,
    }
    assert store.count_open() == 2


def test_statuses_are_of_the_tenant_that_is_asked_about(store: UploadStore) -> None:
    store.add([entry("ev-1"), entry("ev-2"), entry("ev-1", tenant_id="globex", at=AT + MINUTE)])
    found = store.statuses("acme", ["ev-1", "ev-1", "ev-9"], AT)
    assert {evidence_id: status.created_at for evidence_id, status in found.items()} == {"ev-1": AT}


def test_an_id_that_only_begins_like_a_known_one_is_not_taken_for_it(store: UploadStore) -> None:
    store.add([entry("ev-1")])
    assert store.statuses("acme", ["ev-1\0", "ev-", "EV-1", "\ud800"], AT) == {}


def test_thousands_of_statuses_are_told_in_one_call(store: UploadStore) -> None:
    entries = [entry(f"ev-{number}", content=None) for number in range(3000)]
    store.add(entries)
    found = store.statuses("acme", [f"ev-{number}" for number in range(40_000)], AT)
    assert found.keys() == {new.upload.key.evidence_id for new in entries}


@pytest.mark.parametrize("newest", ["sprinto", "vanta"])
def test_an_evidence_with_two_providers_shows_the_newest_upload(store: UploadStore, newest: str) -> None:
    for provider in ("sprinto", "vanta"):
        store.add([entry(provider=provider, at=AT + MINUTE if provider == newest else AT)])
    details = store.show("acme", "ev-1", AT)
    assert details is not None
    assert details.provider == store.statuses("acme", ["ev-1"], AT)["ev-1"].provider == newest


def test_every_filter_that_is_given_holds_and_the_newest_comes_first(store: UploadStore) -> None:
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
        assert page.next_page is None
        return "".join(upload.evidence_id for upload in page.uploads)

    assert found(Find()) == "dcba"
    assert found(Find(tenant_id="acme")) == "dba"
    assert found(Find(status=Status.RETRYING)) == "da"
    assert found(Find(status=Status.PENDING)) == "cb"
    assert found(Find(since=AT + MINUTE)) == "dcb"
    assert found(Find(tenant_id="acme", status=Status.RETRYING, since=AT + MINUTE)) == "d"
    assert found(Find(tenant_id="acme", status=Status.HELD)) == ""
    assert found(Find(tenant_id="nobody")) == ""


def test_pages_show_each_upload_once_though_some_share_a_moment_and_others_arrive(store: UploadStore) -> None:
    entries = [entry(f"ev-{number}", at=AT + (number // 4) * MINUTE) for number in range(10)]
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
    assert seen == [f"ev-{number}" for number in reversed(range(10))]


def test_a_full_last_page_leads_nowhere(store: UploadStore) -> None:
    store.add([entry(f"ev-{number}") for number in range(4)])
    first = store.find(Find(limit=2), AT)
    last = store.find(Find(limit=2, after=first.next_page), AT)
    assert (len(last.uploads), last.next_page) == (2, None)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "é",
        "not a token",
        "AAAA",
        "bnVsbA==",  # null
        "WyIyMDI2LTAyLTIxIiwgMV0=",  # a moment without a time zone
        "WyIyMDI2LTAyLTIxVDEwOjAwOjAwWiIsICJ4Il0=",  # a place that is no number
        "WyIyMDI2LTAyLTIxVDEwOjAwOjAwWiJd",  # no place
        "WyIyMDI2LTAyLTIxVDEwOjAwOjAwWiIsIDFlOTk5XQ==",  # an infinite place
    ],
)
def test_a_token_that_no_page_gave_is_refused(store: UploadStore, token: str) -> None:
    with pytest.raises(MisuseError, match="next_page"):
        store.find(Find(after=token), AT)


def test_a_page_of_nothing_is_refused(store: UploadStore) -> None:
    with pytest.raises(MisuseError, match="at least 1"):
        store.find(Find(limit=0), AT)


def test_a_closed_store_says_so_and_may_be_closed_again(store: UploadStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.add([entry()])
    with pytest.raises(StoreError, match="closed"):
        store.find(Find(), AT)
