"""`evidence-courier render`: what the document of a training record looks like, without sending
it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from ...adapters.records import load_record
from ...adapters.renderers.typst_renderer import TypstRenderer
from ...domain.errors import MisuseError
from ...domain.upload.failure import Failure
from .inputs import regular


def run(file: str, output: str | None, fonts: Sequence[str]) -> None:
    """Write the document, and say where."""
    source = Path(file)
    target = source.with_suffix(".pdf") if output is None else Path(output)
    try:
        record = load_record(regular(source).read_bytes(), where=file)
        with closing(TypstRenderer(fonts)) as renderer:
            document = renderer.render(record)
        if isinstance(document, Failure):
            raise MisuseError(f"{file}: {document.message}")
        target.write_bytes(document.content or b"")
    except OSError as error:
        named = error.filename or target
        raise MisuseError(f"{named}: {error.strerror}: look at the path") from error
    click.echo(target)
