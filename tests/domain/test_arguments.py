"""What is taken of what a host gives, and what is refused, in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from evidence_courier.domain.arguments import (
    aware,
    is_whole,
    number_of_seconds,
    several,
    whole_number,
    word_of,
)
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.upload.upload import Status


@pytest.mark.parametrize("value", [0, -3, 7])
def test_a_whole_number_is_taken(value: int) -> None:
    whole_number("limit", value)


@pytest.mark.parametrize(
    ("value", "seen"), [(True, "True"), (False, "False"), (1.0, "float"), ("1", "str")]
)
def test_what_is_no_whole_number_is_named(value: object, seen: str) -> None:
    with pytest.raises(MisuseError) as refused:
        whole_number("limit", value)
    assert str(refused.value) == f"limit must be a whole number, not {seen}"


@pytest.mark.parametrize("value", [0, 0.5, 20, inf])
@pytest.mark.parametrize("at_least_0", [False, True])
def test_a_number_of_seconds_is_taken(value: float, at_least_0: bool) -> None:
    number_of_seconds("until", value, at_least_0=at_least_0)


@pytest.mark.parametrize(
    ("value", "seen"),
    [(True, "True"), (nan, "nan"), (timedelta(1), "timedelta"), ("1", "str"), (None, "NoneType")],
)
def test_what_is_no_number_of_seconds_is_named(value: object, seen: str) -> None:
    with pytest.raises(MisuseError) as refused:
        number_of_seconds("grace", value)
    assert str(refused.value) == f"grace must be a number of seconds, not {seen}"


@pytest.mark.parametrize("value", [-1, -0.5])
def test_a_negative_number_is_a_time_that_is_over_unless_that_is_refused(value: float) -> None:
    number_of_seconds("grace", value)
    with pytest.raises(MisuseError) as refused:
        number_of_seconds("until", value, at_least_0=True)
    assert str(refused.value) == f"until must be a number of seconds, 0 or more, not {value}"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("now", "'now'"),
        (datetime(2026, 2, 21), "datetime.datetime(2026, 2, 21, 0, 0)"),
    ],
)
def test_a_moment_needs_its_time_zone(value: object, seen: str) -> None:
    aware("since", datetime(2026, 2, 21, tzinfo=UTC))
    with pytest.raises(MisuseError) as refused:
        aware("since", value)
    assert str(refused.value) == (f"since must be a datetime with a time zone (aware), not {seen}")


def test_several_values_are_each_of_the_kind() -> None:
    assert several("ids", ["ev-1", "ev-2"], str, "text") == ("ev-1", "ev-2")
    assert several("ids", iter(()), str, "text") == ()


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ("ev-1", "ids must be a list, not str"),
        (b"ev-1", "ids must be a list, not bytes"),
        (7, "ids must be a list, not int"),
        (["ev-1", 2], "each of ids must be text, not int"),
    ],
)
def test_a_text_is_not_several_letters(values: list[str], refusal: str) -> None:
    with pytest.raises(MisuseError) as refused:
        several("ids", values, str, "text")
    assert str(refused.value) == refusal


def test_half_a_character_is_no_whole_text() -> None:
    assert is_whole("zo\u00eb \U0001f600")
    assert not is_whole("zo\ud83d")


@pytest.mark.parametrize(
    ("word", "refusal"),
    [
        ("hold", "'hold' is no status: did you mean 'held'?"),
        (
            "x",
            "'x' is no status; known are pending, retrying, held, succeeded, failed, skipped",
        ),
        (7, "7 is no status; known are pending, retrying, held, succeeded, failed, skipped"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(word: object, refusal: str) -> None:
    assert word_of(Status, "status", "held") is Status.HELD
    with pytest.raises(MisuseError) as refused:
        word_of(Status, "status", word)
    assert str(refused.value) == refusal
