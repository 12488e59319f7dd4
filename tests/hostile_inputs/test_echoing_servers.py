"""Servers that say a credential back, in every way they can: no run of eight of its characters
is ever seen again."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from random import Random
from string import ascii_letters, digits, punctuation
from typing import Any
from urllib.parse import quote, unquote

from attrs import define, field, frozen
from click.testing import CliRunner
from hostile import ECHOES, leaks
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store_fixtures import Keys, evidence

from evidence_courier import AsyncCourier
from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.loggers.standard import JsonFormatter, StandardLogger
from evidence_courier.adapters.providers.sprinto.provider import SprintoProvider
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.logger import LogEvent
from evidence_courier.testing import FakeClock, RecordingLogger, until_settled

SECRET = "sk-Live/9aB+cD3=fG.h~iJ4kLmNoPqRsT"
PASSWORD = "Pr0xy&p@ss/Word%41<zwölf>"
PROXY = f"http://courier:{quote(PASSWORD, safe='')}@proxy.test:3128"
BLOCK = {
    "provider": "sprinto",
    "api_key": "${KEY}",
    "workflow_check": "c-1",
    "endpoint": "https://sprinto.test/",
    "proxy": "${PROXY}",
}


@frozen
class Answer:
    """One answer of the server: its status, what kind of answer it is, and how it says which of
    the two credentials."""

    status: int
    shape: str
    echo: str
    of: str = "the key"


@define
class EchoingServer:
    """Says a credential back in a body, in headers, in what a line says when it breaks, and in
    exceptions."""

    clock: FakeClock
    answers: list[Answer]
    asked: int = field(default=0)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        key = next(value for name, value in request.headers if name == "api-key")
        password = unquote((route.proxy or "").rpartition("@")[0].rpartition(":")[2])
        answer = self.answers[self.asked % len(self.answers)]
        self.asked += 1
        said = ECHOES[answer.echo](key if answer.of == "the key" else password)
        await asyncio.sleep(0)
        match answer.shape:
            case "raises":
                raise RuntimeError(f"a bug that quotes {said}") from ValueError(said)
            case "raises a group":
                raise ExceptionGroup(said, [KeyError(said), OSError(5, said, said)])
            case "refuses":
                raise ValueError(said)
            case "breaks":
                return TransportFailure(FailureKind.CONNECTION_LOST, f"reset while sending {said}")
            case "does not connect":
                return TransportFailure(FailureKind.NO_CONNECTION, said)
        headers = tuple((name, said) for name in ("x-request-id", "location", "retry-after", said))
        ending = Ending.CUT_SHORT if answer.shape == "cut" else Ending.COMPLETE
        body = _body(answer.shape, said).encode()
        return HttpResponse(answer.status, headers, body, self.clock.now(), ending)

    async def close(self) -> None:
        pass


def _body(shape: str, said: str) -> str:
    match shape:
        case "graphql":
            error = {"message": said, "extensions": {"code": said}, "path": [said]}
            return json.dumps(
                {"errors": [error, {"message": f"and {said}"}, {"extensions": {"code": said}}]}
            )
        case "rate limit":
            return json.dumps(
                {"errors": [{"message": f"rate limit for {said}", "extensions": {"code": said}}]}
            )
        case "success":
            told = {"message": said, "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"}}
            return json.dumps({"data": {"uploadWorkflowCheckEvidence": told}})
        case "strange":
            told = {"message": said, "workflowCheck": {"evidenceStatus": said}}
            return json.dumps({"data": {"uploadWorkflowCheckEvidence": told}, said: said})
        case _:
            return f"<html><body>{said}\n{said[:12]}\n{said}</body></html>"


SHAPES = [
    *"html graphql success strange cut raises breaks refuses".split(),
    "rate limit",
    "raises a group",
    "does not connect",
]
STATUSES = (
    200,
    201,
    204,
    299,
    301,
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
    600,
)
ANSWERS = st.builds(
    Answer,
    st.sampled_from(STATUSES),
    st.sampled_from(SHAPES),
    st.sampled_from(sorted(ECHOES)),
    st.sampled_from(["the key", "the password"]),
)
# Rolled and not composed by Hypothesis, which likes to try the words of our own sentences. Without
# the star, of which a mask is made.
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "*")
KEYS = st.builds(
    lambda seed, alphabet, length: "".join(Random(seed).choices(alphabet, k=length)),
    st.integers(0, 2**32),
    st.sampled_from(
        [
            PRINTABLE,
            ascii_letters + digits + "+/=",
            "0123456789abcdef",
            punctuation.replace("*", ""),
        ]
    ),
    st.integers(8, 70),
)


class WithAllFacts(logging.Formatter):
    """The sentence, and everything else that the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {vars(record)!r}"


