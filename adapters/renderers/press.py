"""The press: one job in, one reply out; and the program that a worker process runs.

A job is a page as JSON text, a reply a letter and what it stands for: ``P`` and the bytes of a PDF,
``M`` and a JSON string of the characters that no font has, ``F`` and a sentence. In a pipe each
goes behind its length, four bytes, big-endian.

Run as a program this file must start fast and know nothing of its parent, so it imports the
standard library and Typst alone.
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

_MOST_TRIED = 2_000
_HERE = Path(__file__).parent
_MISSING = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


class Press:
    """Typst with the template and its fonts loaded; `fonts` are folders. One thread at a time.
    ImportError without Typst."""

    def __init__(self, fonts: Sequence[str] = ()) -> None:
        import typst

        self._error = typst.TypstError
        loaded = typst.Fonts(include_system_fonts=False, font_paths=list(fonts))
        # By name, not as the folders happen to list them: the order decides which of two fonts is
        # taken.
        self.families = sorted({font.family for font in loaded.fonts() if font.path})
        self._compiler = typst.Compiler(root=_HERE, font_paths=loaded, ignore_system_fonts=True)
        self._template = (_HERE / "training_record.typ").read_bytes()

    def answer(self, job: bytes) -> bytes:
        """The reply to a job. Never raises for what stands in the job."""
        page = ""
        try:
            page = job.decode("utf-8")
            return PDF + self._set(page)
        except self._error as error:
            if _MISSING.search(error.diagnostic):
                return MISSING + json.dumps(self._missing(error.diagnostic, page)).encode()
            return FAILED + error.message.encode()
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                # a panic of Typst's is no Exception, but it is no reason to end the process either
                raise
            return FAILED + f"{type(error).__name__}: {error}".encode(errors="replace")

    def _set(self, page: str) -> bytes:
        pdf: Any = self._compiler.compile(
            input=self._template,
            sys_inputs={"page": page, "families": json.dumps(self.families)},
            format="pdf",
            pdf_standards=["a-3b"],
        )
        assert isinstance(pdf, bytes)
        return pdf

    def _missing(self, diagnostic: str, page: str) -> str:
        """All characters of the page that no font has. Typst names only some of a line's, so
        each is set alone once more."""
        found = _letters_named_in(diagnostic)
        alone = json.loads(page)
        letters = [letter for letter in dict.fromkeys(page) if ord(letter) > 0x7E]
        alone |= {
            "title": "",
            "subtitle": "",
            "footer": "",
            "modules": [],
            "weak-areas": [],
            "extra": [],
            "hashes": [],
        }
        alone["facts"] = [("", f"x{letter}x") for letter in letters[:_MOST_TRIED]]
        try:
            self._set(json.dumps(alone))
        except self._error as error:
            found |= _letters_named_in(error.diagnostic)
        return "".join(letter for letter in letters if letter in found) or "".join(sorted(found))


def _letters_named_in(diagnostic: str) -> set[str]:
    return {
        letter
        for text in _MISSING.findall(diagnostic)
        for letter in _unescaped(text)
        if ord(letter) > 0x7E
    }


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(
        lambda found: (
            chr(int(found[1], 16)) if found[1] else _PLAIN_ESCAPES.get(found[2], found[2])
        ),
        text,
    )


def write_frame(pipe: IO[bytes], content: bytes) -> None:
    """Put one frame into a pipe."""
    pipe.write(len(content).to_bytes(4, "big") + content)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> bytes | None:
    """Take one frame out of a pipe; None where the pipe has ended."""
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "big")
    content = pipe.read(size)
    return content if len(content) == size else None


def serve(jobs: IO[bytes], replies: IO[bytes], fonts: Sequence[str]) -> None:
    """Answer jobs until their pipe ends, which it does when the parent closes it or dies."""
    press = Press(fonts)
    write_frame(replies, READY)
    while (job := read_frame(jobs)) is not None:
        write_frame(replies, press.answer(job))


if __name__ == "__main__":
    # Ctrl-C is for the parent, which then closes the pipe
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[1:])
