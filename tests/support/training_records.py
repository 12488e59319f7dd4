"""A training record to begin a test with."""

from __future__ import annotations

import copy
from typing import Any

_RECORD: dict[str, Any] = {
    "schema_version": 1,
    "tenant_id": "acme",
    "evidence_id": "ev-1",
    "session_id": "s-1",
    "employee": {"id": "emp-7", "name": "Asha Patel", "email": "asha@acme.example"},
    "training": {
        "title": "Security attestation",
        "type": "annual",
        "attempt": 2,
        "max_attempts": 3,
    },
    "outcome": {
        "status": "passed",
        "score": 0.86,
        "pass_threshold": 0.7,
        "weak_areas": ["phishing"],
    },
    "started_at": "2026-02-21T09:12:00Z",
    "completed_at": "2026-02-21T10:00:00Z",
    "generated_at": "2026-02-21T10:00:03Z",
    "modules": [
        {
            "title": "Phishing",
            "score": 0.9,
            "questions": [
                {
                    "text": "A mail asks for your password. What do you do?",
                    "answer": "Report it",
                    "score": 1.0,
                    "rationale": "Correct channel.",
                }
            ],
        }
    ],
    "content_hash": "sha256:" + "ab" * 32,
    "extra": {"locale": "en-GB"},
}


def record_as_json(**changes: Any) -> dict[str, Any]:
    """The record as JSON values, with some members changed; ``training__title`` is the title
    inside training."""
    tree = copy.deepcopy(_RECORD)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = tree
        for parent in parents:
            place = place[parent]
        place[last] = value
    return tree