class Everything:
    """A `Logger` that keeps every event in each of the ways in which events are written down."""

    def __init__(self) -> None:
        self.words = io.StringIO()
        self._recording = RecordingLogger()
        self._logger = logging.getLogger(f"echoes-{id(self)}")
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        for formatter in (JsonFormatter(), WithAllFacts()):
            handler = logging.StreamHandler(self.words)
            handler.setFormatter(formatter)
            self._logger.addHandler(handler)
        self._standard = StandardLogger(self._logger)

    def log(self, event: LogEvent) -> None:
        self._recording.log(event)
        self._standard.log(event)

    def note(self, *things: object) -> None:
        """Keep what somebody would see who prints these."""
        self.words.write("".join(f"{thing!r}\n{thing}\n" for thing in things))

    def unhandled(self, _: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
        """What asyncio would print of an exception that nobody caught."""
        self.note(dict(context))
        if isinstance(error := context.get("exception"), BaseException):
            self.words.write("".join(traceback.format_exception(error)))

    @property
    def seen(self) -> str:
        return self.words.getvalue() + repr(self._recording.events)


@given(st.lists(ANSWERS, min_size=1, max_size=5))
@example([Answer(200, "success", "plain")])
@example([Answer(500, "html", "far behind")])
@settings(max_examples=30, deadline=None)
def test_no_run_of_eight_characters_of_a_credential_is_seen_anywhere(answers: list[Answer]) -> None:
    seen = everything_seen(SECRET, answers)
    assert leaks(seen, SECRET) == leaks(seen, PASSWORD) == []


@given(KEYS, ANSWERS)
@example("8374651029384756", Answer(429, "html", "cut at the end"))
@example("83746510293", Answer(503, "html", "cut at the end"))
@settings(max_examples=20, deadline=None)
def test_whatever_the_key_is_made_of_no_run_of_it_is_seen(key: str, answer: Answer) -> None:
    assert leaks(everything_seen(key, [answer]), key) == []


def everything_seen(key: str, answers: list[Answer]) -> str:
    """One upload against such a server: everything that anybody could read of it."""
    with tempfile.TemporaryDirectory() as folder:
        seen = asyncio.run(live_through(key, answers, Path(folder)))
        database = Path(folder) / "courier.db"
        for arguments in (["status"], ["show"]):
            for form in ([], ["--json"]):
                which = ["acme", "ev-1"] if arguments == ["show"] else []
                told = CliRunner().invoke(app, [*arguments, "--db", str(database), *which, *form])
                assert told.exit_code == 0, told.output
                seen += told.output
        return seen + contents(Path(folder))


async def live_through(key: str, answers: list[Answer], folder: Path) -> str:
    clock, everything = FakeClock(), Everything()
    asyncio.get_running_loop().set_exception_handler(everything.unhandled)
    async with AsyncCourier.from_mapping(
        {"acme": {"integrations": {"compliance": BLOCK}}},
        folder / "courier.db",
        transport=EchoingServer(clock, answers),
        secrets=Keys({"KEY": key, "PROXY": PROXY}),
        clock=clock,
        logger=everything,
        on_settled=everything.note,
    ) as courier:
        ticket = courier.submit(evidence())
        everything.note(ticket)
        try:
            everything.note(*await until_settled(courier, clock, ticket))
        except Exception:
            everything.words.write(traceback.format_exc())
            raise
        everything.note(
            await courier.show("acme", "ev-1"), await courier.find(), await courier.health()
        )
        everything.note(await courier.statuses("acme", ["ev-1"]), courier)
        return everything.seen + contents(folder)


def contents(folder: Path) -> str:
    """What is in the files of the database, the write-ahead log among them while it is there."""
    files = [path for path in folder.iterdir() if path.is_file()]
    assert any(path.name == "courier.db" for path in files)
    # Most of a database is empty pages.
    dense = {
        path.name: re.sub(rb"\0+", b"\0", path.read_bytes()).decode("latin-1") for path in files
    }
    return "".join(f"\n{name}\n{content}" for name, content in dense.items())


def configured() -> AsyncCourier:
    """A courier that has not been started, on a key and a proxy with a password."""
    return AsyncCourier.from_mapping(
        {"acme": {"integrations": {"compliance": BLOCK}}},
        "courier.db",
        secrets=Keys({"KEY": SECRET, "PROXY": PROXY}),
    )


def test_a_couriers_own_parts_do_not_show_a_key() -> None:
    assert leaks(repr(vars(configured())), SECRET) == []


def test_a_couriers_own_parts_do_not_show_the_password_of_a_proxy() -> None:
    assert leaks(repr(vars(configured())), PASSWORD) == []


def test_a_key_put_where_none_belongs_is_refused_and_not_shown() -> None:
    tenants = {"acme": {"integrations": {"compliance": {**BLOCK, "workflow_check": "${KEY}"}}}}
    secrets = Keys({"KEY": SECRET, "PROXY": PROXY})
    loaded = load_mapping(tenants, providers={"sprinto": SprintoProvider()}, secrets=secrets)
    [problem] = loaded.problems
    assert problem.path == "acme.integrations.compliance.workflow_check"
    assert leaks(repr(loaded) + str(problem), SECRET) == []
