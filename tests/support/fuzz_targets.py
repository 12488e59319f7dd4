"""What is fuzzed, and by what each input is judged: one function a target, which raises where
something is wrong.

Every input is made from a seeded `Random` alone, so the seed replays it. Half of the inputs are
good examples whose bytes were cut, doubled, swapped and replaced; the other half are trees that
were taken apart and put together wrongly, and then written as they should be: those get past the
parser and reach what is behind it.
"""

from __future__ import annotations

import atexit
import copy
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml
from hostile import ECHOES, leaks

from evidence_courier import Evidence
from evidence_courier.adapters.config import Loaded, load_folder, load_mapping
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.adapters.providers.sprinto.reply import judge
from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.errors import RecordError
from evidence_courier.domain.evidence.record_json import record_json
from evidence_courier.domain.secrets.redaction import Redactor
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.retry_after import MAX_RETRY_AFTER, retry_after_seconds
from evidence_courier.domain.upload.verdict import Deferred, Delivered, Rejected, Unclear
from evidence_courier.ports.dialogue import Ending, HttpResponse, TransportFailure

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SECRET = "the-key/That+no=Problem.shows"
LITERAL = "a-L1teral/key+that=was.pasted"

# -- making inputs
# --------------------------------------------------------------------------------------------------

PIECES = (
    b"\x00", b"\xff", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b'"', b"'", b":", b": ", b",", b"\n",
    b"\r\n", b"\t", b"&a ", b"*a ",
    b"!!python/object ", b"!x ", b"null", b"1e999", b"-1", b"NaN", b"\\ud800", b"\\", b"${X}",
    b"${ACME_KEY}", b"---\n", b"- ",
    b"<<: *a\n", b"true", b"9" * 40, b"{" * 60, b"[" * 120, b"#", b"%41", b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
)  # fmt: skip
WORDS = (
    "", " ", "acme", "UPLOAD_COMPLETE", "upload_complete", "UPLOAD_COMPLETE ", "UPLOAD_FAILED",
    "Incorrect check ID", "UNAUTHENTICATED",
    "check in review", "unsupported file format", "rate limit", "too many requests", "${ACME_KEY}",
    "${NOT_SET}", "${", LITERAL,
    "5s", "10/min", "25MB", "-1s", "0/s", "http://localhost:1/", "https://a.example/", "hold",
    "rest", "eu", "2026-02-21T10:00:00Z",
    "2026-02-30T10:00:00Z", "sha256:ab", "passed", "a\nb", "a\x00b", "\ud800", "\u202e", "💥",
    "x" * 600,
)  # fmt: skip
PLAIN: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2.5,
    1e308,
    -0.0,
    10**19,
    [],
    {},
    [[]],
    {"": None},
    float("nan"),
    float("inf"),
)


def mutated(dice: Random, seed: bytes) -> bytes:
    """An input near a good one: pieces cut, doubled, swapped, replaced."""
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0:
                data[at : at + dice.randrange(8)] = dice.choice(PIECES)
            case 1:
                del data[at : at + dice.randrange(1, 12)]
            case 2:
                end = at + dice.randrange(1, 20)
                data[at:at] = data[at:end] * dice.choice((1, 2, 30))
            case 3 if data:
                data[min(at, len(data) - 1)] = dice.randrange(256)
            case 4 if data:
                other = dice.randrange(len(data))
                size = dice.randrange(1, 16)
                data[at : at + size] = data[other : other + size]
            case _:
                data[at:at] = dice.choice(PIECES) + bytes(
                    dice.randrange(256) for _ in range(dice.randrange(3))
                )
    return bytes(data)


def leaf(dice: Random) -> object:
    """Some small value."""
    return copy.copy(dice.choice(PLAIN)) if dice.random() < 0.5 else dice.choice(WORDS)


