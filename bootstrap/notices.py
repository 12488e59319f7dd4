"""The sinks of notices that the environment names, for `evidence-courier run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..adapters.config.schema import closest
from ..adapters.notices import Mail, Webhook
from ..domain.errors import MisuseError
from ..domain.written import parse_duration

WEBHOOK, WEBHOOK_SECRET = "EVIDENCE_COURIER_WEBHOOK", "EVIDENCE_COURIER_WEBHOOK_SECRET"
MAIL, LATE_AFTER = "EVIDENCE_COURIER_MAIL", "EVIDENCE_COURIER_LATE_AFTER"
SUBJECTS = "EVIDENCE_COURIER_NOTICE_SUBJECTS"

_YES_OR_NO = {"yes": True, "no": False}
_ASKED = ("from", "to", "tls")
_PORTS = {"smtp": 587, "smtps": 465}
_ALL = (WEBHOOK, WEBHOOK_SECRET, MAIL, LATE_AFTER, SUBJECTS)


def named_in(environ: Mapping[str, str]) -> Sequence[str]:
    """The variables of these options that are set."""
    return [one for one in _ALL if environ.get(one)]


def options_in(environ: Mapping[str, str]) -> dict[str, Any]:
    """The options `notices` and `late_after` of a courier; none where the environment has none.
    MisuseError, which quotes no value, for one that cannot be right."""
    sinks: list[Webhook | Mail] = []
    if environ.get(SUBJECTS, "") not in ("", *_YES_OR_NO):
        raise MisuseError(f"{SUBJECTS} must be yes or no")
    subjects = _YES_OR_NO.get(environ.get(SUBJECTS, ""), False)
    if url := environ.get(WEBHOOK):
        try:
            sinks.append(Webhook(url, environ.get(WEBHOOK_SECRET) or None, subjects))
        except MisuseError as error:
            raise MisuseError(f"{WEBHOOK}: {error}") from None
    elif environ.get(WEBHOOK_SECRET):
        raise MisuseError(f"{WEBHOOK_SECRET} is set without {WEBHOOK}: set both, or neither")
    if url := environ.get(MAIL):
        sinks.append(_mail(url, subjects))
    options: dict[str, Any] = {"notices": sinks} if sinks else {}
    if text := environ.get(LATE_AFTER):
        try:
            options["late_after"] = parse_duration(text)
        except ValueError as error:
            raise MisuseError(f"{LATE_AFTER} {error}") from None
    for name in (LATE_AFTER, SUBJECTS):
        if environ.get(name) and not sinks:
            raise MisuseError(
                f"{name} is set, and no notice is sent: set {WEBHOOK} or {MAIL}, too, or unset it"
            )
    return options


def _mail(url: str, subjects: bool) -> Mail:
    """From ``smtp://user:password@host:587/?from=courier@example.com&to=a@example.com``; with
    ``smtps`` TLS comes first, and with ``&tls=no`` it is not used."""
    try:
        parts = urlsplit(url)
        asked = parse_qs(parts.query, keep_blank_values=True)
        for key in asked:
            if (near := closest(key, _ASKED)) not in (None, key):
                raise MisuseError(f"{MAIL} takes no `{key}` behind its ?: did you mean `{near}`?")
        port, (sender,) = parts.port or _PORTS[parts.scheme], asked.pop("from")
        if not parts.hostname or not sender:
            raise ValueError
    except (ValueError, KeyError):
        example = "smtp://user:password@host:587/?from=courier@example.com&to=ops@example.com"
        raise MisuseError(f"{MAIL} must be written as {example}") from None
    to = [one for text in asked.pop("to", ()) for one in text.split(",") if one]
    tls = asked.pop("tls", ["yes"])
    if asked:
        raise MisuseError(f"{MAIL} takes `from`, `to` and `tls` behind its ?, and nothing else")
    if len(tls) != 1 or tls[0] not in _YES_OR_NO or (tls == ["no"] and parts.scheme == "smtps"):
        raise MisuseError(f"{MAIL}: `tls` must be yes or no, and yes with smtps")
    try:
        return Mail(
            host=parts.hostname,
            port=port,
            tls=_YES_OR_NO[tls[0]],
            implicit_tls=parts.scheme == "smtps" or port == _PORTS["smtps"],
            subjects=subjects,
            sender=sender,
            to=to,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
    except MisuseError as error:
        raise MisuseError(f"{MAIL}: {error}") from None
