"""Notices as mail, by the standard library's smtplib."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime

from attrs import field, frozen

from ...domain.errors import MisuseError
from ...domain.notices import Notice
from .webhook import TIMEOUT

IMPLICIT_TLS = 465
"""The port at which TLS comes first; at the others it is asked for (STARTTLS)."""


@frozen(kw_only=True)
class Mail:
    """Sends each notice as a mail.

    Args:
        host: The mail server.
        port: 587, where STARTTLS is demanded; at 465 TLS comes first.
        sender: The address that it is from.
        to: The addresses that it goes to.
        username: For a server that wants a login.
        password: The password beside it.
        tls: False: without TLS; a login is refused then.
        context: Which certificates are trusted; by default the system's.
    """

    host: str
    port: int = 587
    sender: str
    to: Sequence[str] = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = True
    context: ssl.SSLContext | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.to or isinstance(self.to, str):
            raise MisuseError("Mail needs `to`, a list of addresses")
        if self.username is not None and not self.tls:
            raise MisuseError("Mail sends no password without TLS: leave `username` out")

    @property
    def name(self) -> str:
        """The server, and a digest of the addresses."""
        digest = hashlib.sha256(",".join(self.to).encode()).hexdigest()[:8]
        return f"mail by {self.host} ({digest})"

    def take(self, notice: Notice) -> None:
        """Send it."""
        context = self.context or ssl.create_default_context()
        server: smtplib.SMTP
        if self.tls and self.port == IMPLICIT_TLS:
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            if self.tls and self.port != IMPLICIT_TLS:
                server.starttls(context=context)
            if self.username is not None:
                server.login(self.username, self.password or "")
            server.send_message(self.message(notice))
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()

    def message(self, notice: Notice) -> EmailMessage:
        """The mail for a notice."""
        mail = EmailMessage()
        line = " ".join(notice.text.split())
        mail["Subject"] = f"Evidence Courier: {line[:120]}"
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = format_datetime(notice.at)
        mail["Message-ID"] = f"<{notice.id}@evidence-courier.invalid>"
        mail.set_content(f"{notice.text}\n\n{notice.kind}, {notice.at.isoformat()}\n{notice.id}\n")
        return mail
