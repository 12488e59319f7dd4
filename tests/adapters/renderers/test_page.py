"""What stands on the pages, before it is set."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_records import record_as_json

from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.renderers.lines import GAP
from evidence_courier.adapters.renderers.page import (
    in_words,
    one_line,
    page_of,
    paragraphs,
    percent,
    score_and_threshold,
)
from evidence_courier.domain.evidence.record_json import record_json
from evidence_courier.domain.evidence.training import TrainingOutcome


def page(**changes: Any) -> dict[str, Any]:
    record = load_record(record_as_json(**changes))
    return page_of(record, record_json(record))


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.86, "86 %"),
        (0.29, "29 %"),
        (0.865, "86.5 %"),
        (2 / 3, "66.66 %"),
        (0.69999999, "69.99 %"),
        (1e-9, "0 %"),
        (5e-324, "0 %"),
    ],
)
def test_a_share_is_a_percentage_that_is_never_rounded_up(share: float, words: str) -> None:
    assert percent(share) == words


@pytest.mark.parametrize(
    ("status", "score", "threshold", "shown"),
    [
        ("passed", 0.86, 0.7, ("86 %", "70 %")),
        ("passed", 0.7 - 1e-16, 0.7, ("70 %", "70 %")),
        ("passed", 0.69996, 0.7, ("70 %", "70 %")),
        ("passed", 0.5, 0.7, ("50 %", "70 %")),
        ("exhausted", 0.69999, 0.69999999, ("69.999 %", "69.9999 %")),
        ("exhausted", 0.7 - 1e-16, 0.7, ("69.99 %", "70 %")),
        ("exhausted", 2 / 3 - 1e-9, 2 / 3, ("66.66666656 %", "66.66666666 %")),
        ("exhausted", 5e-324, 1e-300, ("5E-322 %", "1E-298 %")),
    ],
)
def test_the_percentages_do_not_contradict_the_verdict(
    status: Literal["passed", "exhausted"], score: float, threshold: float, shown: tuple[str, str]
) -> None:
    outcome = TrainingOutcome(status=status, score=score, pass_threshold=threshold)
    assert score_and_threshold(outcome) == shown


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_score_that_did_not_reach_the_threshold_never_looks_like_it(
    one: float, other: float
) -> None:
    low, high = sorted((one, other))
    outcome = TrainingOutcome(status="exhausted", score=low, pass_threshold=high)
    score, threshold = (float(shown[:-2]) for shown in score_and_threshold(outcome))
    assert score < threshold or low == high


@pytest.mark.parametrize(
    ("status", "score", "said"),
    [
        ("passed", 0.7, ""),
        ("passed", 0.69996, ""),
        ("passed", 0.6999, "; recorded as passed all the same"),
        ("exhausted", 0.6999, ""),
        ("exhausted", 0.69999, ""),
        ("exhausted", 0.7, "; recorded as exhausted all the same"),
    ],
)
def test_a_verdict_that_is_not_what_the_score_comes_to_says_so(
    status: str, score: float, said: str
) -> None:
    shown = page(outcome__status=status, outcome__score=score)
    assert shown["threshold"] == f"70 % needed to pass{said}"


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_greater_share_never_looks_smaller(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert float(percent(low)[:-2]) <= float(percent(high)[:-2]) <= 100


def test_a_moment_is_written_in_words_and_in_utc() -> None:
    assert (
        in_words(datetime(2026, 2, 1, 9, 5, 3, 999_999, tzinfo=UTC))
        == "1 February 2026, 09:05:03 UTC"
    )
    assert in_words(datetime(1, 12, 31, tzinfo=UTC)) == "31 December 1, 00:00:00 UTC"


def test_white_space_is_one_space_in_a_line_and_lines_stay_in_a_text() -> None:
    assert one_line(" a\tb\r\nc\u2028d\x0be ") == "a b c d e"
    assert paragraphs("a  b\r\n\n\n\nc\x85d\n\n") == "a b\n\nc\nd"
    assert paragraphs("\n \n") == ""


def test_the_document_bears_the_moment_of_the_evidence_in_utc() -> None:
    shown = page(generated_at="2026-02-22T00:30:07+05:30")
    assert list(shown["document"]["date"].values()) == [2026, 2, 21, 19, 0, 7]
    assert shown["document"]["title"].endswith(", passed, 2026-02-21")


@pytest.mark.parametrize(
    ("language", "set_as"),
    [
        (None, {"lang": "en"}),
        ("DE", {"lang": "de"}),
        ("pt-br", {"lang": "pt", "region": "BR"}),
        ("sr-Latn-RS", {"lang": "sr", "region": "RS"}),
        ("zh-Hant", {"lang": "zh"}),
        ("es-419", {"lang": "es"}),
    ],
)
def test_the_language_of_the_record_is_the_documents(
    language: str | None, set_as: dict[str, str]
) -> None:
    assert page(language=language)["document"]["language"] == set_as


def test_the_digest_of_the_record_is_shown() -> None:
    shown = page()
    digest = hashlib.sha256(record_json(load_record(record_as_json()))).hexdigest()
    assert shown["hashes"] == [
        ("SHA-256 of record.json", digest),
        ("Content hash", "sha256:" + "ab" * 32),
    ]
    assert page(content_hash=None)["hashes"][1:] == []


def test_ids_and_moments_are_shown_and_what_is_unknown_is_not_made_up() -> None:
    facts = dict(page(employee={"id": "emp-7"})["facts"])
    assert facts["Employee"] is None
    assert facts["Email"] is None
    assert facts["Recorded"] == "21 February 2026, 10:00:03 UTC"
    assert [facts[name] for name in ("Employee id", "Tenant", "Session", "Evidence")] == [
        "emp-7",
        "acme",
        "s-1",
        "ev-1",
    ]


def test_a_long_id_is_whole_among_the_facts_and_shortened_in_the_footer() -> None:
    shown = page(evidence_id="a-" * 200)
    assert dict(shown["facts"])["Evidence"].replace(GAP, "") == "a-" * 200
    assert shown["footer"].replace(GAP, "") == "Evidence " + "a-" * 35 + "…"


def test_text_from_right_to_left_says_so() -> None:
    assert page(training__title="שלום")["title"] == {"rtl": "שלום"}
    assert page(training__title="Shalom")["title"] == "Shalom"


def test_each_member_of_extra_has_a_line_in_key_order() -> None:
    extra = {
        "b": "plain\ntext",
        "a": {"y": [1, None], "x": "é"},
        "c": True,
        "d": "bell\x07",
        "e": {"o": "\u202e"},
    }
    assert page(extra=extra)["extra"] == [
        ("a", '{"x": "é", "y": [1, null]}'),
        ("b", "plain\ntext"),
        ("c", "true"),
        ("d", "bell[U+0007 a control character]"),
        ("e", '{"o": "[U+202E RIGHT-TO-LEFT OVERRIDE]"}'),
    ]


def test_a_long_extra_is_cut_short_and_says_so() -> None:
    ((_, value),) = page(extra={"a": "word " * 400})["extra"]
    assert value.endswith("… (1,399 more characters in record.json)")
    assert len(value) < 660


def test_many_extras_are_cut_short_and_say_so() -> None:
    rows = page(extra={f"k{number:03}": number for number in range(100)})["extra"]
    assert len(rows) == 61
    assert rows[-1] == ("", "and 40 more in record.json")


def test_a_question_stays_whole_unless_it_could_fill_half_a_page() -> None:
    def breaks(answer: str) -> bool:
        question = {"text": "q", "answer": answer, "score": 1}
        shown = page(modules=[{"title": "m", "score": 1, "questions": [question]}])
        return bool(shown["modules"][0]["questions"][0]["breaks"])

    assert not breaks("short")
    assert breaks("x " * 1000)
    assert breaks("\n".join("many lines are also long".split() * 5))


@pytest.mark.parametrize(
    ("areas", "columns"),
    [
        ([], 3),
        (["phishing"], 3),
        (["a" * 40] * 3, 2),
        (["a" * 90] * 3, 1),
        (["short"] * 9 + ["a" * 90], 3),
    ],
)
def test_weak_areas_stand_in_as_many_columns_as_most_fit(areas: list[str], columns: int) -> None:
    assert page(outcome__weak_areas=areas)["weak-columns"] == columns
