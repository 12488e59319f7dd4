"""Tenant files to load, and a small provider of no real platform to load them for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import ClassVar

from attrs import Attribute, field, frozen

from evidence_courier.adapters.config import Loaded, load_folder
from evidence_courier.adapters.plugins import BrokenProvider
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.integration import Pace
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.verdict import Delivered, Receipt, Verdict
from evidence_courier.ports.dialogue import Dialogue
from evidence_courier.ports.provider import Limits, Parcel, Provider

KEY = "k3y-of-acme!"
ENVIRON = {"ACME_KEY": KEY, "SHELF": "from-outside"}


class Wing(Enum):
    """Where in the archive."""

    EAST = "east"
    WEST = "west"


def not_attic(settings: object, attribute: Attribute[str], value: str) -> None:
    if value == "attic":
        raise ValueError(f"{attribute.name} must not be the attic, which leaks")


@frozen(kw_only=True)
class ArchiveSettings:
    key: Secret
    second_key: Secret | None = None
    shelf: str = field(validator=not_attic)
    wing: Wing = Wing.EAST
    labels: tuple[str, ...] = ("default",)
    keep: timedelta = timedelta(days=1)
    part: int | None = None
    endpoint: str | None = None
    extra: dict[str, str] = field(factory=dict)


class ArchiveProvider:
    """Takes everything and keeps nothing; what matters here are its settings."""

    name: ClassVar[str] = "archive"
    settings_class: ClassVar[type] = ArchiveSettings
    schema: ClassVar[Mapping[str, object]] = {
        "key": {"type": "secret", "required": True},
        "second_key": {"type": "secret"},
        "shelf": {"type": "string", "required": True, "empty": False},
        "wing": {"type": "string", "allowed": ["east", "west"]},
        "labels": {"type": "list", "minlength": 1, "schema": {"type": "string", "empty": False}},
        "keep": {"type": "duration", "default": "2h"},
        "part": {"type": "size"},
        "endpoint": {"type": "endpoint"},
        "extra": {"type": "dict", "valuesrules": {"type": "string"}},
    }
    limits: ClassVar[Limits] = Limits(max_bytes=10_000_000, media_types={"application/pdf": "pdf"})
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """Say that it is there."""
        yield from ()
        return Delivered(Receipt())

    def target(self, settings: object) -> str:
        """The shelf."""
        assert isinstance(settings, ArchiveSettings)
        return settings.shelf


PROVIDERS: Mapping[str, Provider | BrokenProvider] = {"archive": ArchiveProvider()}


def block(*lines: str) -> str:
    """A tenant file whose block holds a valid provider, key and shelf, and then `lines`. The
    first of `lines` is line 6."""
    start = ("provider: archive", "key: ${ACME_KEY}", "shelf: s-1")
    return "integrations:\n  compliance:\n" + "".join(f"    {line}\n" for line in (*start, *lines))


def load(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    environ: Mapping[str, str] = ENVIRON,
    providers: Mapping[str, Provider | BrokenProvider] = PROVIDERS,
    at: str = "integrations.compliance",
) -> Loaded:
    """Write the files into the folder and load it."""
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return load_folder(folder, providers=providers, secrets=EnvironSecrets(environ), block=at)


def problem_lines(loaded: Loaded, folder: Path) -> list[str]:
    """Every problem as the administrator reads it, with the folder left out."""
    return [str(problem).replace(f"{folder}/", "") for problem in loaded.problems]