def tree_near(dice: Random, good: object) -> Any:
    """A tree near a good one: members dropped, doubled, moved, renamed, replaced."""
    tree: list[Any] = [copy.deepcopy(good)]
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree))
        holder, key = dice.choice(places)
        match dice.randrange(6):
            case 0 if holder is not tree:
                del holder[key]
            case 1:
                other, place = dice.choice(places)
                holder[key] = copy.deepcopy(other[place])
            case 2:
                holder[key] = [holder[key]] * dice.choice((1, 2, 50))
            case 3 if isinstance(holder, dict):
                holder[dice.choice((*WORDS, key[:-1], key.upper()))] = holder.pop(key)
            case 4 if isinstance(holder, dict):
                holder[dice.choice(WORDS)] = leaf(dice)
            case _:
                holder[key] = leaf(dice)
    return tree[0]


def _places(holder: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and under which key."""
    found: list[tuple[Any, Any]] = []
    waiting = [holder]
    while waiting:
        here = waiting.pop()
        for key, member in here.items() if isinstance(here, dict) else enumerate(here):
            found.append((here, key))
            if isinstance(member, dict | list):
                waiting.append(member)
    return found


def as_json(dice: Random, tree: object) -> bytes:
    """The tree as JSON, in one of the ways in which it may be written."""
    text = json.dumps(tree, ensure_ascii=dice.random() < 0.5, indent=dice.choice((None, None, 1)))
    return text.encode("utf-8", "surrogatepass")


# -- the reply parser
# ------------------------------------------------------------------------------------------------

SUCCESS = {
    "data": {
        "uploadWorkflowCheckEvidence": {
            "message": "Evidence uploaded for this check",
            "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
        }
    }
}
REFUSED = {
    "errors": [
        {
            "message": "Incorrect check ID",
            "path": ["a", 0],
            "extensions": {"code": "BAD_USER_INPUT"},
        }
    ],
    "data": None,
}
THROTTLED = {
    "errors": [{"message": "Slow down", "extensions": {"code": "RATE_LIMITED"}}],
    **SUCCESS,
}
REPLIES = (SUCCESS, SUCCESS, REFUSED, THROTTLED, {"data": {"uploadWorkflowCheckEvidence": None}})
BODIES = (
    *(json.dumps(reply).encode() for reply in REPLIES),
    b"null",
    b"[]",
    b'"text"',
    b"<html>no</html>",
    b"",
)
STATUSES = (
    200,
    200,
    200,
    200,
    201,
    204,
    299,
    301,
    400,
    400,
    401,
    403,
    404,
    408,
    413,
    415,
    422,
    425,
    429,
    500,
    503,
)
HEADERS = ("retry-after", "Retry-After", "location", "x-request-id", "content-type")
KEY = Secret(SECRET)
REDACTOR = Redactor([KEY])
LINES = (
    FailureKind.NO_CONNECTION,
    FailureKind.NOT_SENT,
    FailureKind.TIMEOUT,
    FailureKind.CONNECTION_LOST,
)


def reply(dice: Random) -> str:
    """The reply parser never raises, takes nothing for a success that does not say so, and
    everything that does."""
    if dice.random() < 0.01:
        failure = TransportFailure(dice.choice(LINES), dice.choice(WORDS))
        return type(judge(failure, "c-1", ("UPLOAD_COMPLETE",))).__name__
    body = (
        mutated(dice, dice.choice(BODIES))
        if dice.random() < 0.5
        else as_json(dice, tree_near(dice, dice.choice(REPLIES)))
    )
    echoed = dice.random() < 0.05
    if echoed:
        echo = dice.choice(list(ECHOES.values()))(SECRET)
        body = body.replace(b"Evidence uploaded", json.dumps(echo)[1:-1].encode()).replace(
            b"Incorrect", echo.encode()
        )
    status = dice.choice(STATUSES) if dice.random() < 0.9 else dice.randrange(1_000)
    headers = tuple(
        (name, mutated(dice, dice.choice(WAITS)).decode("latin-1"))
        for name in HEADERS
        if dice.random() < 0.2
    )
    ending = dice.choice((Ending.COMPLETE,) * 4 + (Ending.CUT_SHORT, Ending.TOO_LONG))
    words = dice.choice((("UPLOAD_COMPLETE",), ("DONE", "UPLOAD_COMPLETE"), ("DONE",)))
    verdict = judge(HttpResponse(status, headers, body, NOW, ending), "c-1", words)
    success = status // 100 == 2 and ending is Ending.COMPLETE and says_success(body, words)
    assert isinstance(verdict, Delivered) == success, f"{verdict} for a success: {success}"
    if echoed:
        assert not leaks(repr(REDACTOR.verdict(verdict)), SECRET), "the key is shown"
    if isinstance(verdict, Delivered):
        return "Delivered"
    failure_seen = verdict.failure
    assert failure_seen.message and failure_seen.http_status == status, failure_seen
    match verdict:
        case Deferred():
            assert status // 100 in (2, 4) and failure_seen.kind.retryable, (
                "deferred, and nobody said so"
            )
        case Unclear():
            assert status // 100 in (0, 1, 2, 5) or status >= 600, "unclear, though it was refused"
        case Rejected():
            assert status // 100 in (2, 3, 4) and not failure_seen.kind.retryable, (
                "final, though nobody refused"
            )
    wait = failure_seen.retry_after
    assert wait is None or 0 <= wait <= MAX_RETRY_AFTER, wait
    return f"{type(verdict).__name__}({failure_seen.kind.value})"


def says_success(body: bytes, words: tuple[str, ...]) -> bool:
    """Whether these bytes are JSON that says what success says; written without a look at the
    parser."""

    try:
        document = str(body.rstrip(b"\0"), "utf-8-sig", "replace")
        said = json.loads(document, strict=False, parse_constant=lambda constant: None)
        status = said["data"]["uploadWorkflowCheckEvidence"]["workflowCheck"]["evidenceStatus"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return False
    return said.get("errors") in (None, []) and isinstance(status, str) and status in words


# -- Retry-After
# --------------------------------------------------------------------------------------------------

WAITS = (
    b"120", b"0", b"-5", b"+5", b"1e9", b"1_000", b"0x10", b"2.5", b".5", b"5.",
    b"Sat, 21 Feb 2026 10:05:00 GMT",
    b"Saturday, 21-Feb-26 10:05:00 GMT", b"Sat Feb 21 10:05:00 2026",
    b"Sun, 31 Dec 9999 23:59:60 GMT", b"Sat, 01 Jan 0001 00:00:00 GMT",
    b"Sat, 30 Feb 2026 25:61:61 UTC", b"2026-02-21T10:05:00Z", b"9" * 400, b"0" * 400 + b"7",
    b"inf", b"nan", b" 7 ", b"7, 8", b"",
)  # fmt: skip


def retry_after(dice: Random) -> str:
    """Retry-After is a number of seconds that one can wait, or nothing."""
    text = mutated(dice, dice.choice(WAITS)).decode(
        dice.choice(("latin-1", "latin-1", "utf-16-le")), "replace"
    )
    received = NOW + timedelta(days=dice.randrange(-700_000, 2_900_000), hours=dice.randrange(24))
    seconds = retry_after_seconds(text, received)
    if text.isascii() and text.isdigit() and len(text) < 9:
        assert seconds == int(text), seconds
    if seconds is None:
        return "nothing"
    assert type(seconds) is float and math.isfinite(seconds) and 0 <= seconds <= MAX_RETRY_AFTER, (
        seconds
    )
    assert received + timedelta(seconds=min(seconds, 3_600)) >= received
    return "at once" if seconds == 0 else "longest" if seconds == MAX_RETRY_AFTER else "seconds"


# -- the configuration
# -----------------------------------------------------------------------------------------------

BLOCK = {
    "provider": "sprinto",
    "region": "us",
    "api_key": "${ACME_KEY}",
    "workflow_check": "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77",
    "retry": {
        "max_attempts": 5,
        "initial_delay": "5s",
        "max_delay": "5m",
        "retry_after_limit": "1h",
    },
    "on_unclear": "retry",
    "pace": "10/min",
    "timeout": {"connect": "10s", "idle": "30s", "total": "2m"},
    "max_bytes": "25MB",
    "success_statuses": ["UPLOAD_COMPLETE", "DONE"],
}
TENANT: dict[str, object] = {
    "tenant": "acme",
    "name": "ACME Corp",
    "integrations": {"compliance": BLOCK},
}
YAML_FILES = (
    yaml.safe_dump(TENANT).encode(),
    b"base: &base {provider: sprinto, api_key: '${ACME_KEY}', retry: &r {max_attempts: 5}}\n"
    b"more: &more\n  <<: *base\n  workflow_check: c-1\n"
    b"integrations:\n  compliance:\n    <<: [*more, {region: eu}]\n    timeout: {total: 2m}\n",
    b"name: |\n  ACME\nintegrations: {compliance: {enabled: false, provider: nobody}}\n",
    b"integrations:\n  compliance: # a note with ${NOT_SET}\n    ? provider\n    : sprinto\n  "
    b"  api_key: " + LITERAL.encode() + b"\n",
)
PROVIDERS = {"sprinto": SprintoProvider()}
NASTY = (SECRET, SECRET, SECRET, SECRET + "\n", "", " ", "é" + SECRET, SECRET + "\ud800")


def configuration(dice: Random) -> str:
    """Whatever a tenant file or a host's mapping holds, the problems are problems, and show no
    secret."""
    secrets = EnvironSecrets({"ACME_KEY": dice.choice(NASTY), "X": LITERAL})
    kind = dice.choice(("yaml", "yaml", "yml", "json", "json", "mapping"))
    tree = tree_near(dice, TENANT)
    if kind == "mapping":
        content = repr(tree).encode("utf-8", "surrogatepass")
        loaded = load_mapping({"acme": tree}, providers=PROVIDERS, secrets=secrets)
    else:
        by_bytes = dice.random() < 0.6
        if kind == "json":
            content = (
                mutated(dice, json.dumps(TENANT).encode()) if by_bytes else as_json(dice, tree)
            )
        elif by_bytes:
            content = mutated(dice, dice.choice(YAML_FILES))
        else:
            content = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
        loaded = _loaded(f"acme.{kind}", content, secrets)
    return _judged(loaded)


def _loaded(name: str, content: bytes, secrets: EnvironSecrets) -> Loaded:
    file = Path(_folder()) / name
    file.write_bytes(content)
    try:
        return load_folder(file.parent, providers=PROVIDERS, secrets=secrets)
    finally:
        file.unlink()


@cache
def _folder() -> str:
    """One for all inputs; on a memory disk where there is one, for a campaign writes tens of
    thousands of files."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _judged(loaded: Loaded) -> str:
    places = [*loaded.integrations, *loaded.without, *loaded.broken]
    assert len(places) == 1, f"one tenant, in {len(places)} places"
    assert bool(loaded.problems) == bool(loaded.broken), (
        "problems and nobody broken, or the other way round"
    )
    for problem in loaded.problems:
        told = str(problem)
        assert problem.message and told.isprintable(), f"a problem that cannot be printed: {told!a}"
        assert len(told) < 1_500, "a problem that nobody reads to its end"
        assert not any(
            secret[at : at + 8] in told
            for secret in (SECRET, LITERAL)
            for at in range(len(secret) - 7)
        ), told
    for integration in loaded.integrations.values():
        assert SECRET not in repr(integration), "an integration shows its key"
        assert SECRET not in json.dumps(dict(integration.stored)), "a key is stored"
        return "an integration"
    if loaded.without:
        return "no integration"
    return "one problem" if len(loaded.problems) == 1 else "problems"


# -- the training record
# ---------------------------------------------------------------------------------------------

MARK = "not-to-be-quoted"
TRAINING: dict[str, object] = {
    "schema_version": 1,
    "tenant_id": "acme",
    "evidence_id": "ev-1",
    "session_id": "s-1",
    "employee": {"id": "emp-7", "name": MARK, "email": "asha@acme.example"},
    "training": {
        "title": "Security attestation",
        "type": "annual",
        "attempt": 2,
        "max_attempts": 3,
    },
    "outcome": {"status": "passed", "score": 0.86, "pass_threshold": 0.7, "weak_areas": [MARK]},
    "started_at": "2026-02-21T09:12:00Z",
    "completed_at": "2026-02-21T15:30:00+05:30",
    "generated_at": "2026-02-21T10:00:03.5Z",
    "modules": [
        {
            "title": "Phishing",
            "score": 0.9,
            "questions": [{"text": MARK, "answer": MARK, "score": 1.0, "rationale": MARK}],
        }
    ],
    "content_hash": "sha256:" + "ab" * 32,
    "extra": {"locale": "en-GB", "deep": {"er": [1, 2.5, None, True]}},
}
RECORD = json.dumps(TRAINING).encode()


def training_record(dice: Random) -> str:
    """A training record is one, and stays the same when it is written and read again; or it is
    said what is wrong with it."""
    given: Any
    by_bytes = dice.random() < 0.5
    if by_bytes:
        given = mutated(dice, RECORD)
    else:
        tree = tree_near(dice, TRAINING)
        given = tree if dice.random() < 0.4 else as_json(dice, tree)
    try:
        record = load_record(given, where="fuzz")
    except RecordError as error:
        refused = error
    else:
        evidence = Evidence.from_record(record)
        assert (evidence.tenant_id, evidence.evidence_id) == (record.tenant_id, record.evidence_id)
        assert load_record(record_json(record)) == record, "another record once it is written"
        return "an evidence"
    told = str(refused)
    assert 1 <= len(refused.problems) <= 101, "nothing is said, or too much"
    assert told.replace("\n", "").isprintable(), f"a problem that cannot be printed: {told!a}"
    # What stands for passed or exhausted is named, and bytes that were cut may make a key of a
    # value.
    quoted = [
        problem
        for problem in refused.problems
        if MARK in problem.message and "must be passed" not in problem.message
    ]
    assert by_bytes or not quoted, "a value is quoted"
    return "one problem" if len(refused.problems) == 1 else "problems"


# -- redaction
# --------------------------------------------------------------------------------------------------

ALPHABETS = (
    "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "*"),
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
    "0123456789abcdef",
    "%\\/&;u0123",
    "ab",
)


def redaction(dice: Random) -> str:
    """No run of a secret is left of an echo, whatever stands around it."""
    secret = "".join(dice.choices(dice.choice(ALPHABETS), k=dice.randrange(8, 60)))
    around = [
        mutated(dice, dice.choice(BODIES)).decode("utf-8", "replace")[: dice.randrange(120)]
        for _ in range(3)
    ]
    names = [dice.choice(list(ECHOES)) for _ in range(2)]
    start = dice.randrange(len(secret) - 7)
    said = [
        ECHOES[name](secret[start : dice.randrange(start + 8, len(secret) + 1)]) for name in names
    ]
    # The bars keep a lone % or \ at the end of one piece from making an escape of what the next one
    # begins with.
    text = "|".join((around[0], said[0], around[1], said[1], around[2]))
    shown = Redactor([Secret(secret)]).text(text, limit=dice.choice((200, 500, 2_000)))
    found = leaks(shown, secret)
    assert not found, f"{secret!r} in {text!r}: {found[:3]}"
    return names[0]


TARGETS: Mapping[str, Callable[[Random], str]] = {
    "reply": reply,
    "retry_after": retry_after,
    "configuration": configuration,
    "training_record": training_record,
    "redaction": redaction,
}
