from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from evidence_courier.adapters.providers import (
    Delivered,
    Dialogue,
    ErrorHints,
    FailureKind,
    FormFile,
    HttpRequest,
    HttpResponse,
    Limits,
    NotJson,
    Pace,
    Parcel,
    Receipt,
    Reply,
    Secret,
    Verdict,
    broken_reply,
    classify,
    fetch,
    form_data,
    mapping,
    parse_json,
    refusal,
    text,
)


def without_slash(url: str) -> str:
    return url.rstrip("/")


@frozen
class ShelfSettings:
    api_key: Secret
    endpoint: str = field(default="https://api.shelf.example", converter=without_slash)


SCHEMA = {"api_key": {"type": "secret", "required": True}, "endpoint": {"type": "endpoint"}}
HINTS = ErrorHints(
    provider="Shelf",
    unauthorized="make a new key in Shelf and put it where api_key in the tenant file points",
    forbidden="ask the Shelf admin to let this key add documents",
    not_found="correct endpoint in the tenant file",
)


class ShelfProvider:
    name: ClassVar[str] = "shelf"
    settings_class: ClassVar[type] = ShelfSettings
    schema: ClassVar[Mapping[str, object]] = SCHEMA
    limits: ClassVar[Limits] = Limits(25_000_000, {"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def target(self, settings: ShelfSettings) -> str:
        return f"the shelf at {settings.endpoint}"

    def upload(
        self, parcel: Parcel, settings: ShelfSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        file = FormFile("file", parcel.file_name, parcel.media_type, parcel.content)
        content_type, body = form_data([file], parcel.sha256)
        headers = (("Api-Key", settings.api_key.reveal()), ("Content-Type", content_type))
        reply = yield from fetch(
            HttpRequest("POST", f"{settings.endpoint}/documents", headers, body)
        )
        return self.judged(reply)

    def judged(self, reply: Reply) -> Verdict:
        verdict = classify(reply, HINTS)
        if verdict is not None:
            return verdict
        assert isinstance(reply, HttpResponse)
        try:
            reference = text(mapping(parse_json(reply.body)).get("id"))
        except NotJson:
            return broken_reply(reply, HINTS, "is not JSON")
        if not reference:
            look = "Shelf answered without an id: look there, then attest that it is there or retry"
            return refusal(reply, FailureKind.UNRECOGNISED_REPLY, look)
        return Delivered(Receipt(reference))
