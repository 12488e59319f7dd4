"""A tenant's settings for Vanta."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Final
from urllib.parse import quote

from attrs import Attribute, field, frozen

from ....domain.secrets.secret import Secret
from ..kit.multipart import FormField
from ..kit.settings import one_line, one_of

SCOPE: Final = "vanta-api.all:read vanta-api.all:write vanta-api.documents:upload"


class Region(Enum):
    """Which Vanta the account is at. An application of one is unknown to the other."""

    COMMERCIAL = "commercial"
    GOV = "gov"

    @property
    def base(self) -> str:
        """The API's address."""
        return f"https://api.vanta{'-gov' if self is Region.GOV else ''}.com"


class EffectiveDate(Enum):
    """How the evidence date is written: as the API writes dates, as a day, or not at all."""

    DATE_TIME = "date_time"
    DATE = "date"
    NONE = "none"

    def fields(self, day: date) -> tuple[FormField, ...]:
        """The part of the form that carries it, if any does."""
        if self is EffectiveDate.NONE:
            return ()
        time = "T00:00:00.000Z" if self is EffectiveDate.DATE_TIME else ""
        return (FormField("effectiveAtDate", day.isoformat() + time),)


def _part_of_a_path(settings: VantaSettings, attribute: Attribute[str], value: str) -> None:
    one_line(settings, attribute, value)
    if value in (".", ".."):
        raise ValueError(f"{attribute.name} must be the id of a document")


def _base(settings: VantaSettings, attribute: Attribute[str | None], value: str | None) -> None:
    if value is not None and ("?" in value or value.rstrip("/").endswith(("/v1", "/oauth/token"))):
        raise ValueError(
            f"{attribute.name} must end before /v1 and /oauth, as in https://api.vanta.com"
        )


@frozen(kw_only=True)
class VantaSettings:
    """A tenant's settings for Vanta; docs/configuration.md describes each.

    `drafts_listed` says whether Vanta lists an upload before it is submitted. `endpoint` ends
    before ``/v1``.
    """

    client_id: str = field(validator=one_line)
    client_secret: Secret
    document: str = field(validator=_part_of_a_path)
    region: Region = Region.COMMERCIAL
    endpoint: str | None = field(default=None, validator=_base)
    scope: str = field(default=SCOPE, validator=one_line)
    drafts_listed: bool = True
    effective_date: EffectiveDate = EffectiveDate.DATE_TIME

    @property
    def base(self) -> str:
        """What the address of every request begins with."""
        return (self.endpoint or self.region.base).rstrip("/")

    @property
    def url(self) -> str:
        """The document's address in the API."""
        return f"{self.base}/v1/documents/{quote(self.document, safe='')}"


SCHEMA: Final[Mapping[str, object]] = {
    "client_id": {"type": "string", "required": True, "empty": False, "maxlength": 200},
    "client_secret": {"type": "secret", "required": True},
    "document": {"type": "string", "required": True, "empty": False, "maxlength": 200},
    "region": one_of(Region),
    "endpoint": {"type": "endpoint"},
    "scope": {"type": "string", "empty": False, "maxlength": 1_000},
    "drafts_listed": {"type": "boolean"},
    "effective_date": one_of(EffectiveDate),
}
