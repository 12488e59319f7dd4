"""What goes on with the uploads, if no courier does."""

from __future__ import annotations

from .place import Place


def what_delivers(place: Place, couriers: int) -> str | None:
    """What a person does to have anything delivered here; None if a courier is running."""
    if couriers:
        return None
    service = "your service, once it runs a courier or calls `deliver_due`"
    how = f"`{place.run_command}` delivers, or {service}" if place.run_command else service
    return f"no courier is running on {place.name} now: {how}"
