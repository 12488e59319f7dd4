"""The words on the pages of a training record, which the template only sets.

Numbers become percentages and moments become dates in words, whatever the machine's locale and time
zone. Nothing is added that the record does not say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Final

from ...domain.evidence.legibility import marked
from ...domain.evidence.training import Module, Question, TrainingOutcome, TrainingRecord
from .lines import breakable, runs_to_the_left

_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
_DATE: Final = ("year", "month", "day", "hour", "minute", "second")
_HOW_TO_CHECK: Final = (
    "The complete record is attached to this file as record.json. To check it, save the "
    "attachment and compute its SHA-256, such as with “sha256sum record.json”: it must be the one "
    "below.",
    "The content hash is the training system's own and is shown as it was recorded.",
)
_MAX_EXTRA_LENGTH = 600
_MAX_EXTRAS = 60
_MAX_FOOTER_LENGTH = 70
_MAX_IN_METADATA = 300
_WIDTH_OF_A_HASH = 72

Text = str | dict[str, str]
"""A text for the template: plain, or in an object of one member if it runs from right to left."""


def page_of(
    record: TrainingRecord, canonical: bytes, free: Callable[[str], str] = marked
) -> dict[str, object]:
    """The data for the template.

    Args:
        record: what the pages show.
        canonical: its JSON, to hash.
        free: shows a free text, with the code points and names of what cannot be set.
    """
    training, outcome = record.training, record.outcome
    title = one_line(training.title)
    score, needed = score_and_threshold(outcome)
    attempt = f"attempt {training.attempt} of {training.max_attempts}"
    return {
        "document": _metadata(record),
        "footer": _text(f"Evidence {_shortened(record.evidence_id, _MAX_FOOTER_LENGTH)}"),
        "title": _text(title),
        "title-size": 14 if len(title) > 160 else 18 if len(title) > 60 else 23,
        "subtitle": _text(f"{one_line(training.type)} · {attempt}"),
        "passed": outcome.status == "passed",
        "score": score,
        "share": outcome.score,
        "threshold": f"{needed} needed to pass{_despite_the_score(outcome)}",
        "threshold-share": outcome.pass_threshold,
        "facts": [(label, words and _text(one_line(words))) for label, words in _facts(record)],
        "weak-areas": [_text(one_line(area)) for area in outcome.weak_areas],
        "weak-columns": _columns_for(outcome.weak_areas),
        "modules": [_module(module, free) for module in record.modules],
        "extra": [(_text(key), _text(value)) for key, value in _extras(record.extra, free)],
        "integrity": " ".join(_HOW_TO_CHECK[: 1 if record.content_hash is None else 2]),
        "hashes": _hashes(record, canonical),
    }


def _metadata(record: TrainingRecord) -> dict[str, object]:
    person, at = record.employee.name or record.employee.id, record.generated_at
    outcome, language = record.outcome.status, record.language or "en"
    lang, _, region = language.replace("_", "-").partition("-")
    region = region.rpartition("-")[2]
    return {
        "title": f"{_shortened(record.training.title)}: {_shortened(person)}, "
        f"{outcome}, {at.date()}",
        "author": _shortened(record.issuer or record.organisation or record.tenant_id),
        "keywords": [record.tenant_id, record.evidence_id, record.session_id],
        "date": {part: getattr(at, part) for part in _DATE},
        "language": {
            "lang": lang.lower(),
            **({"region": region.upper()} if len(region) == 2 else {}),
        },
    }


def _facts(record: TrainingRecord) -> list[tuple[str, str | None]]:
    return [
        ("Employee", record.employee.name),
        ("Email", record.employee.email),
        ("Employee id", record.employee.id),
        ("Started", in_words(record.started_at)),
        ("Completed", in_words(record.completed_at)),
        ("Recorded", in_words(record.generated_at)),
        ("Tenant", record.tenant_id),
        ("Session", record.session_id),
        ("Evidence", record.evidence_id),
        *((name, words) for name, words in _parties(record) if words is not None),
    ]


def _parties(record: TrainingRecord) -> list[tuple[str, str | None]]:
    return [("Organisation", record.organisation), ("Issued by", record.issuer)]


def _columns_for(areas: Sequence[str]) -> int:
    """As many columns as most of the areas fit into; the others wrap."""
    lengths = sorted(len(area) for area in areas)
    usual = lengths[len(lengths) * 4 // 5] if lengths else 0
    return 3 if usual <= 28 else 2 if usual <= 48 else 1


def _module(module: Module, free: Callable[[str], str]) -> dict[str, object]:
    title = one_line(module.title)
    return {
        "title": _text(title),
        "repeats": len(title) <= 300,
        "score": percent(module.score),
        "questions": [_question(asked, free) for asked in module.questions],
    }


def _question(asked: Question, free: Callable[[str], str]) -> dict[str, object]:
    given = (asked.text, asked.answer, asked.rationale or "")
    texts = [paragraphs(free(words)) for words in given]
    lines = sum(len(text) / 80 + text.count("\n") for text in texts)
    return {
        "text": _text(texts[0]),
        "answer": _text(texts[1]),
        "rationale": _text(texts[2]),
        "score": percent(asked.score),
        # A question stays with its answer, unless the two could fill a good part of a page.
        "breaks": lines > 20,
    }


def _extras(extra: Mapping[str, object], free: Callable[[str], str]) -> list[tuple[str, str]]:
    """Each member on a line of its own, in key order; long ones say that they are cut short."""
    rows = [
        (_cut(_as_text(key, free)), _cut(_as_text(extra[key], free)))
        for key in sorted(extra)[:_MAX_EXTRAS]
    ]
    hidden = len(extra) - len(rows)
    return [*rows, ("", f"and {hidden} more in record.json")] if hidden else rows


def _as_text(value: object, free: Callable[[str], str]) -> str:
    if isinstance(value, str):
        return paragraphs(free(value))
    written = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return free(written)


def _cut(words: str) -> str:
    hidden = len(words) - _MAX_EXTRA_LENGTH
    cut = f"{words[:_MAX_EXTRA_LENGTH]}… ({hidden:,} more characters in record.json)"
    return cut if hidden > 0 else words


def _hashes(record: TrainingRecord, canonical: bytes) -> list[tuple[str, str]]:
    rows = [("SHA-256 of record.json", hashlib.sha256(canonical).hexdigest())]
    given = record.content_hash
    if given is None:
        return rows
    return [*rows, ("Content hash", given if len(given) <= _WIDTH_OF_A_HASH else breakable(given))]


def _text(words: str) -> Text:
    laid = breakable(words)
    return {"rtl": laid} if runs_to_the_left(words) else laid


def _shortened(words: str, most: int = _MAX_IN_METADATA) -> str:
    line = one_line(words)
    return line if len(line) <= most else f"{line[:most]}…"


def score_and_threshold(outcome: TrainingOutcome) -> tuple[str, str]:
    """Both as percentages that do not contradict the verdict.

    A score that passed, and equals the threshold but for the rounding, is shown as the threshold. A
    score below it has as many decimals as make it look smaller, or all of its digits.
    """
    score, needed = outcome.score, outcome.pass_threshold
    if outcome.status == "passed" and score < needed <= round(score, 4):
        score = needed
    for decimals in range(2, 20, 2):
        shown = percent(score, decimals), percent(needed, decimals)
        if score >= needed or shown[0] != shown[1]:
            return shown
    exact = [(Decimal(repr(share)) * 100).normalize() for share in (score, needed)]
    return f"{exact[0]} %", f"{exact[1]} %"


def _despite_the_score(outcome: TrainingOutcome) -> str:
    """What is said where the host's verdict is not what score and threshold come to."""
    score, needed, passed = outcome.score, outcome.pass_threshold, outcome.status == "passed"
    reached = score >= needed or (passed and round(score, 4) >= needed)
    return "" if passed is reached else f"; recorded as {outcome.status} all the same"


def percent(share: float, decimals: int = 2) -> str:
    """A share as a percentage; its decimals are cut off, so it never shows too much."""
    exact = Decimal(repr(share)) * 100
    shown = exact.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_DOWN).normalize()
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
    shown = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return "\n".join(shown).strip("\n")
