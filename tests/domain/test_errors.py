"""The errors a host can meet, and how a problem in what a person wrote is told."""

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import evidence_courier
from evidence_courier import load_record
from evidence_courier.delivery.effects import Interrupted
from evidence_courier.domain.errors import (
    ConfigError,
    CourierError,
    MisuseError,
    Problem,
    RecordError,
    StoreError,
)
from evidence_courier.domain.evidence.training import Employee
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


def _raised(kind: type[BaseException]) -> BaseException:
    """An exception of that class, made of what its constructor takes."""
    made = {
        "problems": (Problem("is missing", path=PATH),),
        "path": PATH,
        "complaint": "is odd",
        "by": KeyboardInterrupt("by hand"),
    }
    ours = [one for one in kind.__mro__ if one.__module__.startswith("evidence_courier")]
    own = any("__init__" in vars(one) for one in ours)
    takes = list(inspect.signature(kind.__init__).parameters.values())[1:] if own else []
    needed = [one.name for one in takes if one.default is one.empty and one.name in made]
    return kind(*[made[name] for name in needed] or ["words"])


def _exceptions() -> list[type[BaseException]]:
    """Every exception that may leave the package."""
    for found in pkgutil.walk_packages(evidence_courier.__path__, "evidence_courier."):
        if found.name.split(".")[1] in ("domain", "delivery", "adapters", "bootstrap"):
            importlib.import_module(found.name)
    kinds: set[type[BaseException]] = {
        CourierError,
        *_below(CourierError),
        *_below(ValueError),
        *_below(Interrupted),
    }
    return sorted((kind for kind in kinds if "evidence_courier" in kind.__module__), key=str)


def _below(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)


@pytest.mark.parametrize("kind", _exceptions(), ids=lambda kind: kind.__name__)
def test_every_error_survives_a_pickle_and_a_copy(kind: type[BaseException]) -> None:
    error = _raised(kind)
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(other) is kind
        assert str(other) == str(error)
        assert getattr(other, "problems", None) == getattr(error, "problems", None)


def test_errors_arrive_from_another_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        of_record = pool.submit(load_record, "{}").exception(timeout=60)
        of_field = pool.submit(Employee, id="").exception(timeout=60)
    assert isinstance(of_record, RecordError)
    assert [problem.path for problem in of_record.problems][:1] == ["schema_version"]
    assert isinstance(of_field, FieldError)
    assert of_field.path == "id"


def test_a_database_that_failed_is_not_expected_to_work_by_itself() -> None:
    """Unless the error says so."""
    assert StoreError("the disk is full").passing is False
    assert StoreError("another process is writing", passing=True).passing is True
