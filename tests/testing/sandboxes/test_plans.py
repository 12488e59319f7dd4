"""Faults as data: how they are written, and which request meets which."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.testing.sandboxes import Fault, FaultPlan, fault_kinds, parse_fault
from evidence_courier.testing.sandboxes.faults import (
    KINDS,
    Cut,
    Empty,
    GraphQLError,
    Misbehaviour,
    Redirect,
    ResetAfter,
    ResetBefore,
    Silence,
    Slow,
    Status,
    UnknownStatus,
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset-after=0.1", Fault(ResetAfter(), rate=0.1)),
        ("reset-after=.5", Fault(ResetAfter(), rate=0.5)),
        ("silence=1", Fault(Silence())),
        ("silence=0", Fault(Silence(), rate=0.0)),
        ("cut=x2", Fault(Cut(), times=2)),
        ("cut=0.5x2", Fault(Cut(), rate=0.5, times=2)),
        ("status:503=0.2", Fault(Status(503), rate=0.2)),
        ("status:429:retry-after=7=0.1", Fault(Status(429, retry_after="7"), rate=0.1)),
        (
            "status:503:retry-after=Sat, 21 Feb 2026 10:00:00 GMT=1",
            Fault(Status(503, "Sat, 21 Feb 2026 10:00:00 GMT")),
        ),
        ("graphql:Check in review=1", Fault(GraphQLError("Check in review"))),
        (
            "graphql:no: not now:code=CONFLICT=1",
            Fault(GraphQLError("no: not now", code="CONFLICT")),
        ),
        ("graphql:a=b=1", Fault(GraphQLError("a=b"))),
        ("slow:0.01=1", Fault(Slow(0.01))),
        ("unknown-status=1", Fault(UnknownStatus("UPLOAD_FAILED"))),
        ("unknown-status:PENDING=1", Fault(UnknownStatus("PENDING"))),
        (
            "redirect:http://127.0.0.1:9/x:code=307=1",
            Fault(Redirect("http://127.0.0.1:9/x", code=307)),
        ),
        ("redirect:to=http://127.0.0.1:9/x=1", Fault(Redirect("http://127.0.0.1:9/x"))),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not say when"),
        ("reset-after", "does not say when"),
        ("reset-after=", "does not say when"),
        ("reset-after=often", "does not say when"),
        ("reset-after=nan", "does not say when"),
        ("reset-after=-0.1", "does not say when"),
        ("reset-after=1.5", "between 0 and 1"),
        ("reset-after=x0", "at least once"),
        ("reset-aftr=0.1", "did you mean 'reset-after'"),
        ("explode=1", "the kinds are: status, "),
        ("status=0.5", "written status[:code=...][:retry-after=...]"),
        ("status:teapot=1", "is not a status fault"),
        ("status:99=1", "is not a status fault"),
        ("status:429:retry_after=7=1", "is not a status fault"),
        ("status:429:retry-after=7:retry-after=8=1", "gives retry-after twice"),
        ("cut:3=1", "takes no value"),
        ("slow:-1=1", "is not a slow fault"),
    ],
)
def test_a_fault_without_sense_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_fault(text)


@given(st.text())
def test_any_text_is_a_fault_or_a_value_error(text: str) -> None:
    try:
        fault = parse_fault(text)
    except ValueError:
        return
    assert 0.0 <= fault.rate <= 1.0


def test_a_text_without_sense_names_every_kind() -> None:
    with pytest.raises(ValueError, match="the kinds are: ") as caught:
        parse_fault("nonsense")
    assert all(kind in str(caught.value) for kind in KINDS)


def test_every_kind_is_described_and_says_whether_the_upload_is_taken() -> None:
    assert list(fault_kinds()) == list(KINDS)
    assert all(text.startswith(("Taken", "Not taken")) for text in fault_kinds().values())


def drawn(plan: FaultPlan, count: int) -> list[Misbehaviour | None]:
    return [plan.next() for _ in range(count)]


def test_the_same_seed_gives_the_same_faults_again() -> None:
    faults = ["reset-after=0.3", "status:503=0.3"]
    first = drawn(FaultPlan(faults, seed=5), 200)
    assert first == drawn(FaultPlan(faults, seed=5), 200)
    assert first != drawn(FaultPlan(faults, seed=6), 200)


def test_each_fault_gets_its_share_whatever_its_place() -> None:
    met = drawn(FaultPlan(["reset-after=0.1", "status:503=0.2"], seed=1), 10_000)
    assert 900 < met.count(ResetAfter()) < 1_100
    assert 1_850 < met.count(Status(503)) < 2_150
    assert met.count(None) == 10_000 - met.count(ResetAfter()) - met.count(Status(503))


def test_a_fault_with_times_strikes_first_and_then_gives_way() -> None:
    plan = FaultPlan([Fault("reset-after", times=2), Fault("status:503", times=1), "cut=x1"])
    assert drawn(plan, 5) == [ResetAfter(), ResetAfter(), Status(503), Cut(), None]


def test_times_bound_a_share() -> None:
    met = drawn(FaultPlan([Fault("cut", rate=0.5, times=3)], seed=2), 100)
    assert met.count(Cut()) == 3
    assert met[:3] != [Cut(), Cut(), Cut()]


def test_shares_may_not_add_up_to_more_than_one() -> None:
    assert drawn(FaultPlan(["empty=0.3", "cut=0.7"]), 20).count(None) == 0
    with pytest.raises(ValueError, match=r"add up to 1\.1"):
        FaultPlan(["empty=0.4", "cut=0.7"])


def test_a_script_is_one_step_a_request_and_then_nothing() -> None:
    plan = FaultPlan.script(["reset-before", None, Status(503, retry_after="7"), "empty"])
    assert drawn(plan, 6) == [ResetBefore(), None, Status(503, "7"), Empty(), None, None]


def test_a_script_with_a_step_without_sense_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a kind of fault"):
        FaultPlan.script(["cut", "explode"])
