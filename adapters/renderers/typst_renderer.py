"""The PDF of a training record, set by Typst.

It is PDF/A-3b with the record's canonical JSON attached. The same record gives the same bytes in
any process, on any day and on any machine with the same release of Typst: the document's date is
the evidence date, and the only fonts are Typst's own and those in the given folders. A character
that none of them has makes a Failure that names it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence

from ...domain.errors import MisuseError
from ...domain.evidence.evidence import Document
from ...domain.evidence.training import TrainingRecord
from ...domain.upload.failure import Failure, FailureKind
from ..records import dump_record, record_json
from .compiler import MISSING, PDF, Compiler
from .legibility import named, texts_of, unshowable
from .page import page_of
from .pool import CompilerPool, Worker, WorkerDied

_MAX_NAMED = 8
_MAX_TEXT = 2_000_000  # about a thousand pages, set in some seconds


class TypstRenderer:
    """Implements the `Renderer` port; many threads can call it at once.

    Args:
        fonts: folders with fonts for scripts that Typst's own fonts do not cover.
        workers: how many processes can help while several threads render; by default two, or one
            on a machine with a single core.

    Raises:
        MisuseError: Typst is not installed, or a folder holds no font.
    """

    def __init__(
        self, fonts: Sequence[str | os.PathLike[str]] = (), workers: int | None = None
    ) -> None:
        folders = tuple(os.path.abspath(folder) for folder in fonts)
        for folder in folders:
            if not os.path.isdir(folder):
                raise MisuseError(f"fonts: {folder} is not a folder")
        try:
            compiler = Compiler(folders)
        except ImportError:
            raise MisuseError(
                'rendering a training record needs Typst: pip install "evidence-courier[pdf]"'
            ) from None
        if folders and not compiler.families:
            raise MisuseError(f"fonts: no font is in {' or '.join(folders)}")
        self._pool = CompilerPool(compiler, lambda: Worker(folders), _possible(workers))

    def render(self, record: TrainingRecord) -> Document | Failure:
        """The document, or why there is none.

        Raises:
            MisuseError: the renderer is closed.
        """
        texts = dump_record(record)
        shown = {key: value for key, value in texts.items() if key != "extra"}  # which is escaped
        if odd := dict(unshowable(shown)):
            places = f"{_places(odd.items())}; take that out of the record"
            return _unfit(record, f"it holds what no page can show: {places}")
        length = sum(len(words) for _, words in texts_of(shown))
        if length > _MAX_TEXT:
            message = f"it holds {length:,} characters of text; {_MAX_TEXT:,} can be set"
            return _unfit(record, message)
        page = json.dumps(page_of(record, record_json(record)), ensure_ascii=False)
        try:
            reply = self._pool.compile(page.encode("utf-8"))
        except WorkerDied:
            return _unfit(record, "the process that rendered it died, twice")
        kind, content = reply[:1], reply[1:]
        if kind == PDF:
            name = f"{record.evidence_id}.pdf"
            return Document(content=content, media_type="application/pdf", filename=name)
        if kind == MISSING:
            letters = dict.fromkeys(json.loads(content))
            places = _places((letter, _place_of(letter, texts)) for letter in letters)
            advice = "name a folder with a font that does, with fonts=[...] or --fonts"
            return _unfit(record, f"no font has {places}; {advice}")
        return _unfit(record, f"Typst says: {content.decode('utf-8')}")

    def close(self) -> None:
        """End the worker processes. Safe to call twice."""
        self._pool.close()


def _possible(workers: int | None) -> int:
    if not sys.executable or getattr(sys, "frozen", False):
        return 0  # there is no Python here that could run a file
    return min(2, os.cpu_count() or 1) if workers is None else workers


def _unfit(record: TrainingRecord, reason: str) -> Failure:
    which = f"the record of evidence {record.evidence_id!r} (tenant {record.tenant_id!r})"
    return Failure(FailureKind.UNFIT_RENDER, f"{which} cannot be made a document: {reason}")


def _places(letters: Iterable[tuple[str, str]]) -> str:
    """``“a” (U+0061 ...), “b” (U+0062 ...) in modules[0].title; ...``, the first few of them."""
    found = list(letters)
    by_place: dict[str, list[str]] = {}
    for letter, place in found[:_MAX_NAMED]:
        by_place.setdefault(place, []).append(named(letter))
    words = "; ".join(f"{', '.join(names)} in {place}" for place, names in by_place.items())
    more = len(found) - _MAX_NAMED
    return f"{words}; and {more} characters more" if more > 0 else words


def _place_of(letter: str, texts: dict[str, object]) -> str:
    return next((place for place, words in texts_of(texts) if letter in words), "extra")
