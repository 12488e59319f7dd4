"""The sync face: the same verbs without `await`, from any thread, and no way to hang in it."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import pytest
from paper_house import House, evidence

from evidence_courier import (
    AsyncCourier,
    ConfigError,
    Courier,
    MisuseError,
    StoreError,
    SyncTicket,
    Ticket,
    UploadStatus,
    Where,
)
from evidence_courier.adapters.stores.sqlite import SqliteStore
from evidence_courier.adapters.stores.sqlite.inspection import inspect as inspect_database

MILLISECOND = 0.001


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "courier.db")


def status_in(database: Path, evidence_id: str = "ev-1", tenant_id: str = "acme") -> str | None:
    """What the database says, looked at from outside."""
    with closing(SqliteStore(str(database))) as store:
        found = store.statuses(tenant_id, [evidence_id], datetime.now(UTC)).get(evidence_id)
    return None if found is None else found.status


def our_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("evidence-courier")}


def no_thread_is_left() -> bool:
    """What resolves names is not waited for, so it may end a moment later."""
    deadline = time.monotonic() + 30
    while our_threads() and time.monotonic() < deadline:
        time.sleep(MILLISECOND)
    return not our_threads()


# --- the same face -------------------------------------------------------------------------------------------------------


def public(kind: type) -> list[str]:
    return sorted(name for name in vars(kind) if not name.startswith("_"))


def test_both_couriers_have_the_same_names() -> None:
    assert public(Courier) == public(AsyncCourier)
    assert {"recorded", "settled", "tenant_id", "evidence_id"} == set(public(SyncTicket))


def shape(function: Callable[..., object]) -> object:
    signature = inspect.signature(function)
    hints = typing.get_type_hints(function)
    parameters = [
        (name, parameter.kind, parameter.default, hints.get(name))
        for name, parameter in signature.parameters.items()
    ]
    back = hints["return"]
    return parameters, {Ticket: SyncTicket, AsyncCourier: Courier}.get(back, back)


@pytest.mark.parametrize("name", public(AsyncCourier))
def test_a_verb_of_both_couriers_has_one_signature(name: str) -> None:
    assert shape(getattr(Courier, name)) == shape(getattr(AsyncCourier, name))
    assert not inspect.iscoroutinefunction(getattr(Courier, name))


@pytest.mark.parametrize("name", ["recorded", "settled"])
def test_a_verb_of_both_tickets_has_one_signature(name: str) -> None:
    assert shape(getattr(SyncTicket, name)) == shape(getattr(Ticket, name))


# --- delivering and seeing -----------------------------------------------------------------------------------------------


def test_an_evidence_is_delivered_and_everything_can_be_seen_without_a_loop(house: House) -> None:
    with house.sync_courier() as courier:
        ticket = courier.submit(evidence())
        ticket.recorded()
        status = ticket.settled(timeout=30)
        assert isinstance(status, UploadStatus)
        assert (ticket.tenant_id, ticket.evidence_id) == ("acme", "ev-1")
        assert repr(ticket) == "<SyncTicket acme/ev-1 settled>"
        assert (status.status, status.attempts) == ("succeeded", 1)
        assert courier.statuses("acme", ["ev-1", "ev-2"]) == {"ev-1": status}
        assert courier.find(tenant_id="acme").uploads == (status,)
        details = courier.show("acme", "ev-1")
        assert details is not None
        assert [row.verdict for row in details.history] == ["delivered"]
        courier.drain()
        courier.quiet()
        assert courier.health().counts["succeeded"] == 1
    assert house.server.held == [("ev-1", b"%PDF-1.7 evidence")]
    assert no_thread_is_left()


def test_a_tenant_without_an_integration_is_left_alone(house: House) -> None:
    with house.sync_courier() as courier:
        assert courier.enabled("acme")
        assert not courier.enabled("initech")
        ticket = courier.submit(evidence(tenant_id="initech"))
        ticket.recorded()
        assert ticket.settled() is None


def test_what_people_do_is_done_at_once(house: House) -> None:
    house.server.answer = lambda _id, nth: 400 if nth == 1 else 200
    with house.sync_courier() as courier:
        for name in ("one", "two"):
            failed = courier.submit(evidence(name)).settled(timeout=30)
            assert failed is not None and failed.status == "failed"
        assert len(courier.retry("acme", who="ann", why="mended", where=Where(), preview=True).done) == 2
        [retried] = courier.retry("acme", "one", who="ann", why="mended").done
        assert retried.status == "pending"
        [attested] = courier.attest("acme", "two", who="ann", why="seen there").done
        assert attested.status == "succeeded"
        assert courier.abandon("acme", "two", who="ann", why="no").left_alone
        assert courier.release("acme", "two", who="ann", why="no").left_alone
        with pytest.raises(MisuseError, match="no upload"):
            courier.retry("acme", "three", who="ann", why="mended")
        courier.drain()
        assert courier.find(status="succeeded").uploads != ()


def test_tenants_are_read_anew_and_a_broken_reload_is_raised_here(house: House) -> None:
    with house.sync_courier() as courier:
        house.tenants["initech"] = house.tenants["acme"]
        courier.reload()
        assert courier.enabled("initech")
        del house.keys.values["KEY"]
        with pytest.raises(ConfigError, match="KEY"):
            courier.reload()
        assert courier.enabled("initech")


def test_settled_waits_no_longer_than_it_is_told_and_leaves_nothing_behind(house: House) -> None:
    house.server.answer = lambda _id, _nth: None
    courier = house.sync_courier()
    courier.start()
    ticket = courier.submit(evidence())
    ticket.recorded()
    for patience in (0, MILLISECOND, 10 * MILLISECOND):
        with pytest.raises(TimeoutError):
            ticket.settled(timeout=patience)
    courier.quiet  # noqa: B018 - it is not quiet: the server says nothing
    courier.health()
    assert ticket._ticket._settled._waiting == []  # pyright: ignore[reportPrivateUsage]
    courier.close(grace=0)


def test_sixteen_threads_submit_wait_and_look_at_once(house: House) -> None:
    together = threading.Barrier(16)

    def work(courier: Courier, worker: int) -> set[str]:
        together.wait(30)
        names = [f"ev-{worker}-{number}" for number in range(10)]
        tickets = [courier.submit(evidence(name)) for name in [*names, "shared"]]
        settled = [ticket.settled(timeout=60) for ticket in tickets]
        assert courier.statuses("acme", names).keys() == set(names)
        return {status.status for status in settled if status is not None}

    with house.sync_courier() as courier, ThreadPoolExecutor(16) as pool:
        for words in pool.map(lambda worker: work(courier, worker), range(16)):
            assert words == {"succeeded"}
        assert courier.health().counts["succeeded"] == 161
    assert len(house.server.held) == 161


def test_it_works_inside_somebodys_running_loop(house: House) -> None:
    async def main() -> None:
        with house.sync_courier() as courier:
            status = courier.submit(evidence()).settled(timeout=30)
            assert status is not None and status.status == "succeeded"
            assert courier.health().running
        with pytest.raises(MisuseError, match="closed"):
            courier.submit(evidence())

    asyncio.run(main())


def test_two_couriers_run_beside_each_other_on_one_database(house: House) -> None:
    with house.sync_courier() as one, house.sync_courier() as other:
        for courier, name in ((one, "one"), (other, "two")):
            status = courier.submit(evidence(name)).settled(timeout=30)
            assert status is not None and status.status == "succeeded"
        assert one.statuses("acme", ["two"]).keys() == {"two"}


# --- where it is refused -------------------------------------------------------------------------------------------------

VERBS: list[tuple[str, Callable[[Courier], object]]] = [
    ("submit", lambda courier: courier.submit(evidence())),
    ("retry", lambda courier: courier.retry("acme", "ev-1", who="ann", why="because")),
    ("release", lambda courier: courier.release("acme", "ev-1", who="ann", why="because")),
    ("abandon", lambda courier: courier.abandon("acme", "ev-1", who="ann", why="because")),
    ("attest", lambda courier: courier.attest("acme", "ev-1", who="ann", why="because")),
    ("statuses", lambda courier: courier.statuses("acme", ["ev-1"])),
    ("find", lambda courier: courier.find()),
    ("show", lambda courier: courier.show("acme", "ev-1")),
    ("health", lambda courier: courier.health()),
    ("drain", lambda courier: courier.drain()),
    ("quiet", lambda courier: courier.quiet()),
    ("reload", lambda courier: courier.reload()),
]
WAITING = [(name, verb) for name, verb in VERBS if name != "submit"]


@pytest.mark.parametrize(("name", "verb"), VERBS)
def test_before_the_start_every_verb_says_how_to_start(
    house: House, name: str, verb: Callable[[Courier], object]
) -> None:
    with pytest.raises(MisuseError, match="not been started: use `with Courier"):
        verb(house.sync_courier())


@pytest.mark.parametrize(("name", "verb"), [*VERBS, ("start", lambda courier: courier.start())])
def test_after_the_close_every_verb_says_to_build_a_new_one(
    house: House, name: str, verb: Callable[[Courier], object]
) -> None:
    with house.sync_courier() as courier:
        pass
    with pytest.raises(MisuseError, match="build a new one"):
        verb(courier)


def test_a_courier_is_started_once(house: House) -> None:
    with house.sync_courier() as courier, pytest.raises(MisuseError, match="started before"):
        courier.start()
    never = house.sync_courier()
    never.close()
    with pytest.raises(MisuseError, match="started before"):
        never.start()


def test_a_hook_may_submit_and_is_refused_whatever_would_wait(house: House) -> None:
    refused: dict[str, str] = {}
    tickets: list[SyncTicket] = []
    heard = threading.Event()

    def hook(status: UploadStatus) -> None:
        if status.evidence_id != "ev-1":
            return
        assert courier.enabled("acme")
        tickets.append(courier.submit(evidence("ev-2")))
        others = [("recorded", lambda _: tickets[0].recorded()), ("close", lambda _: courier.close())]
        for name, verb in [*WAITING, *others]:
            try:
                verb(courier)
            except MisuseError as error:
                refused[name] = str(error)
        heard.set()

    with house.sync_courier(on_settled=hook) as courier:
        courier.submit(evidence()).settled(timeout=30)
        assert heard.wait(30)
        assert refused.keys() == {name for name, _ in WAITING} | {"recorded", "close"}
        assert all("a thread of your own" in words for words in refused.values())
        second = tickets[0].settled(timeout=30)
        assert second is not None and second.status == "succeeded"
    assert not courier._closed or no_thread_is_left()  # pyright: ignore[reportPrivateUsage]


def test_a_hook_that_ends_the_program_closes_the_courier_and_hangs_nobody(house: House) -> None:
    courier = house.sync_courier(on_settled=lambda _status: sys.exit(7))
    courier.start()
    courier.submit(evidence()).settled(timeout=30)
    with pytest.raises(SystemExit):
        courier.close()
    assert no_thread_is_left()
    assert status_in(house.database) == "succeeded"


@pytest.mark.parametrize("attempt", ["with", "start"])
def test_what_starting_raises_is_raised_here_and_leaves_nothing_running(house: House, attempt: str) -> None:
    house.database = house.database.parent / "no such folder" / "courier.db"
    courier = house.sync_courier()
    with pytest.raises(StoreError, match="the folder .* does not exist"):
        if attempt == "with":
            with courier:
                pass
        else:
            courier.start()
    assert no_thread_is_left()
    courier.close()


def test_after_a_start_that_failed_it_can_be_started(house: House) -> None:
    house.database.mkdir()
    courier = house.sync_courier()
    with pytest.raises(StoreError, match="is a folder"):
        courier.start()
    house.database.rmdir()
    with courier:
        assert courier.health().running


def test_a_broken_configuration_is_refused_when_it_is_built(house: House) -> None:
    house.tenants["acme"] = {"integrations": {"compliance": {"provider": "papyrus"}}}
    with pytest.raises(ConfigError, match="papyrus"):
        house.sync_courier()
    assert not our_threads()


# --- closing -------------------------------------------------------------------------------------------------------------


def test_a_ticket_keeps_its_answer_when_the_courier_is_closed(house: House) -> None:
    house.server.answer = lambda name, _nth: 200 if name == "ev-1" else None
    courier = house.sync_courier()
    courier.start()
    done, cut_off = courier.submit(evidence()), courier.submit(evidence("ev-2"))
    done.settled(timeout=30)
    cut_off.recorded()
    courier.close(grace=0)
    courier.close()
    status = done.settled()
    assert status is not None and status.status == "succeeded"
    cut_off.recorded()
    with pytest.raises(MisuseError, match="closed before acme/ev-2 was settled"):
        cut_off.settled()


def test_many_may_close_at_once_and_whoever_waits_hears_of_it(house: House) -> None:
    house.server.answer = lambda _id, _nth: 503
    courier = house.sync_courier()
    courier.start()
    ticket = courier.submit(evidence())
    ticket.recorded()
    courier.quiet()
    with ThreadPoolExecutor(10) as pool:
        waiting = [pool.submit(courier.drain), pool.submit(ticket.settled)]
        closing_ = [pool.submit(courier.close, 0) for _ in range(8)]
        for call in closing_:
            call.result(60)
        for wait in waiting:
            with pytest.raises(MisuseError, match="closed"):
                wait.result(60)
    assert no_thread_is_left()
    assert status_in(house.database) == "retrying"


def test_a_later_close_with_a_shorter_grace_shortens_the_closing(house: House) -> None:
    house.server.answer = lambda _id, _nth: None
    courier = house.sync_courier()
    courier.start()
    courier.submit(evidence()).recorded()
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(courier.close, 3600)
        while not courier._closed:  # pyright: ignore[reportPrivateUsage]
            time.sleep(MILLISECOND)
        courier.close(grace=0)
        patient.result(60)
    assert status_in(house.database) == "retrying"


def test_a_later_close_shortens_the_closing_on_asyncio_too(house: House) -> None:
    house.server.answer = lambda _id, _nth: None

    async def story() -> None:
        courier = house.courier()
        await courier.start()
        await courier.submit(evidence()).recorded()
        patient = asyncio.create_task(courier.close(grace=3600))
        await asyncio.sleep(10 * MILLISECOND)
        assert not patient.done()
        await asyncio.wait_for(courier.close(grace=0), 60)
        await patient

    asyncio.run(story())
    assert status_in(house.database) == "retrying"


# --- Ctrl-C --------------------------------------------------------------------------------------------------------------


def interrupt() -> None:
    """As the terminal does it: the signal is for the process, and Python has the main thread hear of it."""
    os.kill(os.getpid(), signal.SIGINT)


def test_a_ctrl_c_gets_through_while_it_is_waited_and_leaves_the_courier_usable(house: House) -> None:
    def answer(name: str, _nth: int) -> int | None:
        if name == "silent":
            interrupt()
            return None
        return 200

    house.server.answer = answer
    courier = house.sync_courier()
    courier.start()
    with pytest.raises(KeyboardInterrupt):
        courier.submit(evidence("silent")).settled()
    status = courier.submit(evidence()).settled(timeout=30)
    assert status is not None and status.status == "succeeded"
    courier.close(grace=0)
    assert no_thread_is_left()


def run_program(body: str, *arguments: str) -> subprocess.Popen[str]:
    """A program with what the programs here need; lines that it prints can be waited for."""
    head = """
        import os, signal, sys, threading
        from pathlib import Path
        from paper_house import House, evidence
        house = House(Path(sys.argv[1]))
        """
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", dedent(head) + dedent(body), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def end_of(program: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str, str]:
    """Its exit code and what it said; it has to end by itself."""
    try:
        out, err = program.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise
    return program.returncode, out, err


def wait_for_line(program: subprocess.Popen[str], word: str) -> None:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.strip() == word, line + (program.stderr.read() if program.stderr and not line else "")


def test_a_ctrl_c_leaves_the_block_closes_and_ends_the_program(house: House) -> None:
    program = run_program(
        """
        import time
        house.server.answer = lambda name, nth: None if name == "silent" else 200
        with house.sync_courier() as courier:
            courier.submit(evidence()).settled()
            courier.submit(evidence("silent")).recorded()
            courier.submit(evidence("last"))
            print("ready", flush=True)
            time.sleep(60)
        """,
        str(house.database),
    )
    wait_for_line(program, "ready")
    program.send_signal(signal.SIGINT)
    code, _, said = end_of(program)
    assert code == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert said.count("Traceback") == 1
    assert status_in(house.database) == "succeeded"
    assert status_in(house.database, "last") == "succeeded"
    # The server had ten seconds for its answer.
    assert status_in(house.database, "silent") == "retrying"
    assert not inspect_database(str(house.database), datetime.now(UTC)).breaches


def test_a_second_ctrl_c_does_not_wait_for_the_close_and_harms_nothing(house: House) -> None:
    program = run_program(
        """
        house.server.answer = lambda name, nth: None
        courier = house.sync_courier()
        courier.start()
        courier.submit(evidence("silent")).recorded()
        while not house.server.asked:
            pass
        print("ready", flush=True)
        try:
            threading.Event().wait()
        finally:
            print("closing", flush=True)
            courier.close(grace=3600)
        """,
        str(house.database),
    )
    wait_for_line(program, "ready")
    program.send_signal(signal.SIGINT)
    wait_for_line(program, "closing")
    time.sleep(200 * MILLISECOND)  # so that it is waited for; that it is not would fail nothing
    program.send_signal(signal.SIGINT)
    code, _, said = end_of(program)
    assert code == -signal.SIGINT
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert "Thread" not in said and "ignored" not in said
    assert status_in(house.database, "silent") == "retrying"
    assert not inspect_database(str(house.database), datetime.now(UTC)).breaches
