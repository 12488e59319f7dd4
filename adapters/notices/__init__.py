"""What takes notices: a callable of the host's, a webhook, mail."""

from __future__ import annotations

from .mail import Mail
from .on_notice import OnNotice
from .teller import SinkTeller
from .webhook import Webhook

__all__ = ["Mail", "OnNotice", "SinkTeller", "Webhook"]
