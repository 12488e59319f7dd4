"""What is fuzzed, and by what each input is judged: one function a target, which raises where something is wrong."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from evidence_courier.adapters.config import load_folder
from evidence_courier.adapters.providers.sprinto import SprintoProvider
from evidence_courier.adapters.providers.sprinto_reply import judge
from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.errors import ConfigError, RecordError
from evidence_courier.domain.retry_after import retry_after_seconds
from evidence_courier.domain.verdict import Delivered
from evidence_courier.ports.dialogue import Ending, HttpResponse

NOW = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
SECRET = "the-key-that-no-problem-shows"
SUCCESS = {
    "data": {
        "uploadWorkflowCheckEvidence": {
            "message": "Evidence uploaded for this check",
            "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"},
        }
    }
}
REPLIES = [
    json.dumps(SUCCESS).encode(),
    b'{"errors":[{"message":"Incorrect check ID","extensions":{"code":"BAD_USER_INPUT"}}],"data":null}',
    b'{"data":{"uploadWorkflowCheckEvidence":null}}',
    b"null",
    b"[]",
    b'"text"',
    b"<html>no</html>",
    b"",
]
TENANT = b"""tenant: acme
name: ACME Corp
integrations:
  compliance:
    provider: sprinto
    region: us
    api_key: ${ACME_KEY}
    workflow_check: 3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77
    retry: {max_attempts: 5, initial_delay: 5s, max_delay: 5m, retry_after_limit: 1h}
    on_unknown: retry
    pace: 10/min
    timeout: {connect: 10s, idle: 30s, total: 2m}
    max_bytes: 25MB
"""
RECORD = json.dumps(
    {
        "schema_version": 1,
        "tenant_id": "acme",
        "evidence_id": "ev-1",
        "session_id": "s-1",
        "employee": {"id": "emp-7", "name": "Asha", "email": "asha@acme.example"},
        "training": {"title": "Security attestation", "type": "annual", "attempt": 1, "max_attempts": 3},
        "outcome": {"status": "passed", "score": 0.86, "pass_threshold": 0.7},
        "started_at": "2026-02-21T09:12:00Z",
        "completed_at": "2026-02-21T10:00:00Z",
        "generated_at": "2026-02-21T10:00:03Z",
        "modules": [],
    }
).encode()
WAITS = [
    b"120",
    b"0",
    b"-5",
    b"1e9",
    b"Sat, 21 Feb 2026 10:05:00 GMT",
    b"9" * 400,
    b"inf",
    b"nan",
    b" 7 ",
    b"",
]
PIECES = [
    b"\x00",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"\n",
    b"&a ",
    b"*a ",
    b"!!python/object ",
    b"null",
    b"1e999",
    b"\\ud800",
    b"${X}",
    b"---\n",
    b"- ",
    b"<<: ",
    b"true",
    b"9" * 40,
]


def mutated(dice: Random, seed: bytes) -> bytes:
    """An input near a good one: pieces cut, doubled, swapped, replaced."""
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data[at : at + dice.randrange(8)] = dice.choice(PIECES)
            case 1:
                del data[at : at + dice.randrange(1, 12)]
            case 2:
                end = at + dice.randrange(1, 20)
                data[at:at] = data[at:end] * dice.choice((1, 2, 30))
            case 3 if data:
                data[min(at, len(data) - 1)] = dice.randrange(256)
            case _:
                data[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(6)))
    return bytes(data)


def reply(dice: Random) -> str:
    """The reply parser never raises, and takes nothing for a success that does not say so."""
    body = mutated(dice, dice.choice(REPLIES)) if dice.random() < 0.9 else json.dumps(SUCCESS).encode()
    status = dice.choice((200, 200, 200, 201, 204, 299, 301, 400, 401, 404, 429, 500, 503))
    ending = dice.choice((Ending.COMPLETE, Ending.COMPLETE, Ending.CUT_SHORT, Ending.TOO_LONG))
    verdict = judge(HttpResponse(status, (), body, NOW, ending), "c-1", ("UPLOAD_COMPLETE",))
    if isinstance(verdict, Delivered):
        said = json.loads(body)
        told = said["data"]["uploadWorkflowCheckEvidence"]
        assert status // 100 == 2 and ending is Ending.COMPLETE, "no complete 2xx"
        assert not said.get("errors"), "it has errors"
        assert told["workflowCheck"]["evidenceStatus"] == "UPLOAD_COMPLETE", "another status"
    return type(verdict).__name__


def retry_after(dice: Random) -> str:
    """Retry-After is a number of seconds that one can wait, or nothing."""
    text = mutated(dice, dice.choice(WAITS)).decode("latin-1")
    seconds = retry_after_seconds(text, NOW)
    assert seconds is None or (seconds >= 0 and not math.isnan(seconds)), seconds
    return "none" if seconds is None else "seconds"


def configuration(dice: Random) -> str:
    """Whatever a tenant file holds, the problems are problems, and show no secret."""
    with tempfile.TemporaryDirectory() as folder:
        name = dice.choice(("acme.yaml", "acme.json", "acme.yml"))
        (Path(folder) / name).write_bytes(mutated(dice, TENANT))
        secrets = EnvironSecrets({"ACME_KEY": SECRET})
        try:
            loaded = load_folder(folder, providers={"sprinto": SprintoProvider()}, secrets=secrets)
        except ConfigError as error:
            assert SECRET not in str(error)  # noqa: PT017
            return "refused"
        assert not any(SECRET in str(problem) for problem in loaded.problems)
        return "problems" if loaded.problems else "loaded"


def training_record(dice: Random) -> str:
    """A training record is one, or says what is wrong with it."""
    try:
        load_record(mutated(dice, RECORD), where="fuzz")
    except RecordError as error:
        assert error.problems  # noqa: PT017
        return "refused"
    return "loaded"


TARGETS: Mapping[str, Callable[[Random], str]] = {
    "reply": reply,
    "retry_after": retry_after,
    "configuration": configuration,
    "training_record": training_record,
}
