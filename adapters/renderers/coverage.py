"""Which families of fonts have which letters, and what follows for a text.

Typst sets a text in the first family of a list and what that lacks in the next. It asks for each
glyph, though a cluster (a letter with its marks, or joined consonants) must come from one family:
where the first has the mark alone, the letter beneath vanishes from the page without an error. So
each cluster is looked at before: what no family has whole is told, and a word that would lose a
part gets the family that must set it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

from ...domain.evidence.legibility import is_showable, marked
from .lines import clusters

NAME: Final = (400,)
TITLE: Final = (400, 600)
"""The weights in which a text is set: a module's title is bold above its questions only."""

# The template sets what stands between two of the first in the family whose number comes before
# the second.
FAMILY: Final = "\x1d"
AFTER_FAMILY: Final = "\x1c"

_WORD = re.compile(r"\S+")
# Whether a family has these does not matter: they have no glyph.
_INVISIBLE = re.compile(
    "[\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0100-\U000e01ef]"
)


class Coverage:
    """What was asked of each family, and the answers; many threads can call it at once.

    Args:
        families: how many families are on the list.
        lacking: which of some letters the family of this number lacks in this weight.
    """

    def __init__(
        self, families: int, lacking: Callable[[int, int, Sequence[str]], Collection[str]]
    ) -> None:
        self._families = range(families)
        self._ask = lacking
        self._asked: set[str] = set()
        self._lacked: dict[int, dict[int, set[str]]] = {
            weight: {family: set() for family in self._families} for weight in TITLE
        }

    def learn(self, words: str) -> None:
        """Ask for the letters that are new, as they are and composed."""
        letters = set(words) | set(unicodedata.normalize("NFC", words))
        new = sorted(one for one in letters - self._asked if ord(one) > 0x7E and is_showable(one))
        if not new:
            return
        for weight, families in self._lacked.items():
            for family, lacked in families.items():
                lacked.update(self._ask(family, weight, new))
        self._asked.update(new)

    def lacking(self, words: str, weights: Sequence[int] = NAME) -> Iterator[str]:
        """Each letter that cannot be set, with that before it if only the two together cannot."""
        if words.isascii():
            return
        for cluster in clusters(words):
            lacked = [letter for letter in cluster if not self._somewhere(letter, weights)]
            if lacked:
                yield from lacked
            elif len(cluster) > 1 and not self._is_whole(cluster, weights):
                yield from (letter + cluster[0] for letter in self._strange(cluster, weights))

    def shown(self, words: str) -> str:
        """A free text with the code point and name of each letter that cannot be set."""
        if words.isascii():
            return marked(words)
        return "".join(
            marked(cluster, {letters[0] for letters in self.lacking(cluster)})
            for cluster in clusters(words)
        )

    def laid(self, words: str, weights: Sequence[int] = NAME) -> str:
        """The words, with the family for each that the list alone would not set whole."""
        if words.isascii():
            return words
        return _WORD.sub(lambda word: self._laid(word[0], weights), words)

    def _laid(self, word: str, weights: Sequence[int]) -> str:
        if word.isascii():
            return word
        parts = clusters(word)
        if self._is_set(parts, self._families, weights):
            return word
        for first in self._families:
            if self._is_set(parts, (first, *self._families), weights):
                return f"{FAMILY}{first}{AFTER_FAMILY}{word}{FAMILY}"
        return word if len(parts) < 2 else "".join(self._laid(part, weights) for part in parts)

    def _is_set(self, parts: Sequence[str], order: Sequence[int], weights: Sequence[int]) -> bool:
        """Whether each cluster comes to a family that has it whole before one with a part of it."""
        return all(self._comes_whole(part, order, weights) for part in parts if len(part) > 1)

    def _comes_whole(self, cluster: str, order: Sequence[int], weights: Sequence[int]) -> bool:
        for family in order:
            if self._has(cluster, family, weights):
                return True
            lacked = (self._lacked[weight][family] for weight in weights)
            if any(not one.issuperset(_INVISIBLE.sub("", cluster)) for one in lacked):
                return False
        return False

    def _somewhere(self, letter: str, weights: Sequence[int]) -> bool:
        return all(
            any(letter not in lacked for lacked in self._lacked[weight].values())
            for weight in weights
        )

    def _is_whole(self, cluster: str, weights: Sequence[int]) -> bool:
        return any(self._has(cluster, family, weights) for family in self._families)

    def _has(self, cluster: str, family: int, weights: Sequence[int]) -> bool:
        forms = (cluster, unicodedata.normalize("NFC", cluster))
        return all(
            any(self._lacked[weight][family].isdisjoint(form) for form in forms)
            for weight in weights
        )

    def _strange(self, cluster: str, weights: Sequence[int]) -> list[str]:
        """The letters of a cluster that the first family with its first letter lacks."""
        for family in self._families:
            lacked = set().union(*(self._lacked[weight][family] for weight in weights))
            if cluster[0] not in lacked:
                return [letter for letter in cluster if letter in lacked]
        return list(cluster[1:])


def each_laid(
    page: Mapping[str, object], lay: Callable[[str, Sequence[int]], str]
) -> dict[str, object]:
    """The page with each of its texts laid, but for what the document says of itself."""

    def laid(key: str, member: object) -> object:
        if isinstance(member, str):
            return lay(member, TITLE if key == "title" else NAME)
        if isinstance(member, dict):
            return {one: laid(key if one == "rtl" else one, text) for one, text in member.items()}
        return [laid(key, one) for one in member] if isinstance(member, (list, tuple)) else member

    return {key: member if key == "document" else laid(key, member) for key, member in page.items()}
