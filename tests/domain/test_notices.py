"""What a person must know of: once for each transition, a burst with its count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from attrs import define, evolve, field

from evidence_courier.domain.health import Count, Stop
from evidence_courier.domain.notices import (
    FIRST,
    FORGOTTEN_AT_ONCE,
    LATE_BY,
    MAX_BURST,
    About,
    Notice,
    Standing,
    about_of,
    news_of,
    notice_of,
    summary_of,
)
from evidence_courier.domain.upload.upload import Status

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
NOTHING = Standing((), (), None)
BLOCKED = Stop(
    state="blocked",
    tenant_id="acme",
    provider="sprinto",
    since=NOW,
    reason="unauthorized",
    message="the key is refused",
    uploads=7,
)


def failed(number: int, status: Status = Status.FAILED, reason: str = "bad_request") -> Count:
    return Count(tenant_id="acme", provider="sprinto", status=status, reason=reason, number=number)


@define
class Watched:
    """Looks again and again, every ten seconds."""

    now: datetime = NOW
    notes: dict[str, str] = field(factory=dict)

    def look(
        self,
        *counts: Count,
        stops: tuple[Stop, ...] = (),
        oldest: datetime | None = None,
        unknown: tuple[str, ...] = (),
        mine: tuple[About, ...] = (),
    ) -> list[Notice]:
        self.now += timedelta(seconds=10)
        standing = Standing(counts, stops, oldest)
        news = news_of(standing, self.notes, self.now, timedelta(hours=1), unknown, mine)
        merged: Mapping[str, str | None] = {**self.notes, **news.notes}
        self.notes = {name: value for name, value in merged.items() if value is not None}
        return list(news.notices)

    def noted(self, word: str) -> int:
        """How many notes begin with this word."""
        return sum(json.loads(name)[0] == word for name in self.notes if name.startswith("["))


def test_a_block_makes_one_notice_and_another_when_it_is_over() -> None:
    watched = Watched()
    (notice,) = watched.look(stops=(BLOCKED,))
    assert (notice.kind, notice.tenant_id, notice.reason, notice.number) == (
        *("blocked", "acme", "unauthorized"),
        7,
    )
    assert notice.text == (
        "tenant acme with sprinto does not work, and its uploads are held: unauthorized; "
        "`evidence-courier blocks` says more"
    )
    assert watched.look(stops=(evolve(BLOCKED, uploads=900),)) == []
    (over,) = watched.look()
    assert over.text == "tenant acme with sprinto is no longer blocked: its uploads go on"
    assert watched.look() == []


@pytest.mark.parametrize(
    ("stop", "text", "over"),
    [
        (
            evolve(BLOCKED, state="parked", reason="check_in_review"),
            "tenant acme with sprinto takes nothing now, and its uploads wait until it does: "
            "check_in_review; `evidence-courier blocks` says more",
            "tenant acme with sprinto is no longer parked: its uploads go on",
        ),
        (
            evolve(BLOCKED, state="skipped", provider="", reason="invalid"),
            "tenant acme has no valid configuration in force, and its evidence is held or waits: "
            "invalid; `evidence-courier blocks` says more",
            "tenant acme is no longer skipped: its uploads go on",
        ),
    ],
)
def test_a_notice_says_what_stops_and_what_is_no_longer(stop: Stop, text: str, over: str) -> None:
    watched = Watched()
    (notice,) = watched.look(stops=(stop,))
    assert (notice.kind, notice.at, notice.text) == (stop.state, watched.now, text)
    assert (notice.provider, notice.reason) == (stop.provider or None, stop.reason)
    (again,) = watched.look()
    assert (again.kind, again.at, again.text) == ("open_again", watched.now, over)
    assert (again.tenant_id, again.provider, again.reason, again.number) == (
        *("acme", stop.provider or None),
        *(stop.reason, 0),
    )


def test_what_a_person_has_paused_makes_no_notice() -> None:
    watched = Watched()
    assert watched.look(stops=(evolve(BLOCKED, state="paused"),)) == []
    assert watched.look(failed(9, Status.HELD, "paused")) == []


def test_what_will_be_tried_again_makes_no_notice() -> None:
    watched = Watched()
    watched.look()
    for _ in range(2):
        assert watched.look(failed(9, Status.RETRYING, "timeout")) == []


def test_a_burst_of_one_cause_is_one_notice_with_a_count() -> None:
    watched = Watched()
    watched.look()
    assert watched.look(failed(10)) == []
    assert watched.look(failed(600)) == []
    assert watched.look(failed(1_000)) == []
    (notice,) = watched.look(failed(1_000))
    assert (notice.kind, notice.number) == ("failed", 1_000)
    text = "tenant acme with sprinto: 1,000 uploads have failed: bad_request"
    assert notice.text == text
    assert notice.as_of(NOW, 1_001).text == f"{text}; 1,001 in all now"
    assert watched.look(failed(1_000)) == []


def test_a_burst_that_does_not_end_makes_a_notice_after_a_minute() -> None:
    watched, notices = Watched(), list[Notice]()
    watched.look()
    for number in range(1, 40):
        notices += watched.look(failed(number))
    assert 39 * 10 / MAX_BURST.total_seconds() >= len(notices) > 3
    assert notices[0].number == 7  # a minute after the first
    assert sum(notice.number for notice in notices) <= 39


def test_what_had_failed_before_the_first_look_makes_no_notice() -> None:
    watched = Watched()
    assert watched.look(failed(70)) == watched.look(failed(70)) == []
    assert watched.look(failed(71)) == []
    assert [notice.number for notice in watched.look(failed(71))] == [1]


def test_what_was_retried_and_failed_again_makes_another_notice() -> None:
    watched = Watched()
    watched.look()
    for number, numbers in ((2, []), (2, [2]), (0, []), *[(1, [])] * 4, (1, [1]), (1, [])):
        assert [notice.number for notice in watched.look(failed(number))] == numbers


def test_what_failed_again_after_all_had_gone_on_makes_another_notice() -> None:
    """No store counts a cause of which there is none."""
    watched = Watched()
    watched.look()
    watched.look(failed(2))
    assert len(watched.look(failed(2))) == 1
    watched.now += MAX_BURST
    assert watched.look() == []
    assert watched.look(failed(1)) == []
    assert [notice.number for notice in watched.look(failed(1))] == [1]


@pytest.mark.parametrize("status", [Status.FAILED, Status.HELD])
def test_what_failed_again_between_two_looks_makes_another_notice(status: Status) -> None:
    """The figure is the same at both."""
    watched, at = Watched(), NOW
    watched.look()
    found = evolve(failed(2, status, "bad_request"), last_at=at)
    assert [len(watched.look(found)) for _ in range(3)] == [0, 1, 0]
    watched.now += MAX_BURST
    for _ in range(2):
        at += timedelta(microseconds=1)
        found = evolve(found, last_at=at)
        watched.now += MAX_BURST
        assert [notice.number for notice in watched.look(found)] == [1]
        assert watched.look(found) == []


def test_what_failed_among_retries_makes_a_notice_with_the_whole_number() -> None:
    watched = Watched()
    watched.look()
    found = evolve(failed(10), last_at=NOW)
    assert [len(watched.look(found)) for _ in range(2)] == [0, 1]
    watched.now += MAX_BURST
    less = evolve(failed(3), last_at=NOW + timedelta(seconds=1))
    assert watched.look(less) == []
    (notice,) = watched.look(less)
    assert notice.number == 1
    assert notice.as_of(NOW, 3).text.endswith("1 upload has failed: bad_request; 3 in all now")


def test_what_has_not_changed_makes_no_notice_however_late() -> None:
    watched = Watched()
    watched.look()
    found = evolve(failed(2), last_at=NOW)
    assert [len(watched.look(found)) for _ in range(2)] == [0, 1]
    for _ in range(3):
        watched.now += MAX_BURST
        assert watched.look(found) == []


def test_two_looks_at_one_moment_make_one_notice() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(1))
    assert len(watched.look(failed(1))) == 1
    for _ in range(2):
        watched.now -= timedelta(seconds=10)
        assert watched.look(failed(2)) == []


def test_a_minute_after_a_notice_it_delays_no_other() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(1))
    assert len(watched.look(failed(1))) == 1
    watched.now += MAX_BURST - timedelta(seconds=10)
    watched.look(failed(2))
    assert watched.noted("told") == 0


def test_what_an_older_courier_noted_is_no_news() -> None:
    """It keeps no note of when the last upload failed."""
    watched = Watched()
    watched.look()
    found = evolve(failed(2), last_at=NOW)
    assert [len(watched.look(found)) for _ in range(2)] == [0, 1]
    watched.notes = {name: note for name, note in watched.notes.items() if "last" not in name}
    assert watched.look(evolve(found, last_at=NOW + MAX_BURST)) == []


def test_a_cause_that_no_upload_has_any_more_is_noted_no_more() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(2), failed(3, reason="timeout"))
    assert watched.noted("count") == 2
    watched.look(evolve(failed(2), last_at=NOW), failed(0, reason="timeout"))
    assert (watched.noted("count"), watched.noted("last")) == (1, 1)
    watched.look()
    assert (watched.noted("count"), watched.noted("last")) == (0, 0)


def test_what_a_notice_no_longer_delays_is_noted_no_more() -> None:
    """With what is noted next, so that no look writes for that alone."""
    watched = Watched()
    watched.look()
    watched.look(failed(1), failed(1, reason="timeout"))
    assert len(watched.look(failed(1), failed(1, reason="timeout"))) == 2
    watched.now += MAX_BURST
    watched.look(failed(1), failed(1, reason="timeout"))
    assert watched.noted("told") == 2
    watched.look(failed(2), failed(1, reason="timeout"))
    assert watched.noted("told") == 0
    assert len(watched.look(failed(2), failed(1, reason="timeout"))) == 1
    assert watched.noted("told") == 1
    watched.look(failed(3), failed(1, reason="timeout"))
    assert watched.noted("told") == 1


def test_a_look_removes_a_thousand_old_notes_at_most() -> None:
    old = {
        f'["told", "failed", "t{n}", "p", "timeout"]': "2026-02-20T10:00:00Z" for n in range(1_500)
    }
    watched = Watched(notes={FIRST: "2026-02-20T10:00:00Z", **old})
    for tenant, left in (("acne", 1_500 - FORGOTTEN_AT_ONCE), ("acme", 0)):
        watched.look(unknown=(tenant,))
        assert watched.noted("told") == left


def test_however_often_couriers_look_one_cause_is_a_notice_a_minute() -> None:
    """Two looks a second, as of a worker that fails with one upload in each of its calls."""
    watched, notices = Watched(), list[Notice]()
    watched.look()
    for second in range(1, 300):
        for _ in range(2):
            watched.now += timedelta(seconds=1 if _ else 0) - timedelta(seconds=10)
            notices += watched.look(failed(second))
    assert notices[0].number == 1
    assert len(notices) == 5
    watched.now += MAX_BURST
    (last,) = watched.look(failed(299))
    assert sum(notice.number for notice in notices) + last.number == 299


def test_a_clock_that_was_set_back_keeps_no_failure_back() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(1))
    assert len(watched.look(failed(1))) == 1
    watched.now -= timedelta(days=400)
    watched.look(failed(2))
    assert len(watched.look(failed(2))) == 1


def test_at_its_end_a_courier_waits_for_no_notice_of_its_own() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(1))
    (notice,) = watched.look(failed(1))
    watched.look(failed(3))
    other = "failed", "acme", "sprinto", "timeout"
    assert watched.look(failed(3), mine=(other,)) == []
    (last,) = watched.look(failed(3), mine=(other, about_of(notice)))
    assert (notice.number, last.number) == (1, 2)


def test_what_one_cause_fails_with_delays_no_other() -> None:
    watched = Watched()
    watched.look()
    watched.look(failed(1))
    assert len(watched.look(failed(1))) == 1
    more = failed(1), failed(1, reason="timeout"), failed(1, Status.HELD)
    assert watched.look(*more) == []
    kinds = [(one.kind, one.reason) for one in watched.look(*more)]
    assert kinds == [("failed", "timeout"), ("held", "bad_request")]


def test_a_held_upload_makes_a_notice_unless_its_integration_does() -> None:
    watched = Watched()
    watched.look()
    doubtful, of_block = failed(1, Status.HELD, "timeout"), failed(5, Status.HELD, "unauthorized")
    watched.look(doubtful, of_block)
    (notice,) = watched.look(doubtful, of_block)
    assert (notice.kind, notice.reason, notice.number) == ("held", "timeout", 1)


def test_evidence_makes_a_notice_when_it_stops_and_when_it_arrives_again() -> None:
    watched = Watched()
    assert watched.look(oldest=NOW - timedelta(minutes=59)) == []
    (late,) = watched.look(oldest=NOW - timedelta(minutes=61))
    assert late.kind == "late"
    assert late.text == (
        "evidence stopped arriving: the oldest open upload has waited since 2026-02-21T08:59:00Z"
    )
    assert watched.look(oldest=NOW - timedelta(minutes=90)) == []
    [over] = watched.look()
    assert over.kind == "arriving_again"
    assert over.text == (
        "no open upload is too old any more; what failed, is parked or paused does not count"
    )
    assert (late.at, over.at) == (NOW + timedelta(seconds=20), NOW + timedelta(seconds=40))


def test_an_unknown_tenant_makes_one_notice() -> None:
    watched = Watched()
    (notice,) = watched.look(unknown=("acne", "acne"))
    assert (notice.kind, notice.at, notice.tenant_id) == ("tenant_unknown", watched.now, "acne")
    assert notice.text == ("tenant acne is not in the configuration: its evidence is not recorded")
    assert watched.look(unknown=("acne",)) == []


def test_two_notices_have_different_ids_and_one_has_the_same_each_time() -> None:
    watched = Watched()
    (first,) = watched.look(stops=(BLOCKED,))
    (over,) = watched.look()
    (again,) = watched.look(stops=(BLOCKED,))
    assert len({first.id, over.id, again.id}) == 3
    assert len(first.id) == 32
    assert Notice.from_json(first.to_json()) == first
    assert json.loads(first.to_json())["at"].endswith("Z")


def test_each_notice_says_what_it_is_about() -> None:
    watched = Watched()
    watched.look()
    invalid = evolve(BLOCKED, state="skipped", tenant_id="globex", provider="", uploads=0)
    held = failed(1, Status.HELD, "timeout"), failed(2, Status.HELD, "server_error")
    notices = watched.look(*held, failed(1), stops=(BLOCKED, invalid), unknown=("acne",))
    notices += watched.look(*held, failed(1))
    notices += watched.look(*held, failed(1), oldest=NOW - timedelta(hours=2))
    notices += watched.look(*held, failed(1))
    texts = {
        (one.kind, one.tenant_id, one.provider, one.reason, one.number): one.text for one in notices
    }
    of_acme = "tenant acme with sprinto"
    assert texts == {
        ("blocked", "acme", "sprinto", "unauthorized", 7): f"{of_acme} does not work, and its"
        " uploads are held: unauthorized; `evidence-courier blocks` says more",
        ("skipped", "globex", None, "unauthorized", 0): "tenant globex has no valid configuration"
        " in force, and its evidence is held or waits: unauthorized; `evidence-courier blocks` says"
        " more",
        ("tenant_unknown", "acne", None, None, 0): "tenant acne is not in the configuration: its"
        " evidence is not recorded",
        ("open_again", "acme", "sprinto", "unauthorized", 0): f"{of_acme} is no longer blocked:"
        " its uploads go on",
        ("open_again", "globex", None, "unauthorized", 0): "tenant globex is no longer skipped:"
        " its uploads go on",
        ("held", "acme", "sprinto", "timeout", 1): f"{of_acme}: 1 upload is held: timeout",
        ("held", "acme", "sprinto", "server_error", 2): f"{of_acme}: 2 uploads are held:"
        " server_error",
        ("failed", "acme", "sprinto", "bad_request", 1): f"{of_acme}: 1 upload has failed:"
        " bad_request",
        ("late", None, None, None, 0): "evidence stopped arriving: the oldest open upload has"
        " waited since 2026-02-21T08:00:00Z",
        ("arriving_again", None, None, None, 0): "no open upload is too old any more; what failed,"
        " is parked or paused does not count",
    }


def test_what_is_noted_is_what_couriers_of_other_versions_read() -> None:
    watched = Watched()
    found = evolve(failed(2), last_at=NOW)
    watched.look()
    for _ in range(2):
        watched.look(found, stops=(BLOCKED,), oldest=NOW - timedelta(hours=2), unknown=("acne",))
    about = '"failed", "acme", "sprinto", "bad_request"]'
    assert watched.notes == {
        "watched": "2026-02-21T10:00:10Z",
        '["stop", "blocked", "acme", "sprinto"]': "unauthorized",
        f'["count", {about}': "[2, 2, null]",
        f'["told", {about}': "2026-02-21T10:00:30Z",
        f'["last", {about}': "2026-02-21T10:00:00Z",
        "late": "2026-02-21T08:00:00Z",
        '["unknown", "acne"]': "2026-02-21T10:00:20Z",
    }
    watched.look(unknown=("acne",))
    assert watched.notes.keys() == {"watched", f'["told", {about}', '["unknown", "acne"]'}


def test_an_upload_that_is_just_as_old_as_it_may_be_is_not_late() -> None:
    watched = Watched()
    watched.look()
    assert watched.look(oldest=watched.now + timedelta(seconds=10) - timedelta(hours=1)) == []


def test_a_notice_names_the_subjects_that_it_is_given() -> None:
    notice = notice_of("failed", NOW, "uploads have failed", number=1_003)
    assert notice.naming(()) == notice
    named = notice.naming(["emp-7", "emp-8", "emp-9"])
    assert named.subjects == ("emp-7", "emp-8", "emp-9")
    assert named.text == "uploads have failed; of emp-7, emp-8, emp-9 and 1,000 more"
    all_named = evolve(notice, number=2).naming(["emp-7", "emp-8"])
    assert all_named.text == "uploads have failed; of emp-7, emp-8"
    assert evolve(notice, number=2).naming(["emp-7"]).text.endswith("; of emp-7 and 1 more")


def test_a_summary_stands_for_each_notice_even_of_another_summary() -> None:
    second = NOW + timedelta(seconds=1)
    notices = [notice_of("late", NOW, "late"), notice_of("arriving_again", second, "again")]
    summary = summary_of(notices)
    assert summary == Notice(
        id=summary.id,
        kind="summary",
        at=NOW,
        text="2 notices since 2026-02-21T10:00:00Z were not taken and are not sent one by one:"
        " `evidence-courier health` and `evidence-courier blocks` say how all stands now",
        number=2,
    )
    assert summary_of([notices[1], summary]).number == 3
    assert summary_of([notices[0]]).id != summary.id == summary_of(notices).id
    assert summary.as_of(NOW + timedelta(hours=1), None) == summary


def test_the_words_of_a_notice_are_in_the_order_of_the_alphabet() -> None:
    words = [*json.loads(notice_of("late", NOW, "late").to_json())]
    assert words == sorted(words)


def test_a_late_notice_says_when_it_was_so() -> None:
    one = notice_of("blocked", NOW, "it is blocked")
    assert one.as_of(NOW + LATE_BY, None) == one
    late = one.as_of(NOW + timedelta(hours=1), None)
    assert late.text == "it is blocked (this notice is of 2026-02-21T10:00:00Z)"
    assert late.id == one.id
    failed = notice_of("failed", NOW, "one has failed").as_of(NOW, 0)
    assert failed.text == "one has failed; by now none is failed"
    assert json.loads(failed.to_json())["present"] == 0
    assert "present" not in json.loads(one.to_json())


@pytest.mark.parametrize(
    ("subjects", "text"),
    [
        ([], "3 uploads have failed"),
        (["emp-1"], "3 uploads have failed; of emp-1 and 2 more"),
        (["emp-1", "emp-2", "emp-3"], "3 uploads have failed; of emp-1, emp-2, emp-3"),
    ],
)
def test_a_notice_names_subjects_for_a_sink_that_asks(subjects: list[str], text: str) -> None:
    notice = notice_of("failed", NOW, "3 uploads have failed", "acme", number=3)
    named = notice.naming(subjects)
    assert (named.text, named.subjects, named.id) == (text, tuple(subjects), notice.id)
    assert json.loads(named.to_json()).get("subjects", []) == subjects
    assert evolve(notice, number=1_002).naming(["emp-1"]).text.endswith("; of emp-1 and 1,001 more")


def test_one_notice_stands_for_many_that_were_not_taken() -> None:
    one = notice_of("blocked", NOW, "it is blocked", "acme", "sprinto", "unauthorized", 7)
    other = notice_of("late", NOW + timedelta(hours=1), "it is late")
    summary = summary_of([one, other])
    assert (summary.kind, summary.at, summary.number) == ("summary", NOW, 2)
    assert (summary.tenant_id, summary.provider, summary.reason) == (None, None, None)
    assert summary.text == (
        "2 notices since 2026-02-21T10:00:00Z were not taken and are not sent one by one: "
        "`evidence-courier health` and `evidence-courier blocks` say how all stands now"
    )
    assert summary_of([summary, *[other] * 1_000]).number == 1_002
    assert summary_of([summary, *[other] * 1_000]).text.startswith("1,002 notices since")
    assert summary_of([one, other]).id == summary.id != summary_of([one, evolve(other, id="b")]).id
    hours_later = summary.as_of(NOW + timedelta(hours=2), None)
    assert hours_later == summary  # its text says since when


def test_the_id_of_a_notice_is_the_same_in_every_version() -> None:
    """A receiver knows by it what it was told before."""
    notice = notice_of("blocked", NOW, "in any words", "acme", "sprinto", "unauthorized", 7)
    assert notice.id == "1b5ce9eed8375c5ca154431112ac031b"
    assert evolve(notice, text="", number=0).id == notice.id
    others = [
        notice_of("parked", NOW, "", "acme", "sprinto", "unauthorized"),
        notice_of("blocked", NOW + timedelta(seconds=1), "", "acme", "sprinto", "unauthorized"),
        notice_of("blocked", NOW, "", "globex", "sprinto", "unauthorized"),
        notice_of("blocked", NOW, "", "acme", "vanta", "unauthorized"),
        notice_of("blocked", NOW, "", "acme", "sprinto", "forbidden"),
    ]
    assert len({notice.id, *(other.id for other in others)}) == 6


def test_no_notice_quotes_a_provider() -> None:
    watched = Watched()
    notices = watched.look(stops=(evolve(BLOCKED, message="emp-7 is unknown"),)) + watched.look()
    assert [notice for notice in notices if "emp-7" in notice.to_json()] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "7", '"at"', "[]", "{}", '[["at", 7]]'),
        '{"at": "2026-02-21T10:00:00"}',
        '{"at": "2026-02-21T10:00:00Z"}',
        '{"at": "2026-02-21T10:00:00Z", "id": "a", "kind": "late", "text": "", "colour": "red"}',
    ],
)
def test_a_text_that_is_no_notice_is_refused(text: str) -> None:
    """With an exception that its readers know of."""
    with pytest.raises((ValueError, TypeError)):
        Notice.from_json(text)


@pytest.mark.parametrize("word", ["count", "last"])
@pytest.mark.parametrize(
    "note", ["", "7", "[1, 2]", "[Infinity, 0, null]", "0001-01-01T00:00:00+10:00"]
)
def test_a_note_of_a_cause_that_cannot_be_read_is_written_anew(word: str, note: str) -> None:
    """What has failed so far is no news then."""
    watched = Watched()
    watched.look()
    found = evolve(failed(3), last_at=NOW)
    assert [len(watched.look(found)) for _ in range(2)] == [0, 1]
    watched.now += 2 * MAX_BURST
    (name,) = [name for name in watched.notes if name.startswith(f'["{word}", ')]
    watched.notes[name] = note
    assert [len(watched.look(evolve(failed(5), last_at=NOW))) for _ in range(2)] == [0, 0]
    more = evolve(failed(6), last_at=NOW)
    assert watched.look(more) == []
    assert [notice.number for notice in watched.look(more)] == [1]
