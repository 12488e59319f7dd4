"""Sending a document to Secureframe in steps: stage it, send its bytes to a storage, attach it by
its id.

Documented (`POST /file_uploads` in the OpenAPI document): the file's name, its size in bytes, the
base64 form of its MD5 and its media type go into the query; the answer has an id, a `url` to PUT
the raw bytes to with exactly the `headers` given, and two deadlines. The URL is good for 15
minutes, the id for an hour, and the id can be attached once. So an attach that is sent again cannot
make a second copy within that hour: that this holds for an attach whose answer was lost too is
inferred from "redeemable once".
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from ....ports.dialogue import Headers, HttpRequest
from ....ports.provider import Parcel
from ..kit.json_reply import NotJson, mapping, parse_json, text
from .reply import Resource

REDEEMABLE: Final = timedelta(minutes=50)
"""An id is used for so long. The documentation says an hour; the rest is for the request itself."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\uffff]*")
_URL = re.compile(r"[!-\[\]-~]{1,8000}")
_BY_THE_TRANSPORT: Final = frozenset({"host", "content-length"})


@frozen
class Kept:
    """What is remembered of a document that was staged, before it is attached.

    `upload_id` is None once it was refused: then it is no guard against a copy any more. `spent`:
    it was refused within its hour, which an id is that has been attached. `staged_at` is our own
    time of day: when the answer to the staging came.
    """

    upload_id: str | None
    staged_at: datetime
    spent: bool = False

    @property
    def progress(self) -> str:
        """As a bookmark. It holds no URL: that would be a key to the document."""
        kept = {"upload_id": self.upload_id, "staged_at": self.staged_at.isoformat()}
        return json.dumps({**kept, "spent": True} if self.spent else kept)

    @classmethod
    def from_progress(cls, progress: str | None) -> Kept | None:
        """The bookmark read back; None where there is none that can be read."""
        if progress is None:
            return None
        try:
            value = mapping(parse_json(progress.encode()))
            staged_at = datetime.fromisoformat(text(value.get("staged_at")) or "")
        except (NotJson, ValueError):
            return None
        if staged_at.utcoffset() is None:
            return None
        return cls(text(value.get("upload_id")) or None, staged_at, value.get("spent") is True)

    def refused(self, now: datetime) -> Kept:
        """The same, once its id was refused."""
        return Kept(None, self.staged_at, spent=self.guards(now))

    def guards(self, now: datetime) -> bool:
        """Whether the id can still be attached, and only once."""
        return self.upload_id is not None and now - self.staged_at < REDEEMABLE


@frozen
class Place:
    """Where a staged document's bytes go."""

    upload_id: str
    url: str
    headers: Headers


def staging(base: str, headers: Headers, parcel: Parcel) -> HttpRequest:
    """The first step. It has no body: everything stands in the query, as documented."""
    digest = hashlib.md5(parcel.content, usedforsecurity=False).digest()
    query = {
        "filename": parcel.file_name,
        "byte_size": str(len(parcel.content)),
        "checksum": b64encode(digest).decode(),
        "content_type": parcel.media_type,
    }
    return HttpRequest("POST", f"{base}/file_uploads?{urlencode(query)}", headers)


def place(staged: Resource, base: str) -> Place | str:
    """Where the bytes go, or what is wrong with the answer, in words.

    The document leaves for a host that only the answer names, so the URL must be https; http on
    this machine is taken only where the API itself is on this machine, as a sandbox is.
    """
    url, given = text(staged.attributes.get("url")), staged.attributes.get("headers", {})
    if url is None or not _fit(url, base):
        return "it names no https address to send the bytes to"
    if not isinstance(given, dict):
        return "the headers to send with the bytes are of no known form"
    headers = []
    for name, value in given.items():
        if not isinstance(value, str) or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            return "the headers to send with the bytes are of no known form"
        if name.lower() not in _BY_THE_TRANSPORT:
            headers.append((name, value))
    return Place(staged.id, url, tuple(headers))


def storing(place: Place, parcel: Parcel) -> HttpRequest:
    """The second step: the bytes as they are, with the headers as they were given. No key goes
    there."""
    return HttpRequest("PUT", place.url, place.headers, (parcel.content,))


def _fit(url: str, base: str) -> bool:
    if not _URL.fullmatch(url):
        return False
    try:
        parts, home = urlsplit(url), urlsplit(base)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (
        parts.scheme == "http" == home.scheme
        and _is_loopback(parts.hostname)
        and _is_loopback(home.hostname)
    )


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
