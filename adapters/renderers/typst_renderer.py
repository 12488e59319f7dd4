"""The PDF of a training record, set by Typst.

It is PDF/A-3a and PDF/UA-1 with the record's canonical JSON attached. The same record gives the
same bytes in any process, on any day and on any machine with the same release of Typst and the same
fonts: the document's date is that of the record, and the only fonts are Typst's own, those in the
given folders and those of the extra `fonts`. A character that none of them has is shown by its code
point in a free text (questions, answers, rationales, `extra`), and makes a Failure that names it
anywhere else.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

from ...domain.errors import MisuseError
from ...domain.evidence.evidence import Document
from ...domain.evidence.legibility import named, texts_of, unshowable
from ...domain.evidence.record_json import dump_record, record_json
from ...domain.evidence.training import TrainingRecord
from ...domain.upload.failure import Failure, FailureKind
from .compiler import CannotBeSet, Compiler, families_in
from .coverage import NAME, TITLE, Coverage, each_laid
from .page import page_of
from .places import Places

_MAX_NAMED = 8
# A document takes at most 256 MB while it is made: some 400 bytes a character, and for each text,
# line and module as much as for the number of characters below.
_MAX_SIZE, _PER_TEXT, _PER_LINE, _PER_MODULE = 600_000, 70, 12, 330
# fontpkg has no Noto font for Bengali.
FONT_PACKAGES: Final = (
    *(f"fontpkg_noto_sans_{script}" for script in ("arabic", "devanagari", "khmer", "tamil")),
    *("fontpkg_noto_sans_telugu", "fontpkg_noto_sans_thai", "fontpkg_hind_siliguri"),
    "noto_cjk_sans_otc",
)
# The first words of their letters' Unicode names.
_SCRIPTS_OF_THE_EXTRA = frozenset(
    "ARABIC BENGALI CJK DEVANAGARI HANGUL HIRAGANA KATAKANA KHMER TAMIL TELUGU THAI".split()
)


class TypstRenderer:
    """Implements the `Renderer` port; many threads can call it at once.

    Args:
        fonts: folders with fonts for scripts that Typst's own fonts do not cover; the first that
            has a letter is taken. The fonts of the extra `fonts` follow, if it is installed.
        workers: how many documents are set at the same time, each in its caller's thread; at
            least one is, and one more of another tenant, so that no tenant's large records keep
            another's waiting. More would compete with the host's event loop for the cores.

    Raises:
        MisuseError: Typst is not installed, or a folder holds no font.
    """

    def __init__(self, fonts: Sequence[str | os.PathLike[str]] = (), workers: int = 1) -> None:
        folders = [os.path.abspath(folder) for folder in fonts]
        for folder in folders:
            if not os.path.isdir(folder):
                raise MisuseError(f"fonts: {folder} is not a folder")
        try:
            places = max(1, workers) + 1
            self._compiler = Compiler([*folders, *installed_fonts()], places)
        except ImportError:
            raise MisuseError(
                'rendering a training record needs Typst: pip install "evidence-courier[pdf]"'
            ) from None
        if folders and not families_in(folders):
            raise MisuseError(f"fonts: no font is in {' or '.join(folders)}")
        self._places = Places(places)
        self._coverage = Coverage(len(self._compiler.listed), self._compiler.lacking)
        self._closed = False

    def render(self, record: TrainingRecord) -> Document | Failure:
        """The document, or why none was made.

        Raises:
            MisuseError: the renderer is closed.
        """
        if self._closed:
            message = "a courier renders from its start to its close"
            raise MisuseError(f"the renderer is closed; {message}")
        texts = dump_record(record)
        if odd := dict(unshowable(_names_and_titles(texts))):
            places = f"{_places(odd.items())}; take that out of the record"
            return _unfit(record, f"it holds what no page can show: {places}")
        if too_much := _too_much(texts):
            return _unfit(record, too_much)
        with self._places.taken(record.tenant_id):
            return self._set(record, texts)

    def _set(self, record: TrainingRecord, texts: Mapping[str, Any]) -> Document | Failure:
        canonical = record_json(texts)
        is_plain = canonical.isascii()  # the first family has all of these letters
        if not is_plain:
            self._coverage.learn(canonical.decode())
            if lacking := self._lacking(texts):
                places = _places(lacking.items())
                return _unfit(record, f"no font has {places}; {_advice(lacking)}")
        page = page_of(record, canonical, self._coverage.shown)
        try:
            laid = page if is_plain else each_laid(page, self._coverage.laid)
            pdf = self._compiler.compile(laid, canonical)
        except CannotBeSet as error:
            return _unfit(record, f"Typst says: {error}")
        name = f"{record.evidence_id}.pdf"
        return Document(content=pdf, media_type="application/pdf", filename=name)

    def close(self) -> None:
        """Render nothing more. Safe to call twice."""
        self._closed = True

    def _lacking(self, texts: Mapping[str, Any]) -> dict[str, str]:
        """What cannot be set in a name or a title, each with the first place that has it."""
        found: dict[str, str] = {}
        for place, words in texts_of(_names_and_titles(texts)):
            weights = TITLE if place.endswith("title") else NAME
            for letters in self._coverage.lacking(words, weights):
                found.setdefault(letters, place)
        return found


def _names_and_titles(texts: Mapping[str, Any]) -> dict[str, object]:
    """The texts of a record that must be shown as they are: all but questions and `extra`."""
    titles = [{"title": module["title"]} for module in texts["modules"]]
    return {**texts, "modules": titles, "extra": {}}


def _too_much(texts: Mapping[str, Any]) -> str:
    """Why the record is too large for a page, if it is; what of `extra` is shown is bounded."""
    shown = [words for _, words in texts_of({**texts, "extra": {}})]
    size = sum(len(words) + _PER_TEXT + _PER_LINE * words.count("\n") for words in shown)
    size += _PER_MODULE * len(texts["modules"])
    if size <= _MAX_SIZE:
        return ""
    return (
        f"it is too large for the memory that a document may take: its {len(shown):,} texts count "
        f"as {size:,} characters, and {_MAX_SIZE:,} can be set; submit a document of your own"
    )


def installed_fonts() -> list[str]:
    """The folders of the fonts of the extra `fonts`, if it is installed as a whole: with a part of
    them, two machines would make different documents of the same record."""
    specs = [find_spec(name) for name in FONT_PACKAGES]
    folders = [folder for spec in specs if spec for folder in spec.submodule_search_locations or ()]
    return folders if all(specs) else []


def _advice(lacking: Iterable[str]) -> str:
    """What helps: the extra `fonts` only if it is not there and has all these letters' scripts."""
    scripts = {unicodedata.name(one, "").partition(" ")[0] for letter in lacking for one in letter}
    extra = 'install the fonts of "evidence-courier[fonts]", or '
    helps = scripts <= _SCRIPTS_OF_THE_EXTRA and not installed_fonts()
    return (
        f"{extra if helps else ''}name a folder with a font that does, with fonts=[...] or "
        "--fonts, or write the text without it"
    )


def _unfit(record: TrainingRecord, reason: str) -> Failure:
    which = f"the record of evidence {record.evidence_id!r} (tenant {record.tenant_id!r})"
    return Failure(FailureKind.UNFIT_RENDER, f"{which} cannot be made a document: {reason}")


def _places(letters: Iterable[tuple[str, str]]) -> str:
    """``“a” (U+0061 ...), “b” (U+0062 ...) in modules[0].title; ...``, the first few of them."""
    found = list(letters)
    by_place: dict[str, list[str]] = {}
    for letter, place in found[:_MAX_NAMED]:
        words = " after ".join(named(one) for one in letter)
        by_place.setdefault(place, []).append(words)
    words = "; ".join(f"{', '.join(names)} in {place}" for place, names in by_place.items())
    more = len(found) - _MAX_NAMED
    return f"{words}; and {more} characters more" if more > 0 else words
