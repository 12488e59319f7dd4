"""Numbers and durations that a host gives, and what is none."""

from __future__ import annotations

from datetime import timedelta
from math import inf, nan

import pytest

from evidence_courier.domain.arguments import number_of_seconds, whole_number
from evidence_courier.domain.errors import MisuseError


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
