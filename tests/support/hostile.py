"""Whether a text shows a secret: any run of eight of its characters, plain or in an encoding that can be undone at a glance."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

RUN = 8


def encodings(run: str) -> Iterator[str]:
    """How eight characters may stand in a text."""
    data = run.encode()
    yield run
    yield quote(run, safe="")
    yield "".join(f"%{byte:02X}" for byte in data)
    yield "".join(f"%{byte:02x}" for byte in data)
    yield data.hex()
    yield data.hex().upper()
    yield json.dumps(run)[1:-1]
    yield "".join(f"\\u{ord(character):04x}" for character in run)
    for offset in range(3):
        # What base64 makes of the run, wherever it stands in what was encoded: without the ends, which its neighbours share.
        padded = base64.b64encode(b"\0" * offset + data + b"\0\0").decode()
        start, end = -(-offset * 4 // 3) if offset else 0, (offset + len(data)) * 8 // 6
        yield padded[start:end]
        yield base64.urlsafe_b64encode(b"\0" * offset + data + b"\0\0").decode()[start:end]


def leaks(text: str | bytes, secret: str) -> list[str]:
    """Every run of the secret that the text shows, and how."""
    seen = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    runs = [secret[start : start + RUN] for start in range(len(secret) - RUN + 1)]
    return [f"{run!r} as {form!r}" for run in runs for form in encodings(run) if form in seen]
