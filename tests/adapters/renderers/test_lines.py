"""Where a text may break, and in which direction it runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.adapters.renderers.lines import GAP, SPACE, breakable, runs_to_the_left

ZERO_WIDTH_SPACE = "\u200b"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "A plain sentence with spaces.",
        "x" * 23,
        "emp-7",
        "सुरक्षा" * 9,
        "漢字" * 200,
        "ภาษาไทย" * 50,
        "한국어" * 99,
    ],
)
def test_what_breaks_by_itself_is_left_as_it_is(words: str) -> None:
    assert breakable(words) == words


def test_an_address_breaks_after_its_punctuation() -> None:
    laid = breakable("annika.lindqvist@nordics.acme.example")
    assert laid.split(GAP) == ["annika.", "lindqvist@", "nordics.", "acme.", "example"]


def test_an_id_breaks_after_its_hyphens_also_before_a_digit() -> None:
    laid = breakable("ev-550e8400-e29b-41d4-a716-446655440000")
    assert laid.split(GAP) == ["ev-", "550e8400-", "e29b-", "41d4-", "a716-", "446655440000"]


@pytest.mark.parametrize("letter", ["W", "β", "Ж", "7", "Ա"])
def test_a_word_that_is_longer_than_a_column_breaks_anywhere(letter: str) -> None:
    assert breakable(f"a {letter * 24} b") == f"a {GAP.join(letter * 24)} b"


def test_a_letter_keeps_its_marks() -> None:
    assert breakable("e\u0301" * 90) == GAP.join(["e\u0301"] * 90)


def test_an_endless_word_of_joined_letters_breaks_between_its_syllables() -> None:
    laid = breakable("क्ष" * 40)  # a consonant, a virama, a consonant: one shape
    assert laid == GAP.join(["क्ष"] * 40)


def test_a_text_too_long_to_copy_breaks_at_plain_zero_width_spaces() -> None:
    laid = breakable("x" * 5000)
    assert GAP not in laid
    assert laid == ZERO_WIDTH_SPACE.join("x" * 5000)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters=GAP + ZERO_WIDTH_SPACE)))
def test_nothing_is_lost_and_nothing_else_added(words: str) -> None:
    assert breakable(words).replace(GAP, "").replace(ZERO_WIDTH_SPACE, "") == words


@given(st.text(alphabet="ab.@/é-", min_size=24, max_size=2000))
def test_no_piece_is_longer_than_a_column(words: str) -> None:
    assert max(map(len, breakable(words).split(GAP))) < 24


@pytest.mark.parametrize("words", ["שלום world", "123 مرحبا", "(42) ދިވެހި", "'שלום'"])
def test_a_text_that_begins_in_hebrew_or_arabic_runs_to_the_left(words: str) -> None:
    assert runs_to_the_left(words)


@pytest.mark.parametrize("words", ["hello שלום", "", "123", "Привет", "漢字", "हिन्दी"])
def test_another_text_runs_to_the_right(words: str) -> None:
    assert not runs_to_the_left(words)


@pytest.mark.parametrize(
    ("words", "laid"),
    [
        ("xA\u20ddy", f"x{SPACE}A\u20dd{SPACE}y"),
        ("1\ufe0f\u20e3", f"{SPACE}1\ufe0f\u20e3{SPACE}"),
        ("e\u0301\u20de", f"{SPACE}e\u0301\u20de{SPACE}"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_a_mark_that_encloses_a_letter_has_room(words: str, laid: str) -> None:
    assert breakable(words) == laid
