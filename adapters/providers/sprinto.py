"""Sprinto, over its GraphQL API: evidence goes to one workflow check of the tenant's.

What is known of the API, and from where: the mutation's arguments, the pace, `api-key` made by an admin
under Settings > Developer API are documented by Sprinto (developer.sprinto.com, docs.sprinto.com; the API
is in beta). The endpoints, the header's name, the selection and the words of success and errors are
third-party claims. That 25 MB, the limit of its web pages, holds here too is inferred. Sprinto gives no id
for an upload, and no way is known to look whether one is there; so what may have arrived stays unclear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen

from ...domain.integration import Pace
from ...domain.secret import Secret
from ...domain.verdict import Verdict
from ...ports.dialogue import Dialogue, HttpRequest, fetch
from ...ports.provider import Limits, Parcel
from .graphql_multipart import graphql_upload
from .sprinto_reply import judge

MUTATION: Final = """\
mutation UploadEvidence($workflowCheckPk: UUID!, $evidenceRecordDate: DateTime!, $evidenceFile: Upload!) {
  uploadWorkflowCheckEvidence(
    workflowCheckPk: $workflowCheckPk, evidenceRecordDate: $evidenceRecordDate, evidenceFile: $evidenceFile
  ) {
    message
    workflowCheck { evidenceStatus }
  }
}"""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


Api: TypeAlias = Literal["graphql", "rest"]


class Region(Enum):
    """Where a Sprinto account lives. The addresses are third-party claims: us from several clients, eu and
    india from one."""

    US = "us"
    EU = "eu"
    INDIA = "india"

    @property
    def endpoint(self) -> str:
        """The address of the GraphQL API in this region."""
        host = {"us": "app", "eu": "eu", "india": "in"}[self.value]
        return f"https://{host}.sprinto.com/dev-api/graphql"


def _one_line(settings: SprintoSettings, attribute: Attribute[str], value: str) -> None:
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one line of text without spaces around it")


def _built(settings: SprintoSettings, attribute: Attribute[Api], value: Api) -> None:
    if value == "rest":
        raise ValueError("the REST API is not supported by this version; use graphql")


@frozen(kw_only=True)
class SprintoSettings:
    """A tenant's settings for Sprinto. `workflow_check` is the check's pk; `endpoint` overrides the
    region's address.

    `success_statuses` are the words of `evidenceStatus` that mean: it is there. Sprinto does not list them.
    """

    api_key: Secret
    workflow_check: str = field(validator=_one_line)
    region: Region = Region.US
    endpoint: str | None = None
    api: Api = field(default="graphql", validator=_built)
    success_statuses: tuple[str, ...] = ("UPLOAD_COMPLETE",)

    @property
    def url(self) -> str:
        """Where requests go."""
        return self.endpoint or self.region.endpoint


class SprintoProvider:
    """Uploads evidence to a workflow check of Sprinto's."""

    name: ClassVar[str] = "sprinto"
    settings_class: ClassVar[type] = SprintoSettings
    schema: ClassVar[Mapping[str, object]] = {
        "api_key": {"type": "secret", "required": True},
        "workflow_check": {"type": "string", "required": True, "empty": False, "maxlength": 200},
        "region": {"type": "string", "allowed": [region.value for region in Region]},
        "endpoint": {"type": "endpoint"},
        "api": {"type": "string", "allowed": ["graphql", "rest"]},
        "success_statuses": {"type": "list", "minlength": 1, "schema": {"type": "string", "empty": False}},
    }
    # The types that Sprinto's web pages take; JSON is probably not among those of the API.
    limits: ClassVar[Limits] = Limits(
        max_bytes=25_000_000,
        media_types={
            "application/pdf": "pdf",
            "application/msword": "doc",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
            "application/vnd.ms-excel": "xls",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
            "application/vnd.ms-powerpoint": "ppt",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
            "text/csv": "csv",
            "image/png": "png",
            "image/jpeg": "jpg",
        },
    )
    pace: ClassVar[Pace | None] = Pace(10, timedelta(seconds=60))
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """One request, one verdict; there is nothing half-done to go on from."""
        assert isinstance(settings, SprintoSettings)
        reply = yield from fetch(_request(parcel, settings))
        return judge(reply, settings.workflow_check, settings.success_statuses)

    def target(self, settings: object) -> str:
        """The check and the host it is at."""
        assert isinstance(settings, SprintoSettings)
        return f"workflow check {settings.workflow_check} at {urlsplit(settings.url).hostname}"

    def advice(self, settings: object) -> tuple[str, ...]:
        """What looks odd in settings that are accepted, one sentence each."""
        assert isinstance(settings, SprintoSettings)
        if _UUID.fullmatch(settings.workflow_check):
            return ()
        return (
            f"workflow_check {settings.workflow_check!r} is not shaped like a UUID, as the pk of a check "
            "should be: make sure that it is the pk and not the title or another number",
        )


def _request(parcel: Parcel, settings: SprintoSettings) -> HttpRequest:
    return graphql_upload(
        settings.url,
        (("api-key", settings.api_key.reveal()),),
        query=MUTATION,
        variables={
            "workflowCheckPk": settings.workflow_check,
            "evidenceRecordDate": parcel.evidence_date.isoformat(),
        },
        file_variable="evidenceFile",
        file_name=parcel.file_name,
        media_type=parcel.media_type,
        content=parcel.content,
        seed=parcel.sha256,
    )
