"""Plug-ins as other people install them: a module and its distribution's metadata, in a folder
on the path."""

from __future__ import annotations

from pathlib import Path

SHELF = """\
from collections.abc import Mapping
from typing import ClassVar

from attrs import frozen

from evidence_courier.adapters.providers import *


@frozen
class Settings:
    key: Secret
    endpoint: str


class {name}:
    name: ClassVar[str] = "{word}"
    settings_class: ClassVar[type] = Settings
    schema: ClassVar[Mapping[str, object]] = {{
        "key": {{"type": "secret", "required": True}},
        "endpoint": {{"type": "endpoint", "required": True}},
    }}
    limits: ClassVar[Limits] = Limits(None, {{"application/pdf": "pdf"}})
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def upload(self, parcel, settings, progress):
        yield from ()
        return Delivered(Receipt(reference=parcel.file_name))

    def target(self, settings):
        return "a shelf"

"""
"""A provider that takes everything and sends nothing; what is written after it goes on in its
class."""


def install(folder: Path, word: str, code: str, *, package: str | None = None) -> None:
    """Install a distribution into `folder`, which is on the path, that offers the class `Plugin`
    of a module as the provider `word`."""
    package = package or f"{word}-plug"
    module = package.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[evidence_courier.providers]\n{word} = {module}:Plugin\n"
    )


def shelf(word: str, *more: str) -> str:
    """The code of a plug-in whose class `Plugin` goes on with the lines of `more`."""
    return SHELF.format(name="Plugin", word=word) + "".join(f"    {line}\n" for line in more)
