"""Naming the person that an evidence speaks of, as a tenant's setting `person` says."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

from ...domain.upload.failure import Failure, FailureKind
from ...ports.provider import Parcel

Person: TypeAlias = Literal["subject_email", "subject"]
"""Which field of the evidence names the person: the e-mail address, or the provider's own id."""

_ADDRESS: Final = re.compile(r"[^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+")


def person_of(
    parcel: Parcel, person: Person, provider: str, *, id_name: str, id_form: re.Pattern[str]
) -> str | Failure:
    """The e-mail address, or the id, of the person; a failure if the evidence has neither.

    `id_name` is the provider's word for the id of a user, and `id_form` what it looks like.
    """
    if person == "subject":
        if id_form.fullmatch(parcel.subject):
            return parcel.subject
        return Failure(
            FailureKind.BAD_REQUEST,
            f"the subject {parcel.subject!r} of evidence {parcel.evidence_id!r} is not the "
            f"{id_name} of a user of {provider}, as person: subject wants it; nothing was sent: "
            f"submit it under a new evidence id with that {id_name} as its subject, or set person: "
            "subject_email in the tenant file",
        )
    address = parcel.subject_email
    if address is not None and _ADDRESS.fullmatch(address):
        return address
    what = "no e-mail address" if address is None else "no valid e-mail address"
    return Failure(
        FailureKind.BAD_REQUEST,
        f"evidence {parcel.evidence_id!r} has {what} for {parcel.subject!r}, and person: "
        "subject_email needs one; nothing was sent: submit it under a new evidence id with the "
        f"address that {provider} knows the person by, or set person: subject in the tenant file",
    )
