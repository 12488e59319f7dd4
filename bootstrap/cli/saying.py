"""What a command says on standard error to the person who called it, and how words are fitted to a
terminal."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from unicodedata import combining, east_asian_width

import click

NAME = "evidence-courier"
_NARROWEST, _USUAL = 20, 80


def say(message: str) -> None:
    """Print a message on standard error; on a terminal in lines that end between words."""
    message = "\n".join(map(printable, as_called(message).split("\n")))
    if _is_terminal():
        message = "\n".join("\n  ".join(_fitted(line)) for line in message.split("\n"))
    click.echo(message, err=True)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _fitted(line: str) -> Iterator[str]:
    width = max(_columns() - 2, _NARROWEST)
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
    """Lines of `width` columns at most. A command in backticks can be copied: it stays whole, or
    goes on behind a backslash."""
    line = ""
    for part in re.findall(r"(?:`[^`]*`|\S)+", as_called(text)):
        if not line or width_of(line) + 1 + width_of(part) > width:
            yield from [line] if line else []
            *full, line = continued(part, width)
            yield from full
        else:
            line = f"{line} {part}"
    yield line


_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\S)+""")


def continued(command: str, width: int) -> Iterator[str]:
    """A command in lines of `width` columns, as far as its options allow: each but the last ends in
    a backslash."""
    line = ""
    for option in re.split(r"\0(?=--)", "\0".join(_WORD.findall(command))):
        option = option.replace("\0", " ")
        if line and width_of(line) + width_of(option) + 3 > width:
            yield f"{line} \\"
            line = f"    {option}"
        else:
            line = f"{line} {option}" if line else option
    yield line


def as_called(text: str) -> str:
    """A text whose commands in backticks call this program as it was called."""
    return text.replace(f"`{NAME} ", f"`{program()} ")


def program() -> str:
    """What calls this program again, from the same folder."""
    called = sys.argv[0]
    folder, name = os.path.split(called)
    if (os.path.basename(folder), name) == ("evidence_courier", "__main__.py"):
        return f"{_shortest(sys.executable, 'python')} -m evidence_courier"
    return _shortest(called, name) if os.path.splitext(name)[0] == NAME else NAME


def _shortest(path: str, name: str) -> str:
    found = shutil.which(name)
    if found is not None and os.path.exists(path) and os.path.samefile(found, path):
        return name
    return shlex.quote(path)


def printable(text: str) -> str:
    """A text in one line, without what would steer the terminal: spaces and line breaks of all
    kinds are spaces, and marks of direction and the like are written out, as ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else letter.encode("unicode_escape").decode("ascii")


def width_of(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    kinds = (0 if combining(one) else 1 + (east_asian_width(one) in "WF") for one in text)
    return sum(kinds)
