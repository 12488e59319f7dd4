"""What a command says on standard error to the person who called it, and how words are fitted to a
terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from unicodedata import combining, east_asian_width

import click

_NARROWEST, _USUAL = 20, 80


def say(message: str) -> None:
    """Print a message on standard error; on a terminal in lines that end between words."""
    if _is_terminal():
        message = "\n".join("\n  ".join(_fitted(line)) for line in message.split("\n"))
    click.echo(message, err=True)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _fitted(line: str) -> Iterator[str]:
    width, line = max(_columns() - 2, _NARROWEST), printable(line)
    return wrapped(line, width) if width_of(line) > width + 2 else iter([line])


def _columns() -> int:
    """How wide the terminal is: standard output may be a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL
    except (OSError, ValueError):
        return _USUAL


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of `width` columns at most. A command in backticks stays whole, to be copied."""
    line = ""
    for part in re.findall(r"(?:`[^`]*`|\S)+", text):
        if line and width_of(line) + 1 + width_of(part) > width:
            yield line
            line = part
        else:
            line = f"{line} {part}" if line else part
    yield line


def printable(text: str) -> str:
    """A text without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    kinds = (0 if combining(one) else 1 + (east_asian_width(one) in "WF") for one in text)
    return sum(kinds)
