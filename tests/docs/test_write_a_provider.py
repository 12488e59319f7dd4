"""The page for authors of providers holds: its code is run as it stands, against a platform on
loopback."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
import yaml
from attrs import define, evolve, field, frozen
from dialogue_runner import run
from loopback import on_loopback
from store_fixtures import evidence

from evidence_courier import AsyncCourier, UploadStatus
from evidence_courier.adapters import providers
from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.plugins import GROUP, fault_of
from evidence_courier.adapters.transports.aiohttp_transport import AiohttpTransport
from evidence_courier.domain.evidence.evidence import Outcome
from evidence_courier.domain.integration import Route
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import OF_THE_COURIER, FailureKind
from evidence_courier.domain.upload.verdict import (
    Deferred,
    Delivered,
    Found,
    Partly,
    Processing,
    Ready,
    Receipt,
    Refused,
    Rejected,
    Unbundled,
)
from evidence_courier.ports.dialogue import Dialogue, HttpRequest, HttpResponse, TransportFailure
from evidence_courier.ports.provider import Advising, Bundling, CanLookUp, Checkable, Parcel
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness, broken_rules

PAGE = Path(__file__).parents[2] / "docs" / "write-a-provider.md"
CODE = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)
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
    reviews: dict[str, str] = field(factory=dict)
    is_reviewed: bool = False
    keys: set[str] = field(factory=set)
    requests: list[str] = field(factory=list)
    headers: tuple[tuple[str, str], ...] = ()

    def answer(self, request: HttpRequest) -> HttpResponse:
        path, body = urlsplit(request.url).path, b"".join(request.body)
        headers = {name.lower(): value for name, value in request.headers}
        self.requests.append(f"{request.method} {path}")
        self.headers = request.headers
        status, said = self._answer(request, path, headers, body)
        if self.drops:
            self.drops -= 1
            raise ConnectionAbortedError("taken, and not a word")
        return HttpResponse(
            status, (), b"" if said is None else json.dumps(said).encode(), RECEIVED_AT
        )

    def _answer(
        self, request: HttpRequest, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, object]:
        if path == "/token":
            self.tokens += 1
            return 200, {"access_token": f"token-{self.tokens}", "expires_in": 3600}
        if (
            headers.get("api-key") != KEY
            and headers.get("authorization") != f"Bearer token-{self.tokens}"
        ):
            return 401, {}
        match request.method, path.strip("/").split("/"):
            case "POST", ["documents"] if headers.get("idempotency-key") in self.keys:
                return 409, {}
            case "POST", ["documents"]:
                self.keys |= {headers[one] for one in ("idempotency-key",) if one in headers}
                name = f"d-{len(self.documents) + 1}"
                [self.documents[name]] = _files(body)
                return 202 if self.is_reviewed else 201, {"id": name}
            case "GET", ["documents"]:
                [wanted] = parse_qs(urlsplit(request.url).query)["name"]
                found = [name for name, (kept, _) in self.documents.items() if kept == wanted]
                return 200, {
                    "documents": [
                        {
                            "id": name,
                            "name": wanted,
                            "published": name in self.published,
                            "review": self.reviews.get(name),
                        }
                        for name in found
                    ]
                }
            case "POST", ["documents", name, "publish"]:
                if name not in self.documents:
                    return 409, {}
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


KEYED = {"api_key": "${KEY}"}
AS_CLIENT = {"client_id": "client", "client_secret": "${KEY}"}


def deliver(
    provider: Any, url: str, folder: Path, credential: Mapping[str, str] = KEYED, **about: Any
) -> UploadStatus:
    block = {
        "provider": provider.name,
        "endpoint": url,
        "retry": {"initial_delay": "10ms"},
        **credential,
    }

    async def story() -> UploadStatus:
        async with AsyncCourier.from_mapping(
            {"acme": {"integrations": {"compliance": block}}},
            folder / "courier.db",
            providers={provider.name: provider},
            secrets=Keys(),
        ) as courier:
            status = await courier.submit(attrs.evolve(evidence(), **about)).settled(timeout=30)
            assert status is not None
            return status

    return asyncio.run(story())


def a_parcel(content: bytes) -> Parcel:
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


def talk(dialogue: Dialogue[Any]) -> Any:
    """What a dialogue comes to on a real line."""

    async def story() -> Any:
        transport = AiohttpTransport(now=lambda: RECEIVED_AT)

        async def send(request: HttpRequest) -> HttpResponse | TransportFailure:
            return await transport.send(request, Route())

        try:
            return await run(dialogue, send=send, bookmark=lambda progress: None)
        finally:
            await transport.close()

    return asyncio.run(story())


def test_the_first_provider_is_whole_and_about_thirty_lines_long(tmp_path: Path) -> None:
    start = FIRST.index("class ShelfProvider")
    lines = [line for line in FIRST[start:].splitlines() if line.strip()]
    assert len(lines) <= 33
    names = imported(tmp_path, FIRST)
    assert fault_of(names["ShelfProvider"](), "shelf") is None


def test_the_first_provider_delivers(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    status = deliver(page["ShelfProvider"](), url, tmp_path)
    assert (status.status, status.error) == ("succeeded", None)
    assert status.receipt == Receipt("d-1")
    assert shelf.copies() == [status.digest]


def test_its_tenant_file_loads(page: dict[str, Any]) -> None:
    [shown] = re.findall(
        r"^```text\n(integrations.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    loaded = load_mapping(
        {"acme": yaml.safe_load(shown)},
        providers={"shelf": page["ShelfProvider"]()},
        secrets=Keys(),
    )
    assert (loaded.problems, list(loaded.integrations)) == ((), ["acme"])


def test_the_look_up_saves_a_second_copy(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    provider = type("AtOnce", (page["ReadableShelf"],), {"look_up_delays": (timedelta(0),)})()
    assert isinstance(page["ReadableShelf"](), CanLookUp)
    shelf.drops = 1
    status = deliver(provider, url, tmp_path)
    assert (status.status, status.attempts, shelf.copies()) == ("succeeded", 1, [status.digest])
    assert shelf.requests == ["POST /documents", "GET /documents"]


def test_a_platform_that_refuses_copies_is_never_in_doubt(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    shelf.drops = 1
    status = deliver(page["UniqueShelf"](), url, tmp_path)
    assert (status.status, status.attempts, status.possible_duplicate) == ("succeeded", 2, False)
    assert shelf.copies() == [status.digest]


def test_a_platform_that_decides_later_is_asked_until_it_has_decided(
    page: dict[str, Any], shelf: Shelf, url: str
) -> None:
    provider, settings = page["ReviewedShelf"](), page["ShelfSettings"](Secret(KEY), url)
    parcel, shelf.is_reviewed = a_parcel(b"one"), True
    in_review = Processing(timedelta(minutes=5), "Shelf has it and reviews it")
    assert talk(provider.upload(parcel, settings, None)) == in_review
    assert talk(provider.look_up(parcel, settings, None)) == in_review
    shelf.reviews["d-1"] = "declined"
    declined = talk(provider.look_up(parcel, settings, None))
    assert isinstance(declined, Refused)
    assert declined.failure.kind is FailureKind.REFUSED
    shelf.reviews["d-1"] = "accepted"
    assert talk(provider.look_up(parcel, settings, None)) == Found(Receipt("d-1"))
    assert len(shelf.copies()) == 1


def test_the_kit_takes_an_empty_body_for_a_status_that_is_the_success(
    page: dict[str, Any],
) -> None:
    class Kit(ProviderContract):
        said = b""

        def harness(self) -> ProviderHarness:
            shelf = Shelf(is_reviewed=True)

            def answer(request: HttpRequest) -> HttpResponse:
                keyed = evolve(request, headers=(("Api-Key", KEY), *request.headers[1:]))
                came = shelf.answer(keyed)
                return evolve(came, body=self.said) if came.status == 202 else came

            return ProviderHarness(
                provider=page["ReviewedShelf"](),
                settings={"api_key": "${SHELF_KEY}", "endpoint": "http://127.0.0.1:9"},
                answer=answer,
                copies=lambda digest: shelf.copies().count(digest),
            )

    assert broken_rules(Kit) == {}
    Kit.said = b"{}"
    assert list(broken_rules(Kit)) == ["test_what_does_not_say_success_is_not_taken_for_it"]


def test_a_slash_behind_the_endpoint_is_taken_off(page: dict[str, Any]) -> None:
    settings = page["ShelfSettings"](Secret(KEY), "https://shelf.example/v1/")
    asked = next(page["ShelfProvider"]().upload(a_parcel(b"one"), settings, None))
    assert asked.url == "https://shelf.example/v1/documents"
    as_client = page["ClientSettings"]("client", Secret("s"), "https://shelf.example/v1/")
    assert next(page["mint"](as_client)).url == "https://shelf.example/v1/token"


def test_a_request_is_signed_when_it_leaves(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    status = deliver(page["SigningShelf"](), url, tmp_path)
    assert (status.status, shelf.requests) == ("succeeded", ["POST /documents"])
    names = [name.lower() for name, _ in shelf.headers]
    assert {"api-date", "api-signature"} <= set(names)


def test_settings_that_look_wrong_are_advised_against(page: dict[str, Any]) -> None:
    provider = page["AdvisingShelf"]()
    assert isinstance(provider, Advising)
    settings = page["ShelfSettings"](Secret(KEY), "https://shelf.example/documents")
    assert provider.advice(settings) == (
        "endpoint ends in /documents, which is added to it: leave that out",
    )
    assert provider.advice(page["ShelfSettings"](Secret(KEY))) == ()


def test_evidence_of_a_failed_training_is_skipped(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    status = deliver(page["PersonalShelf"](), url, tmp_path, outcome="exhausted")
    assert (status.status, shelf.requests) == ("skipped", [])
    assert deliver(page["PersonalShelf"](), url, tmp_path).status == "skipped"


def test_what_has_no_person_is_refused_before_anything_is_sent(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    status = deliver(page["PersonShelf"](), url, tmp_path, subject_email=None)
    assert status.error is not None
    assert (status.status, status.error.kind, shelf.requests) == ("failed", "bad_request", [])
    with_one = deliver(
        page["PersonShelf"](), url, tmp_path, evidence_id="ev-2", subject_email="ana@acme.example"
    )
    assert with_one.status == "succeeded"


def test_a_missing_target_is_a_failure_of_the_integration(
    page: dict[str, Any], url: str, tmp_path: Path
) -> None:
    status = deliver(
        page["PersonShelf"](), f"{url}/elsewhere", tmp_path, subject_email="ana@acme.example"
    )
    assert status.error is not None
    assert (status.status, status.error.kind) == ("failed", "target_not_found")
    lost = page["PersonShelf"]().judged(TransportFailure(FailureKind.TIMEOUT, "no reply"))
    assert lost.failure.kind is FailureKind.TIMEOUT


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


def test_a_draft_that_is_gone_is_begun_anew(page: dict[str, Any], shelf: Shelf, url: str) -> None:
    settings = page["ShelfSettings"](Secret(KEY), url)
    came = talk(page["TwoStepShelf"]().upload(a_parcel(b"one"), settings, "gone"))
    assert came == Delivered(Receipt("d-1"))
    assert shelf.published == {"d-1"}


def test_the_second_step_never_speaks_of_a_doubt(page: dict[str, Any]) -> None:
    settings = page["ShelfSettings"](Secret(KEY))
    dialogue = page["TwoStepShelf"]().upload(None, settings, "d-1")
    next(dialogue)
    with pytest.raises(StopIteration) as ended:
        dialogue.send(HttpResponse(500, (), b"", RECEIVED_AT))
    verdict = ended.value.value
    assert isinstance(verdict, Deferred)
    assert "is not known" not in verdict.failure.message


def test_a_look_up_that_finds_the_first_step_leads_to_the_second(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    provider = type(
        "AtOnce", (page["ReadableTwoStepShelf"],), {"look_up_delays": (timedelta(0),)}
    )()
    assert isinstance(provider, CanLookUp)
    shelf.drops = 1
    status = deliver(provider, url, tmp_path)
    assert (status.status, shelf.published) == ("succeeded", {"d-1"})
    assert shelf.copies() == [status.digest]
    parcel, settings = a_parcel(b"one"), page["ShelfSettings"](Secret(KEY), url)
    talk(page["ShelfProvider"]().upload(parcel, settings, None))
    assert talk(provider.look_up(parcel, settings, None)) == Partly("d-2")
    shelf.published.add("d-2")
    assert talk(provider.look_up(parcel, settings, None)) == Found(Receipt("d-2"))


def test_an_upload_with_a_token_is_delivered(
    page: dict[str, Any], shelf: Shelf, url: str, tmp_path: Path
) -> None:
    status = deliver(page["TokenShelf"](), url, tmp_path, AS_CLIENT)
    assert status.status == "succeeded"
    assert shelf.requests == ["POST /token", "POST /documents"]


def test_what_gets_no_token_was_not_sent(page: dict[str, Any], url: str) -> None:
    settings = page["ClientSettings"]("client", Secret("s"), f"{url}/nowhere")
    came = talk(page["TokenShelf"]().upload(a_parcel(b"one"), settings, None))
    assert isinstance(came, Rejected)


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
    provider = page["BundlingShelf"]()
    assert isinstance(provider, Bundling)
    settings = page["ShelfSettings"](Secret(KEY), url)
    came = talk(provider.upload_together([a_parcel(b"one"), a_parcel(b"two")], settings))
    assert came == [Delivered(Receipt(message="one of 2"))] * 2
    assert len(shelf.copies()) == 2
    came = talk(provider.upload_together([a_parcel(b"one"), a_parcel(b"bad")], settings))
    assert all(isinstance(verdict, Unbundled) for verdict in came)


SHOWN_TESTS = re.findall(r"^def (test_\w+)\(tmp_path\)", "\n".join(CODE), re.MULTILINE)


@pytest.mark.parametrize("name", SHOWN_TESTS)
def test_a_test_that_is_shown_passes(page: dict[str, Any], name: str, tmp_path: Path) -> None:
    page[name](tmp_path)


def test_the_tests_that_are_shown_can_fail(page: dict[str, Any], tmp_path: Path) -> None:
    """A provider that takes every reply for a success is found out by one of them."""
    broken = type(
        "Credulous", (page["ShelfProvider"],), {"judged": lambda self, reply: Delivered(Receipt())}
    )
    replies = [HttpResponse(200, (), b"{}", RECEIVED_AT)]
    status, _ = page["deliver"](broken(), KEYED, replies, tmp_path)
    assert status.status == "succeeded"
    assert len(SHOWN_TESTS) == 3


def test_the_package_that_is_shown_is_one(page: dict[str, Any]) -> None:
    [shown] = re.findall(
        r"^```text\n# pyproject.toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    package = tomllib.loads(shown)
    assert package["build-system"]["build-backend"] == "setuptools.build_meta"
    assert package["project"]["entry-points"][GROUP] == {
        "shelf": "evidence_courier_shelf:ShelfProvider"
    }
    assert package["tool"]["setuptools"]["packages"] == ["evidence_courier_shelf"]
    assert page["ShelfProvider"].name == "shelf"


def test_the_arguments_of_each_are_listed_in_order() -> None:
    [shown] = re.findall(
        r"^```text\n(HttpRequest\(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S
    )
    told = dict(re.findall(r"(\w+)\((.*?)\)", shown))
    for name, arguments in told.items():
        there = inspect.signature(getattr(providers, name)).parameters.values()
        named = [one.name for one in there if one.kind is one.KEYWORD_ONLY]
        wanted = [one.name for one in there if one.kind is not one.KEYWORD_ONLY] + (
            ["*", *named] if named else []
        )
        assert arguments == ", ".join(wanted), name
    with_arguments = {"Parcel", "Secret", "Bookmark", "access", "bookmark", "fetch"} | {*told}
    assert {
        name for name in providers.__all__ if _takes_something(getattr(providers, name))
    } <= with_arguments


def _takes_something(thing: object) -> bool:
    return inspect.isfunction(thing) or attrs.has(thing)  # type: ignore[arg-type]


def test_every_field_of_a_parcel_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for told in attrs.fields(Parcel):
        assert f"`{told.name}`" in text, told.name


def test_the_whole_of_it_is_a_file_whose_types_are_checked() -> None:
    typed = PAGE.parent.parent / "tests" / "typing" / "shelf.py"
    assert typed.read_text(encoding="utf-8") == FIRST


def test_the_kinds_of_the_courier_are_those_of_the_code() -> None:
    table = PAGE.read_text(encoding="utf-8").split("| only the courier gives | use |\n|---|---|\n")[
        1
    ]
    rows = [row.strip("| ").split(" | ") for row in table.split("\n\n")[0].splitlines()]
    told = {
        FailureKind(kind): use.replace("`", "")
        for kinds, use in rows
        for kind in re.findall(r"`(\w+)`", kinds)
    }
    assert told == dict(OF_THE_COURIER)
