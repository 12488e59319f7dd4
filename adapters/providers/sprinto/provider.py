"""Sprinto, over its GraphQL API or its REST API: evidence goes to one workflow check of the
tenant's.

What is known of the API, and from where: the mutation's arguments, the pace, `api-key` made by an
admin under Settings > Developer API are documented by Sprinto (developer.sprinto.com,
docs.sprinto.com; the API is in beta). The endpoints, the header's name, the selection and the words
of success and errors are third-party claims. That 25 MB, the limit of its web pages, holds here too
is inferred. Sprinto gives no id for an upload, and no way is known to look whether one is there; so
what may have arrived stays unclear. What is known of the REST API stands in `sprinto_rest`: several
uploads go in one request there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import urljoin, urlsplit

from attrs import Attribute, field, frozen

from ....domain.integration import Pace
from ....domain.secrets.secret import Secret
from ....domain.upload.verdict import DryRun, Unbundled, Verdict
from ....ports.dialogue import Dialogue, Headers, HttpRequest, fetch
from ....ports.provider import Bundle, Limits, Parcel
from ..kit.graphql_multipart import graphql_upload
from .checks import look_for_check
from .reply import judge
from .rest import MOST, judge_rest, judge_together, rest_request

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
    """Where a Sprinto account lives. The addresses are third-party claims: us from several clients,
    eu and india from one."""

    US = "us"
    EU = "eu"
    INDIA = "india"

    def endpoint(self, api: Api) -> str:
        """The address of an API in this region. For REST, eu and india are inferred from
        GraphQL's."""
        host = {"us": "app", "eu": "eu", "india": "in"}[self.value]
        path = {"graphql": "dev-api/graphql", "rest": "api/v1/uploadEvidence"}[api]
        return f"https://{host}.sprinto.com/{path}"


def _one_line(settings: SprintoSettings, attribute: Attribute[str], value: str) -> None:
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one line of text without spaces around it")


@frozen(kw_only=True)
class SprintoSettings:
    """A tenant's settings for Sprinto. `workflow_check` is the check's pk; `endpoint` overrides the
    region's address.

    `success_statuses` are the words of `evidenceStatus` that mean: it is there. Sprinto does not
    list them. With `api` rest, a request holds at most `files_per_request` files (1 to 10) of
    `bytes_per_request` bytes in all; Sprinto documents the first bound, and the second is a guess.
    """

    api_key: Secret
    workflow_check: str = field(validator=_one_line)
    region: Region = Region.US
    endpoint: str | None = None
    api: Api = "graphql"
    success_statuses: tuple[str, ...] = ("UPLOAD_COMPLETE",)
    files_per_request: int = MOST
    bytes_per_request: int = 25_000_000

    @property
    def url(self) -> str:
        """Where requests go."""
        return self.endpoint or self.region.endpoint(self.api)

    @property
    def checks_url(self) -> str:
        """Where the checks are listed: GraphQL alone does that, at the same server."""
        graphql = self.region.endpoint("graphql")
        if self.endpoint is None or self.api == "graphql":
            return self.endpoint or graphql
        return urljoin(self.endpoint, urlsplit(graphql).path)


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
        "success_statuses": {
            "type": "list",
            "minlength": 1,
            "schema": {"type": "string", "empty": False},
        },
        "files_per_request": {"type": "integer", "min": 1, "max": MOST},
        "bytes_per_request": {"type": "integer", "min": 1},
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
        if settings.api == "rest":
            reply = yield from fetch(_rest_request([parcel], settings))
            return judge_rest(reply, settings.workflow_check)
        reply = yield from fetch(_request(parcel, settings))
        return judge(reply, settings.workflow_check, settings.success_statuses)

    def bundle(self, settings: object) -> Bundle | None:
        """Over REST, several files go in one request."""
        assert isinstance(settings, SprintoSettings)
        if settings.api != "rest":
            return None
        return Bundle(settings.files_per_request, settings.bytes_per_request)

    def upload_together(
        self, parcels: Sequence[Parcel], settings: object
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        """One request, and one answer that holds for all of its files."""
        assert isinstance(settings, SprintoSettings)
        reply = yield from fetch(_rest_request(parcels, settings))
        return judge_together(reply, settings.workflow_check, len(parcels))

    def target(self, settings: object) -> str:
        """The check and the host it is at."""
        assert isinstance(settings, SprintoSettings)
        return f"workflow check {settings.workflow_check} at {urlsplit(settings.url).hostname}"

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Look for the check among those that are activated. That REST means the same pk is
        inferred."""
        assert isinstance(settings, SprintoSettings)
        return (
            yield from look_for_check(
                settings.checks_url, _credentials(settings), settings.workflow_check
            )
        )

    def advice(self, settings: object) -> tuple[str, ...]:
        """What looks odd in settings that are accepted, one sentence each."""
        assert isinstance(settings, SprintoSettings)
        said = []
        if not _UUID.fullmatch(settings.workflow_check):
            said.append(
                f"workflow_check {settings.workflow_check!r} is not shaped like a UUID, as the pk of a check "
                "should be: make sure that it is the pk and not the title or another number"
            )
        if settings.api == "rest":
            said.append(
                "Sprinto's REST API has no field for the evidence's date: it is not carried, and Sprinto goes by "
                "the day of the upload"
            )
        return tuple(said)


def _rest_request(parcels: Sequence[Parcel], settings: SprintoSettings) -> HttpRequest:
    return rest_request(settings.url, settings.api_key, settings.workflow_check, parcels)


def _request(parcel: Parcel, settings: SprintoSettings) -> HttpRequest:
    return graphql_upload(
        settings.url,
        _credentials(settings),
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


def _credentials(settings: SprintoSettings) -> Headers:
    return (("api-key", settings.api_key.reveal()),)
