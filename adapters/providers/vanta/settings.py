"""A tenant's settings for Vanta."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from attrs import Attribute, field, frozen

from ....delivery.dialogues.settings import one_line
from ....domain.secrets.secret import Secret

SCOPE: Final = "vanta-api.all:read vanta-api.all:write vanta-api.documents:upload"


Region: TypeAlias = Literal["commercial", "gov"]
"""Which Vanta the account is at. An application of one is unknown to the other."""
EffectiveDate: TypeAlias = Literal["date_time", "date", "none"]
"""How the evidence date is written: as the API writes dates, as a day, or not at all."""

_BASES: Final = {"commercial": "https://api.vanta.com", "gov": "https://api.vanta-gov.com"}


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
    region: Region = "commercial"
    endpoint: str | None = field(default=None, validator=_base)
    scope: str = field(default=SCOPE, validator=one_line)
    drafts_listed: bool = True
    effective_date: EffectiveDate = "date_time"

    @property
    def base(self) -> str:
        """What the address of every request begins with."""
        return (self.endpoint or _BASES[self.region]).rstrip("/")

    @property
    def url(self) -> str:
        """The document's address in the API."""
        return f"{self.base}/v1/documents/{quote(self.document, safe='')}"
