"""Secrets are masked however a reply echoes them, and foreign text is made tame."""

from __future__ import annotations

import base64
import html
import json
import unicodedata
import urllib.parse
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.domain.secrets.redaction import (
    DETAIL_LIMIT,
    MASK,
    MESSAGE_LIMIT,
    SHORTEST_RUN,
    Redactor,
    tame,
    without_passwords,
    words_of,
)
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.retry_after import MAX_RETRY_AFTER
from evidence_courier.domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Partly,
    Processing,
    Receipt,
    Refused,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)

KEY = 'sk_live/4eC39HqL+yjWDarjt"1zdp7dc&é'

ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in capitals": lambda text: text.replace("é", "").upper(),
    "percent-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "percent-encoded in lower case": lambda text: urllib.parse.quote(text, safe="").replace(
        "%2F", "%2f"
    ),
    "every byte percent-encoded": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "as JSON": json.dumps,
    "as JSON with escaped slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "as JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "percent-encoded twice": lambda text: urllib.parse.quote(
        urllib.parse.quote(text, safe=""), safe=""
    ),
    "as a Python literal": repr,
    "as HTML": lambda text: html.escape(text, quote=True),
    "as numbered HTML entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, second alignment": lambda text: base64.b64encode(b":" + text.encode() + b"!").decode(),
    "base64, third alignment": lambda text: base64.b64encode(b"k:" + text.encode() + b"!").decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(b"k:" + text.encode()).decode(),
    "base64, percent-encoded": lambda text: urllib.parse.quote(
        base64.b64encode(text.encode()), safe=""
    ),
    "base64 of base64": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of base64, other alignments": lambda text: base64.b64encode(
        b"k" + base64.b64encode(b"a" + text.encode())
    ).decode()[2:],
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base32, third alignment": lambda text: base64.b32encode(b"k:" + text.encode()).decode(),
    "base32, fifth alignment": lambda text: base64.b32encode(b"key:" + text.encode()).decode(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "HEXADECIMAL with dashes": lambda text: text.encode().hex("-").upper(),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "octal escapes": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "base64 in lines of 20": lambda text: (
        base64.encodebytes(text.encode()).decode().replace("H", "H\n")
    ),
    "with a line break in the middle": lambda text: f"{text[:9]}\r\n{text[9:]}",
    "spaced out": " ".join,
    "with invisible characters": "\u200b".join,
}


def residue(text: str, secret: str, echo: Callable[[str], str]) -> set[str]:
    """The pieces of the echo, as long as those of eight characters of the secret, that are still
    in the text."""
    whole = echo(secret)
    size = max(SHORTEST_RUN, 2 * len(whole) * SHORTEST_RUN // len(secret))
    pieces = {whole[at : at + size] for at in range(len(whole) - size + 1)}
    return {piece for piece in pieces if piece in text}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_secret_is_masked_however_it_is_echoed(echo: Callable[[str], str]) -> None:
    text = Redactor([Secret(KEY)]).text(f"the key {echo(KEY)} is not known")
    assert MASK in text
    assert text.startswith("the key ")
    assert text.endswith(" is not known")
    assert len(text.removeprefix("the key ").removesuffix(" is not known")) <= 12


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        ("pass%13\\2/word", "pass%13\\\\2/word"),
        ('pass%41"word', 'pass%41\\"word'),
        ("pass\\u0041&word", "pass\\u0041&amp;word"),
        ("pass%41&word", "pass%41&amp;word"),
        ("pass&lt;%word", "pass&lt;%25word"),
        ("pass&#49;\\word", "pass&#49;%5Cword"),
    ],
)
def test_a_secret_that_looks_like_one_escape_is_masked_in_another(secret: str, echo: str) -> None:
    assert Redactor([Secret(secret)]).text(f"<{echo}>") == f"<{MASK}>"


@pytest.mark.parametrize("length", range(SHORTEST_RUN, len(KEY)))
def test_every_run_of_eight_characters_is_masked(length: int) -> None:
    redactor = Redactor([Secret(KEY)])
    for start in range(len(KEY) - length + 1):
        run = KEY[start : start + length]
        assert redactor.text(f"<{run}>") == f"<{MASK}>"
        assert KEY[start : start + 8] not in redactor.text(
            base64.b64encode(b"~" + run.encode()).decode()
        )


@pytest.mark.parametrize("before", range(3))
def test_every_run_of_eight_bytes_is_masked_where_it_is_encoded(before: int) -> None:
    key = KEY.encode()
    redactor = Redactor([Secret(KEY)])
    for start in range(len(key) - 7):
        run = key[start : start + 8]
        assert redactor.text(f"<{run.hex()}>") == f"<{MASK}>"
        assert MASK in redactor.text(base64.b64encode(b"~" * before + run + b"~~").decode())


