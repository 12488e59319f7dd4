"""The Drata sandbox, asked by a client that knows nothing of ours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from evidence_courier.testing.sandboxes import DrataSandbox, SecureframeSandbox

HEADERS = {"Authorization": "Bearer sandbox-key"}
PDF = b"%PDF-1.7 evidence"
JANE = "/users/email:jane@acme.example/documents"
Ask = Callable[..., Awaitable[tuple[int, Any]]]


def story(tell: Callable[[DrataSandbox, Ask], Awaitable[None]], **options: Any) -> None:
    """Run a story with a fresh sandbox and a client for it."""

    async def scene() -> None:
        async with DrataSandbox(**options) as sandbox, aiohttp.ClientSession() as session:

            async def ask(method: str, path: str, **more: Any) -> tuple[int, Any]:
                headers = more.pop("headers", HEADERS)
                async with session.request(
                    method, sandbox.url + path, headers=headers, **more
                ) as response:
                    return response.status, await response.json()

            await tell(sandbox, ask)

    asyncio.run(scene())


def form(
    *fields: tuple[str, str], name: str | None = "ev-1.pdf", kind: str | None = "application/pdf"
) -> Any:
    data = aiohttp.FormData(default_to_multipart=True)
    for key, value in fields:
        data.add_field(key, value)
    data.add_field("file", PDF, filename=name, content_type=kind)
    return data


TRAINING = (("type", "SEC_TRAINING"), ("completionDate", "2026-02-21T10:00:00Z"))
ITEM = (
    ("name", "ev-1.pdf"),
    ("filedAt", "2026-02-21"),
    ("renewalScheduleType", "NONE"),
    ("ownerId", "7"),
    ("controlIds", "1"),
    ("controlIds", "2"),
)


def test_a_document_is_taken_listed_and_recorded_without_the_key() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        status, created = await ask("POST", JANE, data=form(*TRAINING))
        assert (status, created["id"], created["name"], created["userId"]) == (
            201,
            1,
            "ev-1.pdf",
            7,
        )
        assert sandbox.copies(hashlib.sha256(PDF).hexdigest()) == 1
        _, listed = await ask("GET", "/users/7/documents?type=SEC_TRAINING")
        assert (listed["data"], listed["pagination"]) == ([created], {"cursor": None})
        assert (await ask("GET", "/users/7/documents?type=MFA_EVIDENCE"))[1]["data"] == []
        assert (await ask("GET", "/users/7/documents?name=ev-2.pdf"))[1]["data"] == []
        assert "sandbox-key" not in repr(sandbox.received)
        sandbox.reset()
        assert (await ask("GET", "/users/7/documents"))[1]["data"] == []

    story(tell)


def test_a_library_item_is_taken_with_its_controls() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        status, created = await ask("POST", "/workspaces/1/evidence-library", data=form(*ITEM))
        assert (status, created["name"]) == (201, "ev-1.pdf")
        _, listed = await ask("GET", "/workspaces/1/evidence-library?name=ev-1.pdf")
        assert [item["id"] for item in listed["data"]] == [created["id"]]
        assert [upload.target for upload in sandbox.received] == ["workspace 1"]

    story(tell)


FORMS_OF_CONTROLS = {
    "repeated": (("controlIds", "1"), ("controlIds", "2")),
    "brackets": (("controlIds[]", "1"), ("controlIds[]", "2")),
    "commas": (("controlIds", "1,2"),),
}


@pytest.mark.parametrize("sent", FORMS_OF_CONTROLS)
@pytest.mark.parametrize("taken", FORMS_OF_CONTROLS)
def test_controls_are_taken_in_one_form_only(taken: str, sent: str) -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        data = form(*ITEM[:-2], *FORMS_OF_CONTROLS[sent])
        status, _ = await ask("POST", "/workspaces/1/evidence-library", data=data)
        assert status == (201 if sent == taken else 400)
        assert len(sandbox.received) == (sent == taken)

    story(tell, controls_as=taken)


def test_a_list_is_read_page_by_page_the_newest_first() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        for number in range(5):
            await ask("POST", JANE, data=form(*TRAINING, name=f"{number}.pdf"))
        seen, path = [], "/users/7/documents?size=2&sort=createdAt&sortDir=DESC"
        cursor = ""
        while True:
            _, page = await ask("GET", path + cursor)
            seen += [item["name"] for item in page["data"]]
            if page["pagination"]["cursor"] is None:
                break
            cursor = f"&cursor={page['pagination']['cursor']}"
        assert sorted(seen) == [f"{number}.pdf" for number in range(5)]

    story(tell)


@pytest.mark.parametrize(
    ("method", "path", "data", "status"),
    [
        ("POST", JANE, lambda: form(*TRAINING, name="ev-1.json", kind="application/json"), 400),
        ("POST", JANE, lambda: form(*TRAINING, name="ev-1"), 400),
        ("POST", JANE, lambda: form(*TRAINING, name="ev-1.pdf", kind="image/png"), 400),
        ("POST", JANE, lambda: form(*TRAINING, kind="application/octet-stream"), 400),
        ("POST", JANE, lambda: form(("type", "TRAINING")), 400),
        (
            "POST",
            JANE,
            lambda: form(("type", "SEC_TRAINING"), ("completionDate", "yesterday")),
            400,
        ),
        ("POST", JANE, lambda: {"type": "SEC_TRAINING"}, 415),
        ("POST", "/users/9/documents", lambda: form(*TRAINING), 404),
        ("POST", "/users/email:john@acme.example/documents", lambda: form(*TRAINING), 404),
        ("POST", "/users/jane/documents", lambda: form(*TRAINING), 404),
        ("POST", "/workspaces/2/evidence-library", lambda: form(*ITEM), 404),
        (
            "POST",
            "/workspaces/1/evidence-library",
            lambda: form(*ITEM[:-1], ("controlIds", "9")),
            404,
        ),
        ("POST", "/workspaces/1/evidence-library", lambda: form(*ITEM[:2]), 400),
        (
            "POST",
            "/workspaces/1/evidence-library",
            lambda: form(("name", "x" * 192), *ITEM[1:]),
            400,
        ),
        ("GET", "/users/7/documents?size=51", lambda: None, 400),
        ("GET", "/users/7/documents?page=2", lambda: None, 400),
        ("GET", "/users/7/documents?sort=name", lambda: None, 400),
        ("GET", "/users/7/documents?cursor=x", lambda: None, 400),
        ("DELETE", "/users/7/documents", lambda: None, 404),
        ("GET", "/elsewhere", lambda: None, 404),
    ],
)
def test_what_is_not_in_order_is_refused(
    method: str, path: str, data: Callable[[], Any], status: int
) -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        got, said = await ask(method, path, data=data())
        assert got == status
        assert said["statusCode"] == status
        assert said["message"]
        assert sandbox.received == ()

    story(tell)


def test_a_file_that_is_too_large_gets_413() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        assert (await ask("POST", JANE, data=form(*TRAINING)))[0] == 413

    story(tell, max_bytes=len(PDF) - 1)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "sandbox-key"}, {"Authorization": "Bearer other"}]
)
def test_without_the_key_nothing_is_served(headers: dict[str, str]) -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        assert (await ask("GET", "/company", headers=headers))[0] == 401
        assert (await ask("POST", JANE, headers=headers, data=form(*TRAINING)))[0] == 401
        assert sandbox.received == ()

    story(tell)


def test_the_company_says_whether_it_takes_uploads() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        assert (await ask("GET", "/company"))[1]["manualUploadEnabled"] is False
        assert [space["id"] for space in (await ask("GET", "/workspaces"))[1]["data"]] == [1]

    story(tell, manual_uploads=False)


@pytest.mark.parametrize("sandbox", [DrataSandbox, SecureframeSandbox])
def test_a_sandbox_keeps_no_key(sandbox: type[DrataSandbox | SecureframeSandbox]) -> None:
    assert "very-secret" not in repr(vars(sandbox(key="very-secret-key")))


def test_evidence_of_the_newer_endpoints_refers_to_a_stored_file() -> None:
    async def tell(sandbox: DrataSandbox, ask: Ask) -> None:
        status, stored = await ask("POST", "/workspaces/1/evidence-files", data=form())
        assert (status, stored["originalFilename"], stored["fileSize"]) == (
            201,
            "ev-1.pdf",
            len(PDF),
        )
        assert sandbox.copies(hashlib.sha256(PDF).hexdigest()) == 0
        artifact = {"type": "S3_FILE", "fileKey": stored["fileKey"], "filedAt": "2026-02-21"}
        evidence = {
            "name": "ev-1.pdf",
            "artifacts": [artifact],
            "ownerId": 7,
            "controlIds": [1, 2],
            "renewalScheduleType": "NONE",
        }
        status, made = await ask("POST", "/workspaces/1/evidence", json=evidence)
        assert (status, made["artifactsRequested"], made["artifactsCreated"]) == (201, 1, 1)
        assert sandbox.copies(hashlib.sha256(PDF).hexdigest()) == 1
        _, listed = await ask("GET", "/workspaces/1/evidence?name=ev")
        assert [item["id"] for item in listed["data"]] == [made["id"]]
        assert (await ask("GET", "/workspaces/1/evidence?name=vanish"))[1]["data"] == []
        for wrong, expected in (
            ({"artifacts": []}, 400),
            ({"artifacts": [artifact | {"fileKey": "another"}]}, 400),
            ({"renewalScheduleType": "SOMETIMES"}, 400),
            ({"ownerId": 99}, 404),
            ({"controlIds": [99]}, 404),
        ):
            answer = await ask("POST", "/workspaces/1/evidence", json=evidence | wrong)
            assert answer[0] == expected, wrong

    story(tell)
