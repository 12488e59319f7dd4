"""Notices as mail, by the standard library's smtplib."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime

from attrs import Factory, evolve, field, frozen

from ...domain.errors import MisuseError
from ...domain.evidence.moments import write_moment
from ...domain.notices import Notice
from .webhook import TIMEOUT, NotTakenError, unreached

IMPLICIT_TLS = 465
"""The port at which TLS comes first; at the others it is asked for (STARTTLS)."""


@frozen(kw_only=True)
class Mail:
    """Sends each notice as a mail. A courier tells each address by itself (`for_each`): what is
    refused for one is told that one again.

    Args:
        host: The mail server.
        port: 587, where STARTTLS is demanded; at 465 TLS comes first.
        implicit_tls: Whether TLS comes first at another port, too.
        sender: The address that it is from.
        to: The addresses that it goes to.
        username: For a server that wants a login.
        password: The password beside it.
        tls: False: without TLS; a login is refused then.
        context: Which certificates are trusted; by default the system's.
        subjects: Whether a mail names the subjects of the uploads.
    """

    host: str
    port: int = 587
    sender: str
    to: Sequence[str] = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = True
    implicit_tls: bool = field(default=Factory(lambda self: self.port == IMPLICIT_TLS, True))
    context: ssl.SSLContext | None = field(default=None, repr=False)
    subjects: bool = False

    def __attrs_post_init__(self) -> None:
        if not self.to or isinstance(self.to, str):
            raise MisuseError("Mail needs `to`, a list of addresses")
        if self.username is not None and not self.tls:
            raise MisuseError("Mail sends no password without TLS: leave `username` out")

    def for_each(self) -> Sequence[Mail]:
        """The same for each address, as a sink of its own."""
        return [evolve(self, to=[one]) for one in dict.fromkeys(self.to)]

    @property
    def name(self) -> str:
        """The server, and a digest of the addresses."""
        digest = hashlib.sha256(",".join(self.to).encode()).hexdigest()[:8]
        return f"mail by {self.host} ({digest})"

    def take(self, notice: Notice) -> None:
        """Send it; it is taken if the server takes it for all addresses. NotTakenError if not,
        without what the server said: that may have an address in it."""
        try:
            server = self._connected()
            try:
                if self.username is not None:
                    server.login(self.username, self.password or "")
                if refused := server.send_message(self.message(notice)):
                    raise smtplib.SMTPRecipientsRefused(refused)
            finally:
                with suppress(smtplib.SMTPException, OSError):
                    server.quit()
        except (smtplib.SMTPException, OSError) as error:
            raise NotTakenError(_words_for(error)) from None

    def _connected(self) -> smtplib.SMTP:
        context = self.context or ssl.create_default_context()
        if self.tls and self.implicit_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            if self.tls:
                server.starttls(context=context)
        except smtplib.SMTPNotSupportedError:
            server.close()
            raise NotTakenError("the server offers no STARTTLS, so nothing was sent") from None
        except BaseException:
            server.close()
            raise
        return server

    def message(self, notice: Notice) -> EmailMessage:
        """The mail for a notice."""
        mail = EmailMessage()
        line = " ".join(notice.text.split())
        mail["Subject"] = f"Evidence Courier: {line[:120]}"
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        mail["Date"] = format_datetime(notice.at)
        mail["Message-ID"] = f"<{notice.id}@evidence-courier.invalid>"
        mail.set_content(
            f"{notice.text}\n\n{notice.kind}, {write_moment(notice.at)}\n{notice.id}\n"
        )
        return mail


def _words_for(error: smtplib.SMTPException | OSError) -> str:
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"the server refused the login (SMTP {error.smtp_code})"
        case smtplib.SMTPNotSupportedError():
            return "the server offers no login, or takes no address beyond ASCII"
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            number = len(error.recipients)
            addresses = f"{number} address{'es' if number > 1 else ''}"
            return f"the server refused {addresses} (SMTP {', '.join(map(str, codes))})"
        case smtplib.SMTPResponseException():
            return f"the server refused it (SMTP {error.smtp_code})"
        case smtplib.SMTPException() if type(error) is smtplib.SMTPException:  # of a login
            return "the server offers no login that is known: leave the user and the password out"
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, TimeoutError):
            return unreached(error.__context__)
    return unreached(error)
