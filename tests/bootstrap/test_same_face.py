"""The three couriers have the same methods with the same parameters, but for the differences that
are meant, and each of those has its reason here. The two faces of the records have those that need
no tenants."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest

from evidence_courier import AsyncCourier, AsyncRecords, BlockingCourier, Courier, Records

FACES: list[type] = [AsyncCourier, Courier, BlockingCourier]

RECORDS: list[type] = [AsyncRecords, Records]
READ_AND_ACT = {
    *("statuses", "find", "show", "counted", "counts", "health"),
    *("retry", "release", "abandon", "attest", "pause", "resume", "paused", "erase", "removals"),
}

MISSING = {
    "BlockingCourier.start": "it opens its database when it is used, in each process for itself",
    "BlockingCourier.drain": "it works only while it is called, so there is nothing to wait for",
    "BlockingCourier.quiet": "it works only while it is called, so there is nothing to wait for",
    "AsyncCourier.deliver": "submit is its deliver: it makes the steps itself",
    "Courier.deliver": "submit is its deliver: it makes the steps itself",
    "AsyncCourier.recover": "it recovers by itself, every few seconds",
    "Courier.recover": "it recovers by itself, every few seconds",
    "AsyncCourier.deliver_many": "it finds by itself what may go in one request",
    "Courier.deliver_many": "it finds by itself what may go in one request",
}

OTHER_PARAMETERS = {
    "BlockingCourier.close": "nothing is under way that could need a grace",
}


def methods(face: type) -> dict[str, list[str]]:
    """The parameters of each public method."""
    return {
        name: [str(one).partition(":")[0] for one in inspect.signature(method).parameters.values()]
        for name, method in inspect.getmembers(face, callable)
        if not name.startswith("_")
    }


def test_a_method_of_one_courier_is_a_method_of_all() -> None:
    everything = {name for face in FACES for name in methods(face)}
    missing = {
        f"{face.__name__}.{name}" for face in FACES for name in everything - set(methods(face))
    }
    assert missing == set(MISSING)


def test_a_method_has_the_same_parameters_on_each_courier() -> None:
    differing = {
        f"{other.__name__}.{name}"
        for one, other in pairwise(FACES)
        for name, parameters in methods(other).items()
        if name in methods(one) and methods(one)[name] != parameters
    }
    assert differing == set(OTHER_PARAMETERS)


def test_the_records_have_what_needs_no_tenants_on_every_courier_too() -> None:
    for face in RECORDS:
        assert set(methods(face)) == {"open", "close", *READ_AND_ACT}
        for courier in FACES:
            of_courier = methods(courier)
            for name in READ_AND_ACT:
                assert of_courier[name] == methods(face)[name], (courier, name)
    assert methods(Records) == methods(AsyncRecords)


@pytest.mark.parametrize("face", FACES + RECORDS)
def test_every_method_says_what_it_does(face: type) -> None:
    assert [name for name in methods(face) if not inspect.getdoc(getattr(face, name))] == []
