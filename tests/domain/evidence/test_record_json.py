"""Writing a training record: one form, which reads back into the same record."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from training_records import record_as_json

from evidence_courier.adapters.records import load_record
from evidence_courier.domain.evidence.record_json import dump_record, record_json

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def test_a_record_is_written_as_it_was_read() -> None:
    assert dump_record(load_record(record_as_json())) == record_as_json()


def test_what_is_absent_is_left_out_and_moments_are_in_utc() -> None:
    tree = record_as_json(
        employee={"id": "emp-7"}, content_hash=None, generated_at="2026-02-22T00:30:00.250+05:30"
    )
    written = dump_record(load_record(tree))
    assert written["employee"] == {"id": "emp-7"}
    assert written["generated_at"] == "2026-02-21T19:00:00.250000Z"
    assert "content_hash" not in written


def test_the_canonical_form_is_sorted_compact_and_unescaped() -> None:
    written = record_json(
        load_record(record_as_json(employee__name="Zoë 🎓", extra={"b": 1, "a": [1.0, None]}))
    )
    assert written.startswith(b'{"completed_at":"2026-02-21T10:00:00Z","content_hash":"sha256:')
    assert '"name":"Zoë 🎓"'.encode() in written
    assert b'"extra":{"a":[1.0,null],"b":1}' in written


def test_equal_records_have_equal_bytes_however_they_were_written() -> None:
    one = record_as_json(
        outcome__score=1, started_at="2026-02-21T09:12:00Z", extra={"a": 1, "b": 2}
    )
    other = record_as_json(
        outcome__score=1.0, started_at="2026-02-21T14:42:00+05:30", extra={"b": 2, "a": 1}
    )
    other = dict(reversed(other.items()))
    assert record_json(load_record(one)) == record_json(load_record(json.dumps(other, indent=3)))


def test_the_canonical_form_never_changes() -> None:
    # The digest of an evidence that is rendered here, and what stands on its page: a change would
    # make new evidence of old.
    digest = hashlib.sha256(record_json(load_record(record_as_json()))).hexdigest()
    assert digest == "7f7c4c652b953d2aca2a28c1dd9ab9ff6000b3073ebfb2bc4b159b0439ace222"


@given(
    name=texts,
    title=texts,
    answer=texts,
    score=st.floats(0, 1),
    extra=st.dictionaries(texts, values, max_size=4),
)
def test_a_record_reads_back_from_its_canonical_form(
    name: str, title: str, answer: str, score: float, extra: dict[str, Any]
) -> None:
    tree = record_as_json(
        employee__name=f"n{name}", training__title=f"t{title}", outcome__score=score, extra=extra
    )
    tree["modules"][0]["questions"][0]["answer"] = answer
    record = load_record(tree)
    again = load_record(record_json(record))
    assert again == record
    assert record_json(again) == record_json(record)


def test_what_was_dumped_can_be_changed_without_changing_the_record() -> None:
    record = load_record(record_as_json(extra={"a": [1]}))
    dumped: dict[str, Any] = dump_record(record)
    dumped["extra"]["a"].append(2)
    assert record.extra == {"a": [1]}
