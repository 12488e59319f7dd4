"""The Vanta sandbox as a client meets it: tokens, uploads, submissions, the list, and what it
refuses."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from evidence_courier.testing import FakeClock
from evidence_courier.testing.sandboxes import FaultPlan, VantaSandbox, fault_kinds

DOCUMENT = "security-awareness-training"
NOON = datetime(2026, 2, 21, 12, 0, tzinfo=UTC)
ASKED = {
    "client_id": "sandbox-client",
    "client_secret": "sandbox-key",
    "scope": "vanta-api.all:read vanta-api.all:write vanta-api.documents:upload",
    "grant_type": "client_credentials",
}
UPLOADED_FILE = {
    "id", "fileName", "title", "description", "url", "creationDate", "updatedDate", "effectiveDate",
    "deletionDate", "mimeType", "uploadedBy",
}  # fmt: skip
DOCUMENT_DETAIL = {
    "id", "ownerId", "category", "description", "isSensitive", "title", "uploadStatus",
    "uploadStatusDate",
    "url", "note", "nextRenewalDate", "renewalCadence", "reminderWindow", "deactivatedStatus",
    "subscribers",
}  # fmt: skip


class Client:
    """A client as anybody might write it, with nothing of ours in it."""

    def __init__(self, session: aiohttp.ClientSession, sandbox: VantaSandbox) -> None:
        self.session = session
        self.sandbox = sandbox
        self.token = ""

    async def send(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} | body.pop("headers", {})
        url = self.sandbox.url + path
        async with self.session.request(method, url, headers=headers, **body) as response:
            text = await response.read()
            return response.status, json.loads(text) if text else None

    async def sign_in(self, **asked: object) -> tuple[int, Any]:
        status, said = await self.send("POST", "/oauth/token", json=ASKED | asked)
        self.token = said.get("access_token", self.token)
        return status, said

    async def upload(
        self,
        content: bytes = b"%PDF",
        name: str | None = "ev-1.pdf",
        document: str = DOCUMENT,
        **fields: str,
    ) -> tuple[int, Any]:
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for key, value in fields.items():
            form.add_field(key, value)
        form.add_field("file", content, filename=name, content_type="application/pdf")
        return await self.send("POST", f"/v1/documents/{document}/uploads", data=form)

    async def submit(self, document: str = DOCUMENT) -> int:
        return (await self.send("POST", f"/v1/documents/{document}/submit"))[0]

    async def list(self, query: str = "") -> tuple[int, Any]:
        return await self.send("GET", f"/v1/documents/{DOCUMENT}/uploads{query}")


def scene(
    tell: Callable[[Client], Awaitable[None]], *, signed_in: bool = True, **options: Any
) -> None:
    """Play a scene with a client and a fresh sandbox."""

    async def play() -> None:
        async with VantaSandbox(**options) as sandbox, aiohttp.ClientSession() as session:
            client = Client(session, sandbox)
            if signed_in:
                assert (await client.sign_in())[0] == 200
            await tell(client)

    asyncio.run(play())


# -- tokens


def test_a_token_is_given_for_the_right_credentials_in_json() -> None:
    async def tell(client: Client) -> None:
        status, said = await client.sign_in()
        assert (status, said["expires_in"], said["token_type"]) == (200, 3600, "Bearer")
        assert (await client.list())[0] == 200

    scene(tell, signed_in=False)


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"client_secret": None}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": ""}, 400, "invalid_scope"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"scope": "vanta-api.all:read connectors.self:read-resource"}, 400, "invalid_scope"),
    ],
)
def test_a_token_request_that_is_not_in_order_gets_none(
    asked: dict[str, object], status: int, error: str
) -> None:
    async def tell(client: Client) -> None:
        answer = await client.sign_in(**asked)
        assert (answer[0], answer[1]["error"]) == (status, error)
        assert client.sandbox.tokens_minted == 0

    scene(tell, signed_in=False)


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", {"data": ASKED}, 400),  # a form
        ("POST", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", {"json": [ASKED]}, 400),
        ("POST", {"json": ASKED | {"scope": "x" * 20_000}}, 413),
        ("GET", {}, 405),
    ],
)
def test_the_token_endpoint_takes_a_json_object_only(
    method: str, body: Mapping[str, Any], status: int
) -> None:
    async def tell(client: Client) -> None:
        assert (await client.send(method, "/oauth/token", **body))[0] == status

    scene(tell, signed_in=False)


def test_an_application_has_one_live_token() -> None:
    async def tell(client: Client) -> None:
        old = client.token
        await client.sign_in()
        assert client.token != old
        assert (await client.list())[0] == 200
        client.token = old
        assert (await client.list())[0] == 401

    scene(tell)


def test_a_token_dies_when_another_program_mints_one_and_after_its_hour() -> None:
    clock = FakeClock()

    async def tell(client: Client) -> None:
        clock.advance(3_599)
        assert (await client.list())[0] == 200
        clock.advance(1)
        assert (await client.list())[0] == 401
        await client.sign_in()
        client.sandbox.revoke_token()
        assert (await client.list())[0] == 401

    scene(tell, monotonic=clock.monotonic)


def test_a_token_revoked_while_a_file_is_under_way_is_refused_for_it() -> None:
    async def tell(client: Client) -> None:
        boundary, head = "b", 'Content-Disposition: form-data; name="file"; filename="a.pdf"'
        body = f"--{boundary}\r\n{head}\r\n\r\n%PDF\r\n--{boundary}--\r\n".encode()
        address = urlsplit(client.sandbox.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(
            f"POST /v1/documents/{DOCUMENT}/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            f"{client.token}\r\n"
            f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: "
            f"{len(body)}\r\n\r\n".encode()
        )
        writer.write(body[:20])
        requests = client.sandbox.requests
        async with asyncio.timeout(5.0):
            while client.sandbox.requests == requests:
                await asyncio.sleep(0)
            client.sandbox.revoke_token()
            writer.write(body[20:])
            assert await reader.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
        writer.close()
        await writer.wait_closed()
        assert client.sandbox.received == ()

    scene(tell)


def test_five_tokens_a_minute_and_no_more() -> None:
    async def tell(client: Client) -> None:
        answers = [(await client.sign_in())[0] for _ in range(6)]
        assert answers == [200] * 5 + [429]

    scene(tell, signed_in=False, monotonic=lambda: 0.0)


def test_the_pace_counts_all_requests_and_the_token_pace_may_be_lifted() -> None:
    async def tell(client: Client) -> None:
        answers = [(await client.sign_in())[0] for _ in range(8)]
        assert answers == [200] * 7 + [429]

    scene(tell, signed_in=False, token_pace=None, pace="7/min", monotonic=lambda: 0.0)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("vanta-api.all:read", {"list": 200, "document": 200, "upload": 403, "submit": 403}),
        ("vanta-api.all:write", {"list": 403, "document": 403, "upload": 403, "submit": 400}),
        (
            "vanta-api.all:write vanta-api.documents:upload",
            {"list": 403, "document": 403, "submit": 400, "upload": 201},
        ),
    ],
)
def test_each_request_needs_its_scopes(scope: str, allowed: dict[str, int]) -> None:
    async def tell(client: Client) -> None:
        await client.sign_in(scope=scope)
        path = f"/v1/documents/{DOCUMENT}"
        for verb, status in allowed.items():
            match verb:
                case "upload":
                    answer, _ = await client.upload()
                case "submit":
                    answer = await client.submit()
                case _:
                    answer, _ = await client.send(
                        "GET", f"{path}/uploads" if verb == "list" else path
                    )
            assert answer == status, verb

    scene(tell, signed_in=False)


# -- uploads and submissions


def test_an_upload_is_recorded_and_answered_in_the_documented_shape() -> None:
    async def tell(client: Client) -> None:
        status, said = await client.upload(
            b"%PDF evidence", "Prüfung 1.pdf", effectiveAtDate="2026-02-21", description="words"
        )
        assert status == 201
        assert set(said) == UPLOADED_FILE
        assert (said["fileName"], said["description"], said["mimeType"]) == (
            "Prüfung 1.pdf",
            "words",
            "application/pdf",
        )
        assert said["effectiveDate"] == "2026-02-21T00:00:00.000Z"
        assert said["creationDate"] == "2026-02-21T12:00:00.000Z"
        assert said["deletionDate"] is None
        [received] = client.sandbox.received
        assert (received.target, received.evidence_date) == (DOCUMENT, "2026-02-21")
        assert received.sha256 == hashlib.sha256(b"%PDF evidence").hexdigest()
        assert client.token not in repr(received) + repr(vars(client.sandbox))

    scene(tell, now=lambda: NOON)


def test_a_submission_submits_the_whole_draft_and_the_document_is_ok() -> None:
    async def tell(client: Client) -> None:
        digest = hashlib.sha256(b"%PDF").hexdigest()
        for _ in range(2):
            await client.upload()
        _, before = await client.send("GET", f"/v1/documents/{DOCUMENT}")
        assert (set(before), before["uploadStatus"]) == (DOCUMENT_DETAIL, "Needs document")
        assert (client.sandbox.copies(digest), client.sandbox.submitted(digest)) == (2, 0)
        assert await client.submit() == 204
        assert (client.sandbox.copies(digest), client.sandbox.submitted(digest)) == (2, 2)
        _, after = await client.send("GET", f"/v1/documents/{DOCUMENT}")
        assert after["uploadStatus"] == "OK"

    scene(tell)


@pytest.mark.parametrize("status", [204, 400, 409, 422])
def test_what_an_empty_draft_comes_to_can_be_chosen(status: int) -> None:
    async def tell(client: Client) -> None:
        assert await client.submit() == status

    scene(tell, nothing_to_submit=status)


@pytest.mark.parametrize(
    ("document", "status"), [("no-such-document", 404), ("old", 409), (f"{DOCUMENT}%2F..", 404)]
)
def test_an_unknown_or_deactivated_document_takes_nothing(document: str, status: int) -> None:
    async def tell(client: Client) -> None:
        assert (await client.upload(document=document))[0] == status
        assert await client.submit(document) == status
        assert client.sandbox.received == ()

    scene(tell, documents={DOCUMENT: "Training", "old": "An old one"}, deactivated=["old"])


def test_a_document_that_is_deactivated_says_so() -> None:
    async def tell(client: Client) -> None:
        _, said = await client.send("GET", f"/v1/documents/{DOCUMENT}")
        assert said["deactivatedStatus"]["isDeactivated"] is True

    scene(tell, deactivated=[DOCUMENT])


def test_only_an_existing_document_can_be_deactivated() -> None:
    with pytest.raises(
        ValueError, match="'old' is named as deactivated, but is not among the documents"
    ):
        VantaSandbox(deactivated=["old"])


@pytest.mark.parametrize(
    ("date", "status"),
    [
        ("2026-02-21", 201),
        ("2026-02-21T00:00:00.000Z", 201),
        ("2026-02-21T00:00:00+05:30", 201),
        ("21.02.2026", 400),
        ("", 400),
        ("0001-01-01T00:00:00+14:00", 400),
    ],
)
def test_a_date_is_one_in_iso_8601(date: str, status: int) -> None:
    async def tell(client: Client) -> None:
        assert (await client.upload(effectiveAtDate=date))[0] == status

    scene(tell)


PART = 'Content-Disposition: form-data; name="file"'


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([f'{PART}; filename="a.pdf"'], 201),
        ([], 400),
        (['Content-Disposition: form-data; name="description"'], 400),
        ([PART], 400),
        ([f'{PART}; filename=""'], 400),
        ([f'{PART}; filename="a.pdf"'] * 2, 400),
        (["Content-Disposition: form-data"], 400),
        (['Content-Disposition: form-data; name="document"; filename="a.pdf"'], 400),
    ],
    ids=[
        "in order",
        "empty",
        "no file",
        "no name",
        "an empty name",
        "two files",
        "no field",
        "another field",
    ],
)
def test_a_form_needs_one_file_with_a_name(parts: list[str], status: int) -> None:
    async def tell(client: Client) -> None:
        body = "".join(f"--b\r\n{head}\r\n\r\n%PDF\r\n" for head in parts) + "--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await client.send(
            "POST", f"/v1/documents/{DOCUMENT}/uploads", data=body, headers=headers
        )
        assert answer[0] == status
        assert len(client.sandbox.received) == (status == 201)

    scene(tell)


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/pdf", b"%PDF", 415),
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b"nothing", 400),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes, status: int) -> None:
    async def tell(client: Client) -> None:
        answer = await client.send(
            "POST",
            f"/v1/documents/{DOCUMENT}/uploads",
            data=body,
            headers={"Content-Type": content_type},
        )
        assert answer[0] == status

    scene(tell)


def test_a_file_that_is_too_large_gets_413() -> None:
    async def tell(client: Client) -> None:
        assert (await client.upload(b"x" * 1_001))[0] == 413
        assert (await client.upload(b"x" * 1_000))[0] == 201
        assert (await client.upload(description="x" * 200_000))[0] == 413

    scene(tell, max_bytes=1_000)


# -- the list


def test_the_list_is_paged_by_ten_unless_it_is_asked_for_more() -> None:
    async def tell(client: Client) -> None:
        for number in range(12):
            await client.upload(name=f"ev-{number}.pdf")
        _, said = await client.list()
        assert [one["fileName"] for one in said["results"]["data"]] == [
            f"ev-{n}.pdf" for n in range(10)
        ]
        info = said["results"]["pageInfo"]
        assert (info["hasNextPage"], info["hasPreviousPage"]) == (True, False)
        _, rest = await client.list(f"?pageSize=10&pageCursor={info['endCursor']}")
        assert [one["fileName"] for one in rest["results"]["data"]] == ["ev-10.pdf", "ev-11.pdf"]
        assert (rest["results"]["pageInfo"]["hasNextPage"], set(rest["results"]["data"][0])) == (
            False,
            UPLOADED_FILE,
        )
        _, everything = await client.list("?pageSize=100")
        assert len(everything["results"]["data"]) == 12

    scene(tell)


@pytest.mark.parametrize(
    "query", ["pageSize=0", "pageSize=101", "pageSize=ten", "pageSize=", "pageCursor=x"]
)
def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    async def tell(client: Client) -> None:
        assert (await client.list(f"?{query}"))[0] == 400

    scene(tell)


@pytest.mark.parametrize("lists_drafts", [True, False])
def test_whether_drafts_are_listed_can_be_chosen(lists_drafts: bool) -> None:
    async def tell(client: Client) -> None:
        await client.upload()
        _, draft = await client.list()
        await client.submit()
        _, submitted = await client.list()
        assert len(draft["results"]["data"]) == lists_drafts
        assert len(submitted["results"]["data"]) == 1

    scene(tell, lists_drafts=lists_drafts)


# -- the rest


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v2/documents/x", 404),
        ("POST", "/v1/documents", 404),
        ("DELETE", f"/v1/documents/{DOCUMENT}", 405),
        ("GET", f"/v1/documents/{DOCUMENT}/submit", 405),
        ("PUT", f"/v1/documents/{DOCUMENT}/uploads", 405),
    ],
)
def test_what_the_sandbox_does_not_stand_in_for_is_refused(
    method: str, path: str, status: int
) -> None:
    async def tell(client: Client) -> None:
        assert (await client.send(method, path))[0] == status

    scene(tell)


def test_every_kind_of_fault_strikes_here_too() -> None:
    async def tell(client: Client) -> None:
        for kind in fault_kinds():
            if kind in ("silence", "silence-after", "slow"):
                continue
            example = {"status": "status:500", "graphql": "graphql:no"}.get(kind, kind)
            client.sandbox.use_faults(FaultPlan.script([example]))
            before = client.sandbox.requests
            with suppress(aiohttp.ClientError, ValueError):
                await client.send("GET", f"/v1/documents/{DOCUMENT}", allow_redirects=False)
            assert client.sandbox.requests >= before + 1, kind

    scene(tell)


def test_a_status_word_can_be_replaced() -> None:
    async def tell(client: Client) -> None:
        client.sandbox.use_faults(FaultPlan.script(["unknown-status:Perhaps", "unknown-status"]))
        _, said = await client.send("GET", f"/v1/documents/{DOCUMENT}")
        assert said["uploadStatus"] == "Perhaps"
        assert (await client.list())[0] == 200  # which has no such word

    scene(tell)


def test_a_reset_forgets_uploads_and_keeps_the_token() -> None:
    async def tell(client: Client) -> None:
        await client.upload()
        async with client.session.post(client.sandbox.control_url + "/reset"):
            pass
        assert client.sandbox.received == ()
        _, said = await client.list()
        assert said["results"]["data"] == []

    scene(tell)