@pytest.mark.parametrize(
    "echo",
    [
        "%61bcdefgh",
        "abcdefg%68",
        "abcd%65fgh",
        "\\x61bcdefgh",
        "abcdefg\\u0068",
        "abcd\\nefgh",
        "abcd\\ne%66gh",
        "abcd%20efgh",
        "abcd&#101;fgh",
        "&#x61;bcdefgh",
    ],
)
def test_a_mask_covers_an_escape_as_a_whole_and_nothing_beside_it(echo: str) -> None:
    redactor = Redactor([Secret("abcdefgh")])
    assert redactor.text(echo) == MASK
    assert redactor.text(f"<{echo}>") == f"<{MASK}>"


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        ("a<b>c<d>e", "a&lt;b&gt;c&lt;d&gt;e"),
        ("abc€defgh", "abc\\u20acdefgh"),
        ("???>>>???>>>", "Pz8_Pj4-Pz8_Pj4-"),
        ("half \ud800 character", "half\ufffdcharacter"),
        ("a\u200bb c\u200bd e\u200bf", "a%E2%80%8Bb%20c%E2%80%8Bd%20e%E2%80%8Bf"),
    ],
)
def test_a_secret_with_unusual_characters_is_masked(secret: str, echo: str) -> None:
    assert Redactor([Secret(secret)]).text(f"<{echo}>") == f"<{MASK}>"


def test_what_only_begins_like_an_escape_stays() -> None:
    said = "\\xzz %zz &#; &lt; C:\\temp"
    assert Redactor([Secret("&lt;")]).text(said) == said.replace("&lt;", MASK)
    assert Redactor([Secret(KEY)]).text(said) == said


def test_fewer_than_eight_characters_of_a_long_secret_are_not_taken_for_it() -> None:
    assert Redactor([Secret("production-key-1")]).text(
        "in production since"
    ) == "in production since".replace("production", MASK)
    assert Redactor([Secret("production-key-1")]).text("a product of ours") == "a product of ours"


def test_a_secret_of_fewer_than_eight_characters_is_masked_whole() -> None:
    redactor = Redactor([Secret("s3cr")])
    assert redactor.text("is s3cr right? s3c") == f"is {MASK} right? s3c"
    assert redactor.text(f"is {b's3cr'.hex()} right?") == f"is {MASK} right?"


@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("secret", [b"s3cr", b"s3cr5", b"s3cret", b"s3cret7"])
def test_a_short_secret_is_masked_in_the_midst_of_base64(secret: bytes, before: int) -> None:
    echo = base64.b64encode(b"~" * before + secret + b"~~~").decode()
    assert MASK in Redactor([Secret(secret.decode())]).text(echo)


def test_of_three_characters_only_so_much_is_masked_as_could_not_be_chance() -> None:
    redactor = Redactor([Secret("abc")])
    assert redactor.text(f"<{base64.b64encode(b'abc').decode()}>") == f"<{MASK}>"
    by_chance = base64.b64encode(b"\0abc").decode()[2:5]
    assert redactor.text(f"<{by_chance}>") == f"<{by_chance}>"


def test_secrets_beside_one_another_become_one_mask_and_apart_two() -> None:
    redactor = Redactor([Secret("first-secret"), Secret("second-secret")])
    assert redactor.text("first-secretsecond-secret; first-secret") == f"{MASK}; {MASK}"


def test_an_empty_secret_masks_nothing() -> None:
    assert Redactor([Secret("")]).text("nothing to hide") == "nothing to hide"


def test_without_a_secret_in_it_a_text_stays_as_it_is() -> None:
    said = (
        "Evidence uploaded for this check: 100%25 of ळ, see https://app.sprinto.com/x?y=%2F&z=\\n"
    )
    assert Redactor([Secret(KEY)]).text(said) == said


def test_a_text_that_was_found_harmless_is_still_cut() -> None:
    redactor = Redactor([Secret(KEY)])
    assert redactor.text("a sentence without harm") == redactor.text("a sentence without harm")
    assert redactor.text("a sentence without harm", limit=10) == "a sentenc…"


def test_a_text_that_was_masked_is_masked_again() -> None:
    redactor = Redactor([Secret(KEY)])
    assert [redactor.text(f"no {KEY}") for _ in range(2)] == [f"no {MASK}", f"no {MASK}"]


