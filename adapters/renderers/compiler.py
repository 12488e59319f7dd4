"""Typst with the template of a training record, in this process.

Typst releases the interpreter's lock while it compiles, so a thread that renders holds up no event
loop, and two threads use two cores. A Typst compiler is for one thread at a time; each call takes
one that is free.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

_MAX_TRIED = 2_000
_STANDARDS = ("a-3a", "ua-1")
_MISSING = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_PAGES = b'#include "training_record.typ"'
_ONE_A_LINE = b"""
#set document(title: "Letters")
#let asked = json("letters.json")
#set text(font: asked.family, fallback: false, weight: asked.weight)
#asked.letters.map(letter => "q" + letter + "q").join(linebreak())
"""
# Typst's own fonts serve the scripts that they set correctly: up to Hebrew, Georgian, and what
# belongs to no script; DejaVu serves Arabic besides. New Computer Modern, for one, has the letters
# of Devanagari but does not join them, and a name set that way is wrong. Ranges, since classes of
# scripts take a millisecond to compile.
_PLAIN = (
    r"\x00-\u05ff\u10a0-\u10ff\u1ab0-\u1aff\u1c80-\u1cbf\u1d00-\u2bff\u2c60-\u2c7f\u2d00-\u2d2f"
    r"\u2de0-\u2e7f\ua640-\ua69f\ua700-\ua7ff\uab30-\uab6f\ufb00-\ufb4f\ufe00-\ufe0f\ufe20-\ufe2f"
    r"\U0001d400-\U0001faff"
)
_ARABIC = r"\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff"
_BUNDLED = (
    ("New Computer Modern", _PLAIN),
    ("New Computer Modern Math", _PLAIN),
    ("DejaVu Sans Mono", _PLAIN + _ARABIC),
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|.)", re.DOTALL)


class CannotBeSet(Exception):
    """Typst did not make a document; `lacking` are the letters that no font has, if it is that."""

    def __init__(self, message: str, lacking: str = "") -> None:
        self.lacking = lacking
        super().__init__(message)


class Template:
    """A template as its file was when this was made.

    Typst reads the file again for each document, but parses it once; what it is given in memory it
    parses each time. So the file serves until it is another: an upgrade of the package may replace
    or remove it under a host that runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._was = self._now()
        self._content = path.read_bytes()

    def instead(self) -> dict[str, bytes]:
        """What to give Typst instead of the file, by its name; nothing if it is what it was."""
        return {} if self._now() == self._was else {self.path.name: self._content}

    def _now(self) -> tuple[int, ...]:
        try:
            now = self.path.stat()
        except OSError:
            return ()
        return now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


_TEMPLATE = Template(Path(__file__).with_name("training_record.typ"))


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
        added = ((family, "") for family in self.families)
        self.listed = (("Libertinus Serif", ""), *added, *_BUNDLED)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(most):
            one = typst.Compiler(
                root=_TEMPLATE.path.parent, font_paths=loaded, ignore_system_fonts=True
            )
            self._free.put(one)

    def compile(self, page: dict[str, object], record: bytes) -> bytes:
        """The PDF of a page, with the record attached.

        Raises:
            CannotBeSet: a letter is in no font, or Typst has another complaint.
        """
        data = {"page.json": page, "record.json": record, "families.json": self.listed}
        instead = _TEMPLATE.instead()
        made = self._made({**data, **instead})
        if instead != (now := _TEMPLATE.instead()):  # it was replaced meanwhile
            made = self._made({**data, **now})
        if isinstance(made, CannotBeSet):
            raise made
        return made

    def _made(self, data: Mapping[str, object]) -> bytes | CannotBeSet:
        try:
            return self._pdf(_PAGES, data, *_STANDARDS)
        except self._error as error:
            lacking = "".join(sorted(_letters_named_in(error.diagnostic)))
            return CannotBeSet(error.message, lacking)
        except BaseException as error:
            # Typst's panic is not an Exception, but no reason to end the host's thread either.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            return CannotBeSet(f"{type(error).__name__}: {error}")

    def _pdf(self, source: bytes, data: Mapping[str, object], *standards: str) -> bytes:
        files = {
            name: one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode()
            for name, one in data.items()
        }
        one = self._free.get()
        try:
            pdf = one.compile(
                input={"main.typ": source, **files},
                format="pdf",
                pdf_standards=list(standards),
            )
        finally:
            self._free.put(one)
        assert isinstance(pdf, bytes)
        return pdf

    def lacking(self, family: int, weight: int, letters: Sequence[str]) -> set[str]:
        """Which of the letters a family of the list does not have in this weight.

        Each is set alone, between two that it cannot be composed with: in a text Typst names only
        some of those in a line.
        """
        name, covers = self.listed[family]
        covered = re.compile(f"[{covers}]") if covers else None
        asked = [one for one in letters if covered is None or covered.match(one)]
        found = set(letters).difference(asked)
        while asked:
            some, asked = asked[:_MAX_TRIED], asked[_MAX_TRIED:]
            data = {"family": name, "weight": weight, "letters": some}
            try:
                self._pdf(_ONE_A_LINE, {"letters.json": data}, "a-2b")
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
