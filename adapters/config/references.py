"""The references in a block, ``${NAME}`` and ``${file:/PATH}``, and what they refer to.

References are resolved in the values that were read, never in the text, so one in a comment counts
for nothing; and only in blocks that are in use. A reference is the whole of a value, or it is
refused: half a secret and half a name look alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Self

from ...domain.secrets.secret import Secret
from ...ports.secrets import SecretError, Secrets
from .report import Path, Report
from .stamps import Stamp, stamp_at

NAME = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
FILE = r"file:/[^{}\x00-\x1f\x7f-\x9f]{1,4000}"
_REFERENCE = re.compile(rf"\$\{{({NAME}|{FILE})\}}")
_LIKE_ONE = re.compile(r"\$(?:\{.*|[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


NOT_SECRET = "and this field is not secret: write its value here, or ${NAME}"


class Resolved(str):
    """The text that a reference was resolved to, with the `reference`; its repr hides the text."""

    secret: Secret
    reference: str

    def __new__(cls, secret: Secret, reference: str) -> Self:
        made = super().__new__(cls, secret.reveal())
        made.secret, made.reference = secret, reference
        return made

    def __repr__(self) -> str:
        return f"Resolved({self.reference})"

    @property
    def is_file(self) -> bool:
        """Whether it was read from a file."""
        return self.reference.startswith("${file:")


class SecretText(Resolved):
    """A credential that was looked up and is fit to be sent."""


class Unresolved(Resolved):
    """A reference that was not looked up, and stands for itself: any text may be there."""


class References:
    """Asks `secrets` once for each name, however many tenants refer to it; without them, what is
    referred to is not known."""

    def __init__(self, secrets: Secrets | None) -> None:
        self._secrets = secrets
        self._answers: dict[str, Secret | Exception | None] = {}
        self.files: dict[str, Stamp | None] = {}
        """The files of secrets, each as it was before it was read."""

    @property
    def are_open(self) -> bool:
        """Whether none is looked up."""
        return self._secrets is None

    def resolve(self, value: object, path: Path, report: Report) -> object:
        """`value` with each reference replaced; one that fails is noted and left as it is."""
        match value:
            case dict():
                return {k: self.resolve(v, (*path, k), report) for k, v in value.items()}
            case list():
                return [self.resolve(v, (*path, n), report) for n, v in enumerate(value)]
            case str() if found := _REFERENCE.fullmatch(value):
                return self._resolved(found[1], path, report)
            case str() if "${" in value:
                message = "a reference is ${NAME} or ${file:/PATH}, and the whole of the value"
                report.note(path, f"holds ${{ but is not a reference: {message}")
        return value

    def _resolved(self, name: str, path: Path, report: Report) -> object:
        reference = f"${{{name}}}"
        is_file = name.startswith("file:")
        if is_file and report.provider is not None and not report.may_be_secret(path):
            report.note(path, f"is {reference}, {NOT_SECRET}")  # and the file is not read
            return reference
        if self.are_open or (is_file and report.provider is None):
            report.answers[name] = Secret(reference)
            return Unresolved(Secret(reference), reference)
        answer = self.answer(name)
        tenant = report.tenant_id or "of this file"
        match answer:
            case Secret() if not _NOT_TEXT.search(answer.reveal()):
                report.answers[name] = answer
                return Resolved(answer, reference)
            case None:
                message = f"{reference} is not set: tenant {tenant} needs the variable {name}"
            case Exception():
                has_words = isinstance(answer, SecretError)
                why = " ".join(str(answer).split())[:300] if has_words else type(answer).__name__
                message = f"{reference} could not be looked up for tenant {tenant}: {why}"
            case _:
                message = f"the value of {reference} holds a control character or half a character"
        report.note(path, message)
        return reference

    def answer(self, name: str) -> Secret | Exception | None:
        """What `secrets` says of a name, or how it failed."""
        if name not in self._answers:
            self._answers[name] = self._ask(name)
        return self._answers[name]

    def _ask(self, name: str) -> Secret | Exception | None:
        assert self._secrets is not None
        if name.startswith("file:"):
            self.files[name.removeprefix("file:")] = stamp_at(name.removeprefix("file:"))
        try:
            secret = self._secrets.resolve(name)
            if not isinstance(secret, Secret | None):
                raise TypeError("resolve must return a Secret or None")
            return secret
        except Exception as error:  # a host's vault can fail in any way, with a secret in its words
            return error


def resolved_in(value: object, path: Path = ()) -> Iterator[tuple[Path, Resolved]]:
    """Every text below `value` that a reference was resolved to, in the order of the keys."""
    match value:
        case Resolved():
            yield path, value
        case str() | int() | float():  # most values: to ask them whether they are a Mapping is slow
            return
        case dict() | Mapping():  # a dict is seen faster
            for key in sorted(value, key=str):
                yield from resolved_in(value[key], (*path, key))
        case list() | tuple():
            for index, member in enumerate(value):
                yield from resolved_in(member, (*path, index))


def parse_secret(value: object) -> SecretText:
    """The credential that a reference was resolved to.

    Raises:
        ValueError: it cannot be a credential; the message does not quote it.
    """
    if not isinstance(value, Resolved):
        like_one = isinstance(value, str) and _LIKE_ONE.fullmatch(value)
        raise ValueError(
            f"is not {'quite ' if like_one else ''}a reference: write ${{NAME}} or ${{file:/PATH}} "
            "and put the secret into that variable or file; a secret is never written here itself"
        )
    if isinstance(value, Unresolved):
        return SecretText(value.secret, value.reference)
    if not value:
        raise ValueError(f"the value of {value.reference} is empty")
    if value != value.strip() or not (value.isascii() and value.isprintable()):
        raise ValueError(
            f"the value of {value.reference} must be plain characters, "
            "without spaces or line breaks around it"
        )
    return SecretText(value.secret, value.reference)
