"""The errors a host can meet, and how a problem in what a person wrote is told."""

import copy
import pickle
from collections.abc import Callable

import pytest

from evidence_courier.domain.errors import (
    ConfigError,
    CourierError,
    MisuseError,
    Problem,
    RecordError,
    StoreError,
)
from evidence_courier.domain.evidence.training_rules import FieldError

PATH = "integrations.compliance.provider"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is missing"), "is missing"),
        (Problem("is missing", path=PATH), f"{PATH}: is missing"),
        (Problem("is missing", file="acme.yaml"), "acme.yaml: is missing"),
        (
            Problem("is missing", path=PATH, file="acme.yaml", line=0),
            f"acme.yaml:0: {PATH}: is missing",
        ),
        (Problem("is missing", path=PATH, line=4), f"4: {PATH}: is missing"),
        (
            Problem(
                "unknown provider sprnto", path=PATH, file="acme.yaml", line=4, suggestion="sprinto"
            ),
            f"acme.yaml:4: {PATH}: unknown provider sprnto (did you mean sprinto?)",
        ),
    ],
)
def test_a_problem_says_where_it_stands_what_it_is_and_what_was_meant(
    problem: Problem, text: str
) -> None:
    assert str(problem) == text


def test_a_configuration_error_lists_every_problem() -> None:
    problems = (Problem("is missing", path="tenant"), Problem("is unknown", path="colour"))
    error = ConfigError(problems)
    assert error.problems == problems
    assert (
        str(error)
        == "the configuration has 2 problems:\n  tenant: is missing\n  colour: is unknown"
    )


def test_a_single_problem_is_spoken_of_in_the_singular() -> None:
    error = RecordError((Problem("is missing", path="employee.id"),))
    assert error.problems == (Problem("is missing", path="employee.id"),)
    assert str(error) == "the training record has 1 problem:\n  employee.id: is missing"


def test_the_errors_are_split_by_who_has_to_act() -> None:
    assert {
        error: error.__bases__ for error in (ConfigError, MisuseError, StoreError, RecordError)
    } == {
        ConfigError: (CourierError,),
        MisuseError: (CourierError,),
        StoreError: (CourierError,),
        RecordError: (MisuseError,),
    }


@pytest.mark.parametrize(
    "error",
    [
        ConfigError((Problem("is missing", "tenant", file="acme.yaml", line=3),)),
        RecordError((Problem("is missing"), Problem("is unknown", suggestion="color"))),
        MisuseError("call something else"),
        StoreError("the disk is full"),
        FieldError("employee.id", "is empty"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy],
    ids=["pickle", "copy", "deepcopy"],
)
def test_an_error_survives_the_way_to_another_process(
    error: Exception, travel: Callable[[Exception], Exception]
) -> None:
    arrived = travel(error)
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
