"""Sending a document to Secureframe in steps: stage it, send its bytes to a storage, attach it by
its id.

Documented (`POST /file_uploads` in the OpenAPI document): the file's name, its size in bytes, the
base64 form of its MD5 and its media type go into the query; the reply has an id, a `url` to PUT the
bytes to with exactly the `headers` given, and two deadlines. The URL is good for 15 minutes, the id
for an hour, and it can be attached once. So an attach that is sent again cannot make a second copy
within that hour: that this holds after a lost reply too is inferred from "redeemable once".
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

from attrs import frozen

from ....delivery.dialogues.json_reply import json_object, moment, text
from ....domain.hosts import is_loopback
from ....ports.dialogue import Headers, HttpRequest
from ....ports.provider import Parcel
from .reply import Resource

REDEEMABLE: Final = timedelta(minutes=50)
"""How long an id is used. The documentation says an hour; the rest is for the request itself."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e\x80-\uffff]*")
_URL: Final = re.compile(r"[!-\[\]-~]{1,8000}")
_BY_THE_TRANSPORT: Final = frozenset({"host", "content-length"})


@frozen
class Staged:
    """What is remembered of a staged document before it is attached.

    Args:
        upload_id: its id; None once it was refused, when it guards against a copy no longer.
        staged_at: our time of day when the reply to the staging came.
        spent: whether the id was refused within its hour, as one is that has been attached.
    """

    upload_id: str | None
    staged_at: datetime
    spent: bool = False

    @property
    def progress(self) -> str:
        """As a bookmark. It holds no URL, which would be a key to the document."""
        fields = {"upload_id": self.upload_id, "staged_at": self.staged_at.isoformat()}
        return json.dumps({**fields, "spent": True} if self.spent else fields)

    @classmethod
    def from_progress(cls, progress: str | None) -> Staged | None:
        """The bookmark read back; None if it is missing or cannot be read."""
        value = json_object((progress or "").encode())
        staged_at = moment(value.get("staged_at"))
        if staged_at is None:
            return None
        return cls(text(value.get("upload_id")) or None, staged_at, value.get("spent") is True)

    def refused(self, now: datetime) -> Staged:
        """The same, once its id was refused."""
        return Staged(None, self.staged_at, spent=self.guards(now))

    def guards(self, now: datetime) -> bool:
        """Whether the id can still be attached, and only once."""
        return self.upload_id is not None and now - self.staged_at < REDEEMABLE


def staging(base: str, headers: Headers, parcel: Parcel) -> HttpRequest:
    """The first step. It has no body: everything stands in the query, as documented."""
    digest = hashlib.md5(parcel.content, usedforsecurity=False).digest()
    query = {
        "filename": parcel.file_name,
        "byte_size": str(len(parcel.content)),
        "checksum": b64encode(digest).decode(),
        "content_type": parcel.media_type,
    }
    url = f"{base}/file_uploads?{urlencode(query)}"
    return HttpRequest("POST", url, headers, repeatable=True)


def storing(staged: Resource, base: str, parcel: Parcel) -> HttpRequest | str:
    """The second step, or what is wrong with the reply to the first, in words.

    The bytes go as they are, with the headers as they were given and without a key. They go to a
    host that only the reply names, so its URL must be https; http on this machine is taken only if
    the API itself is on this machine, as a sandbox is.
    """
    url, given = text(staged.attributes.get("url")), staged.attributes.get("headers", {})
    if url is None or not _is_safe(url, base):
        return "it names no https address to send the bytes to"
    if not isinstance(given, dict) or not all(map(_is_header, given.items())):
        return "the headers to send with the bytes are of no known form"
    headers = [header for header in given.items() if header[0].lower() not in _BY_THE_TRANSPORT]
    return HttpRequest("PUT", url, tuple(headers), (parcel.content,), repeatable=True)


def _is_header(header: tuple[str, object]) -> bool:
    name, value = header
    is_text = isinstance(value, str) and _HEADER_VALUE.fullmatch(value) is not None
    return is_text and _HEADER_NAME.fullmatch(name) is not None


def _is_safe(url: str, base: str) -> bool:
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
        and is_loopback(parts.hostname)
        and is_loopback(home.hostname or "")
    )
