"""What is waited for before a request may leave, in words for a reader."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum

from ..integration import Pace


class WaitReason(Enum):
    """Why a request may not leave now."""

    PACE = "pace"
    COOLDOWN = "cooldown"
    LEASE = "lease"
    BUSY = "busy"


def wait_in_words(
    reason: WaitReason,
    provider: str,
    pace: Pace | None,
    at: datetime,
    now: datetime,
    *,
    behind: bool = False,
) -> str:
    """What is waited for: ``pace of vanta, 50/min; next request about 10:00:12Z``; and if an old
    record waits: ``pace of vanta, 50/min, behind what is fresh; ...``."""
    match reason:
        case WaitReason.PACE:
            named = f"pace of {provider}, {pace}" + ", behind what is fresh" * behind
            return f"{named}; next request about {time_of_day(at, now)}"
        case WaitReason.COOLDOWN:
            return f"cool-down that {provider} asked for, until {time_of_day(at, now)}"
        case WaitReason.LEASE:
            return f"lease of another courier: one at a time may send to {provider} with this key"
        case WaitReason.BUSY:
            return f"another courier, which is writing just now; next try at {time_of_day(at, now)}"


def time_of_day(at: datetime, now: datetime) -> str:
    """A moment in UTC, with its date only if that is another day's."""
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    written = f"{at.isoformat()[:19]}Z"
    return written[11:] if at.date() == now.date() else written
