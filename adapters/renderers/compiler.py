"""Typst with the template of a training record: in this process, and as a worker's program.

A page is JSON text. The reply is a letter and more: ``P`` and the bytes of a PDF, ``M`` and a JSON
string of the characters that no font has, or ``F`` and a sentence. In a pipe each stands behind its
length in four bytes, big-endian.

As a program this file must start fast and must not depend on its parent, so it imports the standard
library and Typst alone.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

PDF, MISSING, FAILED = b"P", b"M", b"F"
READY = b"ready"

_MAX_TRIED = 2_000
_HERE = Path(__file__).parent
_MISSING = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|.)", re.DOTALL)


class Compiler:
    """Typst with the template and its fonts loaded; for one thread at a time.

    Args:
        fonts: folders with fonts beside Typst's own.

    Raises:
        ImportError: Typst is not installed.
    """

    def __init__(self, fonts: Sequence[str] = ()) -> None:
        import typst

        self._error = typst.TypstError
        loaded = typst.Fonts(include_system_fonts=False, font_paths=list(fonts))
        # Sorted, since the order decides which of two fonts is taken.
        self.families = sorted({font.family for font in loaded.fonts() if font.path})
        self._compiler = typst.Compiler(root=_HERE, font_paths=loaded, ignore_system_fonts=True)
        self._template = (_HERE / "training_record.typ").read_bytes()

    def compile(self, page: bytes) -> bytes:
        """The reply to a page. Raises nothing for what stands on it."""
        text = ""
        try:
            text = page.decode("utf-8")
            return PDF + self._pdf(text)
        except self._error as error:
            if _MISSING.search(error.diagnostic):
                return MISSING + json.dumps(self._missing(error.diagnostic, text)).encode()
            return FAILED + error.message.encode()
        except BaseException as error:
            # Typst's panic is not an Exception, but no reason to end the process either.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            return FAILED + f"{type(error).__name__}: {error}".encode(errors="replace")

    def _pdf(self, page: str) -> bytes:
        pdf: Any = self._compiler.compile(
            input=self._template,
            sys_inputs={"page": page, "families": json.dumps(self.families)},
            format="pdf",
            pdf_standards=["a-3b"],
        )
        assert isinstance(pdf, bytes)
        return pdf

    def _missing(self, diagnostic: str, page: str) -> str:
        """All characters of the page that no font has.

        Typst names only some of those in a line, so each is set alone once more.
        """
        found = _letters_named_in(diagnostic)
        letters = [letter for letter in dict.fromkeys(page) if ord(letter) > 0x7E]
        alone = json.loads(page) | {"title": "", "subtitle": "", "footer": ""}
        alone |= {"modules": [], "weak-areas": [], "extra": [], "hashes": []}
        alone["facts"] = [("", f"x{letter}x") for letter in letters[:_MAX_TRIED]]
        try:
            self._pdf(json.dumps(alone))
        except self._error as error:
            found |= _letters_named_in(error.diagnostic)
        return "".join(letter for letter in letters if letter in found) or "".join(sorted(found))


def _letters_named_in(diagnostic: str) -> set[str]:
    """The letters beyond ASCII in the texts that Typst could not display; it escapes some."""
    escaped = "".join(_MISSING.findall(diagnostic))
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", escaped)
    return {letter for letter in text if ord(letter) > 0x7E}


def write_frame(pipe: IO[bytes], content: bytes) -> None:
    """Write one frame to a pipe."""
    pipe.write(len(content).to_bytes(4, "big") + content)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """Read one frame from a pipe; None if the pipe has ended."""
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    content = pipe.read(size)
    return content if len(content) == size else None


def serve(pages: IO[bytes], replies: IO[bytes], fonts: Sequence[str]) -> None:
    """Reply to pages until their pipe ends: when the parent closes it or dies."""
    compiler = Compiler(fonts)
    write_frame(replies, READY)
    while (page := read_frame(pages)) is not None:
        write_frame(replies, compiler.compile(page))


if __name__ == "__main__":
    # Ctrl-C is for the parent, which then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1:])
