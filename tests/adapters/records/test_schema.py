"""The published schema says what the loader says, as far as JSON Schema can say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from training_records import record_as_json

from evidence_courier.adapters.records import load_record, record_schema
from evidence_courier.adapters.records.schema import schema_text
from evidence_courier.domain.errors import RecordError

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples" / "records").glob("*.json"))


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    Draft202012Validator.check_schema(record_schema())
    return Draft202012Validator(record_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_published_file_is_current() -> None:
    published = (ROOT / "docs" / "training-record.schema.json").read_text(encoding="utf-8")
    assert published == schema_text(), (
        "make it anew: python -m evidence_courier.adapters.records.schema > "
        "docs/training-record.schema.json"
    )


def test_every_field_is_described() -> None:
    schema: Any = record_schema()
    objects = [schema, *schema["$defs"].values()]
    assert all(field["description"] for each in objects for field in each["properties"].values())


def test_the_examples_are_numerous_enough() -> None:
    tenants = [json.loads(path.read_bytes())["tenant_id"] for path in EXAMPLES]
    assert tenants.count("acme") + tenants.count("globex") >= 12
    assert tenants.count("initech") >= 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_holds(path: Path, schema: Draft202012Validator) -> None:
    tree = json.loads(path.read_bytes())
    schema.validate(tree)
    assert load_record(path.read_bytes(), where=path.name).evidence_id == path.stem


def test_the_example_of_this_test_holds(schema: Draft202012Validator) -> None:
    schema.validate(
        record_as_json(
            employee__name=None,
            content_hash=None,
            extra=None,
            outcome__weak_areas=None,
            generated_at="2026-02-21T10:00:03.25+01:00",
        )
    )


def without(path: str) -> dict[str, Any]:
    tree = record_as_json()
    *parents, last = path.split("__")
    place = tree
    for parent in parents:
        place = place[parent]
    del place[last]
    return tree


BROKEN = [
    record_as_json(schema_version=2),
    record_as_json(tenant_id=""),
    record_as_json(evidence_id=" "),
    record_as_json(session_id="a\nb"),
    record_as_json(evidence_id="x" * 513),
    record_as_json(employee=None),
    record_as_json(employee__name=""),
    record_as_json(employee__phone="1"),
    record_as_json(training__title=" "),
    record_as_json(training__attempt=0),
    record_as_json(training__attempt=1.5),
    record_as_json(training__max_attempts=10**7),
    record_as_json(outcome__status="abandoned"),
    record_as_json(outcome__score=1.01),
    record_as_json(outcome__score=True),
    record_as_json(outcome__weak_areas="phishing"),
    record_as_json(outcome__weak_areas=[1]),
    record_as_json(started_at="2026-02-21"),
    record_as_json(started_at=5),
    record_as_json(completed_at="2026-13-14T10:00:00Z"),
    record_as_json(completed_at="2026-00-14T10:00:00Z"),
    record_as_json(completed_at="2026-12-32T10:00:00Z"),
    record_as_json(completed_at="2026-12-14T24:00:00Z"),
    record_as_json(completed_at="2026-12-14T10:60:00Z"),
    record_as_json(completed_at="2026-12-14T10:58:60Z"),
    record_as_json(completed_at="2026-12-14T10:00:00+24:00"),
    record_as_json(completed_at="2026-12-14T10:00:00+05:60"),
    record_as_json(modules={}),
    record_as_json(modules=[{"title": "m", "score": 1}]),
    record_as_json(
        modules=[{"title": "m", "score": 1, "questions": [{"text": 1, "answer": "", "score": 1}]}]
    ),
    record_as_json(content_hash="abc"),
    record_as_json(extra=[]),
    record_as_json(more=1),
    *(
        without(path)
        for path in (
            "schema_version",
            "tenant_id",
            "employee__id",
            "training__type",
            "outcome__pass_threshold",
            "generated_at",
            "modules",
        )
    ),
]


@pytest.mark.parametrize("tree", BROKEN)
def test_what_is_broken_fails_in_the_loader_and_in_the_schema(
    tree: Any, schema: Draft202012Validator
) -> None:
    assert not schema.is_valid(tree)
    with pytest.raises(RecordError):
        load_record(tree)
