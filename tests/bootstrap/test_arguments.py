"""What a host gives that is not of the kind that is asked for is a MisuseError that names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from store_fixtures import House, evidence

from evidence_courier import BlockingCourier, Courier, Evidence, Filter, MisuseError
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.testing import FakeClock

NAIVE = datetime(2026, 1, 1)

CALLS: Mapping[str, tuple[Callable[[Any], object], str]] = {
    "since naive": (lambda c: c.find(since=NAIVE), r"since must be .*aware"),
    "since text": (lambda c: c.find(since="2026-01-01"), r"since must be .*aware.*'2026-01-01'"),
    "tenant": (lambda c: c.find(tenant_id=3), "tenant_id must be text, not int"),
    "enabled": (lambda c: c.enabled(3), "tenant_id must be text, not int"),
    "doctor": (lambda c: c.doctor(None), "tenant_id must be text, not NoneType"),
    "after": (lambda c: c.find(after=3), "after must be text, not int"),
    "limit": (lambda c: c.find(limit="9"), "limit must be a whole number, not str"),
    "status": (lambda c: c.find(status="Failed"), "no status: did you mean 'failed'"),
    "status far": (lambda c: c.find(status="done"), "no status; known are pending, retrying"),
    "status none": (lambda c: c.find(status=""), "no status"),
    "statuses list": (
        lambda c: c.find(status=["failed", "odd"]),
        "no status; known are",
    ),
    "odd filter": (
        lambda c: c.find(tenant="acme"),
        "'tenant' is no filter of uploads: did you mean tenant_id",
    ),
    "one id": (lambda c: c.statuses("acme", "ev-1"), "evidence_ids must be a list, not str"),
    "no ids": (lambda c: c.statuses("acme", None), "evidence_ids must be a list, not NoneType"),
    "limit bool": (lambda c: c.find(limit=True), "limit must be a whole number, not True"),
    "odd ids": (lambda c: c.statuses("acme", [1]), "each of evidence_ids must be text, not int"),
}


WAITS: Mapping[str, tuple[Callable[[Any], object], str]] = {
    "grace": (lambda c: c.close(grace="x"), "grace must be a number of seconds, not str"),
    "no grace": (lambda c: c.close(None), "grace must be a number of seconds, not NoneType"),
    "nan": (lambda c: c.close(nan), "grace must be a number of seconds, not nan"),
    "timeout": (
        lambda c: c.submit(evidence("ev-1")).settled(timeout="5"),
        "timeout must be a number of seconds, not str",
    ),
    "timedelta": (
        lambda c: c.submit(evidence("ev-1")).settled(timeout=timedelta(seconds=5)),
        "timeout must be a number of seconds, not timedelta",
    ),
}

SPANS: Mapping[str, tuple[object, str]] = {
    "timedelta": (timedelta(seconds=20), "until must be a number of seconds, not timedelta"),
    "text": ("20", "until must be a number of seconds, not str"),
    "none": (None, "until must be a number of seconds, not NoneType"),
    "bool": (True, "until must be a number of seconds, 0 or more, not True"),
    "nan": (nan, "until must be a number of seconds, 0 or more, not nan"),
    "negative": (-1.0, "until must be a number of seconds, 0 or more, not -1.0"),
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_argument_of_a_verb_is_named(house: House, name: str) -> None:
    call, says = CALLS[name]
    with house.sync_courier() as courier, pytest.raises(MisuseError, match=says):
        call(courier)


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("blocks", [True, False])
def test_a_wrong_number_of_seconds_is_named(house: House, name: str, blocks: bool) -> None:
    call, says = WAITS[name]
    if blocks:
        with house.sync_courier() as courier, pytest.raises(MisuseError, match=says):
            call(courier)
        return

    async def wait() -> None:
        async with house.courier() as courier:
            with pytest.raises(MisuseError, match=says):
                await call(courier)  # type: ignore[misc]

    asyncio.run(wait())


@pytest.mark.parametrize("name", SPANS)
def test_a_wrong_time_of_deliver_due_is_named(house: House, name: str) -> None:
    until, says = SPANS[name]
    for courier in (house.sync_courier(background=False), house.blocking_courier()):
        with pytest.raises(MisuseError, match=says):
            courier.deliver_due(until)  # type: ignore[arg-type]
        courier.close()

    async def call() -> None:
        courier = house.courier(background=False)
        with pytest.raises(MisuseError, match=says):
            await courier.deliver_due(until)  # type: ignore[arg-type]
        await courier.close()

    asyncio.run(call())
    assert not house.database.exists()  # nothing was begun for it


@pytest.mark.parametrize("over", [0, -1.5])
def test_a_wait_whose_time_is_over_is_given_up_at_once(house: House, over: float) -> None:
    with house.sync_courier(background=False) as courier:
        ticket = courier.submit(evidence("ev-1"))
        with pytest.raises(TimeoutError, match=f"not settled after {over:g} s"):
            ticket.settled(over)
        courier.close(over)


def test_a_wait_may_be_as_long_as_it_takes(house: House) -> None:
    with house.sync_courier() as courier:
        upload = courier.submit(evidence("ev-1")).settled(inf)
    assert upload is not None
    assert upload.status == "succeeded"


@pytest.mark.parametrize("verb", ["advance", "jump"])
def test_a_fake_clock_takes_seconds(verb: str) -> None:
    with pytest.raises(MisuseError, match="seconds must be a number of seconds, not timedelta"):
        getattr(FakeClock(), verb)(timedelta(hours=1))


def test_ids_may_come_from_a_generator(house: House) -> None:
    with house.sync_courier() as courier:
        assert courier.statuses("acme", (one for one in ["ev-1"])) == {}  # type: ignore[arg-type]


OPTIONS: Mapping[str, tuple[Mapping[str, object], str]] = {
    "concurrency": ({"concurrency": "8"}, "concurrency must be a whole number, not str"),
    "bytes": ({"in_flight_bytes": 1e6}, "in_flight_bytes must be a whole number, not float"),
    "concurrency bool": ({"concurrency": True}, "concurrency must be a whole number, not True"),
    "documents": ({"keep_documents": "no"}, "keep_documents must be True or False, not str"),
    "late": ({"late_after": 3600}, "late_after must be a timedelta, not int"),
    "late negative": ({"late_after": timedelta(-1)}, "late_after must not be negative"),
    "providers": ({"providers": ["x"]}, "providers must be a mapping .*, not list"),
    "block": ({"block": ["a", "b"]}, "block must be the dotted path .*, not list"),
    "hook": ({"on_settled": "print"}, "on_settled must be a function, not str"),
    "fonts text": ({"fonts": "/usr"}, "fonts must be a list, not str"),
    "fonts odd": ({"fonts": [3]}, "each of fonts must be a folder's path, not int"),
    "fonts missing": ({"fonts": ["/none/there"]}, "fonts: /none/there is not a folder"),
    "database": ({"database": 3}, "database must be a path, .*, not int"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_option_is_named_when_the_courier_is_built(tmp_path: Path, name: str) -> None:
    options, says = OPTIONS[name]
    with pytest.raises(MisuseError, match=says):
        Courier.from_mapping({}, **{"database": tmp_path / "c.db", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Courier, BlockingCourier])
def test_a_mapping_for_a_folder_is_sent_to_from_mapping(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"path must be a folder's path .*from_mapping.*not dict"):
        kind.from_config({"acme": {}}, database=tmp_path / "c.db")


def test_a_mapping_for_a_record_is_sent_to_load_record() -> None:
    with pytest.raises(MisuseError, match=r"record must be a TrainingRecord .*load_record.*dict"):
        Evidence.from_record({})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kind": "unathorized"}, "'unathorized' is no kind of error: did you mean 'unauthorized'"),
        ({"kind": 401}, "401 is no kind of error; known are no_connection, "),
        ({"since": NAIVE}, "since must be .*aware"),
        ({"until": "2026-01-01"}, "until must be .*aware"),
    ],
)
def test_a_filter_that_can_find_nothing_is_refused(given: Any, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        Filter(**given)


def test_the_command_line_names_the_kind_that_was_meant(house: House) -> None:
    with house.sync_courier():
        pass
    words = f"retry --db {house.database} --tenant acme --kind unathorized --by ann --reason why"
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == 2
    assert "did you mean 'unauthorized'" in done.output
