"""What an attempt came to: four verdicts, not two.

Between "it arrived" and "it failed" lie the cases that decide whether a document is delivered
twice, once or never. `Deferred` was surely not taken; `Unclear` may have been.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from .failure import Failure


@frozen
class Receipt:
    """What the provider gave back for a document that it took: its id for it, where it has one,
    and its words."""

    reference: str | None = None
    message: str | None = None


@frozen
class Delivered:
    """The reply says what success says."""

    receipt: Receipt


@frozen
class Rejected:
    """Refused, and a resend cannot mend it."""

    failure: Failure


@frozen
class Deferred:
    """Surely not taken: nothing connected, the request was not sent whole, or the provider said
    to come back later."""

    failure: Failure


@frozen
class Unclear:
    """It may have been taken: the request was sent and no answer that one can trust came back."""

    failure: Failure


Verdict: TypeAlias = Delivered | Rejected | Deferred | Unclear


@frozen
class Unbundled:
    """It was sent together with others and all were refused, for what one of them may have
    caused: each is sent again alone."""

    failure: Failure


# What looking for an upload at the provider came to (`Provider.confirm`).


@frozen
class Found:
    """It is there."""

    receipt: Receipt


@frozen
class Partly:
    """A first step of it is there; `progress` is the bookmark from which the next attempt goes
    on."""

    progress: str


@frozen
class Absent:
    """The provider could be read, and it is not there (yet)."""


@frozen
class Unreadable:
    """The provider could not be read this time."""

    failure: Failure


Finding: TypeAlias = Found | Partly | Absent | Unreadable


# What a dry run of an integration came to (`Provider.check`).


@frozen
class Ready:
    """The credentials hold, and what they are to upload to is there; `message` says what was
    seen, in words for a person."""

    message: str


@frozen
class NotReady:
    """Uploads would fail, or it could not be found out; the failure says which, and who must do
    what."""

    failure: Failure


DryRun: TypeAlias = Ready | NotReady
