"""How long each part is kept, as a person writes it, and where a person's name stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.retention import (
    KeepPeriod,
    Names,
    Part,
    Retention,
    erased_id,
    is_common,
    key_of_erased,
    numbered,
    same_name,
)

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
RULES = Retention.parse(
    {"attempts": "400d", "personal": "90d after success", "failed_documents": "12w"}
)


@pytest.mark.parametrize(
    ("text", "period", "after_success"),
    [
        ("400d", timedelta(days=400), False),
        ("52 w", timedelta(weeks=52), False),
        ("12h", timedelta(hours=12), False),
        ("90d  after success", timedelta(days=90), True),
        ("never", None, False),
    ],
)
def test_a_time_reads_as_it_is_meant(
    text: str, period: timedelta | None, after_success: bool
) -> None:
    kept = KeepPeriod.parse(text)
    assert (kept.period, kept.after_success) == (period, after_success)


@pytest.mark.parametrize("value", ["", "90", 90, "0d", "-1d", "1.5d", "90 days", "for ever", None])
def test_what_is_no_time_is_refused_with_an_example(value: object) -> None:
    with pytest.raises(
        ValueError, match="as 12h, 90d, 52w or 90d after success, at least 1h, or never"
    ):
        KeepPeriod.parse(value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"attemptz": "90d"}, "no key 'attemptz': did you mean attempts"),
        ({"zzz": "90d"}, "it takes attempts, personal, failed_documents"),
        ({"attempts": "90"}, "retention.attempts must say how long"),
        ({"failed_documents": "90d after success"}, "retention.failed_documents is about"),
        (
            90,
            '^retention must be a mapping, as {"attempts": "400d", "personal": "90d after success",'
            ' "failed_documents": "90d"}, not int$',
        ),
        ("attempts: 90: d", "retention.attempts must say how long"),
        ("90d", "has '90d' without a colon: write it as attempts: 400d"),
        ("attempts 400d, personal: 90d", "has 'attempts 400d' without a colon"),
        ("attempts: 400d, attempts: 3d", "has 'attempts' twice, and only one of them can hold"),
    ],
)
def test_rules_that_cannot_be_read_are_refused(given: object, words: str) -> None:
    with pytest.raises(MisuseError, match=words):
        Retention.parse(given)


@pytest.mark.parametrize(
    ("days", "succeeded", "parts"),
    [
        (83, True, set()),
        (84, False, {Part.DOCUMENT}),
        (90, True, {Part.PERSONAL}),
        (399, False, {Part.DOCUMENT}),
        (400, True, {Part.PERSONAL, Part.ATTEMPTS}),
        (400, False, {Part.DOCUMENT, Part.ATTEMPTS}),
    ],
)
def test_a_part_stays_for_its_own_time(days: int, succeeded: bool, parts: set[Part]) -> None:
    assert RULES.over_by(NOW - timedelta(days=days), NOW, succeeded=succeeded) == parts


def test_rules_are_read_from_a_text_too() -> None:
    text = "attempts: 400d, personal: 90d after success,failed_documents:12w"
    assert Retention.parse(text) == RULES
    assert Retention.parse("") == Retention()


def test_without_a_rule_nothing_is_ever_removed() -> None:
    assert Retention().over_by(datetime.min.replace(tzinfo=UTC), NOW, succeeded=False) == set()
    assert not Retention().removes
    assert str(Retention()) == "nothing is removed"
    assert not Retention.parse({"attempts": "never"}).removes
    assert RULES.removes


def test_what_a_tenant_says_wins_and_the_rest_is_the_couriers() -> None:
    own = Retention.parse({"attempts": "never", "personal": "30d"})
    both = own.over(RULES)
    assert str(both) == "attempts never, personal 30d, failed_documents 12w"


@pytest.mark.parametrize(
    ("text", "stands", "part"),
    [
        ("as Jane.D-7 said", True, True),
        ("jane.d-7", True, True),
        ("(JANE.D-7)", True, True),
        ("course_jane.d-7_final", True, True),
        ("jane.d-77", False, True),
        ("xjane.d-7", False, True),
        ("not jane.d-77 but", False, True),
        ("not xjane.d-7 but", False, True),
        ("jane.d-7, xjane.d-7", True, True),
        ("xjane.d-7, jane.d-7, jane.d-77", True, True),
        ("jane", False, False),
        ("", False, False),
    ],
)
def test_a_name_is_found_as_a_word_and_as_a_part(text: str, stands: bool, part: bool) -> None:
    names = Names(["jane.d-7", "jane@example.com"])
    assert (names.stand_in(text), names.are_part_of(text)) == (stands, part)


def test_a_short_name_is_no_part_of_a_longer_word() -> None:
    assert not Names(["7"]).are_part_of("ev-1007")
    assert Names(["7"]).are_part_of("ev-7")
    assert not Names(["u-7"]).are_part_of("eu-7")
    assert Names(["u-12"]).are_part_of("eu-123")
    assert not Names([]).stand_in("anything")


def test_a_name_is_found_in_any_spelling() -> None:
    assert Names(["Zoë"]).stand_in("ZOE\u0308 is here")
    assert same_name("Zoë", "ZOE\u0308")
    assert not same_name("Zoë", "zoe")


@pytest.mark.parametrize(
    ("name", "common"),
    [
        ("503", True),
        ("10-2026", True),
        ("jan", True),
        ("jane", False),
        ("u-12", False),
        ("j@b", False),
        ("1@23.45", False),
    ],
)
def test_a_short_word_and_a_number_may_be_about_something_else(name: str, common: bool) -> None:
    """An address never is, however short."""
    assert is_common(name) is common


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jane+x@example.com", "GET /users?email=jane%2Bx%40example.com"),
        ("jane+x@example.com", "GET /users?email=jane+x%40example.com"),
        ("ACME\\jane", '{"uploader": "ACME\\\\jane"}'),
        ("zoë.b", '{"id": "zo\\u00eb.b"}'),
        ("ACME\\zoë", '{"uploader": "ACME\\\\zoë"}'),
        ("zoë@example.com", "GET /users?email=zo%C3%AB%40example.com"),
        ("jane\ud800", "GET /users?id=jane%3F"),
    ],
)
def test_a_name_is_found_within_json_and_within_a_url(name: str, text: str) -> None:
    assert Names([name]).stand_in(text)


def test_an_erased_id_tells_nothing_and_is_always_the_same() -> None:
    made = erased_id(b"key", "acme", "course-jane")
    assert made == erased_id(b"key", "acme", "course-jane")
    assert "jane" not in made
    others = [
        (b"other", "acme", "course-jane"),
        (b"key", "b", "course-jane"),
        (b"key", "acme", "course-bo"),
    ]
    assert made not in [erased_id(*other) for other in others]


@pytest.mark.parametrize(
    ("evidence_id", "erased"),
    [
        ("course-jane", "erased-1f6afb39e84f4be45a3686fbfc999478"),
        ("zoë", "erased-91ff28af2ac228fb764ed06a69748544"),
        ("\ud800", "erased-5d420ebdb7c2a8702f2e061b1ceea2ca"),
    ],
)
def test_an_erased_id_is_the_same_in_every_version(evidence_id: str, erased: str) -> None:
    """Records were renamed to it, so `printf 'acme\\0course-jane' | openssl dgst -sha256 -hmac key`
    and what other versions compute must agree with it."""
    assert erased_id(b"key", "acme", evidence_id) == erased


def test_the_key_of_erased_ids_is_the_same_in_every_version() -> None:
    """As `printf erased | openssl dgst -sha256 -hmac 'fingerprint key'` prints it."""
    assert key_of_erased(b"fingerprint key").hex() == (
        "07d6fde7892a0293a23fc55a4e8f5f582b7a372740b86ea8e6622062d7984a23"
    )


def test_what_is_erased_again_under_one_id_is_numbered() -> None:
    assert [*islice(numbered("erased-0f"), 3)] == ["erased-0f", "erased-0f-2", "erased-0f-3"]


@pytest.mark.parametrize(
    ("another", "text"),
    [
        ("u-1 (contractor)", "user u-1 (contractor) not found"),
        ("+u-1", "by +u-1"),
        ("u-1_b", "_u-1_b_ is unknown"),
    ],
)
def test_a_longer_name_may_begin_or_end_with_any_sign(another: str, text: str) -> None:
    assert Names(["u-1"]).stand_in(text)
    assert not Names(["u-1"]).of_another([another]).stand_in(text)


def test_a_name_is_found_right_beside_a_longer_one_or_another_like_it() -> None:
    assert Names(["(jane)"]).of_another(["(jane)-b"]).stand_in("(jane)(jane)-b")
    assert Names(["--"]).stand_in("a---")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no user jane.doe", False),
        ("Jane.Doe@example.com is unknown", False),
        ("jane.doe, and jane", True),
        ("jane.doering", True),
        ("jane.pdf", True),
        ("by jane.", True),
    ],
)
def test_what_is_about_another_person_may_have_a_longer_name(text: str, found: bool) -> None:
    names = Names(["jane"]).of_another(["jane.doe", "jane.doe@example.com", "jane"])
    assert names.stand_in(text) is found
