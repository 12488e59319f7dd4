"""A few hundred inputs for each target; `make fuzz` tries a million. And: the targets do notice
what is wrong."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import Any

import fuzz_targets
import pytest
from fuzz_targets import REPLIES, SUCCESS, TARGETS, mutated, says_success, tree_near

from evidence_courier.domain.errors import RecordError
from evidence_courier.domain.secrets.redaction import Redactor
from evidence_courier.domain.upload.verdict import Delivered, Receipt

KINDS = {"reply": 10, "retry_after": 3, "configuration": 3, "training_record": 3, "redaction": 20}


def outcomes(name: str, count: int) -> list[str]:
    """What the first inputs of a target come to."""
    return [TARGETS[name](Random(f"{name} {number}")) for number in range(count)]


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_surprising_comes_of_surprising_inputs(name: str) -> None:
    seen = Counter(outcomes(name, 300))
    assert len(seen) >= KINDS[name], f"the inputs are too much alike: {seen}"


@pytest.mark.parametrize("name", TARGETS)
def test_a_number_stands_for_one_input(name: str) -> None:
    assert outcomes(name, 30) == outcomes(name, 30)


def test_a_mutation_changes_what_it_is_given_and_leaves_the_original() -> None:
    before = json.dumps(SUCCESS)
    trees = {json.dumps(tree_near(Random(number), SUCCESS), default=str) for number in range(100)}
    assert len(trees) > 50 and json.dumps(SUCCESS) == before
    assert len({mutated(Random(number), before.encode()) for number in range(100)}) > 90
    assert mutated(Random(1), b"") != mutated(Random(2), b"")


def test_the_oracle_of_replies_knows_success() -> None:
    assert says_success(json.dumps(SUCCESS).encode(), ("UPLOAD_COMPLETE",))
    assert not says_success(json.dumps(SUCCESS).encode(), ("DONE",))
    for body in (json.dumps(reply).encode() for reply in REPLIES if reply is not SUCCESS):
        assert not says_success(body, ("UPLOAD_COMPLETE",))
    assert not says_success(b"null", ("UPLOAD_COMPLETE",))
    assert not says_success(json.dumps(SUCCESS).encode() + b"}", ("UPLOAD_COMPLETE",))


def _delivered(*_: object) -> Delivered:
    return Delivered(Receipt())


def _no_time(*_: object) -> float:
    return -1.0


def _record_error(*_: object, **__: object) -> Any:
    raise RecordError(())


def _type_error(*_: object, **__: object) -> Any:
    raise TypeError("a bug")


@pytest.mark.parametrize(
    ("target", "replaced", "broken"),
    [
        ("reply", "judge", _delivered),
        ("reply", "judge", _type_error),
        ("retry_after", "retry_after_seconds", _no_time),
        ("training_record", "load_record", _record_error),
        ("training_record", "load_record", _type_error),
        ("configuration", "load_folder", _type_error),
    ],
)
def test_a_target_notices_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, target: str, replaced: str, broken: object
) -> None:
    monkeypatch.setattr(fuzz_targets, replaced, broken)
    with pytest.raises((AssertionError, TypeError)):
        outcomes(target, 50)


def test_a_secret_that_is_not_masked_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redactor, "text", lambda _, text, **__: text)
    with pytest.raises(AssertionError):
        outcomes("redaction", 20)
