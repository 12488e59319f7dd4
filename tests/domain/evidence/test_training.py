"""The training record checks itself, whoever builds it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from evidence_courier.domain.evidence.training import (
    Employee,
    FieldError,
    Module,
    Question,
    Training,
    TrainingOutcome,
    TrainingRecord,
)

MOMENT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def record(**changes: Any) -> TrainingRecord:
    given: dict[str, Any] = {
        "tenant_id": "acme",
        "evidence_id": "ev-1",
        "session_id": "s-1",
        "employee": Employee(id="emp-7"),
        "training": Training(title="Security", type="annual", attempt=1, max_attempts=3),
        "outcome": TrainingOutcome(status="passed", score=0.8, pass_threshold=0.7),
        "started_at": MOMENT,
        "completed_at": MOMENT,
        "generated_at": MOMENT,
        "modules": (),
    }
    return TrainingRecord(**{**given, **changes})


def test_what_is_left_out_is_absent_or_empty() -> None:
    plain = record()
    assert (plain.schema_version, plain.content_hash, plain.extra) == (1, None, {})
    assert (plain.employee.name, plain.employee.email, plain.outcome.weak_areas) == (None, None, ())


def test_a_record_can_be_a_key_and_equals_another_with_the_same_content() -> None:
    assert {record(extra={"a": [1]}): 1}[record(extra={"a": (1,)})] == 1


@pytest.mark.parametrize("name", ["tenant_id", "evidence_id", "session_id"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        (7, "must be text, not a number"),
        (None, "must be text, not null"),
        ("a\nb", "must not hold a control character or a line break"),
        ("a\x00b", "must not hold a control character or a line break"),
        ("a\u2028b", "must not hold a control character or a line break"),
        ("x" * 513, "must have at most 512 characters, not 513"),
        ("a\ud800", "holds half a character (a lone surrogate), which is not text"),
    ],
)
def test_an_id_is_one_line_of_bounded_length(name: str, value: object, complaint: str) -> None:
    with pytest.raises(FieldError) as caught:
        record(**{name: value})
    assert (caught.value.path, caught.value.complaint) == (name, complaint)
    assert str(caught.value) == f"{name} {complaint}"


def test_an_id_of_the_greatest_length_is_taken() -> None:
    assert len(record(evidence_id="x" * 512).evidence_id) == 512


@pytest.mark.parametrize("field", ["name", "email"])
def test_what_is_known_of_a_person_is_not_empty(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must not be empty"):
        Employee(id="emp-7", **{field: " "})


@pytest.mark.parametrize("score", [0, 1, 0.0, 1.0, 0.5])
def test_a_score_from_0_to_1_becomes_a_float(score: float) -> None:
    outcome = TrainingOutcome(status="passed", score=score, pass_threshold=0.7)
    assert outcome.score == score
    assert isinstance(outcome.score, float)


def test_minus_zero_is_zero() -> None:
    assert str(TrainingOutcome(status="passed", score=-0.0, pass_threshold=0.7).score) == "0.0"


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (-0.01, "not -0.01"),
        (1.01, "not 1.01"),
        (float("nan"), "not nan"),
        (float("inf"), "not inf"),
        (86, "not 86"),
        (10**400, "not a number of many digits"),
        (True, "not true or false"),
        ("0.8", "not text"),
        (None, "not null"),
    ],
)
def test_another_score_is_refused(score: Any, shown: str) -> None:
    for make in (
        lambda: TrainingOutcome(status="passed", score=score, pass_threshold=0.7),
        lambda: Module(title="m", score=score, questions=()),
        lambda: Question(text="q", answer="a", score=score),
    ):
        with pytest.raises(FieldError) as caught:
            make()
        assert str(caught.value) == f"score must be a number from 0 to 1, {shown}"


def test_a_threshold_lies_between_0_and_1_too() -> None:
    with pytest.raises(ValueError, match="pass_threshold must be a number from 0 to 1, not 70"):
        TrainingOutcome(status="passed", score=0.5, pass_threshold=70)


def test_the_attempt_is_one_of_those_the_person_has() -> None:
    assert Training(title="t", type="x", attempt=3, max_attempts=3).attempt == 3
    with pytest.raises(FieldError, match="^attempt is 4, but max_attempts is 3$"):
        Training(title="t", type="x", attempt=4, max_attempts=3)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (0, "attempt must be a whole number from 1 to 1,000,000, not 0"),
        (1_000_001, "attempt must be a whole number from 1 to 1,000,000, not 1000001"),
        (1.5, "attempt must be a whole number, not a number"),
        (True, "attempt must be a whole number, not true or false"),
        ("1", "attempt must be a whole number, not text"),
    ],
)
def test_another_attempt_is_refused(attempt: Any, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        Training(title="t", type="x", attempt=attempt, max_attempts=1_000_000)
    assert str(caught.value) == message


def test_an_abandoned_session_is_refused_with_the_reason() -> None:
    with pytest.raises(
        ValueError,
        match="abandoned: such a session leaves no evidence, do not hand its record over",
    ):
        TrainingOutcome(status="abandoned", score=0.1, pass_threshold=0.7)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", ["failed", "PASSED", "", None, 1, [], {}])
def test_another_status_is_refused(status: Any) -> None:
    with pytest.raises(ValueError, match="status must be passed or exhausted, not"):
        TrainingOutcome(status=status, score=0.1, pass_threshold=0.7)


@pytest.mark.parametrize("name", ["started_at", "completed_at", "generated_at"])
def test_a_moment_without_a_time_zone_is_refused(name: str) -> None:
    with pytest.raises(FieldError, match=f"^{name} needs a time zone$"):
        record(**{name: datetime(2026, 2, 21, 10, 0)})
    with pytest.raises(FieldError, match=f"^{name} must be a date and time, not text"):
        record(**{name: "2026-02-21T10:00:00Z"})


def test_a_moment_is_stored_in_utc() -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    utc = record(generated_at=datetime(2026, 2, 22, 3, 0, tzinfo=india)).generated_at
    assert (utc.isoformat(), utc.tzinfo) == ("2026-02-21T21:30:00+00:00", UTC)


def test_a_moment_outside_the_years_of_utc_is_refused() -> None:
    with pytest.raises(FieldError, match="lies outside the years 1 to 9999 of UTC"):
        record(generated_at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))))


def test_lists_become_tuples_and_text_is_no_list() -> None:
    module = Module(title="m", score=1, questions=[Question(text="q", answer="", score=1)])
    assert isinstance(module.questions, tuple)
    with pytest.raises(FieldError, match="^weak_areas must be a list, not text$"):
        TrainingOutcome(status="passed", score=1, pass_threshold=1, weak_areas="phishing")
    with pytest.raises(FieldError, match=r"^weak_areas\[1\] must be text, not a number$"):
        TrainingOutcome(status="passed", score=1, pass_threshold=1, weak_areas=("a", 3))


def test_every_part_is_of_its_class() -> None:
    with pytest.raises(FieldError, match="^employee must be of class Employee, not an object$"):
        record(employee={"id": "emp-7"})
    with pytest.raises(FieldError, match=r"^modules\[0\] must be of class Module, not text$"):
        record(modules=["Phishing"])


@pytest.mark.parametrize("version", [2, 0, -1, True, "1", None, 10**50])
def test_another_schema_version_is_refused(version: Any) -> None:
    with pytest.raises(FieldError, match="^schema_version "):
        record(schema_version=version)


def test_a_content_hash_names_its_method() -> None:
    assert record(content_hash="sha256:...").content_hash == "sha256:..."
    with pytest.raises(FieldError, match="^content_hash must begin with sha256:$"):
        record(content_hash="md5:abc")


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "extra must be an object, not a list"),
        ({"a": float("nan")}, "extra.a is not a finite number"),
        ({"a": [0, float("inf")]}, "extra.a[1] is not a finite number"),
        ({"a": {1: 2}}, "extra.a[1] has a number for a key; a key is text"),
        ({"a": {"x y": MOMENT}}, "extra.a['x y'] is a Python datetime, which JSON does not know"),
        ({"a": "\udfff"}, "extra.a holds half a character (a lone surrogate), which is not text"),
        ({"\udfff": 1}, r"extra['\udfff'] has half a character (a lone surrogate) in its key"),
        ({"a": 10**5000}, "extra.a is a number of more than 4,200 digits"),
        ({"a": deep(63)}, f"extra.a{'[0]' * 62} is nested deeper than 64 levels"),
    ],
)
def test_extra_holds_what_json_can_hold(extra: Any, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        record(extra=extra)
    assert str(caught.value) == message


def test_extra_may_be_nested_to_the_limit() -> None:
    assert record(extra={"a": deep(62)}).extra == {"a": deep(62)}


def test_an_extra_that_contains_itself_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    with pytest.raises(FieldError, match="is nested deeper than 64 levels"):
        record(extra=endless)


def test_the_record_keeps_a_copy_of_extra() -> None:
    inner = [1]
    made = record(extra={"a": inner})
    inner.append(2)
    assert made.extra == {"a": [1]}


def test_none_means_absent_for_every_optional_field() -> None:
    outcome = TrainingOutcome(status="passed", score=1, pass_threshold=0.7, weak_areas=None)
    made = record(outcome=outcome, extra=None, content_hash=None)
    assert (made.outcome.weak_areas, made.extra, made.content_hash) == ((), {}, None)
