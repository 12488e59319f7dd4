"""Typst with the template of a training record, in this process.

Typst releases the interpreter's lock while it compiles, so a thread that renders holds up no event
loop, and two threads use two cores. A Typst compiler is for one thread at a time; each call takes
one that is free.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

_MAX_TRIED = 2_000
_HERE = Path(__file__).parent
_STANDARDS = ("a-3a", "ua-1")
_MISSING = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|.)", re.DOTALL)


class CannotBeSet(Exception):
    """Typst did not make a document; `lacking` are the letters that no font has, if it is that."""

    def __init__(self, message: str, lacking: str = "") -> None:
        self.lacking = lacking
        super().__init__(message)


class Compiler:
    """Typst with the template and its fonts loaded; many threads can call it.

    Args:
        fonts: folders with fonts beside Typst's own; the first that has a letter is taken.
        most: how many documents are set at the same time.

    Raises:
        ImportError: Typst is not installed.
    """

    def __init__(self, fonts: Sequence[str] = (), most: int = 1) -> None:
        import typst

        self._error = typst.TypstError
        loaded = typst.Fonts(include_system_fonts=False, font_paths=list(fonts))
        self.families = families_in(fonts)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(most):
            one = typst.Compiler(root=_HERE, font_paths=loaded, ignore_system_fonts=True)
            self._free.put(one)
        self._template = (_HERE / "training_record.typ").read_bytes()

    def compile(self, page: dict[str, object], record: bytes) -> bytes:
        """The PDF of a page, with the record attached.

        Raises:
            CannotBeSet: a letter is in no font, or Typst has another complaint.
        """
        try:
            return self._pdf(page, record)
        except self._error as error:
            lacking = "".join(sorted(_letters_named_in(error.diagnostic)))
            raise CannotBeSet(error.message, lacking) from None
        except BaseException as error:
            # Typst's panic is not an Exception, but no reason to end the host's thread either.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise CannotBeSet(f"{type(error).__name__}: {error}") from None

    def _pdf(self, page: dict[str, object], record: bytes) -> bytes:
        files = {
            "main.typ": self._template,
            "page.json": json.dumps(page, ensure_ascii=False).encode(),
            "record.json": record,
        }
        inputs = {"families": json.dumps(self.families)}
        one = self._free.get()
        try:
            pdf = one.compile(
                input=files, format="pdf", pdf_standards=list(_STANDARDS), sys_inputs=inputs
            )
        finally:
            self._free.put(one)
        assert isinstance(pdf, bytes)
        return pdf

    def lacking(self, letters: Iterable[str], page: dict[str, object]) -> set[str]:
        """Which of the letters no font has; `page` is any page.

        Each is set alone. In a text Typst names only some of those in a line, and if a mark stands
        on the letter, it sets the mark and says nothing.
        """
        alone = page | {"title": "", "subtitle": "", "footer": ""}
        alone |= {"modules": [], "weak-areas": [], "extra": [], "hashes": []}
        found: set[str] = set()
        waiting = list(letters)
        while waiting:
            some, waiting = waiting[:_MAX_TRIED], waiting[_MAX_TRIED:]
            alone["facts"] = [("", f"x{letter}x") for letter in some]
            try:
                self._pdf(alone, b"")
            except self._error as error:
                found |= _letters_named_in(error.diagnostic)
        return found


def families_in(folders: Sequence[str]) -> list[str]:
    """The families of fonts in the order of their folders, and by name in each: Typst's own order
    is that of the disk."""
    import typst

    each = [typst.Fonts(False, False, [folder]).families() for folder in folders]
    return list(dict.fromkeys(family for some in each for family in sorted(some)))


def _letters_named_in(diagnostic: str) -> set[str]:
    """The letters beyond ASCII in the texts that Typst could not display; it escapes some."""
    escaped = "".join(_MISSING.findall(diagnostic))
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", escaped)
    return {letter for letter in text if ord(letter) > 0x7E}
