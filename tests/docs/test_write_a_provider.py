"""The page for authors of providers holds: its code is run as it stands, against a platform on loopback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from attrs import define, field, frozen
from loopback import on_loopback
from paper_house import evidence

from evidence_courier import AsyncCourier, UploadStatus
from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.dialogues import TokenKeeper, run
from evidence_courier.adapters.plugins import fault_of
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence import Outcome
from evidence_courier.domain.failure import FailureKind
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secret import Secret
from evidence_courier.domain.verdict import Delivered, Ready, Receipt, Unbundled
from evidence_courier.ports.dialogue import Dialogue, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.provider import Bundling, Checkable, Parcel, Readable

PAGE = Path(__file__).parents[2] / "docs" / "write-a-provider.md"
CODE = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
FIRST = CODE[0]
RECEIVED_AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
KEY = "the-key-of-the-shelf"


@define
class Shelf:
    """The platform of the page."""

    documents: dict[str, tuple[str, str]] = field(factory=dict)
    published: set[str] = field(factory=set)
    tokens: int = 0
    drops: int = 0
    requests: list[str] = field(factory=list)

    def answer(self, request: HttpRequest) -> HttpResponse:
        path, body = urlsplit(request.url).path, b"".join(request.body)
        headers = {name.lower(): value for name, value in request.headers}
        self.requests.append(f"{request.method} {path}")
        status, said = self._answer(request, path, headers, body)
        if self.drops:
            self.drops -= 1
            raise ConnectionAbortedError("taken, and not a word")
        return HttpResponse(status, (), b"" if said is None else json.dumps(said).encode(), RECEIVED_AT)

    def _answer(
        self, request: HttpRequest, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, object]:
        if path == "/token":
            self.tokens += 1
            return 200, {"access_token": f"token-{self.tokens}", "expires_in": 3600}
        if headers.get("api-key") != KEY and headers.get("authorization") != f"Bearer token-{self.tokens}":
            return 401, {}
        match request.method, path.strip("/").split("/"):
            case "POST", ["documents"]:
                name = f"d-{len(self.documents) + 1}"
                [self.documents[name]] = _files(body)
                return 201, {"id": name}
            case "GET", ["documents"]:
                [wanted] = parse_qs(urlsplit(request.url).query)["name"]
                found = [name for name, (kept, _) in self.documents.items() if kept == wanted]
                return 200, {"documents": [{"id": name, "name": wanted} for name in found]}
            case "POST", ["documents", name, "publish"]:
                self.published.add(name)
                return 204, None
            case "GET", ["shelf"]:
                return 200, {"title": "Security"}
            case "POST", ["bundles"]:
                if b"bad" in body:
                    return 400, {}
                for file in _files(body):
                    self.documents[f"d-{len(self.documents) + 1}"] = file
                return 204, None
        return 404, {}

    def copies(self) -> list[str]:
        return [digest for _, digest in self.documents.values()]


def _files(form: bytes) -> list[tuple[str, str]]:
    found = re.findall(rb'filename="([^"]+)".*?\r\n\r\n(.*?)\r\n--', form, re.DOTALL)
    return [(name.decode(), sha256(content).hexdigest()) for name, content in found]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything that the page's code defines, as one module."""
    return imported(tmp_path_factory.mktemp("page"), *CODE)


def imported(folder: Path, *code: str) -> dict[str, Any]:
    """The names that a module of this code defines."""
    file = folder / "of_the_page.py"
    file.write_text("\n".join(code))
    spec = spec_from_file_location("of_the_page", file)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def url(shelf: Shelf) -> Iterator[str]:
    with on_loopback(shelf.answer) as served:
        yield served


@frozen
class Keys:
    def resolve(self, name: str) -> Secret | None:
        return Secret(KEY)


def deliver(provider: Any, url: str, folder: Path) -> UploadStatus:
    block = {
        "provider": provider.name,
        "api_key": "${KEY}",
        "endpoint": url,
        "retry": {"initial_delay": "10ms"},
    }

    async def story() -> UploadStatus:
        async with AsyncCourier.from_mapping(
            {"acme": {"integrations": {"compliance": block}}},
            folder / "courier.db",
            providers={provider.name: provider},
            secrets=Keys(),
        ) as courier:
            status = await courier.submit(evidence()).settled(timeout=30)
            assert status is not None
            return status

    return asyncio.run(story())


def talk(dialogue: Dialogue[Any]) -> Any:
    """What a dialogue comes to on a real line."""

    async def story() -> Any:
        transport = AiohttpTransport(now=lambda: RECEIVED_AT)

        async def send(request: HttpRequest) -> HttpResponse | TransportFailure:
            return await transport.send(request, Route())

        async def bookmark(progress: str) -> None:
            """Not needed here."""

        try:
            return await run(dialogue, send=send, bookmark=bookmark, keeper=TokenKeeper(lambda: 0.0))
        finally:
            await transport.close()

    return asyncio.run(story())


