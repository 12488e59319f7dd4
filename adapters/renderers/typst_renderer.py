"""The PDF of a training record, set by Typst.

PDF/A-3b, with the record's canonical JSON attached. The same record gives the same bytes at every
render, in any process, on any day and any machine with the same release of Typst: the document's
date is the evidence date, and the only fonts are those that come with Typst and those in the
folders given. A character that none of them has makes a Failure that names it.
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
from .bench import Bench
from .legibility import named, texts_of, unshowable
from .page import page_of
from .press import MISSING, PDF, Press
from .workers import Worker, WorkerDied

_MOST_NAMED = 8
_MOST_TEXT = 2_000_000  # some thousand pages, set in some seconds


class TypstRenderer:
    """Implements the `Renderer` port. Safe to call from many threads.

    `fonts` are folders with fonts for scripts that Typst's own fonts do not cover. `workers` is how
    many processes may help when several threads render at once: by default two, or one on a machine
    with a single core; 0 for none. Raises MisuseError where Typst is not installed, or a folder
    holds no font.
    """

    def __init__(
        self, fonts: Sequence[str | os.PathLike[str]] = (), workers: int | None = None
    ) -> None:
        folders = tuple(os.path.abspath(folder) for folder in fonts)
        for folder in folders:
            if not os.path.isdir(folder):
                raise MisuseError(f"fonts: {folder} is not a folder")
        try:
            press = Press(folders)
        except ImportError:
            raise MisuseError(
                'rendering a training record needs Typst: pip install "evidence-courier[pdf]"'
            ) from None
        if folders and not press.families:
            raise MisuseError(f"fonts: no font is in {' or '.join(folders)}")
        self._bench = Bench(press, lambda: Worker(folders), _possible(workers))

    def render(self, record: TrainingRecord) -> Document | Failure:
        """The document, or why there can be none. MisuseError once the renderer is closed."""
        texts = dump_record(record)
        shown = {
            key: value for key, value in texts.items() if key != "extra"
        }  # extra is shown as JSON, with escapes
        odd = dict(unshowable(shown))
        if odd:
            return _unfit(
                record,
                f"it holds what no page can show: {_places(odd.items())}; take that out of the record",
            )
        length = sum(len(words) for _, words in texts_of(shown))
        if length > _MOST_TEXT:
            return _unfit(
                record, f"it holds {length:,} characters of text; {_MOST_TEXT:,} can be set"
            )
        page = page_of(record, record_json(record))
        try:
            reply = self._bench.answer(json.dumps(page, ensure_ascii=False).encode("utf-8"))
        except WorkerDied:
            return _unfit(record, "the process that rendered it died, twice")
        kind, content = reply[:1], reply[1:]
        if kind == PDF:
            return Document(
                content=content, media_type="application/pdf", filename=f"{record.evidence_id}.pdf"
            )
        if kind == MISSING:
            places = _places(
                (letters, _place_of(letters, texts))
                for letters in dict.fromkeys(json.loads(content))
            )
            return _unfit(
                record,
                f"no font has {places}; name a folder with a font that does, with fonts=[...] or --fonts",
            )
        return _unfit(record, f"Typst says: {content.decode('utf-8')}")

    def close(self) -> None:
        """End the worker processes. Safe to call twice."""
        self._bench.close()


def _possible(workers: int | None) -> int:
    if not sys.executable or getattr(sys, "frozen", False):
        return 0  # there is no Python here that could run a file
    return min(2, os.cpu_count() or 1) if workers is None else workers


def _unfit(record: TrainingRecord, reason: str) -> Failure:
    return Failure(
        FailureKind.UNFIT_RENDER,
        f"the record of evidence {record.evidence_id!r} (tenant {record.tenant_id!r}) cannot be made a document: {reason}",
    )


def _places(letters: Iterable[tuple[str, str]]) -> str:
    """``“a” (U+0061 ...), “b” (U+0062 ...) in modules[0].title; ...``, as many as one can take
    in."""
    found = list(letters)
    by_place: dict[str, list[str]] = {}
    for letter, place in found[:_MOST_NAMED]:
        by_place.setdefault(place, []).append(named(letter))
    words = "; ".join(f"{', '.join(names)} in {place}" for place, names in by_place.items())
    return (
        words
        if len(found) <= _MOST_NAMED
        else f"{words}; and {len(found) - _MOST_NAMED} characters more"
    )


def _place_of(letter: str, texts: dict[str, object]) -> str:
    return next((place for place, words in texts_of(texts) if letter in words), "extra")
