"""The name under which a document is sent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.evidence.file_name import file_name_for

SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_carries_the_evidence_id_and_the_first_twelve_digits_of_the_digest() -> None:
    assert file_name_for("ev-1", SHA, "pdf") == "ev-1-9f86d081884c.pdf"


@pytest.mark.parametrize(
    ("evidence_id", "start"),
    [
        ("../../etc/passwd", "_.._etc_passwd-"),
        ("a/b", "a_b-"),
        ("प्रमाण", "_-"),
        (".hidden", "hidden-"),
        ("...", "evidence-"),
        ("CON.1", "_CON.1-"),
        ("half\ud800character", "half_character-"),
        ('x";\r\nContent-Type: text/html', "x_Content-Type_text_html-"),
        ("e" * 500, "e" * 100 + "-"),
    ],
)
def test_what_cannot_stay_is_replaced_and_leaves_a_mark(evidence_id: str, start: str) -> None:
    name = file_name_for(evidence_id, SHA, "pdf")
    assert re.fullmatch(re.escape(start) + r"[0-9a-f]{8}-9f86d081884c\.pdf", name)


@pytest.mark.parametrize(
    ("extension", "tail"),
    [
        ("json", "json"),
        ("tar.gz", "targz"),
        ("p d/f", "pdf"),
        ("", "bin"),
        ("..", "bin"),
        ("ळ", "bin"),
        ("abcdefghijkl", "abcdefghij"),
    ],
)
def test_the_extension_is_one_short_word(extension: str, tail: str) -> None:
    assert file_name_for("ev-1", SHA, extension) == f"ev-1-9f86d081884c.{tail}"


@pytest.mark.parametrize("evidence_id", ["Xavier-1", "acme-2026-0001", "a.b_c-d", "_"])
def test_an_id_that_may_stay_stays_as_it_is(evidence_id: str) -> None:
    assert file_name_for(evidence_id, SHA, "pdf") == f"{evidence_id}-9f86d081884c.pdf"


def test_two_ids_that_look_alike_once_made_safe_do_not_meet_under_one_name() -> None:
    names = {file_name_for(evidence_id, SHA, "pdf") for evidence_id in ("a/b", "a:b", "a_b", "a b")}
    assert len(names) == 4


@given(st.text(min_size=1, max_size=600), st.text(max_size=30))
def test_any_id_and_extension_give_a_name_that_is_safe_everywhere(
    evidence_id: str, extension: str
) -> None:
    name = file_name_for(evidence_id, SHA, extension)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*-9f86d081884c\.[A-Za-z0-9_-]{1,10}", name)
    assert len(name) < 150
    assert name.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt1"}
    assert file_name_for(evidence_id, SHA, extension) == name
