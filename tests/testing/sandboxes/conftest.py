"""A GraphQL client as anybody might write it, with nothing of ours in it, to talk to a sandbox."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence

import aiohttp
import pytest

Answer = tuple[int, Mapping[str, str], bytes]
Part = tuple[str, str | bytes, str | None, str | None]  # name, content, file name, media type

CHECK = "3f1c2a9e-8a43-4a0e-9d0b-6d3f6f1b2c77"
MUTATION = """
mutation Upload($pk: UUID!, $date: DateTime!, $file: Upload!) {
  uploadWorkflowCheckEvidence(workflowCheckPk: $pk, evidenceRecordDate: $date, evidenceFile: $file) {
    message
    workflowCheck { pk title evidenceStatus }
  }
}
"""
HEADERS = {"api-key": "sandbox-key", "apollo-require-preflight": "true"}


async def _post(url: str, headers: Mapping[str, str], timeout: float, **body: object) -> Answer:
    limits = aiohttp.ClientTimeout(total=timeout)
    async with (
        aiohttp.ClientSession(timeout=limits) as session,
        session.post(url, headers=headers, allow_redirects=False, **body) as response,  # type: ignore[arg-type]
    ):
        return response.status, response.headers, await response.read()


@pytest.fixture
def send_parts() -> Callable[..., Awaitable[Answer]]:
    """Post multipart/form-data made of the parts given, in their order."""

    async def send(
        url: str,
        parts: Sequence[Part],
        *,
        headers: Mapping[str, str] = HEADERS,
        timeout: float = 5.0,
    ) -> Answer:
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for name, content, filename, media_type in parts:
            value = io.BytesIO(content) if isinstance(content, bytes) else content
            form.add_field(name, value, filename=filename, content_type=media_type)
        return await _post(url, headers, timeout, data=form)

    return send


@pytest.fixture
def send_json() -> Callable[..., Awaitable[Answer]]:
    """Post a JSON body."""

    async def send(url: str, value: object, *, headers: Mapping[str, str] = HEADERS) -> Answer:
        return await _post(url, headers, 5.0, json=value)

    return send


@pytest.fixture
def upload(send_parts: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
    """Upload one evidence the way the multipart request specification says."""

    async def send(
        url: str,
        *,
        content: bytes = b"%PDF-1.7 evidence",
        filename: str = "ev-1.pdf",
        media_type: str = "application/pdf",
        pk: object = CHECK,
        date: object = "2026-02-21",
        headers: Mapping[str, str] = HEADERS,
        timeout: float = 5.0,
    ) -> Answer:
        variables = {"pk": pk, "date": date, "file": None}
        parts: list[Part] = [
            ("operations", json.dumps({"query": MUTATION, "variables": variables}), None, None),
            ("map", '{"0": ["variables.file"]}', None, None),
            ("0", content, filename, media_type),
        ]
        return await send_parts(url, parts, headers=headers, timeout=timeout)

    return send
