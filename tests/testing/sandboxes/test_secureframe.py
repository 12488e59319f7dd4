"""The Secureframe sandbox, asked by a client that knows nothing of ours."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import SecureframeSandbox

HEADERS = {"Authorization": "sandbox-key sandbox-secret"}
PDF = b"%PDF-1.7 evidence"
DIGEST = hashlib.sha256(PDF).hexdigest()
MD5 = b64encode(hashlib.md5(PDF, usedforsecurity=False).digest()).decode()
USER = "5b1f6a0e-3c7d-4c0a-9e55-0d6c1f2a7b10"
TEST = "0c9b7f3e-58a1-4d2b-8f66-7e1d2c3b4a50"
OF_USER = (
    f"/users/{USER}/evidences?document_type=security_training_screenshot"
    "&activity_completion=2026-02-21"
)
OF_TEST = f"/tests/{TEST}/evidences?activity_completion=2026-02-21"
FILE = {
    "filename": "ev-1.pdf",
    "byte_size": str(len(PDF)),
    "checksum": MD5,
    "content_type": "application/pdf",
}
Ask = Callable[..., Awaitable[tuple[int, Any]]]


def story(
    tell: Callable[[SecureframeSandbox, Ask, FakeClock], Awaitable[None]], **options: Any
) -> None:
    """Run a story with a fresh sandbox and a client for it."""

    async def scene() -> None:
        clock = FakeClock()
        async with (
            SecureframeSandbox(now=clock.now, **options) as sandbox,
            aiohttp.ClientSession() as session,
        ):

            async def ask(method: str, path: str, **more: Any) -> tuple[int, Any]:
                headers = more.pop("headers", HEADERS)
                url = path if "://" in path else sandbox.url + path
                async with session.request(method, url, headers=headers, **more) as response:
                    return (
                        response.status,
                        await response.json() if response.content_length else None,
                    )

            await tell(sandbox, ask, clock)

    asyncio.run(scene())


async def staged(ask: Ask, **said: str) -> dict[str, Any]:
    """What is said of a file that was staged."""
    status, answer = await ask("POST", f"/file_uploads?{urlencode(FILE | said)}")
    assert status == 200
    told: dict[str, Any] = answer["data"]["attributes"]
    assert told["id"] == answer["data"]["id"]
    return told


def form(name: str = "ev-1.pdf", kind: str = "application/pdf", part: str = "file") -> Any:
    data = aiohttp.FormData(default_to_multipart=True)
    data.add_field(part, PDF, filename=name, content_type=kind)
    return data


@pytest.mark.parametrize(("path", "target"), [(OF_USER, f"user {USER}"), (OF_TEST, f"test {TEST}")])
def test_a_staged_file_is_attached_once(path: str, target: str) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        told = await staged(ask)
        assert (await ask("PUT", told["url"], headers=told["headers"], data=PDF))[0] == 200
        attach = f"{path}&upload_id={told['id']}"
        status, answer = await ask("POST", attach)
        assert status == 200
        assert answer["data"]["id"]
        status, answer = await ask("POST", attach)
        assert (status, answer) == (400, {"message": "upload_id is not redeemable"})
        [upload] = sandbox.received
        assert (upload.target, upload.sha256, upload.file_name) == (target, DIGEST, "ev-1.pdf")
        assert upload.evidence_date == "2026-02-21"
        assert "sandbox-" not in repr(upload)

    story(tell)


def test_a_file_is_attached_directly() -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        assert (await ask("POST", OF_USER, data=form()))[0] == 200
        assert sandbox.copies(DIGEST) == 1

    story(tell)


def test_the_url_is_good_for_15_minutes_and_the_id_for_an_hour() -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        late, early = await staged(ask), await staged(ask)
        assert (await ask("PUT", early["url"], headers=early["headers"], data=PDF))[0] == 200
        clock.advance(timedelta(minutes=15).total_seconds())
        assert (await ask("PUT", late["url"], headers=late["headers"], data=PDF))[0] == 403
        clock.advance(timedelta(minutes=45).total_seconds())
        assert (await ask("POST", f"{OF_TEST}&upload_id={early['id']}"))[0] == 400
        assert sandbox.received == ()

    story(tell)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({}, PDF, 400),
        ({"Content-MD5": "other"}, PDF, 400),
        ({"Content-Type": "text/plain"}, PDF, 400),
        (HEADERS, PDF, 400),  # the key has no business here
        ({}, PDF + b"x", 400),
        ({}, PDF[:-1] + b"x", 400),
    ],
)
def test_the_storage_takes_what_was_declared_and_nothing_else(
    headers: dict[str, str], content: bytes, status: int
) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        told = await staged(ask)
        given = (
            told["headers"] | headers
            if headers or content != PDF
            else {"Content-Type": "application/pdf"}
        )
        assert (await ask("PUT", told["url"], headers=given, data=content))[0] == status
        assert (await ask("POST", f"{OF_TEST}&upload_id={told['id']}"))[0] == 400

    story(tell)


def test_the_storage_wants_its_signature() -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        told = await staged(ask)
        unsigned = told["url"].partition("?")[0]
        assert (await ask("PUT", unsigned, headers=told["headers"], data=PDF))[0] == 403

    story(tell)


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("POST", "/file_uploads?filename=a.pdf", None, 400),
        ("POST", f"/file_uploads?{urlencode(FILE | {'filename': 'a.doc'})}", None, 400),
        ("POST", f"/file_uploads?{urlencode(FILE | {'byte_size': '32000001'})}", None, 413),
        ("POST", f"/file_uploads?{urlencode(FILE | {'name': 'x'})}", None, 400),
        ("POST", OF_USER, None, 400),
        ("POST", OF_USER + "&upload_id=x", None, 400),
        ("POST", OF_USER.replace("security_training_screenshot", "certificate"), "form", 400),
        ("POST", OF_USER.replace("2026-02-21", "yesterday"), "form", 400),
        ("POST", OF_USER + "&note=x", "form", 400),
        ("POST", OF_USER.replace(USER, TEST), "form", 404),
        ("POST", OF_TEST.replace(TEST, USER), "form", 404),
        ("POST", OF_TEST + "&document_type=pci_training_screenshot", "form", 400),
        ("GET", "/users?per_page=0", None, 400),
        ("GET", "/users?q=name:jane", None, 400),
        ("GET", "/evidences?sort=id", None, 400),
        ("GET", f"/users/{TEST}", None, 404),
        ("GET", f"/tests/{USER}", None, 404),
        ("GET", "/elsewhere", None, 404),
    ],
)
def test_what_is_not_in_order_is_refused(
    method: str, path: str, data: str | None, status: int
) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        got, said = await ask(method, path, data=form() if data else None)
        assert got == status
        assert said["message"]
        assert sandbox.received == ()

    story(tell)


@pytest.mark.parametrize(
    "body",
    [
        lambda: form("ev-1.json", "application/json"),
        lambda: form("ev-1.pdf", "image/png"),
        lambda: form("ev-1"),
        lambda: form(part="document"),
    ],
)
def test_a_form_without_a_fit_file_is_refused(body: Callable[[], Any]) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        assert (await ask("POST", OF_TEST, data=body()))[0] == 400
        assert sandbox.received == ()

    story(tell)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sandbox-key",
        "Bearer sandbox-key sandbox-secret",
        "sandbox-key other",
        "sandbox-secret sandbox-key",
    ],
)
def test_without_both_halves_of_the_key_nothing_is_served(header: str) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        headers = {"Authorization": header}
        assert (await ask("GET", "/users", headers=headers))[0] == 401
        assert (await ask("POST", OF_TEST, headers=headers, data=form()))[0] == 401

    story(tell)


@pytest.mark.parametrize("shows_names", [True, False])
def test_the_list_shows_what_is_documented_the_newest_first(shows_names: bool) -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        for path in (OF_USER, OF_TEST):
            await ask("POST", path, data=form())
        _, page = await ask("GET", "/evidences?sort=-created_at&page=1&per_page=1")
        assert page["meta"] == {"total": 2}
        [first] = page["data"]
        assert first["attributes"]["evidenceable_type"] == "Company"
        _, page = await ask("GET", "/evidences?page=2&per_page=1")
        told = page["data"][0]["attributes"]
        assert (told["evidenceable_id"], told["evidence_type"]) == (
            USER,
            "security_training_screenshot",
        )
        assert told["activity_completion"] == "2026-02-21"
        assert ("ev-1.pdf" in repr(page)) is shows_names

    story(tell, shows_names=shows_names)


def test_an_account_may_lack_the_list() -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        assert (await ask("GET", "/evidences"))[0] == 404

    story(tell, lists_evidence=False)


def test_a_search_for_an_address_finds_too_many() -> None:
    async def tell(sandbox: SecureframeSandbox, ask: Ask, clock: FakeClock) -> None:
        query = urlencode({"q": 'email:"jane@acme.example"'})
        _, page = await ask("GET", f"/users?{query}")
        assert [user["id"] for user in page["data"]] == ["a", "b"]

    story(
        tell, users={"a": "jane@acme.example", "b": "joe@acme.example", "c": "jane@globex.example"}
    )
