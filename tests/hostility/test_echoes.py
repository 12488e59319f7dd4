"""Servers that say a credential back, in every way they can: no run of eight of its characters is ever seen again."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from attrs import define, field
from hostile import leaks
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_house import Keys, evidence

from evidence_courier import AsyncCourier
from evidence_courier.adapters.loggers.standard import JsonFormatter, StandardLogger
from evidence_courier.domain.failure import FailureKind
from evidence_courier.domain.integration import Route
from evidence_courier.ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.logger import LogEvent
from evidence_courier.testing import FakeClock, until_settled

SECRET = "sk-Live/9aB+cD3=fG.h~iJ4kLmNoPqRsT"

Echo = Callable[[str], str]
ECHOES: dict[str, Echo] = {
    "plain": lambda key: key,
    "percent": lambda key: quote(key, safe=""),
    "percent, every byte": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 behind one": lambda key: base64.b64encode(b"x" + key.encode()).decode(),
    "base64 behind two": lambda key: base64.b64encode(b"xy" + key.encode()).decode(),
    "urlsafe base64": lambda key: base64.urlsafe_b64encode(b"a:" + key.encode()).decode(),
    "json": lambda key: json.dumps(key)[1:-1],
    "unicode escapes": lambda key: "".join(f"\\u{ord(character):04x}" for character in key),
    "cut at the front": lambda key: key[3:],
    "cut at the end": lambda key: key[:-5],
    "twice": lambda key: key + key,
    "in words": lambda key: f"the key <{key}> is not 'valid'",
}
STATUSES = (200, 201, 204, 301, 400, 401, 403, 404, 408, 413, 429, 500, 503, 299)


@pytest.mark.parametrize("name", [name for name in ECHOES if "cut" not in name])
def test_the_oracle_sees_each_way(name: str) -> None:
    assert leaks(f"before {ECHOES[name](SECRET)} after", SECRET)
    assert leaks("nothing to see here, sk-Live, 0123456789abcdef" * 3, SECRET) == []


@define
class EchoingServer:
    """Says the key back in a body, in headers and in what a line says when it breaks."""

    clock: FakeClock
    answers: list[tuple[int, str, str]]
    asked: int = field(default=0)

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        key = next(value for name, value in request.headers if name == "api-key")
        status, shape, echo = self.answers[self.asked % len(self.answers)]
        self.asked += 1
        said = ECHOES[echo](key)
        await asyncio.sleep(0)
        if shape == "raises":
            raise RuntimeError(f"a bug that quotes {said}")
        if shape == "breaks":
            return TransportFailure(FailureKind.CONNECTION_LOST, f"reset while sending {said}")
        headers = (("x-request-id", said), ("location", f"https://evil.test/{said}"), ("retry-after", said))
        ending = Ending.CUT_SHORT if shape == "cut" else Ending.COMPLETE
        return HttpResponse(status, headers, self._body(shape, said).encode(), self.clock.now(), ending)

    def _body(self, shape: str, said: str) -> str:
        match shape:
            case "graphql":
                return json.dumps(
                    {"errors": [{"message": said, "extensions": {"code": said}, "path": [said]}]}
                )
            case "success":
                told = {"message": said, "workflowCheck": {"evidenceStatus": "UPLOAD_COMPLETE"}}
                return json.dumps({"data": {"uploadWorkflowCheckEvidence": told}})
            case "strange":
                told = {"message": said, "workflowCheck": {"evidenceStatus": said}}
                return json.dumps({"data": {"uploadWorkflowCheckEvidence": told}, said: said})
            case _:
                return f"<html><body>{said}\n{said[:12]}\n{said}</body></html>"

    async def close(self) -> None:
        pass


answers = st.lists(
    st.tuples(
        st.sampled_from(STATUSES),
        st.sampled_from(["html", "graphql", "success", "strange", "cut", "raises", "breaks"]),
        st.sampled_from(sorted(ECHOES)),
    ),
    min_size=1,
    max_size=5,
)


class Everything:
    """A `Logger` that keeps the words of every event, in each of the ways they are written."""

    def __init__(self) -> None:
        self.words = io.StringIO()
        handler = logging.StreamHandler(self.words)
        handler.setFormatter(JsonFormatter())
        plain = logging.StreamHandler(self.words)
        self._logger = logging.getLogger(f"echoes-{id(self)}")
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        self._logger.addHandler(handler)
        self._logger.addHandler(plain)
        self._standard = StandardLogger(self._logger)

    def log(self, event: LogEvent) -> None:
        self.words.write(repr(event))
        self._standard.log(event)


@given(answers)
@settings(max_examples=60, deadline=None)
def test_no_run_of_eight_characters_of_a_key_is_seen_anywhere(told: list[tuple[int, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        said = asyncio.run(live_through(told, Path(folder)))
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        assert any(path.name == "courier.db" for path in files)
        for path in files:
            assert leaks(path.read_bytes(), SECRET) == [], path.name
    assert leaks(said, SECRET) == []


async def live_through(told: list[tuple[int, str, str]], folder: Path) -> str:
    """One upload against such a server: everything that anybody could read of it."""
    clock, everything = FakeClock(), Everything()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: everything.words.write(repr(context)))
    block = {
        "provider": "sprinto",
        "api_key": "${KEY}",
        "workflow_check": "c-1",
        "endpoint": "https://sprinto.test/",
    }
    async with AsyncCourier.from_mapping(
        {"acme": {"integrations": {"compliance": block}}},
        folder / "courier.db",
        transport=EchoingServer(clock, told),
        secrets=Keys({"KEY": SECRET}),
        clock=clock,
        logger=everything,
    ) as courier:
        try:
            (status,) = await until_settled(courier, clock, courier.submit(evidence()))
        except Exception:
            everything.words.write(traceback.format_exc())
            raise
        everything.words.write(
            repr(status) + repr(await courier.show("acme", "ev-1")) + repr(await courier.find())
        )
        everything.words.write(repr(courier) + repr(await courier.health()) + repr(vars(courier)))
    return everything.words.getvalue()
