"""The ``${VAR}`` references in a block, and what they refer to.

References are resolved in the values that were read, never in the text, so one in a comment is no
reference; and only in blocks that are in use. A reference is the whole of a value or it is refused:
half a secret cannot be told from half a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Self

from ...domain.secrets.secret import Secret
from ...ports.secrets import Secrets
from .report import Path, Report

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]{0,254})\}")
_LIKE_ONE = re.compile(r"\$(?:\{.*|[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Resolved(str):
    """A text that a reference was resolved to, with the `reference` itself; it does not show
    what it is."""

    reference: str

    def __new__(cls, value: str, reference: str) -> Self:
        made = super().__new__(cls, value)
        made.reference = reference
        return made

    def __repr__(self) -> str:
        return f"Resolved({self.reference})"


class References:
    """Asks `secrets` once for each name, however many tenants refer to it."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._answers: dict[str, str | Exception | None] = {}

    def resolve(self, value: object, path: Path, tenant: str, report: Report) -> object:
        """`value` with every reference in it replaced; what cannot be resolved is noted and left
        as it is."""
        match value:
            case dict():
                return {
                    key: self.resolve(member, (*path, key), tenant, report)
                    for key, member in value.items()
                }
            case list():
                return [
                    self.resolve(member, (*path, index), tenant, report)
                    for index, member in enumerate(value)
                ]
            case str() if found := _REFERENCE.fullmatch(value):
                return self._resolved(found[1], path, tenant, report)
            case str() if "${" in value:
                report.note(
                    path,
                    "holds ${ but is not a reference: a reference is ${NAME}, and the whole of the value",
                )
        return value

    def _resolved(self, name: str, path: Path, tenant: str, report: Report) -> object:
        answer = self._answer(name)
        reference = f"${{{name}}}"
        match answer:
            case None:
                report.note(
                    path, f"{reference} is not set: tenant {tenant} needs the variable {name}"
                )
            case Exception():
                report.note(
                    path,
                    f"{reference} could not be looked up for tenant {tenant}: {type(answer).__name__}",
                )
            case str() if _NOT_TEXT.search(answer):
                report.note(
                    path, f"the value of {reference} holds a control character or half a character"
                )
            case str():
                return Resolved(answer, reference)
        return reference

    def _answer(self, name: str) -> str | Exception | None:
        if name not in self._answers:
            self._answers[name] = _ask(self._secrets.resolve, name)
        return self._answers[name]


def _ask(resolve: Callable[[str], Secret | None], name: str) -> str | Exception | None:
    try:
        secret = resolve(name)
        if not isinstance(secret, Secret | None):
            raise TypeError("resolve must return a Secret or None")
        return None if secret is None else secret.reveal()
    except (
        Exception
        # a host's vault may fail in any way; its words may hold anything and are not passed on
    ) as error:
        return error


def resolved_in(value: object) -> Iterator[str]:
    """Everything below `value` that came out of a reference."""
    match value:
        case Resolved():
            yield str.__str__(value)
        case dict():
            for member in value.values():
                yield from resolved_in(member)
        case list():
            for member in value:
                yield from resolved_in(member)


def secret_text(value: object) -> Resolved:
    """The credential that a reference was resolved to. Raises ValueError, without quoting it, if
    it cannot be one."""
    if not isinstance(value, Resolved):
        hint = "is not a reference"
        if isinstance(value, str) and _LIKE_ONE.fullmatch(value):
            hint = "is not quite a reference"
        raise ValueError(
            f"{hint}: write ${{NAME}} and put the secret into the variable NAME; a secret is never written here itself"
        )
    if not value:
        raise ValueError(f"the value of {value.reference} is empty")
    if value != value.strip() or not (value.isascii() and value.isprintable()):
        raise ValueError(
            f"the value of {value.reference} must be plain characters, without spaces or line breaks around it"
        )
    return value
