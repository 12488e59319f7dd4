"""The sinks of notices that the environment names, for `evidence-courier run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..adapters.notices import Mail, Webhook
from ..domain.errors import MisuseError
from ..domain.written import parse_duration

WEBHOOK, WEBHOOK_SECRET = "EVIDENCE_COURIER_WEBHOOK", "EVIDENCE_COURIER_WEBHOOK_SECRET"
MAIL, LATE_AFTER = "EVIDENCE_COURIER_MAIL", "EVIDENCE_COURIER_LATE_AFTER"


def named_in(environ: Mapping[str, str]) -> Sequence[str]:
    """The variables of these options that are set."""
    return [one for one in (WEBHOOK, WEBHOOK_SECRET, MAIL, LATE_AFTER) if environ.get(one)]


def options_in(environ: Mapping[str, str]) -> dict[str, Any]:
    """The options `notices` and `late_after` of a courier; none where the environment has none.
    MisuseError, which quotes no value, for one that cannot be right."""
    sinks: list[Webhook | Mail] = []
    if url := environ.get(WEBHOOK):
        try:
            sinks.append(Webhook(url, environ.get(WEBHOOK_SECRET) or None))
        except MisuseError as error:
            raise MisuseError(f"{WEBHOOK}: {error}") from None
    elif environ.get(WEBHOOK_SECRET):
        raise MisuseError(f"{WEBHOOK_SECRET} is set without {WEBHOOK}: set both, or neither")
    if url := environ.get(MAIL):
        sinks.append(_mail(url))
    options: dict[str, Any] = {"notices": sinks} if sinks else {}
    if text := environ.get(LATE_AFTER):
        try:
            options["late_after"] = parse_duration(text)
        except ValueError as error:
            raise MisuseError(f"{LATE_AFTER} {error}") from None
        if not sinks:
            raise MisuseError(
                f"{LATE_AFTER} is set, and nothing is told of it: set {WEBHOOK} or {MAIL}, too, or "
                "unset it"
            )
    return options


def _mail(url: str) -> Mail:
    """From ``smtp://user:password@host:587/?from=courier@example.com&to=a@example.com``."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query)
        port, (sender,) = parts.port or 587, asked["from"]
        if parts.scheme != "smtp" or not parts.hostname:
            raise ValueError
    except (ValueError, KeyError):
        example = "smtp://user:password@host:587/?from=courier@example.com&to=ops@example.com"
        raise MisuseError(f"{MAIL} must be written as {example}") from None
    return Mail(
        host=parts.hostname,
        port=port,
        sender=sender,
        to=[one for text in asked.get("to", ()) for one in text.split(",")],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )
