"""A tenant's settings for Drata."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from attrs import frozen

from ....delivery.dialogues.person import Person
from ....domain.secrets.secret import Secret

Region: TypeAlias = Literal["us", "eu", "apac"]
To: TypeAlias = Literal["person", "library"]
LibraryApi: TypeAlias = Literal["evidence-library", "evidence"]
DocumentType: TypeAlias = Literal[
    "SEC_TRAINING", "HIPAA_TRAINING_EVIDENCE", "MFA_EVIDENCE", "OFFBOARDING_EVIDENCE"
]
Renewal: TypeAlias = Literal[
    "ONE_MONTH", "TWO_MONTHS", "THREE_MONTHS", "SIX_MONTHS", "ONE_YEAR", "NONE"
]
UserBy: TypeAlias = Literal["address", "number"]
ControlsAs: TypeAlias = Literal["repeated", "brackets", "commas"]


_ENDPOINTS: Final = {
    "us": "https://public-api.drata.com/public/v2",
    "eu": "https://public-api.eu.drata.com/public/v2",
    "apac": "https://public-api.apac.drata.com/public/v2",
}


@frozen(kw_only=True)
class DrataSettings:
    """A tenant's settings for Drata; docs/configuration.md describes each.

    `user_by`: all of Drata's documentation allows a person to be named by the number that Drata is
    asked for first; its words allow the address too. `renewal`: CUSTOM would need a date for each
    document. `library_api`: Drata calls `evidence-library` (one request) legacy, and `evidence`
    (two requests) its successor. `controls_as` is how the former is told several controls.
    """

    api_key: Secret
    region: Region = "us"
    endpoint: str | None = None
    to: To = "person"
    person: Person = "subject_email"
    document_type: DocumentType = "SEC_TRAINING"
    user_by: UserBy = "number"
    workspace: int | None = None
    owner: int | None = None
    controls: tuple[int, ...] = ()
    renewal: Renewal = "ONE_YEAR"
    library_api: LibraryApi = "evidence-library"
    controls_as: ControlsAs = "repeated"

    def __attrs_post_init__(self) -> None:
        if self.to == "library" and (self.workspace is None or self.owner is None):
            raise ValueError(
                "to: library needs workspace and owner: the numbers of the workspace, and of the "
                "Drata user who shall own the evidence"
            )
        if self.to == "person" and (
            self.workspace is not None or self.owner is not None or self.controls
        ):
            raise ValueError(
                "workspace, owner and controls are for to: library; to: person sends to the "
                "documents of the person"
            )

    @property
    def base(self) -> str:
        """What every address of the API begins with."""
        return (self.endpoint or _ENDPOINTS[self.region]).rstrip("/")

    @property
    def workspace_url(self) -> str:
        """The address of the workspace."""
        return f"{self.base}/workspaces/{self.workspace}"
