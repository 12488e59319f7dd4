"""Problems of tenant files as GitHub shows them beside the lines of a change."""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from ...adapters.config import Loaded
from ...domain.errors import Problem
from .saying import printable


def print_annotations(loaded: Loaded, notes: Iterable[tuple[str, str]]) -> None:
    """Print a workflow command for each problem and each warning, and for each note, which has a
    tenant's id before it."""
    for word, problems in (("error", loaded.problems), ("warning", loaded.warnings)):
        for problem in problems:
            click.echo(_command(word, problem))
    for tenant_id, note in notes:
        line = loaded.lines(tenant_id).get("provider")
        file = loaded.reports[tenant_id].file
        click.echo(_command("notice", Problem(note, f"tenant {tenant_id}", file, line)))


def _command(word: str, problem: Problem) -> str:
    place = {"file": _in_workspace(problem.file), "line": problem.line, "title": problem.path}
    properties = [f"{key}={_escaped(str(value), ':,')}" for key, value in place.items() if value]
    message = _escaped(problem.text, "")
    return f"::{' '.join([word, ','.join(properties)]).strip()}::{message}"


def _in_workspace(file: str | None) -> str | None:
    """The file below the checkout, where GitHub looks for it."""
    if file is None:
        return None
    path = os.path.relpath(file, os.environ.get("GITHUB_WORKSPACE") or os.curdir)
    return file if path.startswith(os.pardir) else path


def _escaped(text: str, more: str) -> str:
    for char in "%\r\n" + more:
        text = text.replace(char, f"%{ord(char):02X}")
    return printable(text)
