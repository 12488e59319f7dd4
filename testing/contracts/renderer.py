"""What every renderer owes: the kit for the `Renderer` port.

class TestMyRenderer(RendererContract):
    def renderer(self) -> Renderer:
        return MyRenderer()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from ...domain.evidence.evidence import Document
from ...domain.evidence.training import (
    Employee,
    Module,
    Question,
    Training,
    TrainingOutcome,
    TrainingRecord,
)
from ...domain.upload.failure import Failure, FailureKind
from ...ports.renderer import Renderer
from .assertions import must
from .hostile_inputs import NAMES

_AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
_TEXTS = (
    *NAMES,
    "a line\nand another",
    "#let x = 1; $ \\ [brackets] *stars* _under_ `ticks` @label <tag> // comment",
    "<script>alert(1)</script>&amp;",
    "a word " * 5_000,
    "w" * 5_000,
)


def sample_record(**changes: Any) -> TrainingRecord:
    """A training record, with some fields changed."""
    question = Question(
        text="Who do you tell?", answer="The help desk", score=1.0, rationale="The right channel."
    )
    record = TrainingRecord(
        tenant_id="acme",
        evidence_id="ev-1",
        session_id="s-1",
        employee=Employee(id="emp-7", name="Asha Patel", email="asha@acme.example"),
        training=Training(title="Security attestation", type="annual", attempt=1, max_attempts=3),
        outcome=TrainingOutcome(status="passed", score=0.9, pass_threshold=0.7),
        started_at=_AT,
        completed_at=_AT,
        generated_at=_AT,
        modules=(Module(title="Phishing", score=0.9, questions=(question,)),),
    )
    return evolve(record, **changes)


class RendererContract(ABC):
    """The rules for a renderer. Give it `renderer`."""

    @abstractmethod
    def renderer(self) -> Renderer:
        """The renderer, new."""

    def test_a_record_becomes_a_document_with_its_bytes(self) -> None:
        with closing(self.renderer()) as renderer:
            document = renderer.render(sample_record())
        must(isinstance(document, Document), f"a plain record was rendered as {document!r}")
        assert isinstance(document, Document)
        must(
            document.content,
            "the document has no content: a path or a source would be gone at the next attempt",
        )

    def test_the_same_record_gives_the_same_bytes(self) -> None:
        with closing(self.renderer()) as renderer, closing(self.renderer()) as another:
            first = _content(renderer, sample_record())
            must(
                _content(renderer, sample_record()) == first,
                "a second render of a record gives other bytes",
            )
            must(_content(another, sample_record()) == first, "another renderer gives other bytes")

    def test_whatever_a_record_says_makes_a_difference(self) -> None:
        with closing(self.renderer()) as renderer:
            first = _content(renderer, sample_record())
            for name, record in _others():
                must(
                    _content(renderer, record) != first,
                    f"a record with another {name} gives the same bytes",
                )

    def test_any_text_is_shown_or_refused(self) -> None:
        with closing(self.renderer()) as renderer:
            for text in _TEXTS:
                module = Module(
                    title="Phishing",
                    score=1.0,
                    questions=(Question(text=text, answer=text, score=1.0),),
                )
                try:
                    result = renderer.render(sample_record(modules=(module,)))
                except Exception as error:
                    raise AssertionError(
                        f"a record that says {text[:40]!r} makes it raise {error!r}"
                    ) from error
                must(
                    isinstance(result, Document)
                    or (isinstance(result, Failure) and result.kind is FailureKind.UNFIT_RENDER),
                    f"a record that says {text[:40]!r} was rendered as {result!r}, which is "
                    "neither a document nor UNFIT_RENDER",
                )

    def test_it_may_be_used_from_several_threads(self) -> None:
        records = [sample_record(evidence_id=f"ev-{number}") for number in range(8)]
        with closing(self.renderer()) as renderer:
            with ThreadPoolExecutor(4) as threads:
                together = list(threads.map(lambda record: _content(renderer, record), records))
            alone = [_content(renderer, record) for record in records]
        must(together == alone, "records that are rendered at the same time mix")

    def test_it_may_be_closed_twice(self) -> None:
        renderer = self.renderer()
        renderer.render(sample_record())
        renderer.close()
        renderer.close()


def _content(renderer: Renderer, record: TrainingRecord) -> bytes | None:
    result = renderer.render(record)
    if isinstance(result, Failure):
        raise AssertionError(f"a plain record was rendered as {result!r}")
    return result.content


def _others() -> Iterator[tuple[str, TrainingRecord]]:
    record = sample_record()
    yield "person", evolve(record, employee=evolve(record.employee, name="Somebody Else"))
    yield "outcome", evolve(record, outcome=evolve(record.outcome, status="exhausted", score=0.1))
    yield "date", evolve(record, generated_at=datetime(2026, 3, 1, tzinfo=UTC))
    yield "title", evolve(record, training=evolve(record.training, title="Another training"))
    yield "module", evolve(record, modules=())
