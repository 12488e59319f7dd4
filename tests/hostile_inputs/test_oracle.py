"""The oracle that the other tests here rely on: it sees a secret in each of its disguises, and
nothing where there is none."""

from __future__ import annotations

import pytest
from hostile import ECHOES, leaks
from hypothesis import given
from hypothesis import strategies as st

SECRET = "sk-Live/9aB+cD3=fG.h~iJ4kLmNoPqRsT"


@pytest.mark.parametrize("name", ECHOES)
def test_a_secret_is_seen_in_each_disguise(name: str) -> None:
    assert leaks(f'{{"said": "{ECHOES[name](SECRET)}"}}', SECRET)
    assert leaks(f"before {ECHOES[name](SECRET)} after".encode(), SECRET)


@pytest.mark.parametrize(
    "name", [name for name in ECHOES if "far" not in name and "cut" not in name]
)
@pytest.mark.parametrize("start", range(0, len(SECRET) - 11, 5))
def test_of_a_secret_eleven_characters_are_enough_in_each_disguise(name: str, start: int) -> None:
    assert leaks(f"<{ECHOES[name](SECRET[start : start + 11])}>", SECRET)


@given(st.integers(0, len(SECRET) - 8), st.binary(max_size=5), st.binary(max_size=5))
def test_eight_characters_are_seen_wherever_they_stand_in_what_was_encoded(
    start: int, before: bytes, after: bytes
) -> None:
    run = before + SECRET[start : start + 8].encode() + after
    for name in ("hex", "base64", "base64 for URLs"):
        said = ECHOES[name](run.decode("latin-1")) if run.isascii() else run.hex()
        assert leaks(said, SECRET)


@pytest.mark.parametrize("start", range(len(SECRET) - 7))
def test_seven_characters_are_not_a_run(start: int) -> None:
    assert leaks(f"<{SECRET[start : start + 7]}>", SECRET) == []
    assert leaks(f"<{SECRET[start : start + 8]}>", SECRET)


@given(st.text(), st.binary())
def test_the_oracle_finds_nothing_where_nothing_is(text: str, data: bytes) -> None:
    assert leaks(text, SECRET) == leaks(data, SECRET) == []
    assert leaks("*** 0123456789abcdef YWJjZGVmZ2hpamtsbW5vcA== %20\\u0041", SECRET) == []


def test_all_of_a_short_secret_counts() -> None:
    assert leaks("is s3cr right?", "s3cr")
    assert leaks("is s3c, right?", "s3cr") == []
