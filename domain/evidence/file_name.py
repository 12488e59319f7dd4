"""The name under which a document is sent: the same at every attempt, and safe on every system.

No provider has an idempotency key, so the name carries what identifies the upload: the evidence id
and the first twelve digits of the document's SHA-256. It shows at the provider what a file is and
whether it is there twice.
"""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ID_LENGTH = 100
# For Windows such a name is a device, whatever follows the first dot.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])\.", re.IGNORECASE)


def file_name_for(evidence_id: str, sha256: str, extension: str) -> str:
    """``{evidence_id}-{sha256[:12]}.{extension}``, in at most 149 ASCII letters, digits, dots,
    underscores and hyphens.

    It is one path part, does not begin with a dot or a hyphen, and is no device name of Windows. If
    the evidence id had to be changed for that, a digest of it follows, so that two different ids
    never share a name.
    """
    tail = "".join(_UNSAFE.sub("", extension).split("."))[:10] or "bin"
    return f"{_safe(evidence_id)}-{sha256[:12]}.{tail}"


def _safe(evidence_id: str) -> str:
    safe = _UNSAFE.sub("_", evidence_id)[:_ID_LENGTH].lstrip(".-")
    safe = f"_{safe}" if _DEVICE.match(safe) else safe
    if safe == evidence_id:
        return safe
    mark = hashlib.sha256(evidence_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe or 'evidence'}-{mark}"
