"""What stands on the pages of a training record, word by word.

The template only sets what is prepared here: numbers become percentages, moments become dates in words, whatever the locale and
the time zone of the machine. Nothing is added that the record does not say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final

from ...domain.training import Module, Question, TrainingRecord
from .legibility import is_showable

_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
_VERDICTS: Final = {"passed": "Passed", "exhausted": "Attempts exhausted"}
_MOST_OF_AN_EXTRA = 600
_MOST_EXTRAS = 60
_MOST_IN_FOOTER = 70


def page_of(record: TrainingRecord, canonical: bytes) -> dict[str, object]:
    """The data for the template. `canonical` is the record's JSON, which is attached and whose SHA-256 is shown."""
    training, outcome = record.training, record.outcome
    date = record.generated_at
    return {
        "record": canonical.decode("utf-8"),
        "date": {"year": date.year, "month": date.month, "day": date.day},
        "keywords": [record.tenant_id, record.evidence_id, record.session_id],
        "footer": f"Evidence {shortened(record.evidence_id)}",
        "title": one_line(training.title),
        "subtitle": f"{one_line(training.type)} · attempt {training.attempt} of {training.max_attempts}",
        "passed": outcome.status == "passed",
        "verdict": _VERDICTS[outcome.status],
        "score": percent(outcome.score),
        "share": outcome.score,
        "threshold": f"{percent(outcome.pass_threshold)} needed to pass",
        "threshold-share": outcome.pass_threshold,
        "facts": _facts(record),
        "weak-areas": [one_line(area) for area in outcome.weak_areas],
        "modules": [_module(number, module) for number, module in enumerate(record.modules, 1)],
        "extra": _extras(record.extra),
        "integrity": "The complete record is attached to this file as record.json.",
        "hashes": _hashes(record, canonical),
    }


def _facts(record: TrainingRecord) -> list[tuple[str, str | None]]:
    employee = record.employee
    return [
        ("Employee", employee.name and one_line(employee.name)),
        ("Email", employee.email),
        ("Employee id", employee.id),
        ("Started", in_words(record.started_at)),
        ("Completed", in_words(record.completed_at)),
        ("Recorded", in_words(record.generated_at)),
        ("Tenant", record.tenant_id),
        ("Session", record.session_id),
        ("Evidence", record.evidence_id),
    ]


def _module(number: int, module: Module) -> dict[str, object]:
    return {
        "number": str(number),
        "title": one_line(module.title),
        "score": percent(module.score),
        "count": str(len(module.questions)),
        "questions": [_question(f"{number}.{place}", asked) for place, asked in enumerate(module.questions, 1)],
    }


def _question(number: str, asked: Question) -> dict[str, str]:
    return {
        "number": number,
        "text": paragraphs(asked.text),
        "answer": paragraphs(asked.answer),
        "score": percent(asked.score),
        "rationale": paragraphs(asked.rationale or ""),
    }


def _extras(extra: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each member on a line of its own, in key order; what is long is cut short and says so: the attachment has all of it."""
    rows = [(_cut(_as_text(key)), _cut(_as_text(extra[key]))) for key in sorted(extra)]
    hidden = len(rows) - _MOST_EXTRAS
    return rows if hidden <= 0 else [*rows[:_MOST_EXTRAS], ("", f"and {hidden} more in record.json")]


def _as_text(value: object) -> str:
    if isinstance(value, str) and all(map(is_showable, value)):
        return paragraphs(value)
    written = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return "".join(letter if is_showable(letter) else json.dumps(letter)[1:-1] for letter in written)


def _hashes(record: TrainingRecord, canonical: bytes) -> list[tuple[str, str]]:
    rows = [("SHA-256 of record.json", hashlib.sha256(canonical).hexdigest())]
    return rows if record.content_hash is None else [*rows, ("Content hash", record.content_hash)]


def percent(share: float) -> str:
    """A share as a percentage of at most two decimals. Cut off, not rounded: it never shows more than was reached."""
    exact = Decimal(repr(share)) * 100
    shown = exact.quantize(Decimal("0.01"), rounding=ROUND_DOWN).normalize()
    return f"{shown:f} %"


def in_words(moment: datetime) -> str:
    """A moment as ``21 February 2026, 10:00:03 UTC``."""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M:%S} UTC"


def one_line(words: str) -> str:
    """The words with every stretch of white space made one space."""
    return " ".join(words.split())


def paragraphs(words: str) -> str:
    """The words line by line as they were written; several empty lines become one."""
    lines = [one_line(line) for line in words.splitlines()]
    kept = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return "\n".join(kept).strip("\n")


def shortened(words: str) -> str:
    """The words as they fit into the foot of a page."""
    return words if len(words) <= _MOST_IN_FOOTER else f"{words[:_MOST_IN_FOOTER]}…"


def _cut(words: str) -> str:
    if len(words) <= _MOST_OF_AN_EXTRA:
        return words
    hidden = len(words) - _MOST_OF_AN_EXTRA
    return f"{words[:_MOST_OF_AN_EXTRA]}… ({hidden:,} more characters in record.json)"
