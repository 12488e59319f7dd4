"""How the pages of a training record are laid out, and what that costs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from functools import cache
from typing import Any

import pytest
from pypdf import PdfReader
from training_records import record_as_json

from evidence_courier.adapters.records import load_record
from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer
from evidence_courier.domain.evidence.evidence import Document, sha256_of
from evidence_courier.domain.evidence.record_json import record_json
from evidence_courier.domain.evidence.training import TrainingRecord
from evidence_courier.ports.renderer import Renderer

GROWTH = """
import json, resource, sys
from evidence_courier import load_record
from evidence_courier.adapters.renderers.typst_renderer import TypstRenderer

def size():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform == "linux" else 1024 * 1024)

record = load_record(sys.stdin.read())
before = size()
assert hasattr(TypstRenderer().render(record), "content")
print(size() - before)
"""


@cache
def renderer() -> Renderer:
    return TypstRenderer()


def record(**changes: Any) -> TrainingRecord:
    return load_record(record_as_json(**changes))


def pdf_of(made_of: TrainingRecord) -> bytes:
    document = renderer().render(made_of)
    assert isinstance(document, Document) and document.content is not None
    return document.content


def placed(made_of: TrainingRecord) -> list[tuple[str, float, float]]:
    """The pieces of the first page's text, each with where it begins, in points."""
    found: list[tuple[str, float, float]] = []

    def visit(text: str, page: Any, line: Any, _font: Any, _size: Any) -> None:
        x, y = line[4], line[5]
        if text.strip():
            left = page[0] * x + page[2] * y + page[4]
            found.append((text.strip(), left, page[1] * x + page[3] * y + page[5]))

    PdfReader(io.BytesIO(pdf_of(made_of))).pages[0].extract_text(visitor_text=visit)
    return found


def about(subject: str, questions: int, evidence: str) -> TrainingRecord:
    asked = [
        {
            "text": f"A mail of {subject} asks you to follow link {number}. What do you do?",
            "answer": f"I report number {number} of {subject} to the security team.",
            "score": 1.0,
        }
        for number in range(questions)
    ]
    module = {"title": "Phishing", "score": 1.0, "questions": asked}
    return record(evidence_id=evidence, modules=[module])


def test_the_words_of_the_page_stay_in_place_in_any_language() -> None:
    """They are English; a record in Arabic turned them round, so that it said “% 100”."""
    pages = []
    for language in ("en", "ar", "he"):
        made_of = record(language=language)
        digest = sha256_of(record_json(made_of))
        pages.append([one for one in placed(made_of) if digest not in one[0]])
    assert pages[1] == pages[0]
    assert pages[2] == pages[0]


def test_a_name_from_right_to_left_stands_under_its_label() -> None:
    where = {
        text: (left, baseline)
        for text, left, baseline in placed(record(employee__name="שלום", organisation="Acme"))
    }
    name = next(at for text, at in where.items() if set(text) == set("שלום"))
    assert name[1] == pytest.approx(where["asha@acme.example"][1], abs=0.5)
    assert name[0] < where["Email"][0] - 60


def test_questions_that_were_set_before_cost_little() -> None:
    """Those of one training are the same in many records: Typst keeps how they were laid out, if
    no style of the document differs."""

    def cost(made_of: TrainingRecord) -> float:
        began = time.process_time()
        pdf_of(made_of)
        return time.process_time() - began

    pdf_of(about("anybody", 100, "first"))
    new = min(cost(about(f"sender {number}", 100, f"new-{number}")) for number in range(3))
    known = min(cost(about("anybody", 100, f"known-{number}")) for number in range(3))
    assert known < 0.7 * new


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage there")
@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_record_of_3_000_questions_takes_less_than_200_mb(threads: str) -> None:
    asked = [
        {"text": f"Question {number}?", "answer": f"Answer {number}", "score": 1}
        for number in range(3_000)
    ]
    given = record_as_json(modules=[{"title": "M", "score": 1, "questions": asked}])
    done = subprocess.run(
        [sys.executable, "-c", GROWTH],
        input=json.dumps(given),
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, "RAYON_NUM_THREADS": threads},
    )
    assert int(done.stdout) < 190