def test_the_first_provider_is_whole_and_about_thirty_lines_long(tmp_path: Path) -> None:
    start = FIRST.index("class ShelfProvider")
    lines = [line for line in FIRST[start:].splitlines() if line.strip()]
    assert len(lines) <= 30
    names = imported(tmp_path, FIRST)
    assert fault_of(names["ShelfProvider"](), "shelf") is None


def test_the_first_provider_delivers(page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path) -> None:
    status = deliver(page["ShelfProvider"](), url, tmp_path)
    assert (status.status, status.error) == ("succeeded", None)
    assert status.receipt == Receipt("d-1")
    assert shelf.copies() == [status.digest]


def test_its_tenant_file_loads(page: dict[str, Any]) -> None:
    [shown] = re.findall(r"^```text\n(integrations.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    loaded = load_mapping(
        {"acme": yaml.safe_load(shown)}, providers={"shelf": page["ShelfProvider"]()}, secrets=Keys()
    )
    assert (loaded.problems, list(loaded.integrations)) == ((), ["acme"])


def test_the_look_up_saves_a_second_copy(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    provider = type("AtOnce", (page["ReadableShelf"],), {"read_delays": (timedelta(0),)})()
    assert isinstance(page["ReadableShelf"](), Readable)
    shelf.drops = 1
    status = deliver(provider, url, tmp_path)
    assert (status.status, status.attempts, shelf.copies()) == ("succeeded", 1, [status.digest])
    assert shelf.requests == ["POST /documents", "GET /documents"]


def test_the_two_steps_go_on_from_the_bookmark(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    shelf.requests.clear()
    status = deliver(page["TwoStepShelf"](), url, tmp_path)
    assert (status.status, shelf.published) == ("succeeded", {"d-1"})
    settings = page["ShelfSettings"](Secret(KEY), url)
    again = page["TwoStepShelf"]().upload(None, settings, "d-1")
    assert talk(again) == Delivered(Receipt("d-1"))
    assert shelf.copies() == [status.digest]


def test_a_token_is_minted_and_replaced_once(page: dict[str, Any], shelf: Shelf, url: str) -> None:
    settings = page["ClientSettings"]("client", Secret("s"), url)
    request = HttpRequest("GET", f"{url}/shelf")

    def twice() -> Dialogue[list[Any]]:
        first = yield from page["send"](request, settings)
        shelf.tokens += 1  # the one that is kept is not good any more
        return [first, (yield from page["send"](request, settings))]

    assert [reply.status for reply in talk(twice())] == [200, 200]
    assert shelf.requests.count("POST /token") == 2


def test_the_dry_run_says_ready(page: dict[str, Any], url: str) -> None:
    provider = page["CheckableShelf"]()
    assert isinstance(provider, Checkable)
    assert talk(provider.check(page["ShelfSettings"](Secret(KEY), url))) == Ready(
        "the shelf Security is open to this key"
    )
    refused = talk(provider.check(page["ShelfSettings"](Secret("another"), url)))
    assert refused.failure.kind is FailureKind.UNAUTHORIZED


def test_a_bundle_goes_in_one_request(page: dict[str, Any], shelf: Shelf, url: str) -> None:
    def parcel(content: bytes) -> Parcel:
        return Parcel(
            tenant_id="acme",
            evidence_id="ev",
            session_id="s",
            subject="p",
            subject_email=None,
            outcome=Outcome.PASSED,
            recorded_at=RECEIVED_AT,
            evidence_date=RECEIVED_AT.date(),
            content=content,
            media_type="application/pdf",
            sha256=sha256(content).hexdigest(),
            file_name="ev.pdf",
            created_at=RECEIVED_AT,
        )

    provider = page["BundlingShelf"]()
    assert isinstance(provider, Bundling)
    settings = page["ShelfSettings"](Secret(KEY), url)
    came = talk(provider.upload_together([parcel(b"one"), parcel(b"two")], settings))
    assert came == [Delivered(Receipt(message="one of 2"))] * 2
    assert len(shelf.copies()) == 2
    came = talk(provider.upload_together([parcel(b"one"), parcel(b"bad")], settings))
    assert all(isinstance(verdict, Unbundled) for verdict in came)


def test_the_test_that_is_shown_tests(page: dict[str, Any], tmp_path: Path) -> None:
    lost = TransportFailure(FailureKind.NOT_SENT, "the line broke")
    taken = HttpResponse(201, (), b'{"id": "d-7"}', RECEIVED_AT)
    platform = page["Platform"](lost, taken)
    block = {"api_key": "${KEY}"}
    told = page["deliver"](page["ShelfProvider"](), block, evidence(), platform, tmp_path, Keys())
    status = asyncio.run(told)
    assert (status.status, status.attempts, status.receipt) == ("succeeded", 2, Receipt("d-7"))
    assert [request.url for request in platform.requests] == ["https://api.shelf.example/documents"] * 2
