"""A tenant's settings for Secureframe."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from attrs import Attribute, field, frozen

from ....delivery.dialogues.person import Person
from ....delivery.dialogues.settings import UUID
from ....domain.secrets.secret import Secret
from ....ports.dialogue import Headers

Region: TypeAlias = Literal["us", "uk"]
Send: TypeAlias = Literal["staged", "direct"]
DocumentType: TypeAlias = Literal[
    "background_check_report",
    "ccpa_training_screenshot",
    "gdpr_training_screenshot",
    "handling_cui_training_screenshot",
    "hipaa_training_screenshot",
    "password_manager_screenshot",
    "password_policy_screenshot",
    "pci_secure_code_training_screenshot",
    "pci_training_screenshot",
    "security_training_screenshot",
    "security_training_new_hire_screenshot",
]
"""What a person's evidence may be, as documented."""

_ENDPOINTS: Final = {"us": "https://api.secureframe.com", "uk": "https://api-uk.secureframe.com"}


def _uuid(
    settings: SecureframeSettings, attribute: Attribute[str | None], value: str | None
) -> None:
    if value is not None and not UUID.fullmatch(value):
        raise ValueError(
            f"{attribute.name} must be the UUID at the end of the address of the test's page"
        )


@frozen(kw_only=True)
class SecureframeSettings:
    """A tenant's settings for Secureframe; docs/configuration.md describes each.

    With `test`, all evidence goes to that test, otherwise to the person. `send` is how a document
    is sent: in steps, over a storage, or in the request itself.
    """

    api_key: Secret
    api_secret: Secret
    region: Region = "us"
    endpoint: str | None = None
    test: str | None = field(default=None, validator=_uuid)
    person: Person = "subject_email"
    document_type: DocumentType = "security_training_screenshot"
    send: Send = "staged"

    @property
    def base(self) -> str:
        """What every address of the API begins with."""
        return (self.endpoint or _ENDPOINTS[self.region]).rstrip("/")

    @property
    def headers(self) -> Headers:
        """What every request to the API carries."""
        keys = f"{self.api_key.reveal()} {self.api_secret.reveal()}"
        return (("Authorization", keys), ("Accept", "application/json"))
