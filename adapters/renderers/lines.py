"""Where a text may break besides its spaces, and in which direction it runs.

A long word or an address would run out of its column or off the page. It gets invisible places to
break: after punctuation if that helps, else between any two letters. Scripts that join their
letters are left whole much longer, and scripts with rules of their own always, since a wrong break
makes another word.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final

# The template makes a place to break of this control character, which no text here can hold.
GAP: Final = "\x1f"
# It makes a space of this one, on both sides of a letter in a circle, a square or a key.
SPACE: Final = "\x1e"
_ENCLOSED = re.compile(
    r"\S[\u0300-\u036f\ufe0e\ufe0f]*[\u0488\u0489\u1abe\u20dd-\u20e0\u20e2-\u20e4\ua670-\ua672]+"
    r"[\u0300-\u036f\ufe0e\ufe0f]*"
)
# Much cheaper, but a letter of the page: good enough in a text that is too long to copy by hand.
_ZERO_WIDTH_SPACE = "\u200b"
_TOO_LONG_TO_COPY = 2_000

# Latin, Greek, Cyrillic and Armenian: as long as a narrow column is wide.
_LONGER_THAN_A_COLUMN = 24
_LONG = re.compile(rf"[!-~\u00a1-\u058f\u1e00-\u1fff\u2010-\u2027]{{{_LONGER_THAN_A_COLUMN},}}")
_STILL_LONG = re.compile(rf"[^{GAP}]{{{_LONGER_THAN_A_COLUMN},}}")
_PUNCTUATION = re.compile(r"[-@._/?&=:;,]")
# All but Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean: longer than any line.
_ENDLESS = re.compile(
    rf"[^\s{GAP}\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\uff00-\uffef\U0001b000-\U0001b2ff\U00020000-\U0003ffff]{80,}"
)
# Vowels of Thai and Lao that are half a mark, later parts of Korean syllables, voices of narrow
# kana and the colours of a face: each is a letter to Unicode, and one with what stands before it.
_LATER_PART = re.compile(
    "[\u0e33\u0eb3\u1160-\u11ff\ud7b0-\ud7ff\uff9e\uff9f\U0001f3fb-\U0001f3ff]"
)


def breakable(words: str) -> str:
    """The words with places to break in those that are longer than a column, and room for the
    marks that enclose a letter, which are wider than it."""
    laid = words
    if len(words) >= _LONGER_THAN_A_COLUMN:
        laid = _ENDLESS.sub(_between_letters, _LONG.sub(_after_punctuation, words))
    if not words.isascii():
        laid = _ENCLOSED.sub(rf"{SPACE}\g<0>{SPACE}", laid)
    return laid if len(words) <= _TOO_LONG_TO_COPY else laid.replace(GAP, _ZERO_WIDTH_SPACE)


def _after_punctuation(run: re.Match[str]) -> str:
    opened = _PUNCTUATION.sub(lambda mark: mark[0] + GAP, run[0])
    return _STILL_LONG.sub(_between_letters, opened)


def _between_letters(run: re.Match[str]) -> str:
    return GAP.join(clusters(run[0]))


def clusters(words: str) -> list[str]:
    """The letters, each with its marks, and joined consonants together."""
    starts = [at for at, (a, b) in enumerate(pairwise(words), 1) if not _belong_together(a, b)]
    return [words[start:end] for start, end in pairwise([0, *starts, len(words)])]


def _belong_together(before: str, after: str) -> bool:
    """Whether two characters make one letter: a base and its mark, or two joined consonants."""
    return (
        unicodedata.category(after) in ("Mn", "Mc", "Me", "Cf")
        or unicodedata.category(before) == "Cf"
        or unicodedata.combining(before) == 9
        or _LATER_PART.match(after) is not None
    )


def runs_to_the_left(words: str) -> bool:
    """Whether a text is read from right to left, as its first letter is."""
    if words.isascii():
        return False
    directions = (unicodedata.bidirectional(letter) for letter in words)
    return next((way for way in directions if way in ("L", "R", "AL")), "L") != "L"
