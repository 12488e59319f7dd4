"""What a hostile server does with a credential, and an oracle that finds the credential again.

The oracle shares nothing with the package: it turns a text as somebody would who wants to read a
secret out of it (undoes its escapes, reads every stretch of hexadecimal digits and of base64 in
every alignment) and looks whether eight characters of the secret in a row come out.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

RUN = 8
_DEPTH = 3
_JSON = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PERCENT = re.compile(r"%([0-9a-fA-F]{2})")
_HEX = re.compile(r"[0-9a-fA-F]{16,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{10,}")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def leaks(text: str | bytes, secret: str) -> list[str]:
    """Each run of eight characters of the secret (all of a shorter one) that can be read out of the
    text, and how it stands there.

    Case and white space hide nothing.
    """
    seen = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    wanted = _bare(secret)
    size = min(RUN, len(wanted))
    runs = {wanted[start : start + size] for start in range(len(wanted) - size + 1)} - {""}
    return sorted(
        {
            f"{run!r} {way}"
            for way, view in _views(seen)
            for bare in [_bare(view)]
            for run in runs
            if run in bare
        }
    )


def _bare(text: str) -> str:
    return "".join(text.split()).casefold()


def _views(text: str) -> Iterator[tuple[str, str]]:
    """The text in every reading."""
    for view, way in {view: way for way, view in reversed(list(_unescaped(text)))}.items():
        yield way, view
        dense = "".join(view.split())
        for found in _HEX.finditer(dense):
            for shift in (0, 1):
                digits = found[0][shift:]
                yield (
                    f"{way}, hexadecimal",
                    bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("latin-1"),
                )
        for found in _BASE64.finditer(dense):
            for shift in range(4):
                yield f"{way}, base64", _decoded(found[0][shift:])


def _unescaped(text: str) -> Iterator[tuple[str, str]]:
    yield "plain", text
    for name, undo in (
        ("URL", _percent),
        ("JSON", _json),
        ("HTML", html.unescape),
        ("mixed", _all),
    ):
        turned = text
        for depth in range(1, _DEPTH + 1):
            before, turned = turned, undo(turned)
            if turned == before:
                break
            yield f"{name}-encoded, {depth} deep", turned


def _percent(text: str) -> str:
    return _PERCENT.sub(lambda escape: chr(int(escape[1], 16)), text)


def _json(text: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        digits = escape[1] or escape[2]
        return chr(int(digits, 16)) if digits else _LETTERS.get(escape[3], escape[3])

    return _JSON.sub(meant, text)


def _all(text: str) -> str:
    return html.unescape(_json(_percent(text)))


def _decoded(text: str) -> str:
    """Every whole byte that these characters of base64 decide."""
    whole = len(text) * 6 // 8
    padded = text.replace("-", "+").replace("_", "/") + "A" * (-len(text) % 4)
    return base64.b64decode(padded)[:whole].decode("latin-1")


def _behind(
    before: bytes, encode: Callable[[bytes], bytes] = base64.b64encode
) -> Callable[[str], str]:
    return lambda key: encode(before + key.encode() + b"!").decode()


ECHOES: Mapping[str, Callable[[str], str]] = {
    "plain": str,
    "in capitals": str.upper,
    "percent": lambda key: quote(key, safe=""),
    "percent, every byte": lambda key: "".join(f"%{byte:02x}" for byte in key.encode()),
    "percent, twice": lambda key: quote(quote(key, safe=""), safe=""),
    "hex": lambda key: key.encode().hex(),
    "HEX": lambda key: key.encode().hex().upper(),
    "hex behind half a byte": lambda key: "f" + key.encode().hex(),
    "base64": _behind(b""),
    "base64 behind one": _behind(b"x"),
    "base64 behind two": _behind(b"xy"),
    "base64 for URLs": _behind(b"", base64.urlsafe_b64encode),
    "base64 for URLs behind one": _behind(b":", base64.urlsafe_b64encode),
    "base64 for URLs behind two": _behind(b"k:", base64.urlsafe_b64encode),
    "base64 in lines": lambda key: "\r\n".join(re.findall(".{1,7}", _behind(b"k")(key))),
    "base64, percent": lambda key: quote(_behind(b"")(key), safe=""),
    "JSON": lambda key: json.dumps(key)[1:-1],
    "JSON in JSON": lambda key: json.dumps(json.dumps(key)),
    "JSON, slashes escaped": lambda key: json.dumps(key)[1:-1].replace("/", "\\/"),
    "JSON, every character": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "JSON, every character in capitals": lambda key: "".join(f"\\u{ord(char):04X}" for char in key),
    "HTML": html.escape,
    "HTML, every character": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "a Python literal": repr,
    "in lines": lambda key: "\n".join(re.findall(".{1,3}", key)),
    "in lines of JSON": lambda key: "\\n".join(re.findall(".{1,3}", key)),
    "cut at the front": lambda key: key[3:],
    "cut at the end": lambda key: key[:-3],
    "twice": lambda key: key + key,
    "in words": lambda key: f"the key <{key}> is not 'valid'",
    "in a host's name": lambda key: f"https://{key}.evil.test/",
    "far behind": lambda key: "x" * 490 + key,
    "very far behind": lambda key: "x" * 1990 + key,
}
"""How a server may say a credential back."""