def test_line_breaks_control_and_invisible_characters_leave_one_line() -> None:
    hostile = (
        "line one\r\n2026-02-21 ERROR forged\x1b[31m\u2028\u202egnorw\u2066 \ufeffend\ud800\x00"
    )
    assert tame(hostile) == "line one 2026-02-21 ERROR forged [31m gnorw end\ufffd"


def test_texts_are_cut_to_what_a_person_reads() -> None:
    redactor = Redactor([Secret(KEY)])
    failure = redactor.failure(
        Failure(
            FailureKind.SERVER_ERROR,
            "m" * 9_000,
            http_status=502,
            retry_after=3.0,
            detail="d" * 1_000_000,
        )
    )
    assert failure.message == "m" * (MESSAGE_LIMIT - 1) + "…"
    assert failure.detail == "d" * (DETAIL_LIMIT - 1) + "…"
    assert (failure.kind, failure.http_status, failure.retry_after) == (
        FailureKind.SERVER_ERROR,
        502,
        3.0,
    )


def test_a_text_of_just_the_longest_length_stays_as_it_is() -> None:
    redactor = Redactor([Secret(KEY)])
    assert redactor.text("m" * 40, limit=40) == "m" * 40
    assert redactor.text("m" * 41, limit=40) == "m" * 39 + "…"


def test_a_cut_does_not_uncover_half_of_a_secret() -> None:
    redactor = Redactor([Secret(KEY)])
    for before in range(MESSAGE_LIMIT - len(KEY) - 2, MESSAGE_LIMIT + 2):
        message = redactor.failure(Failure(FailureKind.REFUSED, "m" * before + KEY)).message
        assert not residue(message, KEY, str)


@pytest.mark.parametrize("kind", [Rejected, Deferred, Unclear, Unbundled])
def test_the_failure_in_every_verdict_is_redacted(
    kind: Callable[[Failure], Verdict | Unbundled],
) -> None:
    redactor = Redactor([Secret(KEY)])
    bare = Failure(FailureKind.REFUSED, f"no {KEY}", detail=f"not {KEY}")
    assert redactor.verdict(kind(bare)) == kind(
        Failure(FailureKind.REFUSED, "no ***", detail="not ***")
    )


@pytest.mark.parametrize("kind", [Unreadable, Refused])
def test_the_failure_in_a_finding_is_redacted(kind: Callable[[Failure], Finding]) -> None:
    bare = Failure(FailureKind.REFUSED, f"no {KEY}", detail=f"not {KEY}")
    masked = Failure(FailureKind.REFUSED, "no ***", detail="not ***")
    assert Redactor([Secret(KEY)]).finding(kind(bare)) == kind(masked)


def test_the_words_about_what_is_decided_later_are_redacted() -> None:
    redactor, after = Redactor([Secret(KEY)]), timedelta(minutes=5)
    masked = Processing(after, "*** is in review")
    assert redactor.verdict(Processing(after, f"{KEY} is in review")) == masked
    assert redactor.finding(Processing(after, f"{KEY} is in review")) == masked
    cut = "m" * (MESSAGE_LIMIT - 1) + "…"
    assert redactor.finding(Processing(after, "m" * 600)) == Processing(after, cut)


def test_the_receipt_of_a_finding_is_redacted_and_a_bookmark_unchanged() -> None:
    redactor = Redactor([Secret(KEY)])
    assert redactor.finding(Found(Receipt(f"id-{KEY}"))) == Found(Receipt("id-***"))
    for kept in (Partly(f"draft of {KEY}"), Absent()):
        assert redactor.finding(kept) is kept


def test_a_receipt_is_redacted_too() -> None:
    redactor = Redactor([Secret(KEY)])
    assert redactor.verdict(Delivered(Receipt(f"id-{KEY}", f"took {KEY}"))) == Delivered(
        Receipt("id-***", "took ***")
    )
    assert redactor.verdict(Delivered(Receipt())) == Delivered(Receipt())
    cut = "m" * (MESSAGE_LIMIT - 1) + "…"
    assert redactor.receipt(Receipt("m" * 600, "m" * 700)) == Receipt(cut, cut)


@pytest.mark.parametrize(
    ("key", "wait", "kept"),
    [
        ("8374651029", 83746510.0, 83747000.0),
        ("8374651029", 12345678.0, 12345678.0),
        ("the-key-8374", 8374.0, 8374.0),
        ("1200", 1200.0, 1200.0),
        ("83.746519", 83.74651, 1000.0),
        ("9182736483747000", 83746510.0, 83746510.0),
        ("837465183747000", 8374651.5, 8374651.5),
        ("83746518374700012345", 83746518.0, MAX_RETRY_AFTER),
        ("8374651029", None, None),
    ],
)
def test_a_wait_that_echoes_a_key_of_digits_becomes_a_longer_round_one(
    key: str, wait: float | None, kept: float | None
) -> None:
    failure = Failure(FailureKind.RATE_LIMITED, "later", retry_after=wait)
    assert Redactor([Secret(key)]).failure(failure).retry_after == kept


