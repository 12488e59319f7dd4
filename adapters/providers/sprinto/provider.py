"""Sprinto, over its GraphQL API or its REST API: evidence goes to one workflow check.

- *Documented* by Sprinto (developer.sprinto.com, docs.sprinto.com; the API is in beta): the
  mutation's arguments, the pace, the `api-key` made by an admin under Settings > Developer API.
- *Claimed* by third parties: the endpoints, the header's name, the selection, the words of success
  and of errors; a client of theirs uploads a zip over REST.
- *Inferred*: 25 MB, the limit of Sprinto's web pages, holds here too, as do the types that these
  pages take; JSON is probably not among them.

Sprinto gives no id for an upload, and no way is known to look one up. So what may have arrived
stays unclear. `rest` has what is known of the REST API, which takes several uploads in one request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from ....delivery.dialogues.graphql_multipart import graphql_upload
from ....delivery.dialogues.settings import UUID, address, media_types, schema_of
from ....domain.integration import Pace
from ....domain.upload.verdict import DryRun, Unbundled, Verdict
from ....ports.dialogue import Dialogue, Headers, HttpRequest, fetch
from ....ports.provider import Bundle, Limits, Parcel
from .checks import look_for_check
from .reply import ANY_STATUS, is_success, judge
from .rest import judge_rest, judge_together, rest_request
from .settings import MOST_FILES, SprintoSettings

MUTATION: Final = """\
mutation UploadEvidence(
  $workflowCheckPk: UUID!, $evidenceRecordDate: DateTime!, $evidenceFile: Upload!
) {
  uploadWorkflowCheckEvidence(
    workflowCheckPk: $workflowCheckPk,
    evidenceRecordDate: $evidenceRecordDate,
    evidenceFile: $evidenceFile
  ) {
    message
    workflowCheck { evidenceStatus }
  }
}"""


class SprintoProvider:
    """Uploads evidence to a workflow check of Sprinto's."""

    name: ClassVar[str] = "sprinto"
    settings_class: ClassVar[type] = SprintoSettings
    schema: ClassVar[Mapping[str, object]] = schema_of(
        SprintoSettings,
        workflow_check={"maxlength": 200},
        success_statuses={
            "coerce": lambda words: [words] if words == ANY_STATUS else words,
            "meta": {"json_schema": {"const": ANY_STATUS}},
        },
        files_per_request={"max": MOST_FILES},
    )
    limits: ClassVar[Limits] = Limits(
        max_bytes=25_000_000,
        media_types=media_types(
            *("pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "csv", "png", "jpg", "zip")
        ),
    )
    pace: ClassVar[Pace | None] = Pace(10, timedelta(seconds=60))
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(
        self, parcel: Parcel, settings: SprintoSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        if settings.api == "rest":
            reply = yield from fetch(rest_request([parcel], settings))
            return judge_rest(reply, settings.workflow_check)
        reply = yield from fetch(_request(parcel, settings))
        return judge(reply, settings.workflow_check, settings.success_statuses)

    def is_success(self, word: str, settings: SprintoSettings) -> bool:
        return is_success(word, settings.success_statuses)

    def bundle(self, settings: SprintoSettings) -> Bundle | None:
        if settings.api != "rest":
            return None
        return Bundle(settings.files_per_request, settings.bytes_per_request)

    def upload_together(
        self, parcels: Sequence[Parcel], settings: SprintoSettings
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        reply = yield from fetch(rest_request(parcels, settings))
        return judge_together(reply, settings.workflow_check, len(parcels))

    def target(self, settings: SprintoSettings) -> str:
        return f"workflow check {settings.workflow_check} at {address(settings.url)}"

    def check(self, settings: SprintoSettings) -> Dialogue[DryRun]:
        key = _credentials(settings)
        return (yield from look_for_check(settings.checks_url, key, settings.workflow_check))

    def advice(self, settings: SprintoSettings) -> tuple[str, ...]:
        odd = []
        if not UUID.fullmatch(settings.workflow_check):
            odd.append(
                f"workflow_check {settings.workflow_check!r} is not shaped like a UUID, as the pk "
                "of a check should be: make sure that it is the pk and not the title or another "
                "number"
            )
        if settings.api == "rest":
            odd.append(
                "Sprinto's REST API has no field for the evidence's date: it is not carried, and "
                "Sprinto goes by the day of the upload"
            )
        return tuple(odd)


def _request(parcel: Parcel, settings: SprintoSettings) -> HttpRequest:
    day = parcel.evidence_date.isoformat()
    return graphql_upload(
        settings.url,
        _credentials(settings),
        query=MUTATION,
        variables={"workflowCheckPk": settings.workflow_check, "evidenceRecordDate": day},
        file_variable="evidenceFile",
        file_name=parcel.file_name,
        media_type=parcel.media_type,
        content=parcel.content,
        seed=parcel.sha256,
    )


def _credentials(settings: SprintoSettings) -> Headers:
    return (("api-key", settings.api_key.reveal()),)
