"""Which characters no page can show."""

from __future__ import annotations

import pytest

from evidence_courier.domain.evidence.legibility import (
    is_showable,
    marked,
    named,
    texts_of,
    unshowable,
)


@pytest.mark.parametrize(
    "letter",
    [*"\x00\x07\x1b\x1c\x1f\x7f\x80\x9f", *"\u202d\u202e\u2061\ufff9", *"\ue000\ufdd0\uffff\ud800"],
)
def test_what_has_no_shape_or_no_meaning_cannot_be_shown(letter: str) -> None:
    assert not is_showable(letter)


@pytest.mark.parametrize("letter", ["\U000e0041", "\U000f0000", "\U0010ffff"])
def test_nor_can_such_characters_beyond_the_first_plane(letter: str) -> None:
    assert not is_showable(letter)


@pytest.mark.parametrize(
    "letter",
    [
        *" \t\n\r\x0b\x85\u2028",
        *"\u200b\u200c\u200d\u00ad\ufeff\u200e\u2067\u2069",
        *"aé\u0301कש中😀",
    ],
)
def test_white_space_joiners_and_every_letter_may_be_shown(letter: str) -> None:
    assert is_showable(letter)


def test_each_is_found_with_its_place_once() -> None:
    tree = {
        "employee": {"name": "a\x07b\x07"},
        "modules": [{"title": "ok"}, {"title": "\u202eno\x00"}],
        "score": 1,
    }
    assert list(unshowable(tree)) == [
        ("\x07", "employee.name"),
        ("\u202e", "modules[1].title"),
        ("\x00", "modules[1].title"),
    ]
    assert list(unshowable(["a", "\x07"], "modules")) == [("\x07", "modules[1]")]
    assert list(texts_of({"employee": {"name": "a"}, "score": 1})) == [("employee.name", "a")]


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("आ", "“आ” (U+0906 DEVANAGARI LETTER AA)"),
        ("😀", "“😀” (U+1F600 GRINNING FACE)"),
        ("\x07", "U+0007 a control character"),
        ("\u0f74", "U+0F74 TIBETAN VOWEL SIGN U"),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("\uffff", "U+FFFF no name"),
    ],
)
def test_a_character_is_named_so_that_it_can_be_found(letter: str, name: str) -> None:
    assert named(letter) == name


def test_what_cannot_be_shown_is_spelt_in_a_text() -> None:
    assert marked("plain é", set()) == "plain é"
    assert marked("a\x07b \u202e", set()) == (
        "a[U+0007 a control character]b [U+202E RIGHT-TO-LEFT OVERRIDE]"
    )
    assert marked("yes 👍", {"👍"}) == "yes [U+1F44D THUMBS UP SIGN]"
