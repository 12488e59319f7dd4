"""The training record: what a host knows of one finished training session.

A tree of plain values, which a host builds or reads from JSON, and from which a document is
rendered. The classes validate themselves by `training_rules`, so every `TrainingRecord` is valid:
its ids are usable, its scores lie between 0 and 1, its moments have a time zone, and it can be
written as JSON again. The name of a field is its key in the JSON. An invalid value raises
`FieldError`, a ValueError that names the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen
from attrs.validators import optional

from . import training_rules as rules
from .training_rules import FieldError

__all__ = [
    "Employee",
    "FieldError",
    "Module",
    "Question",
    "Training",
    "TrainingOutcome",
    "TrainingRecord",
]


def _about(words: str) -> dict[str, str]:
    """What the published schema says of a field."""
    return {"about": words}


def _optional(rule: rules.Rule, about: str) -> Any:
    return field(default=None, validator=optional(rule), metadata=_about(about))


@frozen(kw_only=True)
class Employee:
    """Who took the training. `id` is the host's own, and the evidence's subject."""

    id: str = field(validator=rules.identifier, metadata=_about("The host's id of the person."))
    name: str | None = _optional(rules.title, "The person's name.")
    email: str | None = _optional(rules.identifier, "The person's address.")


@frozen(kw_only=True)
class Training:
    """Which training was taken, and which attempt at it this was."""

    title: str = field(validator=rules.title, metadata=_about("The training's title."))
    type: str = field(
        validator=rules.title,
        metadata=_about("What kind of training it is, such as annual or onboarding."),
    )
    attempt: int = field(
        validator=rules.count, metadata=_about("Which attempt this was, counted from 1.")
    )
    max_attempts: int = field(
        validator=rules.count,
        metadata=_about("How many attempts the person has in all; attempt is never greater."),
    )

    def __attrs_post_init__(self) -> None:
        rules.attempt_within(self.attempt, self.max_attempts)


@frozen(kw_only=True)
class TrainingOutcome:
    """How the session ended: passed, or exhausted when the last attempt was used up without
    passing."""

    status: Literal["passed", "exhausted"] = field(
        validator=rules.status,
        metadata=_about("How the session ended. An abandoned session leaves no evidence."),
    )
    score: float = field(
        converter=rules.as_number,
        validator=rules.share,
        metadata=_about("What was reached, from 0 to 1."),
    )
    pass_threshold: float = field(
        converter=rules.as_number,
        validator=rules.share,
        metadata=_about("What had to be reached, from 0 to 1."),
    )
    weak_areas: tuple[str, ...] = field(
        default=(),
        converter=rules.as_optional_tuple,
        validator=rules.list_of(str),
        metadata=_about("Subjects in which the person should learn more."),
    )


@frozen(kw_only=True)
class Question:
    """One question of a module, as it was asked, answered and judged."""

    text: str = field(validator=rules.text, metadata=_about("The question as it was asked."))
    answer: str = field(validator=rules.text, metadata=_about("The answer as it was given."))
    score: float = field(
        converter=rules.as_number,
        validator=rules.share,
        metadata=_about("What the answer was worth, from 0 to 1."),
    )
    rationale: str | None = _optional(rules.text, "Why it was worth that.")


@frozen(kw_only=True)
class Module:
    """One part of a training, with the questions that were asked in it."""

    title: str = field(validator=rules.title, metadata=_about("The module's title."))
    score: float = field(
        converter=rules.as_number,
        validator=rules.share,
        metadata=_about("What was reached in it, from 0 to 1."),
    )
    questions: tuple[Question, ...] = field(
        converter=rules.as_tuple,
        validator=rules.list_of(Question),
        metadata=_about("The questions; none is allowed."),
    )


@frozen(kw_only=True)
class TrainingRecord:
    """Everything that is known of one session that was passed or exhausted.

    `tenant_id` and `evidence_id` identify the evidence for ever. The UTC date of `generated_at` is
    the evidence date. `extra` is whatever else the host wants to have on record: any JSON object;
    the record keeps a copy of its own.
    """

    schema_version: Literal[1] = field(
        default=rules.SCHEMA_VERSION,
        validator=rules.version,
        metadata=_about("The version of this form."),
    )
    tenant_id: str = field(validator=rules.identifier, metadata=_about("Whose evidence this is."))
    evidence_id: str = field(
        validator=rules.identifier, metadata=_about("The evidence's id, unique within the tenant.")
    )
    session_id: str = field(
        validator=rules.identifier, metadata=_about("The training session's id.")
    )
    employee: Employee = field(
        validator=rules.only(Employee), metadata=_about("Who took the training.")
    )
    training: Training = field(
        validator=rules.only(Training), metadata=_about("Which training it was.")
    )
    outcome: TrainingOutcome = field(
        validator=rules.only(TrainingOutcome), metadata=_about("How it ended.")
    )
    started_at: datetime = field(
        converter=rules.in_utc, validator=rules.moment, metadata=_about("When the session began.")
    )
    completed_at: datetime = field(
        converter=rules.in_utc, validator=rules.moment, metadata=_about("When the session ended.")
    )
    generated_at: datetime = field(
        converter=rules.in_utc,
        validator=rules.moment,
        metadata=_about("When this evidence was recorded; its UTC date is the evidence date."),
    )
    modules: tuple[Module, ...] = field(
        converter=rules.as_tuple,
        validator=rules.list_of(Module),
        metadata=_about("The parts of the training, in order."),
    )
    issuer: str | None = _optional(rules.title, "Who states this; the author of the document.")
    organisation: str | None = _optional(
        rules.title, "The organisation for which the person was trained."
    )
    language: str | None = _optional(
        rules.language, "The language of the texts, such as de or pt-BR."
    )
    content_hash: str | None = _optional(rules.digest, "The host's own hash of the content.")
    extra: Mapping[str, object] = field(
        factory=dict,
        converter=rules.own_copy,
        validator=rules.json_object,
        hash=False,
        metadata=_about("Anything else that the host wants on record."),
    )