# No star in the alphabet of secrets: a secret that holds the mask itself could be put together from
# masks.
secrets = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"], exclude_characters="*"),
    min_size=8,
)


@given(secrets, st.text(), st.text(), st.sampled_from(sorted(ECHOES)))
@example("00000000", "", "0000", "hexadecimal")
@example("0000000ß0000000ß", "", "", "in capitals")
def test_no_run_of_a_secret_is_left_in_a_hostile_echo(
    secret: str, before: str, after: str, how: str
) -> None:
    echo = ECHOES[how]
    text = Redactor([Secret(secret)]).text(f"{before}{echo(secret)}{after}", limit=8_000)
    assert not any(secret[at : at + 8] in text for at in range(len(secret) - 7))
    if how.isascii() and "base64" not in how:
        assert not residue(text, secret, echo)


@given(st.text(max_size=300), st.lists(st.text(max_size=20), max_size=3), st.integers(1, 50))
def test_any_text_becomes_one_short_line(text: str, hidden: list[str], limit: int) -> None:
    line = Redactor(map(Secret, hidden)).text(text, limit)
    assert len(line) <= limit
    assert line.isprintable() or not {"Cc", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, line))
    line.encode()


def test_a_character_that_json_writes_in_two_halves_is_part_of_its_secret() -> None:
    shown = Redactor([Secret("abcdef\U0001f511")]).text('echo "abcdef\\ud83d\\udd11" end')
    assert "abcdef" not in shown
    assert shown.startswith("echo ")
    assert shown.endswith(" end")


def test_half_a_character_in_json_is_survived_and_hides_nothing() -> None:
    assert (
        Redactor([Secret("abcdefghij")]).text('"abcdefghij \\ud83d abcdefghij"').count("abcdefghij")
        == 0
    )


def test_letters_beyond_ascii_are_found_in_capitals_and_in_small_letters() -> None:
    redactor = Redactor([Secret("Straße-Ärger-1")])
    for echo in ("STRASSE-ÄRGER-1", "straße-ärger-1"):
        assert redactor.text(f"no {echo} here") == "no *** here"


def test_an_escape_that_breaks_off_is_taken_for_its_letter() -> None:
    assert Redactor([Secret("zzzzzuzzzz")]).text("an echo of zzzzz\\uzzzz").count("z") == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "at postgresql+asyncpg://app:hunter2@db:5432/x now",
            "at postgresql+asyncpg://***@db:5432/x now",
        ),
        ("amqp://a:p/w@1@mq, redis://:two@r/0", "amqp://***@mq, redis://***@r/0"),
        ("https://the-token@host/", "https://***@host/"),
        ("https://vault.test/teams/a@b", "https://vault.test/teams/a@b"),
        ("http://localhost:8200?to=a@b", "http://localhost:8200?to=a@b"),
        ("https://[::1]:8/a@b", "https://[::1]:8/a@b"),
        ("https://u:p/q@vault.test:8/a@b?c=d@e", "https://***@vault.test:8/a@b?c=d@e"),
        ("https://first.last:pw@vault.test/a@b", "https://***@vault.test/a@b"),
        # What may be a user and the beginning of a password is masked with what follows.
        ("amqp://app:1234/5@mq/a@b", "amqp://***@b"),
        ("host=db password = 'it\\'s' user=app", "host=db password = *** user=app"),
        ("password=hunter2&user=app", "password=***&user=app"),
        ("{'api_key': 'sk-live', \"PWD\": \"a b\"}", "{'api_key': ***, \"PWD\": ***}"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("client_secret=s\n\ttoken: none", "client_secret=*** token: none"),
        (
            "no secret 'prod/app' at https://vault.test/a",
            "no secret 'prod/app' at https://vault.test/a",
        ),
        ("KeyError: 'password'", "KeyError: 'password'"),
    ],
)
def test_what_looks_like_a_password_is_masked_without_knowing_it(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


def test_what_code_of_others_raised_is_one_short_line_without_passwords() -> None:
    error = OSError("no answer\nfrom redis://:hunter2@cache")
    assert words_of(error) == "OSError: no answer from redis://***@cache"
    assert words_of(KeyError()) == "KeyError"
    assert len(words_of(ValueError("x" * 100_000))) == MESSAGE_LIMIT
