"""Which characters can stand on a page, whatever the fonts.

A control character has no shape, a character for private use no meaning that a reader could look
up, and an override of the direction makes a text read differently from what is recorded. A record
that holds one is refused with the place named. White space and marks that only join or separate
their neighbours are allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

from .training_rules import path_to

_UNSHOWABLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, but those that are white space
    "\u202d\u202e"  # overrides of the direction
    "\u2061-\u2064\u206a-\u206f\ufff9-\ufffb"  # invisible operators, interlinear controls
    "\ue000-\uf8ff\U000f0000-\U0010ffff"  # private use, and the last non-characters
    "\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e00ff"  # non-characters; tags, which hide text
    "\ud800-\udfff"  # half a character
    "]"
)


def is_showable(letter: str) -> bool:
    """Whether a font may be asked for this character."""
    return not _UNSHOWABLE.match(letter)


def marked(words: str, lacking: Collection[str] = ()) -> str:
    """The words with ``[U+1F44D THUMBS UP SIGN]`` for each character that cannot be shown, or that
    is one of those `lacking`."""
    if not _UNSHOWABLE.search(words) and set(words).isdisjoint(lacking):
        return words
    return "".join(
        f"[{_code(letter)}]" if letter in lacking or not is_showable(letter) else letter
        for letter in words
    )


def unshowable(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each character in a JSON tree's texts that cannot be shown, with the path of its text."""
    for place, words in texts_of(tree, path):
        for letter in dict.fromkeys(_UNSHOWABLE.findall(words)):
            yield letter, place


def texts_of(tree: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON tree, with its path, in the order of the tree."""
    if isinstance(tree, str):
        yield path, tree
    elif isinstance(tree, dict):
        for key, member in tree.items():
            yield from texts_of(member, path_to(path, key))
    elif isinstance(tree, list):
        for index, member in enumerate(tree):
            yield from texts_of(member, f"{path}[{index}]")


def named(letter: str) -> str:
    """The character with its code point and name, itself shown if it has a shape."""
    code = _code(letter)
    has_shape = letter.isprintable() and unicodedata.category(letter)[0] != "M"
    return f"“{letter}” ({code})" if has_shape else code


def _code(letter: str) -> str:
    unnamed = "a control character" if unicodedata.category(letter) == "Cc" else "no name"
    return f"U+{ord(letter):04X} {unicodedata.name(letter, unnamed)}"
